//! "Hit-for-miss": while it is remembered that a response was of no use to others, everyone asks the origin for himself.
//! The first response that is one for others after all is stored, and the memory is over.
//!
//! It went beside any flight, so it takes one of its own when it is complete: here as elsewhere only the owner of a flight
//! writes. It has the stamp of when it was asked for, and never takes the place of something newer (protocol §1.6).

use core::time::Duration;
use hashbrown::HashMap;
use std::rc::Rc;

use super::assess::{
    BodyLimit, assessed, assessed_by, body_limit, is_admitted, options_again, options_for, told_by_head,
};
use super::confirmation::confirmed_once;
use super::fetches::{Fetch, Fetcher};
use super::response::{Answered, check_failure, check_upstream, is_failure};
use super::storable::{Late, Storable, Target};
use super::storage::is_reusable;
use super::taken_route::taken_route;
use super::{Ask, Cache, Host, StreamId};
use crate::config::{Config, Options};
use crate::http::search::SearchVariance;
use crate::http::{RequestHead, ResponseHead};
use crate::mutants::{Mutant, mutated};
use crate::outcome::{NotStored, Stored};
use crate::policy::{Asked, key, validation};
use crate::store::flights::Left;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::store::{Fingerprint, Lease, Place};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

/// So many responses to one key are captured at a time in a worker, in case that one breaks off or is slow. Beyond it a
/// response passes and is not stored (`no-flight`): a crowd that goes to the origin must not fill the worker's memory.
const CAPTURES_MAX: usize = 2;
/// The most keys of which responses are captured. Beyond it a response passes and is not stored (`no-flight`).
const KEYS_MAX: usize = 1024;

/// How many such responses are being captured, by where they belong.
#[derive(Default)]
pub(super) struct Captures(HashMap<Fingerprint, Rc<()>>);

impl Captures {
    /// A place among those of a key, as long as it is held; none when there are as many as may be.
    fn take(&mut self, fingerprint: Fingerprint) -> Option<Rc<()>> {
        if self.0.len() >= KEYS_MAX {
            self.0.retain(|_, held| Rc::strong_count(held) > 1);
        }
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(&fingerprint) {
            return None;
        }
        let held = self.0.entry(fingerprint).or_default();
        (Rc::strong_count(held) <= CAPTURES_MAX).then(|| Rc::clone(held))
    }
}

