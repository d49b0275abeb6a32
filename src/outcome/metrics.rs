//! The closed list of counters and gauges.
//!
//! Envoy shows them as `wasmcustom.<name>`; they are sums over all workers.

use super::{Bypass, Forward, ForwardReason, Local, NotStored, Outcome, StaleReason};
use crate::invalidation::Mode;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    /// A request that was answered by a fresh stored response.
    Hit,
    /// A request that was answered by a stale stored response.
    HitStale(StaleReason),
    /// A request that went to the origin.
    Forward(ForwardReason),
    /// A request that waited for the fetch of another.
    Waited,
    /// A response that had begun and of which nothing came for as long as a lease, while others waited for it.
    Stalled,
    /// A request that was answered by the fetch of another, for which it waited.
    Collapsed,
    /// A request that the cache answered by itself.
    Local(Local),
    /// A request that ended before there was an answer, because its client left.
    Unanswered,
    /// A response that was stored.
    Stored,
    /// An answer from the origin that was not stored.
    NotStored(NotStored),
    /// A fetch that others might have waited for and whose response was not stored.
    FetchNotStored(NotStored),
    /// A stored response that was confirmed by a 304.
    Revalidated,
    /// A fetch that the cache made by itself.
    Dispatched,
    /// A stored response that was to be refreshed before it expired, because it is in demand.
    RefreshedAhead,
    /// A cluster that is taken to be down from now on.
    BreakerOpened,
    /// A cluster that is no longer taken to be down.
    BreakerClosed,
    /// A fetch that was to look whether a cluster is back.
    Probe,
    /// A fetch by the cache itself that failed.
    DispatchFailed,
    /// A stored response that was evicted to make room.
    Evicted,
    /// A hard purged response whose room was given back.
    Reclaimed,
    /// An invalidation that was written.
    Invalidation(Mode),
    /// An invalidation that could not be written.
    InvalidationRefused,
    /// An invalidation beyond the rate of unsafe requests, which was gathered with others.
    InvalidationGathered,
    /// A damaged part of the journal that was replaced by purges of everything.
    JournalHealed,
    /// A compare-and-set that had to be tried again.
    Conflict,
    /// A wall clock that a worker has seen set back.
    ClockSetBack,
    /// A response that was stale when it came by its `Date` alone: its origin's clock is behind.
    OriginClockBehind,
    /// A set or a record in shared data that was met and was not as anybody wrote it: what was stored there is gone.
    Damaged,
    /// A command with a token that is not known.
    Unauthorised,
}

/// A value that goes up and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gauge {
    /// Changes with each invalidation: the clock of the journal.
    JournalEpoch,
    /// The bytes that are stored.
    Bytes,
    /// The records that are stored.
    Entries,
    /// The clusters that are taken to be down.
    BreakersOpen,
    /// The bytes of the copies that workers have of their own.
    WorkerBytes,
    /// The bytes that requests and responses under way hold.
    InFlightBytes,
}

/// Where counters are counted.
pub trait Metrics {
    /// Adds one to a counter.
    fn count(&self, counter: Counter);
    /// Shows the value of a gauge, as the workers of one `vm_id` know it.
    fn show(&self, gauge: Gauge, value: u64);
    /// All counters and gauges with their values.
    fn values(&self) -> Vec<(String, u64)>;
    /// A sentence for the log, about what an operator has to mend.
    fn warn(&self, _sentence: &str) {}
}

impl Gauge {
    /// All gauges.
    pub const ALL: [Gauge; 6] = [
        Gauge::JournalEpoch,
        Gauge::Bytes,
        Gauge::Entries,
        Gauge::BreakersOpen,
        Gauge::WorkerBytes,
        Gauge::InFlightBytes,
    ];

    /// The name, with the prefix `larder_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Gauge::JournalEpoch => "larder_journal_epoch",
            Gauge::Bytes => "larder_stored_bytes",
            Gauge::Entries => "larder_stored_entries",
            Gauge::BreakersOpen => "larder_breakers_open",
            Gauge::WorkerBytes => "larder_worker_bytes",
            Gauge::InFlightBytes => "larder_in_flight_bytes",
        }
    }
}

const MODES: [Mode; 3] = [Mode::Soft, Mode::Revalidate, Mode::Hard];

impl Counter {
    /// All counters, in the order of [`Counter::index`].
    pub fn all() -> impl Iterator<Item = Counter> {
        let single = [
            Counter::Hit,
            Counter::Waited,
            Counter::Stalled,
            Counter::Collapsed,
            Counter::Unanswered,
            Counter::Stored,
            Counter::Revalidated,
            Counter::Dispatched,
            Counter::RefreshedAhead,
            Counter::BreakerOpened,
            Counter::BreakerClosed,
            Counter::Probe,
            Counter::DispatchFailed,
            Counter::Evicted,
            Counter::Reclaimed,
            Counter::InvalidationRefused,
            Counter::InvalidationGathered,
            Counter::JournalHealed,
            Counter::Conflict,
            Counter::ClockSetBack,
            Counter::OriginClockBehind,
            Counter::Damaged,
            Counter::Unauthorised,
        ];
        single
            .into_iter()
            .chain(StaleReason::ALL.into_iter().map(Counter::HitStale))
            .chain(ForwardReason::ALL.into_iter().map(Counter::Forward))
            .chain(Bypass::ALL.into_iter().map(|b| Counter::Forward(ForwardReason::Bypass(b))))
            .chain(MODES.into_iter().map(Counter::Invalidation))
            .chain(Local::ALL.into_iter().map(Counter::Local))
            .chain(NotStored::ALL.into_iter().map(Counter::NotStored))
            .chain(NotStored::ALL.into_iter().map(Counter::FetchNotStored))
    }

