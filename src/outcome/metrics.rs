//! The closed list of counters and gauges, in one table of each.
//!
//! Envoy shows them as `wasmcustom.<name>`; they are sums over all workers.

use super::{Forward, ForwardReason, JoinReason, Local, NotStored, Outcome, StaleReason};
use crate::invalidation::Mode;

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

/// Makes the counters from their tables: of those that stand alone, and of the families, whose counters are told apart by
/// a word. A row has the name (without the prefix `larder_`), the unit, and what it means.
macro_rules! counters {
    (
        alone { $($variant:ident => $name:literal, $unit:literal, $meaning:literal;)+ }
        families {
            $($family:ident($word:ident) in $words:expr =>
                $family_name:literal, $family_unit:literal, $family_meaning:literal;)+
        }
    ) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Counter {
            $(#[doc = $meaning] $variant,)+
            $(#[doc = $family_meaning] $family($word),)+
        }

        /// The counters without a family, in the order of the table.
        enum Alone {
            $($variant,)+
        }

        impl Counter {
            /// All counters, in the order of [`Counter::index`].
            pub fn all() -> impl Iterator<Item = Counter> {
                let alone = [$(Counter::$variant),+].into_iter();
                alone$(.chain($words.into_iter().map(Counter::$family)))+
            }

            /// The position of a counter in [`Counter::all`]; that of one that stands alone costs no search.
            #[must_use]
            pub fn index(self) -> usize {
                match self {
                    $(Counter::$variant => Alone::$variant as usize,)+
                    $(Counter::$family(_))|+ => Self::all().position(|c| c == self).unwrap_or_default(),
                }
            }

            /// The name without its prefix, and the word that ends it where there is one.
            const fn name_and_word(self) -> (&'static str, &'static str) {
                match self {
                    $(Counter::$variant => ($name, ""),)+
                    $(Counter::$family(word) => ($family_name, word.as_str()),)+
                }
            }

            /// What it counts, in one word.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Counter::$variant => $unit,)+
                    $(Counter::$family(_) => $family_unit,)+
                }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Counter::$variant => $meaning,)+
                    $(Counter::$family(_) => $family_meaning,)+
                }
            }
        }
    };
}

counters! {
    alone {
        Hit => "hits", "requests",
            "Requests that were served a fresh stored response.";

        Waited => "waited", "requests",
            "Requests that waited for another request's fetch, whatever the result.";

        Collapsed => "collapsed", "requests",
            "Requests that were served from another request's fetch, for which they waited.";

        Unanswered => "unanswered", "requests",
            "Requests without an answer from cache or origin: the client left, or Envoy itself answered, as at a timeout.";

        Stored => "stored", "responses",
            "Responses that were stored; a stored response that a 304 has revalidated counts again.";

        Stalled => "stalled", "fetches",
            "Fetches whose response began and then sent nothing for as long as a lease, while others waited for it.";

        Revalidated => "revalidated", "responses",
            "Stored responses that the origin has revalidated with a 304.";

        Dispatched => "dispatched", "fetches",
            "Fetches that Larder dispatched itself, rather than forwarding a client's request.";

        DispatchFailed => "dispatched_failed", "fetches",
            "Dispatched fetches that failed, were answered with an error, or could not be sent.";

        RefreshedAhead => "refreshed_ahead", "fetches",
            "Fetches that refresh a popular stored response before it expires.";

        BreakerOpened => "breaker_opened", "clusters",
            "How often a circuit breaker opened: the cluster failed too often in a row.";

        BreakerClosed => "breaker_closed", "clusters",
            "How often a circuit breaker closed: the cluster answers again.";

        Probe => "breaker_probes", "fetches",
            "Probes: fetches that test whether a cluster has recovered.";

        Evicted => "evicted", "responses",
            "Stored responses that were evicted to make room.";

        Reclaimed => "reclaimed", "responses",
            "Hard purged responses whose memory was freed.";

        InvalidationRefused => "invalidations_refused", "invalidations",
            "Invalidations that could not be written to the journal: a command gets 503, one by an unsafe request is \
             tried again.";

        InvalidationGathered => "invalidations_gathered", "invalidations",
            "Invalidations beyond the rate limit of unsafe requests (`unsafe_methods`), which were merged with others.";

        JournalHealed => "journal_healed", "times",
            "Damaged parts of the journal that were replaced by purges of everything.";

        Conflict => "conflicts", "times",
            "Compare-and-sets on shared data that were lost to another worker and tried again.";

        ClockSetBack => "clock_set_back", "times",
            "How often a worker has seen the wall clock set back; all stored responses are then validated before \
             their next use.";

        OriginClockBehind => "origin_clock_behind", "responses",
            "Responses that were stale on arrival only by their `Date`: the clock of their origin is behind.";

        Damaged => "damaged", "values",
            "Values in shared data that failed their checksum; what they stored is lost.";

        Unauthorised => "admin_unauthorized", "commands",
            "Commands with an unknown token.";

        FleetPublished => "fleet_published", "invalidations",
            "Invalidations of this Envoy that the fleet has: etcd has committed them.";

        FleetPublishFailed => "fleet_publish_failed", "batches",
            "Batches that etcd did not take, or did not answer in time; they are sent again.";

        FleetApplied => "fleet_applied", "batches",
            "Batches of others whose invalidations are in the journal.";

        FleetCoarsened => "fleet_coarsened", "batches",
            "Batches beyond `fleet.apply_rate`, which became an invalidation of everything.";

        FleetUnreadable => "fleet_unreadable", "batches",
            "Batches of which something was not understood; what was not covers more than it may say.";

        FleetReconnect => "fleet_reconnects", "times",
            "How often the way to etcd was lost, or etcd has refused something.";
    }

    families {
        HitStale(StaleReason) in StaleReason::ALL => "hits_stale", "requests",
            "Requests that were served a stale stored response, for this reason.";

        Forward(ForwardReason) in ForwardReason::all() => "forwarded", "requests",
            "Requests that were forwarded to the origin, for this reason; those with `bypass` bypassed the cache.";

        Local(Local) in Local::ALL => "local", "requests",
            "Requests that Larder answered itself, without a stored response.";

        NotStored(NotStored) in NotStored::ALL => "not_stored", "responses",
            "Answers from the origin that were not stored, for this reason.";

        FetchNotStored(NotStored) in NotStored::ALL => "fetches_not_stored", "fetches",
            "Fetches that requests could wait for and whose response was not stored, for this reason. Each fetch \
             counts once, however many requests waited; refreshes count too.";

        FleetJoined(JoinReason) in JoinReason::ALL => "fleet_joined", "times",
            "How often everything that is stored was invalidated because purges may have been missed, for this reason.";

        Invalidation(Mode) in Mode::ALL => "invalidations", "invalidations",
            "Invalidations that were written to the journal, of this mode.";
    }
}

