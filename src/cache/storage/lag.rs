//! What a verdict is worth where purges of other Envoys may have been missed, because etcd was not heard of (F7).

use core::time::Duration;

use crate::config::{FleetConfig, WhenLagging};
use crate::invalidation::Verdict;
use crate::policy::StoredResponse;
use crate::time::{Monotonic, Now, Timestamp};

/// The contact with the fleet's log, as this worker knows it.
#[derive(Default)]
pub(super) struct Lag {
    /// How long ago etcd may have been heard of, and what becomes of stored responses beyond that; none without a fleet.
    bound: Option<(Duration, WhenLagging)>,
    /// When it was last heard of.
    contact: Option<Monotonic>,
}

impl Lag {
    pub(super) fn configure(&mut self, fleet: &FleetConfig) {
        self.bound = fleet.name.is_some().then_some((fleet.max_lag, fleet.when_lagging));
    }

    /// Etcd was last heard of at this time.
    pub(super) fn set_contact(&mut self, contact: Option<Monotonic>) {
        self.contact = contact;
    }

    /// The verdict on a stored response. In contact that is one comparison.
    ///
    /// What was fetched or validated since `max_lag` ago is fresh by a proof of its own, so an outage of etcd costs the
    /// origin one request for each key and `max_lag`, and not one for each use.
    pub(super) fn applied(&self, verdict: Verdict, stored: &StoredResponse, now: Now) -> Verdict {
        let Some((max_lag, when_lagging)) = self.bound else { return verdict };
        if self.contact.is_some_and(|contact| now.mono.since(contact) <= max_lag) {
            return verdict;
        }
        let begun = fetch_began(stored);
        let is_old = now.wall.since(begun) > max_lag || begun > now.wall;
        let missed = match when_lagging {
            WhenLagging::Bypass => Verdict::Revalidate,
            WhenLagging::Revalidate if is_old => Verdict::Revalidate,
            WhenLagging::Stale if is_old => Verdict::Soft { at: begun.after(max_lag).min(now.wall) },
            WhenLagging::Serve | WhenLagging::Revalidate | WhenLagging::Stale => return verdict,
        };
        verdict.and(missed)
    }
}

/// When the fetch began that a response came by, or that has confirmed it (C3): not when its response was there. By
/// RFC 9111 §4.2.3 the age on arrival covers what it took; an `Age` of the origin's is in whole seconds, so it may be one
/// more.
fn fetch_began(stored: &StoredResponse) -> Timestamp {
    let cut = if stored.fields.contains("age") { Duration::from_secs(1) } else { Duration::ZERO };
    let age = stored.initial_age.saturating_add(cut).as_millis();
    Timestamp(stored.response_time.0.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX)))
}
