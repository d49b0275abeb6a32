//! L1: a worker's own decoded copies, within a byte budget. A hit here costs no shared-data call.

use core::cell::{Cell, RefCell};
use core::ops::Range;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use super::Fingerprint;
use super::record::{Content, Record, Response};
use crate::heap::{block, counted_block, list, with_gaps};
use crate::in_flight::{InFlight, Share};
use crate::invalidation::Verdict;

/// A record in a worker's memory, with the last verdict on it.
#[derive(Debug)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// The verdict and the journal head at which it was given.
    judged: Cell<Option<(u64, Verdict)>>,
    /// The same for another URI that it was found by last.
    judged_for: Cell<Option<(Fingerprint, (u64, Verdict))>>,
    /// Whether a request has been compared with it by its route.
    pub was_compared: Cell<bool>,
    /// The share of those who keep it while something is under way, as long as there are any.
    kept: RefCell<Weak<Share>>,
}

/// A verdict that was given at one head, brought up to another.
fn judged_on(
    before: Option<(u64, Verdict)>,
    head: u64,
    stamp: u64,
    judge: impl FnOnce(u64) -> Verdict,
) -> Verdict {
    match before {
        Some((at, verdict)) if at == head || at < head && verdict == Verdict::Hard => verdict,
        Some((at, verdict)) if at < head => verdict.and(judge(at.max(stamp))),
        Some(_) | None => judge(stamp),
    }
}

impl Entry {
    /// An entry that has not been judged yet.
    #[must_use]
    pub fn new(record: Record) -> Rc<Self> {
        Rc::new(Entry {
            record,
            judged: Cell::new(None),
            judged_for: Cell::new(None),
            was_compared: Cell::new(false),
            kept: RefCell::default(),
        })
    }

    /// The verdict at journal head `head`. `judge` is asked only once for each head, and only about the records after the
    /// position that it is given: those before it have been judged. So one record more costs no second look at all the
    /// others.
    pub fn verdict(&self, head: u64, judge: impl FnOnce(u64) -> Verdict) -> Verdict {
        let stamp = self.record.stamp;
        let verdict = judged_on(self.judged.get(), head, stamp, judge);
        self.judged.set(Some((head, verdict)));
        verdict
    }

    /// The same for what was said about another URI that it answers for as well.
    pub fn verdict_for(&self, uri: Fingerprint, head: u64, judge: impl FnOnce(u64) -> Verdict) -> Verdict {
        let before = self.judged_for.get().filter(|(of, _)| *of == uri).map(|(_, judged)| judged);
        let verdict = judged_on(before, head, self.record.stamp, judge);
        self.judged_for.set(Some((uri, (head, verdict))));
        verdict
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
        let Record { key, generation, stamp, asked, .. } = &self.record;
        let (key, content) = (key.clone(), Content::Response(response));
        Entry::new(Record { key, generation: *generation, stamp: *stamp, asked: *asked, content })
    }

    /// The bytes of memory that it takes, with its place among others.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        with_gaps(self.held())
    }

    /// The same without gaps.
    fn held(&self) -> u64 {
        let content = match &self.record.content {
            Content::Response(response) => block(size_of::<Response>()) + response.held(),
            Content::Variants(variants) => variants.held(),
            Content::Search(search) => block(search.variance.capacity()) + list(&search.uri),
        };
        PLACE_BYTES + counted_block(size_of::<Entry>()) + list(&self.record.key) + content
    }

    /// Its share of the memory for what is under way, for who keeps it when this callback is over: it may leave the copies
    /// meanwhile, whose budget it is in. It is the same one for all who keep it. None when there is no room.
    #[must_use]
    pub fn hold(&self, memory: &InFlight) -> Option<Rc<Share>> {
        let mut kept = self.kept.borrow_mut();
        kept.upgrade().or_else(|| {
            let share = Rc::new(memory.share(self.held())?);
            *kept = Rc::downgrade(&share);
            Some(share)
        })
    }
}

/// What a place takes: in the queue, which may have as many gaps as entries and room for as many more, and in a table that
/// is filled by seven sixteenths.
const PLACE_BYTES: u64 =
    (4 * size_of::<Option<Node>>() + (size_of::<(Fingerprint, u64)>() + 1) * 16 / 7) as u64;

/// The entries of a worker, in the order in which they came. Room is made at the front: an entry that was used since it was
/// last there goes to the back, once, and any other leaves. So what came together leaves together, and the allocator gets
/// its memory back in pieces that fit something larger.
#[derive(Default)]
pub struct WorkerMemory {
    bytes: u64,
    bytes_max: u64,
    /// The numbers of entries, in the order of the queue.
    places: HashMap<Fingerprint, u64>,
    /// With gaps where entries were removed.
    queue: VecDeque<Option<Node>>,
    /// The number of the front of the queue.
    first: u64,
    /// The number from which on uses that nobody has been told of are looked for.
    teller: u64,
    /// The numbers of the entries that are to be inspected yet.
    uninspected: Range<u64>,
}

