//! The journal as this worker sees it: how far it has read, what that says of a stored response, and since when.

use core::time::Duration;

use crate::cache::request::{CacheRequest, Decided};
use crate::invalidation::{Invalidation, Mode, Selector, Source, Subject, Verdict, Work};
use crate::outcome::metrics::Counter;
use crate::policy::key;
use crate::store::journal::{Busy, Covering, Mirror, Synced};
use crate::store::memory::Entry;
use crate::store::{Seed, SharedData, StoreHost};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

/// The most names and selectors that a worker's index of the journal holds. Beyond it hosts stand for their URLs; where
/// that is of no use it forgets all records, and what was stored before them is validated before it is used, or fetched
/// anew if a hard purge was among them.
const JOURNAL_RECORDS_MAX: usize = 100_000;
/// How far the wall clock may fall behind from one tick to the next without being set back.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// What a worker knows of the journal.
pub(in crate::cache) struct JournalView {
    mirror: Mirror,
    /// How often shared data has begun a journal anew.
    journals: u32,
    /// What both clocks said at the last tick.
    ticked: Option<Now>,
    /// Whether the wall clock was set back and the journal does not say so yet.
    clock_set_back: bool,
}

impl JournalView {
    /// A view that has read nothing yet; `secret` keys its index.
    pub(in crate::cache) fn new(secret: Seed) -> JournalView {
        JournalView {
            mirror: Mirror::with_secret(JOURNAL_RECORDS_MAX, (secret.0, secret.1)),
            journals: 0,
            ticked: None,
            clock_set_back: false,
        }
    }

    /// Reads what is new.
    pub(in crate::cache) fn sync(&mut self, host: &impl StoreHost) -> Synced {
        let synced = self.mirror.sync(host);
        if self.mirror.take_healed() > 0 {
            host.count(Counter::JournalHealed);
        }
        if synced == Synced::Renewed {
            self.journals = self.journals.wrapping_add(1);
        }
        synced
    }

    /// The position up to which it has been read.
    pub(in crate::cache) fn head(&self) -> u64 {
        self.mirror.head()
    }

    /// Where the journal stands: its head and both floors.
    pub(in crate::cache) fn state(&self) -> (u64, u64, u64) {
        (self.mirror.head(), self.mirror.floor(), self.mirror.hard_below())
    }

    /// The position of the newest hard record.
    pub(in crate::cache) fn newest_hard(&self) -> u64 {
        self.mirror.newest_hard()
    }

    /// The newest records before a position, in ascending order.
    pub(in crate::cache) fn tail(
        &self,
        host: &impl SharedData,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<(u64, Invalidation)> {
        self.mirror.tail(host, before, limit)
    }

    /// The newest records that cover a stored response.
    pub(in crate::cache) fn covering(&self, host: &impl SharedData, entry: &Entry, limit: usize) -> Covering {
        self.mirror.covering(host, &entry.record.content.subject(), entry.record.stamp, limit)
    }

    /// Whether the index takes these without forgetting anything.
    pub(in crate::cache) fn has_room_for(&self, invalidations: &[Invalidation]) -> bool {
        self.mirror.has_room_for(invalidations)
    }

    /// The head is read again in any case, even if the epoch stands still.
    pub(in crate::cache) fn distrust(&mut self) {
        self.mirror.distrust();
    }

    /// Writes an invalidation; its position. `name` is that of the journal, should there be none yet.
    pub(in crate::cache) fn append(
        &mut self,
        host: &impl StoreHost,
        invalidation: &Invalidation,
        name: u64,
        shares: bool,
    ) -> Result<u64, Busy> {
        if shares {
            self.mirror.append_shared(host, invalidation, name)
        } else {
            self.mirror.append(host, invalidation, name)
        }
    }

    /// The journal itself, for the fleet: as far as it has been read.
    pub(in crate::cache) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The verdict on an entry, remembered until the head moves.
    pub(in crate::cache) fn verdict(&self, entry: &Entry) -> Verdict {
        self.verdict_within(entry, &Work::of_a_verdict())
    }

    /// The same, counting what it takes.
    pub(in crate::cache) fn verdict_within(&self, entry: &Entry, work: &Work) -> Verdict {
        // What a hit does not need is not looked for.
        let judge = |stamp| self.mirror.verdict_within(&entry.record.content.subject(), stamp, work);
        entry.verdict(self.mirror.head(), judge)
    }

    /// The verdict on an entry as the answer to a request. It may have been stored for another URL that differs in what
    /// makes no difference: then what was said about either counts.
    pub(in crate::cache) fn verdict_for(
        &self,
        entry: &Entry,
        ask: &CacheRequest,
        seed: Option<Seed>,
    ) -> Verdict {
        let verdict = self.verdict(entry);
        if ask.search.borrow().is_none() || entry.response().is_none() {
            return verdict;
        }
        let uri = key::uri(&ask.request, &ask.options);
        let stored = entry.record.content.subject();
        let Some(seed) = seed.filter(|_| uri != stored.uri) else { return verdict };
        let asked = Subject { uri: &uri, ..stored };
        let judge = |stamp| self.mirror.verdict_within(&asked, stamp, &Work::of_a_verdict());
        verdict.and(entry.verdict_for(seed.fingerprint(&uri), self.mirror.head(), judge))
    }

    /// Whether nothing since this stamp covers it.
    pub(in crate::cache) fn is_valid(&self, subject: &Subject<'_>, stamp: u64) -> bool {
        self.mirror.verdict(subject, stamp) == Verdict::Valid
    }

    /// What is so while something is decided about a request.
    pub(in crate::cache) fn decided(&self, now: Now) -> Decided {
        Decided { stamp: self.mirror.head(), journal: self.journals, at: now }
    }

    /// The stamp of the response to a request that was sent on then, and when that was. Positions of an older journal mean
    /// nothing in this one.
    pub(in crate::cache) fn order_at(&self, decided: Decided) -> (u64, Monotonic) {
        let stamp = if decided.journal == self.journals { decided.stamp } else { 0 };
        (stamp, decided.at.mono)
    }

    /// A wall clock that is set back makes what is stored younger than it is. So everything is validated before its next
    /// use; each worker that notices says so. What is still to be said, if anything.
    pub(in crate::cache) fn watch_the_clock(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
    ) -> Option<Invalidation> {
        if let Some(before) = self.ticked.replace(turn.now) {
            let expected = before.wall.after(turn.now.mono.since(before.mono));
            if expected.since(turn.now.wall) > CLOCK_SLACK {
                turn.host.count(Counter::ClockSetBack);
                self.clock_set_back = true;
            }
        }
        self.clock_set_back.then_some(Invalidation {
            mode: Mode::Revalidate,
            selector: Selector::All,
            issued_at: turn.now.wall,
            source: Source::Clock,
            reason: None,
        })
    }

    /// That the clock was set back stands in the journal now.
    pub(in crate::cache) fn clock_is_told(&mut self) {
        self.clock_set_back = false;
    }
}
