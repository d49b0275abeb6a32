//! The values of the configuration that JSON has no type for: durations, sizes, status codes, field names.
//!
//! They are parsed here and nowhere else. An error names the value and what was expected instead.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest duration that can be written: what RFC 9111 §1.2.2 lets a cache count to, 2^31 seconds.
const DURATION_SECS_MAX: u64 = 1 << 31;

/// A value that is written as one JSON string, or as a number where [`Text::from_number`] allows it.
pub(super) trait Text: Sized {
    /// What the value is, with its article: `a duration`.
    const WHAT: &'static str;
    /// How it is written.
    const EXPECTED: &'static str;
    /// Whether an error must not show the value.
    const SECRET: bool = false;

    fn from_text(text: &str) -> Option<Self>;

    fn from_number(_: u64) -> Option<Self> {
        None
    }

    /// The value, or an error that says what was expected.
    fn read<E: Error>(text: &str) -> Result<Self, E> {
        Self::from_text(text).ok_or_else(|| refuse::<Self, E>(&format!("{text:?}")))
    }
}

fn refuse<T: Text, E: Error>(value: &str) -> E {
    let value = if T::SECRET { "the value" } else { &shortened(value) };
    E::custom(format_args!("{value} is not {}; expected {}", T::WHAT, T::EXPECTED))
}

/// Deserializes a [`Text`] value.
pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Scalar(PhantomData))
}

struct Scalar<T>(PhantomData<T>);

/// The value as an error shows it, at most a line long.
pub(super) fn shortened(value: &str) -> String {
    const CHARS_MAX: usize = 80;
    match value.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", value.get(..at).unwrap_or_default()),
        None => value.to_owned(),
    }
}

impl<T: Text> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", T::WHAT, T::EXPECTED)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        T::read(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::from_number(value).ok_or_else(|| refuse::<T, E>(&value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Err(refuse::<T, E>(&value.to_string()))
    }

    // Envoy passes a configuration given as a protobuf Struct, whose numbers are all floating point.
    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        whole(value).and_then(T::from_number).ok_or_else(|| refuse::<T, E>(&value.to_string()))
    }
}

