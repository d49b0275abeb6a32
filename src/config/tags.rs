//! Which tags a stored response carries, and which tags are part of others.

use hashbrown::{HashMap, HashSet};

use super::names::FieldName;
use super::text::{Text, text, texts};
use super::units::count;
use crate::json::{At, Object, Read, boolean, shortened};

/// Tags of stored responses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagsConfig {
    /// The response header fields that are read, in lower case; [`TAG_HEADERS`] unless configured.
    pub headers: Vec<String>,
    /// Whether they are removed from what the client gets.
    pub strip: bool,
    /// The most tags of one stored response; one with more is not stored.
    pub count_max: usize,
    /// The longest tag, in bytes; a response with a longer one is not stored.
    pub length_max: usize,
    /// Which tags are part of which.
    pub parents: TagHierarchy,
}

/// The header fields that tags are read from unless configured: all that the purging side knows by name.
pub const TAG_HEADERS: [&str; 13] = [
    "cache-tag",
    "surrogate-key",
    "cache-groups",
    "xkey",
    "cache-tags",
    "edge-cache-tag",
    "purge-cache-tags",
    "typo3-pid",
    "typo3-sitename",
    "x-acquia-purge-tags",
    "x-cache-tag",
    "x-cache-tags",
    "x-magento-tags",
];

/// The most fields that tags are read from. Beyond it the configuration is refused.
const HEADERS_MAX: usize = 64;

impl Default for TagsConfig {
    fn default() -> Self {
        TagsConfig {
            headers: TAG_HEADERS.iter().map(|&name| name.into()).collect(),
            strip: true,
            count_max: 1024,
            length_max: 256,
            parents: TagHierarchy::default(),
        }
    }
}

impl TagsConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("headers", &mut self.headers, headers)?;
        object.field("strip", &mut self.strip, boolean)?;
        object.field("count_max", &mut self.count_max, |at| Ok(count(at, 1, 1024)? as usize))?;
        object.field("length_max", &mut self.length_max, |at| Ok(count(at, 1, 1024)? as usize))?;
        object.field("parents", &mut self.parents, TagHierarchy::read)
    }
}

fn headers(at: &At<'_>) -> Read<Vec<String>> {
    let headers = at.list(|at| text(at).map(|TagHeader(name)| name))?;
    if headers.len() > HEADERS_MAX {
        Err(at.error(format!("more than {HEADERS_MAX} fields")))
    } else {
        Ok(headers)
    }
}

/// The name of a response header field that holds nothing but tags.
struct TagHeader(String);

impl Text for TagHeader {
    const WHAT: &'static str = "a header field for tags";
    const EXPECTED: &'static str =
        "the name of a response header field that holds nothing but tags: `tags.strip` takes it from clients";

    fn from_text(text: &str) -> Option<Self> {
        let FieldName(name) = FieldName::from_text(text)?;
        (!NO_TAGS.contains(&name.as_str())).then_some(TagHeader(name))
    }
}

/// Fields that a response cannot do without, and that `tags.strip` would remove.
const NO_TAGS: [&str; 24] = [
    "age",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
];

struct TagName(String);

impl Text for TagName {
    const WHAT: &'static str = "a tag";
    const EXPECTED: &'static str = "one to 1024 bytes without control characters";

    fn from_text(text: &str) -> Option<Self> {
        let fits = (1..=1024).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| TagName(text.into()))
    }
}

/// Which tags are part of which: purging a tag purges its descendants. It has no cycles.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TagHierarchy {
    /// The children of each tag that has any.
    children: HashMap<String, Vec<String>>,
}

/// The most pairs of a tag and its parent. Beyond it the configuration is refused.
const PAIRS_MAX: usize = 10_000;

