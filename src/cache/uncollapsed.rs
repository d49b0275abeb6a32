//! Responses to requests that were not collapsed. During hit-for-miss each request goes to the origin by itself; the first
//! response that can be stored for others after all is, and hit-for-miss is over.
//!
//! It came beside any flight, so it takes one of its own when it is complete: here as elsewhere only the owner of a flight
//! writes. It has the stamp of when it was asked for, and never takes the place of something newer (protocol §1.6).

use core::time::Duration;
use std::rc::Rc;

use super::assess::{
    assessed_by, body_limit, check_failure, check_upstream, is_admitted, options_again, options_for,
};
use super::confirmation::confirmed_once;
use super::direct::under_its_uri;
use super::fetches::{Fetch, Fetcher};
use super::response::Answered;
use super::storable::{Storable, Target};
use super::storage::is_reusable;
use super::{Cache, CacheRequest, Host};
use crate::http::ResponseHead;
use crate::outcome::{NotStored, Stored};
use crate::policy::{Asked, validation};
use crate::store::flights::FlightEnd;
use crate::store::memory::Entry;
use crate::store::{Lease, Place};
use crate::turn::Turn;

/// A request that went to the origin beside any flight, and whose response has begun.
#[derive(Clone, Copy, Debug)]
pub struct Uncollapsed<'a> {
    /// The request.
    pub ask: &'a Rc<CacheRequest>,
    /// What is stored.
    pub fallback: Option<&'a Rc<Entry>>,
    /// Whether it asks the origin to confirm the fallback.
    pub validates: bool,
    /// Whether its response may be stored all the same if it is one for others.
    pub shares: bool,
    /// Whether it went there because the cache was not to be, or could not be, asked.
    pub bypassed: bool,
}

