//! Byte ranges: `Range` and `Content-Range` (RFC 9110 §14).

use super::list;
use crate::sorting::sort_by;

/// The most ranges of one request that are looked at. Beyond it the request gets the whole representation.
const RANGES_MAX: usize = 16;

/// What a `Range` field selects of a representation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All of it: the field is invalid, of another unit, or selects parts that do not join up.
    Whole,
    /// One part that is not empty.
    Part {
        /// Its first byte.
        start: u64,
        /// How many bytes.
        len: u64,
    },
    /// No byte of it (§14.1.2): 416.
    Unsatisfiable,
}

/// What `range` selects of a representation of `complete` bytes.
///
/// Parts that overlap or touch are joined, as §15.3.7.2 allows. Several that stay apart would need a
/// `multipart/byteranges`; a server may ignore `Range` (§14.2), so they select the whole.
#[must_use]
pub fn select(range: &[u8], complete: u64) -> Selection {
    let Some(specs) = parse(range) else { return Selection::Whole };
    let mut parts: Vec<(u64, u64)> = specs.iter().filter_map(|spec| spec.resolve(complete)).collect();
    sort_by(&mut parts, Ord::cmp);
    let Some(&(start, mut end)) = parts.first() else {
        // §14.1.2: a suffix of an empty representation is satisfiable, but cannot be written as a Content-Range.
        let suffix = specs.iter().any(|spec| matches!(spec, Spec::Suffix(n) if *n > 0));
        return if complete == 0 && suffix { Selection::Whole } else { Selection::Unsatisfiable };
    };
    for (first, last) in parts {
        if first > end.saturating_add(1) {
            return Selection::Whole;
        }
        end = end.max(last);
    }
    Selection::Part { start, len: end - start + 1 }
}

/// What `range` selects of a representation of which only the bytes from `first` to `last` are at hand: its first byte
/// and how many; none when that is more than there is, or nothing, or not a part.
#[must_use]
pub fn select_within(range: &[u8], first: u64, last: u64, complete: Option<u64>) -> Option<(u64, u64)> {
    // Without the complete length nothing is known of what counts from the end, or goes up to it.
    let bounded = || parse(range).is_some_and(|specs| specs.iter().all(|spec| spec.ends_by(last)));
    let complete = complete.or_else(|| bounded().then(|| last.saturating_add(1)))?;
    match select(range, complete) {
        Selection::Part { start, len } if start >= first && start.saturating_add(len - 1) <= last => {
            Some((start, len))
        }
        Selection::Part { .. } | Selection::Whole | Selection::Unsatisfiable => None,
    }
}

/// The field value of `Content-Range` for a part; the complete length where it is known.
#[must_use]
pub fn content_range(start: u64, len: u64, complete: Option<u64>) -> String {
    let last = start.saturating_add(len.saturating_sub(1));
    match complete {
        Some(complete) => format!("bytes {start}-{last}/{complete}"),
        None => format!("bytes {start}-{last}/*"),
    }
}

/// The field value of `Content-Range` for an unsatisfiable range.
#[must_use]
pub fn unsatisfied(complete: u64) -> String {
    format!("bytes */{complete}")
}

/// First and last position and, where it is known, the complete length of a `Content-Range` in bytes (§14.4).
#[must_use]
pub fn parse_content_range(value: &[u8]) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = value.trim_ascii().split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let slash = rest.iter().position(|b| *b == b'/')?;
    let (first, last) = positions(rest.get(..slash)?)?;
    let complete = match rest.get(slash + 1..)? {
        b"*" => None,
        digits => Some(number(digits)?),
    };
    let (first, last) = (first?, last?);
    (first <= last && complete.is_none_or(|complete| last < complete)).then_some((first, last, complete))
}

