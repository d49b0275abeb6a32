//! What is stored, as this worker sees it: its own copies (L1), shared data (L2), and the journal that judges both.
//!
//! All of it takes for granted that the journal has been read in this callback: the cache sees to that, once, before it
//! asks or tells anything here ([`Storage::sync`]).

mod chosen;
mod direct;
mod hit_for_miss;
mod journal_view;
mod judge;
mod lag;
mod lookup;
mod no_vary_search;
mod placement;
mod reclaim;
mod route_check;
mod stale;
mod variants;
mod write;

use std::rc::Rc;

pub(super) use judge::invalidated;
pub(super) use lookup::{Best, Level, Look, Miss};
pub(super) use placement::is_reusable;

use super::host::Host;
use super::request::{CacheRequest, Decided};
use crate::config::Config;
use crate::invalidation::{Invalidation, Verdict};
use crate::outcome::{ForwardReason, NotStored};
use crate::store::journal::{Busy, Synced};
use crate::store::memory::{Entry, WorkerMemory};
use crate::store::{Fingerprint, Identity, Limits, Place, StoreHost, Writer};
use crate::time::{Monotonic, Now};
use hit_for_miss::HitForMiss;
use journal_view::JournalView;
use lag::Lag;
use no_vary_search::Searches;
use reclaim::Reclaiming;
use route_check::RouteCheck;
use variants::Unlisted;

/// What is stored, as one worker sees it.
pub struct Storage {
    /// All that this worker writes to shared data goes by here.
    pub(super) writer: Writer,
    pub(super) journal: JournalView,
    memory: WorkerMemory,
    hit_for_miss: HitForMiss,
    searches: Searches,
    unlisted: Unlisted,
    reclaiming: Reclaiming,
    route_check: RouteCheck,
    lag: Lag,
}

impl Storage {
    /// What a worker knows that has read nothing yet.
    pub(super) fn new(config: &Config, identity: Identity) -> Storage {
        let mut lag = Lag::default();
        lag.configure(&config.fleet);
        Storage {
            writer: Writer::new(identity, limits(config)),
            journal: JournalView::new(identity.seed),
            memory: WorkerMemory::new(config.store.worker_bytes_max),
            hit_for_miss: HitForMiss::default(),
            searches: Searches::default(),
            unlisted: Unlisted::default(),
            reclaiming: Reclaiming::starting_at(identity.nonce),
            route_check: RouteCheck::default(),
            lag,
        }
    }

    /// Puts another configuration in force; what is stored stays.
    pub(super) fn configure(&mut self, config: &Config) {
        self.memory.set_bytes_max(config.store.worker_bytes_max);
        self.writer.set_limits(limits(config));
        self.lag.configure(&config.fleet);
    }

    /// The bytes of this worker's own copies.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// What is so now, for a request that is not looked up.
    #[must_use]
    pub fn decided(&self, now: Now) -> Decided {
        self.journal.decided(now)
    }

    /// The stamp of the response to a request that was sent on then, and when that was.
    #[must_use]
    pub fn order_at(&self, decided: Decided) -> (u64, Monotonic) {
        self.journal.order_at(decided)
    }

    /// Reads the journal.
    pub(super) fn sync(&mut self, host: &impl StoreHost) -> Synced {
        let synced = self.journal.sync(host);
        if synced == Synced::Renewed {
            self.memory.clear();
            self.reclaiming.begin_anew();
        }
        synced
    }

    /// Writes an invalidation to the journal, and says whether it is to be shared with the fleet; its position.
    pub(super) fn append(
        &mut self,
        host: &impl StoreHost,
        invalidation: &Invalidation,
        shares: bool,
    ) -> Result<u64, Busy> {
        self.journal.append(host, invalidation, self.writer.identity().seed.0, shares)
    }

    /// The fleet was last heard of at this time.
    pub(super) fn set_contact(&mut self, contact: Option<Monotonic>) {
        self.lag.set_contact(contact);
    }

    /// The verdict on an entry as the answer to a request: what the journal says, and what it may have missed.
    pub(super) fn verdict_for(&self, entry: &Entry, ask: &CacheRequest, now: Now) -> Verdict {
        let said = self.said_of(entry, ask);
        entry.response().map_or(said, |response| self.lag.applied(said, &response.stored, now))
    }

    /// Why an entry has to be validated: where the journal does not say so, purges may have been missed.
    pub(super) fn validated_because(
        &self,
        reason: ForwardReason,
        entry: &Entry,
        ask: &CacheRequest,
    ) -> ForwardReason {
        match reason {
            ForwardReason::Invalidated if self.said_of(entry, ask) == Verdict::Valid => {
                ForwardReason::Lagging
            }
            reason => reason,
        }
    }

    /// What the journal says of an entry as the answer to a request.
    fn said_of(&self, entry: &Entry, ask: &CacheRequest) -> Verdict {
        self.journal.verdict_for(entry, ask, self.writer.known_seed())
    }

    /// This worker's own copy of what lies in a place.
    pub(super) fn copy(&self, place: &Place) -> Option<Rc<Entry>> {
        self.memory.get(place.fingerprint, &place.key)
    }

    /// What is stored in a place, as far as this worker knows.
    pub(super) fn stored(&self, host: &impl Host, place: &Place) -> Option<Rc<Entry>> {
        self.copy(place).or_else(|| place.read(host).map(Entry::new))
    }

    /// This worker's copy under a fingerprint is not to be used any more.
    pub(super) fn drop_copy(&mut self, fingerprint: Fingerprint) {
        self.memory.remove(fingerprint);
    }

    /// Why the responses to a key are not stored, where this worker remembers it.
    pub(super) fn hit_for_miss(&self, fingerprint: Fingerprint, now: Monotonic) -> Option<NotStored> {
        self.hit_for_miss.reason(fingerprint, now)
    }

    /// Remembers why the responses to a key are not stored.
    pub(super) fn remember_hit_for_miss(
        &mut self,
        fingerprint: Fingerprint,
        reason: NotStored,
        now: Monotonic,
    ) {
        self.hit_for_miss.remember(fingerprint, reason, now);
    }

    /// Something has been stored under a key, or so it is said.
    pub(super) fn forget_hit_for_miss(&mut self, fingerprint: Fingerprint) {
        self.hit_for_miss.forget(fingerprint);
    }

    /// Tells the sets now and then which of its copies this worker has used.
    pub(super) fn report_uses(&mut self, host: &impl Host) {
        self.writer.report_uses(host, &mut self.memory);
    }
}

/// What a configuration lets the store take.
fn limits(config: &Config) -> Limits {
    let store = &config.store;
    Limits {
        entries_max: store.entries_max,
        bytes_max: store.bytes_max,
        host_bytes_max: store.host_bytes_max,
        lease: config.collapse.lease,
    }
}
