//! The answer to a request from a stored response: conditions, ranges, HEAD, `Age` (RFC 9111 §4 and §4.3.2, RFC 9110
//! §13 and §14).

use core::time::Duration;

use crate::http::etag::{self, EntityTag};
use crate::http::range::{self, Selection};
use crate::http::{Facts, Fields, RequestHead, date, facts, mark, marks};

use super::StoredResponse;

/// Which part of the stored body goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyPart {
    /// Nothing.
    None,
    /// All of it.
    Whole,
    /// A part that is not empty.
    Range {
        /// Its first byte, counted from the first that is stored.
        start: u64,
        /// How many bytes.
        len: u64,
    },
}

/// An answer from the cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields. `Content-Length` is among them only for HEAD, where no body tells it.
    pub fields: Fields,
    /// The body.
    pub body: BodyPart,
}

/// Answers a request from a stored response that may be reused, whose body has `body_bytes` bytes.
///
/// A stored part answers only what [`super::reuse()`] lets it answer: ranges within it.
#[must_use]
pub fn answer(stored: &StoredResponse, body_bytes: u64, request: &RequestHead, age: Duration) -> Answer {
    let asks = Conditions::of(request);
    let head = request.method() == b"HEAD";
    // RFC 9110 §13.2.1: conditions count only where the answer would be a 2xx without them.
    if matches!(stored.status, 200..300) && asks.not_modified(stored) {
        return Answer { status: 304, fields: not_modified_fields(stored, age), body: BodyPart::None };
    }
    if let Some(range) = stored.range {
        return of_a_part(stored, range, body_bytes, request, age);
    }
    // §14.2: Range is defined for GET.
    let partial_get = request.method() == b"GET" && asks.range.is_some();
    if stored.status == 200 && partial_get && asks.if_range_holds(stored) {
        match range::select(asks.range.unwrap_or_default(), body_bytes) {
            Selection::Part { start, len } => {
                let content_range = range::content_range(start, len, Some(body_bytes));
                return partial(stored, content_range, age, BodyPart::Range { start, len });
            }
            Selection::Unsatisfiable => return unsatisfiable(stored, body_bytes, age),
            Selection::Whole => {}
        }
    }
    whole(stored, body_bytes, age, head)
}

fn whole(stored: &StoredResponse, body_bytes: u64, age: Duration, head: bool) -> Answer {
    let mut fields = with_age(stored.fields.copied(ROOM), age);
    let bodiless = matches!(stored.status, 204 | 205 | 304);
    if head && !bodiless {
        // RFC 9110 §8.6: what a GET would have been sent with.
        fields.push("content-length", body_bytes.to_string());
    }
    let body = if head || bodiless || body_bytes == 0 { BodyPart::None } else { BodyPart::Whole };
    Answer { status: stored.status, fields, body }
}

fn partial(stored: &StoredResponse, content_range: String, age: Duration, body: BodyPart) -> Answer {
    let mut fields = with_age(stored.fields.copied(ROOM), age);
    fields.set("content-range", content_range);
    Answer { status: 206, fields, body }
}

/// RFC 9111 §3.3: a stored part answers only ranges within it.
fn of_a_part(
    stored: &StoredResponse,
    (first, _, complete): (u64, u64, Option<u64>),
    body_bytes: u64,
    request: &RequestHead,
    age: Duration,
) -> Answer {
    match super::partial::covered(stored, request) {
        Some((start, len)) if start - first + len <= body_bytes => {
            let body = BodyPart::Range { start: start - first, len };
            partial(stored, range::content_range(start, len, complete), age, body)
        }
        // Nobody who asked `reuse` gets here; the part must not be taken for more than it is.
        _ => Answer { status: 504, fields: Fields::new(), body: BodyPart::None },
    }
}

/// §15.5.17. It is our own answer, not the stored one: of that it has what tells the representation.
fn unsatisfiable(stored: &StoredResponse, body_bytes: u64, age: Duration) -> Answer {
    let mut fields = Fields::new();
    for name in ["date", "etag", "last-modified", "vary", "cache-control"] {
        stored.fields.get_all(name).for_each(|value| fields.push(name, value));
    }
    fields.push("content-range", range::unsatisfied(body_bytes));
    // It has a lifetime, and is as old as what it speaks of.
    let fields = with_age(fields, age);
    Answer { status: 416, fields, body: BodyPart::None }
}

/// What the client has with its representation.
const METADATA: Facts = Facts::BODY.and(Facts::REPRESENTATION);
const METADATA_MARKS: u64 = marks(METADATA);

