//! The clusters that lead fetches of the root to the route table (`collapse.cluster`), as far as Envoy lacks them. One worker
//! finds out, and all hear of it.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::store::{SharedData, shared_key};
use crate::time::Monotonic;

/// How long a cluster that Envoy lacks is not tried again.
const LACKING_FOR: Duration = Duration::from_secs(10);
/// How many clusters that Envoy lacks are remembered. Beyond it the one that was found lacking the longest ago is
/// forgotten, and tried again.
const LACKING_MAX: usize = 8;

/// What this worker knows of such clusters.
pub(super) struct TableClusters {
    lacking: Vec<Lacking>,
    /// Whether any configuration has named one.
    is_any_named: bool,
}

/// A cluster that Envoy was found to lack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Lacking {
    cluster: String,
    until: Monotonic,
}

impl TableClusters {
    /// What a worker knows that has tried nothing yet.
    pub(super) fn of(config: &Config) -> TableClusters {
        TableClusters { lacking: Vec::new(), is_any_named: config.collapse.cluster.is_some() }
    }

    /// Another configuration is in force.
    pub(super) fn configure(&mut self, config: &Config) {
        self.is_any_named |= config.collapse.cluster.is_some();
    }

    /// The cluster that this configuration names, if a call by it may be tried.
    pub(super) fn usable<'a>(&self, config: &'a Config, now: Monotonic) -> Option<&'a str> {
        let cluster = config.collapse.cluster.as_deref()?;
        self.lacking(cluster).is_none_or(|lacking| lacking.until <= now).then_some(cluster)
    }

    /// The cluster that this configuration names, if Envoy was found to lack it.
    pub(super) fn lacked<'a>(&self, config: &'a Config) -> Option<&'a str> {
        let cluster = config.collapse.cluster.as_deref()?;
        self.lacking(cluster).is_some().then_some(cluster)
    }

    fn lacking(&self, cluster: &str) -> Option<&Lacking> {
        self.lacking.iter().find(|lacking| lacking.cluster == cluster)
    }

    /// Envoy has this cluster, or lacks it. Whether that is news, which an operator should read in the log.
    pub(super) fn found(
        &mut self,
        data: &impl SharedData,
        cluster: &str,
        there: bool,
        now: Monotonic,
    ) -> bool {
        let was_there = self.lacking(cluster).is_none();
        if there && was_there {
            return false;
        }
        self.lacking.retain(|lacking| lacking.cluster != cluster);
        if !there {
            let until = now.after(LACKING_FOR);
            self.lacking.insert(0, Lacking { cluster: cluster.to_owned(), until });
            self.lacking.truncate(LACKING_MAX);
        }
        data.set(&key(), &postcard::to_allocvec(&self.lacking).unwrap_or_default());
        was_there != there
    }

    /// Hears what other workers have found.
    pub(super) fn hear(&mut self, data: &impl SharedData) {
        if self.is_any_named {
            let said = data.get(&key());
            self.lacking = said.and_then(|said| postcard::from_bytes(&said.bytes).ok()).unwrap_or_default();
        }
    }
}

fn key() -> String {
    shared_key("cluster", &[])
}
