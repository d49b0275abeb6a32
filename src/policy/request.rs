//! Which requests concern the cache (RFC 9111 §2 and §4, RFC 9110 §9.2): to be looked up, to be watched because they
//! may invalidate, or to be left alone.

use crate::config::{Options, RequestDirectives, Unkeyed};
use crate::http::cache_control::{RequestCacheControl, pragma_says_no_cache};
use crate::http::{RequestHead, list};
use crate::outcome::{Bypass, ForwardReason};

/// What the cache has to do with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// A stored response may answer it.
    Lookup,
    /// A stored response may answer it once its content is known, which is part of its cache key: a `QUERY` (RFC 10008).
    LookupWithContent,
    /// It goes to the origin for this reason, and a non-error answer invalidates (RFC 9111 §4.4).
    Unsafe(ForwardReason),
    /// It goes to the origin.
    Forward(ForwardReason),
}

/// What the cache has to do with a request.
///
/// A `POST` whose response the options let be stored is still unsafe: its response answers later GETs, never another
/// POST (RFC 9110 §9.3.3). Unless the options say that it only asks: then it is as good as a `QUERY`.
#[must_use]
pub fn intent(request: &RequestHead, options: &Options) -> Intent {
    let seen = Seen::of(request, &options.key.unkeyed);
    if let Some(why) = seen.bypass() {
        // Nothing answers it but the origin, which carries it out all the same.
        let reason = ForwardReason::Bypass(why);
        return if seen.may_change() { Intent::Unsafe(reason) } else { Intent::Forward(reason) };
    }
    let method = match seen.method {
        b"POST" if options.post_as_query => b"QUERY",
        method => method,
    };
    match method {
        b"GET" | b"HEAD" if request.has_body => Intent::Forward(ForwardReason::Bypass(Bypass::RequestBody)),
        b"GET" | b"HEAD" | b"QUERY" if seen.unkeyed => {
            Intent::Forward(ForwardReason::Bypass(Bypass::Unkeyed))
        }
        b"GET" | b"HEAD" | b"QUERY" if options.bypass => Intent::Forward(ForwardReason::Bypass(Bypass::Rule)),
        b"GET" | b"HEAD" => Intent::Lookup,
        // With `Expect: 100-continue` the content comes only after a 100, which the origin has to send.
        b"QUERY" if seen.expects || seen.content_length > options.key.content_bytes_max => {
            Intent::Forward(ForwardReason::Bypass(Bypass::RequestBody))
        }
        b"QUERY" => Intent::LookupWithContent,
        safe if is_safe(safe) => Intent::Forward(ForwardReason::Method),
        _ => Intent::Unsafe(ForwardReason::Method),
    }
}

/// Whether the IANA registry calls a method safe.
fn is_safe(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"QUERY" | b"OPTIONS" | b"TRACE" | b"PROPFIND" | b"REPORT" | b"SEARCH"
    )
}

/// Whether the request says `only-if-cached`: a miss is then answered 504 (RFC 9111 §5.2.1.7).
///
/// It is the one directive that every configuration obeys: it costs the origin nothing.
#[must_use]
pub fn only_if_cached(request: &RequestHead, _options: &Options) -> bool {
    request.fields.contains("cache-control")
        && RequestCacheControl::parse(request.fields.get_all("cache-control")).only_if_cached
}

/// The directives of a request that count under the options; none when there are none.
pub(super) fn directives(request: &RequestHead, options: &Options) -> Option<RequestCacheControl> {
    if options.request_directives == RequestDirectives::Ignore {
        return None;
    }
    let mut control = match request.fields.contains("cache-control") {
        true => RequestCacheControl::parse(request.fields.get_all("cache-control")),
        // RFC 9111 §5.4: `Pragma: no-cache` is for caches that know no Cache-Control; it counts in its absence.
        false if pragma_says_no_cache(request.fields.get_all("pragma")) => {
            RequestCacheControl { no_cache: true, ..RequestCacheControl::default() }
        }
        false => return None,
    };
    if options.request_directives == RequestDirectives::IgnoreRevalidation {
        control = RequestCacheControl {
            no_store: control.no_store,
            max_stale: control.max_stale,
            stale_if_error: control.stale_if_error,
            ..Default::default()
        };
    }
    Some(control)
}

