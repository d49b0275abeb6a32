//! Durations, sizes, status codes and whole numbers.

use core::time::Duration;

use super::text::{Text, text};
use crate::json::{At, Read};

/// The longest duration that can be written in seconds: what RFC 9111 §1.2.2 lets a cache count to. Beyond it the
/// configuration is refused.
const DURATION_SECS_MAX: u64 = 1 << 31;

/// `"90s"`, `"1h30m"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) struct Dur(pub Duration);

impl Text for Dur {
    const WHAT: &'static str = "a duration";
    const EXPECTED: &'static str = "a number and a unit (ms, s, m, h, d), such as \"90s\"";

    fn from_text(text: &str) -> Option<Self> {
        let (mut rest, mut total, mut unit_before) = (text, 0u64, u64::MAX);
        while !rest.is_empty() {
            let (number, after) = leading_number(rest)?;
            let (unit, unit_ms) = DURATION_UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
            // Larger units come first, each once: "1h30m", never "30m1h" or "1s1s".
            if *unit_ms >= unit_before {
                return None;
            }
            total = total.checked_add(number.checked_mul(*unit_ms)?)?;
            unit_before = *unit_ms;
            rest = after.strip_prefix(unit)?;
        }
        let in_range = !text.is_empty() && total <= DURATION_SECS_MAX * 1000;
        in_range.then_some(Dur(Duration::from_millis(total)))
    }
}

/// `ms` before `m`, so that the longer unit is found first.
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration as the configuration writes it.
pub(super) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match DURATION_UNITS.iter().rev().find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
        Some((unit, unit_ms)) => format!("{}{unit}", ms / unit_ms),
        None => "0s".into(),
    }
}

/// `"64MiB"`, `"10MB"`, `"512"`, `512`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) struct Size(pub u64);

impl Text for Size {
    const WHAT: &'static str = "a size";
    const EXPECTED: &'static str =
        "a whole number of bytes, or one with a unit (kB, MB, GB, KiB, MiB, GiB), such as \"64MiB\"";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = leading_number(text)?;
        let (_, unit_bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*unit_bytes).map(Size)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Size(number))
    }
}

const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A size as the configuration writes it.
pub(super) fn show_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().rev().take(3).find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    match binary {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// `404`, `"4xx"`, `"500-599"`: first and last status code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct StatusRange(pub u16, pub u16);

impl StatusRange {
    pub(super) fn is_one(self) -> bool {
        self.0 == self.1
    }

    pub(super) fn contains(self, status: u16) -> bool {
        (self.0..=self.1).contains(&status)
    }
}

impl Text for StatusRange {
    const WHAT: &'static str = "a status code";
    const EXPECTED: &'static str =
        "a final one (200 to 599), a class such as \"4xx\", or a range such as \"500-504\"";

    fn from_text(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let first = class.parse::<u64>().ok().filter(|c| (2..=5).contains(c))? * 100;
            return Some(StatusRange(status(first)?, status(first + 99)?));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = StatusRange(status(first.parse().ok()?)?, status(last.parse().ok()?)?);
        (range.0 <= range.1).then_some(range)
    }

    fn from_number(number: u64) -> Option<Self> {
        status(number).map(|code| StatusRange(code, code))
    }
}

fn status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|code| (200..=599).contains(code))
}

/// A duration.
#[inline(never)]
pub(crate) fn duration(at: &At<'_>) -> Read<Duration> {
    text(at).map(|Dur(duration)| duration)
}

/// A duration from `min` to `max` milliseconds.
#[inline(never)]
pub(super) fn duration_within(at: &At<'_>, min: u64, max: u64) -> Read<Duration> {
    let duration = duration(at)?;
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    within(at, ms, min, max, |ms| show_duration(Duration::from_millis(ms))).map(|_| duration)
}

/// A size.
pub(super) fn size(at: &At<'_>) -> Read<u64> {
    text(at).map(|Size(bytes)| bytes)
}

/// A size from `min` to `max` bytes.
#[inline(never)]
pub(super) fn size_within(at: &At<'_>, min: u64, max: u64) -> Read<u64> {
    within(at, size(at)?, min, max, show_size)
}

/// A whole number from `min` to `max`.
#[inline(never)]
pub(super) fn count(at: &At<'_>, min: u32, max: u32) -> Read<u32> {
    let number = at.number_within(min.into(), max.into())?;
    Ok(u32::try_from(number).unwrap_or(max))
}

fn within(at: &At<'_>, value: u64, min: u64, max: u64, show: fn(u64) -> String) -> Read<u64> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(at.error(format!("{} is out of range; expected {} to {}", show(value), show(min), show(max))))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("90s", Some(90_000)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("7d", Some(604_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1d1h1m1s1ms", Some(90_061_001)),
            ("24855d", Some(2_147_472_000_000)),
            ("24856d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("", None),
            ("90", None),
            ("s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5h", None),
            (" 1s", None),
            ("1 s", None),
            ("1s ", None),
            ("30m1h", None),
            ("1s1s", None),
            ("1H", None),
            ("1µs", None),
        ] {
            assert_eq!(Dur::from_text(text).map(|d| d.0.as_millis()), ms, "{text:?}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for (ms, text) in [(0, "0s"), (500, "500ms"), (90_000, "90s"), (3_600_000, "1h"), (86_400_000, "1d")]
        {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn sizes_may_have_units() {
        for (text, bytes) in [
            ("512", Some(512)),
            ("0", Some(0)),
            ("64MiB", Some(64 << 20)),
            ("10MB", Some(10_000_000)),
            ("1kB", Some(1_000)),
            ("2GiB", Some(2 << 30)),
            ("7B", Some(7)),
            ("", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("64 MiB", None),
            ("64mib", None),
            ("-1", None),
            ("18446744073709551616", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(Size::from_text(text).map(|s| s.0), bytes, "{text:?}");
        }
        for (bytes, text) in [(0, "0"), (512, "512"), (1024, "1KiB"), (64 << 20, "64MiB"), (1 << 30, "1GiB")]
        {
            assert_eq!(show_size(bytes), text);
        }
    }

    #[test]
    fn status_codes_come_alone_as_classes_and_as_ranges() {
        for (text, range) in [
            ("404", Some((404, 404))),
            ("4xx", Some((400, 499))),
            ("500-504", Some((500, 504))),
            ("504-500", None),
            ("1xx", None),
            ("6xx", None),
            ("199", None),
            ("600", None),
            ("4XX", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(StatusRange::from_text(text).map(|r| (r.0, r.1)), range, "{text:?}");
        }
    }
}
