//! Asking the origin whether a stored response is still good, and what its answer does to it (RFC 9111 §3.2, §4.3,
//! RFC 9110 §8.8).

use core::time::Duration;

use crate::config::{Options, SetCookie};
use crate::http::etag::EntityTag;
use crate::http::search::SearchVariance;
use crate::http::{Facts, Fields, ResponseHead, date, facts};
use crate::outcome::NotStored;
use crate::time::Timestamp;

use super::reuse::current_age;
use super::{Asked, LifetimeSource, StoredResponse, freshness, hygiene, implied, storing};

/// The fields that make a request to the origin conditional on what is stored; empty when there is no validator.
#[must_use]
pub fn validators(stored: &StoredResponse) -> Vec<(&'static str, Vec<u8>)> {
    // RFC 9110 §13.2.1: an origin heeds conditions only where its answer would be a 2xx. A 304 would then say nothing
    // about the stored 404. Of a part it would say that the client gets the whole from us.
    if !matches!(stored.status, 200..300) || stored.range.is_some() {
        return Vec::new();
    }
    let mut conditions = Vec::new();
    if let Some(etag) = stored.fields.get("etag").filter(|etag| EntityTag::parse(etag).is_some()) {
        conditions.push(("if-none-match", etag.to_vec()));
    }
    if let Some(modified) = stored.fields.get("last-modified").filter(|value| date::parse(value).is_some()) {
        conditions.push(("if-modified-since", modified.to_vec()));
    }
    conditions
}

/// Whether a 304 to a request with the [`validators`] of a stored response confirms that response (§4.3.4).
#[must_use]
pub fn confirms(stored: &StoredResponse, response: &ResponseHead) -> bool {
    if response.status != 304 || stored.range.is_some() {
        return false;
    }
    let new = response.fields.get("etag").and_then(EntityTag::parse);
    match (new, stored.fields.get("etag").and_then(EntityTag::parse)) {
        // "contains one or more strong validators": the stored response must have the same; else the weak comparison.
        (Some(new), Some(old)) if new.weak || old.weak => return new.weak_eq(&old),
        (Some(new), Some(old)) => return new.strong_eq(&old),
        // "one or more weak validators": the date is another one.
        (Some(new), None) if !new.weak || !response.fields.contains("last-modified") => return false,
        (Some(_), None) | (None, _) => {}
    }
    match (response.fields.get("last-modified"), stored.fields.get("last-modified")) {
        (Some(new), Some(old)) => {
            new == old || date::parse(new).is_some_and(|new| date::parse(old) == Some(new))
        }
        (Some(_), None) => false,
        // Without any validator it can only be about the one response that the request was conditional on.
        (None, _) => true,
    }
}

/// What to do after a 304 that does not make the stored response fresh again.
#[derive(Clone, PartialEq, Debug)]
pub enum Unfreshened {
    /// It is confirmed for the request that was sent, but by the origin's new word it may not be stored any longer.
    Drop {
        /// Answers this one request, with the stored body.
        once: Box<StoredResponse>,
        /// Why it may not be stored.
        why: NotStored,
    },
    /// It is confirmed for the request that was sent, and that request must leave no trace: what is stored stays as it
    /// is.
    Keep {
        /// Answers this one request, with the stored body.
        once: Box<StoredResponse>,
        /// Why it is not updated.
        why: NotStored,
    },
    /// The 304 is not about it (§4.3.4): it answers nothing, and the request has to be sent again without conditions.
    Refetch,
}

impl From<Unfreshened> for NotStored {
    fn from(unfreshened: Unfreshened) -> Self {
        match unfreshened {
            Unfreshened::Drop { why, .. } | Unfreshened::Keep { why, .. } => why,
            Unfreshened::Refetch => NotStored::Status,
        }
    }
}

/// The stored response, updated by a 304 that [`confirms`] it (§3.2, §4.3.4).
///
/// # Errors
///
/// What is to be done when it does not, or when what comes of it may not be stored, e.g. for `no-store` in the 304.
pub fn freshened<'a>(
    stored: &StoredResponse,
    asked: impl Into<Asked<'a>>,
    response: &ResponseHead,
    options: &Options,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Result<StoredResponse, Unfreshened> {
    if confirms(stored, response) {
        updated(stored, asked.into(), response, options, (request_time, response_time))
    } else {
        Err(Unfreshened::Refetch)
    }
}

