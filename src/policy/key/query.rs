//! Which parameters of a query are part of the key, and which reach the origin.

use crate::config::{KeyOptions, Options, QueryKey};
use crate::http::{RequestHead, uri};
use crate::sorting::sort_by;

/// The path and query as the options let it count; `kept` is where it is put when that is not how it came.
pub(super) fn counted<'a>(target: &'a [u8], key: &KeyOptions, kept: &'a mut Vec<u8>) -> &'a [u8] {
    if key.query == QueryKey::All && !key.query_sorted {
        return target;
    }
    let (path, Some(query)) = uri::split_query(target) else { return target };
    let mut parameters: Vec<&[u8]> = parameters(query).filter(|parameter| counts(parameter, key)).collect();
    if key.query_sorted {
        // Stable: the order of parameters with the same name may mean something.
        sort_by(&mut parameters, |a, b| uri::form_decoded(name_of(a)).cmp(uri::form_decoded(name_of(b))));
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
    let mut name = uri::form_decoded(name);
    match pattern.strip_suffix('*') {
        Some(prefix) => prefix.bytes().all(|b| name.next() == Some(b)),
        None => name.eq(pattern.bytes()),
    }
}

/// The path and query to send to the origin, where parameters that do not count must not reach it; none when the
/// request goes out as it came.
#[must_use]
pub fn forwarded_path(request: &RequestHead, options: &Options) -> Option<Vec<u8>> {
    let key = &options.key;
    if key.forward_dropped || key.query == QueryKey::All {
        return None;
    }
    let (path, query) = uri::split_query(request.path());
    let query = query?;
    let kept: Vec<&[u8]> = parameters(query).filter(|parameter| counts(parameter, key)).collect();
    (kept.len() < parameters(query).count()).then(|| with_query(path, &kept))
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
    fn what_is_dropped_from_the_key_is_dropped_on_the_way_to_the_origin() {
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
        assert_eq!(forwarded("/p?utm_x", KeyOptions { forward_dropped: true, ..drop(&["utm_*"]) }), None);
    }
}
