//! Serving stale: what is served in the stead of an origin that fails, or that is taken to be down.

use std::rc::Rc;

use super::assess::{is_envoys_own, is_failure};
use super::origin_health::Asking;
use super::storage::Miss;
use super::{Cache, CacheRequest, Decision, Host};
use crate::http::ResponseHead;
use crate::outcome::ForwardReason;
use crate::policy::plain::may_provoke;
use crate::policy::reuse::{Reuse, Trouble};
use crate::store::memory::Entry;
use crate::turn::Turn;

impl Cache {
    /// The cluster that the request of a stream was sent to has answered. An error that the request itself may have brought
    /// about says nothing of the cluster; that Envoy could not reach it says it all.
    pub(super) fn origin_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        head: &ResponseHead,
    ) {
        let failed = is_failure(head);
        if !(failed && !is_envoys_own(head) && may_provoke(&ask.request)) {
            self.cluster_answered(turn, || turn.host.cluster(ask.stream), failed);
        }
    }

    /// A cluster has answered a request, or failed to.
    pub(super) fn cluster_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        cluster: impl FnOnce() -> Option<String>,
        failed: bool,
    ) {
        self.health.answered(turn, &self.config.breaker, cluster, failed);
    }

    /// Whether the cluster that a request is routed to may be asked, when something stored can be served as well.
    pub(super) fn asking(&mut self, turn: Turn<'_, impl Host>, ask: &CacheRequest) -> Asking {
        self.health.asking(turn, &self.config.breaker, || ask.routed_to(turn.host))
    }

    /// What is served to the request of a stream instead of a failure of the origin: by its own windows (`stale-if-error`), or
    /// because the cluster is taken to be down.
    pub(super) fn stale_if_error(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        stored: Option<&Rc<Entry>>,
        head: &ResponseHead,
    ) -> Option<(Rc<Entry>, Reuse)> {
        let entry = stored.filter(|_| is_failure(head))?;
        let reuse = self.storage.on_error(entry, ask, turn.now).or_else(|| {
            let reuse = self.storage.in_trouble(Trouble::Down, entry, ask, turn.now)?;
            let cluster = || turn.host.cluster(ask.stream);
            self.health.down(turn.host, &self.config.breaker, cluster).map(|_| reuse)
        });
        Some((Rc::clone(entry), reuse?))
    }

    /// What is served without asking, because the cluster that would answer is taken to be down.
    pub(super) fn stale_if_down(&mut self, turn: Turn<'_, impl Host>, miss: &Miss<'_>) -> Option<Decision> {
        let entry = miss.best.entry.as_ref().filter(|_| miss.reason != ForwardReason::Request)?;
        let reuse = self.storage.in_trouble(Trouble::Down, entry, miss.ask, turn.now)?;
        self.health.down(turn.host, &self.config.breaker, || miss.ask.routed_to(turn.host))?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }
}
