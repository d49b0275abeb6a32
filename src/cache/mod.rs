//! The cache of one worker: what it remembers, who waits in it and what it fetches.
//!
//! One procedure, [`Cache::consider`], decides for new requests, hints, sweeps and landings. It always reads the
//! journal first, so nothing that an acknowledged purge covers is ever served. What a decision means for streams
//! other than the one that the host is asking about comes out of [`Cache::next_effect`], because the host allows
//! replies to other streams, and fetches that outlive a stream, only from some callbacks.

mod ask;
mod assess;
mod chosen;
mod claim;
mod clocks;
mod consider;
mod context;
mod dispatch;
mod filing;
mod inspect;
mod keep;
mod landing;
mod late;
mod learned_route;
mod publish;
mod quota;
mod reclaim;
pub mod reductions;
mod room;
mod route;
mod search;
mod sweep;
mod taken_route;
mod trouble;
mod unshared;
mod variants;

use core::cell::Cell;
use core::time::Duration;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

pub use ask::{Ask, Decided, Decision, Delivery, Place, StreamId, Waited};
pub use assess::{BodyLimit, Confirmation, assessed, body_limit};
pub use context::Context;
pub use dispatch::{Call, Reception, Refusal, is_envoys_own, is_failure};
pub use inspect::{Found, Page, Refetch, Seen, Survey};
pub use landing::Landing;
pub use late::Late;
pub use learned_route::{LearnedRoute, Route};
pub use taken_route::taken_route;

use crate::config::Config;
use crate::deviation::{Deviation, deviates};
use crate::heap::list;
use crate::http::{Fields, Peer, RequestHead};
use crate::in_flight::{InFlight, Share};
use crate::invalidation::{Invalidation, Subject, Verdict, Work};
use crate::outcome::NotStored;
use crate::outcome::metrics::{Counter, Gauge, Metrics};
use crate::store::flights::NewFlight;
use crate::store::journal::{Busy, Mirror, Synced};
use crate::store::memory::{Entry, WorkerMemory};
use crate::store::record::{Content, Response, Search, Slot, Variants};
use crate::store::set::WAYS;
use crate::store::workers;
use crate::store::{Fingerprint, Seed, SharedData};
use crate::time::{Monotonic, Now, Timestamp};
use crate::turn::Turn;

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

/// Identifies this worker's VM among all that ever were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Random, for generations.
    pub nonce: u32,
    /// Random, proposed as the seed of fingerprints and the name of the journal.
    pub seed: Seed,
}

/// The records that a worker's index of the journal holds before it forgets.
const JOURNAL_RECORDS_MAX: usize = 100_000;

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
    identity: Identity,
    seed: Option<Seed>,
    generations: u32,
    /// The place in the registry, once claimed.
    worker: Option<u8>,
    unshared: unshared::Unshared,
    /// Variants that are stored and on no list yet, and how often it is still tried to put them there.
    unlisted: Vec<(variants::Listing, u8)>,
    captures: late::Captures,
    /// Whether this worker knows that any has met `No-Vary-Search`.
    searches: bool,
    mirror: Mirror,
    /// How often shared data has begun a journal anew.
    journals: u32,
    memory: WorkerMemory,
    in_flight: InFlight,
    victims: room::Victims,
    reclaiming: reclaim::Reclaiming,
    /// What both clocks said at the last tick.
    ticked: Option<Now>,
    /// Whether the wall clock was set back and the journal does not say so yet.
    clock_set_back: bool,
    /// The number of the learned route that this worker has met last since its last tick, and at which head.
    route_met: (u32, u64),
    /// The clusters for fetches of the root that Envoy was found to lack.
    lacking: Vec<route::Lacking>,
    /// Whether any configuration has named one.
    leads_to_routes: bool,
    /// Ordered, like the fetches, so that the same events always have the same consequences.
    parked: BTreeMap<Fingerprint, Group>,
    parked_streams: HashMap<StreamId, Fingerprint>,
    fetches: BTreeMap<u64, Fetch>,
    /// Groups whose flight has landed in this worker: to be considered from the next callback that may.
    due: Vec<Fingerprint>,
    effects: VecDeque<Effect>,
    /// How many stored responses it has served.
    served: Cell<u32>,
    /// What filters behind the cache were seen to change twice, and when last.
    twice: (Vec<String>, Monotonic),
    /// When two routes were found for one key, last.
    routes_differ: Cell<Option<Monotonic>>,
    /// Clusters that this worker knows to be in trouble: whose answers are worth telling.
    suspects: Vec<String>,
}

