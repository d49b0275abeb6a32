//! Which parameters of a query are part of the key, and which reach the origin.

use crate::config::{KeyOptions, Options, QueryKey};
use crate::http::{RequestHead, percent, uri};
use crate::sorting::sort_by;

/// The path and query as the options let it count; `kept` is where it is put when that is not how it came.
pub(super) fn counted<'a>(target: &'a [u8], key: &KeyOptions, kept: &'a mut Vec<u8>) -> &'a [u8] {
    if key.query == QueryKey::All && !key.query_sorted {
        return target;
    }
    reduced(target, key.query_sorted, |parameter| counts(parameter, key), kept)
}

/// The path and query to send to the origin; none when that is what came. What counts is sent as it is in the key, and what
/// does not is left out, unless the options want it to be sent all the same.
pub(super) fn forwarded_path(request: &RequestHead, options: &Options) -> Option<Vec<u8>> {
    let key = &options.key;
    if (key.query == QueryKey::All || key.forward_dropped) && !key.query_sorted {
        return None;
    }
    let (path, mut kept) = (request.path(), Vec::new());
    let sent = |parameter: &&[u8]| key.forward_dropped || counts(parameter, key);
    let sent = reduced(path, key.query_sorted, sent, &mut kept);
    (sent != path).then(|| sent.to_vec())
}

fn reduced<'a>(
    target: &'a [u8],
    sorted: bool,
    keeps: impl Fn(&&[u8]) -> bool,
    kept: &'a mut Vec<u8>,
) -> &'a [u8] {
    let (path, Some(query)) = uri::split_query(target) else { return target };
    let mut parameters: Vec<&[u8]> = parameters(query).filter(keeps).collect();
    if sorted {
        // Stable: the order of parameters with the same name may mean something.
        sort_by(&mut parameters, |a, b| {
            percent::form_decoded(name_of(a)).cmp(percent::form_decoded(name_of(b)))
        });
    }
    *kept = with_query(path, &parameters);
    kept
}

fn with_query(path: &[u8], parameters: &[&[u8]]) -> Vec<u8> {
    let mut target = path.to_vec();
    for (i, parameter) in parameters.iter().enumerate() {
        target.push(if i == 0 { b'?' } else { b'&' });
        target.extend_from_slice(parameter);
    }
    target
}

/// Only `&` separates parameters. Where an origin takes `;` for one too, it must not find more than we did.
fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|b| *b == b'&')
}

fn name_of(parameter: &[u8]) -> &[u8] {
    parameter.split(|b| *b == b'=').next().unwrap_or_default()
}

fn counts(parameter: &[u8], key: &KeyOptions) -> bool {
    let listed = |names: &[String]| names.iter().any(|pattern| matches(name_of(parameter), pattern));
    match &key.query {
        QueryKey::All => true,
        // What the origin gets but the key lacks must not be able to hide another parameter from the key.
        _ if key.forward_dropped && parameter.contains(&b';') => true,
        QueryKey::Keep(names) => listed(names),
        QueryKey::Drop(names) => !listed(names),
    }
}

/// Whether a parameter's name, escapes undone, is the pattern; a `*` at its end stands for anything.
fn matches(name: &[u8], pattern: &str) -> bool {
    let mut name = percent::form_decoded(name);
    match pattern.strip_suffix('*') {
        Some(prefix) => prefix.bytes().all(|b| name.next() == Some(b)),
        None => name.eq(pattern.bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn drop(names: &[&str]) -> KeyOptions {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        KeyOptions { query: QueryKey::Drop(names), ..KeyOptions::default() }
    }

    fn keep(names: &[&str]) -> KeyOptions {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        KeyOptions { query: QueryKey::Keep(names), ..KeyOptions::default() }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn in_key(target: &str, key: &KeyOptions) -> String {
        text(counted(target.as_bytes(), key, &mut Vec::new()))
    }

    #[test]
    fn parameters_are_dropped_kept_and_sorted_as_configured() {
        let sorted = KeyOptions { query_sorted: true, ..KeyOptions::default() };
        for (path, key, expected) in [
            ("/?a=1&utm_source=x&b=2", drop(&["utm_*"]), "/?a=1&b=2"),
            ("/?utm_source=x", drop(&["utm_*"]), "/"),
            ("/?utm%5Fsource=x&a", drop(&["utm_*"]), "/?a"),
            ("/?a=1&b=2&a=3", keep(&["a"]), "/?a=1&a=3"),
            ("/?%61=1&b", keep(&["a"]), "/?%61=1"),
            ("/?ab=1", keep(&["a"]), "/"),
            ("/?b=2&a=1&b=1&a", sorted.clone(), "/?a=1&a&b=2&b=1"),
            ("/x", sorted, "/x"),
            ("/?x=1;id=2&id=3", drop(&["x"]), "/?id=3"),
        ] {
            assert_eq!(in_key(path, &key), expected, "{path} {key:?}");
        }
    }

    #[test]
    fn a_parameter_with_a_semicolon_stays_in_the_key_when_the_origin_gets_it() {
        let key = KeyOptions { forward_dropped: true, ..drop(&["x"]) };
        assert_eq!(in_key("/?x=1;id=2&x=3", &key), "/?x=1;id=2");
    }

    #[test]
    fn what_goes_to_the_origin_is_what_is_in_the_key() {
        let forwarded = |path: &str, key| {
            let request = RequestHead { fields: Fields::from_iter([(":path", path)]), has_body: false };
            let options = Options { key, ..Options::default() };
            forwarded_path(&request, &options).map(|path| text(&path))
        };
        assert_eq!(forwarded("/p?b=1&utm_x=2&a", drop(&["utm_*"])).as_deref(), Some("/p?b=1&a"));
        assert_eq!(forwarded("/p?utm_x", drop(&["utm_*"])).as_deref(), Some("/p"));
        assert_eq!(forwarded("/p?a", drop(&["utm_*"])), None);
        assert_eq!(forwarded("/p", keep(&["a"])), None);
        assert_eq!(forwarded("/p?a&b", KeyOptions::default()), None);
        let all = KeyOptions { forward_dropped: true, ..drop(&["utm_*"]) };
        assert_eq!(forwarded("/p?utm_x", all.clone()), None);
        let sorted = |key| KeyOptions { query_sorted: true, ..key };
        assert_eq!(
            forwarded("/p?b&a=2&%61=1", sorted(KeyOptions::default())).as_deref(),
            Some("/p?a=2&%61=1&b")
        );
        assert_eq!(forwarded("/p?a&b", sorted(KeyOptions::default())), None);
        assert_eq!(forwarded("/p?b&utm_x&a", sorted(drop(&["utm_*"]))).as_deref(), Some("/p?a&b"));
        assert_eq!(forwarded("/p?b&utm_x&a", sorted(all)).as_deref(), Some("/p?a&b&utm_x"));
    }
}
