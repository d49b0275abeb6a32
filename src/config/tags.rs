//! Which tags a stored response carries, and which tags are part of others.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::value::{OneOrMany, Text, count, deserialize, deserialize_text, shortened};

/// Tags of stored responses.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct TagsConfig {
    /// The response header fields that are read, in lower case, all of [`TAG_HEADERS`].
    #[serde(deserialize_with = "known_headers")]
    pub headers: Vec<String>,
    /// Whether they are removed from what the client gets.
    pub strip: bool,
    /// The most tags of one stored response; one with more is not stored.
    #[serde(deserialize_with = "count::<1, 1024, _, _>")]
    pub count_max: usize,
    /// The longest tag, in bytes; a response with a longer one is not stored.
    #[serde(deserialize_with = "count::<1, 1024, _, _>")]
    pub length_max: usize,
    /// Which tags are part of which.
    pub parents: TagHierarchy,
}

/// The header fields that tags can be read from.
pub const TAG_HEADERS: [&str; 6] =
    ["cache-tag", "surrogate-key", "cache-groups", "xkey", "edge-cache-tag", "x-cache-tags"];

impl Default for TagsConfig {
    fn default() -> Self {
        TagsConfig {
            headers: TAG_HEADERS.iter().take(4).map(|&name| name.into()).collect(),
            strip: true,
            count_max: 128,
            length_max: 256,
            parents: TagHierarchy::default(),
        }
    }
}

fn known_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut names = Vec::<String>::deserialize(deserializer)?;
    for name in &mut names {
        name.make_ascii_lowercase();
        if !TAG_HEADERS.contains(&name.as_str()) {
            let known = TAG_HEADERS.join(", ");
            let name = shortened(name);
            return Err(D::Error::custom(format!(
                "{name:?} is no header field for tags; expected any of {known}"
            )));
        }
    }
    Ok(names)
}

/// Which tags are part of which: purging a tag purges its descendants. It has no cycles.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TagHierarchy {
    /// The children of each tag that has any.
    children: BTreeMap<String, BTreeSet<String>>,
}

/// The most pairs of a tag and its parent.
const PAIRS_MAX: usize = 10_000;

impl TagHierarchy {
    /// From pairs of a tag and one of its parents; the tags of a cycle when there is one.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<String>> {
        let mut hierarchy = TagHierarchy::default();
        for (tag, parent) in pairs {
            hierarchy.children.entry(parent.into()).or_default().insert(tag.into());
        }
        hierarchy.cycle().map_or(Ok(hierarchy), Err)
    }

    /// All tags that are part of `tag`, at any depth, each once, without `tag` itself.
    #[must_use]
    pub fn descendants<'t>(&'t self, tag: &str) -> Vec<&'t str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = self.children(tag).collect();
        // Bounded by the number of pairs: the children of a tag are looked at once.
        while let Some(tag) = open.pop() {
            if found.insert(tag) {
                open.extend(self.children(tag));
            }
        }
        found.into_iter().collect()
    }

    fn children(&self, tag: &str) -> impl Iterator<Item = &str> {
        self.children.get(tag).into_iter().flatten().map(String::as_str)
    }
}

impl TagHierarchy {
    /// The tags of a cycle, the first one again at the end.
    fn cycle(&self) -> Option<Vec<String>> {
        let mut left = self.children.clone();
        // Tags without children left cannot be on a cycle: take them away until none is found. Each turn but the
        // last takes at least one.
        loop {
            let before = left.len();
            let parents: BTreeSet<String> = left.keys().cloned().collect();
            left.retain(|_, children| {
                children.retain(|child| parents.contains(child));
                !children.is_empty()
            });
            if left.len() == before {
                break;
            }
        }
        // Every tag that is left has a child that is left: follow them until one comes again.
        let mut way: Vec<&str> = vec![left.keys().next()?];
        loop {
            let next = left.get(*way.last()?)?.first()?;
            let seen = way.iter().position(|tag| tag == next);
            way.push(next);
            if let Some(start) = seen {
                return Some(way.into_iter().skip(start).map(String::from).collect());
            }
        }
    }
}

impl<'de> Deserialize<'de> for TagHierarchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parents = BTreeMap::<TagName, OneOrMany<TagName>>::deserialize(deserializer)?;
        if parents.values().map(|of| of.0.len()).sum::<usize>() > PAIRS_MAX {
            return Err(D::Error::custom(format!("more than {PAIRS_MAX} pairs of a tag and its parent")));
        }
        let pairs = parents.iter().flat_map(|(tag, of)| of.0.iter().map(|parent| (&*tag.0, &*parent.0)));
        TagHierarchy::new(pairs).map_err(|cycle| {
            let cycle: Vec<_> = cycle.iter().map(|tag| format!("{tag:?}")).collect();
            D::Error::custom(format!(
                "a tag is among its own parents: {}",
                shortened(&cycle.join(" is part of "))
            ))
        })
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct TagName(String);

impl Text for TagName {
    const WHAT: &'static str = "a tag";
    const EXPECTED: &'static str = "one to 1024 bytes without control characters";

    fn from_text(text: &str) -> Option<Self> {
        let fits = (1..=1024).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| TagName(text.into()))
    }
}

deserialize_text!(TagName);

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
            assert_eq!(tags.descendants(tag), descendants, "{tag}");
        }
    }

    #[test]
    fn a_cycle_is_refused_and_named() {
        for (pairs, cycle) in [
            (&[("a", "a")][..], &["a", "a"][..]),
            (&[("a", "b"), ("b", "a")], &["a", "b", "a"]),
            (&[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "top")], &["a", "c", "b", "a"]),
        ] {
            assert_eq!(TagHierarchy::new(pairs.iter().copied()).unwrap_err(), cycle);
        }
    }
}