impl Cache {
    /// The head of the response to a request that went beside any flight has arrived. None where that is no response to be
    /// stored whatever it says, and goes on to the client.
    pub fn uncollapsed_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        one: Uncollapsed<'_>,
        head: &ResponseHead,
    ) -> Option<Answered> {
        let Uncollapsed { ask, fallback, validates, shares, bypassed } = one;
        self.origin_answered(turn, ask, head);
        if let Some((entry, reuse)) = self.stale_if_error(turn, ask, fallback, head) {
            return Some(Answered::Stale { entry, reuse });
        }
        if let (304, true, Some(stored)) = (head.status, validates, fallback) {
            return Some(self.uncollapsed_confirmed(turn, ask, stored, shares, head));
        }
        if let Some(old) = fallback {
            self.head_answered(turn, ask, old, head);
        }
        let storable = if ask.whole().is_ok() {
            self.for_everyone(turn, one, shares, head)
        } else if is_for_a_part(ask) && head.status != 206 {
            // RFC 9110 §14.2: "A server MAY ignore the Range header field." What comes then is the same for all.
            self.for_everyone(turn, one, !bypassed, head)
        } else if head.status == 206 {
            let (order, at) = (self.storage.order_at(ask.decided.get()), ask.decided.get().at);
            let stored = under_its_uri(turn, ask.stream, &ask.config, (&ask.request, &ask.options), at, head);
            stored.and_then(|stored| {
                Storable::under_its_uri(&ask.config, (&ask.request, &ask.options), order, stored, head)
            })
        } else {
            return None;
        };
        Some(storable.map_or_else(Answered::NotStored, Answered::Body))
    }

    /// The origin has confirmed what is stored to a request that went there for itself: for everyone, under a fetch that ends
    /// in the same callback, or for this one request.
    fn uncollapsed_confirmed(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<CacheRequest>,
        old: &Rc<Entry>,
        shares: bool,
        head: &ResponseHead,
    ) -> Answered {
        let why = match self.confirms_for_everyone(turn, ask, old, shares, head) {
            Ok(generation) => return self.streamed(turn, generation, head),
            Err(why) => why,
        };
        let stored = Stored::No(why);
        match confirmed_once(ask, old, head, turn.now) {
            Some(entry) => Answered::Confirmed { entry, stored },
            None => {
                let call = self.routes.call_again(turn, &mut self.storage, ask, old);
                Answered::Again { call, stored }
            }
        }
    }

    /// What the response to a request that went beside any flight is to be stored as, if it `shares` and is one for others.
    ///
    /// # Errors
    /// Why it is not stored.
    fn for_everyone(
        &mut self,
        turn: Turn<'_, impl Host>,
        one: Uncollapsed<'_>,
        shares: bool,
        head: &ResponseHead,
    ) -> Result<Storable, NotStored> {
        let (ask, fallback) = (one.ask, one.fallback);
        check_failure(head, &ask.request, || fallback.is_some())?;
        let options = options_for(&ask.config, &ask.request, head);
        let times = (ask.decided.get().at.wall, turn.now.wall);
        let asked = Asked { request: &ask.request, metadata: &|| turn.host.metadata(ask.stream) };
        let mut assessed = assessed_by(&ask.config, &options, asked, head, ask.uri(), times)?;
        if !shares {
            return Err(NotStored::NoFlight);
        }
        assessed.route = ask.taken_route(turn.host);
        // What has to be validated each time is stored now and then; more would be a write for each answer.
        if fallback.is_some() && !is_reusable(&assessed.stored) {
            return Err(NotStored::Validated);
        }
        let place = self.storage.home(turn.host, ask, &mut assessed);
        if !is_admitted(turn.host, &place, options.min_uses) {
            self.count_use(turn, ask, &place);
            return Err(NotStored::Admission);
        }
        let held = self.captures.take(place.fingerprint).ok_or(NotStored::NoFlight)?;
        check_upstream(turn.host, ask.stream, head)?;
        let limit = body_limit(&ask.config, &ask.request, head);
        let target = Target::Uncollapsed { ask: Rc::clone(ask), place, _held: held };
        Storable::new(assessed, head, limit, target)
    }

    /// The key was asked for once more, and not often enough yet.
    fn count_use(&mut self, turn: Turn<'_, impl Host>, ask: &CacheRequest, place: &Place) {
        let order = self.storage.order_at(ask.decided.get());
        let writer = &mut self.storage.writer;
        if let Ok(lease) = writer.take_flight(turn, place, order) {
            writer.finish(turn.host, &lease, FlightEnd { counted: true, ..FlightEnd::default() }, 0);
        }
    }

    /// The origin has confirmed what is stored, to a request that went beside any flight: the fetch under which it is
    /// brought up to date for everyone, to be landed in the same callback.
    ///
    /// # Errors
    /// Why only this request is answered by it.
    fn confirms_for_everyone(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<CacheRequest>,
        stored: &Rc<Entry>,
        shares: bool,
        head: &ResponseHead,
    ) -> Result<u64, NotStored> {
        let old = stored.response().filter(|_| shares).ok_or(NotStored::NoFlight)?;
        let (request, asked) = (&ask.request, ask.decided.get().at.wall);
        let options = options_again(&ask.config, request, old);
        let asked_by = Asked { request, metadata: &|| turn.host.metadata(ask.stream) };
        let new = validation::freshened(&old.stored, asked_by, head, &options, asked, turn.now.wall)?;
        if !is_reusable(&new) {
            return Err(NotStored::Validated);
        }
        let place = self.storage.writer.place(turn.host, stored.record.key.clone());
        self.lead_complete(turn, ask, &place, Some(Rc::clone(stored)))
    }

    /// Takes a flight for what is complete.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn lead_complete(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<CacheRequest>,
        place: &Place,
        validated: Option<Rc<Entry>>,
    ) -> Result<u64, NotStored> {
        if !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        let (stamp, asked) = self.storage.order_at(ask.decided.get());
        // With its own order, so that it cannot replace a response that was asked for later (I9, M21).
        let lease = self.storage.writer.take_flight(turn, place, (stamp, asked))?;
        let generation = lease.generation;
        let fetch = Fetch::complete(lease, stamp, ask, validated);
        self.fetches.begin(fetch);
        Ok(generation)
    }
}

/// Whether a request asks for a part of a representation.
fn is_for_a_part(ask: &CacheRequest) -> bool {
    ask.request.method() == b"GET" && ask.request.fields.contains("range")
}

impl Fetch {
    /// A fetch that has come back already.
    fn complete(lease: Lease, stamp: u64, ask: &Rc<CacheRequest>, validated: Option<Rc<Entry>>) -> Fetch {
        let started = ask.decided.get().at;
        Fetch {
            lease,
            stamp,
            timeout: Duration::ZERO,
            deadline: started.mono,
            progress: None,
            cluster: None,
            validated,
            ask: Rc::clone(ask),
            started,
            is_refresh: false,
            // Or they believe that there is nothing to share.
            replaces_fresh: true,
            before: None,
            by: Fetcher::Stream,
            _held: None,
        }
    }
}
