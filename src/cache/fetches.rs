//! The fetches of this worker that are under way, each under the lease of a flight.

use core::time::Duration;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::call_route::CallRoute;
use super::host::Host;
use super::request::CacheRequest;
use super::sent::{anonymised, as_refresh};
use crate::heap::list;
use crate::http::RequestHead;
use crate::in_flight::{InFlight, Share};
use crate::outcome::NotStored;
use crate::policy::plain::may_provoke;
use crate::store::memory::Entry;
use crate::store::record::TakenRoute;
use crate::store::{Lease, Place};
use crate::time::{Monotonic, Now};

/// All of them, by their generations. Ordered, so that the same events always have the same consequences.
#[derive(Default)]
pub(super) struct Fetches(BTreeMap<u64, Fetch>);

/// A fetch that this worker makes under a flight.
pub(super) struct Fetch {
    pub(super) lease: Lease,
    /// The mirror's head when the fetch was decided: the same state that judged what is being validated.
    pub(super) stamp: u64,
    /// How long a dispatched fetch may take.
    pub(super) timeout: Duration,
    /// When a dispatched fetch is given up.
    pub(super) deadline: Monotonic,
    /// The cluster that answers for it, where that is known beforehand.
    pub(super) cluster: Option<String>,
    /// The stored response that a 304 would confirm.
    pub(super) validated: Option<Rc<Entry>>,
    /// The request on whose behalf it is made.
    pub(super) ask: Rc<CacheRequest>,
    pub(super) started: Now,
    /// When something of its response arrived last on its client's stream; none before the head of it did.
    pub(super) progress: Option<Monotonic>,
    /// Whether something stored is served meanwhile.
    pub(super) is_refresh: bool,
    /// Whether other workers may hold a copy of what it replaces that is still fresh.
    pub(super) replaces_fresh: bool,
    /// Why the response to the fetch before it was not stored, as far as that is remembered.
    pub(super) before: Option<NotStored>,
    pub(super) by: Fetcher,
    /// What it holds of the worker's memory; none for one that lands in the callback that it begins in.
    pub(super) _held: Option<Held>,
}

/// The share of a fetch, and that of what it validates.
pub(super) struct Held {
    _own: Share,
    _validated: Option<Rc<Share>>,
}

impl Held {
    /// Takes room for a fetch for this place, and for what it validates; none when there is none.
    pub(super) fn take(memory: &InFlight, place: &Place, validated: Option<&Rc<Entry>>) -> Option<Held> {
        // In a tree whose nodes are filled by five elevenths at least.
        const FETCH_BYTES: u64 = (size_of::<Fetch>() * 11 / 5) as u64;
        let own = memory.share(FETCH_BYTES + list(&place.key))?;
        let validated = match validated {
            Some(entry) => Some(entry.hold(memory)?),
            None => None,
        };
        Some(Held { _own: own, _validated: validated })
    }
}

impl Fetch {
    /// The stamp of what it brings, and when that was asked for.
    pub(super) fn order(&self) -> (u64, Monotonic) {
        (self.stamp, self.started.mono)
    }

    /// Whether the request of a client's stream makes it.
    pub(super) fn is_streamed(&self) -> bool {
        self.by == Fetcher::Stream
    }

    /// Whether the origin may fail because of what it has sent.
    pub(super) fn may_provoke(&self) -> bool {
        may_provoke(&self.request())
    }

    /// Whether its response has begun, on its client's stream, and nothing of it has come for so long.
    pub(super) fn stalls(&self, time: Duration, now: Now) -> bool {
        self.is_streamed() && self.progress.is_some_and(|last| now.mono.since(last) >= time)
    }

    /// The request that is sent, which decides what its response is stored as: what the root sends carries nobody's
    /// credentials.
    pub(super) fn request(&self) -> Cow<'_, RequestHead> {
        match self.by {
            Fetcher::Stream => Cow::Borrowed(&self.ask.request),
            Fetcher::Root(_) => Cow::Owned(self.sent_by_root(&self.ask.request)),
        }
    }

    /// A request as the root sends it, before the route's own changes.
    pub(super) fn sent_by_root(&self, request: &RequestHead) -> RequestHead {
        match self.is_refresh {
            true => as_refresh(request, &self.ask.options, &self.lease.place.key),
            false => anonymised(request, &self.ask.options),
        }
    }

    /// The dynamic metadata of the request that is sent. What the root sends has met no filter that authenticates
    /// anybody.
    pub(super) fn metadata(&self, host: &impl Host) -> Vec<u8> {
        match self.by {
            Fetcher::Stream => host.metadata(self.ask.stream),
            Fetcher::Root(_) => Vec::new(),
        }
    }

    /// The route by which its response came. What the root sends has no field that nobody has heard of.
    pub(super) fn taken_route(&self, host: &impl Host) -> Option<TakenRoute> {
        let taken = self.ask.taken_route(host)?;
        Some(match self.by {
            Fetcher::Stream => taken,
            Fetcher::Root(_) => TakenRoute { destination: None, ..taken },
        })
    }
}

/// Who makes a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fetcher {
    /// The request of a stream, on Envoy's own path.
    Stream,
    /// A call of the root, which goes this way.
    Root(CallRoute),
}

impl Fetches {
    /// One begins.
    pub(super) fn begin(&mut self, fetch: Fetch) {
        self.0.insert(fetch.lease.generation, fetch);
    }

    /// One ends.
    pub(super) fn end(&mut self, generation: u64) -> Option<Fetch> {
        self.0.remove(&generation)
    }

    pub(super) fn get(&self, generation: u64) -> Option<&Fetch> {
        self.0.get(&generation)
    }

    pub(super) fn get_mut(&mut self, generation: u64) -> Option<&mut Fetch> {
        self.0.get_mut(&generation)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Fetch> {
        self.0.values_mut()
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many refreshes run, so that a purge of much that is in demand is not a stampede. One that its origin is slow to
    /// answer counts no longer than a lease, so that slow pages do not keep others from being refreshed; but then it counts
    /// for an eighth.
    pub(super) fn refreshes(&self, lease: Duration, now: Monotonic) -> usize {
        let refreshes = self.0.values().filter(|fetch| fetch.is_refresh);
        let (running, slow) = refreshes.fold((0, 0), |(running, slow), fetch| {
            if now.since(fetch.started.mono) < lease { (running + 1, slow) } else { (running, slow + 1) }
        });
        running + slow / 8
    }

    /// The calls that have not come back in time, for instance because their root has been replaced.
    pub(super) fn overdue_calls(&self, now: Monotonic) -> Vec<u64> {
        let is_overdue = |fetch: &&Fetch| matches!(fetch.by, Fetcher::Root(_)) && fetch.deadline <= now;
        self.0.values().filter(is_overdue).map(|fetch| fetch.lease.generation).collect()
    }

    /// The journal is another one: positions of the old one mean nothing in it.
    pub(super) fn forget_journal(&mut self) {
        for fetch in self.0.values_mut() {
            fetch.stamp = 0;
            fetch.validated = None;
        }
    }
}
