//! What is hard purged is gone for everybody at once; here its room is given back, bit by bit. After each hard purge a
//! hand goes once over this worker's own copies and over the sets. What it empties keeps its name in the set, so that
//! the next request still learns that something was purged there.

use core::time::Duration;

use super::Storage;
use super::journal_view::JournalView;
use crate::cache::host::Host;
use crate::invalidation::{Pace, Verdict, Work};
use crate::outcome::metrics::Counter;
use crate::store::budget::Emptied;
use crate::store::memory::{Entry, WorkerMemory};
use crate::store::record::{Content, Record, Slot};
use crate::store::set::{SetSnapshot, Way};
use crate::store::{Writer, eviction};
use crate::time::Monotonic;
use crate::turn::Turn;

/// The most sets that a tick looks at for what is hard purged. Beyond it the next tick goes on.
const SETS_PER_TICK: u32 = 256;
/// The most ways that a tick looks at for that. Beyond it the next tick goes on.
const WAYS_PER_TICK: u32 = 192;
/// How many bytes of records a tick may read for that. Beyond it the next tick goes on.
const BYTES_PER_TICK: u64 = 1 << 20;
/// The most of its own copies that a tick looks at for what is hard purged. Beyond it the next tick goes on.
const COPIES_PER_TICK: usize = 256;
/// How many of them at a time.
const COPIES_AT_ONCE: usize = 16;
/// When a round has met what it could not judge or empty, the next one begins so much later.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How far this worker has come with what was hard purged.
#[derive(Default)]
pub(super) struct Reclaiming {
    /// Everything up to this position of the journal has been looked for everywhere.
    done: u64,
    round: Option<Round>,
    /// The set that is next.
    hand: u32,
    /// When the next round may begin.
    rests_until: Monotonic,
    pace: Pace,
}

/// One round over everything.
struct Round {
    /// The journal's newest hard record when it began.
    newest: u64,
    /// How many sets there are, and how many are to come.
    sets: u32,
    left: u32,
    /// The way of the next set that is next.
    way: usize,
    /// Whether something was left as it is because it is being fetched.
    again: bool,
}

/// What may be done yet in one tick.
struct Budget {
    sets: u32,
    ways: u32,
    bytes: u64,
    work: Work,
}

impl Storage {
    /// What a tick may do to give back room; none while it rests. The journal has to be read for it.
    pub(in crate::cache) fn reclaiming_work(&mut self) -> Option<Work> {
        self.reclaiming.pace.tick()
    }

    /// Goes on with giving back the room of what is hard purged.
    pub(in crate::cache) fn reclaim(&mut self, turn: Turn<'_, impl Host>, work: Work) {
        let Storage { writer, journal, memory, .. } = self;
        self.reclaiming.go_on(turn, &mut Stored { writer, journal, memory }, work);
    }
}

/// What is looked at, and emptied.
struct Stored<'a> {
    writer: &'a mut Writer,
    journal: &'a JournalView,
    memory: &'a mut WorkerMemory,
}

impl Reclaiming {
    /// The hand of each worker starts elsewhere.
    pub(super) fn starting_at(hand: u32) -> Reclaiming {
        Reclaiming { hand, ..Reclaiming::default() }
    }

    /// The journal is another one: its positions begin anew.
    pub(super) fn begin_anew(&mut self) {
        (self.done, self.round) = (0, None);
    }

    fn go_on(&mut self, turn: Turn<'_, impl Host>, stored: &mut Stored<'_>, work: Work) {
        let newest = stored.journal.newest_hard();
        let sets = stored.writer.sets();
        let Some(mut round) = self.round.take().filter(|round| round.sets == sets).or_else(|| {
            let begins = newest > self.done && self.rests_until <= turn.now.mono;
            begins.then(|| {
                stored.memory.inspect_all();
                Round { newest, sets, left: sets, way: 0, again: false }
            })
        }) else {
            return;
        };
        let mut budget = Budget { sets: SETS_PER_TICK, ways: WAYS_PER_TICK, bytes: BYTES_PER_TICK, work };
        stored.reclaim_copies(&budget);
        while round.left > 0 && budget.is_some() {
            if stored.reclaim_set(turn, self.hand, &mut round, &mut budget) {
                self.hand = self.hand.wrapping_add(1) % sets;
                (round.left, round.way) = (round.left - 1, 0);
                budget.sets -= 1;
            }
        }
        self.pace.took(&budget.work);
        if round.left > 0 || !stored.memory.is_inspected() {
            self.round = Some(round);
        } else if round.again {
            self.rests_until = turn.now.mono.after(AGAIN_AFTER);
        } else {
            self.done = round.newest;
        }
    }
}

impl Stored<'_> {
    fn reclaim_copies(&mut self, budget: &Budget) {
        for _ in 0..COPIES_PER_TICK / COPIES_AT_ONCE {
            if budget.work.is_done() {
                break;
            }
            for (fingerprint, entry) in self.memory.inspected(COPIES_AT_ONCE) {
                if is_judged(&entry.record) && self.is_gone(&entry, budget) {
                    self.memory.remove(fingerprint);
                }
            }
        }
    }

    /// Looks at the rest of the next set; whether it came to its end.
    fn reclaim_set(
        &mut self,
        turn: Turn<'_, impl Host>,
        hand: u32,
        round: &mut Round,
        budget: &mut Budget,
    ) -> bool {
        let mut set = SetSnapshot::read(turn.host, hand % round.sets.max(1));
        while let Some(way) = set.value.ways.get(round.way) {
            if way.is_some() && !way.is_purged() {
                if !budget.is_some() {
                    return false;
                }
                budget.ways -= 1;
                let slot = Slot { set: set.number, way: round.way as u8 };
                if self.is_purged_at(turn.host, slot, way, budget) {
                    round.again |= !self.reclaim_way(turn, &set, round.way as u8);
                    // It is another set now.
                    set = SetSnapshot::read(turn.host, set.number);
                }
            }
            round.way += 1;
        }
        true
    }

    /// Whether the journal says that a record is gone: with as much work as whoever asks for it would do, so that nothing
    /// is emptied that would still be served.
    fn is_gone(&self, entry: &Entry, budget: &Budget) -> bool {
        let work = Work::of_a_verdict();
        let verdict = self.journal.verdict_within(entry, &work);
        budget.work.take_for(&work);
        verdict == Verdict::Hard
    }

    fn is_purged_at(&self, host: &impl Host, slot: Slot, way: &Way, budget: &mut Budget) -> bool {
        budget.bytes = budget.bytes.saturating_sub(way.bytes);
        let Some((record, _)) = Record::peek(host, slot) else { return false };
        is_judged(&record) && self.is_gone(&Entry::new(record), budget)
    }

    /// Empties a way whose record is hard purged, under a flight of its own, like everything that writes a slot; whether
    /// that was possible. The set is as it was before the record was read: nobody else has written there since.
    fn reclaim_way(&mut self, turn: Turn<'_, impl Host>, set: &SetSnapshot, way: u8) -> bool {
        if eviction::is_reserved(&set.value, way, turn.now.mono) {
            return false;
        }
        let emptied = self.writer.emptied(turn, set, way, Way::purged) == Emptied::Done;
        if emptied {
            turn.host.count(Counter::Reclaimed);
        }
        emptied
    }
}

impl Budget {
    fn is_some(&self) -> bool {
        self.sets > 0 && self.ways > 0 && self.bytes > 0 && !self.work.is_done()
    }
}

/// Whether it matters if a record was purged. What says where the responses of a path are looked for is of use all the same.
const fn is_judged(record: &Record) -> bool {
    !matches!(record.content, Content::Search(_))
}
