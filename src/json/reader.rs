//! JSON that knows where it stands: every error names the path, the value and what was expected.
//!
//! Reading through serde's derive and `serde_path_to_error` took three times the bytes of wasm to say the same: they
//! make code for every pair of a type and a place to read it from. Nothing here is in a hurry, so what many fields
//! share is kept in one place (`#[inline(never)]`).

use core::fmt;

use hashbrown::HashSet;

use super::value::{Json, shortened, whole};

/// Why JSON is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    /// Where: `rules[2].ttl`; empty for the JSON as a whole.
    pub path: String,
    /// The value, and what was expected.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl core::error::Error for ReadError {}

/// What was read, or what is wrong with it.
pub type Read<T> = Result<T, Box<ReadError>>;

/// What errors may show of a document: some hold secrets, and errors are logged.
#[derive(Debug)]
pub struct Discretion {
    /// A value as an error shows it.
    pub value: fn(&Json, &Path<'_>) -> String,
    /// The name of a field as a path shows it.
    pub name: fn(&str) -> String,
    /// Whether the name of an unknown field may be shown.
    pub may_name: fn(&str, &Path<'_>) -> bool,
}

/// For documents without secrets: all is shown, cut to the length of a line.
pub const OPEN: Discretion =
    Discretion { value: |value, _| value.to_string(), name: shortened, may_name: |_, _| true };

/// A way from the whole down to a value.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// The document.
    Whole(&'p Discretion),
    /// The field of an object.
    Field(&'p Path<'p>, &'p str),
    /// The element of a list.
    Element(&'p Path<'p>, usize),
}

impl Path<'_> {
    #[cold]
    fn error(&self, message: impl Into<String>) -> Box<ReadError> {
        Box::new(ReadError { path: self.to_string(), message: message.into() })
    }

    fn discretion(&self) -> &Discretion {
        match self {
            Path::Whole(discretion) => discretion,
            Path::Field(parent, _) | Path::Element(parent, _) => parent.discretion(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Whole(_) => Ok(()),
            Path::Field(Path::Whole(of), name) => f.write_str(&(of.name)(name)),
            Path::Field(parent, name) => write!(f, "{parent}.{}", (self.discretion().name)(name)),
            Path::Element(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub struct At<'j> {
    /// Where it stands.
    pub path: &'j Path<'j>,
    /// The value.
    pub value: &'j Json,
}

impl<'j> At<'j> {
    /// An error here.
    #[cold]
    pub fn error(&self, message: impl Into<String>) -> Box<ReadError> {
        self.path.error(message)
    }

    /// The error that this value is not `what`.
    #[cold]
    pub fn wrong(&self, what: &str, expected: &str) -> Box<ReadError> {
        self.error(format!(
            "{} is not {what}; expected {expected}",
            (self.path.discretion().value)(self.value, self.path)
        ))
    }

    /// The value that `read` finds, or none when it is `null`.
    pub fn or_null<T>(&self, read: impl FnOnce(&Self) -> Read<T>) -> Read<Option<T>> {
        if *self.value == Json::Null { Ok(None) } else { read(self).map(Some) }
    }

    /// What `read` makes of each element of a list.
    pub fn list<T>(&self, mut read: impl FnMut(&At<'_>) -> Read<T>) -> Read<Vec<T>> {
        let Json::List(elements) = self.value else {
            return Err(self.wrong("a list", "one in square brackets"));
        };
        let mut list = Vec::with_capacity(elements.len());
        for (at, value) in elements.iter().enumerate() {
            list.push(read(&At { path: &Path::Element(self.path, at), value })?);
        }
        Ok(list)
    }

    /// What `read` makes of each element of a list of at least one and at most `max` elements.
    pub fn list_within<T>(&self, max: usize, read: impl FnMut(&At<'_>) -> Read<T>) -> Read<Vec<T>> {
        match self.value {
            Json::List(list) if !(1..=max).contains(&list.len()) => {
                Err(self.error(format!("{} elements; expected 1 to {max}", list.len())))
            }
            _ => self.list(read),
        }
    }

    /// What `read` makes of one value, or of each element of a list; never empty.
    pub fn one_or_many<T>(&self, mut read: impl FnMut(&At<'_>) -> Read<T>) -> Read<Vec<T>> {
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
    pub fn entries<T>(&self, mut read: impl FnMut(&At<'_>, &At<'_>) -> Read<T>) -> Read<Vec<T>> {
        let mut list = Vec::new();
        for (name, value) in self.fields()? {
            let path = &Path::Field(self.path, name);
            list.push(read(&At { path, value: &Json::Text(name.clone()) }, &At { path, value })?);
        }
        Ok(list)
    }

    /// What `read` makes of an object with the fields that it asks for, and no others.
    pub fn object<T>(&self, read: impl FnOnce(&mut Object<'_>) -> Read<T>) -> Read<T> {
        let mut object = Object { at: *self, fields: self.fields()?, known: Vec::new() };
        let value = read(&mut object)?;
        object.end()?;
        Ok(value)
    }

    /// A string that is not empty.
    #[inline(never)]
    pub fn string(&self) -> Read<&'j str> {
        match self.value {
            Json::Text(text) if text.is_empty() => Err(self.error("is empty; expected a value")),
            Json::Text(text) => Ok(text),
            _ => Err(self.wrong("a string", "one in quotes")),
        }
    }

    /// A whole number that is not negative.
    #[inline(never)]
    pub fn whole_number(&self) -> Read<u64> {
        let number = match self.value {
            Json::Number(number) => whole(*number),
            _ => None,
        };
        number.ok_or_else(|| self.wrong("a whole number", "0 or more"))
    }

    /// A whole number from `min` to `max`.
    #[inline(never)]
    pub fn number_within(&self, min: u64, max: u64) -> Read<u64> {
        let number = self.whole_number()?;
        if (min..=max).contains(&number) {
            Ok(number)
        } else {
            Err(self.error(format!("{number} is out of range; expected {min} to {max}")))
        }
    }

    /// What one of these words stands for.
    pub fn one_of<T: Copy>(&self, what: &str, words: &[(&str, T)]) -> Read<T> {
        match words.iter().find(|(word, _)| self.value.text() == Some(word)) {
            Some((_, value)) => Ok(*value),
            None => Err(self.wrong_word(what, &mut words.iter().map(|(word, _)| *word))),
        }
    }

    #[cold]
    fn wrong_word(&self, what: &str, words: &mut dyn Iterator<Item = &str>) -> Box<ReadError> {
        let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
        self.wrong(what, &format!("one of {}", words.join(", ")))
    }

    #[inline(never)]
    fn fields(&self) -> Read<&'j [(String, Json)]> {
        let Json::Object(fields) = self.value else { return Err(self.wrong("an object", "one in braces")) };
        match repeated(fields.iter().map(|(name, _)| name.as_str())) {
            Some(name) if self.may_name(name) => Err(Path::Field(self.path, name).error(DUPLICATE)),
            Some(_) => Err(self.error(DUPLICATE)),
            None => Ok(fields),
        }
    }

    fn may_name(&self, name: &str) -> bool {
        (self.path.discretion().may_name)(name, self.path)
    }
}

/// The error about a duplicate field.
pub const DUPLICATE: &str = "duplicate field";

/// The error about an unknown field.
pub fn unknown(known: &str) -> String {
    format!("unknown field; expected one of {known}")
}

/// The first name that has been there before.
pub fn repeated<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// A boolean.
#[inline(never)]
pub fn boolean(at: &At<'_>) -> Read<bool> {
    match at.value {
        Json::Bool(value) => Ok(*value),
        _ => Err(at.wrong("a boolean", "true or false")),
    }
}

/// The fields of an object, as they are asked for.
pub struct Object<'j> {
    at: At<'j>,
    fields: &'j [(String, Json)],
    known: Vec<&'static str>,
}

impl<'j> Object<'j> {
    /// Puts what `read` makes of the field into `place`; leaves that as it is when there is no such field.
    pub fn field<T>(
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
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        place: &mut Option<T>,
        read: impl FnOnce(&At<'_>) -> Read<T>,
    ) -> Read<()> {
        self.field(name, place, |at| read(at).map(Some))
    }

    /// What `read` makes of a field that must be there.
    pub fn required<T>(&mut self, name: &'static str, read: impl FnOnce(&At<'_>) -> Read<T>) -> Read<T> {
        let mut value = None;
        self.optional(name, &mut value, read)?;
        value.ok_or_else(|| self.error(name, "is missing"))
    }

    /// Shows `read` the fields of a field that is an object.
    pub fn section(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Object<'_>) -> Read<()>,
    ) -> Read<()> {
        self.field(name, &mut (), |at| at.object(read))
    }

    /// An error in a field.
    pub fn error(&self, name: &str, message: impl Into<String>) -> Box<ReadError> {
        Path::Field(self.at.path, name).error(message)
    }

    /// What `read` makes of an object of all fields that nobody has asked for yet.
    pub fn rest<T>(&mut self, read: impl FnOnce(&At<'_>) -> Read<T>) -> Read<T> {
        let is_known = |name: &str| self.known.contains(&name);
        let rest = self.fields.iter().filter(|(name, _)| !is_known(name)).cloned().collect();
        self.fields = &[];
        read(&At { path: self.at.path, value: &Json::Object(rest) })
    }

    #[inline(never)]
    fn end(&self) -> Read<()> {
        match self.fields.iter().find(|(name, _)| !self.known.contains(&name.as_str())) {
            Some((name, _)) => {
                let message = unknown(&self.known.join(", "));
                Err(if self.at.may_name(name) { self.error(name, message) } else { self.at.error(message) })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A reader as both the configuration and the admin route have some.
    fn read(at: &At<'_>) -> Read<()> {
        at.object(|object| {
            object.field("flag", &mut false, boolean)?;
            object.field("count", &mut 0, |at| at.number_within(1, 9))?;
            object.field("size", &mut 0, |at| at.whole_number())?;
            object.field("word", &mut 0, |at| at.one_of("a mode", &[("soft", 1), ("hard", 2)]))?;
            object.field("list", &mut Vec::new(), |at| {
                at.list_within(2, |at| {
                    at.object(|object| object.required("name", |at| at.string().map(drop)))
                })
            })?;
            object.section("inner", |object| object.rest(|at| at.entries(|_, at| boolean(at)).map(drop)))
        })
    }

    fn complaint(json: &str, discretion: &Discretion) -> String {
        let value = Json::parse(json.as_bytes());
        let found = value.and_then(|value| read(&At { path: &Path::Whole(discretion), value: &value }));
        found.err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn one_mistake_has_one_message() {
        for (json, message) in [
            (
                r#"{"flag": true, "count": 9, "size": 0, "word": "hard", "list": [{"name": "a"}], "inner": {"a": true}}"#,
                "",
            ),
            ("7", "7 is not an object; expected one in braces"),
            (
                r#"{"falg": true}"#,
                "falg: unknown field; expected one of flag, count, size, word, list, inner",
            ),
            (r#"{"flag": true, "flag": true}"#, "flag: duplicate field"),
            (r#"{"flag": "yes"}"#, "flag: \"yes\" is not a boolean; expected true or false"),
            (r#"{"count": 10}"#, "count: 10 is out of range; expected 1 to 9"),
            (r#"{"size": -1}"#, "size: -1 is not a whole number; expected 0 or more"),
            (
                r#"{"size": 9007199254740993}"#,
                "size: 9007199254740992.0 is not a whole number; expected 0 or more",
            ),
            (r#"{"word": "gone"}"#, "word: \"gone\" is not a mode; expected one of \"soft\", \"hard\""),
            (r#"{"list": {}}"#, "list: an object is not a list; expected one in square brackets"),
            (r#"{"list": []}"#, "list: 0 elements; expected 1 to 2"),
            (r#"{"list": [1, 2, 3]}"#, "list: 3 elements; expected 1 to 2"),
            (r#"{"list": [{"name": "a"}, null]}"#, "list[1]: null is not an object; expected one in braces"),
            (r#"{"list": [{}]}"#, "list[0].name: is missing"),
            (r#"{"list": [{"name": ""}]}"#, "list[0].name: is empty; expected a value"),
            (r#"{"list": [{"name": 7}]}"#, "list[0].name: 7 is not a string; expected one in quotes"),
            (r#"{"list": [{"name": "a", "name": "b"}]}"#, "list[0].name: duplicate field"),
            (r#"{"inner": {"a": 1}}"#, "inner.a: 1 is not a boolean; expected true or false"),
            (r#"{"inner": {"a": true, "a": true}}"#, "inner.a: duplicate field"),
        ] {
            assert_eq!(complaint(json, &OPEN), message, "{json}");
        }
    }

    #[test]
    fn a_document_says_what_is_shown_of_it() {
        let discreet = Discretion {
            value: |_, _| "the value".into(),
            name: |_| "(hidden)".into(),
            may_name: |_, _| false,
        };
        for (json, message) in [
            (r#"{"flag": "s3cr3t"}"#, "(hidden): the value is not a boolean; expected true or false"),
            (r#"{"s3cr3t": 1}"#, "unknown field; expected one of flag, count, size, word, list, inner"),
            (r#"{"inner": {"s3cr3t": true, "s3cr3t": true}}"#, "(hidden): duplicate field"),
        ] {
            assert_eq!(complaint(json, &discreet), message, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_and_what_is_long_is_not_echoed() {
        for bad in ["", "{", "{}x", "\u{feff}{}", "{'a':1}", &"[".repeat(100_000)] {
            assert!(complaint(bad, &OPEN).starts_with("not valid JSON: "), "{bad:.9}");
        }
        assert!(Json::parse(&[b'"', 0xff, b'"']).is_err());
        let long = "x".repeat(1000);
        for json in [format!(r#"{{"flag": "{long}"}}"#), format!(r#"{{"{long}": 1}}"#)] {
            assert!(complaint(&json, &OPEN).len() < 200);
        }
    }
}
