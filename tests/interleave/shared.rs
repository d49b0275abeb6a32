//! Shared data that hands over before each of its calls, so that whoever schedules decides what happens in between.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use corosensei::Yielder;
use larder::cache::{Host, Route};
use larder::http::{Fields, Peer};
use larder::outcome::metrics::{Counter, Gauge, Metrics};
use larder::store::record::{Record, Slot};
use larder::store::set::SetSnapshot;
use larder::store::sizes::sizes;
use larder::store::{Cas, Fingerprint, SCHEMA, Seed, SharedData, Versioned};
use larder::time::{Monotonic, Now};
use larder::turn::Turn;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What fingerprints are made with.
pub const SEED: Seed = Seed(1, 2);

/// A value and its position.
type Value = (Rc<[u8]>, u32);

/// The process, as all workers see it.
#[derive(Default)]
pub struct Shared {
    values: RefCell<BTreeMap<String, Value>>,
    next_cas: Cell<u32>,
    epoch: Cell<u64>,
    /// Hints on their way: worker and fingerprint.
    pub hints: RefCell<Vec<(u8, Fingerprint)>>,
    /// All values in one number.
    digest: Cell<u64>,
    /// What each worker has seen and done so far in one number: its state follows from that.
    seen: RefCell<BTreeMap<usize, u64>>,
    /// What each worker's callback has read: whether that is still so is part of the state.
    read: RefCell<BTreeMap<usize, BTreeMap<String, u32>>>,
    /// The position of the record that was last appended to the journal.
    pub appended: Cell<u64>,
    /// Nothing can be written to the journal.
    pub busy: Cell<bool>,
    /// The stamp of what was last published under a fingerprint, and when that was asked for, where that is watched.
    published: RefCell<Option<BTreeMap<u64, (u64, Monotonic)>>>,
    /// What must never happen, once it has.
    pub broken: RefCell<Option<String>>,
}

/// A worker's hands on it; without a yielder nothing comes in between.
pub struct Hands<'a> {
    pub shared: Rc<Shared>,
    pub worker: usize,
    pub yielder: Option<&'a Yielder<(), ()>>,
}

/// What lies under a key, in the letter that the schema has for it.
fn kind(key: &str) -> &str {
    key.strip_prefix(SCHEMA).and_then(|rest| rest.split('/').nth(1)).unwrap_or_default()
}

fn is_set(key: &str) -> bool {
    kind(key) == "s"
}

impl Shared {
    /// From now on nothing that is published may be older than what was published before.
    pub fn watch_stamps(&self) {
        self.published.replace(Some(BTreeMap::new()));
    }

    /// A worker is told something.
    pub fn note(&self, worker: usize, what: &[u8]) {
        let mut seen = self.seen.borrow_mut();
        let before = seen.entry(worker).or_default();
        *before = xxh3_64_with_seed(what, *before);
    }

    /// A callback of a worker begins: what an earlier one has read is forgotten.
    pub fn forget_read(&self, worker: usize) {
        self.read.borrow_mut().remove(&worker);
    }

    /// The state in one number: values, hints, and what workers know.
    pub fn state(&self) -> u64 {
        let mut state = vec![self.digest.get(), self.epoch.get(), self.appended.get()];
        state.extend(self.seen.borrow().values());
        let values = self.values.borrow();
        for read in self.read.borrow().values() {
            let is_current = |(key, cas): (&String, &u32)| values.get(key).is_some_and(|(_, now)| now == cas);
            state.push(read.iter().fold(1, |bits, one| bits << 1 | u64::from(is_current(one))));
        }
        let mut hints = self.hints.borrow().clone();
        hints.sort_unstable();
        state.extend(hints.iter().flat_map(|(worker, fingerprint)| [u64::from(*worker), fingerprint.0]));
        let bytes: Vec<u8> = state.iter().flat_map(|number| number.to_le_bytes()).collect();
        xxh3_64(&bytes)
    }

    fn write(&self, key: &str, value: &[u8]) {
        let digest = |value: &[u8]| xxh3_64_with_seed(value, xxh3_64(key.as_bytes()));
        self.next_cas.set(self.next_cas.get() + 1);
        let new = (Rc::from(value), self.next_cas.get());
        let old = self.values.borrow_mut().insert(key.into(), new);
        let before = old.map_or(0, |(value, _)| digest(&value));
        self.digest.set(self.digest.get() ^ before ^ digest(value));
    }