/// The stored response with the fields of a response that says that it still is what it was.
fn updated(
    stored: &StoredResponse,
    asked: Asked<'_>,
    response: &ResponseHead,
    options: &Options,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<StoredResponse, Unfreshened> {
    let updated = ResponseHead { status: stored.status, fields: updated_fields(stored, response, options) };
    let control = freshness::control(&updated.fields, options);
    let fresh = storing::request_allows(asked.request, options)
        .and_then(|()| storing::evaluated(asked, &updated, &control, options, (request_time, response_time)));
    // An answer that is not for them, such as that to a request without `Origin`, does not show again what selects.
    let fresh = fresh.map(|mut fresh| {
        implied::keep_apart(&mut fresh, stored.vary.iter().map(String::as_bytes));
        fresh
    });
    fresh.map_err(|why| {
        let once = Box::new(StoredResponse {
            fields: hygiene::stored_fields(&updated.fields, &control, options, response_time),
            response_time,
            initial_age: freshness::initial_age(&updated.fields, request_time, response_time),
            ..stored.clone()
        });
        match why {
            // They say something about this request, nothing about what is stored.
            NotStored::Rule | NotStored::RequestNoStore | NotStored::Authorization | NotStored::Cookie => {
                Unfreshened::Keep { once, why }
            }
            _ => Unfreshened::Drop { once, why },
        }
    })
}

/// What the response to a HEAD means for the stored response to a GET of the same variant (§4.3.5).
#[derive(Clone, PartialEq, Debug)]
pub enum HeadUpdate {
    /// It is the same representation: this is the stored response with the new fields.
    Freshened(Box<StoredResponse>),
    /// It is another representation, or may no longer be stored: this is the stored response, stale from now on.
    Outdated(Box<StoredResponse>),
    /// It says nothing about the stored response or nothing new, or its request must leave no trace.
    None,
}

/// What the response to a HEAD means for the stored response to a GET, whose body has `body_bytes` bytes (§4.3.5).
#[must_use]
pub fn updated_by_head<'a>(
    stored: &StoredResponse,
    body_bytes: u64,
    asked: impl Into<Asked<'a>>,
    response: &ResponseHead,
    options: &Options,
    times: (Timestamp, Timestamp),
) -> HeadUpdate {
    if response.status != 200 || stored.status != 200 || stored.range.is_some() {
        return HeadUpdate::None;
    }
    // "if the response has a validator or Content-Length that differs, the stored response SHOULD be considered
    // stale".
    let changed = |name| response.fields.get(name).is_some_and(|new| stored.fields.get(name) != Some(new));
    let length = response.fields.get("content-length").map(<[u8]>::trim_ascii);
    let other_length = length.is_some_and(|length| length != body_bytes.to_string().as_bytes());
    let changed = changed("etag") || changed("last-modified") || other_length;
    match updated(stored, asked.into(), response, options, times) {
        Err(Unfreshened::Keep { .. } | Unfreshened::Refetch) => HeadUpdate::None,
        // One client's own page is another than everybody's, and shows nothing.
        Err(Unfreshened::Drop { why: NotStored::Private, .. }) if changed => HeadUpdate::None,
        Ok(fresh) if !changed && selects_alike(&fresh, stored) => HeadUpdate::Freshened(Box::new(fresh)),
        Err(Unfreshened::Drop { .. }) if !changed => outdated(stored, times.1, true),
        Ok(_) | Err(Unfreshened::Drop { .. }) => outdated(stored, times.1, false),
    }
}

/// Whether two responses answer the same requests for their URI: else the new one belongs under another key.
fn selects_alike(new: &StoredResponse, old: &StoredResponse) -> bool {
    let searched = |stored: &StoredResponse| SearchVariance::of(&stored.fields);
    new.vary == old.vary && searched(new) == searched(old)
}