    /// What an answer counts as: what its `Cache-Status` says.
    pub fn of(outcome: &Outcome) -> impl Iterator<Item = Counter> {
        let (counter, not_stored) = match outcome {
            Outcome::Hit { stale: None, .. } => (Counter::Hit, None),
            Outcome::Hit { stale: Some(stale), .. } => (Counter::HitStale(*stale), None),
            Outcome::Forward(Forward { collapsed: Some(true), .. }) => (Counter::Collapsed, None),
            Outcome::Forward(forward) => (Counter::Forward(forward.reason), forward.not_stored()),
            Outcome::Local(local) => (Counter::Local(*local), None),
        };
        [Some(counter), not_stored.map(Counter::NotStored)].into_iter().flatten()
    }

    /// The position of a counter in [`Counter::all`]; the one of the most frequent counter costs no search.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Counter::Hit => 0,
            _ => Self::all().position(|c| c == self).unwrap_or_default(),
        }
    }

    /// The name, with the prefix `larder_`.
    #[must_use]
    pub fn name(self) -> String {
        let (family, label) = match self {
            Counter::Hit => ("hits", ""),
            Counter::HitStale(reason) => ("hits_stale", reason.as_str()),
            Counter::Forward(ForwardReason::Bypass(why)) => ("forwarded_bypass", why.as_str()),
            Counter::Forward(reason) => ("forwarded", reason.as_str()),
            Counter::Waited => ("waited", ""),
            Counter::Stalled => ("stalled", ""),
            Counter::Collapsed => ("collapsed", ""),
            Counter::Local(local) => ("local", local.as_str()),
            Counter::Unanswered => ("unanswered", ""),
            Counter::Stored => ("stored", ""),
            Counter::NotStored(reason) => ("not_stored", reason.as_str()),
            Counter::FetchNotStored(reason) => ("fetches_not_stored", reason.as_str()),
            Counter::Revalidated => ("revalidated", ""),
            Counter::Dispatched => ("dispatched", ""),
            Counter::RefreshedAhead => ("refreshed_ahead", ""),
            Counter::BreakerOpened => ("breaker_opened", ""),
            Counter::BreakerClosed => ("breaker_closed", ""),
            Counter::Probe => ("breaker_probes", ""),
            Counter::DispatchFailed => ("dispatched_failed", ""),
            Counter::Evicted => ("evicted", ""),
            Counter::Reclaimed => ("reclaimed", ""),
            Counter::Invalidation(mode) => ("invalidations", mode.as_str()),
            Counter::InvalidationRefused => ("invalidations_refused", ""),
            Counter::InvalidationGathered => ("invalidations_gathered", ""),
            Counter::JournalHealed => ("journal_healed", ""),
            Counter::Conflict => ("conflicts", ""),
            Counter::ClockSetBack => ("clock_set_back", ""),
            Counter::OriginClockBehind => ("origin_clock_behind", ""),
            Counter::Damaged => ("damaged", ""),
            Counter::Unauthorised => ("admin_unauthorized", ""),
        };
        let mut name = format!("larder_{family}");
        if !label.is_empty() {
            name.push('_');
            name.extend(label.chars().map(|c| if c == '-' { '_' } else { c }));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Stored;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_counter_is_found_where_it_stands() {
        for (at, counter) in Counter::all().enumerate() {
            assert_eq!(counter.index(), at, "{counter:?}");
        }
    }

    #[test]
    fn an_answer_counts_as_what_its_cache_status_says() {
        let forward = |reason, stored, collapsed| {
            Outcome::Forward(Forward { stored, collapsed, ..Forward::new(reason) })
        };
        let (miss, no_store) = (ForwardReason::UriMiss, Stored::No(NotStored::NoStore));
        let rule = ForwardReason::Bypass(Bypass::Rule);
        for (outcome, status, names) in [
            (Outcome::Hit { ttl: 7, stale: None }, "; hit; ttl=7", &["hits"][..]),
            (
                Outcome::Hit { ttl: -1, stale: Some(StaleReason::IfError) },
                "; hit; ttl=-1; detail=stale-if-error",
                &["hits_stale_stale_if_error"],
            ),
            (forward(miss, Stored::Yes, None), "; fwd=uri-miss; stored", &["forwarded_uri_miss"]),
            (
                forward(miss, no_store, None),
                "; fwd=uri-miss; detail=no-store",
                &["forwarded_uri_miss", "not_stored_no_store"],
            ),
            (
                forward(ForwardReason::Purged, no_store, None),
                "; fwd=uri-miss; detail=no-store",
                &["forwarded_purged", "not_stored_no_store"],
            ),
            (
                forward(ForwardReason::Purged, Stored::Yes, None),
                "; fwd=uri-miss; stored; detail=purged",
                &["forwarded_purged"],
            ),
            (
                forward(miss, no_store, Some(true)),
                "; fwd=uri-miss; collapsed; detail=no-store",
                &["collapsed"],
            ),
            (forward(rule, no_store, None), "; fwd=bypass; detail=rule", &["forwarded_bypass_rule"]),
            (Outcome::Forward(Forward::new(ForwardReason::Method)), "; fwd=method", &["forwarded_method"]),
            (Outcome::Local(Local::OnlyIfCached), "; detail=only-if-cached", &["local_only_if_cached"]),
        ] {
            assert_eq!(outcome.cache_status("larder"), format!("larder{status}"));
            let counted: Vec<String> = Counter::of(&outcome).map(Counter::name).collect();
            let expected: Vec<String> = names.iter().map(|name| format!("larder_{name}")).collect();
            assert_eq!(counted, expected, "{status}");
        }
    }

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let mut names: Vec<String> = Counter::all().map(Counter::name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.contains(&"larder_not_stored_no_store".to_owned()), "{names:?}");
    }
}
