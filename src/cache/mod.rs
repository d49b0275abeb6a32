//! The cache of one worker: what it remembers, who waits in it and what it fetches.
//!
//! One procedure, [`Cache::lookup`], decides for new requests, hints, sweeps and landings. It always reads the
//! journal first, so nothing that an acknowledged purge covers is ever served. What a decision means for streams
//! other than the one that the host is asking about comes out of [`Cache::next_effect`], because the host allows
//! replies to other streams, and fetches that outlive a stream, only from some callbacks.

mod assess;
mod body;
mod call;
mod call_route;
mod captures;
mod clocks;
mod completion;
mod confirmation;
mod context;
mod direct;
mod fetches;
mod host;
mod inspect;
mod learned_route;
mod lookup;
mod miss;
mod origin_health;
pub mod reductions;
mod refetch;
mod request;
mod response;
mod routes;
mod sent;
mod stale;
mod storable;
mod storage;
mod table_cluster;
mod taken_route;
mod twice;
mod uncollapsed;
mod waiters;
mod waiting;

use std::collections::VecDeque;
use std::rc::Rc;

pub use call::{CallResponse, Refusal};
pub use clocks::origin_clock;
pub use completion::FetchEnd;
pub use context::Context;
pub use direct::under_its_uri;
pub use host::{Host, StreamId};
pub use inspect::{Found, Inspection, Page, Seen, Survey};
pub use learned_route::{LearnedRoute, Route};
pub use refetch::Refetch;
pub use request::{CacheRequest, Decided, Decision, Delivery, Waited};
pub use response::Answered;
pub use routes::Routes;
pub use sent::Call;
pub use storable::Storable;
pub use storage::Storage;
pub use twice::Twice;
pub use uncollapsed::Uncollapsed;

pub use crate::store::{Identity, Place};

use crate::config::Config;
use crate::in_flight::InFlight;
use crate::invalidation::Invalidation;
use crate::outcome::metrics::{Counter, Gauge};
use crate::store::journal::{Busy, Mirror, Synced};
use crate::store::workers;
use crate::time::Monotonic;
use crate::turn::Turn;
use captures::Captures;
use fetches::Fetches;
use origin_health::OriginHealth;
use waiters::Waiters;

/// What is to be done for a stream or an upstream outside the callback that decided it.
#[derive(Debug)]
pub enum Effect {
    /// A parked request has been decided; never [`Decision::Wait`].
    Decided(Rc<CacheRequest>, Decision),
    /// A fetch is to be dispatched by the root.
    Dispatch(u64),
}

/// The cache of one worker. Each part of its state has an owner; here they are brought together, and nothing else is.
pub struct Cache {
    config: Rc<Config>,
    storage: Storage,
    routes: Routes,
    health: OriginHealth,
    fetches: Fetches,
    waiters: Waiters,
    captures: Captures,
    in_flight: InFlight,
    twice: Twice,
    effects: VecDeque<Effect>,
}

impl Cache {
    /// A cache that remembers nothing.
    #[must_use]
    pub fn new(config: Rc<Config>, identity: Identity) -> Self {
        Cache {
            storage: Storage::new(&config, identity),
            routes: Routes::of(&config),
            health: OriginHealth::default(),
            fetches: Fetches::default(),
            waiters: Waiters::default(),
            captures: Captures::default(),
            in_flight: InFlight::new(config.store.in_flight_bytes_max),
            twice: Twice::default(),
            effects: VecDeque::new(),
            config,
        }
    }

    /// Puts another configuration in force; what is stored stays.
    pub fn configure(&mut self, config: Rc<Config>) {
        self.storage.configure(&config);
        self.routes.configure(&config);
        self.in_flight.set_bytes_max(config.store.in_flight_bytes_max);
        self.config = config;
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Rc<Config> {
        &self.config
    }

    /// The place of this worker in the registry.
    #[must_use]
    pub const fn worker(&self) -> Option<u8> {
        self.storage.writer.worker()
    }

    /// Takes or keeps a place in the registry of workers that can be woken.
    pub fn register(&mut self, turn: Turn<'_, impl Host>) -> Option<u8> {
        let held = workers::Held { copies: self.storage.memory_bytes(), in_flight: self.in_flight.bytes() };
        let claimed = workers::claim(turn.host, self.storage.writer.identity().nonce, held, turn.now.mono);
        if let Some((_, all)) = claimed {
            turn.host.show(Gauge::WorkerBytes, all.copies);
            turn.host.show(Gauge::InFlightBytes, all.in_flight);
        }
        self.storage.writer.set_worker(claimed.map(|(place, _)| place));
        self.worker()
    }

    /// The next thing to do outside the callback that decided it.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether nothing is waiting to be considered or done.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.effects.is_empty() && self.waiters.are_settled()
    }

    /// How many requests wait, and how many fetches run: both zero in an idle worker.
    #[must_use]
    pub fn waiting_and_fetching(&self) -> (usize, usize) {
        (self.waiters.count(), self.fetches.count())
    }

    /// What is stored, as this worker sees it.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The same with the journal as it is now; none when that cannot be read.
    pub fn synced(&mut self, host: &impl Host) -> Option<&Storage> {
        if self.sync(host) { Some(&self.storage) } else { None }
    }

    /// What this worker knows of the ways to origins.
    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The stream of this request is being logged: now it is known what the router made of it.
    pub fn learn_route(&mut self, turn: Turn<'_, impl Host>, ask: &CacheRequest) {
        self.routes.learn(turn, &mut self.storage, ask);
    }

    /// The memory of this worker for requests and responses under way.
    #[must_use]
    pub const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// What filters behind the cache were seen to change twice.
    #[must_use]
    pub const fn twice(&self) -> &Twice {
        &self.twice
    }

    /// The same, for whoever has seen more of it.
    pub const fn twice_mut(&mut self) -> &mut Twice {
        &mut self.twice
    }

    /// Reads the journal; whether the cache may be used in this callback.
    fn sync(&mut self, host: &impl Host) -> bool {
        match self.storage.sync(host) {
            Synced::Current => true,
            Synced::Renewed => {
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
        let shares = self.config.fleet.shares(invalidation.source.share());
        self.write_invalidation(host, invalidation, shares)
    }

    /// The same for one that the other Envoys of the fleet do not hear of.
    ///
    /// # Errors
    /// [`Busy`] when it could not be written.
    pub fn invalidate_here(&mut self, host: &impl Host, invalidation: &Invalidation) -> Result<u64, Busy> {
        self.write_invalidation(host, invalidation, false)
    }

    /// The journal, brought up to date, for what the fleet does with it; none when it cannot be read.
    pub fn journal(&mut self, host: &impl Host) -> Option<&Mirror> {
        self.sync(host).then(|| self.storage.journal.mirror())
    }

    /// The fleet was last heard of at this time.
    pub fn set_contact(&mut self, contact: Option<Monotonic>) {
        self.storage.set_contact(contact);
    }

    fn write_invalidation(
        &mut self,
        host: &impl Host,
        invalidation: &Invalidation,
        shares: bool,
    ) -> Result<u64, Busy> {
        let written =
            if self.sync(host) { self.storage.append(host, invalidation, shares) } else { Err(Busy) };
        host.count(match written {
            Ok(_) => Counter::Invalidation(invalidation.mode),
            Err(Busy) => Counter::InvalidationRefused,
        });
        written
    }
}
