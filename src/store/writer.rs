//! Writing records: each under the lease of a flight, which reserves the way that it is written into.
//!
//! All that writes a way comes by here: the response to a fetch, a list of variants, and an eviction too. So "only the owner
//! of a flight writes" (protocol §1.6) is a matter of one type.

use core::time::Duration;
use std::rc::Rc;

use super::budget::Victims;
use super::flights::{self, FlightEnd, NewFlight};
use super::memory::Entry;
use super::record::{Content, Record, Slot};
use super::set::{Flight, LARGE_WAYS, SetSnapshot, SetValue, WAYS, Way};
use super::{Fingerprint, Seed, SharedData, StoreHost, TRIES};
use crate::outcome::NotStored;
use crate::outcome::metrics::Counter;
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

/// Identifies this worker's VM among all that ever were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Random, for generations.
    pub nonce: u32,
    /// Random, proposed as the seed of fingerprints and the name of the journal.
    pub seed: Seed,
}

/// How much may be stored, and for how long a flight is somebody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most records.
    pub entries_max: u32,
    /// The most bytes of all records.
    pub bytes_max: u64,
    /// The most bytes of the records of one host; no limit where there is none.
    pub host_bytes_max: Option<u64>,
    /// The lease of a flight.
    pub lease: Duration,
}

/// A cache key and where it belongs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The key in full.
    pub key: Vec<u8>,
    /// Its keyed hash.
    pub fingerprint: Fingerprint,
    /// The set that it belongs to.
    pub set: u32,
}

/// This worker's claim on a flight: it alone may write the slot, until the lease runs out.
#[derive(Clone, Debug)]
pub struct Lease {
    /// What is fetched.
    pub place: Place,
    /// The slot that the flight has reserved.
    pub slot: Slot,
    /// Names the flight.
    pub generation: u64,
    /// When the lease runs out.
    pub until: Monotonic,
    /// The bytes in the slot before.
    pub before: u64,
}

/// What this worker writes with: who it is, what it may, and where it looks for what to evict.
pub struct Writer {
    identity: Identity,
    seed: Option<Seed>,
    generations: u32,
    /// The place in the registry, once claimed.
    worker: Option<u8>,
    pub(super) limits: Limits,
    pub(super) victims: Victims,
}

/// The owner of a flight whose worker has no place in the registry: no bit, nobody to wake.
const NOBODY: u8 = 255;

impl Place {
    /// The record that lies here in shared data.
    #[must_use]
    pub fn read(&self, data: &impl SharedData) -> Option<Record> {
        let set = SetSnapshot::read(data, self.set);
        let way = set.value.way_of(self.fingerprint)?;
        Record::read(data, Slot { set: self.set, way }, &self.key)
    }
}

impl Writer {
    /// The writer of a worker that has no place in the registry yet.
    #[must_use]
    pub fn new(identity: Identity, limits: Limits) -> Writer {
        let victims = Victims::starting_at(identity.nonce);
        Writer { identity, seed: None, generations: 0, worker: None, limits, victims }
    }

    /// Puts other limits in force; what is stored beyond them goes on the next ticks.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Who this worker is.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// The place of this worker in the registry.
    #[must_use]
    pub const fn worker(&self) -> Option<u8> {
        self.worker
    }

    /// This worker has a place in the registry, or none any more.
    pub fn set_worker(&mut self, worker: Option<u8>) {
        self.worker = worker;
    }

    /// The secret that keys fingerprints.
    pub fn seed(&mut self, data: &impl SharedData) -> Seed {
        *self.seed.get_or_insert_with(|| Seed::shared(data, self.identity.seed))
    }

    /// The same, once it was asked for.
    #[must_use]
    pub const fn known_seed(&self) -> Option<Seed> {
        self.seed
    }

    /// The place of a cache key.
    pub fn place(&mut self, data: &impl SharedData, key: Vec<u8>) -> Place {
        let fingerprint = self.seed(data).fingerprint(&key);
        self.place_of(fingerprint, key)
    }

    /// The place of a cache key with this fingerprint.
    #[must_use]
    pub fn place_of(&self, fingerprint: Fingerprint, key: Vec<u8>) -> Place {
        Place { set: self.set_of(fingerprint), fingerprint, key }
    }

    /// The set that a fingerprint belongs to.
    #[must_use]
    pub fn set_of(&self, fingerprint: Fingerprint) -> u32 {
        (fingerprint.0 % u64::from(self.sets())) as u32
    }

    /// The number of sets that the entries are spread over.
    #[must_use]
    pub fn sets(&self) -> u32 {
        self.limits.entries_max.div_ceil(WAYS as u32).max(1)
    }

    /// The nonce keeps the generations of two workers apart (M08): a chunk and a flight are known by theirs.
    fn next_generation(&mut self) -> u64 {
        self.generations = self.generations.wrapping_add(1);
        u64::from(self.identity.nonce) << 32 | u64::from(self.generations)
    }

