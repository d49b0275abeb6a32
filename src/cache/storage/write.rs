//! Writing to shared data, with what goes with it here: a copy of this worker's own, and those who wait.

use std::rc::Rc;

use super::Storage;
use crate::cache::host::Host;
use crate::cache::waiters::Waiters;
use crate::outcome::NotStored;
use crate::store::memory::Entry;
use crate::store::{Fingerprint, Lease, Place, workers};
use crate::time::Monotonic;
use crate::turn::Turn;

impl Storage {
    /// Publishes what a fetch has brought under its lease, and keeps a copy.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) fn publish(
        &mut self,
        turn: Turn<'_, impl Host>,
        lease: &Lease,
        entry: &Rc<Entry>,
        until: u32,
        hit_for_miss: Option<(NotStored, Monotonic)>,
    ) -> Result<(), NotStored> {
        self.writer.publish(turn, lease, entry, until, hit_for_miss)?;
        self.memory.update(lease.place.fingerprint, entry);
        Ok(())
    }

    /// Stores an entry at a place that nothing is fetched for, and keeps a copy.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) fn put(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        place: &Place,
        entry: &Rc<Entry>,
        until: u32,
    ) -> Result<(), NotStored> {
        let put = self.writer.put(turn, place, entry, until).map(|()| Some(Rc::clone(entry)));
        self.has_put(waiters, place, put)
    }

    /// Something was written at a place, or was not. A flight of it that had run out may have ended with that, for which this
    /// worker's requests wait without a bit in the set if it was their own: so they look again, whatever came of it.
    pub(super) fn has_put(
        &mut self,
        waiters: &mut Waiters,
        place: &Place,
        put: Result<Option<Rc<Entry>>, NotStored>,
    ) -> Result<(), NotStored> {
        waiters.wake(place.fingerprint);
        if let Some(entry) = put? {
            self.memory.update(place.fingerprint, &entry);
        }
        Ok(())
    }

    /// Tells other workers that their copies of one key may not be the newest.
    pub(super) fn tell(&self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        let others = workers::present(turn.host, turn.now.mono).into_iter();
        for worker in others.filter(|worker| self.writer.worker() != Some(*worker)) {
            turn.host.wake(worker, fingerprint);
        }
    }
}
