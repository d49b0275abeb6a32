//! Writing records: each under the lease of a flight, which reserves the way that it is written into.

use std::rc::Rc;

use super::{Cache, Host, Lease, Place, subject};
use crate::deviation::{Deviation, deviates};
use crate::outcome::NotStored;
use crate::outcome::metrics::Counter;
use crate::store::flights::{self, Left};
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Slot};
use crate::store::set::{Flight, LARGE_WAYS, SetSnapshot, SetValue, Way};
use crate::store::{Fingerprint, TRIES};
use crate::time::Monotonic;
use crate::turn::Turn;

impl Cache {
    /// An entry for this place, with its stamp and when it was asked for.
    pub(super) fn entry(
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

    /// What is stored in this place, as far as this worker knows.
    pub(super) fn stored(&self, host: &impl Host, place: &Place) -> Option<Rc<Entry>> {
        let own = self.memory.get(place.fingerprint, &place.key);
        own.or_else(|| self.read(host, place).map(Entry::new))
    }

    pub(super) fn read(&self, host: &impl Host, place: &Place) -> Option<Record> {
        let set = SetSnapshot::read(host, place.set);
        let way = set.value.way_of(place.fingerprint)?;
        Record::read(host, Slot { set: place.set, way }, &place.key)
    }

    /// Whether the way that the lease reserves may be written: when it has run out, somebody else may own it.
    pub(super) fn owns_way(&self, turn: Turn<'_, impl Host>, lease: &Lease) -> bool {
        let set = || SetSnapshot::read(turn.host, lease.place.set).value;
        turn.now.mono < lease.until || flights::owns_way(&set(), lease.generation, turn.now.mono)
    }

    /// Writes a record into the way that the lease reserves, publishes it and ends the flight, at once.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) fn publish(
        &mut self,
        turn: Turn<'_, impl Host>,
        lease: &Lease,
        entry: &Rc<Entry>,
        until: u32,
        not_shared: Option<(NotStored, Monotonic)>,
    ) -> Result<(), NotStored> {
        if !self.owns_way(turn, lease) {
            return Err(NotStored::NoFlight);
        }
        let encoded = entry.record.encoded();
        let lease = if encoded.is_large() { self.enlarged(turn, lease) } else { Some(lease.clone()) };
        let Some(lease) = &lease else { return Err(NotStored::NoFlight) };
        let bytes = encoded.bytes();
        let bucket = self.host_of(turn.host, subject(&entry.record.content).uri);
        if !self.fits_host(turn, lease, bucket, bytes) {
            return Err(NotStored::HostQuota);
        }
        let more = bytes as i64 - lease.before as i64;
        if !self.take(turn, more) {
            return Err(NotStored::NoRoom);
        }
        let lands_first = deviates(Deviation::LandsBeforeItWrites);
        if !lands_first {
            encoded.write(turn.host, lease.slot, lease.before);
        }
        let fingerprint = lease.place.fingerprint;
        let way = Way { fingerprint, bytes, expires: until, host: bucket, ..Way::default() };
        let all_refused = entry.response().is_some_and(|response| response.stored.status >= 400);
        let left = Left { record: Some(way), not_shared, all_refused, ..Left::default() };
        let published = self.finish(turn.host, lease, left, more);
        if lands_first {
            encoded.write(turn.host, lease.slot, lease.before);
        }
        if !published {
            return Err(NotStored::NoFlight);
        }
        self.memory.update(fingerprint, entry);
        Ok(())
    }