/// The requests of this worker that wait for one flight.
#[derive(Default)]
struct Group {
    asks: Vec<Rc<Ask>>,
    visited: Monotonic,
}

impl Group {
    /// Whether anybody waits who does not lead.
    fn has_followers(&self) -> bool {
        self.asks.iter().any(|ask| ask.waited.get().is_some_and(|waited| !waited.leads))
    }
}

/// This worker's claim on a flight: it alone may write the slot, until the lease runs out.
#[derive(Clone, Debug)]
struct Lease {
    place: Place,
    slot: Slot,
    generation: u64,
    until: Monotonic,
    /// The bytes in the slot before.
    before: u64,
}

/// A fetch that this worker makes under a flight.
struct Fetch {
    lease: Lease,
    /// The mirror's head when the fetch was decided: the same state that judged what is being validated.
    stamp: u64,
    /// How long a dispatched fetch may take.
    timeout: Duration,
    /// When a dispatched fetch is given up.
    deadline: Monotonic,
    /// The cluster that answers for it, where that is known beforehand.
    cluster: Option<String>,
    /// The stored response that a 304 would confirm.
    validated: Option<Rc<Entry>>,
    /// The request on whose behalf it is made.
    ask: Rc<Ask>,
    started: Now,
    /// When something of its response arrived last on its client's stream; none before the head of it did.
    progress: Option<Monotonic>,
    /// Whether something stored is served meanwhile.
    is_refresh: bool,
    /// Whether other workers may hold a copy of what it replaces that is still fresh.
    replaces_fresh: bool,
    /// Why the response to the fetch before it was not stored, as far as that is remembered.
    before: Option<NotStored>,
    by: Fetcher,
    /// What it holds of the worker's memory; none for one that lands in the callback that it begins in.
    _held: Option<Held>,
}

/// The share of a fetch, and that of what it validates.
struct Held {
    _own: Share,
    _validated: Option<Rc<Share>>,
}

impl Held {
    /// Takes room for a fetch for this place, and for what it validates; none when there is none.
    fn take(memory: &InFlight, place: &Place, validated: Option<&Rc<Entry>>) -> Option<Held> {
        // In a tree whose nodes are filled by five elevenths at least.
        const FETCH_BYTES: u64 = (size_of::<Fetch>() * 11 / 5) as u64;
        let own = memory.share(FETCH_BYTES + list(&place.key))?;
        let validated = match validated {
            Some(entry) => Some(entry.keep(memory)?),
            None => None,
        };
        Some(Held { _own: own, _validated: validated })
    }
}

impl Fetch {
    /// The stamp of what it brings, and when that was asked for.
    fn order(&self) -> (u64, Monotonic) {
        (self.stamp, self.started.mono)
    }

    /// Whether its response has begun, on its client's stream, and nothing of it has come for so long.
    fn stalls(&self, time: Duration, now: Now) -> bool {
        self.by == Fetcher::Stream && self.progress.is_some_and(|last| now.mono.since(last) >= time)
    }

    /// The request that is sent, which decides what its response is stored as: what the root sends carries nobody's
    /// credentials.
    fn request(&self) -> Cow<'_, RequestHead> {
        match self.by {
            Fetcher::Stream => Cow::Borrowed(&self.ask.request),
            Fetcher::Root(_) => Cow::Owned(self.sent_by_root(&self.ask.request)),
        }
    }

    /// A request as the root sends it, before the route's own changes.
    fn sent_by_root(&self, request: &RequestHead) -> RequestHead {
        match self.is_refresh {
            true => dispatch::as_nobody(request, &self.ask.options, &self.lease.place.key),
            false => dispatch::as_anyone(request, &self.ask.options),
        }
    }

    /// The dynamic metadata of the request that is sent. What the root sends has met no filter that authenticates
    /// anybody.
    fn metadata(&self, host: &impl Host) -> Vec<u8> {
        match self.by {
            Fetcher::Stream => host.metadata(self.ask.stream),
            Fetcher::Root(_) => Vec::new(),
        }
    }
}

