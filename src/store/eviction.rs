//! Which record has to go: which way of a set a new flight takes, and which is emptied where room is needed.
//!
//! Pure functions on a [`SetValue`]. A record is worth what its uses and its age say; one that nobody can use any more is
//! worth nothing. A way that a live flight has reserved is never taken: its owner alone may write there.

use core::cmp::Reverse;

use super::Fingerprint;
use super::cost::EMPTY_BYTES;
use super::set::{Flight, LARGE_WAYS, SetValue, WAYS, Way};
use crate::time::{Monotonic, Timestamp};

/// Evicts a record from a set for another, or for none.
pub(super) fn evict(set: &mut SetValue, evicted: &Way, newcomer: &Way) {
    if newcomer.is_some() && !newcomer.is_purged() {
        set.ways.iter_mut().for_each(|way| way.age = way.age.saturating_add(1));
    }
    if !evicted.is_some() || evicted.fingerprint == newcomer.fingerprint {
        return;
    }
    set.remember(evicted);
    if evicted.is_purged() {
        return; // It had no room that anything else had wanted.
    }
    // Where the least useful record had its uses, the uses of the others are old as well.
    let rest = set.ways.iter().filter(|way| way.is_some() && way.fingerprint != evicted.fingerprint);
    let least = rest.map(|way| way.uses).min().map_or(0, |least| least.min(evicted.uses));
    set.ways.iter_mut().for_each(|way| way.uses -= way.uses.min(least));
}

/// The way for a new flight: the key's own, an empty one, or that of a victim; never one that a live flight has
/// reserved.
pub(super) fn reserve(
    set: &SetValue,
    fingerprint: Fingerprint,
    avoid: Option<u8>,
    now: Monotonic,
    wall: Timestamp,
) -> Option<u8> {
    let all = ways_of(set, |flight| flight.is_live(now) && flight.fingerprint != fingerprint);
    let reserved = |way: u8| all & 1 << way != 0;
    let open = || (0u8..).zip(&set.ways).filter(|(n, _)| !reserved(*n) && avoid != Some(*n));
    let is_own = |way: &Way| way.fingerprint == fingerprint;
    let is_large = |way: u8| usize::from(way) < LARGE_WAYS;
    // Who takes over what needed a large way needs one as well, and would not know later which was the old leader's.
    let likewise = || {
        let large = open().filter(|(n, _)| avoid.is_some_and(is_large) && is_large(*n));
        large.min_by_key(|(_, way)| (!is_own(way), way.is_some(), worth(way, wall)))
    };
    likewise()
        .or_else(|| open().find(|(_, way)| is_own(way)))
        // What was written before and is empty has its key in shared data already.
        .or_else(|| open().filter(|(_, way)| !way.is_some()).max_by_key(|(_, way)| way.bytes))
        .or_else(|| open().min_by_key(|(_, way)| worth(way, wall)))
        .map(|(n, _)| n)
        // Better the old leader's way than none.
        .or_else(|| (0..WAYS as u8).find(|n| !reserved(*n)))
}

/// The way to empty when room is needed, and its rank; never one that a live flight has reserved.
#[must_use]
pub fn victim(set: &SetValue, now: Monotonic, wall: Timestamp) -> Option<(u8, i32)> {
    victim_among(set, |_| true, now, wall)
}

/// Whether a live flight has reserved this way: it alone may write there.
#[must_use]
pub fn is_reserved(set: &SetValue, way: u8, now: Monotonic) -> bool {
    ways_of(set, |flight| flight.is_live(now)) & 1u32.checked_shl(way.into()).unwrap_or(0) != 0
}

/// [`victim`] among some ways.
#[must_use]
pub fn victim_among(
    set: &SetValue,
    is_one: impl Fn(&Way) -> bool,
    now: Monotonic,
    wall: Timestamp,
) -> Option<(u8, i32)> {
    let all = ways_of(set, |flight| flight.is_live(now));
    let reserved = |way: u8| all & 1 << way != 0;
    let is_open = |n: u8, way: &Way| way.bytes > EMPTY_BYTES && is_one(way) && !reserved(n);
    let ways = (0u8..).zip(&set.ways).filter(|(n, way)| is_open(*n, way));
    ways.map(|(n, way)| (worth(way, wall), n)).min().map(|((rank, _), n)| (n, rank))
}

/// The ways of some flights, a bit each.
fn ways_of(set: &SetValue, is_one: impl Fn(&Flight) -> bool) -> u32 {
    let flights = set.flights.iter().filter(|flight| is_one(flight));
    flights.fold(0, |ways, flight| ways | 1u32.checked_shl(flight.way.into()).unwrap_or(0))
}

/// By what ways are compared: what nobody can use any more comes first, then what is worth least, the oldest first.
pub(super) fn worth(way: &Way, wall: Timestamp) -> (i32, Reverse<u8>) {
    let is_useless = !way.is_some() || u64::from(way.expires) <= wall.secs();
    (if is_useless { i32::MIN } else { way.rank() }, Reverse(way.age))
}