impl TagHierarchy {
    /// From pairs of a tag and one of its parents; the tags of a cycle when there is one.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<String>> {
        let mut hierarchy = TagHierarchy::default();
        pairs.into_iter().for_each(|(tag, parent)| hierarchy.add(tag.into(), parent.into()));
        hierarchy.checked()
    }

    fn read(at: &At<'_>) -> Read<Self> {
        let mut hierarchy = TagHierarchy::default();
        let mut pairs = 0;
        at.entries(|name, parents| {
            let TagName(tag) = text(name)?;
            let parents = texts(parents)?;
            pairs += parents.len();
            parents.into_iter().for_each(|TagName(parent)| hierarchy.add(tag.clone(), parent));
            Ok(())
        })?;
        if pairs > PAIRS_MAX {
            return Err(at.error(format!("more than {PAIRS_MAX} pairs of a tag and its parent")));
        }
        hierarchy.checked().map_err(|cycle| {
            let cycle: Vec<_> = cycle.iter().rev().map(|tag| format!("{tag:?}")).collect();
            at.error(format!("a tag is among its own parents: {}", shortened(&cycle.join(" is part of "))))
        })
    }

    fn add(&mut self, tag: String, parent: String) {
        self.children.entry(parent).or_default().push(tag);
    }

    /// All tags that are part of `tag`, at any depth, each once, in no order, without `tag` itself.
    #[must_use]
    pub fn descendants<'t>(&'t self, tag: &str) -> Vec<&'t str> {
        self.below([tag]).into_iter().collect()
    }

    /// All tags that are part of any of these, at any depth.
    #[must_use]
    pub fn below(&self, tags: impl IntoIterator<Item: AsRef<str>>) -> HashSet<&str> {
        let mut found = HashSet::new();
        let mut open: Vec<&str> = tags.into_iter().flat_map(|tag| self.children(tag.as_ref())).collect();
        // Bounded by the number of pairs: the children of a tag are looked at once.
        while let Some(tag) = open.pop() {
            if found.insert(tag) {
                open.extend(self.children(tag));
            }
        }
        found
    }

    fn children(&self, tag: &str) -> impl Iterator<Item = &str> + use<'_> {
        self.children.get(tag).into_iter().flatten().map(String::as_str)
    }

    fn checked(self) -> Result<Self, Vec<String>> {
        self.any_cycle().map_or(Ok(self), Err)
    }

    /// The tags of a cycle, each the parent of the next, the first one again at the end.
    fn any_cycle(&self) -> Option<Vec<String>> {
        // All tags below which there is no cycle.
        let mut whole = HashSet::new();
        let cycle = self.children.keys().find_map(|start| self.cycle(start, &mut whole))?;
        // Whichever tag it was found from, it reads the same.
        let first = cycle.iter().min()?;
        let after = cycle.iter().skip_while(|tag| *tag != first);
        let before = cycle.iter().take_while(|tag| *tag != first);
        Some(after.chain(before).chain([first]).map(|tag| tag.to_string()).collect())
    }

    /// The tags of a cycle below `start`.
    fn cycle<'t>(&'t self, start: &'t str, whole: &mut HashSet<&'t str>) -> Option<Vec<&'t str>> {
        // The tags on the way down, each with its children that are still to be looked at.
        let mut way = Vec::new();
        let mut next = Some(start).filter(|start| !whole.contains(start));
        // Bounded: each turn begins a tag, takes one of its children or ends it, and no tag is begun twice.
        loop {
            if let Some(tag) = next {
                way.push((tag, self.children(tag)));
            }
            let (tag, left) = way.last_mut()?;
            next = left.next();
            match next {
                Some(child) if whole.contains(child) => next = None,
                Some(child) => {
                    if let Some(first) = way.iter().position(|(tag, _)| *tag == child) {
                        return Some(way.iter().skip(first).map(|(tag, _)| *tag).collect());
                    }
                }
                None => {
                    whole.insert(*tag);
                    way.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_purge_of_a_tag_reaches_all_its_descendants_once() {
        let tags =
            [("user", "data"), ("order", "data"), ("item", "order"), ("item", "user"), ("data", "all")];
        let tags = TagHierarchy::new(tags).unwrap();
        for (tag, descendants) in [
            ("all", &["data", "item", "order", "user"][..]),
            ("data", &["item", "order", "user"]),
            ("order", &["item"]),
            ("item", &[]),
            ("unknown", &[]),
        ] {
            let mut found = tags.descendants(tag);
            found.sort_unstable();
            assert_eq!(found, descendants, "{tag}");
        }
    }

    #[test]
    fn a_cycle_is_refused_and_named() {
        for (pairs, cycle) in [
            (&[("a", "a")][..], &["a", "a"][..]),
            (&[("a", "b"), ("b", "a")], &["a", "b", "a"]),
            (&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "top")], &["a", "c", "b", "a"]),
            (&[("b", "a"), ("c", "b"), ("d", "c"), ("d", "b"), ("c", "d")], &["c", "d", "c"]),
        ] {
            assert_eq!(TagHierarchy::new(pairs.iter().copied()).unwrap_err(), cycle);
        }
    }
}
