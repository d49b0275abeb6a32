//! The rules of a flight: who leads, who waits, which way it may write and what is left of it when it lands (protocol
//! §1.5 and §1.6).
//!
//! Pure functions on a [`SetValue`]; whoever calls them writes the outcome by compare-and-set or tries again.
//!
//! ```text
//!            lead                      land: Stored
//!   free ───────────► Flying ─────────────────────────► free, way published
//!    ▲                │    │ land: NotStored, Failed
//!    │ abandon        │    └───────────────────────────► NotStored (remembered until …) ──► free
//!    └────────────────┤                                      │ a response that went beside it can be stored
//!                     │ lease runs out: whoever comes        ▼
//!                     ▼ takes over, waiters and all       Flying (for as long as it takes to write)
//!                   Flying (another owner, another generation)
//! ```
//!
//! Hit-for-miss: while a set remembers that the response to a key was not stored, requests for it do not wait. Each goes to
//! the origin, and the first response that can be stored after all is, under a flight that it takes then. So hit-for-miss
//! is short where one client's request may have been the reason, and lasts twice as long each time in a row.
//!
//! A flight that begins soon after hit-for-miss has run out knows why it was: one request finds out whether that has
//! changed, and the others need not wait.

use core::time::Duration;

use super::Fingerprint;
use super::eviction::{evict, reserve, worth};
use super::set::{Flight, FlightState, KeyRoute, LARGE_WAYS, SetValue, Way};
use crate::outcome::NotStored;
use crate::time::{Monotonic, Timestamp};

/// What a request that found nothing to reuse may do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// Somebody fetches it already, and this worker is known to wait for it.
    Wait,
    /// Somebody fetches it already; this worker has to register first.
    Register,
    /// Its last response was not stored, for this reason; or it is fetched again, which will show whether that has
    /// changed.
    HitForMiss(NotStored),
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
/// `fetching` says whether a fetch of this generation runs on this worker `me`; `holds` whether the reason why a response
/// was not stored applies to this request's as well.
pub fn acquire(
    set: &SetValue,
    fingerprint: Fingerprint,
    me: Option<u8>,
    now: Monotonic,
    fetching: impl Fn(u64) -> bool,
    holds: impl Fn(NotStored) -> bool,
) -> Acquired {
    match set.flight_of(fingerprint) {
        Some(flight) if remembered_until(flight) > now => match flight.state {
            FlightState::NotStored(reason) if holds(reason) => Acquired::HitForMiss(reason),
            FlightState::NotStored(_) => Acquired::Lead,
            FlightState::Flying if let Some(reason) = flight.unshared.filter(|reason| holds(*reason)) => {
                Acquired::HitForMiss(reason)
            }
            // Who waits for this worker's own fetch is woken by it directly, and needs no bit: waiting costs no write then.
            FlightState::Flying if fetching(flight.generation) => Acquired::Wait,
            FlightState::Flying => match me {
                // Woken is who stands in the value that the end of the flight replaces. A worker that was woken once has been taken
                // out of it, and has to register for the next flight again (I3, M02, M14).
                Some(me) if flight.waiters & bit(me) == 0 => Acquired::Register,
                // Without a place in the registry a worker lives by its sweep.
                _ => Acquired::Wait,
            },
        },
        Some(_) => Acquired::Lead,
        None if set.flights.iter().any(|f| is_free(f, now)) => Acquired::Lead,
        None => Acquired::Full,
    }
}

/// How long after hit-for-miss has run out it is still thought likely that nothing has changed.
const BELIEVED_FOR: Duration = Duration::from_secs(20);
/// How long hit-for-miss lasts at first.
const HIT_FOR_MISS_FOR: Duration = Duration::from_millis(500);
/// The longest hit-for-miss after several responses in a row that were not stored. Beyond it the time does not double any
/// more.
pub const HIT_FOR_MISS_MAX: Duration = Duration::from_secs(10);
/// How long a key backs off after its first failed fetch.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// The longest backoff after failures in a row. Beyond it the time does not double any more.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Until when hit-for-miss lasts that begins now, for the first time.
#[must_use]
pub fn hit_for_miss_until(now: Monotonic) -> Monotonic {
    now.after(HIT_FOR_MISS_FOR)
}

