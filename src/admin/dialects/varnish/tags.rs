//! Tags as purges name them: in lists, and in the regular expressions that clients write for lists.

use crate::admin::Problem;
use crate::invalidation::{Separators, Tag};

/// Tags by name, or what else a field says of tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tags {
    /// Any of these.
    Names(Vec<Tag>),
    /// Those that a regular expression finds.
    Pattern(String),
    /// Whatever they are.
    Any,
}

/// Characters that say something in a regular expression and are in no product's tags; a dot is in Drupal's.
pub(super) const META: [char; 11] = ['\\', '^', '$', '*', '+', '?', '(', ')', '[', ']', '{'];

/// What a field says: names, framed as its client frames them or bare, or a regular expression.
///
/// # Errors
/// When there are no names or too many, or one cannot be a tag.
pub(super) fn read(name: &str, value: &str, max: usize) -> Result<Tags, Problem> {
    if is_anything(value) {
        return Ok(Tags::Any);
    }
    if let Some(tags) = framed(value) {
        return counted(tags, max).map(Tags::Names);
    }
    if value.contains(META) {
        return Ok(Tags::Pattern(value.to_owned()));
    }
    // A bar stands between names even where commas do.
    let mut tags = Vec::new();
    for part in value.split('|') {
        tags.extend(listed(name, part)?);
    }
    counted(tags, max).map(Tags::Names)
}

/// The tags in a list.
///
/// # Errors
/// When there are none or too many, or one cannot be a tag.
pub(in crate::admin) fn list(name: &str, value: &str, max: usize) -> Result<Vec<Tag>, Problem> {
    counted(listed(name, value)?, max)
}

fn listed(name: &str, value: &str) -> Result<Vec<Tag>, Problem> {
    let pieces = Separators::of(name).split(value.as_bytes()).filter(|piece| !piece.is_empty());
    let tag = |piece: &[u8]| {
        let piece = String::from_utf8_lossy(piece);
        Tag::new(&piece).ok_or_else(|| Problem::bad(format!("\"{piece}\" cannot be a tag")))
    };
    pieces.map(tag).collect()
}

fn counted(tags: Vec<Tag>, max: usize) -> Result<Vec<Tag>, Problem> {
    if (1..=max).contains(&tags.len()) {
        Ok(tags)
    } else {
        Err(Problem::bad(format!("expected 1 to {max} tags")))
    }
}

/// Whether a regular expression says nothing.
pub(super) fn is_anything(expression: &str) -> bool {
    matches!(
        expression,
        ".*" | "^.*$"
            | "^.*"
            | ".*$"
            | ".+"
            | "^.+$"
            | "^"
            | "."
            | "(.*)"
            | "^(.*)$"
            | "/.*"
            | "^/.*$"
            | "^/.*"
            | "^/"
    )
}

/// The tags in the expressions that clients write for a list of them, each whole: with a name each they are found
/// without holding the expression against every response.
///
/// - FOSHttpCache `(^|,)(a|b)(,|$)`, formerly `(a|b)(,.+)?$`; Magento `((^|,)a(,|$))|((^|,)b(,|$))`, or without the
///   outer parentheses; API Platform `(a|b)($|\,)`, formerly `((^|\,)a($|\,))|…`.
fn framed(expression: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    for alternative in alternatives(expression)? {
        let alternative = match alternative.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
            Some(inner)
                if is_one_group(alternative) && STARTS.iter().any(|start| inner.starts_with(start)) =>
            {
                inner
            }
            Some(_) | None => alternative,
        };
        let start = STARTS.iter().find_map(|start| alternative.strip_prefix(start));
        let body = ENDS.iter().find_map(|end| start.unwrap_or(alternative).strip_suffix(end))?;
        let group = body.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
        // What is open on one side has to be a group, or it is somebody's own expression.
        let names = match (group, start) {
            (Some(names), _) => names,
            (None, Some(_)) => body,
            (None, None) => return None,
        };
        for name in alternatives(names)? {
            tags.push(Tag::new(&literal(name)?)?);
        }
    }
    Some(tags)
}

