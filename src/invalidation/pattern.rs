//! Globs and regular expressions over stored responses, matched in time linear in the text.
//!
//! In a glob `*` stands for any run of characters, slashes included, `?` for one character, and a backslash takes
//! the next character as it is. A purge that covers too much costs a fetch, one that covers too little breaks a
//! promise: so there is no wildcard that stops at a slash, and what cannot be matched counts as covered.

use regex_lite::{Regex, RegexBuilder};

/// The longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;

/// The most memory that a compiled regular expression may take, in bytes.
const REGEX_SIZE_MAX: usize = 64 << 10;

/// The deepest nesting of groups in a regular expression.
const REGEX_NEST_MAX: u32 = 32;

/// A compiled pattern.
#[derive(Debug)]
pub enum Pattern {
    /// A glob.
    Glob(Box<[u8]>),
    /// A regular expression; found anywhere in the text unless it is anchored.
    Regex(Regex),
    /// A pattern that this build cannot compile, written by another: matches everything.
    Unknown,
}

/// Whether a text matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matched {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That cannot be said.
    Unsure,
}

impl Pattern {
    /// A glob.
    ///
    /// # Errors
    /// When it is too long.
    pub fn glob(text: &str) -> Result<Pattern, String> {
        within_bounds(text)?;
        Ok(Pattern::Glob(text.as_bytes().into()))
    }

    /// A regular expression.
    ///
    /// # Errors
    /// When it is too long or large, or wrong; the message says what is.
    pub fn regex(text: &str) -> Result<Pattern, String> {
        within_bounds(text)?;
        RegexBuilder::new(text)
            .size_limit(REGEX_SIZE_MAX)
            .nest_limit(REGEX_NEST_MAX)
            .build()
            .map(Pattern::Regex)
            .map_err(|error| error.to_string())
    }

    /// Whether the text matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> Matched {
        let yes = match self {
            Pattern::Glob(glob) => glob_matches(glob, text),
            Pattern::Regex(regex) => match core::str::from_utf8(text) {
                Ok(text) => regex.is_match(text),
                Err(_) => return Matched::Unsure,
            },
            Pattern::Unknown => return Matched::Unsure,
        };
        if yes { Matched::Yes } else { Matched::No }
    }
}

fn within_bounds(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("the pattern is empty".into()),
        1..=PATTERN_BYTES_MAX => Ok(()),
        _ => Err(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes")),
    }
}

/// Whether a glob matches the whole text.
///
/// Only the last `*` is ever tried again, one byte further on, so the time is at most glob × text.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (Token::at(glob, g), text.get(t)) {
            (Token::Run, _) => {
                g += 1;
                star = Some((g, t));
            }
            (token, Some(byte)) if token.takes(*byte) => {
                g += token.len();
                t += 1;
            }
            (Token::End, None) => return true,
            (_, byte) => match (star, byte) {
                (Some((after, from)), Some(_)) => {
                    star = Some((after, from + 1));
                    (g, t) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
}

enum Token {
    Run,
    Any,
    Byte(u8),
    Escaped(u8),
    End,
}

impl Token {
    fn at(glob: &[u8], at: usize) -> Token {
        match glob.get(at..).unwrap_or_default() {
            [] => Token::End,
            [b'*', ..] => Token::Run,
            [b'?', ..] => Token::Any,
            [b'\\', byte, ..] => Token::Escaped(*byte),
            [byte, ..] => Token::Byte(*byte),
        }
    }

    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Any => true,
            Token::Byte(b) | Token::Escaped(b) => *b == byte,
            Token::Run | Token::End => false,
        }
    }

    fn len(&self) -> usize {
        match self {
            Token::Escaped(_) => 2,
            Token::Run | Token::Any | Token::Byte(_) | Token::End => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn globs_match_whole_texts() {
        let cases = [
            ("/img/*.png", "/img/a.png", true),
            ("/img/*.png", "/img/deep/a.png", true),
            ("/img/*.png", "/img/a.png?v=1", false),
            ("/img/*", "/img/", true),
            ("/img/?.png", "/img/a.png", true),
            ("/img/?.png", "/img/ab.png", false),
            ("/a\\*b", "/a*b", true),
            ("/a\\*b", "/axb", false),
            ("*", "", true),
            ("**", "anything", true),
            ("?", "", false),
            ("a\\", "a\\", true),
            ("*a*b*c", "xxaxxbxxcxxc", true),
            ("*a*b*c", "xxaxxbxxcxx", false),
            ("", "a", false),
        ];
        for (glob, text, expected) in cases {
            assert_eq!(glob_matches(glob.as_bytes(), text.as_bytes()), expected, "{glob} on {text}");
        }
    }

    #[test]
    fn a_hostile_glob_takes_no_exponential_time() {
        let glob = "*a".repeat(250);
        let text = vec![b'a'; 249];
        assert!(!glob_matches(glob.as_bytes(), &text));
        let long = vec![b'b'; 60_000];
        assert!(!glob_matches(glob.as_bytes(), &long));
    }

    #[test]
    fn regular_expressions_are_bounded() {
        assert!(Pattern::regex("^/a(b|c)+$").is_ok());
        for bad in ["", "(", "[a", "a{100000}", "(a{200}){200}", &"x".repeat(PATTERN_BYTES_MAX + 1)] {
            assert!(Pattern::regex(bad).is_err(), "{bad}");
        }
        assert!(Pattern::regex(&format!("{}{}", "(".repeat(60), ")".repeat(60))).is_err());
    }

    #[test]
    fn what_cannot_be_matched_is_unsure() {
        let regex = Pattern::regex("^/a").unwrap();
        assert_eq!(regex.matches(b"/a"), Matched::Yes);
        assert_eq!(regex.matches(b"/b"), Matched::No);
        assert_eq!(regex.matches(b"/\xff"), Matched::Unsure);
        assert_eq!(Pattern::Unknown.matches(b"/"), Matched::Unsure);
    }
}