/// A request that went to the origin beside any flight, and whose response has begun.
#[derive(Clone, Copy, Debug)]
pub struct Uncollapsed<'a> {
    /// The request.
    pub ask: &'a Rc<Ask>,
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
        if is_failure(head)
            && let Some(entry) = fallback
            && let Some(reuse) = self.on_failure(turn, entry, ask)
        {
            return Some(Answered::Stale { entry: Rc::clone(entry), reuse });
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
        ask: &Rc<Ask>,
        old: &Rc<Entry>,
        shares: bool,
        head: &ResponseHead,
    ) -> Answered {
        let why = match self.confirms_for_everyone(turn, ask, old, shares, head) {
            Ok(generation) => return self.fetch_answered(turn, generation, head),
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
        let late = Late { ask: Rc::clone(ask), place, _held: held };
        Storable::new(assessed, head, limit, Target::Late(late))
    }

    /// The key was asked for once more, and not often enough yet.
    fn count_use(&mut self, turn: Turn<'_, impl Host>, ask: &Ask, place: &Place) {
        let order = self.storage.order_at(ask.decided.get());
        let writer = &mut self.storage.writer;
        if let Ok(lease) = writer.take_flight(turn, place, order) {
            writer.finish(turn.host, &lease, Left { counted: true, ..Left::default() }, 0);
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
        ask: &Rc<Ask>,
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
        self.lead_late(turn, ask, &place, Some(Rc::clone(stored)))
    }

    /// Takes a flight for what is complete.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn lead_late(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<Ask>,
        place: &Place,
        validated: Option<Rc<Entry>>,
    ) -> Result<u64, NotStored> {
        if !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        let (stamp, asked) = self.storage.order_at(ask.decided.get());
        let order = if mutated(Mutant::ReplacesNewerLate) { (u64::MAX, asked) } else { (stamp, asked) };
        let lease = self.storage.writer.take_flight(turn, place, order)?;
        let generation = lease.generation;
        let fetch = Fetch::late(lease, stamp, ask, validated);
        self.fetches.begin(fetch);
        Ok(generation)
    }

    /// Stores a response with its stamp, and when it was asked for, under the key of its URI, beside any flight. What selects
    /// by `Vary` or `No-Vary-Search` is left to the fetches that others wait for. Returns where it lies.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn keep(
        &mut self,
        turn: Turn<'_, impl Host>,
        key: &[u8],
        order: (u64, Monotonic),
        response: Response,
        limit: BodyLimit,
    ) -> Result<Fingerprint, NotStored> {
        let selects =
            !response.stored.vary.is_empty() || SearchVariance::of(&response.stored.fields).is_some();
        if selects || !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        self.storage.keep(turn, &mut self.waiters, key, order, response, limit)
    }

    /// The answer to a HEAD has come, which was sent when this was stored for a GET: it brings that up to date, or shows that
    /// it is stale (RFC 9111 §4.3.5), on all workers.
    fn head_answered(&mut self, turn: Turn<'_, impl Host>, ask: &Ask, old: &Entry, response: &ResponseHead) {
        let Some(there) = old.response().filter(|_| ask.request.method() == b"HEAD") else { return };
        let Some(updated) = told_by_head(turn, ask, there, response).filter(|_| self.sync(turn.host)) else {
            return;
        };
        self.storage.head_answered(turn, &mut self.waiters, ask, old, updated);
    }
}

impl Storable {
    /// A response that belongs under the key of its URI, with its stamp and when it was asked for.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn under_its_uri(
        config: &Config,
        (request, options): (&RequestHead, &Options),
        order: (u64, Monotonic),
        response: Response,
        head: &ResponseHead,
    ) -> Result<Storable, NotStored> {
        let target = Target::Own { key: key::primary(request, options), order };
        Storable::new(response, head, body_limit(config, request, head), target)
    }
}

/// What a response may be stored as under the key of its URI; its body is still empty.
///
/// # Errors
/// Why it may not be stored.
pub fn under_its_uri(
    turn: Turn<'_, impl Host>,
    stream: StreamId,
    config: &Config,
    (request, options): (&RequestHead, &Options),
    asked: Now,
    head: &ResponseHead,
) -> Result<Response, NotStored> {
    let asked_by = Asked { request, metadata: &|| turn.host.metadata(stream) };
    let uri = key::uri(request, options);
    let stored = assessed(config, asked_by, head, uri, (asked.wall, turn.now.wall))?;
    check_upstream(turn.host, stream, head)?;
    Ok(Response { route: Some(taken_route(turn.host, stream, request, options)), ..stored })
}

/// Whether a request asks for a part of a representation.
fn is_for_a_part(ask: &Ask) -> bool {
    ask.request.method() == b"GET" && ask.request.fields.contains("range")
}

impl Fetch {
    /// A fetch that has come back already.
    fn late(lease: Lease, stamp: u64, ask: &Rc<Ask>, validated: Option<Rc<Entry>>) -> Fetch {
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn so_many_responses_to_a_key_are_captured_and_of_so_many_keys() {
        let mut captures = Captures::default();
        let key = Fingerprint(7);
        let held: Vec<_> = (0..CAPTURES_MAX).map(|_| captures.take(key).unwrap()).collect();
        assert!(captures.take(key).is_none());
        drop(held);
        let _held = captures.take(key).unwrap();
        let others: Vec<_> = (100..).map_while(|n| captures.take(Fingerprint(n))).collect();
        assert_eq!(others.len(), KEYS_MAX - 1);
        assert!(captures.take(key).is_some(), "it has a place already");
        drop(others);
        assert!(captures.take(Fingerprint(8)).is_some());
    }
}
