//! What can be told of a pattern from its text alone: which characters stand for themselves in all that it matches.
//!
//! It is always on the safe side: what is not understood at a glance is taken to stand for anything.

use core::iter::Peekable;
use core::str::Chars;

use super::Selector;

/// Texts that whatever a regular expression matches contains one behind the other, as far as they are found.
pub(super) fn required(regex: &str) -> Vec<Box<str>> {
    let mut found = Runs::default();
    for item in items(regex) {
        match item {
            Item::Text(text) => found.text(text),
            Item::Optional => found.optional(),
            Item::Anchor(_) | Item::Other => found.ends(),
        }
    }
    found.ends();
    found.all
}

/// Whether a regular expression never looks at what is around that which it matches.
pub(super) fn has_no_anchors(regex: &str) -> bool {
    !regex.contains(['^', '$', '\\']) || !regex.contains(['^', '$']) && has_plain_escapes(regex)
}

/// The most characters in a row that stand for themselves in all that a pattern matches, the beginning and the end among
/// them where it is anchored; none for any other selector.
#[must_use]
pub fn said(selector: &Selector) -> usize {
    match selector {
        Selector::Regex(_, regex) => said_by_regex(regex),
        Selector::Glob(_, glob) => said_by_glob(glob),
        _ => 0,
    }
}

fn said_by_regex(regex: &str) -> usize {
    let mut found = Runs::default();
    for item in items(regex) {
        match item {
            Item::Text(text) => found.text(text),
            Item::Anchor(sign) => found.text(sign),
            Item::Optional => found.optional(),
            Item::Other => found.ends(),
        }
    }
    found.ends();
    found.longest()
}

/// A glob always matches from the beginning to the end.
fn said_by_glob(glob: &str) -> usize {
    let mut found = Runs::default();
    found.text('^');
    let mut chars = glob.chars();
    while let Some(char) = chars.next() {
        match char {
            '*' | '?' => found.ends(),
            '\\' => found.text(chars.next().unwrap_or('\\')),
            plain => found.text(plain),
        }
    }
    found.text('$');
    found.ends();
    found.longest()
}

