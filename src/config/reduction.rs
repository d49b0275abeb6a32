//! What rules and routes may make of the query of a URL before it counts.
//!
//! A stored response is known by its URI as far as it counts, and what counts is for the rules of its request to say: by
//! its method, its fields, its route. A purge names a URL and has none of these, so it has to cover whatever the URL may
//! come to.

use serde::{Deserialize, Serialize};

use super::options::{KeyOptions, QueryKey};

/// The most ways to count a query that are told apart. Beyond it a purge of a URL with a query covers its path with any
/// query.
const WAYS_MAX: usize = 32;

/// All ways to count a query that may hold for a URL.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug, Default)]
pub struct Reductions {
    queries: Vec<QueryKey>,
    sorted: Vec<bool>,
    /// Whether there were more.
    more: bool,
}

impl Reductions {
    /// Adds what one place in the configuration says.
    pub fn add(&mut self, query: Option<&QueryKey>, sorted: Option<bool>) {
        if let Some(query) = query.filter(|query| !self.queries.contains(query)) {
            if self.queries.len() < WAYS_MAX {
                self.queries.push(query.clone());
            } else {
                self.more = true;
            }
        }
        if let Some(sorted) = sorted.filter(|sorted| !self.sorted.contains(sorted)) {
            self.sorted.push(sorted);
        }
    }

    /// Adds all that others say.
    pub fn merge(&mut self, others: &Reductions) {
        others.queries.iter().for_each(|query| self.add(Some(query), None));
        others.sorted.iter().for_each(|sorted| self.add(None, Some(*sorted)));
        self.more |= others.more;
    }

    /// Says that there are more than can be told apart.
    pub fn give_up(&mut self) {
        *self = Reductions { more: true, ..Reductions::default() };
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Reductions::default()
    }

    /// Whether all of this is said by `self`.
    #[must_use]
    pub fn covers(&self, others: &Reductions) -> bool {
        self.more
            || (!others.more
                && others.queries.iter().all(|query| self.queries.contains(query))
                && others.sorted.iter().all(|sorted| self.sorted.contains(sorted)))
    }

    /// The options of each way; none when there are too many.
    #[must_use]
    pub fn keys(&self) -> Option<Vec<KeyOptions>> {
        let sorted = || if self.sorted.is_empty() { &[false][..] } else { &self.sorted };
        let key = |query: &QueryKey, query_sorted: bool| KeyOptions {
            query: query.clone(),
            query_sorted,
            ..KeyOptions::default()
        };
        let keys =
            self.queries.iter().flat_map(|query| sorted().iter().map(move |sorted| key(query, *sorted)));
        (!self.more).then(|| keys.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_way_is_counted_once_and_too_many_are_no_ways() {
        let drop = |n: usize| QueryKey::Drop(vec![format!("q{n}")]);
        let mut ways = Reductions::default();
        assert!(ways.is_empty());
        ways.add(Some(&QueryKey::All), Some(false));
        ways.add(Some(&drop(1)), None);
        ways.add(Some(&drop(1)), Some(true));
        assert_eq!(ways.keys().map(|keys| keys.len()), Some(4));
        let mut others = Reductions::default();
        others.add(Some(&drop(2)), None);
        assert!(!ways.covers(&others));
        ways.merge(&others);
        assert!(ways.covers(&others));
        (0..WAYS_MAX).for_each(|n| ways.add(Some(&drop(n)), None));
        assert!(ways.keys().is_none() && ways.covers(&others));
    }
}
