//! L1: a worker's own decoded copies, within a byte budget. A hit here costs no shared-data call.

use core::cell::Cell;
use hashbrown::HashMap;
use std::rc::Rc;

use super::Fingerprint;
use super::record::{Content, Record, Response};
use crate::invalidation::Verdict;

/// A record in a worker's memory, with the last verdict on it.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// The verdict and the journal head at which it was given.
    judged: Cell<Option<(u64, Verdict)>>,
}

impl Entry {
    /// An entry that has not been judged yet.
    #[must_use]
    pub fn new(record: Record) -> Rc<Self> {
        Rc::new(Entry { record, judged: Cell::new(None) })
    }

    /// The verdict at journal head `head`; `judge` is asked only once for each head.
    pub fn verdict(&self, head: u64, judge: impl FnOnce() -> Verdict) -> Verdict {
        match self.judged.get() {
            Some((at, verdict)) if at == head => verdict,
            _ => {
                let verdict = judge();
                self.judged.set(Some((head, verdict)));
                verdict
            }
        }
    }

    /// The response, unless the record only says by what responses are selected.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match &self.record.content {
            Content::Response(response) => Some(response),
            Content::Variants(_) | Content::Search(_) => None,
        }
    }

    /// Whether it is a part of a representation only.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.response().is_some_and(|response| response.stored.range.is_some())
    }

    /// The entry with another response in its place, as good as this one.
    #[must_use]
    pub fn with(&self, response: Box<Response>) -> Rc<Entry> {
        let Record { key, generation, stamp, .. } = &self.record;
        let (key, content) = (key.clone(), Content::Response(response));
        Entry::new(Record { key, generation: *generation, stamp: *stamp, content })
    }

    /// The bytes of memory that it takes, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let content = match &self.record.content {
            Content::Response(r) => r.body.held() + r.stored.fields.wire().len() + r.tags.len() * 48,
            Content::Variants(v) => v.known.len() * 16 + v.nominated.len() * 32,
            Content::Search(s) => s.variance.len() + s.uri.len(),
        };
        (content + self.record.key.len() * 2 + 400) as u64
    }
}

/// The entries of a worker. Eviction is a clock: entries that were used since the hand last passed stay.
#[derive(Default)]
pub struct WorkerMemory {
    bytes: u64,
    bytes_max: u64,
    places: HashMap<Fingerprint, usize>,
    ring: Vec<Option<Node>>,
    free: Vec<usize>,
    /// Where eviction looks on.
    hand: usize,
    /// Where uses that nobody has been told of are looked for.
    teller: usize,
}

struct Node {
    fingerprint: Fingerprint,
    entry: Rc<Entry>,
    /// Whether it was used since the hand passed.
    used: Cell<bool>,
    /// How often it was used since that was told.
    untold: Cell<u8>,
}

/// How many entries are looked at for uses to tell of.
const LOOKS_MAX: usize = 1024;

impl WorkerMemory {
    /// Memory for at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        WorkerMemory { bytes_max, ..WorkerMemory::default() }
    }

    /// Another budget, from the next insertion on.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// The bytes that are taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The entry of exactly this key.
    #[must_use]
    pub fn get(&self, fingerprint: Fingerprint, key: &[u8]) -> Option<Rc<Entry>> {
        let node = self.ring.get(*self.places.get(&fingerprint)?)?.as_ref()?;
        if node.entry.record.key != key {
            return None;
        }
        node.used.set(true);
        node.untold.set(node.untold.get().saturating_add(1));
        Some(Rc::clone(&node.entry))
    }

    /// Whether something with this fingerprint is there. That is no use of it.
    #[must_use]
    pub fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.places.contains_key(&fingerprint)
    }

    /// The next entries that were used since their uses were last taken, and how often.
    pub fn take_uses(&mut self, count_max: usize) -> Vec<(Fingerprint, u8)> {
        let mut uses = Vec::new();
        for _ in 0..self.ring.len().min(LOOKS_MAX) {
            if uses.len() == count_max {
                break;
            }
            self.teller = if self.teller + 1 < self.ring.len() { self.teller + 1 } else { 0 };
            if let Some(Some(node)) = self.ring.get(self.teller)
                && node.untold.get() > 0
            {
                uses.push((node.fingerprint, node.untold.take()));
            }
        }
        uses
    }

    /// Keeps an entry in place of one that is there. What is asked for once needs no copy here: it comes with the
    /// second request.
    pub fn update(&mut self, fingerprint: Fingerprint, entry: &Rc<Entry>) {
        if self.places.contains_key(&fingerprint) {
            self.insert(fingerprint, entry);
        }
    }

    /// Keeps an entry, unless one with a newer stamp is there or it is larger than an eighth of the budget.
    pub fn insert(&mut self, fingerprint: Fingerprint, entry: &Rc<Entry>) {
        if let Some(node) = self.places.get(&fingerprint).and_then(|at| self.ring.get(*at)?.as_ref()) {
            if Rc::ptr_eq(&node.entry, entry) || node.entry.record.stamp > entry.record.stamp {
                return;
            }
            self.remove(fingerprint);
        }
        let bytes = entry.bytes();
        if bytes > self.bytes_max / 8 {
            return;
        }
        self.make_room(bytes);
        let node =
            Some(Node { fingerprint, entry: Rc::clone(entry), used: Cell::new(false), untold: Cell::new(0) });
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.ring.push(None);
                self.ring.len() - 1
            }
        };
        if let Some(place) = self.ring.get_mut(at) {
            *place = node;
            self.places.insert(fingerprint, at);
            self.bytes += bytes;
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, fingerprint: Fingerprint) {
        let Some(at) = self.places.remove(&fingerprint) else { return };
        if let Some(node) = self.ring.get_mut(at).and_then(Option::take) {
            self.bytes -= node.entry.bytes();
            self.free.push(at);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = WorkerMemory::new(self.bytes_max);
    }

    /// Passes the hand over the ring until there is room; twice round is enough to evict everything.
    fn make_room(&mut self, bytes: u64) {
        for _ in 0..2 * self.ring.len() {
            if self.bytes + bytes <= self.bytes_max {
                return;
            }
            self.hand = if self.hand + 1 < self.ring.len() { self.hand + 1 } else { 0 };
            let victim = match self.ring.get(self.hand) {
                Some(Some(node)) if !node.used.replace(false) => node.fingerprint,
                _ => continue,
            };
            self.remove(victim);
        }
    }
}
