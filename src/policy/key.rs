//! Cache keys (RFC 9111 §2 and §4.1): which requests a stored response may answer.
//!
//! A key has the target as it is sent on: two spellings of one URI are two keys, since an origin may tell them apart, and
//! so may Envoy, which chooses the virtual host by the spelling of the host before any filter sees the request. What
//! purges compare has one spelling for all of them, so that a purge covers rather more than less. [`forwarded`] tells
//! how the fields that are part of a key are sent on.

mod cookies;
mod parts;
mod query;
mod sent;

pub use parts::{KeyField, KeyParts};
pub use sent::{accepting_all, changes, forwarded, withhold};

use query::counted;
use sha2::{Digest, Sha256};

use crate::config::{KeyOptions, Options};
use crate::http::search::SearchVariance;
use crate::http::{RequestHead, percent, uri};

/// Whether content is part of a key.
#[must_use]
pub fn has_content(key: &[u8]) -> bool {
    KeyParts::purpose(key) == Some(CONTENT)
}

/// What the key of a request with content begins with. A scheme has no space: no other key begins like this.
const CONTENT: &[u8] = b" content";

/// The names of what configuration and listener add to a key. No field has a name with a space.
const PARTITION: &[u8] = b"key partition";
const DIRECTION: &[u8] = b"listener direction";

/// The length that stands for an absent part.
const ABSENT: u32 = u32::MAX;

/// The primary key of a request: under which stored responses are looked up, before variants are selected.
#[must_use]
pub fn primary(request: &RequestHead, options: &Options) -> Vec<u8> {
    let (scheme, authority) = (request.scheme(), request.authority());
    let mut kept = Vec::new();
    let target = counted(request.path(), &options.key, &mut kept);
    let mut key = Vec::with_capacity(32 + scheme.len() + authority.len() + target.len());
    push_target(&mut key, scheme, authority, target);
    push_fields(&mut key, request, options);
    key
}

/// What URL purges compare with the target of a request: `host[:port]/path?query` in canonical form, without the
/// scheme.
#[must_use]
pub fn uri(request: &RequestHead, options: &Options) -> Vec<u8> {
    uri_on(request.scheme(), request.authority(), request.path(), &options.key)
}

/// The key of a request whose content selects the response (`QUERY`, RFC 10008 §2.7). Part of it are also its method,
/// what says how the content is meant, and the content.
#[must_use]
pub fn with_content(request: &RequestHead, options: &Options, content: &[u8]) -> Vec<u8> {
    let digest = Sha256::digest(content);
    let primary = primary(request, options);
    let mut key = Vec::with_capacity(primary.len() + 128);
    push_part(&mut key, Some(CONTENT));
    push_part(&mut key, Some(&primary));
    push_part(&mut key, Some(request.method()));
    for (name, value) in request.fields.iter() {
        if name.starts_with(b"content-") && name != b"content-length" {
            push_part(&mut key, Some(name));
            push_part(&mut key, Some(value));
        }
    }
    push_part(&mut key, Some(&digest));
    key
}

/// The key under which it is remembered what the newest response for a path, whatever its query, said by
/// `No-Vary-Search`. No response has this key.
#[must_use]
pub fn search_marker(request: &RequestHead, options: &Options) -> Vec<u8> {
    let (path, _) = uri::split_query(request.path());
    of_target(b"no-vary-search", request, path, options)
}

/// The key of a response whose query counts only as `variance` says: the same for all requests that it may answer, as
/// far as the query is concerned.
#[must_use]
pub fn modulo_search(request: &RequestHead, options: &Options, variance: &SearchVariance) -> Vec<u8> {
    let mut kept = Vec::new();
    let (path, query) = uri::split_query(counted(request.path(), &options.key, &mut kept));
    let mut target = path.to_vec();
    if let Some(query) = variance.canonical(query) {
        target.push(b'?');
        target.extend_from_slice(&query);
    }
    of_target(b"modulo-search", request, &target, options)
}

