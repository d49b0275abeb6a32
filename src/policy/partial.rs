//! Parts of a representation (RFC 9111 §3.3 and §3.4, RFC 9110 §14 and §15.3.7): which are stored, which requests they
//! answer, and how they become one.
//!
//! Only parts with a strong entity tag are stored: it is what says that two of them belong together.

use crate::http::etag::EntityTag;
use crate::http::{Fields, RequestHead, ResponseHead, range};

use super::StoredResponse;
use super::answer::Conditions;

/// First and last byte position, and the complete length where it is known.
type Part = (u64, u64, Option<u64>);

/// The part that a 206 brings, when it is one to store: asked for with `Range`, a single part in bytes, with a strong
/// entity tag.
pub(super) fn received(request: &RequestHead, response: &ResponseHead) -> Option<Part> {
    // Several parts come as multipart/byteranges, without a Content-Range of the response (RFC 9110 §15.3.7.2).
    let mut ranges = response.fields.get_all("content-range");
    let (Some(value), None) = (ranges.next(), ranges.next()) else { return None };
    let part = range::parse_content_range(value)?;
    let asked = request.method() == b"GET" && request.fields.contains("range");
    let (first, last, _) = part;
    // What the body would have to be is checked against its length before it is announced as more than it is.
    let fits = response.content_length().is_none_or(|length| last - first == length.wrapping_sub(1));
    (asked && fits && strong_tag(&response.fields).is_some()).then_some(part)
}

/// Whether a body has as many bytes as the stored response says: to be asked before a part is stored.
#[must_use]
pub fn is_whole_part(stored: &StoredResponse, body_bytes: u64) -> bool {
    stored.range.is_none_or(|(first, last, _)| last - first == body_bytes.wrapping_sub(1))
}

/// The bytes of a stored part that answer a request, as first position and length; none when it wants others, or all.
#[must_use]
pub fn covered(stored: &StoredResponse, request: &RequestHead) -> Option<(u64, u64)> {
    let (first, last, complete) = stored.range?;
    let asks = Conditions::of(request);
    let asked = asks.range.filter(|_| request.method() == b"GET" && asks.if_range_holds(stored))?;
    range::select_within(asked, first, last, complete)
}

/// The fields that make a GET ask for just what a stored part lacks: `Range` and `If-Range`; empty when that is not one
/// range, or when there is no part. If the representation has changed meanwhile, the answer is a 200 with all of it.
#[must_use]
pub fn completing(stored: &StoredResponse) -> Vec<(&'static str, Vec<u8>)> {
    let missing = match stored.range {
        Some((0, last, complete)) if complete.is_none_or(|complete| last.saturating_add(1) < complete) => {
            format!("bytes={}-", last.saturating_add(1))
        }
        Some((first, last, Some(complete))) if first > 0 && last.saturating_add(1) == complete => {
            format!("bytes=0-{}", first - 1)
        }
        _ => return Vec::new(),
    };
    let Some(etag) = stored.fields.get("etag") else { return Vec::new() };
    vec![("range", missing.into_bytes()), ("if-range", etag.to_vec())]
}

/// Two parts of one representation as one response (§3.4), the new one just received; none when they do not belong
/// together: another strong entity tag, a gap between them, or bytes that are not what they claim to be; and when they
/// would have more than `bytes_max` together, which is known before a byte is copied.
///
/// Either may be the whole. What comes of it is whole when [`StoredResponse::range`] is none.
#[must_use]
pub fn combine(
    (stored, stored_body): (&StoredResponse, &[u8]),
    (new, new_body): (&StoredResponse, &[u8]),
    bytes_max: u64,
) -> Option<(StoredResponse, Vec<u8>)> {
    if stored.status != 200 || new.status != 200 || !same_representation(stored, new) {
        return None;
    }
    let old = part(stored, stored_body)?;
    let added = part(new, new_body)?;
    let complete = match (old.2, added.2) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    let (first, last) = (old.0.min(added.0), old.1.max(added.1));
    if last - first >= bytes_max || complete.is_some_and(|complete| last >= complete) {
        return None;
    }
    let body = joined((old.0, stored_body), (added.0, new_body))?;
    let whole = first == 0 && complete == last.checked_add(1);
    let range = (!whole).then_some((first, last, complete));
    let vary = if new.fields.contains("vary") || stored.vary.is_empty() { &new.vary } else { &stored.vary };
    let fields = updated(&stored.fields, &new.fields);
    Some((StoredResponse { fields, vary: vary.clone(), range, ..new.clone() }, body))
}