/// Whether a text contains all of these, one behind the other.
pub(super) fn contains_all(text: &str, required: &[Box<str>]) -> bool {
    let mut rest = text;
    required.iter().all(|run| match rest.split_once(&**run) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// Runs of characters that stand for themselves.
#[derive(Default)]
struct Runs {
    run: String,
    all: Vec<Box<str>>,
}

impl Runs {
    fn text(&mut self, char: char) {
        self.run.push(char);
    }

    /// The last character may be missing.
    fn optional(&mut self) {
        self.run.pop();
        self.ends();
    }

    fn ends(&mut self) {
        let run = core::mem::take(&mut self.run);
        if !run.is_empty() {
            self.all.push(run.into());
        }
    }

    /// How many characters the longest has.
    fn longest(&self) -> usize {
        self.all.iter().map(|run| run.chars().count()).max().unwrap_or(0)
    }
}

/// A piece of a regular expression.
enum Item {
    /// A character that stands for itself.
    Text(char),
    /// What is before it need not be there.
    Optional,
    /// The beginning or the end of the text.
    Anchor(char),
    /// Anything else.
    Other,
}

/// The pieces of a regular expression up to where it cannot be told any more; what is in groups and classes is left out.
fn items(regex: &str) -> Vec<Item> {
    // Flags such as `(?i)` change what all the rest means.
    let has_flags = regex.split("(?").skip(1).any(|group| !group.starts_with([':', 'P', '<']));
    let mut items = Vec::new();
    let mut chars = regex.chars().peekable();
    while let Some(char) = chars.next() {
        let item = match char {
            '\\' => escaped(&mut chars),
            '^' | '$' => Some(Item::Anchor(char)),
            '.' => Some(Item::Other),
            '*' | '?' => Some(Item::Optional),
            '+' => Some(repeated(&mut chars)),
            '{' => chars.any(|char| char == '}').then_some(Item::Optional),
            '(' => skip_group(&mut chars).then_some(Item::Other),
            '[' => skip_class(&mut chars).then_some(Item::Other),
            '|' => return Vec::new(),
            plain => Some(Item::Text(plain)),
        };
        match item {
            Some(item) => items.push(item),
            None => break,
        }
    }
    // One of several alternatives may do without what the others need.
    if has_flags || chars.any(|char| char == '|') { Vec::new() } else { items }
}

/// `\d` is one thing; `\x41`, `\u{41}` and `\b{start}` go on.
fn escaped(chars: &mut Peekable<Chars<'_>>) -> Option<Item> {
    match chars.next() {
        Some(plain) if plain.is_ascii_punctuation() && !"<>".contains(plain) => Some(Item::Text(plain)),
        Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => Some(Item::Other),
        Some(_) | None => None,
    }
}

/// What is repeated is there once, unless the repetition is optional.
fn repeated(chars: &mut Peekable<Chars<'_>>) -> Item {
    match chars.peek() {
        Some('*' | '+' | '?' | '{') => Item::Optional,
        Some(_) | None => Item::Other,
    }
}

/// Goes on behind a group; whether its end was found.
fn skip_group(chars: &mut Peekable<Chars<'_>>) -> bool {
    let mut depth = 1;
    while let Some(char) = chars.next() {
        match char {
            '(' => depth += 1,
            ')' if depth == 1 => return true,
            ')' => depth -= 1,
            '\\' => _ = chars.next(),
            '[' if !skip_class(chars) => return false,
            _ => {}
        }
    }
    false
}

/// Goes on behind a class; whether its end was found. Classes in classes are not told apart.
fn skip_class(chars: &mut Peekable<Chars<'_>>) -> bool {
    chars.next_if_eq(&'^');
    // A bracket in the first place stands for itself.
    chars.next_if_eq(&']');
    while let Some(char) = chars.next() {
        match char {
            ']' => return true,
            '\\' => _ = chars.next(),
            '[' | '&' | '~' => return false,
            _ => {}
        }
    }
    false
}

fn has_plain_escapes(regex: &str) -> bool {
    let mut chars = regex.chars();
    while let Some(char) = chars.next() {
        if char == '\\'
            && !matches!(chars.next(), Some('d' | 'D' | 's' | 'S' | 'w' | 'W' | '.' | '/' | '-' | '?'))
        {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_lite::Regex;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_must_be_there_is_found() {
        for (regex, text) in [
            ("^/never/123$", "/never/123"),
            (r"^/products/[0-9]+/reviews\.html$", "/products/ /reviews.html"),
            ("abc+def", "abc def"),
            ("abcd?ef", "abc ef"),
            ("abcd*", "abc"),
            ("abcd{2}e", "abc e"),
            (r"\d+-old", "-old"),
            ("(x)?longer", "longer"),
            ("a(longer)b", "a b"),
            ("longer(x(y))", "longer"),
            (r"a(x[)|]\)(y))longer", "a longer"),
            (r"^/products/[\w-]+/part-7(\?|$)", "/products/ /part-7"),
            (r"/part-7(\?|/)(a(b|c))", "/part-7"),
            ("longer(x([[:alpha:]]|y))", ""),
            ("longer(x)|y", ""),
            ("longer([[:alpha:]])", "longer"),
            ("(?P<name>a)longer", "longer"),
            ("(?i:a)longer", ""),
            ("longer+?a", "longe a"),
            (r"abc\x41", "abc"),
            ("abc|abd", ""),
            ("(?i)abc", ""),
            ("[]a]bc", "bc"),
            ("ab[[:alpha:]]cde", "ab"),
            ("[^]]abc", "abc"),
            (".*", ""),
            ("[a-z]", ""),
            ("é*a", "a"),
        ] {
            assert_eq!(required(regex).join(" "), text, "{regex}");
        }
    }

    /// Every short expression of these pieces, against every short text: whatever matches contains what must be there,
    /// and what looks at nothing around it is found in anything longer.
    #[test]
    fn the_literal_of_a_pattern_excludes_no_match() {
        const PIECES: [&str; 16] =
            ["a", "b", "^", "$", "*", "?", "+", "{0,2}", "(", ")", "[ab]", "[^a]", "\\.", "\\b", ".", "|"];
        let texts: Vec<String> = (0..81)
            .map(|n: usize| {
                let char = |power: u32| ['a', 'b', '.'][n / 3usize.pow(power) % 3];
                (0..4).map(char).collect()
            })
            .collect();
        let texts: Vec<&str> = texts.iter().flat_map(|text| (0..=4).map(|len| &text[..len])).collect();
        for n in 0..PIECES.len().pow(4) {
            let piece = |power: u32| PIECES[n / PIECES.len().pow(power) % PIECES.len()];
            let regex: String = (0..4).map(piece).collect();
            let Ok(compiled) = Regex::new(&regex) else { continue };
            let (required, is_free) = (required(&regex), has_no_anchors(&regex));
            if required.is_empty() && !is_free {
                continue;
            }
            for text in texts.iter().step_by(7).filter(|text| compiled.is_match(text)) {
                assert!(contains_all(text, &required), "{regex} on {text} without {required:?}");
                assert!(!is_free || compiled.is_match(&format!("b{text}a")), "{regex} on {text}");
            }
        }
    }

    #[test]
    fn what_a_pattern_says_is_counted_with_its_anchors() {
        for (regex, count) in
            [("[a-z]", 0), (".", 0), ("e", 1), ("^/a", 3), (r"\.js$", 4), ("^.*$", 1), ("a?b?c?", 0), ("", 0)]
        {
            assert_eq!(said_by_regex(regex), count, "{regex}");
        }
        for (glob, count) in [("*", 1), ("*e*", 1), ("/a*", 3), ("*.js", 4), ("?", 1), (r"\*", 3), ("*/*", 1)]
        {
            assert_eq!(said_by_glob(glob), count, "{glob}");
        }
    }
}