/// A key like the primary one, for another target, and for another purpose.
fn of_target(purpose: &[u8], request: &RequestHead, target: &[u8], options: &Options) -> Vec<u8> {
    let mut key = Vec::with_capacity(64 + purpose.len() + request.authority().len() + target.len());
    // A scheme has no space: no primary key begins like this.
    push_part(&mut key, Some(&[b" ", purpose].concat()));
    push_target(&mut key, request.scheme(), request.authority(), target);
    push_fields(&mut key, request, options);
    key
}

/// The key of a variant: the primary key and the nominated fields as the request has them when it is sent on (§4.1).
#[must_use]
pub fn variant(primary: &[u8], nominated: &[String], request: &RequestHead, options: &Options) -> Vec<u8> {
    let mut key = Vec::with_capacity(primary.len() + 4 + nominated.len() * 48);
    push_part(&mut key, Some(primary));
    for name in nominated {
        push_field(&mut key, name, request, &options.key);
    }
    key
}

/// The canonical URI of an absolute URL, or of `host/path`.
///
/// # Errors
///
/// What is wrong with the URL.
pub fn uri_of(url: &str, key: &KeyOptions) -> Result<Vec<u8>, &'static str> {
    let (scheme, rest) = uri::split_scheme(url);
    if scheme.is_some_and(|scheme| !uri::is_http(scheme)) {
        return Err("the scheme is neither http nor https");
    }
    let (authority, target) = uri::split_authority(rest.split('#').next().unwrap_or_default());
    let (authority, target) = (authority.as_bytes(), target.as_bytes());
    let (name, _) = uri::host_and_port(authority);
    if name.is_empty() {
        return Err("the URL has no host");
    }
    if authority.contains(&b'@') {
        return Err("the URL has user information");
    }
    let is_literal = name.starts_with(b"[") && name.ends_with(b"]");
    if (name.contains(&b':') && !is_literal) || !authority.iter().all(|b| b.is_ascii_graphic() && *b != b',')
    {
        return Err("the host has characters that no host has");
    }
    // Without a scheme, a port that is the default of one of the two is that scheme's.
    let by_port = if authority.ends_with(b":443") { "https" } else { "http" };
    let mut host = Vec::with_capacity(rest.len() + 1);
    uri::push_host(&mut host, scheme.unwrap_or(by_port).as_bytes(), authority);
    let rooted = if target.starts_with(b"/") { target.to_vec() } else { [b"/", target].concat() };
    let mut kept = Vec::new();
    Ok(with_target(host, counted(&rooted, key, &mut kept)))
}

/// What a canonical URI comes to by other options: as its request counts by them.
#[must_use]
pub fn reduced(uri: &[u8], key: &KeyOptions) -> Vec<u8> {
    let host = uri::authority(uri);
    let target = uri.get(host.len()..).unwrap_or_default();
    let mut kept = Vec::new();
    [host, counted(target, key, &mut kept)].concat()
}

/// The canonical URI of a target on an authority.
pub(super) fn uri_on(scheme: &[u8], authority: &[u8], target: &[u8], key: &KeyOptions) -> Vec<u8> {
    let mut host = Vec::with_capacity(authority.len() + target.len());
    uri::push_host(&mut host, scheme, authority);
    let mut kept = Vec::new();
    with_target(host, counted(target, key, &mut kept))
}

fn with_target(mut host: Vec<u8>, target: &[u8]) -> Vec<u8> {
    if percent::is_normalised(target) {
        host.extend_from_slice(target);
    } else {
        percent::push_normalised(&mut host, target);
    }
    host
}

fn push_target(key: &mut Vec<u8>, scheme: &[u8], authority: &[u8], target: &[u8]) {
    push_part(key, Some(scheme));
    push_part(key, Some(authority));
    push_part(key, Some(target));
}

