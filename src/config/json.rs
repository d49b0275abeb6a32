//! JSON that knows where it stands: every error names the path, the value and what was expected.
//!
//! Reading through serde's derive and `serde_path_to_error` took three times the bytes of wasm to say the same: they
//! make code for every pair of a type and a place to read it from. Nothing here is in a hurry, so what many fields
//! share is kept in one place (`#[inline(never)]`).

use core::fmt;

use hashbrown::HashSet;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::ConfigError;
use super::discreet::{may_name, shown, shown_name};

/// What was read, or what is wrong with it.
pub(super) type Read<T> = Result<T, Box<ConfigError>>;

/// A JSON value. Fields keep their order, and those that are repeated.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and nothing behind it.
    pub(super) fn parse(json: &[u8]) -> Result<Json, ConfigError> {
        let error = |error| ConfigError { path: String::new(), message: format!("not valid JSON: {error}") };
        serde_json::from_slice(json).map_err(error)
    }
}

impl Json {
    /// The members of an object; none of anything else.
    pub(super) fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(members) => members,
            _ => &[],
        }
    }

    /// What lies in objects under these names.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(self, |of, name| {
            of.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
        })
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in a list or an object.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Json::List(list) => list.is_empty(),
            Json::Object(members) => members.iter().all(|(_, value)| value.is_empty()),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => false,
        }
    }

    /// The value as others write it.
    pub(super) fn written(&self) -> serde_json::Value {
        match self {
            Json::Null => serde_json::Value::Null,
            Json::Bool(value) => (*value).into(),
            Json::Number(value) => whole(*value).map_or_else(|| (*value).into(), Into::into),
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

/// A way from the whole down to a value.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Whole,
    Field(&'p Path<'p>, &'p str),
    Element(&'p Path<'p>, usize),
}

impl Path<'_> {
    #[cold]
    fn error(&self, message: impl Into<String>) -> Box<ConfigError> {
        Box::new(ConfigError { path: self.to_string(), message: message.into() })
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Whole => Ok(()),
            Path::Field(Path::Whole, name) => f.write_str(&shown_name(name)),
            Path::Field(parent, name) => write!(f, "{parent}.{}", shown_name(name)),
            Path::Element(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'j> {
    pub(super) path: &'j Path<'j>,
    pub(super) value: &'j Json,
}

impl At<'_> {
    /// An error here.
    #[cold]
    pub(super) fn error(&self, message: impl Into<String>) -> Box<ConfigError> {
        self.path.error(message)
    }

    /// The error that this value is not `what`.
    #[cold]
    pub(super) fn wrong(&self, what: &str, expected: &str) -> Box<ConfigError> {
        self.error(format!("{} is not {what}; expected {expected}", shown(self.value, self.path)))
    }

    /// The value that `read` finds, or none when it is `null`.
    pub(super) fn or_null<T>(&self, read: impl FnOnce(&Self) -> Read<T>) -> Read<Option<T>> {
        if *self.value == Json::Null { Ok(None) } else { read(self).map(Some) }
    }

    /// What `read` makes of each element of a list.
    pub(super) fn list<T>(&self, mut read: impl FnMut(&At<'_>) -> Read<T>) -> Read<Vec<T>> {
        let Json::List(elements) = self.value else {
            return Err(self.wrong("a list", "one in square brackets"));
        };
        let mut list = Vec::with_capacity(elements.len());
        for (at, value) in elements.iter().enumerate() {
            list.push(read(&At { path: &Path::Element(self.path, at), value })?);
        }
        Ok(list)
    }

    /// What `read` makes of one value, or of each element of a list; never empty.
    pub(super) fn one_or_many<T>(&self, mut read: impl FnMut(&At<'_>) -> Read<T>) -> Read<Vec<T>> {
        /// The most alternatives in one condition. Beyond it the configuration is refused.
        const ALTERNATIVES_MAX: usize = 1024;
        match self.value {
            Json::List(list) if list.is_empty() => {
                Err(self.error("an empty list matches nothing; leave the condition out"))
            }
            Json::List(list) if list.len() > ALTERNATIVES_MAX => {
                Err(self.error(format!("more than {ALTERNATIVES_MAX} alternatives")))
            }
            Json::List(_) => self.list(read),
            _ => read(self).map(|one| vec![one]),
        }
    }

    /// Shows `read` the name and value of each field of an object whose fields can have any name.
    pub(super) fn entries<T>(&self, mut read: impl FnMut(&At<'_>, &At<'_>) -> Read<T>) -> Read<Vec<T>> {
        let mut list = Vec::new();
        for (name, value) in self.fields()? {
            let path = &Path::Field(self.path, name);
            list.push(read(&At { path, value: &Json::Text(name.clone()) }, &At { path, value })?);
        }
        Ok(list)
    }

    /// What `read` makes of an object with the fields that it asks for, and no others.
    pub(super) fn object<T>(&self, read: impl FnOnce(&mut Object<'_>) -> Read<T>) -> Read<T> {
        let mut object = Object { at: *self, fields: self.fields()?, known: Vec::new() };
        let value = read(&mut object)?;
        object.end()?;
        Ok(value)
    }

    #[inline(never)]
    fn fields(&self) -> Read<&[(String, Json)]> {
        let Json::Object(fields) = self.value else { return Err(self.wrong("an object", "one in braces")) };
        match repeated(fields.iter().map(|(name, _)| name.as_str())) {
            Some(name) if may_name(name, self.path) => {
                Err(Path::Field(self.path, name).error("stands here twice"))
            }
            Some(_) => Err(self.error("a field stands here twice")),
            None => Ok(fields),
        }
    }
}

/// The first name that has been there before.
pub(super) fn repeated<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// A boolean.
#[inline(never)]
pub(super) fn boolean(at: &At<'_>) -> Read<bool> {
    match at.value {
        Json::Bool(value) => Ok(*value),
        _ => Err(at.wrong("a boolean", "true or false")),
    }
}

/// The fields of an object, as they are asked for.
pub(super) struct Object<'j> {
    at: At<'j>,
    fields: &'j [(String, Json)],
    known: Vec<&'static str>,
}

impl<'j> Object<'j> {
    /// Puts what `read` makes of the field into `place`; leaves that as it is when there is no such field.
    pub(super) fn field<T>(
        &mut self,
        name: &'static str,
        place: &mut T,
        read: impl FnOnce(&At<'_>) -> Read<T>,
    ) -> Read<()> {
        if let Some(value) = self.find(name) {
            *place = read(&At { path: &Path::Field(self.at.path, name), value })?;
        }
        Ok(())
    }

    /// The value of a field, which is known from now on.
    #[inline(never)]
    fn find(&mut self, name: &'static str) -> Option<&'j Json> {
        self.known.push(name);
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// As [`Object::field`], for a place that says whether the field is there.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        place: &mut Option<T>,
        read: impl FnOnce(&At<'_>) -> Read<T>,
    ) -> Read<()> {
        self.field(name, place, |at| read(at).map(Some))
    }

    /// What `read` makes of a field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&At<'_>) -> Read<T>,
    ) -> Read<T> {
        let mut value = None;
        self.optional(name, &mut value, read)?;
        value.ok_or_else(|| self.error(name, "is missing"))
    }

    /// Shows `read` the fields of a field that is an object.
    pub(super) fn section(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Object<'_>) -> Read<()>,
    ) -> Read<()> {
        self.field(name, &mut (), |at| at.object(read))
    }

    /// An error in a field.
    pub(super) fn error(&self, name: &str, message: impl Into<String>) -> Box<ConfigError> {
        Path::Field(self.at.path, name).error(message)
    }

    #[inline(never)]
    fn end(&self) -> Read<()> {
        match self.fields.iter().find(|(name, _)| !self.known.contains(&name.as_str())) {
            Some((name, _)) => {
                let message = format!("unknown field; expected one of {}", self.known.join(", "));
                let may_name = may_name(name, self.at.path);
                Err(if may_name { self.error(name, message) } else { self.at.error(message) })
            }
            None => Ok(()),
        }
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

/// The number, when it is whole and exact.
pub(super) fn whole(value: f64) -> Option<u64> {
    /// The largest whole number that JSON is sure to keep, 2^53. Beyond it the configuration is refused.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value)).then_some(value as u64)
}

/// At most so much of a text as fits a line.
pub(super) fn shortened(text: &str) -> String {
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
        for (value, number) in [(16.0, Some(16)), (0.0, Some(0)), (1.5, None), (-1.0, None), (1e300, None)] {
            assert_eq!(whole(value), number);
        }
        assert_eq!(whole(f64::NAN), None);
    }
}
