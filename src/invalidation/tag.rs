//! Tags: the names under which stored responses can be invalidated together, and where a response carries them.
//!
//! Each field has the syntax that its users write, see [`Separators`]; `Cache-Groups` is a structured-field list of
//! strings (RFC 9875 §2), and what TYPO3 says of a page by two fields becomes two tags. Tags are compared byte by
//! byte, in case too.

use core::borrow::Borrow;

use serde::{Deserialize, Serialize};

use crate::http::Fields;
use crate::http::structured::{self, Member};
use crate::sorting::sort_by;

/// The longest tag in bytes that any configuration may allow. Beyond it a command is refused with a 400, and a response is
/// not stored (`limits`).
pub const TAG_BYTES_MAX: usize = 1024;

/// A tag: printable text, not empty, at most [`TAG_BYTES_MAX`] bytes.
#[derive(Serialize, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(Box<str>);

/// Why the tags of a response cannot be taken in. Such a response is not stored, because half of its tags would
/// be worse than none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagLimit {
    /// More tags than allowed.
    Count,
    /// A tag longer than allowed.
    Length,
    /// A tag that no purge could name: not UTF-8, or with control characters.
    Malformed,
}

impl Tag {
    /// The tag with this name, if it can be one.
    #[must_use]
    pub fn new(name: &str) -> Option<Tag> {
        let fits = !name.is_empty() && name.len() <= TAG_BYTES_MAX && !name.chars().any(char::is_control);
        fits.then(|| Tag(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Tag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <Box<str>>::deserialize(deserializer)?;
        Tag::new(&name).ok_or_else(|| serde::de::Error::custom("not a tag"))
    }
}

/// The tags of a response, from the configured field names (in lower case), sorted and each once.
///
/// # Errors
/// When there are more than `count_max`, or one is longer than `length_max` bytes or cannot be named.
pub fn tags_of(
    fields: &Fields,
    headers: &[String],
    count_max: usize,
    length_max: usize,
) -> Result<Vec<Tag>, TagLimit> {
    let mut tags = Collector { tags: Vec::new(), count_max, length_max };
    for name in headers.iter().filter(|name| fields.contains(name)) {
        match Syntax::of(name) {
            Syntax::Groups => tags.groups(fields, name)?,
            Syntax::Fact => tags.facts(fields, name)?,
            Syntax::List(separators) => tags.list(fields, name, separators)?,
        }
    }
    tags.finished()
}

/// What separates the tags in a field.
///
/// No product that writes `xkey` or `Surrogate-Key` has tags with blanks or commas in them, and they write both between
/// them. Of the fields with a plain name, Cloudflare and Akamai define theirs as lists of commas. Who writes the others
/// is of two minds (FOSHttpCache and API Platform: commas, Drupal: blanks), so that one without a comma is taken for the
/// latter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Separators {
    /// Commas.
    Commas,
    /// Commas, blanks and bars.
    Any,
    /// Commas, and where there is none in the line, blanks and bars.
    CommasElseBlanks,
}

impl Separators {
    /// How the tags in a field of this name (in lower case) are separated, in responses and in purges.
    #[must_use]
    pub fn of(name: &str) -> Separators {
        match name {
            "cache-tag" | "edge-cache-tag" | "x-cache-tag" | "x-magento-tags" => Separators::Commas,
            "surrogate-key"
            | "xkey"
            | "xkey-purge"
            | "xkey-softpurge"
            | "key"
            | "purge-cache-tags"
            | "x-acquia-purge-tags" => Separators::Any,
            _ => Separators::CommasElseBlanks,
        }
    }

    /// The pieces of a line, without the blanks around them; some may be empty.
    pub fn split(self, line: &[u8]) -> impl Iterator<Item = &[u8]> {
        let blanks = match self {
            Separators::Commas => false,
            Separators::Any => true,
            Separators::CommasElseBlanks => !line.contains(&b','),
        };
        let separates = move |b: &u8| *b == b',' || (blanks && matches!(b, b' ' | b'\t' | b'|'));
        line.split(separates).map(<[u8]>::trim_ascii)
    }
}

/// The tag for what a response says of itself in a field of this name, where such a field is no list: TYPO3's number of
/// a page, `typo3-pid:7`, and name of a site.
#[must_use]
pub fn fact(name: &str, value: &str) -> Option<Tag> {
    Tag::new(&format!("{name}:{value}"))
}

/// The group names in a structured field of strings, `Cache-Groups` or `Cache-Group-Invalidation` (RFC 9875 §2, §3).
///
/// A field that does not parse is ignored as a whole (RFC 9651 §4.2), and so is a member that is not a string.
#[must_use]
pub fn groups_of(fields: &Fields, name: &str) -> Vec<String> {
    let Some(value) = fields.combined(name) else { return Vec::new() };
    let members = structured::list(&value).unwrap_or_default();
    members.into_iter().filter_map(Member::string).collect()
}

/// How a field writes its tags.
enum Syntax {
    Groups,
    /// One value, which is a tag with the field's name.
    Fact,
    List(Separators),
}

impl Syntax {
    fn of(name: &str) -> Syntax {
        match name {
            "cache-groups" => Syntax::Groups,
            "typo3-pid" | "typo3-sitename" => Syntax::Fact,
            _ => Syntax::List(Separators::of(name)),
        }
    }
}

struct Collector {
    tags: Vec<Tag>,
    count_max: usize,
    length_max: usize,
}

/// How many times as many tags as are allowed are read in search of those that stand there twice. Beyond it the response is
/// not stored (`limits`).
const REPETITIONS_MAX: usize = 4;

impl Collector {
    fn groups(&mut self, fields: &Fields, name: &str) -> Result<(), TagLimit> {
        groups_of(fields, name).iter().try_for_each(|group| self.add(group.as_bytes()))
    }