/// §15.4.5: without the metadata that the client has with its representation.
fn not_modified_fields(stored: &StoredResponse, age: Duration) -> Fields {
    let tagged = stored.fields.contains("etag");
    let is_sent = |name: &[u8]| match name {
        b"last-modified" => !tagged,
        // RFC 9110 §15.4.5: no "representation metadata other than the above listed fields".
        _ => METADATA_MARKS & mark(name) == 0 || !facts(name).has(METADATA),
    };
    with_age(stored.fields.kept(ROOM, |name, _| is_sent(name)), age)
}

/// Room in the fields for what a reply says of itself.
const ROOM: usize = 160;

fn with_age(mut fields: Fields, age: Duration) -> Fields {
    fields.push("age", itoa::Buffer::new().format(age.as_secs()));
    fields
}

/// The fields of a request that make it conditional or partial.
pub(super) struct Conditions<'a> {
    if_none_match: Vec<&'a [u8]>,
    if_modified_since: Vec<&'a [u8]>,
    if_range: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(request: &'a RequestHead) -> Self {
        let lines = |name: &'static str| request.fields.get_all(name);
        Conditions {
            if_none_match: lines("if-none-match").collect(),
            if_modified_since: lines("if-modified-since").collect(),
            if_range: lines("if-range").last(),
            range: lines("range").last(),
        }
    }

    fn not_modified(&self, stored: &StoredResponse) -> bool {
        // §13.1.3: "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match".
        if !self.if_none_match.is_empty() {
            return etag::listed(self.if_none_match.iter().copied(), stored.fields.get("etag"));
        }
        let [since] = *self.if_modified_since else { return false };
        let Some(since) = date::parse(since) else { return false };
        // RFC 9111 §4.3.2: Last-Modified; else Date, which a stored response always has.
        let modified = match stored.fields.get("last-modified") {
            Some(value) => date::parse(value),
            None => stored.fields.get("date").and_then(date::parse),
        };
        modified.is_some_and(|modified| modified <= since)
    }

    /// §13.1.5: without If-Range, or with the strong validator that it names.
    pub(super) fn if_range_holds(&self, stored: &StoredResponse) -> bool {
        let Some(value) = self.if_range.map(<[u8]>::trim_ascii) else { return true };
        if value.starts_with(b"\"") || value.starts_with(b"W/") {
            let current = stored.fields.get("etag").and_then(EntityTag::parse);
            return current.zip(EntityTag::parse(value)).is_some_and(|(a, b)| a.strong_eq(&b));
        }
        let stored_date = |name| stored.fields.get(name).and_then(date::parse);
        match (date::parse(value), stored_date("last-modified"), stored_date("date")) {
            // §8.8.2.2: a date is a strong validator when it is at least a second before that of the response.
            (Some(named), Some(modified), Some(date)) => named == modified && modified.secs() < date.secs(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::LifetimeSource;
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn stored(status: u16, fields: &[(&str, &str)]) -> StoredResponse {
        StoredResponse {
            status,
            fields: fields.iter().copied().chain([("date", DATE)]).collect(),
            response_time: Timestamp(0),
            initial_age: Duration::ZERO,
            lifetime: Duration::from_secs(60),
            lifetime_from: LifetimeSource::MaxAge,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            soft_purge_grace: Duration::ZERO,
            stale_if_down: Duration::ZERO,
            refresh_ahead: Duration::ZERO,
            keep: Duration::ZERO,
            must_revalidate: false,
            no_cache: false,
            immutable: false,
            vary: Vec::new(),
            range: None,
        }
    }

    fn ask(stored: &StoredResponse, method: &str, sent: &[(&str, &str)]) -> Answer {
        let fields = [(":method", method)].into_iter().chain(sent.iter().copied()).collect();
        answer(stored, 10, &RequestHead { fields, has_body: false }, Duration::from_millis(7999))
    }

    fn status(stored: &StoredResponse, sent: &[(&str, &str)]) -> u16 {
        ask(stored, "GET", sent).status
    }

    #[test]
    fn a_hit_has_the_stored_fields_and_an_age() {
        let got = ask(&stored(200, &[("etag", "\"x\"")]), "GET", &[]);
        let fields = Fields::from_iter([("etag", "\"x\""), ("date", DATE), ("age", "7")]);
        assert_eq!(got, Answer { status: 200, fields, body: BodyPart::Whole });
    }

    #[test]
    fn head_has_the_length_but_not_the_body() {
        let got = ask(&stored(404, &[]), "HEAD", &[("range", "bytes=0-1")]);
        assert_eq!((got.status, got.body), (404, BodyPart::None));
        assert_eq!(got.fields.get("content-length"), Some(&b"10"[..]));
        assert!(!ask(&stored(204, &[]), "HEAD", &[]).fields.contains("content-length"));
    }

    #[test]
    fn if_none_match_and_if_modified_since_make_a_304() {
        let tagged = stored(200, &[("etag", "\"x\""), ("last-modified", OLD)]);
        let weak = stored(200, &[("etag", "W/\"x\"")]);
        let dated = stored(200, &[("last-modified", OLD)]);
        let bare = stored(200, &[]);
        let missing = stored(404, &[("etag", "\"x\"")]);
        for (stored, sent, expected) in [
            (&missing, &[("if-none-match", "\"x\"")][..], 404),
            (&tagged, &[("if-none-match", "\"x\"")], 304),
            (&tagged, &[("if-none-match", "\"y\"")], 200),
            (&tagged, &[("if-none-match", "\"y\""), ("if-none-match", "W/\"x\"")], 304),
            (&tagged, &[("if-none-match", "x")], 304),
            (&tagged, &[("if-none-match", "\"y\""), ("if-modified-since", NEW)], 200),
            (&tagged, &[("if-none-match", "\"x\""), ("if-modified-since", "x")], 304),
            (&weak, &[("if-none-match", "\"x\"")], 304),
            (&bare, &[("if-none-match", "*")], 304),
            (&bare, &[("if-none-match", "\"x\"")], 200),
            (&dated, &[("if-modified-since", OLD)], 304),
            (&dated, &[("if-modified-since", "Sunday, 06-Nov-94 08:49:36 GMT")], 304),
            (&dated, &[("if-modified-since", NEW)], 304),
            (&dated, &[("if-modified-since", "Sun, 06 Nov 1994 08:49:35 GMT")], 200),
            (&dated, &[("if-modified-since", "x")], 200),
            (&dated, &[("if-modified-since", NEW), ("if-modified-since", NEW)], 200),
            (&bare, &[("if-modified-since", DATE)], 304),
            (&bare, &[("if-modified-since", OLD)], 200),
            (&bare, &[("if-match", "\"other\"")], 200),
        ] {
            assert_eq!(status(stored, sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_304_has_no_metadata_of_the_representation() {
        let stored = stored(
            200,
            &[
                ("content-type", "a/b"),
                ("content-encoding", "gzip"),
                ("content-language", "de"),
                ("content-md5", "x"),
                ("content-digest", "x"),
                ("content-location", "/x"),
                ("etag", "\"x\""),
                ("last-modified", OLD),
                ("vary", "a"),
                ("cache-control", "max-age=60"),
            ],
        );
        let got = ask(&stored, "HEAD", &[("if-none-match", "\"x\"")]);
        let fields = Fields::from_iter([
            ("content-location", "/x"),
            ("etag", "\"x\""),
            ("vary", "a"),
            ("cache-control", "max-age=60"),
            ("date", DATE),
            ("age", "7"),
        ]);
        assert_eq!(got, Answer { status: 304, fields, body: BodyPart::None });
    }

    #[test]
    fn ranges_are_cut_from_the_stored_body() {
        let stored = stored(200, &[("etag", "\"x\""), ("last-modified", OLD)]);
        for (sent, status, body, content_range) in [
            (&[("range", "bytes=2-3")][..], 206, BodyPart::Range { start: 2, len: 2 }, Some("bytes 2-3/10")),
            (&[("range", "bytes=-1")], 206, BodyPart::Range { start: 9, len: 1 }, Some("bytes 9-9/10")),
            (&[("range", "bytes=10-")], 416, BodyPart::None, Some("bytes */10")),
            (&[("range", "bytes=0-0,9-9")], 200, BodyPart::Whole, None),
            (
                &[("range", "bytes=0-0"), ("if-range", "\"x\"")],
                206,
                BodyPart::Range { start: 0, len: 1 },
                Some("bytes 0-0/10"),
            ),
            (&[("range", "bytes=0-0"), ("if-range", "W/\"x\"")], 200, BodyPart::Whole, None),
            (&[("range", "bytes=0-0"), ("if-range", "\"y\"")], 200, BodyPart::Whole, None),
            (
                &[("range", "bytes=0-0"), ("if-range", OLD)],
                206,
                BodyPart::Range { start: 0, len: 1 },
                Some("bytes 0-0/10"),
            ),
            (&[("range", "bytes=0-0"), ("if-range", NEW)], 200, BodyPart::Whole, None),
            (&[("range", "bytes=0-0"), ("if-none-match", "\"x\"")], 304, BodyPart::None, None),
        ] {
            let got = ask(&stored, "GET", sent);
            assert_eq!((got.status, got.body), (status, body), "{sent:?}");
            assert_eq!(got.fields.get("content-range"), content_range.map(str::as_bytes), "{sent:?}");
        }
    }

    #[test]
    fn a_date_as_young_as_the_response_is_no_strong_validator() {
        let stored = stored(200, &[("last-modified", DATE)]);
        assert_eq!(status(&stored, &[("range", "bytes=0-0"), ("if-range", DATE)]), 200);
    }
}
