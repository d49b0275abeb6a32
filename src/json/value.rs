//! A JSON value, with all that was written.
//!
//! `serde_json::Value` would not do: of members with one name it keeps the last, and which one counts is for the reader to
//! refuse.

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::reader::{Read, ReadError};

/// A JSON value. Fields keep their order, and those that are repeated.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and nothing behind it.
    ///
    /// # Errors
    /// When it is not JSON, or lies too deep.
    pub fn parse(json: &[u8]) -> Read<Json> {
        let error =
            |error| ReadError { path: String::new(), message: format!("not valid JSON: {error}") }.into();
        serde_json::from_slice(json).map_err(error)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(members) => members,
            _ => &[],
        }
    }

    /// What lies in objects under these names.
    pub fn get(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(self, |of, name| {
            of.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
        })
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in a list or an object.
    pub fn is_empty(&self) -> bool {
        match self {
            Json::List(list) => list.is_empty(),
            Json::Object(members) => members.iter().all(|(_, value)| value.is_empty()),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => false,
        }
    }

    /// The value as others write it.
    pub fn written(&self) -> serde_json::Value {
        match self {
            Json::Null => serde_json::Value::Null,
            Json::Bool(value) => (*value).into(),
            Json::Number(value) => match whole(value.abs()).and_then(|number| i64::try_from(number).ok()) {
                Some(number) if *value < 0.0 => number.wrapping_neg().into(),
                Some(number) => number.into(),
                None => (*value).into(),
            },
            Json::Text(text) => text.as_str().into(),
            Json::List(list) => list.iter().map(Json::written).collect(),
            Json::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.written())).collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    // All numbers are floating point, as they are when Envoy passes a configuration given as a protobuf Struct.
    // Whole numbers are exact up to 2^53.
    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Json::Object(object))
    }
}

/// As an error shows it: a value of its own as it stands, at most a line long.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(value) => match whole(value.abs()) {
                Some(number) => write!(f, "{}{number}", if *value < 0.0 { "-" } else { "" }),
                None => f.write_str(
                    &serde_json::Number::from_f64(*value).map(|n| n.to_string()).unwrap_or_default(),
                ),
            },
            Json::Text(text) => write!(f, "{:?}", shortened(text)),
            Json::List(_) => f.write_str("a list"),
            Json::Object(_) => f.write_str("an object"),
        }
    }
}

/// The number, when it is whole and exact: beyond that, neighbours are read as the same number (RFC 8259 §6).
#[must_use]
pub fn whole(value: f64) -> Option<u64> {
    /// The largest whole number that JSON is sure to keep, 2^53 - 1. Beyond it the configuration is refused.
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    (value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value)).then_some(value as u64)
}

/// At most so much of a text as fits a line.
#[must_use]
pub fn shortened(text: &str) -> String {
    /// The most characters of a text that an error shows. Beyond it the text is cut.
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_are_shown_as_they_were_written() {
        for json in ["null", "true", "5", "-5", "1.5", "1e300", "\"a\\\"b\"", "0"] {
            let shown = Json::parse(json.as_bytes()).unwrap().to_string();
            assert_eq!(Json::parse(shown.as_bytes()), Json::parse(json.as_bytes()), "{shown}");
        }
        assert_eq!(Json::parse(b"[1]").unwrap().to_string(), "a list");
        assert!(Json::Text("x".repeat(1000)).to_string().len() < 100);
    }

    #[test]
    fn a_number_is_whole_only_when_it_is_exact() {
        for (value, number) in [
            (16.0, Some(16)),
            (0.0, Some(0)),
            (1.5, None),
            (-1.0, None),
            (1e300, None),
            (9_007_199_254_740_991.0, Some((1 << 53) - 1)),
            (9_007_199_254_740_993.0, None),
        ] {
            assert_eq!(whole(value), number);
        }
        assert_eq!(whole(f64::NAN), None);
    }
}
