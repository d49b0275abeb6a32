//! The rules of a flight: who leads, who waits, which way it may write and what is left of it when it lands.
//!
//! Pure functions on a [`SetValue`]; whoever calls them writes the outcome by compare-and-set or tries again.
//!
//! ```text
//!            lead                      land: Stored
//!   free ───────────► Flying ─────────────────────────► free, way published
//!    ▲                │    │ land: NotStored, Failed
//!    │ abandon        │    └───────────────────────────► NotStored (remembered until …) ──► free
//!    └────────────────┤
//!                     │ lease runs out: whoever comes takes over, waiters and all
//!                     ▼
//!                   Flying (another owner, another generation)
//! ```

use crate::deviation::{Deviation, deviates};
use crate::outcome::NotStored;
use crate::store::Fingerprint;
use crate::store::set::{Flight, FlightState, SetValue, WAYS, Way};
use crate::time::{Monotonic, Timestamp};

/// What a request that found nothing to reuse may do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seat {
    /// Somebody fetches it already, and this worker is known to wait for it.
    Wait,
    /// Somebody fetches it already; this worker has to register first.
    Register,
    /// It was fetched just now and was of no use to others, for this reason.
    NotShared(NotStored),
    /// Nobody fetches it: lead.
    Lead,
    /// Nobody fetches it, but all flights or ways of the set are taken.
    Full,
}

/// A flight to be led.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewFlight {
    /// What is fetched.
    pub fingerprint: Fingerprint,
    /// Unique for ever.
    pub generation: u64,
    /// The worker that leads.
    pub owner: u8,
    /// When the lease runs out.
    pub until: Monotonic,
}

/// Where a request stands with the flights of a set.
///
/// `fetching` says whether a fetch of this generation runs on this worker `me`; `holds` whether why a fetch was of no
/// use to others says anything about this request's own.
pub fn seat(
    set: &SetValue,
    fingerprint: Fingerprint,
    me: Option<u8>,
    now: Monotonic,
    fetching: impl Fn(u64) -> bool,
    holds: impl Fn(NotStored) -> bool,
) -> Seat {
    match set.flight_of(fingerprint) {
        Some(flight) if flight.until > now => match flight.state {
            FlightState::NotStored(reason) if holds(reason) => Seat::NotShared(reason),
            FlightState::NotStored(_) => Seat::Lead,
            FlightState::Flying if fetching(flight.generation) => Seat::Wait,
            FlightState::Flying => match me {
                Some(me) if flight.waiters & bit(me) == 0 => Seat::Register,
                // Without a place in the registry a worker lives by its sweep.
                _ => Seat::Wait,
            },
        },
        Some(_) => Seat::Lead,
        None if set.flights.iter().any(|f| is_free(f, now)) => Seat::Lead,
        None => Seat::Full,
    }
}

/// The set with worker `me` among the waiters of the flight of `fingerprint`.
#[must_use]
pub fn registered(set: &SetValue, fingerprint: Fingerprint, me: u8) -> SetValue {
    let mut set = *set;
    if let Some(flight) = set.flights.iter_mut().find(|f| f.fingerprint == fingerprint) {
        flight.waiters |= bit(me);
    }
    set
}

/// The set with a new flight, which takes over the waiters of a flight of the same key that ran out.
///
/// None when there is no room: every flight is live, or every way is reserved.
#[must_use]
pub fn led(set: &SetValue, new: NewFlight, now: Monotonic, wall: Timestamp) -> Option<(SetValue, Flight)> {
    let before = set.flight_of(new.fingerprint);
    // A late landing of the flight that ran out must not meet ours.
    let avoid = before.filter(|f| f.state == FlightState::Flying).map(|f| f.way);
    let way = reserve(set, new.fingerprint, new.generation, avoid, now, wall)?;
    led_in(set, new, way, now)
}

/// The set with a new flight in this way, which the caller has chosen.
#[must_use]
pub fn led_in(set: &SetValue, new: NewFlight, way: u8, now: Monotonic) -> Option<(SetValue, Flight)> {
    let place = match set.flights.iter().position(|f| f.fingerprint == new.fingerprint) {
        Some(at) => at,
        None => set.flights.iter().position(|f| is_free(f, now))?,
    };
    let before = set.flights.get(place)?;
    let inherits = before.fingerprint == new.fingerprint && !deviates(Deviation::ForgetsWaiters);
    let waiters = if inherits { (before.waiters | bit(before.owner)) & !bit(new.owner) } else { 0 };
    let flight = Flight {
        fingerprint: new.fingerprint,
        generation: new.generation,
        way,
        owner: new.owner,
        waiters,
        until: new.until,
        state: FlightState::Flying,
    };
    let mut set = *set;
    *set.flights.get_mut(place)? = flight;
    Some((set, flight))
}

/// Whether the flight of `generation` is there and its way is still its own: when its lease ran out, another flight
/// may have reserved that.
#[must_use]
pub fn owns_way(set: &SetValue, generation: u64, now: Monotonic) -> bool {
    let is_taken = |own: &Flight| {
        set.flights.iter().any(|f| f.is_live(now) && f.way == own.way && f.generation != own.generation)
    };
    set.flight(generation).is_some_and(|own| !is_taken(own))
}

/// The set with a longer lease for the flight of `generation`; none when it has lost its way.
#[must_use]
pub fn renewed(set: &SetValue, generation: u64, until: Monotonic, now: Monotonic) -> Option<SetValue> {
    if !owns_way(set, generation, now) {
        return None;
    }
    let mut set = *set;
    set.flight_mut(generation)?.until = until;
    Some(set)
}

