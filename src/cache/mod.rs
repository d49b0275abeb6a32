//! The cache of one worker: what it remembers, who waits in it and what it fetches.
//!
//! One procedure, [`Cache::lookup`], decides for new requests, hints, sweeps and landings. It always reads the
//! journal first, so nothing that an acknowledged purge covers is ever served. What a decision means for streams
//! other than the one that the host is asking about comes out of [`Cache::next_effect`], because the host allows
//! replies to other streams, and fetches that outlive a stream, only from some callbacks.

mod assess;
mod chosen;
mod clocks;
mod completion;
mod context;
mod detached;
mod dispatch;
mod fetches;
mod hit_for_miss;
mod inspect;
mod journal_view;
mod late;
mod learned_route;
mod lookup;
mod miss;
mod no_vary_search;
mod origin_health;
mod placement;
mod reclaim;
pub mod reductions;
mod request;
mod response;
mod route;
mod stale;
mod table_cluster;
mod taken_route;
mod twice;
mod variants;
mod waiters;
mod waiting;

use core::cell::Cell;
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

pub use assess::{BodyLimit, Confirmation, assessed, body_limit};
pub use completion::FetchEnd;
pub use context::Context;
pub use dispatch::{Call, CallResponse, Refusal, is_envoys_own, is_failure};
pub use inspect::{Found, Page, Refetch, Seen, Survey};
pub use late::Late;
pub use learned_route::{LearnedRoute, Route};
pub use request::{Ask, Decided, Decision, Delivery, StreamId, Waited};
pub use response::{Storable, failed};
pub use taken_route::taken_route;

pub use crate::store::{Identity, Place};

use crate::config::Config;
use crate::http::{Fields, Peer};
use crate::in_flight::InFlight;
use crate::invalidation::Invalidation;
use crate::outcome::metrics::{Counter, Gauge, Metrics};
use crate::store::journal::{Busy, Synced};
use crate::store::memory::WorkerMemory;
use crate::store::workers;
use crate::store::{Limits, SharedData, Writer};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;
use fetches::Fetches;
use hit_for_miss::HitForMiss;
use journal_view::JournalView;
use origin_health::OriginHealth;
use table_cluster::TableClusters;
use twice::Twice;
use waiters::Waiters;

/// What the cache needs of the world.
pub trait Host: SharedData + Metrics {
    /// The header section of a stream's request as the router sent it. Known at the end of a stream, while it is being
    /// logged.
    fn sent(&self, stream: StreamId) -> Option<Fields>;
    /// The route that was chosen for the request of a stream; none where that leads to no cluster, or the stream is gone.
    fn route(&self, stream: StreamId) -> Option<Route>;
    /// The name of the route that was chosen for the request of a stream; empty where it has none.
    fn route_name(&self, stream: StreamId) -> Vec<u8>;
    /// Whether the response to the request of a stream comes from the cluster, and not from Envoy or one of its filters.
    fn is_from_upstream(&self, stream: StreamId) -> bool;
    /// The cluster of that route.
    fn cluster(&self, stream: StreamId) -> Option<String>;
    /// The dynamic metadata that filters have left with the request of a stream, as a serialised
    /// `envoy.config.core.v3.Metadata`; empty when there is none.
    fn metadata(&self, stream: StreamId) -> Vec<u8>;
    /// The routes that this worker has met lately whose rule for the cache is wrong, each with what is wrong with it.
    fn wrong_routes(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// Who is on the other end of the connection of the stream that the host is asking about.
    fn peer(&self) -> Peer;
}

/// What is to be done for a stream or an upstream outside the callback that decided it.
#[derive(Debug)]
pub enum Effect {
    /// A parked request has been decided; never [`Decision::Wait`].
    Decided(Rc<Ask>, Decision),
    /// A fetch is to be dispatched by the root.
    Dispatch(u64),
}

/// The cache of one worker.
pub struct Cache {
    config: Rc<Config>,
    writer: Writer,
    hit_for_miss: HitForMiss,
    /// Variants that are stored and on no list yet, and how often it is still tried to put them there.
    unlisted: Vec<(variants::Listing, u8)>,
    captures: late::Captures,
    /// Whether this worker knows that any has met `No-Vary-Search`.
    searches: bool,
    journal: JournalView,
    memory: WorkerMemory,
    in_flight: InFlight,
    reclaiming: reclaim::Reclaiming,
    /// The number of the learned route that this worker has met last since its last tick, and at which head.
    route_met: (u32, u64),
    table_clusters: TableClusters,
    waiters: Waiters,
    fetches: Fetches,
    effects: VecDeque<Effect>,
    twice: Twice,
    /// When two routes were found for one key, last.
    routes_differ: Cell<Option<Monotonic>>,
    health: OriginHealth,
}

impl Cache {
    /// A cache that remembers nothing.
    #[must_use]
    pub fn new(config: Rc<Config>, identity: Identity) -> Self {
        Cache {
            memory: WorkerMemory::new(config.store.worker_bytes_max),
            in_flight: InFlight::new(config.store.in_flight_bytes_max),
            writer: Writer::new(identity, limits(&config)),
            reclaiming: reclaim::Reclaiming::starting_at(identity.nonce),
            route_met: (0, 0),
            table_clusters: TableClusters::of(&config),
            config,
            hit_for_miss: HitForMiss::default(),
            unlisted: Vec::new(),
            captures: late::Captures::default(),
            searches: false,
            journal: JournalView::new(identity.seed),
            waiters: Waiters::default(),
            fetches: Fetches::default(),
            effects: VecDeque::new(),
            twice: Twice::default(),
            routes_differ: Cell::new(None),
            health: OriginHealth::default(),
        }
    }

