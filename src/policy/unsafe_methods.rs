//! What an answer to an unsafe request invalidates (RFC 9111 §4.4, RFC 9875 §3).

use crate::config::Options;
use crate::http::{RequestHead, ResponseHead, structured, uri};

use super::key;
use super::request::is_grpc;

/// The most groups that one response may invalidate; RFC 9875 §3 wants at least 32. Beyond it the others are not
/// invalidated.
const GROUPS_MAX: usize = 128;

/// The canonical URIs that the answer to an unsafe request invalidates: its target and, on the same origin, `Location`
/// and `Content-Location`. Empty when the answer is an error, or that of a gRPC call.
#[must_use]
pub fn invalidated_uris(request: &RequestHead, response: &ResponseHead, options: &Options) -> Vec<Vec<u8>> {
    if !is_success(response) || is_call(request, response) {
        return Vec::new();
    }
    let origin = (request.scheme(), request.authority());
    let mut uris = vec![key::uri_on(origin.0, origin.1, request.path(), &options.key)];
    for name in ["location", "content-location"] {
        let Some(reference) = response.fields.get(name) else { continue };
        let Some(at) = uri::resolve(origin.0, origin.1, request.path(), reference) else { continue };
        // "the origin [...] of the URI to be invalidated [...] is the same as the target URI's": so that nobody can
        // invalidate for others.
        if !uri::same_origin(origin, (&at.scheme, &at.authority)) {
            continue;
        }
        let uri = key::uri_on(origin.0, origin.1, &at.target, &options.key);
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    uris
}

/// The canonical URI of another path on the origin of a request.
#[must_use]
pub fn uri_beside(request: &RequestHead, path: &[u8], options: &Options) -> Vec<u8> {
    key::uri_on(request.scheme(), request.authority(), path, &options.key)
}

/// The groups of the target's origin that the answer to an unsafe request invalidates (`Cache-Group-Invalidation`).
#[must_use]
pub fn invalidated_groups(response: &ResponseHead) -> Vec<String> {
    if !is_success(response) {
        return Vec::new();
    }
    let field = response.fields.combined("cache-group-invalidation");
    let mut groups = field.and_then(|value| structured::strings(&value)).unwrap_or_default();
    groups.truncate(GROUPS_MAX);
    groups
}

/// Whether a request was a gRPC call, and its server took it for one. Its URL names a method and nothing that could be
/// fetched; so many calls go by that a record for each would roll the journal over.
fn is_call(request: &RequestHead, response: &ResponseHead) -> bool {
    let says_grpc = |content_type: Option<&[u8]>| content_type.is_some_and(is_grpc);
    request.method() == b"POST"
        && says_grpc(request.fields.get("content-type"))
        && says_grpc(response.fields.get("content-type"))
}

/// §4.4: "A "non-error response" is one with a 2xx (Successful) or 3xx (Redirection) status code."
fn is_success(response: &ResponseHead) -> bool {
    matches!(response.status, 200..400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn uris(status: u16, fields: &[(&str, &str)]) -> Vec<String> {
        let target = [(":method", "POST"), (":scheme", "http"), (":authority", "H:80"), (":path", "/a/b?c")];
        let request = RequestHead { fields: Fields::from_iter(target), has_body: true };
        let response = ResponseHead { status, fields: fields.iter().copied().collect() };
        let uris = invalidated_uris(&request, &response, &Options::default());
        uris.iter().map(|uri| String::from_utf8_lossy(uri).into_owned()).collect()
    }

    #[test]
    fn a_non_error_answer_invalidates_its_target_and_what_it_points_to_on_its_origin() {
        for (status, fields, expected) in [
            (200, &[][..], &["h/a/b?c"][..]),
            (303, &[("location", "/x")], &["h/a/b?c", "h/x"]),
            (201, &[("location", "x"), ("content-location", "http://h/y")], &["h/a/b?c", "h/a/x", "h/y"]),
            (200, &[("content-location", "/a/b?c")], &["h/a/b?c"]),
            (200, &[("location", "http://other/x")], &["h/a/b?c"]),
            (200, &[("location", "https://h/x")], &["h/a/b?c"]),
            (200, &[("location", "//h:81/x")], &["h/a/b?c"]),
            (200, &[("location", "mailto:x@h")], &["h/a/b?c"]),
            (400, &[("location", "/x")], &[]),
            (500, &[], &[]),
        ] {
            assert_eq!(uris(status, fields), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_grpc_call_that_was_taken_for_one_invalidates_nothing() {
        for (method, sent, received, expected) in [
            ("POST", "application/grpc", "application/grpc+proto", 0),
            ("POST", "application/grpc", "text/plain", 1),
            ("POST", "application/json", "application/grpc", 1),
            ("DELETE", "application/grpc", "application/grpc", 1),
        ] {
            let target = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", "/a")];
            let mut fields = Fields::from_iter(target);
            fields.push("content-type", sent);
            let request = RequestHead { fields, has_body: true };
            let response =
                ResponseHead { status: 200, fields: Fields::from_iter([("content-type", received)]) };
            let uris = invalidated_uris(&request, &response, &Options::default());
            assert_eq!(uris.len(), expected, "{method} {sent} {received}");
        }
    }

    #[test]
    fn groups_are_invalidated_by_a_non_error_answer() {
        let groups = |status, value| {
            let fields = Fields::from_iter([("cache-group-invalidation", value)]);
            invalidated_groups(&ResponseHead { status, fields })
        };
        assert_eq!(groups(200, "\"a\", \"B\""), ["a", "B"]);
        assert!(groups(200, "a, \"b\"").is_empty());
        assert!(groups(500, "\"a\"").is_empty());
    }
}