    /// The lease with a way that takes large bodies.
    fn enlarged(&self, turn: Turn<'_, impl Host>, lease: &Lease) -> Option<Lease> {
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
    pub(super) fn put(
        &mut self,
        turn: Turn<'_, impl Host>,
        place: &Place,
        entry: &Rc<Entry>,
        until: u32,
    ) -> Result<(), NotStored> {
        let order = entry.record.order();
        self.put_made(turn, place, until, |_, there| {
            is_no_newer(there, order)?;
            Ok(Some(Rc::clone(entry)))
        })
    }

    /// The same with what `make` makes of what is there, or nothing: nobody else changes that meanwhile.
    pub(super) fn put_made(
        &mut self,
        turn: Turn<'_, impl Host>,
        place: &Place,
        until: u32,
        make: impl FnMut(&mut Self, Option<Record>) -> Result<Option<Rc<Entry>>, NotStored>,
    ) -> Result<(), NotStored> {
        let Some((lease, entry)) = self.taken(turn, place, make)? else { return Ok(()) };
        let stored = self.publish(turn, &lease, &entry, until, None);
        if stored.is_err() {
            self.finish(turn.host, &lease, Left::default(), 0);
        }
        stored
    }

    /// Takes a flight for what is complete already, with its stamp and when it was asked for: there is nothing to wait for,
    /// but only the owner of a flight writes.
    ///
    /// # Errors
    /// Why there is none: the place is being fetched, something newer is there, or there is no room.
    pub(super) fn take_flight(
        &mut self,
        turn: Turn<'_, impl Host>,
        place: &Place,
        order: (u64, Monotonic),
    ) -> Result<Lease, NotStored> {
        let taken = self.taken(turn, place, |_, there| is_no_newer(there, order).map(Some))?;
        taken.map(|(lease, ())| lease).ok_or(NotStored::NoFlight)
    }

    /// The flight of a place, with what `make` makes of what is there; none where that is nothing.
    fn taken<T>(
        &mut self,
        turn: Turn<'_, impl Host>,
        place: &Place,
        mut make: impl FnMut(&mut Self, Option<Record>) -> Result<Option<T>, NotStored>,
    ) -> Result<Option<(Lease, T)>, NotStored> {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, place.set);
            if set.value.flight_of(place.fingerprint).is_some_and(|f| f.is_live(turn.now.mono)) {
                return Err(NotStored::NoFlight);
            }
            let way = set.value.way_of(place.fingerprint);
            let there = way.and_then(|way| Record::read(turn.host, Slot { set: place.set, way }, &place.key));
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
    pub(super) fn finish(&self, host: &impl Host, lease: &Lease, left: Left, taken: i64) -> bool {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, lease.place.set);
            let generation = match set.value.flight_of(lease.place.fingerprint) {
                Some(any) if deviates(Deviation::EndsAnothersFlight) => any.generation,
                Some(_) | None => lease.generation,
            };
            let Some(landed) = flights::landed(&set.value, generation, left) else { break };
            let set = set.again_if(Deviation::LandsBlindly, host);
            if set.replace(host, &landed.set) {
                if let Some(record) = left.record
                    && is_evicted(&landed.replaced, &record, lease)
                {
                    host.count(Counter::Evicted);
                }
                adjust(host, landed.set.bytes() as i64 - set.value.bytes() as i64 - taken);
                self.wake(host, lease.place.fingerprint, landed.waiters);
                return true;
            }
            host.count(Counter::Conflict);
        }
        // The lease runs out, and others take over, or they have.
        adjust(host, -taken);
        false
    }

    /// Wakes the workers that waited; this one too, because its streams may not be answered from every callback.
    pub(super) fn wake(&self, host: &impl Host, fingerprint: Fingerprint, waiters: u64) {
        let mine = self.worker.filter(|_| self.parked.contains_key(&fingerprint));
        let mut left = waiters | mine.map_or(0, |me| 1u64.checked_shl(u32::from(me)).unwrap_or(0));
        while left != 0 {
            host.wake(left.trailing_zeros() as u8, fingerprint);
            left &= left - 1;
        }
    }
}

impl Lease {
    /// The claim of a flight that was led in this set.
    pub(super) fn of(place: Place, flight: Flight, set: &SetValue) -> Lease {
        let slot = Slot { set: place.set, way: flight.way };
        let before = set.ways.get(usize::from(flight.way)).map_or(0, |way| way.bytes);
        Lease { place, slot, generation: flight.generation, until: flight.until, before }
    }
}

/// Whether what is there may be replaced by something with this stamp and time.
fn is_no_newer(there: Option<Record>, order: (u64, Monotonic)) -> Result<(), NotStored> {
    let is_newer = there.is_some_and(|there| there.order() > order);
    if is_newer && !deviates(Deviation::OlderReplacesNewer) { Err(NotStored::Superseded) } else { Ok(()) }
}

/// Whether what lay in a way has had to make room for what lies there now, be it nothing.
fn is_evicted(replaced: &Way, record: &Way, lease: &Lease) -> bool {
    let is_own = [lease.place.fingerprint, record.fingerprint].contains(&replaced.fingerprint);
    replaced.is_some() && !replaced.is_purged() && !is_own
}

/// Corrects the number of bytes that all workers store.
fn adjust(host: &impl Host, bytes: i64) {
    if bytes != 0 {
        host.add_bytes(bytes);
    }
}