/// Until when hit-for-miss lasts, or a lease. A key whose responses were not stored several times in a row is more likely
/// to be uncacheable: then fewer requests have to find out.
fn remembered_until(flight: &Flight) -> Monotonic {
    let of = |times: u8| {
        HIT_FOR_MISS_FOR.saturating_mul(1 << times.saturating_sub(1).min(10)).min(HIT_FOR_MISS_MAX)
    };
    match flight.state {
        FlightState::NotStored(reason) if is_lasting(reason) => {
            flight.until.after(of(flight.in_vain).saturating_sub(of(1)))
        }
        FlightState::NotStored(_) | FlightState::Flying => flight.until,
    }
}

/// How many fetches have failed in a row, as far as that is remembered.
#[must_use]
pub fn failures(flight: &Flight) -> u8 {
    let others = match flight.state {
        FlightState::NotStored(reason) => !reason.is_failure(),
        FlightState::Flying => flight.unshared.is_some(),
    };
    if others { 0 } else { flight.in_vain }
}

/// Until when a key backs off whose fetch has failed for the first time.
#[must_use]
pub fn failed_until(fingerprint: Fingerprint, generation: u64, now: Monotonic) -> Monotonic {
    now.after(backoff(fingerprint, generation, 1))
}

/// Whether a key backs off: its fetches have failed so lately that the origin is left alone as long as something stored can
/// be served, longer after each failure in a row.
#[must_use]
pub fn backs_off(set: &SetValue, fingerprint: Fingerprint, now: Monotonic) -> bool {
    set.flight_of(fingerprint).is_some_and(|flight| now < backoff_until(flight))
}

/// Until when a key backs off; in the past where no fetch has failed.
#[must_use]
pub fn backoff_until(flight: &Flight) -> Monotonic {
    let of = |failures| backoff(flight.fingerprint, flight.generation, failures);
    match flight.state {
        FlightState::NotStored(reason) if reason.is_failure() => {
            flight.until.after(of(flight.in_vain).saturating_sub(of(1)))
        }
        FlightState::NotStored(_) | FlightState::Flying => Monotonic::default(),
    }
}

/// How long a key backs off after so many failures in a row: twice as long each time, less up to half of it, so that keys
/// that failed together are not tried again together.
fn backoff(fingerprint: Fingerprint, generation: u64, failures: u8) -> Duration {
    let whole = FAILED_FOR.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    let luck = mixed(fingerprint.0 ^ mixed(generation)) % 1024;
    whole / 2 + whole / 2048 * luck as u32
}

/// A number's bits, well mixed: the same for the same number (the finaliser of SplitMix64).
#[must_use]
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
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
    let way = reserve(set, new.fingerprint, avoid, now, wall)?;
    led_in(set, new, way, now)
}

/// The set with a new flight in this way, which the caller has chosen.
#[must_use]
pub fn led_in(set: &SetValue, new: NewFlight, way: u8, now: Monotonic) -> Option<(SetValue, Flight)> {
    let place = match set.flights.iter().position(|f| f.fingerprint == new.fingerprint) {
        Some(at) => at,
        None => free_place(set, now)?,
    };
    let before = set.flights.get(place)?;
    let inherits = before.fingerprint == new.fingerprint;
    // Whoever waited for the flight that ran out waits for this one now, and nobody else would wake them (I3, M04). Its owner
    // is among them: its own fetch ends without effect, and its clients wait still.
    let waiters = if inherits { (before.waiters | bit(before.owner)) & !bit(new.owner) } else { 0 };
    let unshared = if inherits { unshared_lately(before, now) } else { None };
    let is_remembered = inherits && (unshared.is_some() || failures(before) > 0);
    let flight = Flight {
        fingerprint: new.fingerprint,
        generation: new.generation,
        way,
        owner: new.owner,
        waiters,
        until: new.until,
        state: FlightState::Flying,
        in_vain: if is_remembered { before.in_vain } else { 0 },
        unshared,
    };
    let mut set = *set;
    *set.flights.get_mut(place)? = flight;
    Some((set, flight))
}

