//! Tags: the names under which stored responses can be invalidated together, and where a response carries them.
//!
//! `Surrogate-Key` and `xkey` separate tags by spaces, `Cache-Tag`, `Edge-Cache-Tag` and `X-Cache-Tags` by commas;
//! `Cache-Groups` is a structured-field list of strings (RFC 9875 §2). Tags are compared byte by byte, in case too.

use core::borrow::Borrow;
use core::convert::Infallible;

use serde::{Deserialize, Serialize};
use sfv::visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, Parser};

use crate::http::Fields;
use crate::sorting::sort_by;

/// The longest tag in bytes that any configuration may allow.
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
            Syntax::Separated(separator) => tags.separated(fields, name, separator)?,
        }
    }
    sort_by(&mut tags.tags, Ord::cmp);
    Ok(tags.tags)
}

/// The group names in a structured field of strings, `Cache-Groups` or `Cache-Group-Invalidation` (RFC 9875 §2, §3).
///
/// A field that does not parse is ignored as a whole (RFC 9651 §4.2), and so is a member that is not a string.
#[must_use]
pub fn groups_of(fields: &Fields, name: &str) -> Vec<String> {
    let Some(value) = fields.combined(name) else { return Vec::new() };
    let mut strings = Strings(Vec::new());
    match Parser::new(&value).parse_list_with_visitor(&mut strings) {
        Ok(()) => strings.0,
        Err(_) => Vec::new(),
    }
}

/// How a field writes its tags.
enum Syntax {
    Groups,
    Separated(fn(&u8) -> bool),
}

impl Syntax {
    fn of(name: &str) -> Syntax {
        match name {
            "cache-groups" => Syntax::Groups,
            "surrogate-key" | "xkey" => Syntax::Separated(|b| matches!(b, b' ' | b'\t')),
            _ => Syntax::Separated(|b| *b == b','),
        }
    }
}

struct Collector {
    tags: Vec<Tag>,
    count_max: usize,
    length_max: usize,
}

impl Collector {
    fn groups(&mut self, fields: &Fields, name: &str) -> Result<(), TagLimit> {
        groups_of(fields, name).iter().try_for_each(|group| self.add(group.as_bytes()))
    }

    fn separated(&mut self, fields: &Fields, name: &str, separator: fn(&u8) -> bool) -> Result<(), TagLimit> {
        for value in fields.get_all(name) {
            value.split(separator).map(<[u8]>::trim_ascii).try_for_each(|tag| self.add(tag))?;
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
        let tag = Tag::new(name).ok_or(TagLimit::Malformed)?;
        if self.tags.contains(&tag) {
            return Ok(());
        }
        if self.tags.len() >= self.count_max {
            return Err(TagLimit::Count);
        }
        self.tags.push(tag);
        Ok(())
    }
}

/// Collects the strings among the members of a structured-field list.
struct Strings(Vec<String>);

impl<'de> ListVisitor<'de> for &mut Strings {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Self::Error> {
        Ok(Member(&mut self.0))
    }

    fn finish(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Member<'a>(&'a mut Vec<String>);

impl<'de> ItemVisitor<'de> for Member<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Self::Error> {
        if let BareItemFromInput::String(text) = item {
            self.0.push(text.as_str().to_owned());
        }
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(field: (&str, &[u8])) -> Result<Vec<String>, TagLimit> {
        let headers = ["cache-groups", "surrogate-key", "xkey", "cache-tag", "x-cache-tags"];
        let headers: Vec<String> = headers.iter().map(|h| (*h).to_owned()).collect();
        let tags = tags_of(&Fields::from_iter([field]), &headers, 4, 8)?;
        Ok(tags.iter().map(Tag::to_string).collect())
    }

    #[test]
    fn each_field_has_its_own_syntax() {
        let cases: [(&str, &[u8], &[&str]); 11] = [
            ("surrogate-key", b" b  a\tc ", &["a", "b", "c"]),
            ("xkey", b"a,b", &["a,b"]),
            ("cache-tag", b"b, a b ,,c", &["a b", "b", "c"]),
            ("x-cache-tags", b"user:42,User:42,user:42", &["User:42", "user:42"]),
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