    fn check_stamps(&self, key: &str) {
        let Some(mut published) = self.published.take() else { return };
        let number = key.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or_default();
        let glass = Hands { shared: Rc::new(Shared::default()), worker: 9, yielder: None };
        for (key, (value, _)) in self.values.borrow().iter() {
            glass.shared.write(key, value);
        }
        let set = SetSnapshot::read(&glass, number).value;
        let mut there = BTreeMap::new();
        for (way, place) in (0..).zip(&set.ways).filter(|(_, place)| place.fingerprint.is_some()) {
            let slot = Slot { set: number, way };
            let record = Record::peek(&glass, slot).map(|(record, _)| record);
            // What another has begun to write over is not there any more.
            let own = record.filter(|record| SEED.fingerprint(&record.key) == place.fingerprint);
            let whole = own.and_then(|record| Record::read(&glass, slot, &record.key));
            if let Some(order) = whole.map(|record| record.order()) {
                let before = published.remove(&place.fingerprint.0).unwrap_or_default();
                if before > order {
                    self.breaks(format!("I9: {order:?} replaces the newer {before:?}"));
                }
                there.insert(place.fingerprint.0, order);
            }
        }
        self.published.replace(Some(there));
    }

    pub fn breaks(&self, what: String) {
        self.broken.borrow_mut().get_or_insert(what);
    }
}

impl Hands<'_> {
    /// The world at this time.
    pub fn at(&self, now: Now) -> Turn<'_, Self> {
        Turn { host: self, now }
    }

    /// Lets others go first. What only helps to find what is looked for (the seed, the registry, learned routes, the number
    /// of bytes) is no step of the protocol.
    fn step(&self, key: &str) {
        let is_step =
            is_set(key) || ["r", "c"].contains(&kind(key)) || key.starts_with("j/") || key == "epoch";
        if let (true, Some(yielder)) = (is_step, self.yielder) {
            yielder.suspend(());
        }
    }
}

impl SharedData for Hands<'_> {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.step(key);
        let found = self.shared.values.borrow().get(key).cloned();
        self.shared.note(self.worker, found.as_ref().map_or(b"nothing", |(value, _)| value));
        let (value, cas) = found?;
        self.shared.read.borrow_mut().entry(self.worker).or_default().insert(key.into(), cas);
        Some(Versioned { bytes: value.to_vec(), cas: Cas::At(cas) })
    }

    fn set(&self, key: &str, value: &[u8]) {
        self.step(key);
        self.shared.write(key, value);
        self.shared.note(self.worker, b"set");
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        self.step(key);
        let now = self.shared.values.borrow().get(key).map(|(_, cas)| *cas);
        let refused = self.shared.busy.get() && key.starts_with("j/");
        let holds = !refused && now.is_none_or(|cas| expected == Cas::At(cas));
        self.shared.note(self.worker, &[u8::from(holds)]);
        if holds {
            self.shared.write(key, value);
            if key.starts_with("j/") {
                self.shared.appended.set(last_position(value));
            }
            if is_set(key) {
                self.shared.check_stamps(key);
            }
        }
        holds
    }

    fn epoch(&self) -> u64 {
        self.step("epoch");
        let epoch = self.shared.epoch.get();
        self.shared.note(self.worker, &epoch.to_le_bytes());
        epoch
    }

    fn advance_epoch(&self) {
        self.step("epoch");
        self.shared.epoch.set(self.shared.epoch.get() + 1);
        self.shared.note(self.worker, b"advanced");
    }

    /// On its way at once: it arrives at any time later, or never.
    fn wake(&self, worker: u8, fingerprint: Fingerprint) {
        let mut hints = self.shared.hints.borrow_mut();
        if !hints.contains(&(worker, fingerprint)) {
            hints.push((worker, fingerprint));
        }
    }

    fn add_bytes(&self, _: i64) -> u64 {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn add_entries(&self, _: i64) {}

    fn entries(&self) -> u64 {
        0
    }
}

impl Metrics for Hands<'_> {
    fn count(&self, _: Counter) {}
    fn show(&self, _: Gauge, _: u64) {}
    fn values(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Host for Hands<'_> {
    fn sent(&self, _: u32) -> Option<Fields> {
        None
    }

    fn route(&self, _: u32) -> Option<Route> {
        None
    }

    fn route_name(&self, _: u32) -> Vec<u8> {
        Vec::new()
    }

    fn is_from_upstream(&self, _: u32) -> bool {
        true
    }

    fn cluster(&self, _: u32) -> Option<String> {
        None
    }
    fn metadata(&self, _: u32) -> Vec<u8> {
        Vec::new()
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }
}

/// The position of the last record in a segment of the journal.
fn last_position(segment: &[u8]) -> u64 {
    let number = |at: usize| u64::from_le_bytes(segment[at..at + 8].try_into().unwrap());
    let (mut records, mut at) = (0, 33);
    while at < segment.len() {
        at += 4 + u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        records += 1;
    }
    (number(17) - 1) * sizes().records + records
}