/// The place for a flight of another key: an unused one; else the memory that runs out first; else a flight whose lease
/// has run out, for which somebody may wait yet.
fn free_place(set: &SetValue, now: Monotonic) -> Option<usize> {
    let free = set.flights.iter().enumerate().filter(|(_, flight)| is_free(flight, now));
    let first = free.min_by_key(|(_, f)| (f.is_used(), f.state == FlightState::Flying, remembered_until(f)));
    first.map(|(place, _)| place)
}

/// Whether a response that was not stored for this reason makes it likely that the next is not either. A failure does not,
/// whoever has caused it.
const fn is_lasting(reason: NotStored) -> bool {
    !reason.is_failure() && !matches!(reason, NotStored::Provoked)
}

/// Why nobody should wait for the fetch that comes after this one; nothing where it failed, as the origin is spared
/// then.
fn unshared_lately(before: &Flight, now: Monotonic) -> Option<NotStored> {
    match before.state {
        FlightState::NotStored(reason) if now < remembered_until(before).after(BELIEVED_FOR) => {
            Some(reason).filter(|reason| is_lasting(*reason))
        }
        FlightState::NotStored(_) => None,
        FlightState::Flying => before.unshared,
    }
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
    // Where another flight has reserved the way since, a longer lease would let two owners write into it (I4).
    if !owns_way(set, generation, now) {
        return None;
    }
    let mut set = *set;
    set.flight_mut(generation)?.until = until;
    Some(set)
}

/// How a flight ends: what it leaves in its set. If nothing at all, whoever comes next leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlightEnd {
    /// A record in its way, which is published now.
    pub record: Option<Way>,
    /// Why others should not wait for the next fetch either, and until when.
    pub hit_for_miss: Option<(NotStored, Monotonic)>,
    /// Whether whoever comes next may find out at once whether that has changed.
    pub again: bool,
    /// Whether the set remembers that the key was asked for, although nothing was stored.
    pub counted: bool,
    /// Until when clients fetch the key with their own requests, because the root's was refused.
    pub inline_until: Option<Monotonic>,
    /// Whether they need not do so any longer: they are refused as well.
    pub all_refused: bool,
}

/// A set after a landing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The set.
    pub set: SetValue,
    /// The workers that waited, a bit each.
    pub waiters: u64,
    /// What lay in the way before.
    pub replaced: Way,
}