#[derive(Clone, Copy)]
enum Spec {
    From(u64),
    FromTo(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn ends_by(self, end: u64) -> bool {
        matches!(self, Spec::FromTo(_, last) if last <= end)
    }

    /// First and last byte; none when it is not satisfiable.
    fn resolve(self, complete: u64) -> Option<(u64, u64)> {
        let end = complete.checked_sub(1)?;
        match self {
            Spec::From(first) => (first <= end).then_some((first, end)),
            Spec::FromTo(first, last) => (first <= end).then_some((first, last.min(end))),
            Spec::Suffix(0) => None,
            Spec::Suffix(len) => Some((complete.saturating_sub(len), end)),
        }
    }
}

fn parse(range: &[u8]) -> Option<Vec<Spec>> {
    let (unit, set) = list::name_and_value(range.trim_ascii());
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for member in list::members(set?) {
        if specs.len() == RANGES_MAX {
            return None;
        }
        specs.push(match positions(member)? {
            (Some(first), Some(last)) if first <= last => Spec::FromTo(first, last),
            (Some(first), None) => Spec::From(first),
            (None, Some(len)) => Spec::Suffix(len),
            _ => return None,
        });
    }
    (!specs.is_empty()).then_some(specs)
}

fn positions(text: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let dash = text.iter().position(|b| *b == b'-')?;
    let side = |digits: &[u8]| if digits.is_empty() { Some(None) } else { number(digits).map(Some) };
    Some((side(text.get(..dash)?)?, side(text.get(dash + 1..)?)?))
}

/// A number in decimal digits; the greatest there is when it is greater.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Selection::{Part, Unsatisfiable, Whole};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_range_selects_a_part_the_whole_or_nothing() {
        for (range, complete, expected) in [
            ("bytes=0-1", 11, Part { start: 0, len: 2 }),
            ("Bytes=1-", 11, Part { start: 1, len: 10 }),
            ("bytes=-1", 11, Part { start: 10, len: 1 }),
            ("bytes=-99", 11, Part { start: 0, len: 11 }),
            ("bytes=5-99", 11, Part { start: 5, len: 6 }),
            ("bytes=0-18446744073709551999", 11, Part { start: 0, len: 11 }),
            ("bytes=11-", 11, Unsatisfiable),
            ("bytes=99999999999999999999-", 11, Unsatisfiable),
            ("bytes=-0", 11, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
            ("bytes=0-0, 1-1", 11, Part { start: 0, len: 2 }),
            ("bytes=4-6,0-5", 11, Part { start: 0, len: 7 }),
            ("bytes=0-0,5-5", 11, Whole),
            ("bytes=0-0,99-", 11, Part { start: 0, len: 1 }),
            ("bytes=2-1", 11, Whole),
            ("bytes=", 11, Whole),
            ("bytes", 11, Whole),
            ("bytes=-", 11, Whole),
            ("bytes=a-b", 11, Whole),
            ("bytes=1-2-3", 11, Whole),
            ("lines=0-1", 11, Whole),
        ] {
            assert_eq!(select(range.as_bytes(), complete), expected, "{range} of {complete}");
        }
    }

    #[test]
    fn a_part_has_what_lies_wholly_within_it() {
        for (range, complete, expected) in [
            ("bytes=4-6", Some(10), Some((4, 3))),
            ("bytes=4-6", None, Some((4, 3))),
            ("bytes=5-5,6-6", None, Some((5, 2))),
            ("bytes=3-6", Some(10), None),
            ("bytes=4-7", Some(10), None),
            ("bytes=4-7", None, None),
            ("bytes=4-", Some(10), None),
            ("bytes=4-", Some(7), Some((4, 3))),
            ("bytes=4-", None, None),
            ("bytes=-1", Some(7), Some((6, 1))),
            ("bytes=-1", Some(10), None),
            ("bytes=-1", None, None),
            ("bytes=10-", Some(10), None),
            ("bytes=4-4,6-6", Some(10), None),
            ("x", Some(7), None),
        ] {
            assert_eq!(select_within(range.as_bytes(), 4, 6, complete), expected, "{range} of {complete:?}");
        }
    }

    #[test]
    fn too_many_ranges_select_the_whole() {
        let range = format!("bytes={}0-0", "0-0,".repeat(RANGES_MAX));
        assert_eq!(select(range.as_bytes(), 11), Whole);
    }

    #[test]
    fn content_range_is_read_and_written() {
        for complete in [Some(10), None] {
            assert_eq!(parse_content_range(content_range(4, 6, complete).as_bytes()), Some((4, 9, complete)));
        }
        for bad in
            ["", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "lines 0-1/2", "bytes 0-4", "bytes -4/10"]
        {
            assert_eq!(parse_content_range(bad.as_bytes()), None, "{bad}");
        }
    }
}
