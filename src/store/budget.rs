//! Room within the byte budget, and what the sets are told about uses in this worker's memory.
//!
//! Bytes are added to the sum before a record is written; whoever brings it over the budget evicts, from wherever records
//! are worth least. What a worker has added, the others hear of a little later: the host says how much that may be.

use core::ops::Range;

use super::flights::{self, FlightEnd};
use super::memory::WorkerMemory;
use super::record::{Record, Slot};
use super::set::{self, SetSnapshot, Way};
use super::writer::{Lease, Place, Writer};
use super::{Fingerprint, SharedData, StoreHost, eviction};
use crate::turn::Turn;

/// The most records that one landing evicts. Beyond it what needs more room than they took is not stored (`no-room`).
const EVICTIONS_MAX: u32 = 256;
/// The most records that a tick evicts where the budget has become smaller, and again where the number of sets has. Beyond
/// it the next tick goes on.
const EVICTIONS_PER_TICK: u32 = 64;
/// The sets that are looked at for each eviction.
const SETS_PER_EVICTION: u32 = 2;
/// The records that are known beforehand as the next to be evicted. Beyond it those that are worth most are not.
const VICTIMS_MAX: usize = 16;
/// The most sets that a tick tells about uses. Beyond it the next tick goes on.
const REPORTS_PER_TICK: usize = 32;

/// A record that was worth little when its set was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Victim {
    rank: i32,
    slot: Slot,
}

/// What became of a way that was to be emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emptied {
    /// It is empty.
    Done,
    /// Somebody changed the set meanwhile.
    Changed,
    /// All flights of the set are taken.
    NoFlight,
}

/// Where this worker looks for what to evict: set after set, and the worst of what it has seen.
#[derive(Default)]
pub(super) struct Victims {
    hand: u32,
    /// The number of sets that `beyond` is for.
    sets: u32,
    /// The sets that other configurations had and this one has not, until they are empty: what lies there is found no
    /// more, but takes its bytes.
    beyond: Range<u32>,
    known: Vec<Victim>,
}

impl Victims {
    /// The hand of each worker starts elsewhere.
    pub(super) fn starting_at(hand: u32) -> Victims {
        Victims { hand, ..Victims::default() }
    }
}

impl Writer {
    /// Takes bytes from the budget, if need be by evicting; whether they are there.
    pub(super) fn take(&mut self, turn: Turn<'_, impl StoreHost>, bytes: i64) -> bool {
        self.look_beyond(turn.host);
        let total = turn.host.add_bytes(bytes);
        let fits = bytes <= 0 || self.evict(turn, total, EVICTIONS_MAX);
        if !fits {
            turn.host.add_bytes(-bytes);
        }
        fits
    }

    /// Brings what is stored back within a configuration that has become smaller.
    pub fn shrink(&mut self, turn: Turn<'_, impl StoreHost>) {
        self.look_beyond(turn.host);
        self.empty_beyond(turn, EVICTIONS_PER_TICK);
        self.evict(turn, turn.host.bytes(), EVICTIONS_PER_TICK);
    }

    fn evict(&mut self, turn: Turn<'_, impl StoreHost>, mut total: u64, evictions_max: u32) -> bool {
        let budget = self.limits.bytes_max;
        for _ in 0..evictions_max {
            if total <= budget {
                return true;
            }
            self.empty_beyond(turn, SETS_PER_EVICTION);
            if turn.host.bytes() > budget {
                self.empty_worst(turn);
            }
            total = turn.host.bytes();
        }
        total <= budget
    }

    /// Goes on emptying what lies beyond the sets that there are now, by so many steps: each empties a way, or finds
    /// that a set has no more of them.
    fn empty_beyond(&mut self, turn: Turn<'_, impl StoreHost>, steps: u32) {
        for _ in 0..steps {
            if self.victims.beyond.is_empty() {
                return;
            }
            let set = SetSnapshot::read(turn.host, self.victims.beyond.start);
            if set.value.flights.iter().any(|flight| flight.is_live(turn.now.mono)) {
                return; // What is being fetched for this set still lands in it.
            }
            let victim = eviction::victim(&set.value, turn.now.mono, turn.now.wall);
            if !victim.is_some_and(|(way, _)| self.empty(turn, &set, way)) {
                self.victims.beyond.start += 1;
            }
        }
    }

