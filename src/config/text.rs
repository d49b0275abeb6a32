//! Values that are written as one JSON string: how they are read, and what an error says about them.

use core::fmt;
use core::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

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
    cut(value, 80)
}

/// At most so many characters.
pub(super) fn cut(value: &str, chars_max: usize) -> String {
    match value.char_indices().nth(chars_max) {
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

/// Makes an enum a [`Text`] with a word for each variant.
macro_rules! keywords {
    ($name:ident, $what:literal: $first:literal => $first_value:expr $(, $word:literal => $value:expr)*) => {
        impl $crate::config::text::Text for $name {
            const WHAT: &'static str = $what;
            const EXPECTED: &'static str = concat!("one of \"", $first, "\"" $(, ", \"", $word, "\"")*);

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $first => Some($first_value),
                    $($word => Some($value),)*
                    _ => None,
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::text::deserialize(deserializer)
            }
        }
    };
}
pub(super) use keywords;

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
    fn a_whole_number_may_come_as_floating_point() {
        for (value, number) in [(16.0, Some(16)), (0.0, Some(0)), (1.5, None), (-1.0, None), (1e300, None)] {
            assert_eq!(whole(value), number);
        }
        assert_eq!(whole(f64::NAN), None);
    }
}