impl Counter {
    /// The counters of an answer: those that its `Cache-Status` names.
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

    /// The name, with the prefix `larder_`.
    #[must_use]
    pub fn name(self) -> String {
        let (mut name, word) = (self.stem(), self.name_and_word().1);
        if !word.is_empty() {
            name.push('_');
            name.extend(word.chars().map(|c| if c == '-' { '_' } else { c }));
        }
        name
    }

    /// The name of a family, or of a counter that stands alone, with the prefix `larder_`.
    fn stem(self) -> String {
        let bypass = matches!(self, Counter::Forward(ForwardReason::Bypass(_)));
        format!("larder_{}{}", self.name_and_word().0, if bypass { "_bypass" } else { "" })
    }

    /// The name, with `<reason>` or `<mode>` for the word that tells it from others of its family.
    #[must_use]
    pub fn family(self) -> String {
        let word = match self {
            Counter::Invalidation(_) => "_<mode>",
            _ if self.name_and_word().1.is_empty() => "",
            _ => "_<reason>",
        };
        self.stem() + word
    }
}

/// Makes the gauges from their table, whose rows are like those of the counters.
macro_rules! gauges {
    ($($variant:ident => $name:literal, $unit:literal, $meaning:literal;)+) => {
        /// A value that goes up and down.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Gauge {
            $(#[doc = $meaning] $variant,)+
        }

        impl Gauge {
            /// All gauges.
            pub const ALL: [Gauge; [$($name),+].len()] = [$(Gauge::$variant),+];

            /// The name, with the prefix `larder_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Gauge::$variant => concat!("larder_", $name),)+
                }
            }

            /// What it counts, in one word.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Gauge::$variant => $unit,)+
                }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Gauge::$variant => $meaning,)+
                }
            }
        }
    };
}

gauges! {
    JournalEpoch => "journal_epoch", "",
        "The clock of the journal, which changes with each invalidation; its value means nothing.";

    Bytes => "stored_bytes", "bytes",
        "The bytes that are stored, as `store.bytes_max` counts them.";

    Entries => "stored_entries", "records",
        "The records that are stored.";

    BreakersOpen => "breakers_open", "clusters",
        "The clusters that are taken to be down.";

    WorkerBytes => "worker_bytes", "bytes",
        "The bytes that workers have copied of stored responses into memory of their own.";

    InFlightBytes => "in_flight_bytes", "bytes",
        "The bytes that requests and responses under way hold.";

    FleetRevision => "fleet_revision", "revisions",
        "Everything up to this revision of the fleet's log is in the journal.";

    FleetLag => "fleet_lag_ms", "milliseconds",
        "How long ago etcd was asked a question whose answer said that no purge was missed.";

    FleetMembers => "fleet_members", "Envoys",
        "The members that are listed in etcd (`fleet.members`).";

    FleetUnshipped => "fleet_unshipped", "positions",
        "How far the fleet is behind this Envoy's journal.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Bypass, Stored};
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
