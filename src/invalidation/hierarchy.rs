//! Tags have parents, at any depth: a purge of a tag covers what carries one of its descendants.
//!
//! A selector is expanded when its record is written. Those who judge stored responses never look here, so it does
//! not matter that workers disagree on the parents while a configuration is being pushed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Selector, Tag, Term};

/// The most descendants that a tag may have.
pub const DESCENDANTS_MAX: usize = 256;

/// The most bytes that the names of a tag's descendants may take together, so that a purge is always one record.
const DESCENDANT_BYTES_MAX: usize = 8 << 10;

/// Which tags lie under which.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Hierarchy {
    /// All descendants of each tag that has any, at every depth, sorted.
    descendants: BTreeMap<Tag, Vec<Tag>>,
}

/// Why a hierarchy is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HierarchyError {
    /// This tag is its own ancestor.
    Cycle(Tag),
    /// This tag has more than [`DESCENDANTS_MAX`] descendants, or their names are too long together.
    TooMany(Tag),
}

impl core::fmt::Display for HierarchyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            HierarchyError::Cycle(tag) => write!(f, "the tag `{tag}` is among its own ancestors"),
            HierarchyError::TooMany(tag) => {
                write!(
                    f,
                    "the tag `{tag}` has more than {DESCENDANTS_MAX} descendants, \
                     or their names take more than {DESCENDANT_BYTES_MAX} bytes"
                )
            }
        }
    }
}

impl Hierarchy {
    /// The hierarchy in which each tag has these parents.
    ///
    /// # Errors
    /// When there is a cycle, or a tag with too many descendants.
    pub fn new(parents: &BTreeMap<Tag, Vec<Tag>>) -> Result<Hierarchy, HierarchyError> {
        let mut children: BTreeMap<&Tag, BTreeSet<&Tag>> = BTreeMap::new();
        for (child, of) in parents {
            for parent in of {
                children.entry(parent).or_default().insert(child);
            }
        }
        let mut descendants = BTreeMap::new();
        for &tag in children.keys() {
            descendants.insert(tag.clone(), descendants_of(tag, &children)?);
        }
        Ok(Hierarchy { descendants })
    }

    /// The tag and all its descendants.
    #[must_use]
    pub fn expand(&self, tag: &Tag) -> Vec<Tag> {
        let below = self.descendants.get(tag).map_or(&[][..], Vec::as_slice);
        core::iter::once(tag).chain(below).cloned().collect()
    }

    /// The selector with all its tags expanded.
    #[must_use]
    pub fn expand_selector(&self, selector: Selector) -> Selector {
        if self.descendants.is_empty() {
            return selector;
        }
        match selector {
            Selector::Tags(tags) => Selector::Tags(self.expand_all(&tags)),
            Selector::And(terms) => {
                Selector::And(terms.into_iter().map(|term| self.expand_term(term)).collect())
            }
            other => other,
        }
    }

    fn expand_term(&self, term: Term) -> Term {
        match term.selector {
            Selector::Tags(tags) => Term { selector: Selector::Tags(self.expand_all(&tags)), ..term },
            selector => Term { selector, ..term },
        }
    }

    fn expand_all(&self, tags: &[Tag]) -> Vec<Tag> {
        let all: BTreeSet<Tag> = tags.iter().flat_map(|tag| self.expand(tag)).collect();
        all.into_iter().collect()
    }
}

/// All tags below `tag`. Ends because it visits none twice.
fn descendants_of(tag: &Tag, children: &BTreeMap<&Tag, BTreeSet<&Tag>>) -> Result<Vec<Tag>, HierarchyError> {
    let mut found = BTreeSet::new();
    let mut bytes = 0;
    let mut next = vec![tag];
    while let Some(parent) = next.pop() {
        for &child in children.get(parent).into_iter().flatten() {
            if child == tag {
                return Err(HierarchyError::Cycle(tag.clone()));
            }
            if found.insert(child) {
                bytes += child.as_bytes().len();
                next.push(child);
            }
            if found.len() > DESCENDANTS_MAX || bytes > DESCENDANT_BYTES_MAX {
                return Err(HierarchyError::TooMany(tag.clone()));
            }
        }
    }
    Ok(found.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn tag(name: &str) -> Tag {
        Tag::new(name).unwrap()
    }

    fn hierarchy(parents: &[(&str, &[&str])]) -> Result<Hierarchy, HierarchyError> {
        let parents = parents.iter().map(|(t, of)| (tag(t), of.iter().map(|p| tag(p)).collect())).collect();
        Hierarchy::new(&parents)
    }

    fn names(tags: &[Tag]) -> Vec<&str> {
        tags.iter().map(Tag::as_str).collect()
    }

    #[test]
    fn a_purge_reaches_descendants_at_any_depth_and_no_ancestor() {
        let hierarchy =
            hierarchy(&[("user", &["data"]), ("admin", &["user"]), ("root", &["admin", "staff"])]).unwrap();
        assert_eq!(names(&hierarchy.expand(&tag("data"))), ["data", "admin", "root", "user"]);
        assert_eq!(names(&hierarchy.expand(&tag("staff"))), ["staff", "root"]);
        assert_eq!(names(&hierarchy.expand(&tag("root"))), ["root"]);
        assert_eq!(names(&hierarchy.expand(&tag("unknown"))), ["unknown"]);
    }

    #[test]
    fn cycles_are_refused() {
        assert_eq!(hierarchy(&[("a", &["a"])]), Err(HierarchyError::Cycle(tag("a"))));
        assert!(matches!(
            hierarchy(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]),
            Err(HierarchyError::Cycle(_))
        ));
        // A cycle below a tag that is not part of it is found at its own members.
        assert!(hierarchy(&[("a", &["top", "b"]), ("b", &["a"])]).is_err());
    }

    #[test]
    fn a_tag_with_too_many_descendants_is_refused() {
        let parents = (0..=DESCENDANTS_MAX).map(|n| (tag(&format!("t{n}")), vec![tag("all")])).collect();
        assert_eq!(Hierarchy::new(&parents), Err(HierarchyError::TooMany(tag("all"))));
    }

    #[test]
    fn tags_within_a_selector_are_expanded_too() {
        let hierarchy = hierarchy(&[("user", &["data"])]).unwrap();
        let data = || Selector::Tags(vec![tag("data")]);
        let both = || Selector::Tags(vec![tag("data"), tag("user")]);
        assert_eq!(hierarchy.expand_selector(data()), both());
        let and =
            |s| Selector::And(vec![Term { negated: true, selector: s }, Term::is(Selector::Status(200))]);
        assert_eq!(hierarchy.expand_selector(and(data())), and(both()));
    }
}
