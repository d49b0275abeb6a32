//! What the store needs of proxy-wasm shared data, and an in-memory stand-in for tests.

use core::cell::{Cell, RefCell};
use hashbrown::HashMap;

use crate::outcome::metrics::Metrics;

/// The position of a value in its key's history, for compare-and-set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cas {
    /// The key must be absent.
    Absent,
    /// The value must not have changed since it was read with this.
    At(u32),
}

/// A value and its position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned {
    /// The value; empty for a key that was set to nothing.
    pub bytes: Vec<u8>,
    /// What a compare-and-set has to name.
    pub cas: Cas,
}

/// Shared data, the journal's clock and wake-ups: one Envoy process, all workers. Each call is one atomic step.
pub trait SharedData {
    /// The value of a key; none when it was never set.
    fn get(&self, key: &str) -> Option<Versioned>;
    /// Sets a key, whatever is there.
    fn set(&self, key: &str, value: &[u8]);
    /// Sets a key unless it has changed; whether it was set.
    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool;
    /// A number that was different before the last [`SharedData::advance_epoch`].
    fn epoch(&self) -> u64;
    /// Changes the epoch for all workers.
    fn advance_epoch(&self);
    /// Tells a worker that something happened at a fingerprint. A hint: it may be lost, doubled or late.
    fn wake(&self, worker: u8, fingerprint: super::Fingerprint);
    /// Adds to the number of bytes that all workers store, and says what it is then.
    fn add_bytes(&self, delta: i64) -> u64;
    /// The number of bytes that all workers store.
    fn bytes(&self) -> u64;
    /// Adds to the number of records that all workers store.
    fn add_entries(&self, delta: i64);
    /// The number of records that all workers store.
    fn entries(&self) -> u64;
    /// Hears of a value that is not as anybody wrote it. Whoever meets one takes it for absent.
    fn found_damaged(&self) {}
}

/// What who writes the store needs: shared data, and counters.
pub trait StoreHost: SharedData + Metrics {}

impl<T: SharedData + Metrics> StoreHost for T {}

/// Shared data in the memory of a test, with Envoy's rules.
#[derive(Default, Debug)]
pub struct Memory {
    values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    next_cas: Cell<u32>,
    epoch: Cell<u64>,
    bytes: Cell<i64>,
    entries: Cell<i64>,
    /// How often a damaged value was met.
    pub damaged: Cell<u32>,
    /// The wake-ups so far, as (worker, fingerprint).
    pub woken: RefCell<Vec<(u8, super::Fingerprint)>>,
}

impl SharedData for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        let values = self.values.borrow();
        values.get(key).map(|(bytes, cas)| Versioned { bytes: bytes.clone(), cas: Cas::At(*cas) })
    }

    fn set(&self, key: &str, value: &[u8]) {
        self.next_cas.set(self.next_cas.get() + 1);
        self.values.borrow_mut().insert(key.into(), (value.to_vec(), self.next_cas.get()));
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        let now = self.values.borrow().get(key).map(|(_, cas)| *cas);
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

    fn wake(&self, worker: u8, fingerprint: super::Fingerprint) {
        self.woken.borrow_mut().push((worker, fingerprint));
    }

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

    fn found_damaged(&self) {
        self.damaged.set(self.damaged.get() + 1);
    }
}
