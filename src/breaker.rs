//! The circuit breakers: one for each cluster in trouble. While it is open, what may be served stale is served without
//! asking, and one request at a time looks whether the origin is back. What nothing stored answers goes to the origin
//! all the same: this is a cache, and no other way to the origin is known to it.
//!
//! Pure rules on a [`Breakers`] value; whoever calls them writes the outcome by compare-and-set or tries again. Clusters
//! that answer are not in it, so that it is empty nearly always.
//!
//! ```text
//!           so many failures in a row, within the window
//!   closed ─────────────────────────────────────────────► open ──┐
//!     ▲                                                    │ ▲   │ the interval is over: a probe, alone
//!     └────────────── any answer but a failure ────────────┘ └───┘
//! ```

use serde::{Deserialize, Serialize};

use crate::config::BreakerConfig;
use crate::store::{Cas, SCHEMA, SharedData, TRIES};
use crate::time::Monotonic;

/// The most clusters in trouble that are known at a time. Beyond it others count as answering.
pub const CLUSTERS_MAX: usize = 64;

/// All clusters in trouble.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Breakers {
    troubles: Vec<Trouble>,
}

/// A cluster that has failed lately.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// Its name.
    pub cluster: String,
    /// How often it has failed in a row.
    pub failures: u32,
    /// When it failed first.
    pub since: Monotonic,
    /// Since it has failed too often: when the next probe may be sent.
    pub probe_from: Option<Monotonic>,
}

/// What an answer, or the lack of one, has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// Something that others should know.
    Noted,
    /// The breaker has opened.
    Opened,
    /// The breaker has closed.
    Closed,
}

impl Breakers {
    /// Whether no cluster is in trouble.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.troubles.is_empty()
    }

    /// The clusters in trouble.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.troubles.iter()
    }

    /// How many breakers are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.troubles.iter().filter(|trouble| trouble.probe_from.is_some()).count() as u64
    }

    /// Whether the breaker of a cluster is open.
    #[must_use]
    pub fn is_open(&self, cluster: &str) -> bool {
        self.troubles.iter().any(|trouble| trouble.cluster == cluster && trouble.probe_from.is_some())
    }

    /// A cluster has failed.
    pub fn failed(&mut self, cluster: &str, rules: &BreakerConfig, now: Monotonic) -> Change {
        let lately = |trouble: &Trouble| now.since(trouble.since) <= rules.window;
        self.troubles.retain(|trouble| trouble.probe_from.is_some() || lately(trouble));
        let found = self.troubles.iter_mut().find(|trouble| trouble.cluster == cluster);
        let trouble = match found {
            Some(open) if open.probe_from.is_some() => return Change::None,
            Some(trouble) => trouble,
            None => {
                if self.troubles.len() >= CLUSTERS_MAX {
                    return Change::None;
                }
                let cluster = cluster.to_owned();
                self.troubles.push(Trouble { cluster, failures: 0, since: now, probe_from: None });
                match self.troubles.last_mut() {
                    Some(trouble) => trouble,
                    None => return Change::None,
                }
            }
        };
        trouble.failures = trouble.failures.saturating_add(1);
        if trouble.failures < rules.failures {
            return Change::Noted;
        }
        trouble.probe_from = Some(now.after(rules.probe_interval));
        Change::Opened
    }

    /// A cluster has answered, whatever it was but a failure.
    pub fn answered(&mut self, cluster: &str) -> Change {
        let Some(at) = self.troubles.iter().position(|trouble| trouble.cluster == cluster) else {
            return Change::None;
        };
        match self.troubles.swap_remove(at).probe_from {
            Some(_) => Change::Closed,
            None => Change::Noted,
        }
    }

    /// A request would look whether the cluster of an open breaker is back: noted if it is the one that may.
    pub fn probes(&mut self, cluster: &str, rules: &BreakerConfig, now: Monotonic) -> Change {
        let found = self.troubles.iter_mut().find(|trouble| trouble.cluster == cluster);
        match found.and_then(|trouble| trouble.probe_from.as_mut()) {
            Some(from) if *from <= now => {
                *from = now.after(rules.probe_interval);
                Change::Noted
            }
            Some(_) | None => Change::None,
        }
    }

    /// What all workers know; what cannot be decoded is nothing.
    pub fn read(data: &impl SharedData) -> Breakers {
        Self::versioned(data).0
    }

    /// Changes what all workers know.
    pub fn change(data: &impl SharedData, change: impl Fn(&mut Breakers) -> Change) -> Change {
        for _ in 0..TRIES {
            let (mut breakers, cas) = Self::versioned(data);
            let changed = change(&mut breakers);
            // Serialising into memory cannot fail; nothing decodes to nothing.
            let bytes = postcard::to_allocvec(&breakers).unwrap_or_default();
            if changed == Change::None || data.compare_and_set(&key(), &bytes, cas) {
                return changed;
            }
        }
        Change::None
    }

    fn versioned(data: &impl SharedData) -> (Breakers, Cas) {
        match data.get(&key()) {
            Some(found) => (postcard::from_bytes(&found.bytes).unwrap_or_default(), found.cas),
            None => (Breakers::default(), Cas::Absent),
        }
    }
}

