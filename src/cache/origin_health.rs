//! Which clusters are in trouble, as this worker knows it: it tells the others of failures, and of answers of those that were
//! in trouble ([`crate::breaker`] has the rules).

use super::host::Host;
use crate::breaker::{Breakers, CLUSTERS_MAX, Change};
use crate::config::BreakerConfig;
use crate::outcome::metrics::{Counter, Gauge};
use crate::turn::Turn;

/// What this worker knows.
#[derive(Default)]
pub(super) struct OriginHealth {
    /// Clusters that are known to be in trouble: whose answers are worth telling.
    suspects: Vec<String>,
}

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

impl OriginHealth {
    /// Which clusters other workers have found to be in trouble: whoever hears one of them answer says so.
    pub(super) fn hear(&mut self, host: &impl Host) {
        let breakers = Breakers::read(host);
        self.suspects = breakers.troubles().map(|trouble| trouble.cluster.clone()).collect();
        host.show(Gauge::BreakersOpen, breakers.open());
    }

    /// A cluster has answered a request, or failed to. Only failures, and answers of clusters that are in trouble, are
    /// worth finding out which cluster it was.
    pub(super) fn answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        rules: &BreakerConfig,
        cluster: impl FnOnce() -> Option<String>,
        failed: bool,
    ) {
        if !rules.enabled || (!failed && self.suspects.is_empty()) {
            return;
        }
        let Some(cluster) = cluster() else { return };
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

    /// Whether a cluster may be asked, when something stored can be served as well.
    pub(super) fn asking(
        &mut self,
        turn: Turn<'_, impl Host>,
        rules: &BreakerConfig,
        cluster: impl FnOnce() -> Option<String>,
    ) -> Asking {
        let Some(cluster) = self.down(turn.host, rules, cluster) else { return Asking::Yes };
        match Breakers::change(turn.host, |all| all.probes(&cluster, rules, turn.now.mono)) {
            Change::Noted => {
                turn.host.count(Counter::Probe);
                Asking::Probe
            }
            Change::None | Change::Opened | Change::Closed => Asking::No,
        }
    }

    /// The cluster, if it is taken to be down. Which one it is is only asked for when any is.
    pub(super) fn down(
        &mut self,
        host: &impl Host,
        rules: &BreakerConfig,
        cluster: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        if !rules.enabled {
            return None;
        }
        let breakers = Breakers::read(host);
        let open =
            (breakers.open() > 0).then(cluster).flatten().filter(|cluster| breakers.is_open(cluster))?;
        self.suspect(open.clone());
        Some(open)
    }

    fn suspect(&mut self, cluster: String) {
        if self.suspects.len() < CLUSTERS_MAX && !self.suspects.contains(&cluster) {
            self.suspects.push(cluster);
        }
    }
}