    /// Finds out what lies beyond, where the number of sets is another than before or this worker is new. Before it
    /// stores anything, so that others find out in turn.
    fn look_beyond(&mut self, data: &impl SharedData) {
        let sets = self.sets();
        if self.victims.sets != sets
            && let Some(most) = set::most(data, sets)
        {
            self.victims.sets = sets;
            self.victims.beyond = sets..most;
        }
    }

    fn look_for_victims(&mut self, turn: Turn<'_, impl StoreHost>) {
        for _ in 0..SETS_PER_EVICTION {
            let set = SetSnapshot::read(turn.host, self.next_in_hand());
            let Some((way, rank)) = eviction::victim(&set.value, turn.now.mono, turn.now.wall) else {
                continue;
            };
            let victim = Victim { rank, slot: Slot { set: set.number, way } };
            if !self.victims.known.iter().any(|known| known.slot == victim.slot) {
                // The worst last, where it is taken from.
                let at = self.victims.known.partition_point(|known| known.rank >= victim.rank);
                self.victims.known.insert(at, victim);
            }
        }
        let excess = self.victims.known.len().saturating_sub(VICTIMS_MAX);
        self.victims.known.drain(..excess);
    }

    /// The next set that is looked at for what to evict.
    pub(super) fn next_in_hand(&mut self) -> u32 {
        self.victims.hand = self.victims.hand.wrapping_add(1) % self.sets();
        self.victims.hand
    }

    /// Empties the way that is known to be worth least, if it still is.
    fn empty_worst(&mut self, turn: Turn<'_, impl StoreHost>) {
        self.look_for_victims(turn);
        let Some(victim) = self.victims.known.pop() else { return };
        let set = SetSnapshot::read(turn.host, victim.slot.set);
        if let Some((way, rank)) = eviction::victim(&set.value, turn.now.mono, turn.now.wall)
            && rank <= victim.rank
        {
            self.empty(turn, &set, way);
        }
    }

    /// Empties a way to make room; whether it has, or somebody changed the set meanwhile.
    pub fn empty(&mut self, turn: Turn<'_, impl StoreHost>, set: &SetSnapshot, way: u8) -> bool {
        self.emptied(turn, set, way, |_| Way::default()) != Emptied::NoFlight
    }

    /// Empties a way under a flight of its own, like everything that writes a slot. `left` says what is left of it.
    pub fn emptied(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        set: &SetSnapshot,
        way: u8,
        left: impl Fn(&Way) -> Way,
    ) -> Emptied {
        // No key: a number that no other flight has.
        let new = self.new_flight(Fingerprint::default(), turn.now);
        let new = flights::NewFlight { fingerprint: Fingerprint(new.generation), ..new };
        let Some((value, flight)) = flights::led_in(&set.value, new, way, turn.now.mono) else {
            return Emptied::NoFlight;
        };
        if !set.replace(turn.host, &value) {
            return Emptied::Changed;
        }
        let place = Place { key: Vec::new(), fingerprint: new.fingerprint, set: set.number };
        let lease = Lease::of(place, flight, &set.value);
        let empty = Record::erase(turn.host, lease.slot, lease.before);
        let left = set.value.ways.get(usize::from(way)).map_or_else(Way::default, left);
        let record = Some(Way { bytes: empty.bytes, ..left });
        self.finish(turn.host, &lease, FlightEnd { record, ..FlightEnd::default() }, 0);
        Emptied::Done
    }

    /// Tells the sets of some records how often this worker has used its copies of them. A hit writes nothing; this is
    /// how eviction learns of it all the same.
    pub fn report_uses(&mut self, data: &impl StoreHost, memory: &mut WorkerMemory) {
        for (fingerprint, times) in memory.take_uses(REPORTS_PER_TICK) {
            let set = SetSnapshot::read(data, self.set_of(fingerprint));
            let used = set.value.way_of(fingerprint).and_then(|way| set.value.used(way, times));
            if let Some(value) = used {
                // Whoever was faster has more to say.
                let _ = set.replace(data, &value);
            }
        }
    }
}
