//! Patterns over hosts and values.

use super::text::Text;
use crate::glob::Glob;
use crate::http::uri::hostname;

/// The longest pattern of a rule, in bytes. Beyond it the configuration is refused.
pub(super) const PATTERN_BYTES_MAX: usize = 1024;

/// Takes `*` for any text of at least `len_min` bytes; two in a row say nothing more and are refused.
fn glob(pattern: &str, len_min: usize) -> Option<Glob> {
    let glob = Glob::parse(pattern.as_bytes(), len_min, false);
    (pattern.len() <= PATTERN_BYTES_MAX && !glob.has_gaps_side_by_side()).then_some(glob)
}

/// A host, such as `shop.example`, `*.example.com`, `shop.example:8080`. `*` stands for one byte or more, dots
/// included. Without a port it matches the host on any port.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct HostPattern {
    glob: Glob,
    has_port: bool,
}

impl Text for HostPattern {
    const WHAT: &'static str = "a host pattern";
    const EXPECTED: &'static str = "a host such as \"shop.example\" or \"shop.example:8080\", in which * stands for any text: \"*.example.com\"";

    fn from_text(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"*-._:[]".contains(&b);
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let glob = glob(&text.to_ascii_lowercase(), 1)?;
        Some(HostPattern { glob, has_port: hostname(text.as_bytes()).len() < text.len() })
    }
}

impl HostPattern {
    /// What every host that it matches ends with, the port left aside.
    pub(super) fn suffix(&self) -> &[u8] {
        let suffix = self.glob.suffix();
        if !self.has_port {
            return suffix;
        }
        let colon = suffix.iter().rposition(|&b| b == b':');
        colon.and_then(|at| suffix.get(..at)).unwrap_or_default()
    }

    /// `authority` and `host` in lower case, the host being the authority without its port.
    pub(super) fn matches(&self, authority: &[u8], host: &[u8]) -> bool {
        self.glob.matches(if self.has_port { authority } else { host })
    }
}

/// A media type, such as `text/html` or `image/*`, compared without its parameters.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct TypePattern(Glob);

impl Text for TypePattern {
    const WHAT: &'static str = "a media type";
    const EXPECTED: &'static str =
        "a type and a subtype without parameters, such as \"text/html\" or \"image/*\"";

    fn from_text(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let tokens = super::names::is_token(kind) && super::names::is_token(subtype);
        tokens.then(|| glob(&text.to_ascii_lowercase(), 0).map(TypePattern)).flatten()
    }
}

impl TypePattern {
    /// `content_type` is the value of the field as it came.
    pub(super) fn matches(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|&b| b == b';').next().unwrap_or_default();
        self.0.matches(&essence.trim_ascii().to_ascii_lowercase())
    }
}

/// The value of a request header field, in which `*` stands for any text.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ValuePattern(Glob);

impl Text for ValuePattern {
    const WHAT: &'static str = "a value pattern";
    const EXPECTED: &'static str =
        "text in which * stands for any other text and \\* for a star, such as \"Bot/*\"";

    fn from_text(text: &str) -> Option<Self> {
        glob(text, 0).map(ValuePattern)
    }
}

impl ValuePattern {
    /// What every match begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        self.0.prefix()
    }

    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.0.matches(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_host_pattern_leaves_the_port_aside_unless_it_has_one() {
        for (pattern, authority, matches) in [
            ("shop.example", "shop.example", true),
            ("shop.example", "shop.example:8080", true),
            ("shop.example:8080", "shop.example:8080", true),
            ("shop.example:8080", "shop.example", false),
            ("shop.example:8080", "shop.example:80", false),
            ("Shop.Example", "shop.example", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com:1", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "a.example.com.evil", false),
            ("*", "a", true),
            ("*", "", false),
            ("a*:80*", "ab:8080", true),
            ("[::1]", "[::1]:8080", true),
            ("[::1]:8080", "[::1]:8080", true),
            ("[::1]", "[::2]", false),
        ] {
            let compiled = HostPattern::from_text(pattern).unwrap();
            let host = hostname(authority.as_bytes());
            assert_eq!(compiled.matches(authority.as_bytes(), host), matches, "{pattern} {authority}");
            assert!(!matches || host.ends_with(compiled.suffix()), "{pattern} {authority}");
        }
        for pattern in ["", "a b", "a/b", "a@b", "ä", "**"] {
            assert_eq!(HostPattern::from_text(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn media_types_are_compared_without_parameters_and_case() {
        for (pattern, content_type, matches) in [
            ("text/html", "text/html", true),
            ("text/html", "Text/HTML ; charset=utf-8", true),
            ("text/html", "text/html2", false),
            ("image/*", "image/png", true),
            ("image/*", "images/png", false),
            ("*/*", "a/b", true),
            ("*/*", "", false),
            ("application/*+json", "application/problem+json;a=b", true),
        ] {
            let compiled = TypePattern::from_text(pattern).unwrap();
            assert_eq!(compiled.matches(content_type.as_bytes()), matches, "{pattern} {content_type}");
        }
        for pattern in ["", "text", "text/", "/html", "text/html; a=b", "a/b/c"] {
            assert_eq!(TypePattern::from_text(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn a_star_in_a_value_stands_for_any_text_unless_it_is_escaped() {
        for (pattern, value, matches) in [
            ("Bot/*", "Bot/1.0", true),
            ("*/*", "text/html", true),
            (r"\*/\*", "*/*", true),
            (r"\*/\*", "text/html", false),
            ("a?", "ab", false),
            ("a?", "a?", true),
            (r"a\\b", r"a\b", true),
        ] {
            let compiled = ValuePattern::from_text(pattern).unwrap();
            assert_eq!(compiled.matches(value.as_bytes()), matches, "{pattern} {value}");
        }
    }

    #[test]
    fn no_text_makes_a_glob_slow() {
        // Backtracking over every star would take longer than the universe has.
        let stars = ValuePattern::from_text(&format!("{}b*", "*a".repeat(500))).unwrap();
        assert!(!stars.matches(&[b'a'; 60_000]));
    }
}