/// Whether a list names a token, in any case.
pub(super) fn has_token<'a>(mut lines: impl Iterator<Item = &'a [u8]>, token: &[u8]) -> bool {
    lines.any(|line| list::members(line).any(|member| member.eq_ignore_ascii_case(token)))
}

/// What one pass over the fields finds.
#[derive(Default)]
struct Seen<'a> {
    method: &'a [u8],
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    upgrade: bool,
    grpc: bool,
    ambiguous: bool,
    unkeyed: bool,
    expects: bool,
    content_length: u64,
}

impl<'a> Seen<'a> {
    fn of(request: &'a RequestHead, unkeyed: &Unkeyed) -> Self {
        let mut seen = Seen::default();
        for (name, value) in request.fields.iter() {
            match name {
                b":method" => seen.method = value,
                b":authority" => seen.ambiguous |= seen.authority.replace(value).is_some(),
                b":path" => seen.ambiguous |= seen.path.replace(value).is_some(),
                b"host" => seen.ambiguous |= seen.host.replace(value).is_some(),
                b":protocol" | b"upgrade" => seen.upgrade = true,
                b"connection" => seen.upgrade |= has_token([value].into_iter(), b"upgrade"),
                b"content-type" => seen.grpc |= is_grpc(value),
                b"expect" => seen.expects = true,
                b"content-length" => seen.content_length = length(value),
                _ => {}
            }
        }
        seen.unkeyed = unkeyed.bypasses(&request.fields);
        seen.upgrade |= seen.method == b"CONNECT";
        seen
    }

    fn bypass(&self) -> Option<Bypass> {
        if self.upgrade {
            return Some(Bypass::Upgrade);
        }
        if self.grpc {
            return Some(Bypass::Grpc);
        }
        let authority = self.authority.unwrap_or_default();
        let other_host = self.host.is_some_and(|host| host != authority);
        let path = self.path.unwrap_or_default();
        // `OPTIONS *` names the server, not a resource: it is left to its method.
        let target =
            path.starts_with(b"/") && !path.contains(&b'#') || path == b"*" && self.method == b"OPTIONS";
        (self.method.is_empty() || self.ambiguous || other_host || !is_authority(authority) || !target)
            .then_some(Bypass::Target)
    }

    /// Whether it may change what is stored for its target, where that is known. A `CONNECT` has none.
    fn may_change(&self) -> bool {
        let has_target = !self.ambiguous
            && is_authority(self.authority.unwrap_or_default())
            && self.path.unwrap_or_default().starts_with(b"/");
        has_target && !self.method.is_empty() && self.method != b"CONNECT" && !is_safe(self.method)
    }
}

/// What is no number that fits is as good as too much.
fn length(value: &[u8]) -> u64 {
    core::str::from_utf8(value).ok().and_then(|digits| digits.trim().parse().ok()).unwrap_or(u64::MAX)
}

/// Whether a media type is one of gRPC.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && content_type.get(GRPC.len()).is_none_or(|next| matches!(next, b'+' | b';' | b' ' | b'-'))
}