fn key() -> String {
    format!("{SCHEMA}/breakers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const RULES: fn() -> BreakerConfig = BreakerConfig::default;

    /// Fails so often, a millisecond apart.
    fn fail(breakers: &mut Breakers, times: u64, from: u64) -> Change {
        (0..times).map(|n| breakers.failed("a", &RULES(), Monotonic(from + n))).last().unwrap()
    }

    #[test]
    fn a_breaker_opens_by_failures_in_a_row_and_closes_by_any_answer() {
        let mut breakers = Breakers::default();
        assert_eq!(fail(&mut breakers, 4, 0), Change::Noted);
        assert_eq!(breakers.answered("a"), Change::Noted);
        assert_eq!((fail(&mut breakers, 4, 10), breakers.is_open("a")), (Change::Noted, false));
        assert_eq!((fail(&mut breakers, 1, 20), breakers.is_open("a")), (Change::Opened, true));
        assert_eq!(fail(&mut breakers, 9, 30), Change::None);
        assert!(!breakers.is_open("b") && breakers.open() == 1);
        assert_eq!((breakers.answered("a"), breakers.is_empty()), (Change::Closed, true));
        assert_eq!(breakers.answered("a"), Change::None);
    }

    #[test]
    fn failures_long_ago_do_not_count() {
        let mut breakers = Breakers::default();
        fail(&mut breakers, 4, 0);
        assert_eq!(fail(&mut breakers, 1, 10_001), Change::Noted);
        assert_eq!(breakers.troubles().map(|trouble| trouble.failures).sum::<u32>(), 1);
    }

    #[test]
    fn there_is_one_probe_in_an_interval() {
        let mut breakers = Breakers::default();
        fail(&mut breakers, 5, 0);
        let mut probe = |at| breakers.probes("a", &RULES(), Monotonic(at)) == Change::Noted;
        assert_eq!(
            [0, 5_003, 5_004, 5_005, 10_003, 10_004].map(&mut probe),
            [false, false, true, false, false, true]
        );
        assert_eq!(breakers.probes("b", &RULES(), Monotonic(9)), Change::None);
    }

    #[test]
    fn no_more_clusters_are_known_than_may_be() {
        let data = Memory::default();
        for n in 0..2 * CLUSTERS_MAX {
            Breakers::change(&data, |all| all.failed(&n.to_string(), &RULES(), Monotonic(n as u64)));
        }
        assert_eq!(Breakers::read(&data).troubles().count(), CLUSTERS_MAX);
        Breakers::change(&data, |all| all.failed("late", &RULES(), Monotonic(20_000)));
        assert_eq!(Breakers::read(&data).troubles().count(), 1);
    }
}