fn push_fields(key: &mut Vec<u8>, request: &RequestHead, options: &Options) {
    let Options { key: options, credentials, .. } = options;
    if let Some(direction) = options.direction {
        push_part(key, Some(DIRECTION));
        push_part(key, Some(direction.as_str().as_bytes()));
    }
    if let Some(partition) = &options.partition {
        push_part(key, Some(PARTITION));
        push_part(key, Some(partition.as_bytes()));
    }
    for (name, value) in credentials.in_key(&request.fields) {
        // A name that no field has, so that it is never taken for one that may be shown.
        push_part(key, Some(&[parts::CREDENTIAL, name].concat()));
        push_part(key, Some(value));
    }
    for (name, value) in options.unkeyed.in_key(request) {
        push_part(key, Some(name));
        push_part(key, value);
    }
    for name in &options.headers {
        push_field(key, name, request, options);
    }
    for name in &options.cookies {
        // A name that no field has, so that a cookie is never taken for a header field.
        push_part(key, Some(format!("cookie {name}").as_bytes()));
        push_part(key, cookies::part(&request.fields, name).as_deref());
    }
}

/// Adds a field as it is sent on: each of its lines, or that there is none, which "can only match another request if it
/// is also absent there" (§4.1).
fn push_field(key: &mut Vec<u8>, name: &str, request: &RequestHead, options: &KeyOptions) {
    let mut push = |value: Option<&[u8]>| {
        push_part(key, Some(name.as_bytes()));
        push_part(key, value);
    };
    if let Some(value) = sent::formed(name, request, options) {
        return push(Some(&value));
    }
    if let Some(value) = sent::joined(name, request) {
        return push(Some(&value));
    }
    let mut lines = request.fields.get_all(name).peekable();
    if lines.peek().is_none() {
        push(None);
    }
    lines.for_each(|line| push(Some(line)));
}

