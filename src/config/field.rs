//! How the fields of sections and rules are read, for `#[serde(deserialize_with)]`.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::names::FieldName;
use super::units::{Count, Dur, Size, show_duration, show_size};

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
