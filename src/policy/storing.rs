//! Which responses are stored (RFC 9111 §3), and what is kept of them.

use core::time::Duration;

use crate::config::{Options, SetCookie};
use crate::http::cache_control::{CacheControl, Part};
use crate::http::{RequestHead, ResponseHead, list, speaks_of_client, uri};
use crate::outcome::NotStored;
use crate::time::Timestamp;

use super::credentials::{Asked, Standing, standing};
use super::freshness::{self, Control};
use super::plain::{is_suspicious, may_provoke};
use super::request::directives;
use super::{LifetimeSource, StoredResponse, ahead, hygiene, implied, key, partial, validation};

/// The most field names that `Vary` may nominate. Beyond it the response is not stored (`limits`).
const NOMINATED_MAX: usize = 16;

/// The response as it is to be stored, or why it is not.
///
/// # Errors
///
/// The first reason, in the order of §3, that forbids storing it.
pub fn storable<'a>(
    asked: impl Into<Asked<'a>>,
    response: &ResponseHead,
    options: &Options,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Result<StoredResponse, NotStored> {
    let asked = asked.into();
    let control = freshness::control(&response.fields, options);
    method(asked.request, response, &control, options, response_time)?;
    request_allows(asked.request, options)?;
    evaluated(asked, response, &control, options, (request_time, response_time))
}

