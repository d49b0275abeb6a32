//! Patterns over hosts and values. Nothing backtracks: a text is read once, from left to right.

use super::spelling::plain_literal;
use super::text::Text;
use crate::http::uri::hostname;

/// The longest pattern of a rule, in bytes. Beyond it the configuration is refused.
pub(super) const PATTERN_BYTES_MAX: usize = 1024;

/// Literal pieces with gaps between them, within one piece of text that has no further structure.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Glob {
    pub(super) head: Box<[u8]>,
    pub(super) rest: Box<[(Gap, Box<[u8]>)]>,
}

/// A place where any text may stand.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Gap {
    pub(super) len_min: usize,
    /// Whether the text is captured. Captures are counted from the left over the whole pattern.
    pub(super) captured: bool,
}

impl Glob {
    /// Takes `*` for any text of at least `len_min` bytes; two in a row say nothing more and are refused.
    fn parse(pattern: &str, len_min: usize) -> Option<Glob> {
        let mut pieces = pattern.split('*');
        let head = pieces.next()?.as_bytes().into();
        let gap = Gap { len_min, captured: false };
        let rest: Box<[(Gap, Box<[u8]>)]> = pieces.map(|piece| (gap, piece.as_bytes().into())).collect();
        let apart = rest.iter().rev().skip(1).all(|(_, piece)| !piece.is_empty());
        (apart && pattern.len() <= PATTERN_BYTES_MAX).then_some(Glob { head, rest })
    }

    /// The same over texts in plain spelling.
    pub(super) fn plain(&self) -> Glob {
        let rest = self.rest.iter().map(|(gap, piece)| (*gap, plain_literal(piece))).collect();
        Glob { head: plain_literal(&self.head), rest }
    }

    /// The one text it matches, when it has no gap.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        self.rest.is_empty().then_some(&*self.head)
    }

    /// What every match begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.head
    }

    /// What every match ends with.
    pub(super) fn suffix(&self) -> &[u8] {
        self.rest.last().map_or(&self.head, |(_, piece)| piece)
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        self.captures(text, &mut |_| {})
    }

    /// Whether it matches; tells `capture` what stands in the gaps that are captured, in order. The leftmost place
    /// for each piece is as good as any other: it leaves the most room for the rest.
    pub(super) fn captures<'t>(&self, text: &'t [u8], capture: &mut impl FnMut(&'t [u8])) -> bool {
        let Some(mut text) = text.strip_prefix(&*self.head) else { return false };
        let Some(((last_gap, tail), inner)) = self.rest.split_last() else { return text.is_empty() };
        for (gap, piece) in inner {
            let Some((between, after)) = split_at_piece(text, gap.len_min, piece) else { return false };
            if gap.captured {
                capture(between);
            }
            text = after;
        }
        let Some(between) = text.strip_suffix(&**tail).filter(|t| t.len() >= last_gap.len_min) else {
            return false;
        };
        if last_gap.captured {
            capture(between);
        }
        true
    }
}

/// What stands before and after the first occurrence of `piece`, at least `len_min` bytes from the start.
fn split_at_piece<'t>(text: &'t [u8], len_min: usize, piece: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let found = text.get(len_min..)?.windows(piece.len().max(1)).position(|window| window == piece)?;
    let (before, rest) = text.split_at_checked(len_min + found)?;
    Some((before, rest.get(piece.len()..)?))
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
        let glob = Glob::parse(&text.to_ascii_lowercase(), 1)?;
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
        tokens.then(|| Glob::parse(&text.to_ascii_lowercase(), 0).map(TypePattern)).flatten()
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
    const EXPECTED: &'static str = "text in which * stands for any other text, such as \"Bot/*\"";

    fn from_text(text: &str) -> Option<Self> {
        Glob::parse(text, 0).map(ValuePattern)
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
    fn no_text_makes_a_glob_slow() {
        // Backtracking over every star would take longer than the universe has.
        let stars = ValuePattern::from_text(&format!("{}b", "*a".repeat(500))).unwrap();
        assert!(!stars.matches(&[b'a'; 60_000]));
    }
}