/// Whether what a stored part lacks may be fetched with a chance that all of it can be stored: not where nobody knows how
/// much that is, or where it is too much.
#[must_use]
pub fn may_be_completed(stored: &StoredResponse, bytes_max: u64) -> bool {
    stored.range.is_none_or(|(_, _, complete)| complete.is_some_and(|complete| complete <= bytes_max))
}

fn strong_tag(fields: &Fields) -> Option<EntityTag<'_>> {
    fields.get("etag").and_then(EntityTag::parse).filter(|etag| !etag.weak)
}

fn same_representation(a: &StoredResponse, b: &StoredResponse) -> bool {
    // Of two codings the bytes do not fit, whatever their tag says.
    let coding = |of: &StoredResponse| of.fields.combined("content-encoding");
    if coding(a) != coding(b) {
        return false;
    }
    strong_tag(&a.fields).zip(strong_tag(&b.fields)).is_some_and(|(a, b)| a.strong_eq(&b))
}

/// Which part a body is; none when it has another length.
fn part(stored: &StoredResponse, body: &[u8]) -> Option<Part> {
    let bytes = body.len() as u64;
    match stored.range {
        Some(part) => is_whole_part(stored, bytes).then_some(part),
        None => Some((0, bytes.checked_sub(1)?, Some(bytes))),
    }
}

/// Two stretches of bytes that touch or overlap as one; none when there is a gap, or when they differ where both have
/// something to say.
fn joined(a: (u64, &[u8]), b: (u64, &[u8])) -> Option<Vec<u8>> {
    let ((start, first), (next, second)) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let offset = usize::try_from(next - start).ok()?;
    let overlap = first.get(offset..)?;
    let shared = overlap.len().min(second.len());
    if overlap.get(..shared)? != second.get(..shared)? {
        return None;
    }
    let mut body = Vec::with_capacity(first.len() + second.len() - shared);
    body.extend_from_slice(first);
    body.extend_from_slice(second.get(shared..)?);
    Some(body)
}