    /// Puts another configuration in force; what is stored stays.
    pub fn configure(&mut self, config: Rc<Config>) {
        self.memory.set_bytes_max(config.store.worker_bytes_max);
        self.table_clusters.configure(&config);
        self.in_flight.set_bytes_max(config.store.in_flight_bytes_max);
        self.writer.set_limits(limits(&config));
        self.config = config;
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Rc<Config> {
        &self.config
    }

    /// The place of this worker in the registry.
    #[must_use]
    pub fn worker(&self) -> Option<u8> {
        self.writer.worker()
    }

    /// Takes or keeps a place in the registry of workers that can be woken.
    pub fn register(&mut self, turn: Turn<'_, impl Host>) -> Option<u8> {
        let held = workers::Held { copies: self.memory.bytes(), in_flight: self.in_flight.bytes() };
        let claimed = workers::claim(turn.host, self.writer.identity().nonce, held, turn.now.mono);
        if let Some((_, all)) = claimed {
            turn.host.show(Gauge::WorkerBytes, all.copies);
            turn.host.show(Gauge::InFlightBytes, all.in_flight);
        }
        self.writer.set_worker(claimed.map(|(place, _)| place));
        self.worker()
    }

    /// The next thing to do outside the callback that decided it.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether it is looked at what becomes of the next stored response that is served: of the first ones, and then of few,
    /// since to read it costs something.
    #[must_use]
    pub fn looks_closely(&self) -> bool {
        self.twice.looks_at_next()
    }

    /// A filter behind the cache has changed this in a response from it, and before it was stored. Whether that is news.
    pub fn found_twice(&mut self, what: Vec<String>, now: Now) -> bool {
        self.twice.found(what, now.mono)
    }

    /// What filters behind the cache were lately seen to change twice: somebody may have moved the filter, of which the
    /// cache hears nothing.
    #[must_use]
    pub fn twice(&self, now: Now) -> &[String] {
        self.twice.lately(now.mono)
    }

    /// Whether nothing is waiting to be considered or done.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.effects.is_empty() && self.waiters.are_settled()
    }

    /// The memory of this worker for requests and responses under way.
    #[must_use]
    pub const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// How many requests wait, and how many fetches run: both zero in an idle worker.
    #[must_use]
    pub fn waiting_and_fetching(&self) -> (usize, usize) {
        (self.waiters.count(), self.fetches.count())
    }

    /// The bytes of this worker's own copies.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// The journal's head as this worker has read it.
    #[must_use]
    pub fn journal_head(&self) -> u64 {
        self.journal.head()
    }

    /// Reads the journal; whether the cache may be used in this callback.
    fn sync(&mut self, host: &impl Host) -> bool {
        match self.journal.sync(host) {
            Synced::Current => true,
            Synced::Renewed => {
                self.memory.clear();
                self.reclaim_anew();
                self.fetches.forget_journal();
                true
            }
            Synced::Unavailable => false,
        }
    }

    /// Writes an invalidation to the journal. Once this returns a position it holds on every worker.
    ///
    /// # Errors
    /// [`Busy`] when it could not be written; it does not hold then, anywhere.
    pub fn invalidate(&mut self, host: &impl Host, invalidation: &Invalidation) -> Result<u64, Busy> {
        let written = if self.sync(host) {
            self.journal.append(host, invalidation, self.writer.identity().seed.0)
        } else {
            Err(Busy)
        };
        host.count(match written {
            Ok(_) => Counter::Invalidation(invalidation.mode),
            Err(Busy) => Counter::InvalidationRefused,
        });
        written
    }

    fn lease(&self) -> Duration {
        self.config.collapse.lease
    }
}

/// What a configuration lets the store take.
fn limits(config: &Config) -> Limits {
    let store = &config.store;
    Limits {
        entries_max: store.entries_max,
        bytes_max: store.bytes_max,
        host_bytes_max: store.host_bytes_max,
        lease: config.collapse.lease,
    }
}