struct Node {
    fingerprint: Fingerprint,
    entry: Rc<Entry>,
    /// Whether it was used since it was last at the front, or came.
    used: Cell<bool>,
    /// How often it was used since that was told.
    untold: Cell<u8>,
}

/// How many entries are looked at in a tick for uses to tell of, and at a time for what is purged. Beyond it the next look
/// goes on.
const LOOKS_MAX: usize = 1024;
/// So many gaps in the queue are no trouble. Beyond it they are closed.
const GAPS_MAX: usize = 1024;

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
        let node = self.node(*self.places.get(&fingerprint)?)?;
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
        for _ in 0..self.queue.len().min(LOOKS_MAX) {
            if uses.len() == count_max {
                break;
            }
            let end = self.first + self.queue.len() as u64;
            self.teller = if (self.first..end).contains(&self.teller) { self.teller } else { self.first };
            if let Some(node) = self.node(self.teller).filter(|node| node.untold.get() > 0) {
                uses.push((node.fingerprint, node.untold.take()));
            }
            self.teller += 1;
        }
        uses
    }

    /// Has all that is there inspected ([`WorkerMemory::inspected`]).
    pub fn inspect_all(&mut self) {
        self.uninspected = self.first..self.first + self.queue.len() as u64;
    }

    /// The next entries that are to be inspected; empty when all have been.
    pub fn inspected(&mut self, count_max: usize) -> Vec<(Fingerprint, Rc<Entry>)> {
        let start = self.uninspected.start.max(self.first);
        let end = self.uninspected.end.min(start.saturating_add(LOOKS_MAX as u64));
        let mut entries = Vec::new();
        let mut next = start;
        while next < end && entries.len() < count_max {
            entries.extend(self.node(next).map(|node| (node.fingerprint, Rc::clone(&node.entry))));
            next += 1;
        }
        self.uninspected.start = next;
        entries
    }

    /// Whether some are to be inspected yet.
    #[must_use]
    pub fn is_inspected(&self) -> bool {
        self.uninspected.start.max(self.first) >= self.uninspected.end
    }

    /// Keeps an entry in place of one that is there. What is asked for once needs no copy here: it comes with the
    /// second request.
    pub fn update(&mut self, fingerprint: Fingerprint, entry: &Rc<Entry>) {
        if self.places.contains_key(&fingerprint) {
            self.insert(fingerprint, entry);
        }
    }

    /// Keeps an entry, unless a newer one is there or it is larger than an eighth of the budget.
    pub fn insert(&mut self, fingerprint: Fingerprint, entry: &Rc<Entry>) {
        if let Some(node) = self.places.get(&fingerprint).and_then(|number| self.node(*number)) {
            if Rc::ptr_eq(&node.entry, entry) || node.entry.record.order() > entry.record.order() {
                return;
            }
            self.remove(fingerprint);
        }
        let bytes = entry.bytes();
        if bytes > self.bytes_max / 8 {
            return;
        }
        self.make_room(bytes);
        self.bytes += bytes;
        let entry = Rc::clone(entry);
        self.push(Node { fingerprint, entry, used: Cell::new(false), untold: Cell::new(0) });
    }

    /// Forgets an entry.
    pub fn remove(&mut self, fingerprint: Fingerprint) {
        let node = self.places.remove(&fingerprint).and_then(|number| {
            let at = self.position(number)?;
            self.queue.get_mut(at)?.take()
        });
        if let Some(node) = node {
            self.bytes -= node.entry.bytes();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = WorkerMemory::new(self.bytes_max);
    }

    /// Makes room at the front; twice through the queue is enough to empty it.
    fn make_room(&mut self, bytes: u64) {
        for _ in 0..2 * self.queue.len() {
            if self.bytes + bytes <= self.bytes_max {
                return;
            }
            let front = self.queue.pop_front();
            self.first += 1;
            match front.flatten() {
                Some(node) if node.used.replace(false) => self.push(node),
                Some(node) => {
                    self.places.remove(&node.fingerprint);
                    self.bytes -= node.entry.bytes();
                }
                None => {}
            }
        }
    }

    /// Puts an entry at the back.
    fn push(&mut self, node: Node) {
        if self.queue.len() > 2 * self.places.len() + GAPS_MAX {
            self.close_gaps();
        }
        self.places.insert(node.fingerprint, self.first + self.queue.len() as u64);
        self.queue.push_back(Some(node));
    }

    fn close_gaps(&mut self) {
        let without_gaps = |number: u64| {
            let before = self.position(number).unwrap_or(0).min(self.queue.len());
            self.first + self.queue.iter().take(before).flatten().count() as u64
        };
        self.uninspected = without_gaps(self.uninspected.start)..without_gaps(self.uninspected.end);
        self.queue.retain(Option::is_some);
        for (node, number) in self.queue.iter().flatten().zip(self.first..) {
            self.places.insert(node.fingerprint, number);
        }
    }

    fn node(&self, number: u64) -> Option<&Node> {
        self.queue.get(self.position(number)?)?.as_ref()
    }

    fn position(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Variants;
    use crate::time::Monotonic;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn key(n: u64) -> Vec<u8> {
        n.to_le_bytes().to_vec()
    }

    /// Every entry takes the same.
    fn entry(n: u64, stamp: u64) -> Rc<Entry> {
        let content =
            Content::Variants(Variants { nominated: Vec::new(), uri: Vec::new(), known: Vec::new() });
        Entry::new(Record { key: key(n), generation: stamp, stamp, asked: Monotonic(0), content })
    }

    fn memory(entries: u64) -> WorkerMemory {
        WorkerMemory::new(entries * entry(0, 0).bytes())
    }

    fn keep(memory: &mut WorkerMemory, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|n| memory.insert(Fingerprint(n), &entry(n, 1)));
    }

    fn kept(memory: &WorkerMemory, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        numbers.into_iter().filter(|n| memory.holds(Fingerprint(*n))).collect()
    }

    #[test]
    fn what_came_first_leaves_first_unless_it_was_used() {
        let mut memory = memory(10);
        keep(&mut memory, 0..10);
        for n in [1, 3] {
            assert!(memory.get(Fingerprint(n), &key(n)).is_some());
        }
        keep(&mut memory, 10..14);
        assert_eq!(kept(&memory, 0..14), [1, 3, 6, 7, 8, 9, 10, 11, 12, 13]);
        keep(&mut memory, 14..24);
        assert_eq!(kept(&memory, 0..24), (14..24).collect::<Vec<_>>(), "a use counts once");
        assert_eq!(memory.bytes(), 10 * entry(0, 0).bytes());
    }

    #[test]
    fn nothing_is_found_under_anothers_key_or_after_it_was_removed() {
        let mut memory = memory(10);
        keep(&mut memory, 0..3);
        assert!(memory.get(Fingerprint(1), &key(2)).is_none());
        memory.remove(Fingerprint(1));
        memory.remove(Fingerprint(1));
        assert_eq!(kept(&memory, 0..3), [0, 2]);
        assert_eq!(memory.bytes(), 2 * entry(0, 0).bytes());
    }

    #[test]
    fn the_newest_stamp_stays() {
        let mut memory = memory(10);
        let stamp =
            |memory: &WorkerMemory| memory.get(Fingerprint(7), &key(7)).map(|found| found.record.stamp);
        memory.update(Fingerprint(7), &entry(7, 5));
        assert_eq!(stamp(&memory), None, "what is not there is not updated");
        for (offered, left) in [(5, 5), (4, 5), (6, 6)] {
            memory.insert(Fingerprint(7), &entry(7, offered));
            assert_eq!(stamp(&memory), Some(left));
        }
    }

    #[test]
    fn gaps_are_closed_and_everything_is_found_afterwards() {
        let mut memory = memory(10);
        keep(&mut memory, 0..10);
        for stamp in 2..5000 {
            memory.insert(Fingerprint(4), &entry(4, stamp));
        }
        assert!(memory.queue.len() <= GAPS_MAX + 21, "{}", memory.queue.len());
        for n in 0..10 {
            assert!(memory.get(Fingerprint(n), &key(n)).is_some(), "{n}");
        }
    }

    #[test]
    fn what_several_keep_is_counted_once_and_as_long_as_any_does() {
        let in_flight = InFlight::new(2 * entry(1, 1).bytes());
        let [one, other, third] = [1, 2, 3].map(|n| entry(n, 1));
        let kept = [&one, &one, &one].map(|entry| entry.hold(&in_flight).unwrap());
        assert_eq!(in_flight.bytes(), one.bytes());
        let _other = other.hold(&in_flight).unwrap();
        assert!(third.hold(&in_flight).is_none());
        drop((one, kept));
        assert_eq!(in_flight.bytes(), other.bytes());
        assert!(third.hold(&in_flight).is_some());
    }

    #[test]
    fn uses_are_taken_once_and_in_turn() {
        let mut memory = memory(10);
        keep(&mut memory, 0..10);
        for n in [2, 2, 5, 8] {
            assert!(memory.get(Fingerprint(n), &key(n)).is_some());
        }
        assert_eq!(memory.take_uses(2), [(Fingerprint(2), 2), (Fingerprint(5), 1)]);
        assert!(memory.get(Fingerprint(2), &key(2)).is_some());
        assert_eq!(memory.take_uses(2), [(Fingerprint(8), 1), (Fingerprint(2), 1)]);
        assert_eq!(memory.take_uses(2), []);
    }
}
