//! Requests made up by Larder: to look up a stored response, to refresh it, and to find the other keys of a URL.

use std::rc::Rc;

use crate::cache::{CacheRequest, Context, Host, StreamId};
use crate::config::{Config, Options, Reductions};
use crate::http::{Fields, RequestHead, uri};
use crate::invalidation::Selector;
use crate::policy::key::{self, KeyParts};
use crate::sorting::sorted;

/// A request on whose behalf what lies under a key may be fetched; none when no request of ours has that key.
pub fn asked_by(cx: &mut Context<'_, impl Host>, stream: StreamId, key: &[u8]) -> Option<Rc<CacheRequest>> {
    let parts = KeyParts::of(key)?;
    let request = parts.request()?;
    let mut options = cx.config.rules.for_request(&request);
    // The command may have come through another listener.
    if options.key.direction != parts.direction() {
        Rc::make_mut(&mut options).key.direction = parts.direction();
    }
    let ask = ask_with(cx, stream, request, options);
    let nominated: Vec<String> =
        parts.variant.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    cx.cache.inspect(cx.turn).comes_to(&ask, key, &nominated).then(|| Rc::new(ask))
}

/// What a request would ask of the cache.
pub fn ask_for(cx: &Context<'_, impl Host>, stream: StreamId, mut request: RequestHead) -> CacheRequest {
    // Envoy tells the scheme of each request, unless the client has.
    if !request.fields.contains("x-forwarded-proto") {
        let scheme = request.scheme().to_vec();
        request.fields.push("x-forwarded-proto", scheme);
    }
    let options = cx.config.rules.for_request(&request);
    ask_with(cx, stream, request, options)
}

fn ask_with(
    cx: &Context<'_, impl Host>,
    stream: StreamId,
    mut request: RequestHead,
    options: Rc<Options>,
) -> CacheRequest {
    key::withhold(&mut request, &options);
    let key = key::primary(&request, &options);
    CacheRequest::new(stream, Rc::clone(cx.config), options, request, key, cx.turn.now).of_nobody()
}

/// The request that a URL would be asked with, for the rules that its key depends on.
pub fn get(url: &str) -> RequestHead {
    let (scheme, rest) = uri::split_scheme(url);
    let scheme = scheme.unwrap_or("http");
    let (authority, path) = uri::split_authority(rest);
    let mut fields = Fields::from_iter([(":method", "GET"), (":scheme", scheme), (":authority", authority)]);
    fields.push(":path", if path.is_empty() { "/" } else { path });
    RequestHead { fields, has_body: false }
}

/// What else a canonical URI comes to, by rules that let less of its query count.
pub fn forms(config: &Config, uri: &[u8]) -> Vec<Selector> {
    forms_with(config, uri, &Reductions::default())
}

/// The same by rules that routes have beside those.
pub fn forms_with(config: &Config, uri: &[u8], learned: &Reductions) -> Vec<Selector> {
    let Some(query) = uri.iter().position(|b| *b == b'?') else { return Vec::new() };
    let mut reductions = config.rules.reductions(&get(&String::from_utf8_lossy(uri)));
    reductions.merge(learned);
    match reductions.keys() {
        None => vec![Selector::UriAnyQuery(uri.get(..query).unwrap_or_default().to_vec())],
        Some(keys) => {
            let forms = sorted(keys.iter().map(|options| key::reduced(uri, options)));
            forms.into_iter().filter(|form| form != uri).map(Selector::Uri).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_canonical_uri_with_a_url_in_its_query_is_asked_for_on_its_own_host() {
        for (url, scheme) in [("h:81/r?u=http://x/", "http"), ("https://h:81/r?u=http://x/", "https")] {
            let request = get(url);
            let found = (request.scheme(), request.authority(), request.path());
            assert_eq!(found, (scheme.as_bytes(), &b"h:81"[..], &b"/r?u=http://x/"[..]), "{url}");
        }
    }
}
