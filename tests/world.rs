//! Shared data in memory, and workers in it with nobody around: what the store's own tests and the benchmarks of the
//! core run on.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use larder::cache::{Host, Route, StreamId};
use larder::http::{Fields, Peer};
use larder::outcome::NotStored;
use larder::outcome::metrics::{Counter, Gauge, Metrics};
use larder::store::{Cas, Fingerprint, SharedData, Versioned};
use larder::time::Now;
use larder::turn::Turn;

/// Shared data by Envoy's rules. A value is kept without the zeros at its end, so that bodies of zeros take nothing.
#[derive(Default)]
pub struct World {
    values: RefCell<HashMap<String, Kept>>,
    next_cas: Cell<u32>,
    epoch: Cell<u64>,
    bytes: Cell<i64>,
    entries: Cell<i64>,
    reads: Cell<(u64, u64)>,
    not_stored: Cell<Option<NotStored>>,
}

struct Kept {
    head: Box<[u8]>,
    len: usize,
    cas: u32,
}

impl World {
    /// The world at this time.
    pub fn at(&self, now: Now) -> Turn<'_, World> {
        Turn { host: self, now }
    }

    /// Why the last response that was not stored was not.
    pub fn not_stored(&self) -> Option<NotStored> {
        self.not_stored.take()
    }

    /// How often a value was read.
    pub fn reads(&self) -> u64 {
        self.reads.get().0
    }

    /// The bytes of all values that were read.
    pub fn bytes_read(&self) -> u64 {
        self.reads.get().1
    }

    /// The lengths of all values.
    pub fn lengths(&self) -> Vec<u64> {
        self.values.borrow().values().map(|kept| kept.len as u64).collect()
    }
}

impl SharedData for World {
    fn get(&self, key: &str) -> Option<Versioned> {
        let values = self.values.borrow();
        let found = values.get(key);
        let (times, read) = self.reads.get();
        self.reads.set((times + 1, read + found.map_or(0, |kept| kept.len as u64)));
        let Kept { head, len, cas } = found?;
        let mut bytes = Vec::with_capacity(*len);
        bytes.extend_from_slice(head);
        bytes.resize(*len, 0);
        Some(Versioned { bytes, cas: Cas::At(*cas) })
    }

    fn set(&self, key: &str, value: &[u8]) {
        let head = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let cas = self.next_cas.get() + 1;
        self.next_cas.set(cas);
        let kept = Kept { head: value.split_at(head).0.into(), len: value.len(), cas };
        self.values.borrow_mut().insert(key.to_owned(), kept);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        let now = self.values.borrow().get(key).map(|kept| kept.cas);
        // An absent key takes any value: the host compares nothing then.
        let holds = now.is_none_or(|cas| expected == Cas::At(cas));
        if holds {
            self.set(key, value);
        }
        holds
    }

    fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    fn advance_epoch(&self) {
        self.epoch.set(self.epoch.get() + 1);
    }

    fn wake(&self, _: u8, _: Fingerprint) {}

    fn add_bytes(&self, delta: i64) -> u64 {
        self.bytes.set(self.bytes.get() + delta);
        self.bytes()
    }

    fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.get()).unwrap_or(0)
    }

    fn add_entries(&self, delta: i64) {
        self.entries.set(self.entries.get() + delta);
    }

    fn entries(&self) -> u64 {
        u64::try_from(self.entries.get()).unwrap_or(0)
    }
}

impl Metrics for World {
    fn count(&self, counter: Counter) {
        if let Counter::NotStored(why) | Counter::FetchNotStored(why) = counter {
            self.not_stored.set(Some(why));
        }
    }

    fn show(&self, _: Gauge, _: u64) {}

    fn values(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Host for World {
    fn sent(&self, _: StreamId) -> Option<Fields> {
        None
    }

    fn route(&self, _: StreamId) -> Option<Route> {
        None
    }

    fn route_name(&self, _: StreamId) -> Vec<u8> {
        Vec::new()
    }

    fn is_from_upstream(&self, _: StreamId) -> bool {
        true
    }

    fn cluster(&self, _: StreamId) -> Option<String> {
        None
    }

    fn metadata(&self, _: StreamId) -> Vec<u8> {
        Vec::new()
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }
}
