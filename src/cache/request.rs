//! What a request asks of the cache and what the cache decides.

use core::cell::{Cell, OnceCell, RefCell};
use std::borrow::Cow;
use std::rc::Rc;

use super::host::{Host, StreamId};
use super::taken_route::{name_of, taken_route};
use crate::config::{Config, Options};
use crate::heap::{counted_block, list};
use crate::http::search::SearchVariance;
use crate::http::{RequestHead, ResponseHead};
use crate::in_flight::{InFlight, Share};
use crate::outcome::{Bypass, ForwardReason, NotStored, Stored};
use crate::policy::credentials::{Standing, standing};
use crate::policy::key;
use crate::policy::plain::may_provoke;
use crate::policy::request::only_if_cached;
use crate::policy::reuse::Reuse;
use crate::policy::storing::request_allows;
use crate::store::Fingerprint;
use crate::store::memory::Entry;
use crate::store::record::TakenRoute;
use crate::time::{Monotonic, Now};

/// A request that could be answered from the cache.
#[derive(Debug)]
pub struct CacheRequest {
    /// The stream that it came on.
    pub stream: StreamId,
    /// Its head, as it came.
    pub request: RequestHead,
    /// The configuration of the root that it came through.
    pub config: Rc<Config>,
    /// The options that the rules give it.
    pub options: Rc<Options>,
    /// Its primary cache key.
    pub key: Vec<u8>,
    /// Which part of its query selects the response, as far as that is known; none when all of it does.
    pub search: RefCell<Option<SearchVariance>>,
    /// When it came.
    pub arrived: Now,
    /// What was so when it was last considered: by that the response to it is judged.
    pub decided: Cell<Decided>,
    /// What it has waited for, once it has.
    pub waited: Cell<Option<Waited>>,
    /// Under which fingerprint its response was stored, once it has been.
    pub home: Cell<Option<Fingerprint>>,
    /// Whether the root's request on its behalf was refused, so that it goes itself.
    pub was_refused: Cell<bool>,
    /// Whether no client asks: it stands for a key that is to be fetched again.
    pub is_nobodys: bool,
    /// What it holds of the worker's memory, once the cache keeps it.
    held: OnceCell<Share>,
    /// What [`CacheRequest::whole`] says, once it was asked.
    whole: OnceCell<Result<(), NotStored>>,
    /// What [`CacheRequest::is_authenticated`] says, once it was asked.
    authenticated: OnceCell<bool>,
    /// What [`CacheRequest::taken_route`] says, once it was asked.
    route: OnceCell<TakenRoute>,
    /// What [`CacheRequest::route_name`] says, once it was asked.
    route_name: OnceCell<u32>,
}

/// What it takes where it waits, in the tables of those who do, or in its exchange where it goes by itself.
const PLACE_BYTES: u64 = 256;

/// The moment at which something was decided about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decided {
    /// The journal's head.
    pub stamp: u64,
    /// Which of the journals that this worker has seen that was.
    pub journal: u32,
    /// What the clocks said.
    pub at: Now,
}

/// A fetch that a request has waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waited {
    /// Why nothing stored could be used.
    pub reason: ForwardReason,
    /// Whether the root made the fetch on behalf of this very request.
    pub leads: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// Answer it with this stored response.
    Serve {
        /// The stored response.
        entry: Rc<Entry>,
        /// Why it may be served.
        reuse: Reuse,
    },
    /// Let it wait: it will be decided later ([`super::Effect::Decided`]).
    Wait,
    /// Send it to the origin, and bring the response to the fetch of this generation.
    Fetch {
        /// Names the fetch.
        generation: u64,
        /// Why nothing stored could be used.
        reason: ForwardReason,
    },
    /// Send it to the origin, for itself.
    Forward {
        /// Why nothing stored could be used.
        reason: ForwardReason,
        /// Why its response is not stored, as far as that is known beforehand.
        why: NotStored,
        /// Whether its response may be stored all the same if it is one for others.
        shares: bool,
        /// What it may be validated with, and answered with when the origin fails.
        fallback: Option<Rc<Entry>>,
    },
    /// Answer it with what the root has fetched on its behalf.
    Deliver {
        /// What was fetched.
        delivery: Delivery,
        /// Why nothing stored could be used.
        reason: ForwardReason,
    },
    /// Answer it with 504 (RFC 9111 §5.2.1.7).
    NotCached,
}

impl Decision {
    /// To the origin, without a flight.
    pub(super) fn pass(ask: &CacheRequest, reason: ForwardReason, fallback: Option<Rc<Entry>>) -> Decision {
        if ask.only_if_cached() {
            return Decision::NotCached;
        }
        let why = ask.whole().err().unwrap_or(NotStored::NoFlight);
        Decision::Forward { reason, why, shares: false, fallback }
    }

    /// To the origin, without any trace in the worker's memory, in which there is no room.
    pub(super) fn no_room(ask: &CacheRequest) -> Decision {
        Decision::pass(ask, ForwardReason::Bypass(Bypass::Memory), None)
    }

    /// To the origin, since the request may not wait any longer, or not at all.
    pub(super) fn not_shared() -> Decision {
        let reason = ForwardReason::Bypass(Bypass::NotShared);
        Decision::Forward { reason, why: NotStored::NoFlight, shares: false, fallback: None }
    }
}

/// What the root has fetched on behalf of a request. It answers that request whatever it is good for to others, as
/// it would if the request had gone to the origin itself.
#[derive(Debug)]
pub enum Delivery {
    /// It is, or confirmed, this stored response.
    Entry {
        /// The stored response.
        entry: Rc<Entry>,
        /// The status code of the origin.
        status: u16,
        /// Whether it stays stored.
        stored: Stored,
    },
    /// It is a response that is not stored.
    Passing {
        /// Its head.
        head: ResponseHead,
        /// Its body.
        body: Vec<u8>,
        /// Why it is not stored.
        why: NotStored,
    },
}