/// The set after the flight of `generation` has ended; none when it is not there any more.
#[must_use]
pub fn ended(set: &SetValue, generation: u64, end: FlightEnd) -> Option<Ended> {
    // What a landing left for others to remember is no flight any more, although it has its generation.
    let flight = *set.flight(generation).filter(|f| f.state == FlightState::Flying)?;
    let mut set = *set;
    let replaced = *set.ways.get(usize::from(flight.way))?;
    if let Some(record) = end.record {
        evict(&mut set, &replaced, &record);
        let uses = match record {
            _ if record.is_purged() => record.uses,
            _ if record.is_some() => set.uses_of(record.fingerprint),
            _ => 0,
        };
        let route = match set.route_of(record.fingerprint) {
            KeyRoute::Inline { .. } if end.all_refused => KeyRoute::Unknown,
            known => known,
        };
        set.forget(record.fingerprint);
        // The old record of the same key may lie in another way. Its bytes stay until somebody writes there.
        for way in set.ways.iter_mut().filter(|w| w.fingerprint == flight.fingerprint) {
            way.fingerprint = Fingerprint::default();
        }
        *set.ways.get_mut(usize::from(flight.way))? = Way { uses, route: route.into(), ..record };
    } else if end.counted {
        let uses = set.uses_of(flight.fingerprint);
        set.remember(&Way { fingerprint: flight.fingerprint, uses, ..Way::default() });
    }
    if let Some(until) = end.inline_until {
        let own = set.ways.iter_mut().filter(|way| way.fingerprint == flight.fingerprint);
        own.for_each(|way| way.route = KeyRoute::Inline { until }.into());
    }
    *set.flight_mut(generation)? = match end.hit_for_miss {
        Some((reason, until)) => {
            let state = FlightState::NotStored(reason);
            let is_alike = reason.is_failure() == flight.unshared.is_none();
            let before = if is_alike { flight.in_vain } else { 0 };
            let is_in_vain = end.record.is_none_or(|record| !record.is_some()) && !end.again;
            let in_vain = if is_in_vain { before.saturating_add(1) } else { 0 };
            Flight { waiters: 0, until, state, in_vain, unshared: None, ..flight }
        }
        None => Flight::default(),
    };
    Some(Ended { set, waiters: flight.waiters, replaced })
}

