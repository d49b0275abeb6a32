//! Storing what was not fetched for others: parts of a representation, answers to POST, what a HEAD has told.

use std::rc::Rc;

use super::Storage;
use crate::cache::assess::{BodyLimit, combined};
use crate::cache::host::Host;
use crate::cache::request::CacheRequest;
use crate::cache::waiters::Waiters;
use crate::invalidation::Verdict;
use crate::outcome::NotStored;
use crate::policy::{self, expires};
use crate::store::memory::Entry;
use crate::store::record::{Content, Response};
use crate::store::{Fingerprint, Place};
use crate::time::Monotonic;
use crate::turn::Turn;

impl Storage {
    /// Where the response to a request belongs, as far as it can be told before it is filed: as if it were one of the first
    /// variants, where others of its URI are told apart.
    pub(in crate::cache) fn home(
        &mut self,
        host: &impl Host,
        ask: &CacheRequest,
        response: &mut Response,
    ) -> Place {
        let primary = self.primary(host, ask);
        let list = self.stored(host, &primary);
        if let Some(Content::Variants(list)) = list.as_ref().map(|entry| &entry.record.content) {
            policy::keep_apart(&mut response.stored, list.nominated.iter().map(String::as_bytes));
        }
        let nominated = &response.stored.vary;
        let key = if nominated.is_empty() { ask.base_key().into_owned() } else { ask.variant_key(nominated) };
        self.writer.place(host, key)
    }

    /// The journal's head as it is now, if nothing between this stamp and now covers the response; none when something
    /// does.
    #[must_use]
    pub fn outlived(&self, response: &Response, stamp: u64) -> Option<u64> {
        self.journal.is_valid(&response.subject(), stamp).then(|| self.journal.head())
    }

    /// Stores a response with its stamp, and when it was asked for, under the key of its URI, beside any flight, unless
    /// something newer is there. A part is combined with what is there (RFC 9111 §3.4), as long as both together are not too
    /// large. Returns where it lies.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(in crate::cache) fn store_under_uri(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        key: &[u8],
        (stamp, asked): (u64, Monotonic),
        response: Response,
        limit: BodyLimit,
    ) -> Result<Fingerprint, NotStored> {
        let place = self.writer.place(turn.host, key.to_vec());
        let there = place.read(turn.host).map(Entry::new);
        let there = there.filter(|entry| self.journal.verdict(entry) != Verdict::Hard);
        let old = there.as_ref().and_then(|entry| Some((entry.response()?, entry.record.order())));
        let (response, order) = match old {
            Some((old, there)) if response.stored.range.is_some() => match combined(old, &response, limit) {
                // The older part is still subject to what was invalidated since it was asked for; nothing of the newer
                // one is lost.
                Some(whole) => (whole, (stamp.min(there.0), asked.max(there.1))),
                None => (response, (stamp, asked)),
            },
            _ => (response, (stamp, asked)),
        };
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let entry = self.writer.entry(&place, order, Content::Response(Box::new(response)));
        self.memory.remove(place.fingerprint);
        self.put(turn, waiters, &place, &entry, until).map(|()| place.fingerprint)
    }

    /// The answer to a HEAD has come, which was sent when this was stored for a GET: it brings that up to date, or shows that
    /// it is stale (RFC 9111 §4.3.5), on all workers.
    ///
    /// What has been stored since was asked for later, so it stays: an answer that took its time is no news.
    pub(in crate::cache) fn head_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        ask: &CacheRequest,
        old: &Entry,
        updated: Response,
    ) {
        let place = self.writer.place(turn.host, old.record.key.clone());
        let until = u32::try_from(expires(&updated.stored).secs()).unwrap_or(u32::MAX);
        // The body is still subject to what was invalidated since it was asked for.
        let order = (old.record.stamp, ask.decided.get().at.mono.max(old.record.asked));
        let entry = self.writer.entry(&place, order, Content::Response(Box::new(updated)));
        self.memory.remove(place.fingerprint);
        let generation = old.record.generation;
        let written = self.writer.put_made(turn, &place, until, |_, there| {
            let is_old = there.is_some_and(|there| there.generation == generation);
            if is_old { Ok(Some(Rc::clone(&entry))) } else { Err(NotStored::Superseded) }
        });
        if self.has_put(waiters, &place, written).is_ok() {
            self.tell(turn, place.fingerprint);
        }
    }
}
