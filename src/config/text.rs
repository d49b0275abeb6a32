//! Values that are written as one JSON string: how they are read, and what an error says about them.

use crate::json::{At, Json, Read, whole};

/// A value that is written as one JSON string, or as a number where [`Text::from_number`] allows it.
pub(super) trait Text: Sized {
    /// What the value is, with its article: `a duration`.
    const WHAT: &'static str;
    /// How it is written.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_number(_: u64) -> Option<Self> {
        None
    }
}

/// The value, when it is one.
#[inline(never)]
pub(super) fn text<T: Text>(at: &At<'_>) -> Read<T> {
    let value = match at.value {
        Json::Text(text) => T::from_text(text),
        Json::Number(number) => whole(*number).and_then(T::from_number),
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
    };
    value.ok_or_else(|| at.wrong(T::WHAT, T::EXPECTED))
}

/// One value, or a list of values of which any will do.
pub(super) fn texts<T: Text>(at: &At<'_>) -> Read<Vec<T>> {
    at.one_or_many(text)
}

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
    };
}
pub(super) use keywords;