const STARTS: [&str; 6] = ["(^|,)", "(^|\\,)", "(,|^)", "(\\,|^)", "(?:^|,)", "(?:,|^)"];
const ENDS: [&str; 7] = ["(,|$)", "($|,)", "($|\\,)", "(\\,|$)", "(,.+)?$", "(?:,|$)", "(?:$|,)"];

/// The alternatives of an expression, at its top level; none when its parentheses do not match.
fn alternatives(expression: &str) -> Option<Vec<&str>> {
    let (mut found, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0usize, false);
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            b'|' if depth == 0 => {
                found.push(expression.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(expression.get(start..)?);
    (depth == 0 && !escaped).then_some(found)
}

/// Whether the first parenthesis is closed by the last character.
fn is_one_group(expression: &str) -> bool {
    let (mut depth, mut escaped) = (0usize, false);
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == expression.len();
                }
            }
            _ => {}
        }
    }
    false
}

/// The text that an expression without any choice stands for.
fn literal(expression: &str) -> Option<String> {
    let mut text = String::with_capacity(expression.len());
    let mut letters = expression.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(|c| !c.is_ascii_alphanumeric())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => return None,
            letter => text.push(letter),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_clients_write_for_a_list_of_tags_is_a_list_of_tags() {
        for (expression, expected) in [
            ("(^|,)(user\\:42|feed)(,|$)", &["user:42", "feed"][..]),
            ("(^|,)article-1(,|$)", &["article-1"]),
            ("(^|,)(news item)(,|$)", &["news item"]),
            ("(a\\-b)(,.+)?$", &["a-b"]),
            ("((^|,)cat_p_1(,|$))", &["cat_p_1"]),
            ("((^|,)cat_p_1(,|$))|((^|,)b(,|$))", &["cat_p_1", "b"]),
            ("(^|,)cat_p_95(,|$)|(^|,)cat_p_96(,|$)", &["cat_p_95", "cat_p_96"]),
            ("(/foo)($|\\,)", &["/foo"]),
            ("(/foo|/bar\\?a\\=1)($|\\,)", &["/foo", "/bar?a=1"]),
            ("((^|\\,)/foo($|\\,))|((^|\\,)/bar($|\\,))", &["/foo", "/bar"]),
            ("(^|\\,)/foo($|\\,)", &["/foo"]),
        ] {
            let tags: Vec<Tag> = expected.iter().map(|name| Tag::new(name).unwrap()).collect();
            assert_eq!(read("x-cache-tags", expression, 9).unwrap(), Tags::Names(tags), "{expression}");
        }
        for own in ["^user:", "(^|,)(a.b)(,|$)", "\\bp-12\\b", "(a|b", "a(,|$)", "(^|,)a", "((^|,)a(,|$))(b)"]
        {
            assert_eq!(read("x-cache-tags", own, 9).unwrap(), Tags::Pattern(own.into()), "{own}");
        }
        for any in [".*", "^.*$", ".+", "^"] {
            assert_eq!(read("x-cache-tags", any, 9).unwrap(), Tags::Any, "{any}");
        }
    }

    #[test]
    fn bare_names_are_names() {
        for (field, value, expected) in [
            ("cache-tags", "node_1", &["node_1"][..]),
            ("cache-tags", "node:1 node:2", &["node:1", "node:2"]),
            ("cache-tags", "node:1|config:system.site", &["node:1", "config:system.site"]),
            ("x-cache-tags", "a, b c", &["a", "b c"]),
            ("x-cache-tags-pattern", "p-1|pt-post|home", &["p-1", "pt-post", "home"]),
            ("x-acquia-purge-tags", "ab12 cd34", &["ab12", "cd34"]),
        ] {
            let tags: Vec<Tag> = expected.iter().map(|name| Tag::new(name).unwrap()).collect();
            assert_eq!(read(field, value, 9).unwrap(), Tags::Names(tags), "{field}: {value}");
        }
        for (field, value) in [("xkey", " , "), ("xkey", "a b c"), ("cache-tag", "\u{7f}")] {
            assert!(list(field, value, 2).is_err(), "{field}: {value}");
        }
    }
}
