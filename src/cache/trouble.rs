//! Origins in trouble: what is served in their stead, and what a worker tells others, and hears from them, of clusters.

use std::rc::Rc;

use super::claim::Need;
use super::consider::{invalidated, wants_refresh};
use super::{Ask, Cache, Decision, Host};
use crate::breaker::{Breakers, CLUSTERS_MAX, Change};
use crate::outcome::ForwardReason;
use crate::outcome::metrics::{Counter, Gauge};
use crate::policy::reuse::{Reuse, Trouble, in_trouble, reuse};
use crate::store::memory::Entry;
use crate::store::record::Content;
use crate::time::Now;
use crate::turn::Turn;

/// Whether a cluster may be asked about what can be served as well without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asking {
    /// It answers, as far as is known.
    Yes,
    /// It is taken to be down, and this is the request that looks whether it is back.
    Probe,
    /// It is taken to be down.
    No,
}

impl Cache {
    /// Which clusters other workers have found to be in trouble: whoever hears one of them answer says so.
    pub(super) fn hear_of_trouble(&mut self, host: &impl Host) {
        let breakers = Breakers::read(host);
        self.suspects = breakers.troubles().map(|trouble| trouble.cluster.clone()).collect();
        host.show(Gauge::BreakersOpen, breakers.open());
    }

    /// A cluster has answered a request, or failed to. Only failures, and answers of clusters that are in trouble, are
    /// worth finding out which cluster it was.
    pub fn origin_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        cluster: impl FnOnce() -> Option<String>,
        failed: bool,
    ) {
        if !self.config.breaker.enabled || (!failed && self.suspects.is_empty()) {
            return;
        }
        let Some(cluster) = cluster() else { return };
        let rules = &self.config.breaker;
        let change = if failed {
            let change = Breakers::change(turn.host, |all| all.failed(&cluster, rules, turn.now.mono));
            self.suspect(cluster);
            change
        } else if let Some(at) = self.suspects.iter().position(|suspect| *suspect == cluster) {
            self.suspects.swap_remove(at);
            Breakers::change(turn.host, |all| all.answered(&cluster))
        } else {
            Change::None
        };
        match change {
            Change::Opened => turn.host.count(Counter::BreakerOpened),
            Change::Closed => turn.host.count(Counter::BreakerClosed),
            Change::Noted | Change::None => {}
        }
    }

    /// Whether the cluster that a request is routed to may be asked, when something stored can be served as well.
    pub(super) fn asking(&mut self, turn: Turn<'_, impl Host>, ask: &Ask) -> Asking {
        let Some(cluster) = self.down(turn.host, || routed_to(turn.host, ask)) else { return Asking::Yes };
        let rules = &self.config.breaker;
        match Breakers::change(turn.host, |all| all.probes(&cluster, rules, turn.now.mono)) {
            Change::Noted => {
                turn.host.count(Counter::Probe);
                Asking::Probe
            }
            Change::None | Change::Opened | Change::Closed => Asking::No,
        }
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
            self.down(turn.host, cluster).map(|_| reuse)
        })
    }

    /// Whether what a fetch would replace can still help out when the origin fails, so that an error must not take its
    /// place.
    #[must_use]
    pub fn holds_better(&self, generation: u64, now: Now) -> bool {
        let fetch = self.fetches.get(&generation);
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
    pub(super) fn outage(&mut self, turn: Turn<'_, impl Host>, need: &Need<'_>) -> Option<Decision> {
        let entry = need.best.entry.as_ref().filter(|_| need.reason != ForwardReason::Request)?;
        let reuse = self.in_trouble(Trouble::Down, entry, need.ask, turn.now)?;
        self.down(turn.host, || routed_to(turn.host, need.ask))?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }

    /// The cluster, if it is taken to be down. Which one it is is only asked for when any is.
    fn down(&mut self, host: &impl Host, cluster: impl FnOnce() -> Option<String>) -> Option<String> {
        if !self.config.breaker.enabled {
            return None;
        }
        let breakers = Breakers::read(host);
        let open =
            (breakers.open() > 0).then(cluster).flatten().filter(|cluster| breakers.is_open(cluster))?;
        self.suspect(open.clone());
        Some(open)
    }

    /// What may be served instead of asking an origin that fails; nothing to a client that wants it to be asked.
    pub(super) fn makes_do(&self, need: &Need<'_>, now: Now) -> Option<Decision> {
        let entry = need.best.entry.as_ref().filter(|_| need.reason != ForwardReason::Request)?;
        let reuse = self.on_error(entry, need.ask, now)?;
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
    pub(super) fn stale_for(&mut self, turn: Turn<'_, impl Host>, ask: &Ask) -> Option<Decision> {
        if !self.sync(turn.host) {
            return None;
        }
        let primary = self.primary(turn.host, ask);
        let at_primary = self.stored(turn.host, &primary)?;
        let entry = match &at_primary.record.content {
            Content::Response(_) => at_primary,
            Content::Variants(variants) => {
                let variant = self.place(turn.host, ask.variant_key(&variants.nominated));
                self.stored(turn.host, &variant)?
            }
            Content::Search(_) => return None,
        };
        let reuse = self.on_error(&entry, ask, turn.now)?;
        let is_another = self.came_another_way(turn, &entry, entry.response()?, ask);
        (!is_another).then_some(Decision::Serve { entry, reuse })
    }

    fn suspect(&mut self, cluster: String) {
        if self.suspects.len() < CLUSTERS_MAX && !self.suspects.contains(&cluster) {
            self.suspects.push(cluster);
        }
    }
}

/// The cluster that a request is routed to. What no client asks for has no route yet: the cluster that leads its fetch to
/// the route table stands for all that it may come to.
pub(super) fn routed_to(host: &impl Host, ask: &Ask) -> Option<String> {
    if ask.is_nobodys { ask.config.collapse.cluster.clone() } else { host.cluster(ask.stream) }
}
