//! Globs and regular expressions over stored responses, matched in time linear in the text.
//!
//! In a glob `*` stands for any run of characters, slashes included, `?` for one character, and a backslash takes
//! the next character as it is. A purge that covers too much costs a fetch, one that covers too little breaks a
//! promise: so there is no wildcard that stops at a slash, and what cannot be matched counts as covered.
//!
//! What matching takes is counted ([`Work`]). Most patterns have some text that whatever they match must contain; to
//! look for that first costs next to nothing.

use regex_lite::{Regex, RegexBuilder};

use super::literal::{contains_all, has_no_anchors, required};
use super::work::Work;
use crate::glob::{Glob, OutOfWork};

/// The longest pattern of a command in bytes. Beyond it the command is refused with a 400.
pub const PATTERN_BYTES_MAX: usize = 512;

/// The most memory that a compiled regular expression may take, in bytes. Beyond it the command is refused with a 400.
const REGEX_SIZE_MAX: usize = 64 << 10;

/// The most memory of one that counts once: what takes twice as much may take twice as long for each byte of text.
const REGEX_SIZE_SMALL: usize = 1 << 10;

/// The deepest nesting of groups in a regular expression. Beyond it the command is refused with a 400.
const REGEX_NEST_MAX: u32 = 32;

/// How many bytes are looked through for a given text in the time in which a regular expression takes one.
const SEARCHED_PER_UNIT: usize = 32;

/// The same for the steps that a glob takes.
const STEPS_PER_UNIT: usize = 16;

/// A compiled pattern.
#[derive(Debug)]
pub enum Pattern {
    /// A glob.
    Glob(Glob),
    /// A regular expression; found anywhere in the text unless it is anchored.
    Regex(Expression),
    /// A pattern that this build cannot compile, written by another: matches everything.
    Unknown,
}

/// A compiled regular expression.
#[derive(Debug)]
pub struct Expression {
    regex: Regex,
    /// What each text that matches contains.
    required: Vec<Box<str>>,
    /// What it costs for each byte of text.
    weight: u64,
    /// Whether it looks at nothing around what it matches: then it matches whatever contains a text that matches.
    is_free: bool,
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
        Ok(Pattern::Glob(Glob::parse(text.as_bytes(), 0, true)))
    }

    /// A regular expression.
    ///
    /// # Errors
    /// When it is too long or large, or wrong; the message says what is.
    pub fn regex(text: &str) -> Result<Pattern, String> {
        within_bounds(text)?;
        let sizes =
            || (0..).map(|doubled| REGEX_SIZE_SMALL << doubled).take_while(|size| *size <= REGEX_SIZE_MAX);
        let mut wrong = String::new();
        for size in sizes() {
            match RegexBuilder::new(text).size_limit(size).nest_limit(REGEX_NEST_MAX).build() {
                Ok(regex) => {
                    let weight = (size / REGEX_SIZE_SMALL) as u64;
                    let (required, is_free) = (required(text), has_no_anchors(text));
                    return Ok(Pattern::Regex(Expression { regex, required, weight, is_free }));
                }
                Err(error) => wrong = error.to_string(),
            }
        }
        Err(wrong)
    }

    /// Whether a text matches if a part of it does.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self, Pattern::Regex(Expression { is_free: true, .. }))
    }

    /// Whether the text matches. Unsure when there is not enough work left to tell.
    #[must_use]
    pub fn matches(&self, text: &[u8], work: &Work) -> Matched {
        match self {
            Pattern::Glob(glob) => glob_matches(glob, text, work),
            Pattern::Regex(expression) => expression.matches(text, work),
            Pattern::Unknown => Matched::Unsure,
        }
    }
}

impl Expression {
    fn matches(&self, text: &[u8], work: &Work) -> Matched {
        let bytes = text.len();
        if !work.take(1 + (bytes / SEARCHED_PER_UNIT) as u64) {
            return Matched::Unsure;
        }
        let Ok(text) = core::str::from_utf8(text) else { return Matched::Unsure };
        if !contains_all(text, &self.required) {
            return Matched::No;
        }
        if !work.take((bytes as u64).saturating_mul(self.weight)) {
            return Matched::Unsure;
        }
        if self.regex.is_match(text) { Matched::Yes } else { Matched::No }
    }
}

fn within_bounds(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("the pattern is empty".into()),
        1..=PATTERN_BYTES_MAX => Ok(()),
        _ => Err(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes")),
    }
}

fn glob_matches(glob: &Glob, text: &[u8], work: &Work) -> Matched {
    let mut steps = 0;
    let mut spend = |more: usize| {
        steps += more;
        let units = steps / STEPS_PER_UNIT;
        steps %= STEPS_PER_UNIT;
        (0..units).all(|_| work.take(1))
    };
    // As many as it takes to find that it begins or ends otherwise.
    if !spend(STEPS_PER_UNIT) {
        return Matched::Unsure;
    }
    match glob.matches_within(text, &mut spend) {
        Ok(true) => Matched::Yes,
        Ok(false) => Matched::No,
        Err(OutOfWork) => Matched::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_hostile_glob_takes_no_more_than_it_may() {
        let matches = |glob: &str, text: &[u8], work: &Work| Pattern::glob(glob).unwrap().matches(text, work);
        let enough = Work::of_a_verdict();
        assert_eq!(matches(&"*a".repeat(250), &[b'a'; 249], &enough), Matched::No);
        assert_eq!(matches(&format!("{}*", "*a".repeat(250)), &[b'b'; 60_000], &enough), Matched::No);
        assert!(enough.spent() < (60_000 / STEPS_PER_UNIT + 100) as u64, "{}", enough.spent());
        let before = enough.spent();
        assert_eq!(matches("*a*b", &[b'a'; 60_000], &enough), Matched::No);
        assert_eq!(enough.spent() - before, 1, "it ends otherwise");
        let (glob, text) = (format!("*{}b*", "a".repeat(500)), [b'a'; 8192]);
        let little = Work::of(100);
        assert_eq!(matches(&glob, &text, &little), Matched::Unsure);
        assert_eq!((little.spent(), little.is_done()), (100, true));
    }

    #[test]
    fn a_regular_expression_is_run_only_over_what_has_its_text() {
        let spent = |regex: &str, text: &str| {
            let work = Work::of(1 << 20);
            let _ = Pattern::regex(regex).unwrap().matches(text.as_bytes(), &work);
            work.spent()
        };
        let text = format!("h/news/{}", "a".repeat(1000));
        assert_eq!(spent("/never/[0-9]+$", &text), 32);
        assert_eq!(spent("/news/[0-9]+$", &text), 32 + 1007);
        assert_eq!(spent("[0-9]", &text), 32 + 1007);
        assert!(spent("[a-z0-9]{1,200}s", &text) > 10 * 1007, "a large one takes longer for each byte");
        let little = Work::of(100);
        assert_eq!(Pattern::regex("b").unwrap().matches(text.as_bytes(), &little), Matched::No);
        assert_eq!(Pattern::regex("[b]").unwrap().matches(text.as_bytes(), &little), Matched::Unsure);
        assert!(little.is_done());
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
        let (regex, work) = (Pattern::regex("^/a").unwrap(), Work::of_a_verdict());
        assert_eq!(regex.matches(b"/a", &work), Matched::Yes);
        assert_eq!(regex.matches(b"/b", &work), Matched::No);
        assert_eq!(regex.matches(b"/\xff", &work), Matched::Unsure);
        assert_eq!(Pattern::Unknown.matches(b"/", &work), Matched::Unsure);
    }
}