/// Whether it is one host with at most a port (RFC 3986 §3.2.2): no user information, no list, no white space.
fn is_authority(authority: &[u8]) -> bool {
    let host = |b: &u8| {
        matches!(b, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'
            | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=' | b'%' | b':' | b'[' | b']')
    };
    authority.first().is_some_and(|first| *first != b':') && authority.iter().all(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const BYPASS_TARGET: Intent = Intent::Forward(ForwardReason::Bypass(Bypass::Target));
    const BYPASS_UNKEYED: Intent = Intent::Forward(ForwardReason::Bypass(Bypass::Unkeyed));
    const BYPASS_UPGRADE: Intent = Intent::Forward(ForwardReason::Bypass(Bypass::Upgrade));
    const BYPASS_GRPC: Intent = Intent::Forward(ForwardReason::Bypass(Bypass::Grpc));
    const CHANGES_BY_GRPC: Intent = Intent::Unsafe(ForwardReason::Bypass(Bypass::Grpc));
    const CHANGES_AND_UPGRADES: Intent = Intent::Unsafe(ForwardReason::Bypass(Bypass::Upgrade));
    const BYPASS_BODY: Intent = Intent::Forward(ForwardReason::Bypass(Bypass::RequestBody));
    const UNSAFE: Intent = Intent::Unsafe(ForwardReason::Method);
    const METHOD: Intent = Intent::Forward(ForwardReason::Method);

    fn request(method: &str, authority: &str, path: &str, more: &[(&str, &str)]) -> RequestHead {
        let mut fields = Fields::from_iter([(":method", method), (":authority", authority), (":path", path)]);
        for (name, value) in more {
            fields.push(name, value);
        }
        RequestHead { fields, has_body: false }
    }

    #[test]
    fn a_request_is_looked_up_watched_or_left_alone() {
        for (method, authority, path, more, expected) in [
            ("GET", "h", "/", &[][..], Intent::Lookup),
            ("HEAD", "h:80", "/?q", &[], Intent::Lookup),
            ("GET", "[::1]:8080", "/", &[("range", "bytes=0-1")], Intent::Lookup),
            ("GET", "h", "/", &[("host", "h")], Intent::Lookup),
            ("GET", "h", "/", &[("host", "H")], BYPASS_TARGET),
            ("GET", "h", "/", &[("connection", "keep-alive")], Intent::Lookup),
            ("POST", "h", "/", &[], UNSAFE),
            ("DELETE", "h", "/", &[], UNSAFE),
            ("M-SEARCH", "h", "/", &[], UNSAFE),
            ("get", "h", "/", &[], UNSAFE),
            ("OPTIONS", "h", "*", &[], METHOD),
            ("TRACE", "h", "/", &[], METHOD),
            ("PROPFIND", "h", "/", &[], METHOD),
            ("QUERY", "h", "/", &[], Intent::LookupWithContent),
            ("QUERY", "h", "/", &[("content-length", "65536")], Intent::LookupWithContent),
            ("QUERY", "h", "/", &[("content-length", "65537")], BYPASS_BODY),
            ("QUERY", "h", "/", &[("content-length", "many")], BYPASS_BODY),
            ("QUERY", "h", "/", &[("expect", "100-continue")], BYPASS_BODY),
            ("GET", "h", "/", &[("content-length", "many")], Intent::Lookup),
            ("QUERY", "h", "*", &[], BYPASS_TARGET),
            ("", "h", "/", &[], BYPASS_TARGET),
            ("GET", "", "/", &[], BYPASS_TARGET),
            ("GET", ":80", "/", &[], BYPASS_TARGET),
            ("GET", "u@h", "/", &[], BYPASS_TARGET),
            ("GET", "a,b", "/", &[], BYPASS_TARGET),
            ("GET", "a b", "/", &[], BYPASS_TARGET),
            ("GET", "h\u{e9}", "/", &[], BYPASS_TARGET),
            ("GET", "h", "*", &[], BYPASS_TARGET),
            ("GET", "h", "", &[], BYPASS_TARGET),
            ("GET", "h", "http://h/", &[], BYPASS_TARGET),
            ("GET", "h", "/a#b", &[], BYPASS_TARGET),
            ("GET", "h", "/", &[("host", "x")], BYPASS_TARGET),
            ("GET", "h", "/", &[("host", "h"), ("host", "h")], BYPASS_TARGET),
            ("GET", "h", "/", &[(":authority", "h")], BYPASS_TARGET),
            ("GET", "h", "/", &[("x-original-url", "/admin")], BYPASS_UNKEYED),
            ("QUERY", "h", "/", &[("x-http-method-override", "GET")], BYPASS_UNKEYED),
            ("POST", "h", "/", &[("x-http-method-override", "DELETE")], UNSAFE),
            ("GET", "h", "/", &[("upgrade", "websocket")], BYPASS_UPGRADE),
            ("GET", "h", "/", &[("connection", "close, Upgrade")], BYPASS_UPGRADE),
            ("CONNECT", "h:443", "", &[], BYPASS_UPGRADE),
            ("CONNECT", "h", "/", &[(":protocol", "websocket")], BYPASS_UPGRADE),
            ("POST", "h", "/", &[("content-type", "application/grpc+proto")], CHANGES_BY_GRPC),
            ("DELETE", "h", "/", &[("content-type", "application/grpc")], CHANGES_BY_GRPC),
            ("GET", "h", "/", &[("content-type", "application/grpc")], BYPASS_GRPC),
            ("DELETE", "h", "/", &[("upgrade", "websocket")], CHANGES_AND_UPGRADES),
            ("POST", "h", "/", &[("connection", "upgrade")], CHANGES_AND_UPGRADES),
            ("DELETE", "h", "/", &[("host", "x")], Intent::Unsafe(ForwardReason::Bypass(Bypass::Target))),
            ("DELETE", "h", "/", &[(":path", "/")], BYPASS_TARGET),
            ("DELETE", "h", "*", &[], BYPASS_TARGET),
            ("DELETE", "a,b", "/", &[], BYPASS_TARGET),
            ("POST", "h", "/", &[("content-type", "application/grpcx")], UNSAFE),
        ] {
            let request = request(method, authority, path, more);
            assert_eq!(
                intent(&request, &Options::default()),
                expected,
                "{method} {authority} {path} {more:?}"
            );
        }
    }

    #[test]
    fn a_get_with_a_body_is_left_alone() {
        let request = RequestHead { has_body: true, ..request("GET", "h", "/", &[]) };
        let expected = Intent::Forward(ForwardReason::Bypass(Bypass::RequestBody));
        assert_eq!(intent(&request, &Options::default()), expected);
    }

    #[test]
    fn a_rule_can_bypass_reads_but_not_the_invalidation_by_writes() {
        let options = Options { bypass: true, ..Options::default() };
        let rule = Intent::Forward(ForwardReason::Bypass(Bypass::Rule));
        assert_eq!(intent(&request("GET", "h", "/", &[]), &options), rule);
        assert_eq!(intent(&request("QUERY", "h", "/", &[]), &options), rule);
        assert_eq!(intent(&request("PUT", "h", "/", &[]), &options), UNSAFE);
    }

    #[test]
    fn a_post_that_only_asks_is_as_good_as_a_query() {
        let options = Options { post_as_query: true, ..Options::default() };
        assert_eq!(intent(&request("POST", "h", "/", &[]), &options), Intent::LookupWithContent);
        assert_eq!(intent(&request("PUT", "h", "/", &[]), &options), UNSAFE);
        let options = Options { bypass: true, ..options };
        let rule = Intent::Forward(ForwardReason::Bypass(Bypass::Rule));
        assert_eq!(intent(&request("POST", "h", "/", &[]), &options), rule);
    }

    #[test]
    fn request_directives_count_as_configured() {
        let strict = Options::default();
        let some =
            Options { request_directives: RequestDirectives::IgnoreRevalidation, ..Options::default() };
        let none = Options { request_directives: RequestDirectives::Ignore, ..Options::default() };
        let get = |name, value| request("GET", "h", "/", &[(name, value)]);
        let no_cache = get("cache-control", "no-cache, no-store, only-if-cached");
        assert!(directives(&no_cache, &strict).is_some_and(|d| d.no_cache && d.no_store));
        assert!(directives(&no_cache, &some).is_some_and(|d| !d.no_cache && d.no_store));
        assert_eq!(directives(&no_cache, &none), None);
        for options in [&strict, &some, &none] {
            assert!(only_if_cached(&no_cache, options));
        }
        assert!(directives(&get("pragma", "No-Cache"), &strict).is_some_and(|d| d.no_cache));
        assert_eq!(directives(&get("pragma", "x"), &strict), None);
    }
}