/// Who makes a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fetcher {
    /// The request of a stream, on Envoy's own path.
    Stream,
    /// A call of the root, which goes this way.
    Root(route::CallRoute),
}

impl Cache {
    /// A cache that remembers nothing.
    #[must_use]
    pub fn new(config: Rc<Config>, identity: Identity) -> Self {
        Cache {
            memory: WorkerMemory::new(config.store.worker_bytes_max),
            in_flight: InFlight::new(config.store.in_flight_bytes_max),
            victims: room::Victims::starting_at(identity.nonce),
            reclaiming: reclaim::Reclaiming::starting_at(identity.nonce),
            route_met: (0, 0),
            lacking: Vec::new(),
            leads_to_routes: config.collapse.cluster.is_some(),
            config,
            identity,
            seed: None,
            ticked: None,
            clock_set_back: false,
            generations: 0,
            worker: None,
            unshared: unshared::Unshared::default(),
            unlisted: Vec::new(),
            captures: late::Captures::default(),
            searches: false,
            mirror: Mirror::with_secret(JOURNAL_RECORDS_MAX, (identity.seed.0, identity.seed.1)),
            journals: 0,
            parked: BTreeMap::new(),
            parked_streams: HashMap::new(),
            fetches: BTreeMap::new(),
            due: Vec::new(),
            effects: VecDeque::new(),
            served: Cell::new(0),
            twice: Default::default(),
            routes_differ: Cell::new(None),
            suspects: Vec::new(),
        }
    }

    /// Puts another configuration in force; what is stored stays.
    pub fn configure(&mut self, config: Rc<Config>) {
        self.memory.set_bytes_max(config.store.worker_bytes_max);
        self.leads_to_routes |= config.collapse.cluster.is_some();
        self.in_flight.set_bytes_max(config.store.in_flight_bytes_max);
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
        self.worker
    }

    /// Takes or keeps a place in the registry of workers that can be woken.
    pub fn register(&mut self, turn: Turn<'_, impl Host>) -> Option<u8> {
        let held = workers::Held { copies: self.memory.bytes(), in_flight: self.in_flight.bytes() };
        let claimed = workers::claim(turn.host, self.identity.nonce, held, turn.now.mono);
        if let Some((_, all)) = claimed {
            turn.host.show(Gauge::WorkerBytes, all.copies);
            turn.host.show(Gauge::InFlightBytes, all.in_flight);
        }
        self.worker = claimed.map(|(place, _)| place);
        self.worker
    }

    /// The next thing to do outside the callback that decided it.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether it is looked at what becomes of the next stored response that is served: of the first ones, and then of few,
    /// since to read it costs something.
    #[must_use]
    pub fn looks_closely(&self) -> bool {
        const EVERY: u32 = 1024;
        let served = self.served.get().wrapping_add(1);
        self.served.set(served);
        served.is_power_of_two() || served.is_multiple_of(EVERY)
    }

    /// A filter behind the cache has changed this in a response from it, and before it was stored. Whether that is news.
    pub fn found_twice(&mut self, what: Vec<String>, now: Now) -> bool {
        const NAMES_MAX: usize = 16;
        let is_news = self.twice(now).is_empty();
        let (known, seen) = &mut self.twice;
        if is_news {
            known.clear();
        }
        for name in what {
            if known.len() < NAMES_MAX && !known.contains(&name) {
                known.push(name);
            }
        }
        *seen = now.mono;
        is_news
    }

    /// What filters behind the cache were lately seen to change twice: somebody may have moved the filter, of which the
    /// cache hears nothing.
    #[must_use]
    pub fn twice(&self, now: Now) -> &[String] {
        const LATELY: Duration = Duration::from_secs(600);
        let (known, seen) = &self.twice;
        if now.mono.since(*seen) < LATELY { known } else { &[] }
    }