fn whole(value: f64) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    (value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value)).then_some(value as u64)
}

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
    let ms = duration.as_millis();
    let fits = |unit_ms: u64| ms.is_multiple_of(u128::from(unit_ms));
    match DURATION_UNITS.iter().rev().find(|(_, unit_ms)| ms > 0 && fits(*unit_ms)) {
        Some((unit, unit_ms)) => format!("{}{unit}", ms / u128::from(*unit_ms)),
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

/// A header field name (RFC 9110 §5.1), put into lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FieldName(pub String);

impl Text for FieldName {
    const WHAT: &'static str = "a header field name";
    const EXPECTED: &'static str = "letters, digits and -_.!#$%&'*+^`|~";

    fn from_text(text: &str) -> Option<Self> {
        is_token(text).then(|| FieldName(text.to_ascii_lowercase()))
    }
}

/// Whether this is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_tchar)
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A method (RFC 9110 §9.1), which is case-sensitive.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Method(pub String);

impl Text for Method {
    const WHAT: &'static str = "a method";
    const EXPECTED: &'static str = "its name in upper case, such as \"GET\"";

    fn from_text(text: &str) -> Option<Self> {
        let upper = is_token(text) && !text.bytes().any(|b| b.is_ascii_lowercase());
        upper.then(|| Method(text.into()))
    }
}

/// The cache's name in `Cache-Status`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct CacheName(pub String);

impl Text for CacheName {
    const WHAT: &'static str = "a cache name";
    const EXPECTED: &'static str = "a structured-field token (RFC 9651 §3.3.4), such as \"larder\"";

    fn from_text(text: &str) -> Option<Self> {
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'*');
        let goes_on = text.bytes().all(|b| is_tchar(b) || b == b':' || b == b'/');
        (starts && goes_on).then(|| CacheName(text.into()))
    }
}

/// A name given to a rule or a token.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Name(pub String);

impl Text for Name {
    const WHAT: &'static str = "a name";
    const EXPECTED: &'static str = "one to 64 letters, digits or -_.";

    fn from_text(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (fits && plain).then(|| Name(text.into()))
    }
}

/// The SHA-256 digest of a token.
pub(super) struct Digest(pub [u8; 32]);

impl Text for Digest {
    const WHAT: &'static str = "a SHA-256 digest";
    const EXPECTED: &'static str =
        "64 hex digits, the digest of the token and not the token itself: printf %s \"$TOKEN\" | sha256sum";
    // Somebody may have put the token there; what Envoy logs must not show it.
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        }
        Some(Digest(digest))
    }
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

macro_rules! deserialize_text {
    ($($name:ident),*) => { $(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize(deserializer)
            }
        }
    )* };
}
pub(super) use deserialize_text;
deserialize_text!(Dur, Size, StatusRange, FieldName, Method, CacheName, Name, Digest);

/// For a field: a [`Dur`] from `MIN` to `MAX` milliseconds.
pub(super) fn duration<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let Dur(duration) = Dur::deserialize(deserializer)?;
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    within(ms, MIN, MAX, |ms| show_duration(Duration::from_millis(ms)))
        .map(|()| duration)
        .map_err(Error::custom)
}

/// For a field: a [`Size`] from `MIN` to `MAX` bytes.
pub(super) fn size<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let Size(bytes) = Size::deserialize(deserializer)?;
    within(bytes, MIN, MAX, show_size).map_err(Error::custom)?;
    T::try_from(bytes).map_err(|_| Error::custom("larger than a worker's memory"))
}

/// For a field: a whole number from `MIN` to `MAX`.
pub(super) fn count<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let Count(number) = Count::deserialize(deserializer)?;
    within(number, MIN, MAX, |number| number.to_string()).map_err(Error::custom)?;
    T::try_from(number).map_err(|_| Error::custom("larger than a worker's memory"))
}

fn within(value: u64, min: u64, max: u64, show: fn(u64) -> String) -> Result<(), String> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{} is out of range; expected {} to {}", show(value), show(min), show(max)))
}

/// A whole number; unlike serde's own also one that came as `16.0`.
pub(super) struct Count(u64);

impl Text for Count {
    const WHAT: &'static str = "a whole number";
    const EXPECTED: &'static str = "0 or more";

    fn from_text(_: &str) -> Option<Self> {
        None
    }
    fn from_number(number: u64) -> Option<Self> {
        Some(Count(number))
    }
}
deserialize_text!(Count);

/// For a field of a rule: a value that is set, or left out; unlike serde's own reading, `null` is no way to leave
/// it out.
pub(super) fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// For a field of a rule: a [`Dur`].
pub(super) fn set_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Dur::deserialize(deserializer).map(|value| Some(value.0))
}

/// For a field of a rule: a [`Size`].
pub(super) fn set_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Size::deserialize(deserializer).map(|value| Some(value.0))
}

/// For a field of a rule: a whole number from `MIN` to `MAX`.
pub(super) fn set_count<'de, const MIN: u64, const MAX: u64, T, D>(d: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    count::<MIN, MAX, T, D>(d).map(Some)
}

/// For a field of a rule: a list of header field names.
pub(super) fn set_field_names<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    let names = Vec::<FieldName>::deserialize(d)?;
    Ok(Some(names.into_iter().map(|name| name.0).collect()))
}

/// A section. Serde's derived reading would also take a list, field by field; this takes an object only.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// For a field that is a section.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|section| section.0)
}

/// For a field that is a list of sections.
pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let sections = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(sections.into_iter().map(|section| section.0).collect())
}

/// One value, or a list of values of which any will do; never empty.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct OneOrMany<T>(pub Vec<T>);

/// The most alternatives in one condition.
const ALTERNATIVES_MAX: usize = 1024;

impl<T: Text> OneOrMany<T> {
    /// From a value that stands alone.
    pub(super) fn one<E: Error>(text: &str) -> Result<Self, E> {
        T::read(text).map(|one| OneOrMany(vec![one]))
    }

    /// From a list.
    pub(super) fn many<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error>
    where
        T: Deserialize<'de>,
    {
        let many = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        if many.is_empty() {
            return Err(A::Error::custom("an empty list matches nothing; leave the condition out"));
        }
        if many.len() > ALTERNATIVES_MAX {
            return Err(A::Error::custom(format!("more than {ALTERNATIVES_MAX} alternatives")));
        }
        Ok(OneOrMany(many))
    }
}

impl<'de, T: Text + Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Text + Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; or a list of them", T::WHAT, T::EXPECTED)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        OneOrMany::one(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_u64(value).map(|one| OneOrMany(vec![one]))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_i64(value).map(|one| OneOrMany(vec![one]))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_f64(value).map(|one| OneOrMany(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        OneOrMany::many(list)
    }
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

    #[test]
    fn names_follow_their_grammar() {
        for (text, ok) in
            [("larder", true), ("*x", true), ("a:b/c", true), ("1a", false), ("", false), ("a b", false)]
        {
            assert_eq!(CacheName::from_text(text).is_some(), ok, "{text:?}");
        }
        for (text, ok) in [("X-Tag", true), ("", false), ("a b", false), (":path", false), ("ä", false)] {
            assert_eq!(FieldName::from_text(text).is_some(), ok, "{text:?}");
        }
        assert_eq!(FieldName::from_text("X-Tag").map(|n| n.0).as_deref(), Some("x-tag"));
    }

    #[test]
    fn a_whole_number_may_come_as_floating_point() {
        for (value, number) in [(16.0, Some(16)), (0.0, Some(0)), (1.5, None), (-1.0, None), (1e300, None)] {
            assert_eq!(whole(value), number);
        }
        assert_eq!(whole(f64::NAN), None);
    }
}
