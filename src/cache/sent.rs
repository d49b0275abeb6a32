//! What a call of the root sends: a client's request without what is the client's own affair.

use core::time::Duration;

use crate::config::{Credential, Options};
use crate::http::{Fields, RequestHead};
use crate::policy::hygiene::is_hop_by_hop;
use crate::policy::plain::{Passed, is_personal};

/// A call for the root to dispatch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The upstream cluster.
    pub cluster: String,
    /// Pseudo-header fields and header section.
    pub fields: Vec<(String, String)>,
    /// How long it may take in all.
    pub timeout: Duration,
}

/// A request as a call sends it, before the route's own changes: without what is the client's own affair.
pub(super) fn anonymised(request: &RequestHead, options: &Options) -> RequestHead {
    let mut request = without_credentials(request, options);
    let nominated: Vec<Vec<u8>> =
        request.fields.connection_options().into_iter().map(<[u8]>::to_vec).collect();
    let is_sayable = |value: &[u8]| str::from_utf8(value).is_ok();
    request.fields.retain(|name, value| {
        !is_personal(name) && is_sayable(value) && !nominated.iter().any(|n| n.eq_ignore_ascii_case(name))
    });
    request
}

/// The same for a refresh, which no client waits for: of fields that nobody has heard of only those are sent that its
/// response is stored under (`key`).
pub(super) fn as_refresh(request: &RequestHead, options: &Options, key: &[u8]) -> RequestHead {
    let mut request = anonymised(request, options);
    let passed = Passed::of(options, key);
    request.fields.retain(|name, _| passed.takes(name));
    request
}

/// A request without what says who sends it. What the route adds of that kind is its own, and stays.
fn without_credentials(request: &RequestHead, options: &Options) -> RequestHead {
    let is_none = |name: &[u8], value: &[u8]| {
        name.starts_with(b":") || options.credentials.of(name, value) == Credential::Ignore
    };
    RequestHead { fields: request.fields.kept(0, is_none), has_body: request.has_body }
}

/// What a call sends: what the request would have sent, without what is the client's own affair. None when it
/// cannot be said in UTF-8, as the SDK wants it.
pub(super) fn request_fields(
    request: &Fields,
    validators: &[(&'static str, Vec<u8>)],
) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::with_capacity(request.len() + validators.len());
    let nominated = request.connection_options();
    let is_passed_on =
        |name: &[u8]| !is_personal(name) && !nominated.iter().any(|n| n.eq_ignore_ascii_case(name));
    for (name, value) in request.iter().filter(|(name, _)| is_passed_on(name)) {
        fields.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
    }
    let conditions = validators.iter().map(|(name, value)| Some((*name, str::from_utf8(value).ok()?)));
    // Without one of them the others may mean something else: then the whole is asked for.
    let conditions: Option<Vec<(&str, &str)>> = conditions.collect();
    let conditions = conditions.unwrap_or_default().into_iter();
    fields.extend(conditions.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Some(fields)
}

/// What a call sends that repeats a client's own request: all but what belongs to the connection, or would be obeyed by
/// Envoy's own router.
pub(super) fn own_fields(request: &Fields) -> Option<Vec<(String, String)>> {
    let nominated = request.connection_options();
    let is_sent = |name: &[u8]| {
        !is_hop_by_hop(name)
            && !matches!(name, b"content-length" | b"expect")
            && !nominated.iter().any(|nominated| nominated.eq_ignore_ascii_case(name))
            || matches!(name, b":method" | b":scheme" | b":authority" | b":path")
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    request.iter().filter(|(name, _)| is_sent(name)).map(|(n, v)| Some((text(n)?, text(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_call_carries_nobodys_credentials() {
        let json = br#"{"credentials": {"fields": {"x-tenant": "key", "x-api-key": "ignore"}}}"#;
        let options = crate::config::Config::parse(json).unwrap().defaults;
        let fields = Fields::from_iter([
            (":path", "/bearer a"),
            ("x-forwarded-email", "alice@a.example"),
            ("x-acme", "Bearer secret"),
            ("x-tenant", "a"),
            ("authorization", "Basic YTpi"),
            ("x-api-key", "app"),
            ("accept", "text/html"),
        ]);
        let sent = anonymised(&RequestHead { fields, has_body: false }, &options);
        let expected = [(":path", "/bearer a"), ("x-api-key", "app"), ("accept", "text/html")];
        assert_eq!(sent.fields, Fields::from_iter(expected));
    }

    #[test]
    fn a_call_carries_nothing_of_one_connection_one_client_or_envoy_s_router() {
        let request = Fields::from_iter([
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/a"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("cookie", "me=1"),
            ("authorization", "Basic YTpi"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-max-retries", "9"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-forwarded-for", "192.0.2.7"),
            ("if-none-match", "\"theirs\""),
            ("accept", "text/html"),
        ]);
        let sent = request_fields(&request, &[("if-none-match", b"\"ours\"".to_vec())]).unwrap();
        let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (&**name, &**value)).collect();
        let target = [(":method", "GET"), (":authority", "shop.example"), (":path", "/a")];
        let rest = [("accept", "text/html"), ("if-none-match", "\"ours\"")];
        assert_eq!(sent, target.into_iter().chain(rest).collect::<Vec<_>>());
    }
}