    fn facts(&mut self, fields: &Fields, name: &str) -> Result<(), TagLimit> {
        for value in fields.get_all(name).map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
            let value = core::str::from_utf8(value).map_err(|_| TagLimit::Malformed)?;
            self.add(format!("{name}:{value}").as_bytes())?;
        }
        Ok(())
    }

    fn list(&mut self, fields: &Fields, name: &str, separators: Separators) -> Result<(), TagLimit> {
        for line in fields.get_all(name) {
            separators.split(line).try_for_each(|tag| self.add(tag))?;
            // A single tag with a blank in it, where tags may have some: it can be purged as a whole too.
            let whole = line.trim_ascii();
            if separators == Separators::CommasElseBlanks
                && !whole.contains(&b',')
                && whole.contains(&b' ')
                && whole.len() <= self.length_max
            {
                self.add(whole)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &[u8]) -> Result<(), TagLimit> {
        if name.is_empty() {
            return Ok(());
        }
        if name.len() > self.length_max.min(TAG_BYTES_MAX) {
            return Err(TagLimit::Length);
        }
        let name = core::str::from_utf8(name).map_err(|_| TagLimit::Malformed)?;
        if self.tags.len() >= self.count_max.saturating_mul(REPETITIONS_MAX) {
            return Err(TagLimit::Count);
        }
        self.tags.push(Tag::new(name).ok_or(TagLimit::Malformed)?);
        Ok(())
    }

    fn finished(mut self) -> Result<Vec<Tag>, TagLimit> {
        sort_by(&mut self.tags, Ord::cmp);
        self.tags.dedup();
        if self.tags.len() > self.count_max { Err(TagLimit::Count) } else { Ok(self.tags) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(field: (&str, &[u8])) -> Result<Vec<String>, TagLimit> {
        let headers =
            ["cache-groups", "surrogate-key", "xkey", "cache-tag", "x-cache-tags", "typo3-pid", "x-own"];
        let headers: Vec<String> = headers.iter().map(|h| (*h).to_owned()).collect();
        let tags = tags_of(&Fields::from_iter([field]), &headers, 4, 8)?;
        Ok(tags.iter().map(Tag::to_string).collect())
    }

    #[test]
    fn each_field_has_its_own_syntax() {
        let cases: [(&str, &[u8], &[&str]); 17] = [
            ("surrogate-key", b" b  a\tc ", &["a", "b", "c"]),
            ("surrogate-key", b"/books, /books/1", &["/books", "/books/1"]),
            ("xkey", b"a,b c", &["a", "b", "c"]),
            ("cache-tag", b"b, a b ,,c", &["a b", "b", "c"]),
            ("x-cache-tags", b"user:42,User:42,user:42", &["User:42", "user:42"]),
            ("x-cache-tags", b"a b,c", &["a b", "c"]),
            ("x-cache-tags", b"a b", &["a", "a b", "b"]),
            ("x-cache-tags", b"1 2 3 4567", &["1", "2", "3", "4567"]),
            ("x-own", b"a|b", &["a", "b"]),
            ("x-own", b"a, b", &["a", "b"]),
            ("cache-groups", b"\"b\", \"a, b\";x=1, token, (\"c\")", &["a, b", "b"]),
            ("cache-groups", b"\"b\", \"a", &[]),
            ("cache-groups", b"a \xff", &[]),
            ("cache-tag", b"", &[]),
            ("cache-tag", "é".as_bytes(), &["é"]),
            ("edge-cache-tag", b"not configured", &[]),
            ("cache-tag", b"12345678", &["12345678"]),
        ];
        for (name, value, expected) in cases {
            let expected: Vec<String> = expected.iter().map(|t| (*t).to_owned()).collect();
            assert_eq!(read((name, value)), Ok(expected), "{name}: {}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn what_typo3_says_of_a_page_is_a_tag() {
        let fields = Fields::from_iter([("typo3-pid", " 7 "), ("typo3-sitename", "abc"), ("typo3-pid", "")]);
        let tags = tags_of(&fields, &["typo3-pid".into(), "typo3-sitename".into()], 9, 99).unwrap();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["typo3-pid:7", "typo3-sitename:abc"]);
        assert_eq!(fact("typo3-pid", "7").as_ref(), tags.first());
    }

    #[test]
    fn beyond_a_limit_there_are_no_tags_at_all() {
        let cases: [(&str, &[u8], TagLimit); 5] = [
            ("xkey", b"a b c d e", TagLimit::Count),
            ("xkey", b"a 123456789", TagLimit::Length),
            ("cache-groups", b"\"123456789\"", TagLimit::Length),
            ("cache-tag", b"a\xff", TagLimit::Malformed),
            ("cache-tag", b"a\x01b", TagLimit::Malformed),
        ];
        for (name, value, expected) in cases {
            assert_eq!(read((name, value)), Err(expected), "{name}: {}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn the_lines_of_a_field_are_one_list() {
        let fields = Fields::from_iter([("cache-groups", "\"a\""), ("xkey", "k"), ("cache-groups", "\"b\"")]);
        assert_eq!(groups_of(&fields, "cache-groups"), ["a", "b"]);
        let many = (0..32).map(|n| format!("\"{n:032}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(groups_of(&Fields::from_iter([("cache-groups", many)]), "cache-groups").len(), 32);
    }
}