/// §3.2: the new fields replace those of the same name.
fn updated(stored: &Fields, new: &Fields) -> Fields {
    let mut fields = stored.clone();
    fields.retain(|name, _| !new.iter().any(|(new, _)| new == name));
    new.iter().for_each(|(name, value)| fields.push(name, value));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;
    use crate::outcome::{ForwardReason, NotStored};
    use crate::policy::{Answer, BodyPart, Invalidated, Reuse, answer, reuse, storable, validators};
    use crate::time::Timestamp;
    use core::time::Duration;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const T0: Timestamp = Timestamp::from_secs(784_111_777);
    const ALL: &[u8] = b"0123456789";

    fn get(more: &[(&str, &str)]) -> RequestHead {
        let target = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
        RequestHead { fields: target.into_iter().chain(more.iter().copied()).collect(), has_body: false }
    }

    fn receive(content_range: &str, etag: &str, more: &[(&str, &str)]) -> Result<StoredResponse, NotStored> {
        let fields = [("content-range", content_range), ("etag", etag), ("cache-control", "max-age=60")];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty()).chain(more.iter().copied());
        let response = ResponseHead { status: 206, fields: fields.collect() };
        storable(&get(&[("range", "bytes=0-1")]), &response, &Options::default(), T0, T0)
    }

    fn stored(first: u64, last: u64, complete: Option<u64>) -> StoredResponse {
        receive(&range::content_range(first, last - first + 1, complete), "\"x\"", &[("a", "1")]).unwrap()
    }

    fn body(first: usize, last: usize) -> &'static [u8] {
        &ALL[first..=last]
    }

    #[test]
    fn a_206_is_stored_when_it_can_be_combined() {
        for (content_range, etag, more, expected) in [
            ("bytes 2-4/10", "\"x\"", &[][..], Ok(Some((2, 4, Some(10))))),
            ("bytes 2-4/*", "\"x\"", &[], Ok(Some((2, 4, None)))),
            ("bytes 2-4/10", "\"x\"", &[("content-length", "3")], Ok(Some((2, 4, Some(10))))),
            ("bytes 2-4/10", "\"x\"", &[("content-length", "4")], Err(NotStored::Partial)),
            ("bytes 2-4/10", "W/\"x\"", &[], Err(NotStored::Partial)),
            ("bytes 2-4/10", "x", &[], Err(NotStored::Partial)),
            (
                "bytes 2-4/10",
                "",
                &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
                Err(NotStored::Partial),
            ),
            ("", "\"x\"", &[("content-type", "multipart/byteranges; boundary=b")], Err(NotStored::Partial)),
            ("bytes 4-2/10", "\"x\"", &[], Err(NotStored::Partial)),
        ] {
            let range = receive(content_range, etag, more).map(|stored| stored.range);
            assert_eq!(range, expected, "{content_range} {etag} {more:?}");
        }
        let part = stored(2, 4, Some(10));
        assert_eq!((part.status, part.fields.get("content-range")), (200, None));
        assert_eq!(validators(&part), []);
        let unasked = ResponseHead {
            status: 206,
            fields: Fields::from_iter([("content-range", "bytes 0-1/2"), ("etag", "\"x\"")]),
        };
        assert_eq!(storable(&get(&[]), &unasked, &Options::default(), T0, T0), Err(NotStored::Partial));
    }

    #[test]
    fn a_part_answers_ranges_within_it_and_nothing_else() {
        let part = stored(2, 6, Some(10));
        for (sent, expected) in [
            (&[("range", "bytes=3-4")][..], Some((1, 2, "bytes 3-4/10"))),
            (&[("range", "bytes=2-6")], Some((0, 5, "bytes 2-6/10"))),
            (&[("range", "bytes=3-4"), ("if-range", "\"x\"")], Some((1, 2, "bytes 3-4/10"))),
            (&[("range", "bytes=3-4"), ("if-range", "\"y\"")], None),
            (&[("range", "bytes=3-7")], None),
            (&[("range", "bytes=-4")], None),
            (&[("range", "bytes=10-")], None),
            (&[], None),
        ] {
            let request = get(sent);
            let found = reuse(&part, &request, &Options::default(), Invalidated::No, T0);
            let Answer { status, fields, body } = answer(&part, 5, &request, Duration::ZERO);
            match expected {
                Some((start, len, content_range)) => {
                    assert!(matches!(found, Reuse::Fresh { .. }), "{sent:?}");
                    assert_eq!((status, body), (206, BodyPart::Range { start, len }), "{sent:?}");
                    assert_eq!(fields.get("content-range"), Some(content_range.as_bytes()));
                }
                None => {
                    assert_eq!(found, Reuse::Validate(ForwardReason::Partial), "{sent:?}");
                    assert_eq!((status, body), (504, BodyPart::None), "{sent:?}");
                }
            }
        }
        let head = RequestHead {
            fields: Fields::from_iter([(":method", "HEAD"), ("range", "bytes=3-4")]),
            has_body: false,
        };
        assert_eq!(covered(&part, &head), None);
    }

    fn combine(
        stored: (&StoredResponse, &[u8]),
        new: (&StoredResponse, &[u8]),
    ) -> Option<(StoredResponse, Vec<u8>)> {
        super::combine(stored, new, u64::MAX)
    }

    #[test]
    fn parts_that_would_be_too_much_together_stay_apart() {
        let (old, new) = (stored(0, 4, Some(10)), stored(5, 9, Some(10)));
        let both = |bytes_max| super::combine((&old, body(0, 4)), (&new, body(5, 9)), bytes_max);
        assert!(both(10).is_some() && both(9).is_none() && both(0).is_none());
        let inner = stored(2, 3, Some(10));
        assert!(super::combine((&old, body(0, 4)), (&inner, body(2, 3)), 5).is_some());
    }

    #[test]
    fn a_part_is_completed_only_where_all_of_it_can_be_stored() {
        for (part, bytes_max, expected) in [
            (stored(0, 0, Some(10)), 10, true),
            (stored(0, 0, Some(10)), 9, false),
            (stored(0, 0, None), u64::MAX, false),
            (StoredResponse { range: None, ..stored(0, 4, Some(5)) }, 1, true),
        ] {
            assert_eq!(may_be_completed(&part, bytes_max), expected, "{:?}, {bytes_max}", part.range);
        }
    }

    #[test]
    fn parts_that_touch_or_overlap_become_one() {
        for ((a, b), (c, d), expected) in [
            ((0, 4), (5, 9), Some(None)),
            ((5, 9), (0, 4), Some(None)),
            ((0, 6), (3, 9), Some(None)),
            ((2, 4), (5, 6), Some(Some((2, 6, Some(10))))),
            ((2, 8), (3, 4), Some(Some((2, 8, Some(10))))),
            ((3, 4), (2, 8), Some(Some((2, 8, Some(10))))),
            ((0, 2), (4, 9), None),
        ] {
            let (old, new) = (stored(a, b, Some(10)), stored(c, d, Some(10)));
            let at = |first, last| body(first as usize, last as usize);
            let combined = combine((&old, at(a, b)), (&new, at(c, d)));
            assert_eq!(combined.as_ref().map(|(stored, _)| stored.range), expected, "{a}-{b} {c}-{d}");
            if let Some((stored, bytes)) = combined {
                let (first, last, _) = stored.range.unwrap_or((0, 9, None));
                assert_eq!(bytes, at(first, last));
            }
        }
    }

    #[test]
    fn parts_of_different_representations_stay_apart() {
        let old = stored(0, 4, Some(10));
        let other_tag = receive("bytes 5-9/10", "\"y\"", &[]).unwrap();
        let other_length = stored(5, 9, Some(11));
        assert_eq!(combine((&old, body(0, 4)), (&other_tag, body(5, 9))), None);
        assert_eq!(combine((&old, body(0, 4)), (&other_length, body(5, 9))), None);
        assert_eq!(combine((&old, body(0, 4)), (&stored(4, 9, Some(10)), b"x56789")), None, "other bytes");
        assert_eq!(combine((&old, body(0, 3)), (&stored(5, 9, Some(10)), body(5, 9))), None, "too few bytes");
    }

    #[test]
    fn the_new_fields_replace_the_old_ones() {
        let old = StoredResponse { vary: vec!["b".into()], ..stored(0, 4, None) };
        let new = receive("bytes 5-9/10", "\"x\"", &[("a", "2"), ("c", "3")]).unwrap();
        let (combined, bytes) = combine((&old, body(0, 4)), (&new, body(5, 9))).unwrap();
        assert_eq!((combined.fields.get("a"), combined.fields.get("c")), (Some(&b"2"[..]), Some(&b"3"[..])));
        assert_eq!((combined.range, combined.vary, bytes), (None, vec!["b".to_owned()], ALL.to_vec()));
        let whole = StoredResponse { range: None, ..old };
        let (again, bytes) = combine((&whole, ALL), (&new, body(5, 9))).unwrap();
        assert_eq!((again.range, bytes), (None, ALL.to_vec()));
    }

    #[test]
    fn what_is_missing_can_be_asked_for() {
        let range = |part: &StoredResponse| completing(part).first().map(|(_, value)| value.clone());
        assert_eq!(range(&stored(0, 4, Some(10))).as_deref(), Some(&b"bytes=5-"[..]));
        assert_eq!(range(&stored(0, 4, None)).as_deref(), Some(&b"bytes=5-"[..]));
        assert_eq!(range(&stored(5, 9, Some(10))).as_deref(), Some(&b"bytes=0-4"[..]));
        assert_eq!(range(&stored(2, 4, Some(10))), None);
        assert_eq!(range(&StoredResponse { range: None, ..stored(0, 4, Some(5)) }), None);
        assert_eq!(completing(&stored(0, 4, None))[1], ("if-range", b"\"x\"".to_vec()));
    }
}