/// The stored response, stale from now on; `for_good` says that it must not even be served stale.
fn outdated(stored: &StoredResponse, now: Timestamp, for_good: bool) -> HeadUpdate {
    let lifetime = stored.lifetime.min(current_age(stored, now));
    let lifetime_from = if lifetime < stored.lifetime { LifetimeSource::Head } else { stored.lifetime_from };
    let mut stale =
        StoredResponse { lifetime, lifetime_from, refresh_ahead: Duration::ZERO, ..stored.clone() };
    if for_good {
        stale.must_revalidate = true;
        stale.stale_while_revalidate = Duration::ZERO;
        stale.stale_if_error = Duration::ZERO;
        stale.stale_if_down = Duration::ZERO;
        stale.soft_purge_grace = Duration::ZERO;
    }
    let is_news = lifetime < stored.lifetime || for_good && !stored.must_revalidate;
    if is_news { HeadUpdate::Outdated(Box::new(stale)) } else { HeadUpdate::None }
}

/// §3.2: each field of the new response replaces the stored one, with exceptions.
fn updated_fields(stored: &StoredResponse, response: &ResponseHead, options: &Options) -> Fields {
    let of_hop = response.fields.connection_options();
    let updates = |name: &[u8]| {
        // A cookie for the client that asked must not reach others; the representation is confirmed all the same.
        let cookie = matches!(name, b"set-cookie" | b"set-cookie2") && options.set_cookie != SetCookie::Store;
        // They describe the body that is stored; a 304 has none.
        let of_the_body = facts(name).has(Facts::BODY);
        let nominated = || of_hop.iter().any(|n| n.eq_ignore_ascii_case(name));
        let hop_by_hop = hygiene::is_hop_by_hop(name) && name != b"age";
        !(cookie || of_the_body || hop_by_hop || nominated())
    };
    let new: Fields = response.fields.iter().filter(|(name, _)| updates(name)).collect();
    let mut fields = stored.fields.clone();
    // A response without a Date was made when it arrived.
    fields.retain(|name, _| name != b"date" && !new.iter().any(|(new, _)| new == name));
    new.iter().for_each(|(name, value)| fields.push(name, value));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestHead;
    use crate::policy::storing::storable;
    use core::time::Duration;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const T0: Timestamp = Timestamp::from_secs(784_111_777);
    const T1: Timestamp = Timestamp::from_secs(784_111_877);
    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:51:17 GMT";

    fn request() -> RequestHead {
        RequestHead { fields: Fields::from_iter([(":method", "GET")]), has_body: false }
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { status, fields: fields.iter().copied().collect() }
    }

    fn stored(fields: &[(&str, &str)]) -> StoredResponse {
        let fields: Vec<_> = fields.iter().copied().chain([("cache-control", "max-age=60")]).collect();
        storable(&request(), &response(200, &fields), &Options::default(), T0, T0).unwrap()
    }

    fn update(stored: &StoredResponse, fields: &[(&str, &str)]) -> Result<StoredResponse, Unfreshened> {
        freshened(stored, &request(), &response(304, fields), &Options::default(), T1, T1)
    }

    #[test]
    fn both_validators_go_to_the_origin() {
        let both = stored(&[("etag", "W/\"x\""), ("last-modified", OLD)]);
        let expected =
            [("if-none-match", b"W/\"x\"".to_vec()), ("if-modified-since", OLD.as_bytes().to_vec())];
        assert_eq!(validators(&both), expected);
        assert_eq!(validators(&stored(&[("etag", ""), ("last-modified", "x")])), []);
        assert_eq!(validators(&StoredResponse { status: 404, ..both }), []);
    }

    #[test]
    fn a_304_confirms_only_the_response_it_is_about() {
        let strong = stored(&[("etag", "\"x\""), ("last-modified", OLD)]);
        let weak = stored(&[("etag", "W/\"x\"")]);
        let dated = stored(&[("last-modified", OLD)]);
        for (stored, fields, expected) in [
            (&strong, &[("etag", "\"x\"")][..], true),
            (&strong, &[("etag", "\"y\"")], false),
            (&strong, &[("etag", "\"y\""), ("last-modified", OLD)], false),
            (&strong, &[("etag", "W/\"x\"")], true),
            (&strong, &[("last-modified", OLD)], true),
            (&strong, &[("last-modified", DATE)], false),
            (&strong, &[], true),
            (&weak, &[("etag", "\"x\"")], true),
            (&weak, &[("last-modified", OLD)], false),
            (&dated, &[("last-modified", "Sunday, 06-Nov-94 08:49:36 GMT")], true),
            (&dated, &[("etag", "\"x\"")], false),
            (&dated, &[("etag", "\"x\""), ("last-modified", OLD)], false),
            (&dated, &[("etag", "W/\"x\""), ("last-modified", OLD)], true),
            (&dated, &[("etag", "W/\"x\""), ("last-modified", DATE)], false),
            (&dated, &[("etag", "W/\"x\"")], false),
        ] {
            assert_eq!(confirms(stored, &response(304, fields)), expected, "{fields:?}");
        }
        assert!(!confirms(&strong, &response(200, &[])));
    }

    #[test]
    fn a_304_updates_fields_and_makes_the_response_fresh_again() {
        let stored =
            stored(&[("etag", "\"x\""), ("a", "1"), ("a", "2"), ("b", "1"), ("content-type", "a/b")]);
        let new =
            [("etag", "\"x\""), ("a", "3"), ("cache-control", "max-age=9"), ("date", LATER), ("age", "2")];
        let updated = update(&stored, &new).unwrap();
        let fields = [
            ("b", "1"),
            ("content-type", "a/b"),
            ("etag", "\"x\""),
            ("a", "3"),
            ("cache-control", "max-age=9"),
            ("date", LATER),
        ];
        assert_eq!(updated.fields, Fields::from_iter(fields));
        assert_eq!((updated.response_time, updated.initial_age), (T1, Duration::from_secs(2)));
        assert_eq!(updated.lifetime, Duration::from_secs(9));
    }

    #[test]
    fn a_304_without_a_date_was_made_when_it_arrived() {
        let updated = update(&stored(&[("etag", "\"x\""), ("date", DATE)]), &[]).unwrap();
        assert_eq!(updated.fields.get("date"), Some(LATER.as_bytes()));
        assert_eq!((updated.initial_age, updated.lifetime), (Duration::ZERO, Duration::from_secs(60)));
    }

    #[test]
    fn what_describes_the_body_and_what_concerns_one_client_is_not_updated() {
        let stored =
            stored(&[("etag", "\"x\""), ("content-encoding", "br"), ("content-md5", "1"), ("k", "1")]);
        let new = [
            ("content-encoding", "gzip"),
            ("content-md5", "2"),
            ("content-length", "0"),
            ("content-range", "bytes 0-1/2"),
            ("set-cookie", "a=b"),
            ("connection", "k"),
            ("k", "2"),
            ("x-envoy-upstream-service-time", "3"),
            ("content-type", "c/d"),
        ];
        let updated = update(&stored, &new).unwrap().fields;
        for (name, expected) in [
            ("content-encoding", Some("br")),
            ("content-md5", Some("1")),
            ("content-length", None),
            ("content-range", None),
            ("set-cookie", None),
            ("connection", None),
            ("k", Some("1")),
            ("x-envoy-upstream-service-time", None),
            ("content-type", Some("c/d")),
        ] {
            assert_eq!(updated.get(name), expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn a_304_can_end_the_storing() {
        let stored = stored(&[("etag", "\"x\""), ("a", "1")]);
        for (name, value, reason) in [
            ("cache-control", "no-store", NotStored::NoStore),
            ("cache-control", "private", NotStored::Private),
            ("vary", "*", NotStored::VaryAny),
        ] {
            let Err(Unfreshened::Drop { once, why }) = update(&stored, &[(name, value), ("age", "3")]) else {
                panic!("{name}: {value} is not to be stored");
            };
            assert_eq!(why, reason);
            // The client that asked gets the new word, so that no cache behind us obeys the old one.
            assert_eq!(
                (once.fields.get(name), once.fields.get("a")),
                (Some(value.as_bytes()), Some(&b"1"[..]))
            );
            assert_eq!((once.response_time, once.initial_age), (T1, Duration::from_secs(3)));
        }
        assert!(update(&stored, &[("cache-control", "no-cache")]).unwrap().no_cache);
    }

    #[test]
    fn a_request_that_must_leave_no_trace_leaves_what_is_stored_as_it_is() {
        let stored = stored(&[("etag", "\"x\"")]);
        let strict = Options { cookies_need_public: true, ..Options::default() };
        for (name, value, reason) in [
            ("cache-control", "no-store", NotStored::RequestNoStore),
            ("authorization", "x", NotStored::Authorization),
            ("cookie", "a=b", NotStored::Cookie),
        ] {
            let fields = Fields::from_iter([(":method", "GET"), (name, value)]);
            let request = RequestHead { fields, has_body: false };
            let got = freshened(&stored, &request, &response(304, &[]), &strict, T1, T1);
            assert!(matches!(got, Err(Unfreshened::Keep { why, .. }) if why == reason), "{name}");
            let head = response(200, &[("content-length", "10")]);
            assert_eq!(updated_by_head(&stored, 10, &request, &head, &strict, (T1, T1)), HeadUpdate::None);
        }
    }

    #[test]
    fn a_304_about_something_else_means_to_ask_again() {
        let stored = stored(&[("etag", "\"x\"")]);
        assert_eq!(update(&stored, &[("etag", "\"y\"")]), Err(Unfreshened::Refetch));
        assert_eq!(NotStored::from(Unfreshened::Refetch), NotStored::Status);
    }

    #[test]
    fn a_head_updates_what_is_stored_or_makes_it_stale() {
        let stored = StoredResponse {
            stale_if_error: Duration::from_secs(9),
            ..stored(&[("etag", "\"x\""), ("a", "1"), ("vary", "b")])
        };
        let soon = T0.after(Duration::from_secs(10));
        let head = |stored: &StoredResponse, status, fields: &[(&str, &str)], sent: &[(&str, &str)]| {
            let request = RequestHead { fields: sent.iter().copied().collect(), has_body: false };
            let times = (soon, soon);
            updated_by_head(stored, 10, &request, &response(status, fields), &Options::default(), times)
        };
        for (status, fields, windows) in [
            (200, &[("etag", "\"y\"")][..], Some(9)),
            (200, &[("etag", "\"y\""), ("cache-control", "no-store")], Some(9)),
            (200, &[("content-length", "11")], Some(9)),
            (200, &[("last-modified", OLD)], Some(9)),
            (200, &[("vary", "c")], Some(9)),
            (200, &[("cache-control", "no-store")], Some(0)),
            (200, &[("cache-control", "private")], Some(0)),
            (200, &[("etag", "\"y\""), ("cache-control", "private")], None),
            (404, &[("etag", "\"y\"")], None),
            (304, &[("etag", "\"y\"")], None),
        ] {
            let got = match head(&stored, status, fields, &[]) {
                HeadUpdate::Outdated(stale) => {
                    assert_eq!(stale.lifetime, Duration::from_secs(10), "{status} {fields:?}");
                    assert!(head(&stale, status, fields, &[]) == HeadUpdate::None, "once: {fields:?}");
                    Some(stale.stale_if_error.as_secs())
                }
                HeadUpdate::None => None,
                HeadUpdate::Freshened(_) => panic!("{status} {fields:?}"),
            };
            assert_eq!(got, windows, "{status} {fields:?}");
        }
        let changed = &[("etag", "\"y\"")][..];
        assert_eq!(head(&stored, 200, changed, &[("authorization", "x")]), HeadUpdate::None);
        assert_eq!(head(&stored, 200, changed, &[("cache-control", "no-store")]), HeadUpdate::None);
        let HeadUpdate::Freshened(updated) = head(&stored, 200, &[("content-length", "10"), ("a", "2")], &[])
        else {
            panic!("the same length and no other validator");
        };
        assert_eq!((updated.fields.get("a"), updated.response_time), (Some(&b"2"[..]), soon));
    }
}
