//! Serving stale: what is served in the stead of an origin that fails, or that is taken to be down.

use std::rc::Rc;

use super::lookup::{invalidated, wants_refresh};
use super::miss::Miss;
use super::origin_health::Asking;
use super::{Ask, Cache, Decision, Host};
use crate::outcome::ForwardReason;
use crate::policy::reuse::{Reuse, Trouble, in_trouble, reuse};
use crate::store::memory::Entry;
use crate::store::record::Content;
use crate::time::Now;
use crate::turn::Turn;

impl Cache {
    /// A cluster has answered a request, or failed to.
    pub fn origin_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        cluster: impl FnOnce() -> Option<String>,
        failed: bool,
    ) {
        self.health.answered(turn, &self.config.breaker, cluster, failed);
    }

    /// Whether the cluster that a request is routed to may be asked, when something stored can be served as well.
    pub(super) fn asking(&mut self, turn: Turn<'_, impl Host>, ask: &Ask) -> Asking {
        self.health.asking(turn, &self.config.breaker, || routed_to(turn.host, ask))
    }

    /// Whether an entry may be served because the origin has just failed: by its own windows, or because the cluster
    /// is taken to be down.
    pub fn on_failure(
        &mut self,
        turn: Turn<'_, impl Host>,
        entry: &Entry,
        ask: &Ask,
        cluster: impl FnOnce() -> Option<String>,
    ) -> Option<Reuse> {
        self.on_error(entry, ask, turn.now).or_else(|| {
            let reuse = self.in_trouble(Trouble::Down, entry, ask, turn.now)?;
            self.health.down(turn.host, &self.config.breaker, cluster).map(|_| reuse)
        })
    }

    /// Whether what a fetch would replace can still help out when the origin fails, so that an error must not take its
    /// place.
    #[must_use]
    pub fn holds_better(&self, generation: u64, now: Now) -> bool {
        let fetch = self.fetches.get(generation);
        let validated = fetch.and_then(|fetch| Some((fetch.validated.as_ref()?, &fetch.ask)));
        validated.is_some_and(|(entry, ask)| {
            self.on_error(entry, ask, now)
                .or_else(|| self.in_trouble(Trouble::Down, entry, ask, now))
                .is_some()
        })
    }

    /// Whether an entry may be served because of what the origin is in.
    pub(super) fn in_trouble(&self, trouble: Trouble, entry: &Entry, ask: &Ask, now: Now) -> Option<Reuse> {
        let invalidated = invalidated(self.verdict_for(entry, ask))?;
        in_trouble(&entry.response()?.stored, trouble, &ask.request, &ask.options, invalidated, now.wall)
    }

    /// What is served without asking, because the cluster that would answer is taken to be down.
    pub(super) fn stale_if_down(&mut self, turn: Turn<'_, impl Host>, miss: &Miss<'_>) -> Option<Decision> {
        let entry = miss.best.entry.as_ref().filter(|_| miss.reason != ForwardReason::Request)?;
        let reuse = self.in_trouble(Trouble::Down, entry, miss.ask, turn.now)?;
        self.health.down(turn.host, &self.config.breaker, || routed_to(turn.host, miss.ask))?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }

    /// What may be served instead of asking an origin that fails; nothing to a client that wants it to be asked.
    pub(super) fn stale_if_error(&self, miss: &Miss<'_>, now: Now) -> Option<Decision> {
        let entry = miss.best.entry.as_ref().filter(|_| miss.reason != ForwardReason::Request)?;
        let reuse = self.on_error(entry, miss.ask, now)?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }

    /// Whether an entry may be served because the origin fails: in a window of its own (RFC 5861 §4), or where it may
    /// be served while it is refreshed.
    pub fn on_error(&self, entry: &Entry, ask: &Ask, now: Now) -> Option<Reuse> {
        self.in_trouble(Trouble::Failed, entry, ask, now).or_else(|| {
            let invalidated = invalidated(self.verdict_for(entry, ask))?;
            let stored = &entry.response()?.stored;
            let meanwhile = reuse(stored, &ask.request, &ask.options, invalidated, now.wall);
            wants_refresh(&meanwhile).then_some(meanwhile)
        })
    }

    /// What answers a request although the origin does not.
    pub(super) fn stale_for_waiter(&mut self, turn: Turn<'_, impl Host>, ask: &Ask) -> Option<Decision> {
        if !self.sync(turn.host) {
            return None;
        }
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
        let is_another = self.came_another_way(turn, &entry, entry.response()?, ask);
        (!is_another).then_some(Decision::Serve { entry, reuse })
    }
}

/// The cluster that a request is routed to. What no client asks for has no route yet: the cluster that leads its fetch to
/// the route table stands for all that it may come to.
pub(super) fn routed_to(host: &impl Host, ask: &Ask) -> Option<String> {
    if ask.is_nobodys { ask.config.collapse.cluster.clone() } else { host.cluster(ask.stream) }
}