/// What a flight leaves behind. Nothing at all: whoever comes next leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Left {
    /// A record in its way, which is published now.
    pub record: Option<Way>,
    /// Why others should not wait for the next fetch either, and until when.
    pub not_shared: Option<(NotStored, Monotonic)>,
}

/// A set after a landing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Landed {
    /// The set.
    pub set: SetValue,
    /// The workers that waited, a bit each.
    pub waiters: u64,
    /// What lay in the way before.
    pub replaced: Way,
}

/// The set after the flight of `generation` has ended; none when it is not there any more.
#[must_use]
pub fn landed(set: &SetValue, generation: u64, left: Left) -> Option<Landed> {
    // What a landing left for others to remember is no flight any more, although it has its generation.
    let flight = *set.flight(generation).filter(|f| f.state == FlightState::Flying)?;
    let mut set = *set;
    let replaced = *set.ways.get(usize::from(flight.way))?;
    if let Some(record) = left.record {
        // The old record of the same key may lie in another way. Its bytes stay until somebody writes there.
        for way in set.ways.iter_mut().filter(|w| w.fingerprint == flight.fingerprint) {
            way.fingerprint = Fingerprint::default();
        }
        *set.ways.get_mut(usize::from(flight.way))? = record;
    }
    *set.flight_mut(generation)? = match left.not_shared {
        Some((reason, until)) => {
            Flight { waiters: 0, until, state: FlightState::NotStored(reason), ..flight }
        }
        None => Flight::default(),
    };
    Some(Landed { set, waiters: flight.waiters, replaced })
}

/// The way for a new flight: the key's own, an empty one, one that is not worth keeping, or a victim; never one
/// that a live flight has reserved.
fn reserve(
    set: &SetValue,
    fingerprint: Fingerprint,
    generation: u64,
    avoid: Option<u8>,
    now: Monotonic,
    wall: Timestamp,
) -> Option<u8> {
    let reserved = |way: usize| {
        set.flights
            .iter()
            .any(|f| f.is_live(now) && usize::from(f.way) == way && f.fingerprint != fingerprint)
    };
    let open = |way: &usize| !reserved(*way) && avoid != Some(*way as u8);
    let candidates = || (0..WAYS).filter(open);
    let at = |way: usize| set.ways.get(way).copied().unwrap_or_default();
    candidates()
        .find(|w| at(*w).fingerprint == fingerprint)
        .or_else(|| candidates().find(|w| at(*w).fingerprint == Fingerprint::default()))
        .or_else(|| candidates().find(|w| u64::from(at(*w).expires) <= wall.secs()))
        .or_else(|| candidates().nth(generation as usize % candidates().count().max(1)))
        // Better the old leader's way than none.
        .or_else(|| (0..WAYS).find(|w| !reserved(*w)))
        .map(|way| way as u8)
}

/// The way to empty when room is needed: what nobody can use any more first; never one that a live flight has
/// reserved.
#[must_use]
pub fn victim(set: &SetValue, random: u64, now: Monotonic, wall: Timestamp) -> Option<(u8, Way)> {
    let reserved = |way: usize| set.flights.iter().any(|f| f.is_live(now) && usize::from(f.way) == way);
    let ways = || set.ways.iter().enumerate().filter(|(n, w)| w.bytes > 0 && !reserved(*n));
    let useless = |w: &Way| !w.fingerprint.is_some() || u64::from(w.expires) <= wall.secs();
    ways()
        .find(|(_, w)| useless(w))
        .or_else(|| ways().nth((random % ways().count().max(1) as u64) as usize))
        .map(|(n, w)| (n as u8, *w))
}

fn is_free(flight: &Flight, now: Monotonic) -> bool {
    !flight.is_used() || flight.until <= now || flight.state != FlightState::Flying
}

fn bit(worker: u8) -> u64 {
    1u64.checked_shl(u32::from(worker)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const KEY: Fingerprint = Fingerprint(7);
    const GENERATION: u64 = 1;

    fn flying() -> SetValue {
        let until = Monotonic::default().after(Duration::from_secs(2));
        let new = NewFlight { fingerprint: KEY, generation: GENERATION, owner: 0, until };
        led(&SetValue::default(), new, Monotonic::default(), Timestamp::default()).unwrap().0
    }

    #[test]
    fn a_lease_that_ran_out_is_not_renewed_once_another_flight_has_its_way() {
        let late = Monotonic(10_000);
        let until = late.after(Duration::from_secs(2));
        let renewal = renewed(&flying(), GENERATION, until, late).unwrap();
        assert_eq!(renewal.flight(GENERATION).unwrap().until, until);
        let way = flying().flight(GENERATION).unwrap().way;
        let other = NewFlight { fingerprint: Fingerprint(8), generation: 2, owner: 1, until };
        let (taken, _) = led_in(&flying(), other, way, Monotonic::default()).unwrap();
        assert_eq!(renewed(&taken, GENERATION, until, late), None);
        assert!(!owns_way(&taken, GENERATION, late) && owns_way(&taken, 2, late));
    }

    #[test]
    fn a_flight_lands_once_and_what_it_left_to_remember_stays() {
        let until = Monotonic::default().after(Duration::from_secs(1));
        let left = Left { record: None, not_shared: Some((NotStored::NoFreshness, until)) };
        let landing = landed(&flying(), GENERATION, left).unwrap().set;
        assert_eq!(landed(&landing, GENERATION, Left::default()), None);
        assert_eq!(
            seat(&landing, KEY, Some(0), Monotonic::default(), |_| false, |_| true),
            Seat::NotShared(NotStored::NoFreshness)
        );
        assert_eq!(seat(&landing, KEY, Some(0), Monotonic::default(), |_| false, |_| false), Seat::Lead);
    }
}