    /// A flight that this worker leads, if a set takes it.
    pub fn new_flight(&mut self, fingerprint: Fingerprint, now: Now) -> NewFlight {
        let generation = self.next_generation();
        // The leader's VM may die: without an end its waiters would wait for a flight that nobody ends (I3, M19).
        let until = now.mono.after(self.limits.lease);
        NewFlight { fingerprint, generation, owner: self.worker.unwrap_or(NOBODY), until }
    }

    /// An entry for this place, with its stamp and when it was asked for.
    pub fn entry(
        &mut self,
        place: &Place,
        (stamp, asked): (u64, Monotonic),
        mut content: Content,
    ) -> Rc<Entry> {
        if let Content::Response(response) = &mut content {
            response.shrink();
        }
        let generation = self.next_generation();
        Entry::new(Record { key: place.key.clone(), generation, stamp, asked, content })
    }

    /// Whether the way that the lease reserves may be written: when it has run out, somebody else may own it.
    pub fn owns_way(&self, turn: Turn<'_, impl StoreHost>, lease: &Lease) -> bool {
        let set = || SetSnapshot::read(turn.host, lease.place.set).value;
        turn.now.mono < lease.until || flights::owns_way(&set(), lease.generation, turn.now.mono)
    }

    /// Writes a record into the way that the lease reserves, publishes it and ends the flight, at once.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn publish(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        lease: &Lease,
        entry: &Rc<Entry>,
        until: u32,
        hit_for_miss: Option<(NotStored, Monotonic)>,
    ) -> Result<(), NotStored> {
        if !self.owns_way(turn, lease) {
            return Err(NotStored::NoFlight);
        }
        let encoded = entry.record.encoded();
        // Only some ways have keys for chunks, so that the keys of shared data are bounded. A flight is led before anybody knows
        // how large its response is.
        let lease = if encoded.is_large() { self.enlarged(turn, lease) } else { Some(lease.clone()) };
        let Some(lease) = &lease else { return Err(NotStored::NoFlight) };
        let bytes = encoded.bytes();
        let bucket = self.host_of(turn.host, entry.record.content.subject().uri);
        if !self.fits_host(turn, lease, bucket, bytes) {
            return Err(NotStored::HostQuota);
        }
        let more = bytes as i64 - lease.before as i64;
        if !self.take(turn, more) {
            return Err(NotStored::NoRoom);
        }
        // The record before the set that names it: a reader who finds the way would take what lay there before for the answer (I4,
        // M03). Nobody reads it meanwhile, since the way is reserved.
        encoded.write(turn.host, lease.slot, lease.before);
        let fingerprint = lease.place.fingerprint;
        let way = Way { fingerprint, bytes, expires: until, host: bucket, ..Way::default() };
        let all_refused = entry.response().is_some_and(|response| response.stored.status >= 400);
        let end = FlightEnd { record: Some(way), hit_for_miss, all_refused, ..FlightEnd::default() };
        if self.finish(turn.host, lease, end, more) { Ok(()) } else { Err(NotStored::NoFlight) }
    }

    /// The lease with a way that takes large bodies.
    fn enlarged(&self, turn: Turn<'_, impl StoreHost>, lease: &Lease) -> Option<Lease> {
        if usize::from(lease.slot.way) < LARGE_WAYS {
            return Some(lease.clone());
        }
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, lease.place.set);
            let (value, way) = flights::enlarged(&set.value, lease.generation, turn.now.mono, turn.now.wall)?;
            if set.replace(turn.host, &value) {
                let flight = value.flight(lease.generation)?;
                debug_assert_eq!(flight.way, way);
                return Some(Lease::of(lease.place.clone(), *flight, &set.value));
            }
            turn.host.count(Counter::Conflict);
        }
        None
    }

    /// Stores a record at a place that the fetch has no flight for, under a flight of its own; nothing happens when
    /// that place is being fetched, when something newer is there, or when there is no room.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn put(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        place: &Place,
        entry: &Rc<Entry>,
        until: u32,
    ) -> Result<(), NotStored> {
        let order = entry.record.order();
        let put = self.put_made(turn, place, until, |_, there| {
            is_no_newer(there, order)?;
            Ok(Some(Rc::clone(entry)))
        });
        put.map(|_| ())
    }

    /// The same with what `make` makes of what is there, or nothing: nobody else changes that meanwhile. Returns what was
    /// written.
    ///
    /// # Errors
    /// Why nothing is stored.
    pub fn put_made(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        place: &Place,
        until: u32,
        make: impl FnMut(&mut Self, Option<Record>) -> Result<Option<Rc<Entry>>, NotStored>,
    ) -> Result<Option<Rc<Entry>>, NotStored> {
        let Some((lease, entry)) = self.taken(turn, place, make)? else { return Ok(None) };
        let stored = self.publish(turn, &lease, &entry, until, None);
        if stored.is_err() {
            self.finish(turn.host, &lease, FlightEnd::default(), 0);
        }
        stored.map(|()| Some(entry))
    }

    /// Takes a flight for what is complete already, with its stamp and when it was asked for: there is nothing to wait for,
    /// but only the owner of a flight writes.
    ///
    /// # Errors
    /// Why there is none: the place is being fetched, something newer is there, or there is no room.
    pub fn take_flight(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        place: &Place,
        order: (u64, Monotonic),
    ) -> Result<Lease, NotStored> {
        let taken = self.taken(turn, place, |_, there| is_no_newer(there, order).map(Some))?;
        taken.map(|(lease, ())| lease).ok_or(NotStored::NoFlight)
    }

    /// The flight of a place, with what `make` makes of what is there; none where that is nothing.
    fn taken<T>(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        place: &Place,
        mut make: impl FnMut(&mut Self, Option<Record>) -> Result<Option<T>, NotStored>,
    ) -> Result<Option<(Lease, T)>, NotStored> {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, place.set);
            // Not beside a fetch: of two writers of one way each could publish the other's chunks (I5, M26).
            if set.value.flight_of(place.fingerprint).is_some_and(|f| f.is_live(turn.now.mono)) {
                return Err(NotStored::NoFlight);
            }
            let way = set.value.way_of(place.fingerprint);
            let there = way.and_then(|way| Record::read(turn.host, Slot { set: place.set, way }, &place.key));
            // Decided on what the value of the set leads to, and taken by compare-and-set on that very value: what is newer cannot slip
            // in between (I9, M06).
            let Some(made) = make(self, there)? else { return Ok(None) };
            let new = self.new_flight(place.fingerprint, turn.now);
            let Some((value, flight)) = flights::led(&set.value, new, turn.now.mono, turn.now.wall) else {
                return Err(NotStored::NoFlight);
            };
            if set.replace(turn.host, &value) {
                return Ok(Some((Lease::of(place.clone(), flight, &set.value), made)));
            }
            turn.host.count(Counter::Conflict);
        }
        Err(NotStored::NoFlight)
    }

    /// Ends the flight of a lease and wakes who waited; whether the flight was still there. So many bytes were taken
    /// from the budget for what it leaves.
    pub fn finish(&self, data: &impl StoreHost, lease: &Lease, end: FlightEnd, taken: i64) -> bool {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(data, lease.place.set);
            // By its generation: whoever took the flight over when the lease ran out has another, and its waiters wait for that (M05).
            let Some(landed) = flights::ended(&set.value, lease.generation, end) else { break };
            // Those who waited stand in the very value that is replaced: who registers meanwhile makes this fail, and is met in the
            // next try. With a blind write nobody would ever wake them (I3, M01).
            if set.replace(data, &landed.set) {
                if let Some(record) = end.record
                    && is_evicted(&landed.replaced, &record, lease)
                {
                    data.count(Counter::Evicted);
                }
                adjust(data, landed.set.bytes() as i64 - set.value.bytes() as i64 - taken);
                wake(data, lease.place.fingerprint, landed.waiters);
                return true;
            }
            data.count(Counter::Conflict);
        }
        // The lease runs out, and others take over, or they have.
        adjust(data, -taken);
        false
    }
}

