//! What of the stored responses may be served stale, in the stead of an origin that fails (`stale-if-error`) or that is taken
//! to be down.

use std::rc::Rc;

use super::judge::invalidated;
use super::{Miss, Storage};
use crate::cache::host::Host;
use crate::cache::request::{CacheRequest, Decision};
use crate::outcome::ForwardReason;
use crate::policy::reuse::{Reuse, Trouble, in_trouble, reuse};
use crate::store::memory::Entry;
use crate::store::record::Content;
use crate::time::Now;
use crate::turn::Turn;

impl Storage {
    /// Whether an entry may be served because of what the origin is in.
    pub(in crate::cache) fn in_trouble(
        &self,
        trouble: Trouble,
        entry: &Entry,
        ask: &CacheRequest,
        now: Now,
    ) -> Option<Reuse> {
        let invalidated = invalidated(self.verdict_for(entry, ask, now))?;
        in_trouble(&entry.response()?.stored, trouble, &ask.request, &ask.options, invalidated, now.wall)
    }

    /// Whether an entry may be served because the origin fails: in a window of its own (RFC 5861 §4), or where it may
    /// be served while it is refreshed.
    pub(in crate::cache) fn on_error(&self, entry: &Entry, ask: &CacheRequest, now: Now) -> Option<Reuse> {
        self.in_trouble(Trouble::Failed, entry, ask, now).or_else(|| {
            let invalidated = invalidated(self.verdict_for(entry, ask, now))?;
            let stored = &entry.response()?.stored;
            let meanwhile = reuse(stored, &ask.request, &ask.options, invalidated, now.wall);
            matches!(meanwhile, Reuse::Stale { refresh: true, .. }).then_some(meanwhile)
        })
    }

    /// Whether an entry can still help out when the origin fails, so that an error must not take its place.
    pub(in crate::cache) fn helps_out(&self, entry: &Entry, ask: &CacheRequest, now: Now) -> bool {
        let reuse = self.on_error(entry, ask, now);
        reuse.or_else(|| self.in_trouble(Trouble::Down, entry, ask, now)).is_some()
    }

    /// What may be served instead of asking an origin that fails; nothing to a client that wants it to be asked.
    pub(in crate::cache) fn stale_if_error(&self, miss: &Miss<'_>, now: Now) -> Option<Decision> {
        let entry = miss.best.entry.as_ref().filter(|_| miss.reason != ForwardReason::Request)?;
        let reuse = self.on_error(entry, miss.ask, now)?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }

    /// What is served stale (`stale-if-error`) to a waiter whose time is up.
    pub(in crate::cache) fn stale_for_waiter(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
    ) -> Option<Decision> {
        let primary = self.primary(turn.host, ask);
        let at_primary = self.stored(turn.host, &primary)?;
        let entry = match &at_primary.record.content {
            Content::Response(_) => at_primary,
            Content::Variants(variants) => {
                let variant = self.writer.place(turn.host, ask.variant_key(&variants.nominated));
                self.stored(turn.host, &variant)?
            }
            Content::Search(_) => return None,
        };
        let reuse = self.on_error(&entry, ask, turn.now)?;
        let is_another = self.route_check.took_another_route(turn, &entry, entry.response()?, ask);
        (!is_another).then_some(Decision::Serve { entry, reuse })
    }
}
