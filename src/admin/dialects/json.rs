//! JSON that a caller sent, read strictly: every complaint names the place and what was expected there.

use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::admin::Problem;

/// A value and where in the body it stands.
#[derive(Clone, Debug)]
pub struct Node {
    path: String,
    value: Value,
}

/// The members of an object that have not been read yet.
#[derive(Debug)]
pub struct Object {
    path: String,
    members: Map<String, Value>,
}

impl Node {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON, or an object in it has a member twice.
    pub fn parse(body: &[u8]) -> Result<Node, Problem> {
        match serde_json::from_slice(body) {
            Ok(Strict(value)) => Ok(Node { path: String::new(), value }),
            Err(error) => Err(Problem::bad(format!("the body is not valid JSON: {error}"))),
        }
    }

    /// A value that did not come as a body.
    #[must_use]
    pub const fn new(value: Value) -> Node {
        Node { path: String::new(), value }
    }

    /// The complaint that something else was expected here.
    #[must_use]
    pub fn expected(&self, what: &str) -> Problem {
        let found = self.value.to_string();
        let shown: String = found.chars().take(80).collect();
        let dots = if shown.len() < found.len() { "…" } else { "" };
        Problem::at(&self.path, format!("expected {what}, found {shown}{dots}"))
    }

    /// Where this stands.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value as it came.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// An object.
    ///
    /// # Errors
    /// When it is something else.
    pub fn object(self) -> Result<Object, Problem> {
        match self.value {
            Value::Object(members) => Ok(Object { path: self.path, members }),
            _ => Err(self.expected("an object")),
        }
    }

    /// A list of at least one and at most `max` elements.
    ///
    /// # Errors
    /// When it is something else.
    pub fn list(self, max: usize) -> Result<Vec<Node>, Problem> {
        match self.value {
            Value::Array(elements) if (1..=max).contains(&elements.len()) => Ok(elements
                .into_iter()
                .enumerate()
                .map(|(at, value)| Node { path: format!("{}[{at}]", self.path), value })
                .collect()),
            Value::Array(elements) => Err(Problem::at(
                &self.path,
                format!("expected 1 to {max} elements, found {}", elements.len()),
            )),
            _ => Err(self.expected("a list")),
        }
    }

    /// A list of strings.
    ///
    /// # Errors
    /// When it is something else.
    pub fn strings(self, max: usize) -> Result<Vec<(Node, String)>, Problem> {
        let element = |node: Node| {
            let text = node.string()?.to_owned();
            Ok((node, text))
        };
        self.list(max)?.into_iter().map(element).collect()
    }

    /// A string that is not empty.
    ///
    /// # Errors
    /// When it is something else.
    pub fn string(&self) -> Result<&str, Problem> {
        match self.value.as_str() {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.expected("a string that is not empty")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn bool(&self) -> Result<bool, Problem> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&self) -> Result<u64, Problem> {
        self.value.as_u64().ok_or_else(|| self.expected("a whole number"))
    }
}

impl Object {
    /// Takes a member out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        let value = self.members.remove(name)?;
        Some(Node { path: join(&self.path, name), value })
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// When it is missing.
    pub fn require(&mut self, name: &str, what: &str) -> Result<Node, Problem> {
        self.take(name)
            .ok_or_else(|| Problem::at(&join(&self.path, name), format!("is missing: expected {what}")))
    }

    /// Whether all members have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What has not been taken, as an object again.
    #[must_use]
    pub fn rest(self) -> Node {
        Node { path: self.path, value: self.members.into() }
    }

    /// Takes some remaining member out.
    pub fn take_any(&mut self) -> Option<(String, Node)> {
        let name = self.members.keys().next()?.clone();
        let node = self.take(&name)?;
        Some((name, node))
    }

    /// Ends the reading of an object.
    ///
    /// # Errors
    /// When a member has not been taken: nobody knows it.
    pub fn end(self, known: &str) -> Result<(), Problem> {
        match self.members.keys().next() {
            Some(name) => {
                Err(Problem::at(&join(&self.path, name), format!("is not known here: expected {known}")))
            }
            None => Ok(()),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value in which no object has a member twice: which one counts would be anybody's guess.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = elements.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
            if object.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!(
                    "the member \"{name}\" stands there twice"
                )));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn complaint<T>(result: Result<T, Problem>) -> (String, String) {
        let problem = result.err().unwrap();
        (problem.path.unwrap_or_default(), problem.message)
    }

    #[test]
    fn a_complaint_names_the_place_and_what_was_expected() {
        let mut body = Node::parse(br#"{"a": [{"b": 7}, "x"], "c": {}}"#).unwrap().object().unwrap();
        let mut list = body.take("a").unwrap().list(2).unwrap();
        assert_eq!(
            complaint(list.remove(1).object()),
            ("a[1]".into(), "expected an object, found \"x\"".into())
        );
        let mut first = list.remove(0).object().unwrap();
        let (path, message) = complaint(first.take("b").unwrap().string());
        assert_eq!((&path[..], &message[..]), ("a[0].b", "expected a string that is not empty, found 7"));
        let (path, message) = complaint(first.require("d", "a number"));
        assert_eq!((&path[..], &message[..]), ("a[0].d", "is missing: expected a number"));
        let (path, message) = complaint(body.end("only a"));
        assert_eq!((&path[..], &message[..]), ("c", "is not known here: expected only a"));
    }

    #[test]
    fn lists_are_bounded_and_long_values_are_not_echoed() {
        let list = |text: &str| Node::parse(text.as_bytes()).unwrap().list(2);
        assert_eq!(complaint(list("[1,2,3]")).1, "expected 1 to 2 elements, found 3");
        assert_eq!(complaint(list("[]")).1, "expected 1 to 2 elements, found 0");
        let long = format!("\"{}\"", "x".repeat(1000));
        assert!(complaint(Node::parse(long.as_bytes()).unwrap().bool()).1.len() < 150);
    }

    #[test]
    fn what_is_not_strictly_json_is_refused() {
        for bad in
            ["", "{", "{\"a\":1,\"a\":2}", "[{\"a\":{\"b\":1,\"b\":1}}]", "{}x", "\u{feff}{}", "{'a':1}"]
        {
            assert!(Node::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Node::parse(&[b'"', 0xff, b'"']).is_err());
        assert!(Node::parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