/// The response as it is to be stored, for a request whose method is settled.
pub(super) fn evaluated(
    asked: Asked<'_>,
    response: &ResponseHead,
    control: &Control,
    options: &Options,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<StoredResponse, NotStored> {
    let Asked { request, .. } = asked;
    status(response, &control.directives)?;
    if response.status >= 400 && is_suspicious(request) {
        return Err(NotStored::Provoked);
    }
    let standing = standing(request, options);
    shared(request, standing, response, &control.directives, options)?;
    framing(response, options)?;
    // §3.3: a 206 is stored as if it were an incomplete 200.
    let (status, range) = match response.status {
        206 => (200, Some(partial::received(request, response).ok_or(NotStored::Partial)?)),
        status => (status, None),
    };
    let nominated = hygiene::nominated(&response.fields).ok_or(NotStored::VaryAny)?;
    let vary = implied::with(nominated, &implied::selecting(request, &response.fields));
    if vary.len() > NOMINATED_MAX {
        return Err(NotStored::Limits);
    }
    let lifetime = freshness::lifetime(status, &response.fields, control, response_time, options);
    let initial_age = freshness::initial_age(&response.fields, request_time, response_time);
    let mut stored = StoredResponse {
        status,
        fields: hygiene::stored_fields(&response.fields, control, options, response_time),
        response_time,
        initial_age,
        lifetime: lifetime.map_or(Duration::ZERO, |(lifetime, _)| lifetime),
        lifetime_from: lifetime.map_or(LifetimeSource::Nothing, |(_, source)| source),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        soft_purge_grace: Duration::ZERO,
        stale_if_down: Duration::ZERO,
        refresh_ahead: Duration::ZERO,
        keep: options.keep,
        must_revalidate: must_revalidate(&control.directives, options),
        no_cache: control.directives.no_cache == Part::All,
        immutable: control.directives.immutable,
        vary,
        range,
    };
    // What the origin gives a lifetime to is meant. What gets one from us may be a firewall's answer to one client.
    let is_ours = matches!(
        stored.lifetime_from,
        LifetimeSource::Default | LifetimeSource::Status | LifetimeSource::Override | LifetimeSource::Min
    );
    if status >= 400 && is_ours && may_provoke(request) {
        return Err(NotStored::Provoked);
    }
    if is_ours && speaks_of_client(status) {
        if request.fields.contains("cookie") {
            return Err(NotStored::Cookie);
        }
        stored.vary = implied::with(stored.vary, &implied::OF_CLIENTS);
    }
    let cost = response_time.since(request_time);
    let fresh_for = stored.lifetime.saturating_sub(initial_age);
    stored.refresh_ahead = ahead::window(cost, options.refresh_ahead_percent, fresh_for);
    if range.is_some() {
        stored.fields.remove("content-range");
    }
    windows(&mut stored, &control.directives, options);
    // §3, last condition: without a lifetime, the status code or `public` must allow storing.
    if lifetime.is_none() && !freshness::assignable(status, control) {
        return Err(match status {
            500.. if may_provoke(request) => NotStored::Provoked,
            500.. => NotStored::Error,
            _ => NotStored::NoFreshness,
        });
    }
    if !worth_storing(&stored) {
        return Err(worthless(&stored));
    }
    // §4.2.2 lets us guess. But a page behind a cookie looks like any other where its origin thinks of no cache, and
    // what has no lifetime could still be served by `max-stale` or when the origin fails.
    let given = || freshness::given(status, &response.fields, control, response_time, options);
    let is_given = |(given, _): (Duration, LifetimeSource)| !given.is_zero() || !control.directives.in_doubt;
    let is_said = || stored.no_cache || given().is_some_and(is_given);
    if request.fields.contains("cookie") && !is_public(&control.directives) && !is_said() {
        return Err(NotStored::Cookie);
    }
    // Last, because it costs something. A credential in the key says as much.
    let unknown = standing == Standing::Anonymous && !is_let_share(&control.directives);
    if unknown && asked.is_authenticated(options) { Err(NotStored::Authorization) } else { Ok(stored) }
}

/// Why it would be of no use to store it.
fn worthless(stored: &StoredResponse) -> NotStored {
    if stored.no_cache {
        NotStored::NoCache
    } else if freshness::clock_behind(stored).is_some() {
        NotStored::ClockBehind
    } else {
        NotStored::NoFreshness
    }
}

/// §3: "the request method is understood by the cache" and defined as cacheable.
fn method(
    request: &RequestHead,
    response: &ResponseHead,
    control: &Control,
    options: &Options,
    response_time: Timestamp,
) -> Result<(), NotStored> {
    let allowed = match request.method() {
        // RFC 10008 §2.7: cacheable, under a key that has the content in it.
        b"GET" | b"QUERY" => true,
        // RFC 9110 §9.3.3: only with explicit freshness; the operator's word is as good, a heuristic is not.
        b"POST" if options.post_as_query => {
            options.ttl.or(options.ttl_default).is_some()
                || freshness::explicit(&response.fields, control, response_time).is_some()
        }
        // RFC 9110 §9.3.3: only with explicit freshness and a Content-Location that is the target.
        b"POST" if options.store_post => {
            response.status == 200
                && freshness::explicit(&response.fields, control, response_time).is_some()
                && located_at_target(request, response, options)
        }
        // The response to a HEAD has no body to store; `validation` lets it update a stored one.
        _ => false,
    };
    if allowed { Ok(()) } else { Err(NotStored::Method) }
}

fn located_at_target(request: &RequestHead, response: &ResponseHead, options: &Options) -> bool {
    let (scheme, authority) = (request.scheme(), request.authority());
    let Some(location) = response.fields.get("content-location") else { return false };
    uri::resolve(scheme, authority, request.path(), location).is_some_and(|at| {
        uri::same_origin((&at.scheme, &at.authority), (scheme, authority))
            && key::uri_on(scheme, authority, &at.target, &options.key)
                == key::uri_on(scheme, authority, request.path(), &options.key)
    })
}

/// Whether the request and the rules let its response be stored.
///
/// # Errors
///
/// What forbids it.
pub fn request_allows(request: &RequestHead, options: &Options) -> Result<(), NotStored> {
    if options.bypass {
        return Err(NotStored::Rule);
    }
    // §5.2.1.5
    if directives(request, options).is_some_and(|directives| directives.no_store) {
        return Err(NotStored::RequestNoStore);
    }
    Ok(())
}

/// §3: the status code is final, understood where it must be, and the response may be stored at all.
fn status(response: &ResponseHead, directives: &CacheControl) -> Result<(), NotStored> {
    match response.status {
        // 304 and 412 answer conditions, 416 a range, 407 and 417 other fields of the one request, 408, 413, 421 and
        // 425 its connection; RFC 6585 says that 428, 429, 431 and 511 "MUST NOT be stored by a cache".
        0..200 | 304 | 407 | 408 | 412 | 413 | 416 | 417 | 421 | 425 | 428 | 429 | 431 | 511 | 600.. => {
            return Err(NotStored::Status);
        }
        _ => {}
    }
    // §5.2.2.3: limited to status codes that are understood; then `no-store` SHOULD be ignored. Not where who wrote it did
    // not know how to.
    match (directives.must_understand, understood(response.status)) {
        (true, false) => Err(NotStored::Status),
        (understand, _) if directives.no_store && (!understand || directives.in_doubt) => {
            Err(NotStored::NoStore)
        }
        _ => Ok(()),
    }
}

/// Status codes whose caching requirements we know and obey (RFC 9110 §15).
fn understood(status: u16) -> bool {
    matches!(status, 200..=204 | 206 | 300..=303 | 307 | 308 | 400 | 401 | 403..=406 | 409..=411 | 414 | 415 | 422 | 426 | 500..=505)
}

/// §3: what a shared cache must not store.
fn shared(
    request: &RequestHead,
    standing: Standing,
    response: &ResponseHead,
    directives: &CacheControl,
    options: &Options,
) -> Result<(), NotStored> {
    let (request, response) = (&request.fields, &response.fields);
    if directives.private == Part::All {
        return Err(NotStored::Private);
    }
    // §3.5, for what says who sends the request as well as `Authorization` does.
    if standing == Standing::Guarded && !is_let_share(directives) {
        return Err(NotStored::Authorization);
    }
    if options.cookies_need_public && request.contains("cookie") && !is_public(directives) {
        return Err(NotStored::Cookie);
    }
    let withheld = |name: &[u8]| {
        hygiene::covers(&directives.private, name) || hygiene::covers(&directives.no_cache, name)
    };
    if options.set_cookie == SetCookie::Refuse
        && ["set-cookie", "set-cookie2"]
            .iter()
            .any(|name| response.contains(name) && !withheld(name.as_bytes()))
    {
        return Err(NotStored::SetCookie);
    }
    Ok(())
}

/// §3.5: whether the answer to a request with credentials may be given to others.
fn is_let_share(directives: &CacheControl) -> bool {
    is_public(directives) || directives.must_revalidate
}

/// Whether the response says that it is for all.
fn is_public(directives: &CacheControl) -> bool {
    directives.public || directives.s_maxage.is_some()
}

/// Whether the body that passes by is the one that can be sent again.
fn framing(response: &ResponseHead, options: &Options) -> Result<(), NotStored> {
    let mut codings = response.fields.get_all("transfer-encoding").flat_map(list::members);
    if codings.any(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(NotStored::Framing);
    }
    let length = response.fields.get("content-length").and_then(|value| core::str::from_utf8(value).ok());
    match length.and_then(|digits| digits.trim().parse::<u64>().ok()) {
        Some(bytes) if bytes > options.object_bytes_max => Err(NotStored::TooLarge),
        _ => Ok(()),
    }
}

/// §5.2.2.2, §5.2.2.8; §5.2.2.10: `s-maxage` "incorporates the semantics of proxy-revalidate". What cannot be read may have
/// said the same.
fn must_revalidate(directives: &CacheControl, options: &Options) -> bool {
    let names_window = directives.stale_while_revalidate.is_some() || directives.stale_if_error.is_some();
    let excepted = options.stale_despite_s_maxage && names_window;
    let says_so = directives.must_revalidate || directives.proxy_revalidate || directives.in_doubt;
    says_so || (directives.s_maxage.is_some() && !excepted)
}

/// The windows in which the response may be served stale; none where a directive forbids it (§4.2.4), and none for an
/// error of the server's own: in its stead the origin may have something better by now, and nothing worse.
fn windows(stored: &mut StoredResponse, directives: &CacheControl, options: &Options) {
    if stored.is_server_error() {
        return;
    }
    stored.soft_purge_grace = options.soft_purge_grace;
    if !stored.must_revalidate && !stored.no_cache {
        stored.stale_while_revalidate =
            directives.stale_while_revalidate.unwrap_or(options.stale_while_revalidate);
        stored.stale_if_error = directives.stale_if_error.unwrap_or(options.stale_if_error);
        stored.stale_if_down = options.stale_if_down;
    }
}

/// Whether it can answer anything: it is fresh for a while, may be served stale, or can be validated.
fn worth_storing(stored: &StoredResponse) -> bool {
    let window = stored.stale_while_revalidate.max(stored.stale_if_error).max(stored.stale_if_down);
    let served = !stored.no_cache && stored.initial_age < stored.lifetime.saturating_add(window);
    served || !validation::validators(stored).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RequestDirectives;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const T0: Timestamp = Timestamp::from_secs(1_700_000_000);
    type Lines = &'static [(&'static str, &'static str)];

    fn request(method: &str, fields: Lines) -> RequestHead {
        let target = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", "/p?q")];
        RequestHead { fields: target.into_iter().chain(fields.iter().copied()).collect(), has_body: false }
    }

    fn check(
        method: &str,
        sent: Lines,
        status: u16,
        received: Lines,
        options: &Options,
    ) -> Result<StoredResponse, NotStored> {
        let response = ResponseHead { status, fields: Fields::from_iter(received.iter().copied()) };
        storable(&request(method, sent), &response, options, T0, T0)
    }

    fn verdict(status: u16, received: Lines) -> Result<(), NotStored> {
        check("GET", &[], status, received, &Options::default()).map(|_| ())
    }

    #[test]
    fn section_3_decides() {
        use NotStored::{
            ClockBehind, Error, Limits, NoCache, NoFreshness, NoStore, Partial, Private, Status, TooLarge,
            VaryAny,
        };
        let many = Box::leak((0..17).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",").into_boxed_str());
        let many: Lines = Box::leak(Box::new([("cache-control", "max-age=60"), ("vary", &*many)]));
        for (status, received, expected) in [
            (200, &[("cache-control", "max-age=60")][..], Ok(())),
            (200, &[], Err(NoFreshness)),
            (200, &[("etag", "\"x\"")], Ok(())),
            (200, &[("cache-control", "max-age=0")], Err(NoFreshness)),
            (200, &[("cache-control", "max-age=0"), ("etag", "\"x\"")], Ok(())),
            (200, &[("cache-control", "max-age=0, stale-while-revalidate=9")], Ok(())),
            (200, &[("cache-control", "max-age=60"), ("age", "60")], Err(NoFreshness)),
            (200, &[("cache-control", "no-cache")], Err(NoCache)),
            (200, &[("cache-control", "no-cache, max-age=60")], Err(NoCache)),
            (
                200,
                &[("cache-control", "max-age=60"), ("date", "Tue, 14 Nov 2023 22:11:50 GMT")],
                Err(ClockBehind),
            ),
            (200, &[("cache-control", "no-cache"), ("etag", "\"x\"")], Ok(())),
            (200, &[("cache-control", "max-age=60, No-Store")], Err(NoStore)),
            (200, &[("cache-control", "max-age=60, private")], Err(Private)),
            (200, &[("cache-control", "max-age=60, private=\"x\"")], Ok(())),
            (200, &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")], Ok(())),
            (200, &[("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")], Err(NoStore)),
            (200, &[("cache-control", "max-age=60"), ("vary", "*")], Err(VaryAny)),
            (200, many, Err(Limits)),
            (200, &[("cache-control", "max-age=60"), ("content-length", "1048577")], Err(TooLarge)),
            (
                200,
                &[("cache-control", "max-age=60"), ("transfer-encoding", "gzip, chunked")],
                Err(NotStored::Framing),
            ),
            (200, &[("cache-control", "max-age=60"), ("transfer-encoding", "chunked")], Ok(())),
            (206, &[("cache-control", "max-age=60")], Err(Partial)),
            (304, &[("cache-control", "max-age=60")], Err(Status)),
            (103, &[("cache-control", "max-age=60")], Err(Status)),
            (299, &[("cache-control", "max-age=60")], Ok(())),
            (302, &[], Err(NoFreshness)),
            (302, &[("cache-control", "public"), ("etag", "\"x\"")], Err(NoFreshness)),
            (404, &[("cache-control", "max-age=60")], Ok(())),
            (412, &[("cache-control", "max-age=60")], Err(Status)),
            (416, &[("cache-control", "max-age=60")], Err(Status)),
            (429, &[("cache-control", "max-age=60")], Err(Status)),
            (500, &[], Err(Error)),
            (503, &[("cache-control", "max-age=60")], Ok(())),
            (599, &[("cache-control", "max-age=60")], Ok(())),
            (599, &[("cache-control", "max-age=60, must-understand")], Err(Status)),
            (200, &[("cache-control", "max-age=60, must-understand, no-store")], Ok(())),
            (600, &[("cache-control", "max-age=60")], Err(Status)),
        ] {
            assert_eq!(verdict(status, received), expected, "{status} {received:?}");
        }
    }

    #[test]
    fn what_a_malformed_field_may_forbid_is_forbidden() {
        let received = |name: &'static str, value: &'static str| -> Lines {
            let more = [("etag", "\"x\""), ("last-modified", "Sat, 05 Aug 2023 22:13:20 GMT")];
            Box::leak([(name, value)].into_iter().chain(more).collect::<Vec<_>>().into_boxed_slice())
        };
        let options = Options {
            stale_if_error: Duration::from_secs(60),
            surrogate_control: true,
            ..Options::default()
        };
        let stored = |name, value| check("GET", &[], 200, received(name, value), &options);
        for (value, expected) in [
            ("no-store; max-age=600", NotStored::NoStore),
            ("private; max-age=600", NotStored::Private),
            ("'private'", NotStored::Private),
            ("private=\"set-cookie", NotStored::Private),
        ] {
            for name in ["cache-control", "surrogate-control"] {
                assert_eq!(stored(name, value).err(), Some(expected), "{name}: {value}");
            }
        }
        assert_eq!(stored("cache-control", "must-understand, no-store;").err(), Some(NotStored::NoStore));
        // Whatever else it says: stale from the beginning, and never served so.
        for (name, value) in
            [("cache-control", "foo bar"), ("cache-control", "max-age=600;"), ("pragma", "no-cache")]
        {
            let stored = stored(name, value).unwrap();
            let found = (stored.lifetime, stored.must_revalidate, stored.stale_if_error);
            assert_eq!(found, (Duration::ZERO, true, Duration::ZERO), "{name}: {value}");
        }
        assert!(stored("cache-control", "No-Cache;").unwrap().no_cache);
        let both: Lines = &[("surrogate-control", "max-age:60"), ("cache-control", "private, max-age=60")];
        assert_eq!(check("GET", &[], 200, both, &options).err(), Some(NotStored::Private));
        let ruled = Options { ttl: Some(Duration::from_secs(9)), ..options.clone() };
        let overridden = check("GET", &[], 200, received("pragma", "no-cache"), &ruled).unwrap();
        assert_eq!(overridden.lifetime, Duration::from_secs(9), "a rule has the last word about lifetimes");
    }

    #[test]
    fn an_error_that_an_odd_request_may_have_provoked_is_not_stored() {
        let long: &str = Box::leak("x".repeat(4100).into_boxed_str());
        let many: Lines = Box::leak(vec![("x-a", "1"); 51].into_boxed_slice());
        let fresh: Lines = &[("cache-control", "max-age=60")];
        for (sent, odd) in [
            (&[][..], false),
            (&[("cookie", "a=b; c=\"d\""), ("x-tab", "a\tb")], false),
            (Box::leak(Box::new([("x-long", long)])), true),
            (many, true),
            (&[("x-meta", "a\u{7}b")], true),
            (&[("x-meta", "caf\u{e9}")], true),
        ] {
            for status in [400, 404, 501] {
                let expected = if odd { Err(NotStored::Provoked) } else { Ok(()) };
                let verdict = check("GET", sent, status, fresh, &Options::default()).map(|_| ());
                assert_eq!(verdict, expected, "{status} {sent:?}");
            }
            assert!(check("GET", sent, 200, fresh, &Options::default()).is_ok());
        }
    }

    #[test]
    fn responses_to_requests_with_credentials_need_a_directive() {
        let authorized: Lines = &[("authorization", "Basic x")];
        for (control, stored) in [
            ("max-age=60", false),
            ("max-age=60, proxy-revalidate", false),
            ("max-age=60, public", true),
            ("max-age=60, must-revalidate", true),
            ("s-maxage=60", true),
            ("private, s-maxage=60", false),
        ] {
            let received = Box::leak(Box::new([("cache-control", control)]));
            assert_eq!(
                check("GET", authorized, 200, received, &Options::default()).is_ok(),
                stored,
                "{control}"
            );
        }
        let targeted: Lines = &[("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=60")];
        assert_eq!(
            check("GET", authorized, 200, targeted, &Options::default()),
            Err(NotStored::Authorization)
        );
    }

    #[test]
    fn identity_fields_are_credentials_by_words_in_their_names() {
        let fresh: Lines = &[("cache-control", "max-age=60")];
        let default = Options::default();
        for (name, value) in [
            ("x-forwarded-client-cert", "Hash=1"),
            ("x-jwt-payload", "e30"),
            ("x-auth-request-email", "a@b.example"),
            ("proxy-authorization", "Basic x"),
            ("x-acme", "Bearer x"),
        ] {
            let sent: Lines = Box::leak(Box::new([(name, value)]));
            assert_eq!(check("GET", sent, 200, fresh, &default), Err(NotStored::Authorization), "{name}");
            let public: Lines = &[("cache-control", "max-age=60, public")];
            assert!(check("GET", sent, 200, public, &default).is_ok(), "{name}");
            let json = format!(r#"{{"credentials": {{"fields": {{"{name}": "key"}}}}}}"#);
            let keyed = crate::config::Config::parse(json.as_bytes()).unwrap().defaults;
            assert!(check("GET", sent, 200, fresh, &keyed).is_ok(), "{name}");
            let private: Lines = &[("cache-control", "max-age=60, private")];
            assert_eq!(check("GET", sent, 200, private, &keyed), Err(NotStored::Private), "{name}");
        }
    }

    #[test]
    fn filter_metadata_is_read_only_where_it_decides() {
        let known = b"\x0a\x21\x0a\x1cenvoy.filters.http.jwt_authn\x12\x01x";
        let keyed =
            crate::config::Config::parse(br#"{"key": {"headers": ["x-jwt-payload"]}}"#).unwrap().defaults;
        for (sent, control, options, asks, stored) in [
            (&[][..], "max-age=60", &Options::default(), true, Err(NotStored::Authorization)),
            (&[], "max-age=60, public", &Options::default(), false, Ok(())),
            (&[], "s-maxage=60", &Options::default(), false, Ok(())),
            (&[], "max-age=60, must-revalidate", &Options::default(), false, Ok(())),
            (&[], "no-store", &Options::default(), false, Err(NotStored::NoStore)),
            (&[], "max-age=0", &Options::default(), false, Err(NotStored::NoFreshness)),
            (&[("x-user", "a")], "max-age=60", &Options::default(), false, Err(NotStored::Authorization)),
            (&[("x-jwt-payload", "a")], "max-age=60", &keyed, false, Ok(())),
            (&[], "max-age=60", &keyed, true, Err(NotStored::Authorization)),
        ] {
            let asked = core::cell::Cell::new(false);
            let metadata = || {
                asked.set(true);
                known.to_vec()
            };
            let request = request("GET", sent);
            let response =
                ResponseHead { status: 200, fields: Fields::from_iter([("cache-control", control)]) };
            let got = storable(Asked { request: &request, metadata: &metadata }, &response, options, T0, T0);
            assert_eq!((got.map(|_| ()), asked.get()), (stored, asks), "{sent:?} {control}");
        }
    }

    #[test]
    fn no_lifetime_is_guessed_for_the_answer_to_a_request_with_a_cookie() {
        const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let secs = |secs| Some(Duration::from_secs(secs));
        let default = Options::default();
        let by_operator = [
            Options { ttl: secs(9), ..Options::default() },
            Options { ttl_default: secs(9), ..Options::default() },
            Options { ttl_status: vec![(200, Duration::from_secs(9))], ..Options::default() },
        ];
        for (received, options, expected) in [
            (&[MODIFIED][..], &default, Err(NotStored::Cookie)),
            (&[("etag", "\"x\"")], &default, Err(NotStored::Cookie)),
            (&[MODIFIED, ("cache-control", "must-revalidate")], &default, Err(NotStored::Cookie)),
            (&[MODIFIED, ("cache-control", "stale-if-error=60")], &default, Err(NotStored::Cookie)),
            (&[MODIFIED, ("cache-control", "max-age:60")], &default, Err(NotStored::Cookie)),
            (&[MODIFIED, ("cache-control", "max-age:60")], &by_operator[0], Ok(())),
            (&[], &default, Err(NotStored::NoFreshness)),
            (&[MODIFIED, ("cache-control", "public")], &default, Ok(())),
            (&[MODIFIED, ("cache-control", "no-cache")], &default, Ok(())),
            (&[MODIFIED, ("cache-control", "max-age=60")], &default, Ok(())),
            (&[("expires", "Sat, 06 Nov 2094 08:49:37 GMT")], &default, Ok(())),
            (&[MODIFIED], &by_operator[0], Ok(())),
            (&[MODIFIED], &by_operator[1], Ok(())),
            (&[MODIFIED], &by_operator[2], Ok(())),
        ] {
            let got = check("GET", &[("cookie", "a=b")], 200, received, options).map(|_| ());
            assert_eq!(got, expected, "{received:?}");
            assert!(check("GET", &[], 200, received, options).is_ok() || received.is_empty(), "{received:?}");
        }
    }

    #[test]
    fn cookies_are_as_configured() {
        let options = |set_cookie| Options { set_cookie, ..Options::default() };
        let received: Lines = &[("cache-control", "max-age=60"), ("set-cookie", "a=b")];
        let refused = check("GET", &[], 200, received, &options(SetCookie::Refuse));
        assert_eq!(refused, Err(NotStored::SetCookie));
        let qualified: Lines =
            &[("cache-control", "max-age=60, private=\"Set-Cookie\""), ("set-cookie", "a=b")];
        for (set_cookie, received, kept) in [
            (SetCookie::Refuse, qualified, false),
            (SetCookie::Strip, received, false),
            (SetCookie::Store, received, true),
            (SetCookie::Store, qualified, false),
        ] {
            let stored = check("GET", &[], 200, received, &options(set_cookie)).unwrap();
            assert_eq!(stored.fields.contains("set-cookie"), kept, "{set_cookie:?}");
        }
        let sent: Lines = &[("cookie", "a=b")];
        let strict = Options { cookies_need_public: true, ..Options::default() };
        let received: Lines = &[("cache-control", "max-age=60")];
        assert_eq!(check("GET", sent, 200, received, &strict), Err(NotStored::Cookie));
        assert!(check("GET", sent, 200, &[("cache-control", "max-age=60, public")], &strict).is_ok());
        assert!(check("GET", sent, 200, received, &Options::default()).is_ok());
    }

    #[test]
    fn a_request_can_forbid_storing_where_that_is_obeyed() {
        let sent: Lines = &[("cache-control", "no-store")];
        let received: Lines = &[("cache-control", "max-age=60")];
        assert_eq!(check("GET", sent, 200, received, &Options::default()), Err(NotStored::RequestNoStore));
        let ignored = Options { request_directives: RequestDirectives::Ignore, ..Options::default() };
        assert!(check("GET", sent, 200, received, &ignored).is_ok());
        let bypass = Options { bypass: true, ..Options::default() };
        assert_eq!(check("GET", &[], 200, received, &bypass), Err(NotStored::Rule));
    }

    #[test]
    fn a_post_is_stored_only_for_its_own_target_and_when_asked_for() {
        let options = Options { store_post: true, ..Options::default() };
        for (received, stored) in [
            (&[("cache-control", "max-age=60"), ("content-location", "/p?q")][..], true),
            (&[("cache-control", "max-age=60"), ("content-location", "http://H:80/p?q")], true),
            (&[("cache-control", "max-age=60"), ("content-location", "")], true),
            (&[("cache-control", "max-age=60"), ("content-location", "https://h/p?q")], false),
            (&[("cache-control", "max-age=60"), ("content-location", "/other")], false),
            (&[("cache-control", "max-age=60")], false),
            (&[("etag", "\"x\""), ("content-location", "/p?q")], false),
        ] {
            assert_eq!(check("POST", &[], 200, received, &options).is_ok(), stored, "{received:?}");
            assert_eq!(check("POST", &[], 200, received, &Options::default()), Err(NotStored::Method));
        }
        assert_eq!(
            check("HEAD", &[], 200, &[("cache-control", "max-age=60")], &options),
            Err(NotStored::Method)
        );
    }

    #[test]
    fn a_query_is_stored_like_a_get() {
        let options = Options::default();
        let received: Lines = &[("cache-control", "max-age=60")];
        assert!(check("QUERY", &[], 200, received, &options).is_ok());
        assert_eq!(check("QUERY", &[], 200, &[], &options), Err(NotStored::NoFreshness));
        assert_eq!(check("SEARCH", &[], 200, received, &options), Err(NotStored::Method));
    }

    #[test]
    fn stale_windows_come_from_the_origin_else_from_the_rules_and_end_where_forbidden() {
        let s = Duration::from_secs;
        let options = Options { stale_while_revalidate: s(5), stale_if_error: s(6), ..Options::default() };
        for (control, expected) in [
            ("max-age=60", (s(5), s(6))),
            ("max-age=60, stale-while-revalidate=7, stale-if-error=0", (s(7), s(0))),
            ("max-age=60, stale-while-revalidate=7, must-revalidate", (s(0), s(0))),
            ("max-age=60, stale-while-revalidate=7, proxy-revalidate", (s(0), s(0))),
            ("s-maxage=60, stale-while-revalidate=7", (s(0), s(0))),
        ] {
            let received = Box::leak(Box::new([("cache-control", control)]));
            let stored = check("GET", &[], 200, received, &options).unwrap();
            assert_eq!((stored.stale_while_revalidate, stored.stale_if_error), expected, "{control}");
        }
    }

    #[test]
    fn a_stored_error_of_the_server_is_never_served_stale() {
        let s = Duration::from_secs;
        let options = Options { stale_while_revalidate: s(5), stale_if_down: s(7), ..Options::default() };
        let received: Lines = &[("cache-control", "max-age=60, stale-if-error=6")];
        for status in [200, 301, 404, 410, 429, 499, 500, 501, 503, 504, 599] {
            let Ok(stored) = check("GET", &[], status, received, &options) else { continue };
            let windows = [stored.stale_while_revalidate, stored.stale_if_error, stored.stale_if_down];
            let expected = if status < 500 { [s(5), s(6), s(7)] } else { [s(0); 3] };
            assert_eq!(windows, expected, "{status}");
            assert_eq!(stored.soft_purge_grace == s(0), status >= 500, "{status}");
            assert_eq!(stored.lifetime, s(60), "{status}");
        }
    }

    #[test]
    fn a_rule_may_let_the_windows_beside_s_maxage_count() {
        let options = Options { stale_despite_s_maxage: true, ..Options::default() };
        for (control, expected) in [
            ("s-maxage=60, stale-while-revalidate=7", false),
            ("s-maxage=60, stale-if-error=7", false),
            ("s-maxage=60", true),
            ("s-maxage=60, stale-while-revalidate=7, proxy-revalidate", true),
            ("s-maxage=60, stale-while-revalidate=7, must-revalidate", true),
        ] {
            let received = Box::leak(Box::new([("cache-control", control)]));
            assert_eq!(
                check("GET", &[], 200, received, &options).unwrap().must_revalidate,
                expected,
                "{control}"
            );
        }
    }
}
