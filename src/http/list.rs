//! Lists and their members, as most fields have them (RFC 9110 §5.6.1): split at commas, but not in quoted strings.

/// The members of a comma-separated list, without the white space around them. Empty members are left out.
///
/// A backslash in a quoted string escapes the next byte (RFC 9110 §5.6.4). A quote that is never closed quotes
/// nothing, so that it cannot hide the members after it.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    Pieces { rest: Some(value), separator: b',', escapes: true, quotes: true }
        .filter(|piece| !piece.is_empty())
}

/// The members of a list of entity tags, in which a backslash is a byte like any other (RFC 9110 §8.8.3).
pub fn entity_tags(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    Pieces { rest: Some(value), separator: b',', escapes: false, quotes: true }
        .filter(|piece| !piece.is_empty())
}

/// What stands between the semicolons of a member or of a `Cookie`; empty pieces are left out.
pub fn parameters(member: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    Pieces { rest: Some(member), separator: b';', escapes: true, quotes: true }
        .filter(|piece| !piece.is_empty())
}

/// A name and what follows its first `=`. The grammar allows no white space there, so it is not taken away.
#[must_use]
pub fn name_and_value(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    match member.iter().position(|b| *b == b'=') {
        Some(at) => {
            let (name, rest) = member.split_at(at);
            (name, rest.get(1..))
        }
        None => (member, None),
    }
}

/// Whether this is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_tchar(*byte))
}

/// Whether a token may have this byte.
#[must_use]
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether this is one quoted string and nothing more (RFC 9110 §5.6.4).
#[must_use]
pub fn is_quoted_string(text: &[u8]) -> bool {
    let is_text = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
    text.first() == Some(&b'"')
        && closing(text, 1, true) == Some(text.len().saturating_sub(1))
        && text.iter().all(is_text)
}

/// The text of a token or quoted string: without its quotes and escapes.
#[must_use]
pub fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for byte in inner {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(*byte);
        }
    }
    text
}

/// The list with its white space around commas as `, ` and none at the ends; quoted strings as they are.
#[must_use]
pub fn spaced(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() + 8);
    for (i, piece) in (Pieces { rest: Some(value), separator: b',', escapes: true, quotes: true }).enumerate()
    {
        if i > 0 {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(piece);
    }
    text
}

#[derive(Clone)]
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
    escapes: bool,
    quotes: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match self.end(rest) {
            Some(end) => {
                let (piece, after) = rest.split_at(end);
                self.rest = after.get(1..);
                Some(piece.trim_ascii())
            }
            None => {
                self.rest = None;
                Some(rest.trim_ascii())
            }
        }
    }
}

impl Pieces<'_> {
    /// Where the next separator is that no quoted string covers.
    fn end(&mut self, rest: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let found = at
                + rest.get(at..)?.iter().position(|b| *b == self.separator || (*b == b'"' && self.quotes))?;
            if rest.get(found) == Some(&self.separator) {
                return Some(found);
            }
            match closing(rest, found + 1, self.escapes) {
                Some(close) => at = close + 1,
                None => {
                    // From here on a quote is a byte like any other: else each one would be searched for its end.
                    self.quotes = false;
                    at = found + 1;
                }
            }
        }
    }
}

fn closing(rest: &[u8], from: usize, escapes: bool) -> Option<usize> {
    let mut escaped = false;
    for (i, byte) in rest.get(from..)?.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if escapes => escaped = true,
            b'"' => return Some(from + i),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn text(value: &str) -> Vec<String> {
        members(value.as_bytes()).map(|m| String::from_utf8_lossy(m).into_owned()).collect()
    }

    #[test]
    fn a_list_is_split_at_commas_outside_of_quoted_strings() {
        for (value, expected) in [
            ("", &[][..]),
            (" , ,", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (" a ,\t b ,", &["a", "b"]),
            (r#"a="1,2", b"#, &[r#"a="1,2""#, "b"]),
            (r#"a="1\",2", b"#, &[r#"a="1\",2""#, "b"]),
            (r#"a="1, no-store"#, &[r#"a="1"#, "no-store"]),
            (r#"a"b,c"d,e"#, &[r#"a"b,c"d"#, "e"]),
        ] {
            assert_eq!(text(value), expected, "{value}");
        }
    }

    #[test]
    fn a_backslash_in_an_entity_tag_escapes_nothing() {
        assert_eq!(entity_tags(br#""a\", "b""#).collect::<Vec<_>>(), [&br#""a\""#[..], br#""b""#]);
    }

    #[test]
    fn many_unclosed_quotes_cost_no_more_than_one() {
        let value = br#"\""#.repeat(200_000);
        assert_eq!(members(&value).count(), 1);
    }

    #[test]
    fn white_space_around_commas_is_made_uniform() {
        assert_eq!(spaced(br#"a,b ,  c="x,y""#), br#"a, b, c="x,y""#);
    }

    #[test]
    fn tokens_and_quoted_strings_are_recognised() {
        for token in ["a", "no-store", "'x'", "a.b|c", "%22"] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
        for other in ["", "a b", "a;", "a:", "\"a\"", "a/b", "\u{e9}", "a\u{7f}"] {
            assert!(!is_token(other.as_bytes()), "{other}");
        }
        for quoted in ["\"\"", "\"a, b\"", r#""a\"b""#, r#""a\\""#, "\"\u{e9}\t\""] {
            assert!(is_quoted_string(quoted.as_bytes()), "{quoted}");
        }
        for other in ["", "\"", "a", "\"a", "a\"", "\"a\"b", "\"a\"b\"", r#""a\""#, "\"\u{1}\"", " \"a\""] {
            assert!(!is_quoted_string(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn quoted_strings_lose_their_quotes_and_escapes() {
        assert_eq!(unquoted(br#""a\"b\\""#), br#"a"b\"#);
        assert_eq!(unquoted(b"a\"b"), b"a\"b");
        assert_eq!(unquoted(b"\""), b"\"");
    }
}
