//! What ordinary requests carry, and which of it the cache's own requests may take over from a client's.
//!
//! What nobody has heard of may be what makes an origin fail, or answer somebody in a way of its own. So it does not go with
//! a refresh, which is for everybody, and a failure that answers a request with it is taken for that request's own.

use crate::config::{Options, Treatment};
use crate::http::{Facts, RequestHead, facts};

use super::key::KeyParts;

/// What proxies and edges in front tell the origin of every request: ordinary as well.
const FAMILIES_OF_PROXIES: [&[u8]; 6] =
    [b"cloudfront-", b"fly-", b"x-amz-cf-", b"x-azure-", b"x-forwarded-", b"x-scheme"];

/// Whether a field says what a client can do and wants. The cache's own fetches take it over, so that they are answered as
/// its clients are.
fn is_preference(name: &[u8]) -> bool {
    facts(name).has(Facts::PREFERENCE)
}

/// Whether a field concerns one client, one connection or one request. None of it goes with a call of the root.
#[must_use]
pub fn is_personal(name: &[u8]) -> bool {
    facts(name).has(Facts::PERSONAL.and(Facts::CONDITION).and(Facts::TRACE))
}

/// Whether a field is set by proxies in front.
fn is_of_proxies(name: &[u8]) -> bool {
    FAMILIES_OF_PROXIES.iter().any(|family| name.starts_with(family))
}

/// What a refresh takes over from the request that it stands for.
pub struct Passed<'a> {
    options: &'a Options,
    /// The fields by which the variant is selected.
    nominated: Vec<&'a [u8]>,
}

impl<'a> Passed<'a> {
    /// For a request that the rules give these options, whose response lies under this key.
    #[must_use]
    pub fn of(options: &'a Options, key: &'a [u8]) -> Passed<'a> {
        let parts = KeyParts::of(key);
        let nominated = parts.map(|parts| parts.variant.into_iter().map(|(name, _)| name).collect());
        Passed { options, nominated: nominated.unwrap_or_default() }
    }

    /// Whether this field is taken over: preferences, and what the response is stored under.
    #[must_use]
    pub fn takes(&self, name: &[u8]) -> bool {
        name.starts_with(b":")
            || is_preference(name)
            || is_named(name, self.options)
            || self.nominated.contains(&name)
    }
}

/// Whether a request is of a kind that makes origins fail whatever its target: with an error stored for it, one client
/// would deny the resource to all others.
#[must_use]
pub fn is_suspicious(request: &RequestHead) -> bool {
    /// The most bytes of fields of a request that no origin stumbles over: half of what the most restrictive of common
    /// servers accept. Beyond it an error is not stored (`provoked`), and the request leads no refresh.
    const BYTES_MAX: usize = 4 << 10;
    /// The most lines of fields of a request that no origin stumbles over. Beyond it an error is not stored (`provoked`),
    /// and the request leads no refresh.
    const LINES_MAX: usize = 50;
    let fields = || request.fields.iter().filter(|(name, _)| !name.starts_with(b":"));
    let bytes: usize = fields().map(|(name, value)| name.len() + value.len()).sum();
    let is_odd_byte = |byte: &u8| !matches!(byte, b' '..=b'~' | b'\t');
    bytes > BYTES_MAX
        || fields().count() > LINES_MAX
        || fields().any(|(_, value)| value.iter().any(is_odd_byte))
}

/// Whether a field is unknown and no rule names it: routes may match on it, and origins may fail on it.
#[must_use]
pub fn is_unheard_of(name: &[u8], options: &Options) -> bool {
    !is_ordinary(name) && !is_named(name, options)
}

fn is_ordinary(name: &[u8]) -> bool {
    name.starts_with(b":") || is_preference(name) || is_personal(name) || is_of_proxies(name)
}

/// Whether the rules say what a field means to responses.
fn is_named(name: &[u8], options: &Options) -> bool {
    let key = &options.key;
    key.headers.iter().any(|keyed| keyed.as_bytes() == name)
        || matches!(key.unkeyed.said(name), Some(Treatment::Key | Treatment::Ignore))
        || options.credentials.ignores(name)
}

/// Whether the request itself may have provoked the origin's error: it is unusual, or has unknown fields.
#[must_use]
pub fn may_provoke(request: &RequestHead) -> bool {
    is_suspicious(request) || !request.fields.iter().all(|(name, _)| is_ordinary(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn request(fields: &[(&str, &str)]) -> RequestHead {
        RequestHead { fields: fields.iter().copied().collect::<Fields>(), has_body: false }
    }

    #[test]
    fn what_browsers_send_provokes_nothing() {
        let browser = [
            (":path", "/"),
            ("accept", "text/html"),
            ("accept-encoding", "gzip, br"),
            ("cookie", "a=b; c=\"d\""),
            ("referer", "https://shop.example/"),
            ("sec-ch-ua-mobile", "?0"),
            ("sec-fetch-mode", "navigate"),
            ("upgrade-insecure-requests", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            // What tracers of Envoy add to every request.
            ("x-client-trace-id", "1"),
            ("grpc-trace-bin", "AA"),
            ("sw8", "1-a"),
            ("sw8-correlation", "a"),
            ("uberctx-key", "a"),
            ("x-forwarded-scheme", "https"),
            ("x-scheme", "https"),
            ("x-request-id", "1"),
        ];
        assert!(!may_provoke(&request(&browser)));
        let long = "x".repeat(5_000);
        let odd = [("x-crash", "1", false), ("cookie", &long, true), ("user-agent", "caf\u{e9}", true)];
        for (name, value, is_odd_too) in odd {
            let request = request(&[(":path", "/"), (name, value)]);
            assert!(may_provoke(&request), "{name}");
            assert_eq!(is_suspicious(&request), is_odd_too, "{name}");
        }
    }

    #[test]
    fn a_refresh_takes_over_preferences_and_what_is_part_of_the_key() {
        let json =
            br#"{"key": {"headers": ["x-tenant"], "unkeyed": {"x-known": "ignore", "x-gone": "strip"}}}"#;
        let options = Config::parse(json).unwrap().defaults;
        let primary = crate::policy::key::primary(&request(&[(":path", "/")]), &options);
        let variant = ["x-varied".to_owned()];
        let key = crate::policy::key::variant(&primary, &variant, &request(&[("x-varied", "1")]), &options);
        let passed = Passed::of(&options, &key);
        for (name, is_taken) in [
            (":path", true),
            ("accept-language", true),
            ("sec-ch-ua", true),
            ("x-forwarded-proto", true),
            ("x-tenant", true),
            ("x-known", true),
            ("x-varied", true),
            ("x-crash", false),
            ("x-gone", false),
            ("cf-connecting-ip", false),
            ("traceparent", false),
            ("fastly-key", false),
            ("x-forwarded-client-cert", false),
            ("uber-trace-id", false),
        ] {
            assert_eq!(passed.takes(name.as_bytes()), is_taken, "{name}");
        }
    }
}