/// Wakes the workers that waited.
pub fn wake(data: &impl SharedData, fingerprint: Fingerprint, waiters: u64) {
    let mut left = waiters;
    while left != 0 {
        data.wake(left.trailing_zeros() as u8, fingerprint);
        left &= left - 1;
    }
}

impl Lease {
    /// The claim of a flight that was led in this set.
    pub fn of(place: Place, flight: Flight, set: &SetValue) -> Lease {
        let slot = Slot { set: place.set, way: flight.way };
        let before = set.ways.get(usize::from(flight.way)).map_or(0, |way| way.bytes);
        Lease { place, slot, generation: flight.generation, until: flight.until, before }
    }
}

/// Whether what is there may be replaced by something with this stamp and time.
fn is_no_newer(there: Option<Record>, order: (u64, Monotonic)) -> Result<(), NotStored> {
    let is_newer = there.is_some_and(|there| there.order() > order);
    if is_newer { Err(NotStored::Superseded) } else { Ok(()) }
}

/// Whether a record was evicted from a way for what was published there, be it nothing.
fn is_evicted(replaced: &Way, record: &Way, lease: &Lease) -> bool {
    let is_own = [lease.place.fingerprint, record.fingerprint].contains(&replaced.fingerprint);
    replaced.is_some() && !replaced.is_purged() && !is_own
}

/// Corrects the number of bytes that all workers store.
fn adjust(data: &impl SharedData, bytes: i64) {
    if bytes != 0 {
        data.add_bytes(bytes);
    }
}
