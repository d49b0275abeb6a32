//! Serving stale: what is served in the stead of an origin that fails, or that is taken to be down.

use std::rc::Rc;

use super::origin_health::Asking;
use super::storage::Miss;
use super::{Ask, Cache, Decision, Host};
use crate::outcome::ForwardReason;
use crate::policy::reuse::{Reuse, Trouble};
use crate::store::memory::Entry;
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
        self.health.asking(turn, &self.config.breaker, || ask.routed_to(turn.host))
    }

    /// Whether an entry may be served to the request of a stream because the origin has just failed: by its own windows, or
    /// because the cluster is taken to be down.
    pub(super) fn on_failure(
        &mut self,
        turn: Turn<'_, impl Host>,
        entry: &Entry,
        ask: &Ask,
    ) -> Option<Reuse> {
        self.storage.on_error(entry, ask, turn.now).or_else(|| {
            let reuse = self.storage.in_trouble(Trouble::Down, entry, ask, turn.now)?;
            let cluster = || turn.host.cluster(ask.stream);
            self.health.down(turn.host, &self.config.breaker, cluster).map(|_| reuse)
        })
    }

    /// What is served without asking, because the cluster that would answer is taken to be down.
    pub(super) fn stale_if_down(&mut self, turn: Turn<'_, impl Host>, miss: &Miss<'_>) -> Option<Decision> {
        let entry = miss.best.entry.as_ref().filter(|_| miss.reason != ForwardReason::Request)?;
        let reuse = self.storage.in_trouble(Trouble::Down, entry, miss.ask, turn.now)?;
        self.health.down(turn.host, &self.config.breaker, || miss.ask.routed_to(turn.host))?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }
}