    /// Whether nothing is waiting to be considered or done.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.effects.is_empty() && self.due.is_empty()
    }

    /// The memory of this worker for requests and responses under way.
    #[must_use]
    pub const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// How many requests wait, and how many fetches run: both zero in an idle worker.
    #[must_use]
    pub fn waiting_and_fetching(&self) -> (usize, usize) {
        (self.parked_streams.len(), self.fetches.len())
    }

    /// The bytes of this worker's own copies.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// The journal's head as this worker has read it.
    #[must_use]
    pub fn journal_head(&self) -> u64 {
        self.mirror.head()
    }

    /// Reads the journal; whether the cache may be used in this callback.
    fn sync(&mut self, host: &impl Host) -> bool {
        let synced = self.mirror.sync(host);
        if self.mirror.take_healed() > 0 {
            host.count(Counter::JournalHealed);
        }
        match synced {
            Synced::Current => true,
            Synced::Renewed => {
                self.memory.clear();
                self.reclaim_anew();
                self.journals = self.journals.wrapping_add(1);
                // Positions of the old journal mean nothing in the new one.
                for fetch in self.fetches.values_mut() {
                    fetch.stamp = 0;
                    fetch.validated = None;
                }
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
            self.mirror.append(host, invalidation, self.identity.seed.0)
        } else {
            Err(Busy)
        };
        host.count(match written {
            Ok(_) => Counter::Invalidation(invalidation.mode),
            Err(Busy) => Counter::InvalidationRefused,
        });
        written
    }

    /// The verdict of the journal on an entry, remembered until the journal's head moves.
    fn verdict(&self, entry: &Entry) -> Verdict {
        self.verdict_within(entry, &Work::of_a_verdict())
    }

    /// The same, counting what it takes.
    fn verdict_within(&self, entry: &Entry, work: &Work) -> Verdict {
        // What a hit does not need is not looked for.
        let judge = |stamp| self.mirror.verdict_within(&subject(&entry.record.content), stamp, work);
        entry.verdict(self.mirror.head(), judge)
    }

    fn seed(&mut self, host: &impl Host) -> Seed {
        *self.seed.get_or_insert_with(|| Seed::shared(host, self.identity.seed))
    }

    /// The place of a cache key.
    fn place(&mut self, host: &impl Host, key: Vec<u8>) -> Place {
        let fingerprint = self.seed(host).fingerprint(&key);
        self.place_of(fingerprint, key)
    }

    fn place_of(&self, fingerprint: Fingerprint, key: Vec<u8>) -> Place {
        Place { set: self.set_of(fingerprint), fingerprint, key }
    }

    fn set_of(&self, fingerprint: Fingerprint) -> u32 {
        (fingerprint.0 % u64::from(self.sets())) as u32
    }

    /// The number of sets that the entries are spread over.
    fn sets(&self) -> u32 {
        self.config.store.entries_max.div_ceil(WAYS as u32).max(1)
    }

    fn next_generation(&mut self) -> u64 {
        self.generations = self.generations.wrapping_add(1);
        let nonce = if deviates(Deviation::ReusesGenerations) { 1 } else { self.identity.nonce };
        u64::from(nonce) << 32 | u64::from(self.generations)
    }

    fn new_flight(&mut self, fingerprint: Fingerprint, now: Now) -> NewFlight {
        let generation = self.next_generation();
        let lease = if deviates(Deviation::LeasesForEver) { Duration::MAX } else { self.lease() };
        let until = now.mono.after(lease);
        NewFlight { fingerprint, generation, owner: self.worker.unwrap_or(NOBODY), until }
    }

    fn lease(&self) -> Duration {
        self.config.collapse.lease
    }
}

/// What the journal's selectors look at.
fn subject(content: &Content) -> Subject<'_> {
    match content {
        Content::Response(response) => subject_of(response),
        Content::Variants(Variants { uri, .. }) | Content::Search(Search { uri, .. }) => {
            let stored_at = Timestamp::default();
            Subject { uri, tags: &[], status: 0, content_type: &[], stored_at }
        }
    }
}

fn subject_of(response: &Response) -> Subject<'_> {
    Subject {
        uri: &response.uri,
        tags: &response.tags,
        status: response.stored.status,
        content_type: response.stored.fields.get("content-type").unwrap_or_default(),
        stored_at: response.stored.response_time,
    }
}

/// The owner of a flight whose worker has no place in the registry: no bit, nobody to wake.
const NOBODY: u8 = 255;