impl CacheRequest {
    /// A request that has not been considered yet.
    #[must_use]
    pub fn new(
        stream: StreamId,
        config: Rc<Config>,
        options: Rc<Options>,
        request: RequestHead,
        key: Vec<u8>,
        arrived: Now,
    ) -> CacheRequest {
        CacheRequest {
            stream,
            request,
            config,
            options,
            key,
            search: RefCell::default(),
            arrived,
            decided: Cell::default(),
            waited: Cell::new(None),
            home: Cell::new(None),
            was_refused: Cell::new(false),
            is_nobodys: false,
            held: OnceCell::new(),
            whole: OnceCell::new(),
            authenticated: OnceCell::new(),
            route: OnceCell::new(),
            route_name: OnceCell::new(),
        }
    }

    /// Whether a filter before this one knows who sends it, although none of its fields needs to say so.
    pub(super) fn is_authenticated(&self, host: &impl Host) -> bool {
        // The stream of what stands for a key is that of a command.
        let known =
            || !self.is_nobodys && self.options.credentials.are_in_metadata(&host.metadata(self.stream));
        *self.authenticated.get_or_init(known)
    }

    /// Whether its answer may be for its sender alone.
    pub(super) fn has_credentials(&self, host: &impl Host) -> bool {
        match standing(&self.request, &self.options) {
            Standing::Guarded => true,
            Standing::Keyed => false,
            Standing::Anonymous => self.is_authenticated(host),
        }
    }

    /// The route that its client's request takes, as that was when it was asked first; none where no client asks.
    pub fn taken_route(&self, host: &impl Host) -> Option<TakenRoute> {
        let taken = || taken_route(host, self.stream, &self.request, &self.options);
        (!self.is_nobodys).then(|| *self.route.get_or_init(taken))
    }

    /// The name of that route alone, as a number.
    pub(super) fn route_name(&self, host: &impl Host) -> Option<u32> {
        (!self.is_nobodys).then(|| *self.route_name.get_or_init(|| name_of(host, self.stream)))
    }

    /// Whether what was wrong with another's fetch is wrong with this request's as well. Not, if it was that request's own
    /// credentials or oddness: else a stranger could keep a key from being stored for all.
    pub(super) fn is_affected_by(&self, host: &impl Host, reason: NotStored) -> bool {
        match reason {
            NotStored::Authorization => self.has_credentials(host),
            NotStored::Cookie => self.request.fields.contains("cookie"),
            NotStored::Provoked => may_provoke(&self.request),
            _ => true,
        }
    }

    /// The cluster that it is routed to. What no client asks for has no route yet: the cluster that leads its fetch to the
    /// route table stands for all that it may come to.
    pub(super) fn routed_to(&self, host: &impl Host) -> Option<String> {
        if self.is_nobodys { self.config.collapse.cluster.clone() } else { host.cluster(self.stream) }
    }

    /// This request, but that no client asks.
    #[must_use]
    pub fn of_nobody(self) -> CacheRequest {
        CacheRequest { is_nobodys: true, ..self }
    }

    /// Takes its share of the worker's memory, as long as it lasts. The cache keeps nothing of a request that finds no
    /// room.
    pub fn finds_room(&self, memory: &InFlight) -> bool {
        let bytes = || {
            let search = self.search.borrow().as_ref().map_or(0, SearchVariance::held);
            counted_block(size_of::<CacheRequest>())
                + self.request.fields.held()
                + list(&self.key)
                + search
                + PLACE_BYTES
        };
        self.held.get().is_some() || memory.share(bytes()).is_some_and(|share| self.held.set(share).is_ok())
    }

    /// When it goes to the origin by itself.
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.arrived.mono.after(self.config.collapse.wait_max)
    }

    /// Whether its response would be the whole representation and may be stored, so that it may fetch for others, as
    /// that of a GET without `Range` or `no-store`.
    ///
    /// # Errors
    /// Why not.
    pub fn whole(&self) -> Result<(), NotStored> {
        *self.whole.get_or_init(|| {
            if self.request.method() == b"HEAD" || self.request.fields.contains("range") {
                return Err(NotStored::Request);
            }
            request_allows(&self.request, &self.options)
        })
    }

    /// Whether it must not be sent to the origin (`only-if-cached`).
    #[must_use]
    pub fn only_if_cached(&self) -> bool {
        only_if_cached(&self.request, &self.options)
    }

    /// What URL purges compare with its target.
    #[must_use]
    pub fn uri(&self) -> Vec<u8> {
        key::uri(&self.request, &self.options)
    }

    /// Whether an answer that the request has waited for is another's (RFC 9211 §2.6); none if it has not waited
    /// for another.
    #[must_use]
    pub fn collapsed(&self, answered: bool) -> Option<bool> {
        self.waited.get().filter(|waited| !waited.leads).map(|_| answered)
    }

    /// The key that the responses for its URI lie under, before their variants are told apart.
    #[must_use]
    pub fn base_key(&self) -> Cow<'_, [u8]> {
        match &*self.search.borrow() {
            Some(variance) => Cow::Owned(key::modulo_search(&self.request, &self.options, variance)),
            None => Cow::Borrowed(&self.key),
        }
    }

    /// The request as it goes to the origin.
    #[must_use]
    pub fn forwarded(&self) -> Cow<'_, RequestHead> {
        key::forwarded(&self.request, &self.options)
    }

    /// The cache key of the variant that these nominated fields select for this request.
    #[must_use]
    pub fn variant_key(&self, nominated: &[String]) -> Vec<u8> {
        key::variant(&self.base_key(), nominated, &self.request, &self.options)
    }
}
