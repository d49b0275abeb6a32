//! Tags are part of others, at any depth: a purge of a tag covers what carries one of its descendants.
//!
//! A selector is expanded when its record is written. Those who judge stored responses never look at the hierarchy,
//! so it does not matter that workers disagree on it while a configuration is being pushed.

use super::{Selector, Tag, Term};
use crate::config::TagHierarchy;
use crate::sorting::sorted;

/// The most bytes that the tags of one record take. Beyond it they are spread over several records.
const TAG_BYTES_PER_RECORD_MAX: usize = 8 << 10;

impl Selector {
    /// This selector with the descendants of all its tags, as one selector or, where a tag has very many, several
    /// that cover the same together.
    #[must_use]
    pub fn expanded(self, hierarchy: &TagHierarchy) -> Vec<Selector> {
        match self {
            Selector::Tags(tags) => {
                in_parts(expand(&tags, hierarchy)).into_iter().map(Selector::Tags).collect()
            }
            Selector::And(terms) => {
                vec![Selector::And(terms.into_iter().map(|term| expand_term(term, hierarchy)).collect())]
            }
            other => vec![other],
        }
    }
}

fn expand_term(term: Term, hierarchy: &TagHierarchy) -> Term {
    match term.selector {
        Selector::Tags(tags) => Term { selector: Selector::Tags(expand(&tags, hierarchy)), ..term },
        selector => Term { selector, ..term },
    }
}

fn expand(tags: &[Tag], hierarchy: &TagHierarchy) -> Vec<Tag> {
    let below =
        |tag: &Tag| hierarchy.descendants(tag.as_str()).into_iter().filter_map(Tag::new).collect::<Vec<_>>();
    sorted(tags.iter().flat_map(|tag| core::iter::once(tag.clone()).chain(below(tag))))
}

/// Tags in as many lists as it takes for each to fit into a record.
pub(super) fn in_parts(tags: Vec<Tag>) -> Vec<Vec<Tag>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for tag in tags {
        bytes += tag.as_bytes().len() + 2;
        if bytes > TAG_BYTES_PER_RECORD_MAX {
            bytes = tag.as_bytes().len() + 2;
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(tag);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn tags(names: &[&str]) -> Selector {
        Selector::Tags(names.iter().map(|name| Tag::new(name).unwrap()).collect())
    }

    #[test]
    fn a_purge_reaches_descendants_at_any_depth_and_no_ancestor() {
        let pairs = [("user", "data"), ("admin", "user"), ("root", "admin"), ("root", "staff")];
        let hierarchy = TagHierarchy::new(pairs).unwrap();
        let cases: [(&[&str], &[&str]); 5] = [
            (&["data"], &["admin", "data", "root", "user"]),
            (&["staff"], &["root", "staff"]),
            (&["root"], &["root"]),
            (&["unknown"], &["unknown"]),
            (&["staff", "admin"], &["admin", "root", "staff"]),
        ];
        for (purged, covered) in cases {
            assert_eq!(tags(purged).expanded(&hierarchy), [tags(covered)], "{purged:?}");
        }
    }

    #[test]
    fn tags_within_a_conjunction_are_expanded_too() {
        let hierarchy = TagHierarchy::new([("user", "data")]).unwrap();
        let and =
            |selector| Selector::And(vec![Term { negated: true, selector }, Term::is(Selector::Status(200))]);
        assert_eq!(and(tags(&["data"])).expanded(&hierarchy), [and(tags(&["data", "user"]))]);
        assert_eq!(Selector::All.expanded(&hierarchy), [Selector::All]);
    }

    #[test]
    fn very_many_descendants_are_spread_over_records() {
        let names: Vec<String> = (0..5000).map(|n| format!("user:{n}")).collect();
        let hierarchy = TagHierarchy::new(names.iter().map(|name| (&name[..], "users"))).unwrap();
        let parts = tags(&["users"]).expanded(&hierarchy);
        let count: usize =
            parts.iter().map(|part| if let Selector::Tags(tags) = part { tags.len() } else { 0 }).sum();
        assert_eq!(count, 5001);
        for part in parts {
            assert!(postcard::to_allocvec(&part).unwrap().len() < super::super::RECORD_BYTES_MAX);
        }
    }
}
