//! Tags that a rule gives to a response: text with the captures of its path in it, such as `user:{id}`.

use super::text::Text;
use crate::http::percent;

/// The longest template of a tag or a path, in bytes. Beyond it the configuration is refused.
const TEMPLATE_BYTES_MAX: usize = 1024;

/// A tag with places for captures.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct TagTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Capture(String),
}

impl Text for TagTemplate {
    const WHAT: &'static str = "a tag";
    const EXPECTED: &'static str = "text without control characters, in which {name} stands for a capture of match.path, such as \"user:{id}\"";

    fn from_text(mut text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX || text.chars().any(char::is_control) {
            return None;
        }
        let mut parts = Vec::new();
        while let Some(at) = text.find(['{', '}']) {
            let (literal, rest) = text.split_at_checked(at)?;
            let (name, rest) = rest.strip_prefix('{')?.split_once('}')?;
            parts.push(Part::Text(literal.into()));
            parts.push(Part::Capture(name.into()));
            text = rest;
        }
        parts.push(Part::Text(text.into()));
        Some(TagTemplate { parts })
    }
}

impl TagTemplate {
    /// The captures that it uses.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Capture(name) => Some(name.as_str()),
        })
    }

    /// The tag, when it uses no capture.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The tag, with what `capture` finds for each name.
    pub(super) fn expand<'p>(&self, capture: impl Fn(&str) -> Option<&'p [u8]>) -> String {
        let mut tag = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::Capture(name) => tag.push_str(&decoded(capture(name).unwrap_or_default())),
            }
        }
        tag
    }

    /// The text, with what `capture` finds for each name as it was sent.
    pub(super) fn expand_raw<'p>(&self, capture: impl Fn(&str) -> Option<&'p [u8]>) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.parts {
            text.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Capture(name) => capture(name).unwrap_or_default(),
            });
        }
        text
    }
}

/// Percent-decoded (RFC 3986 §2.1), because `/users/%34%32` is the origin's user 42 too and a purge of it must
/// cover both. Where that gives no text, or control characters, it stays as it was sent.
fn decoded(text: &[u8]) -> String {
    match String::from_utf8(percent::decoded(text).collect()) {
        Ok(decoded) if !decoded.chars().any(char::is_control) => decoded,
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn captures_are_percent_decoded_where_that_gives_text() {
        for (captured, tag) in [
            (&b"42"[..], "user:42!"),
            (b"%34%32", "user:42!"),
            (b"a%20b", "user:a b!"),
            (b"%C3%BC", "user:ü!"),
            (b"%ff", "user:%ff!"),
            (b"%0a", "user:%0a!"),
            (b"%", "user:%!"),
            (b"%4", "user:%4!"),
            (b"%zz", "user:%zz!"),
            (b"\xff", "user:\u{fffd}!"),
        ] {
            let template = TagTemplate::from_text("user:{id}!").unwrap();
            assert_eq!(template.expand(|name| (name == "id").then_some(captured)), tag);
        }
    }

    #[test]
    fn a_template_names_its_captures() {
        for (text, names) in [
            ("a", Some(&[][..])),
            ("{a}-{b}", Some(&["a", "b"])),
            ("", None),
            ("{a", None),
            ("a}", None),
            ("a\nb", None),
        ] {
            let template = TagTemplate::from_text(text);
            assert_eq!(
                template.as_ref().map(|t| t.names().collect::<Vec<_>>()).as_deref(),
                names,
                "{text:?}"
            );
        }
    }
}
