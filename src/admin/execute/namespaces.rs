//! Namespaces: a version for a prefix, a host or a tag. Raising it makes all that was stored under the old version
//! go away, in one record of the journal.
//!
//! The journal makes it true; this table only remembers the numbers, so that they can be shown and set.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admin::{AdminResponse, Wanted, shown};
use crate::invalidation::{Invalidation, Selector};
use crate::store::{Cas, SharedData};
use crate::time::Timestamp;

/// The most namespaces whose versions are remembered. Beyond it the one changed the longest ago is forgotten: it counts
/// from 0 again, and what it purged stays purged.
pub const NAMESPACES_MAX: usize = 256;

/// Where the table lies in shared data.
const TABLE: &str = "namespaces";

/// The first byte of the table.
const VERSION: u8 = 1;

/// The versions of all namespaces.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug, Default)]
pub struct Namespaces {
    /// In the order in which they were changed.
    entries: Vec<Namespace>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Namespace {
    selector: Selector,
    version: u64,
    changed_at: Timestamp,
    seq: u64,
}

/// The wish to change the version of a namespace.
#[derive(Clone, PartialEq, Debug)]
pub struct Bump {
    /// The namespace, as it was asked for: before tags are expanded.
    pub selector: Selector,
    /// The version to set; none for one more than there is.
    pub to: Option<u64>,
    /// What it wants of the fleet.
    pub wanted: Wanted,
    /// What to append when the version changes.
    pub invalidations: Vec<Invalidation>,
}

impl Namespaces {
    /// The table in shared data, and what it is to be replaced by compare-and-set with.
    pub fn load(data: &impl SharedData) -> (Namespaces, Cas) {
        match data.get(TABLE) {
            Some(found) => (Namespaces::decode(&found.bytes), found.cas),
            None => (Namespaces::default(), Cas::Absent),
        }
    }

    /// Puts the table in the place of the one that was loaded; false when that has changed meanwhile.
    pub fn save(&self, data: &impl SharedData, cas: Cas) -> bool {
        data.compare_and_set(TABLE, &self.encode(), cas)
    }

    /// The table in these bytes; an empty one when they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Namespaces {
        match bytes.split_first() {
            Some((&VERSION, table)) => postcard::from_bytes(table).unwrap_or_default(),
            Some(_) | None => Namespaces::default(),
        }
    }

    /// The table as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// The version of a namespace; 0 when it was never changed.
    #[must_use]
    pub fn version(&self, selector: &Selector) -> u64 {
        self.entries.iter().find(|entry| entry.selector == *selector).map_or(0, |entry| entry.version)
    }

    /// The version that a namespace shall have; none when it has it already and nothing is to be done.
    #[must_use]
    pub fn next(&self, bump: &Bump) -> Option<u64> {
        let version = self.version(&bump.selector);
        let next = bump.to.unwrap_or(version.saturating_add(1));
        (next != version).then_some(next)
    }

    /// Remembers the new version of a namespace, whose last record lies at `seq`.
    pub fn set(&mut self, selector: &Selector, version: u64, seq: u64, now: Timestamp) {
        self.entries.retain(|entry| entry.selector != *selector);
        if self.entries.len() >= NAMESPACES_MAX {
            self.entries.remove(0);
        }
        self.entries.push(Namespace { selector: selector.clone(), version, changed_at: now, seq });
    }

    /// The answer to a question for all versions.
    #[must_use]
    pub fn answer(&self) -> AdminResponse {
        let entries: Vec<Value> = self.entries.iter().rev().map(Namespace::shown).collect();
        AdminResponse::json(200, &json!({ "namespaces": entries }))
    }

    /// The answer to a wish to change a version: the namespace as it is now.
    #[must_use]
    pub fn bumped(&self, bump: &Bump) -> AdminResponse {
        match self.entries.iter().find(|entry| entry.selector == bump.selector) {
            Some(entry) => AdminResponse::json(200, &entry.shown()),
            None => AdminResponse::json(200, &json!({ "namespace": shown(&bump.selector), "version": 0 })),
        }
    }
}

impl Namespace {
    fn shown(&self) -> Value {
        json!({
            "namespace": shown(&self.selector),
            "version": self.version,
            "changed_at": self.changed_at.secs(),
            "receipt": self.seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{body, tags};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn bump(name: &str, to: Option<u64>) -> Bump {
        Bump { selector: tags(&[name]), to, wanted: Wanted::default(), invalidations: Vec::new() }
    }

    #[test]
    fn versions_are_raised_and_set() {
        let mut table = Namespaces::default();
        assert_eq!(table.next(&bump("a", None)), Some(1));
        assert_eq!(table.next(&bump("a", Some(0))), None);
        table.set(&tags(&["a"]), 1, 41, Timestamp(5_000));
        assert_eq!(table.next(&bump("a", None)), Some(2));
        assert_eq!(table.next(&bump("a", Some(1))), None);
        assert_eq!(table.next(&bump("a", Some(7))), Some(7));
        table.set(&tags(&["a"]), 7, 42, Timestamp(6_000));
        let expected = json!({"namespace": {"tag": "a"}, "version": 7, "changed_at": 6, "receipt": 42});
        assert_eq!(body(&table.bumped(&bump("a", None))), expected);
        assert_eq!(body(&table.answer()), json!({"namespaces": [expected]}));
        assert_eq!(body(&table.bumped(&bump("b", Some(0))))["version"], 0);
    }

    #[test]
    fn the_table_round_trips_and_is_bounded() {
        let mut table = Namespaces::default();
        for n in 0..2 * NAMESPACES_MAX as u64 {
            table.set(&tags(&[&format!("t{n}")]), n, n, Timestamp(n));
        }
        assert_eq!(table.entries.len(), NAMESPACES_MAX);
        assert_eq!(Namespaces::decode(&table.encode()), table);
        assert_eq!(Namespaces::decode(b""), Namespaces::default());
        assert_eq!(Namespaces::decode(&[9, 1, 2]), Namespaces::default());
        assert_eq!(Namespaces::decode(&table.encode()[..50]), Namespaces::default());
    }
}