/// The set with a large-body way for the flight of `generation` instead of the one that it has reserved, and that way;
/// none when all such ways are reserved, or the flight has lost its own.
#[must_use]
pub fn enlarged(set: &SetValue, generation: u64, now: Monotonic, wall: Timestamp) -> Option<(SetValue, u8)> {
    let flight = *set.flight(generation).filter(|_| owns_way(set, generation, now))?;
    let is_others =
        |way: u8| set.flights.iter().any(|f| f.is_live(now) && f.way == way && f.generation != generation);
    let open = (0u8..).zip(&set.ways).take(LARGE_WAYS).filter(|(n, _)| !is_others(*n));
    let is_own = |way: &Way| way.fingerprint == flight.fingerprint;
    let (way, _) = open.min_by_key(|(_, way)| (!is_own(way), way.is_some(), worth(way, wall)))?;
    let mut set = *set;
    set.flight_mut(generation)?.way = way;
    Some((set, way))
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
        let end = FlightEnd { hit_for_miss: Some((NotStored::NoFreshness, until)), ..FlightEnd::default() };
        let landing = ended(&flying(), GENERATION, end).unwrap().set;
        assert_eq!(ended(&landing, GENERATION, FlightEnd::default()), None);
        assert_eq!(
            acquire(&landing, KEY, Some(0), Monotonic::default(), |_| false, |_| true),
            Acquired::HitForMiss(NotStored::NoFreshness)
        );
        assert_eq!(
            acquire(&landing, KEY, Some(0), Monotonic::default(), |_| false, |_| false),
            Acquired::Lead
        );
    }

    #[test]
    fn a_flight_takes_no_place_of_another_key_while_one_is_unused() {
        let now = Monotonic::default();
        let lead = |set: &SetValue, key: u64, now: Monotonic| {
            let until = now.after(Duration::from_secs(2));
            let new = NewFlight { fingerprint: Fingerprint(key), generation: key, owner: 1, until };
            led(set, new, now, Timestamp::default()).unwrap().0
        };
        let end =
            FlightEnd { hit_for_miss: Some((NotStored::NoStore, Monotonic(900))), ..FlightEnd::default() };
        let remembered = ended(&flying(), GENERATION, end).unwrap().set;
        let waited_for = registered(&flying(), KEY, 3);
        let late = Monotonic(10_000);
        for (set, now) in [(remembered, now), (waited_for, late)] {
            let mut crowded = set;
            for key in 100..107 {
                crowded = lead(&crowded, key, now);
                assert_eq!(crowded.flight_of(KEY), set.flight_of(KEY), "{key}");
            }
            assert_eq!(lead(&crowded, 107, now).flight_of(KEY), None, "there is no other place");
        }
        // A memory before a flight for which somebody may wait.
        let mut both = lead(&remembered, 8, now);
        for key in 100..106 {
            both = lead(&both, key, late);
        }
        let both = lead(&both, 106, late);
        assert!(both.flight_of(KEY).is_none() && both.flight_of(Fingerprint(8)).is_some());
    }

    #[test]
    fn who_takes_over_a_large_body_writes_into_the_other_large_way() {
        let (now, wall, late) = (Monotonic::default(), Timestamp::default(), Monotonic(10_000));
        let until = late.after(Duration::from_secs(2));
        for large in 0..LARGE_WAYS as u8 {
            let old =
                NewFlight { fingerprint: KEY, generation: GENERATION, owner: 0, until: Monotonic(2_000) };
            let (mut set, _) = led_in(&SetValue::default(), old, large, now).unwrap();
            // What is published of it lies in a small way, and all others have something.
            for (n, way) in (100..).zip(&mut set.ways) {
                *way = Way {
                    fingerprint: Fingerprint(n),
                    bytes: 9,
                    expires: u32::MAX,
                    uses: 7,
                    ..Way::default()
                };
            }
            set.ways[9].fingerprint = KEY;
            let new = NewFlight { fingerprint: KEY, generation: 2, owner: 1, until };
            assert_eq!(led(&set, new, late, wall).unwrap().1.way, 1 - large);
            // Where that is another's, any will do.
            let other = NewFlight { fingerprint: Fingerprint(8), generation: 3, owner: 1, until };
            let (busy, _) = led_in(&set, other, 1 - large, late).unwrap();
            assert_eq!(led(&busy, new, late, wall).unwrap().1.way, 9);
        }
    }

    #[test]
    fn what_was_of_no_use_lately_is_not_waited_for_and_what_failed_is() {
        let next = |reason, now| {
            let end = FlightEnd { hit_for_miss: Some((reason, Monotonic(100))), ..FlightEnd::default() };
            let landing = ended(&flying(), GENERATION, end).unwrap().set;
            let until = Monotonic(200_000);
            let new = NewFlight { fingerprint: KEY, generation: 2, owner: 0, until };
            let set = led(&landing, new, now, Timestamp::default()).unwrap().0;
            acquire(&set, KEY, Some(1), now, |_| false, |reason| reason != NotStored::Cookie)
        };
        let at = |secs| Monotonic(100).after(Duration::from_secs(secs));
        assert_eq!(next(NotStored::NoStore, at(19)), Acquired::HitForMiss(NotStored::NoStore));
        assert_eq!(next(NotStored::Cookie, at(19)), Acquired::Register, "that was the other's own");
        assert_eq!(next(NotStored::NoStore, at(20)), Acquired::Register, "that is long ago");
        assert_eq!(next(NotStored::Error, at(19)), Acquired::Register);
    }

    /// The flight of the key lands at this time with nothing for others, and another one follows when it may.
    fn lands_in_vain(set: &SetValue, reason: NotStored, again: bool, now: Monotonic) -> (SetValue, Duration) {
        let flight = set.flight_of(KEY).unwrap();
        let until = match again {
            true => now,
            false if reason.is_failure() => failed_until(KEY, flight.generation, now),
            false => hit_for_miss_until(now),
        };
        let end = FlightEnd { hit_for_miss: Some((reason, until)), again, ..FlightEnd::default() };
        let set = ended(set, flight.generation, end).unwrap().set;
        let end = remembered_until(set.flight_of(KEY).unwrap());
        let lease = end.after(Duration::from_secs(2));
        let new = NewFlight { fingerprint: KEY, generation: flight.generation + 1, owner: 0, until: lease };
        (led(&set, new, end, Timestamp::default()).unwrap().0, end.since(now))
    }

    #[test]
    fn what_is_of_no_use_again_and_again_is_remembered_for_longer() {
        let (mut set, mut now, mut lasted) = (flying(), Monotonic(7), Vec::new());
        for _ in 0..7 {
            let (next, for_so_long) = lands_in_vain(&set, NotStored::Private, false, now);
            (set, now) = (next, now.after(for_so_long));
            lasted.push(for_so_long.as_millis());
        }
        assert_eq!(lasted, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        let (next, for_so_long) = lands_in_vain(&set, NotStored::Private, true, now);
        assert_eq!(for_so_long, Duration::ZERO, "whoever comes next may try at once");
        assert_eq!(lands_in_vain(&next, NotStored::Private, false, now).1, HIT_FOR_MISS_FOR);
        let stored =
            ended(&set, 8, FlightEnd { record: Some(Way::default()), ..FlightEnd::default() }).unwrap().set;
        assert_eq!(stored.flight_of(KEY), None, "what is stored ends it");
    }

    #[test]
    fn failures_in_a_row_are_counted_apart_from_what_was_of_no_use() {
        let (set, _) = lands_in_vain(&flying(), NotStored::Private, false, Monotonic(7));
        let (set, _) = lands_in_vain(&set, NotStored::Private, false, Monotonic(7));
        assert_eq!(failures(set.flight_of(KEY).unwrap()), 0);
        let (set, _) = lands_in_vain(&set, NotStored::Error, false, Monotonic(7));
        let (set, _) = lands_in_vain(&set, NotStored::Error, false, Monotonic(7));
        assert_eq!(failures(set.flight_of(KEY).unwrap()), 2);
        let (set, for_so_long) = lands_in_vain(&set, NotStored::Private, false, Monotonic(7));
        assert_eq!((failures(set.flight_of(KEY).unwrap()), for_so_long), (0, HIT_FOR_MISS_FOR));
    }

    #[test]
    fn a_key_rests_longer_after_each_failure_and_no_longer_than_a_limit() {
        let (mut set, mut now, mut rested) = (flying(), Monotonic(0), Duration::ZERO);
        for generation in 1..12 {
            let until = failed_until(KEY, generation, now);
            let end = FlightEnd { hit_for_miss: Some((NotStored::Error, until)), ..FlightEnd::default() };
            set = ended(&set, generation, end).unwrap().set;
            let end = backoff_until(set.flight_of(KEY).unwrap());
            let nominal = FAILED_FOR.saturating_mul(1 << (generation - 1)).min(BACKOFF_MAX);
            rested = end.since(now);
            assert!(nominal / 2 <= rested && rested <= nominal, "{rested:?} after {generation} failures");
            assert!(backs_off(&set, KEY, Monotonic(end.0 - 1)) && !backs_off(&set, KEY, end));
            now = end;
            let new = NewFlight {
                fingerprint: KEY,
                generation: generation + 1,
                owner: 0,
                until: now.after(Duration::from_secs(2)),
            };
            set = led(&set, new, now, Timestamp::default()).unwrap().0;
            assert!(!backs_off(&set, KEY, now), "it is being fetched");
        }
        assert!(rested >= BACKOFF_MAX / 2);
        let stored =
            ended(&set, 12, FlightEnd { record: Some(Way::default()), ..FlightEnd::default() }).unwrap().set;
        assert!(!backs_off(&stored, KEY, now), "a success ends it");
    }

    #[test]
    fn keys_that_failed_together_do_not_rest_equally_long() {
        let ends: Vec<Duration> = (1..50).map(|key| backoff(Fingerprint(key), key, 3)).collect();
        let (least, most) = (ends.iter().min().unwrap(), ends.iter().max().unwrap());
        assert!(most.saturating_sub(*least) > Duration::from_secs(1), "{least:?} to {most:?}");
    }
}