fn push_part(key: &mut Vec<u8>, part: Option<&[u8]>) {
    let len = part.map_or(ABSENT, |part| u32::try_from(part.len()).unwrap_or(ABSENT - 1));
    key.extend_from_slice(&len.to_le_bytes());
    key.extend_from_slice(part.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QueryKey;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn get(url: &str, more: &[(&str, &str)]) -> RequestHead {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        let mut fields = Fields::from_iter([
            (":method", "GET"),
            (":scheme", scheme),
            (":authority", authority),
            (":path", path),
        ]);
        for (name, value) in more {
            fields.push(name, value);
        }
        RequestHead { fields, has_body: false }
    }

    fn with_key(key: KeyOptions) -> Options {
        Options { key, ..Options::default() }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn the_default_key_is_scheme_host_port_path_and_query() {
        let key = |url| primary(&get(url, &[]), &Options::default());
        for (a, b, same) in [
            // Envoy and origins tell these apart.
            ("http://h/", "http://H/", false),
            ("http://h/", "http://h:80/", false),
            ("http://h/", "http://h:/", false),
            ("http://h:8080/", "http://h:08080/", false),
            ("http://[::a]/", "http://[::A]/", false),
            ("http://h/", "https://h/", false),
            ("http://h/", "http://h:81/", false),
            ("http://h/a", "http://h/A", false),
            ("http://h/?a=1", "http://h/?a=2", false),
            ("http://h/", "http://h/?", false),
            ("http://h/a", "http://h/%61", false),
            ("http://h/?a&b", "http://h/?b&a", false),
        ] {
            assert_eq!(key(a) == key(b), same, "{a} and {b}");
        }
    }

    #[test]
    fn the_uri_of_a_request_is_the_uri_of_its_url() {
        for url in ["http://H:80/a?b=c", "https://h:443/%7e\u{e9}", "http://h:8080/", "http://[::1]/x?&y=&"] {
            for query in [QueryKey::All, QueryKey::Drop(vec!["b".into()]), QueryKey::Keep(vec!["y".into()])] {
                let key = KeyOptions { query, ..KeyOptions::default() };
                let expected = uri_of(url, &key).unwrap();
                let plain = uri_of(url, &KeyOptions::default()).unwrap();
                assert_eq!(text(&reduced(&plain, &key)), text(&expected), "{url}");
                assert_eq!(text(&uri(&get(url, &[]), &with_key(key))), text(&expected), "{url}");
            }
        }
    }

    #[test]
    fn urls_to_purge_have_a_canonical_form_or_an_error() {
        for (url, expected) in [
            ("http://Example.com", Ok("example.com/")),
            ("HTTPS://h:443/a", Ok("h/a")),
            ("h:443/a", Ok("h/a")),
            ("h:80/a", Ok("h/a")),
            ("h:8080/a?b#c", Ok("h:8080/a?b")),
            ("http://h?x", Ok("h/?x")),
            ("h/r?u=http://x/", Ok("h/r?u=http://x/")),
            ("http://h/caf\u{e9}", Ok("h/caf%C3%A9")),
            ("ftp://h/", Err("the scheme is neither http nor https")),
            ("/path", Err("the URL has no host")),
            ("http:///path", Err("the URL has no host")),
            ("http://u@h/", Err("the URL has user information")),
            ("http://a b/", Err("the host has characters that no host has")),
        ] {
            assert_eq!(
                uri_of(url, &KeyOptions::default()).map(|u| text(&u)),
                expected.map(str::to_owned),
                "{url}"
            );
        }
    }

    #[test]
    fn headers_and_cookies_can_be_part_of_the_key() {
        let options = with_key(KeyOptions {
            headers: vec!["x-tenant".into()],
            cookies: vec!["lang".into()],
            ..KeyOptions::default()
        });
        let key = |more: &[(&str, &str)]| primary(&get("http://h/", more), &options);
        assert_ne!(key(&[]), key(&[("x-tenant", "")]));
        assert_ne!(key(&[("x-tenant", "a")]), key(&[("x-tenant", "b")]));
        assert_eq!(key(&[("cookie", "x=1; lang=de")]), key(&[("cookie", "lang=de; x=2")]));
        assert_ne!(key(&[("cookie", "lang=de")]), key(&[("cookie", "lang=en")]));
        assert_eq!(key(&[("cookie", "xlang=de")]), key(&[]));
        assert_ne!(key(&[("cookie", "lang=de; lang=en")]), key(&[("cookie", "lang=de")]));
    }

    #[test]
    fn credentials_can_be_part_of_the_key() {
        let json = br#"{"credentials": {"fields": {"authorization": "key", "x-acme-*": "key"}}}"#;
        let options = crate::config::Config::parse(json).unwrap().defaults;
        let key = |more: &[(&str, &str)]| primary(&get("http://h/", more), &options);
        assert_eq!(key(&[("x-user", "a"), ("cookie", "a=b")]), key(&[]));
        assert_ne!(key(&[("authorization", "Basic a")]), key(&[]));
        assert_ne!(key(&[("authorization", "Basic a")]), key(&[("authorization", "Basic b")]));
        assert_ne!(key(&[("x-acme-id", "a")]), key(&[("x-acme-name", "a")]));
        let lines = [("authorization", "Basic secret"), ("x-acme-id", "secret")];
        let shown = KeyParts::of(&key(&lines)).unwrap().shown();
        assert!(!shown.contains("secret"), "{shown}");
        assert!(KeyParts::of(&key(&lines)).unwrap().request().is_none());
    }

    #[test]
    fn fields_that_origins_build_links_from_are_part_of_every_key() {
        let key = |more: &[(&str, &str)]| primary(&get("http://h/", more), &Options::default());
        assert_ne!(key(&[("x-forwarded-host", "evil")]), key(&[]));
        assert_eq!(key(&[("x-forwarded-for", "1.2.3.4")]), key(&[]));
    }

    #[test]
    fn the_content_of_a_query_is_part_of_its_key() {
        let key = |method: &str, content_type: &str, body: &str| {
            let mut request = get("http://h/", &[("content-type", content_type), ("content-length", "9")]);
            request.fields.set(":method", method);
            with_content(&request, &Options::default(), body.as_bytes())
        };
        let one = key("QUERY", "a/b", "x=1");
        assert_eq!(one, key("QUERY", "a/b", "x=1"));
        for (method, content_type, body) in [
            ("QUERY", "a/b", "x=2"),
            ("QUERY", "a/c", "x=1"),
            ("QUERY", "A/b", "x=1"),
            ("QUERY", "a/b;x", "x=1"),
            ("POST", "a/b", "x=1"),
        ] {
            assert_ne!(one, key(method, content_type, body), "{method} {content_type} {body}");
        }
        let plain = primary(&get("http://h/", &[]), &Options::default());
        assert_ne!(with_content(&get("http://h/", &[]), &Options::default(), b""), plain);
    }

    #[test]
    fn no_vary_search_makes_requests_with_equivalent_queries_one() {
        let variance = SearchVariance::parse(b"params=(\"utm\"), key-order");
        let modulo = |path: &str, variance: &SearchVariance| {
            modulo_search(&get(&format!("http://h{path}"), &[]), &Options::default(), variance)
        };
        assert_eq!(modulo("/p?a=1&utm=2&b", &variance), modulo("/p?b=&a=1", &variance));
        assert_ne!(modulo("/p?a=1", &variance), modulo("/p?a=2", &variance));
        assert_ne!(modulo("/p?a=1", &variance), modulo("/q?a=1", &variance));
        let request = get("http://h/p?a=1", &[]);
        let marker = search_marker(&request, &Options::default());
        assert_eq!(marker, search_marker(&get("http://h/p?b", &[]), &Options::default()));
        let primary = primary(&get("http://h/p", &[]), &Options::default());
        assert!(marker != primary && modulo("/p", &SearchVariance::default()) != primary);
        assert_ne!(marker, modulo("/p", &SearchVariance::default()));
    }

    #[test]
    fn variants_are_selected_by_the_nominated_fields_that_the_origin_receives() {
        let key = |name: &str, more: &[(&str, &str)]| {
            variant(b"p", &[name.to_owned()], &get("http://h/", more), &Options::default())
        };
        for (name, a, b, same) in [
            ("foo", &[("foo", "1")][..], &[("foo", "2")][..], false),
            ("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")], true),
            ("foo", &[("foo", "1,2")], &[("foo", "1"), ("foo", "2")], false),
            ("foo", &[("foo", "1,2")], &[("foo", "1, 2")], false),
            ("foo", &[("foo", "\"1,2\"")], &[("foo", "\"1, 2\"")], false),
            ("foo", &[("foo", "A")], &[("foo", "a")], false),
            ("foo", &[("foo", "")], &[], false),
            ("foo", &[("other", "1")], &[("other", "2")], true),
            ("accept-encoding", &[("accept-encoding", "gzip,br")], &[("accept-encoding", "br, gzip")], true),
            ("accept-encoding", &[("accept-encoding", "")], &[], false),
            ("accept-encoding", &[("accept-encoding", "gzip;q=0")], &[("accept-encoding", "identity")], true),
            ("accept-encoding", &[("accept-encoding", "gzip")], &[("accept-encoding", "br")], false),
            (
                "accept-encoding",
                &[("accept-encoding", "*;q=0")],
                &[("accept-encoding", "deflate,*;q=0")],
                false,
            ),
            ("accept-language", &[("accept-language", "en, de")], &[("accept-language", "eN,De")], true),
            ("accept-language", &[("accept-language", "en, de")], &[("accept-language", "de, en")], false),
            ("accept-language", &[("accept-language", "de en")], &[("accept-language", "de  en")], false),
            ("cookie", &[("cookie", "a=1; b=2")], &[("cookie", "a=1"), ("cookie", "b=2")], false),
            ("user-agent", &[("user-agent", "x (a,b)")], &[("user-agent", "x (a, b)")], false),
        ] {
            assert_eq!(key(name, a) == key(name, b), same, "{name} {a:?} {b:?}");
        }
    }

    #[test]
    fn parts_of_a_key_cannot_run_into_each_other() {
        let names = ["a".to_owned(), "b".to_owned()];
        let key = |a: &str, b: &str| {
            variant(b"p", &names, &get("http://h/", &[("a", a), ("b", b)]), &Options::default())
        };
        assert_ne!(key("1", "23"), key("12", "3"));
        assert_ne!(key("1\u{0}", ""), key("1", "\u{0}"));
    }
}
