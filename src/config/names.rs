//! Names: of header fields, methods, caches, rules and tokens, and the digests of tokens.

use super::text::Text;
use crate::http::list;
use crate::http::percent::hex_byte;

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

/// A header field name, put into lower case; `*` may end it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct FieldPattern(pub String);

impl Text for FieldPattern {
    const WHAT: &'static str = FieldName::WHAT;
    const EXPECTED: &'static str = "letters, digits and -_.!#$%&'+^`|~, and perhaps a * at the end";

    fn from_text(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let fits = name.is_empty() && !text.is_empty() || is_token(name) && !name.contains('*');
        fits.then(|| FieldPattern(text.to_ascii_lowercase()))
    }
}

/// Whether this is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    list::is_token(text.as_bytes())
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
        let goes_on = text.bytes().all(|b| list::is_tchar(b) || b == b':' || b == b'/');
        (starts && goes_on).then(|| CacheName(text.into()))
    }
}

/// The name of this cache in `Surrogate-Control`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct DeviceName(pub String);

impl Text for DeviceName {
    const WHAT: &'static str = "a device name";
    const EXPECTED: &'static str = "letters, digits and -_.!#$%&'*+^`|~";

    fn from_text(text: &str) -> Option<Self> {
        is_token(text).then(|| DeviceName(text.into()))
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

/// The SHA-256 digest of a token from 64 hex digits.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = hex_byte(*high, *low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

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
}
