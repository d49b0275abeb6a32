//! "Hit-for-miss": while it is remembered that a response was of no use to others, everyone asks the origin for himself.
//! The first response that is one for others after all is stored, and the memory is over.
//!
//! It went beside any flight, so it takes one of its own when it is complete: here as elsewhere only the owner of a flight
//! writes. It has the stamp of when it was asked for, and never takes the place of something newer (protocol §1.6).

use core::time::Duration;
use hashbrown::HashMap;
use std::rc::Rc;

use super::assess::{assessed_by, options_again, options_for};
use super::fetches::{Fetch, Fetcher};
use super::placement::is_reusable;
use super::{Ask, Cache, Decided, FetchEnd, Host};
use crate::heap::list;
use crate::http::ResponseHead;
use crate::mutants::{Mutant, mutated};
use crate::outcome::{NotStored, Stored};
use crate::policy::{self, Asked, validation};
use crate::store::flights::Left;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response};
use crate::store::{Fingerprint, Lease, Place};
use crate::time::Monotonic;
use crate::turn::Turn;

/// So many responses to one key are captured at a time in a worker, in case that one breaks off or is slow. Beyond it a
/// response passes and is not stored (`no-flight`): a crowd that goes to the origin must not fill the worker's memory.
const CAPTURES_MAX: usize = 2;
/// The most keys of which responses are captured. Beyond it a response passes and is not stored (`no-flight`).
const KEYS_MAX: usize = 1024;

/// A response that went beside any flight and is to be stored when it is complete.
#[derive(Debug)]
pub struct Late {
    ask: Rc<Ask>,
    place: Place,
    /// Given back when this is dropped.
    _held: Rc<()>,
}

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

impl Late {
    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        list(&self.place.key)
    }

    /// The request that it answers.
    #[must_use]
    pub fn ask(&self) -> &Rc<Ask> {
        &self.ask
    }
}

impl Cache {
    /// What is so now, for a request that is not looked up; none when the journal cannot be read.
    pub fn decide(&mut self, turn: Turn<'_, impl Host>) -> Option<Decided> {
        self.sync(turn.host).then(|| self.journal.decided(turn.now))
    }

    /// The stamp of the response to a request, and when that was sent on.
    #[must_use]
    pub fn order_of(&self, ask: &Ask) -> (u64, Monotonic) {
        self.order_at(ask.decided.get())
    }

    /// The stamp of the response to a request that was sent on then, and when that was.
    #[must_use]
    pub fn order_at(&self, decided: Decided) -> (u64, Monotonic) {
        self.journal.order_at(decided)
    }

    /// What the response to a request that went beside any flight may be stored as, from its head; its body is still
    /// empty. `fallback` is what is stored, and `shares` whether it may be stored at all if it is one for others.
    ///
    /// # Errors
    /// Why it may not be stored.
    pub fn assess_late(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<Ask>,
        fallback: Option<&Entry>,
        shares: bool,
        response: &ResponseHead,
    ) -> Result<(Response, Late), NotStored> {
        let options = options_for(&ask.config, &ask.request, response);
        let times = (ask.decided.get().at.wall, turn.now.wall);
        let asked = Asked { request: &ask.request, metadata: &|| turn.host.metadata(ask.stream) };
        let mut assessed = assessed_by(&ask.config, &options, asked, response, ask.uri(), times)?;
        if !shares {
            return Err(NotStored::NoFlight);
        }
        assessed.route = ask.taken_route(turn.host);
        // What has to be validated each time is stored now and then; more would be a write for each answer.
        if fallback.is_some() && !is_reusable(&assessed.stored) {
            return Err(NotStored::Validated);
        }
        // As if it were one of the first variants, where others of its URI are told apart.
        let primary = self.primary(turn.host, ask);
        let list = self.stored(turn.host, &primary);
        if let Some(Content::Variants(list)) = list.as_ref().map(|entry| &entry.record.content) {
            policy::keep_apart(&mut assessed.stored, list.nominated.iter().map(String::as_bytes));
        }
        let place = self.home(turn.host, ask, &assessed);
        if !self.is_admitted(turn.host, &place, options.min_uses) {
            self.count_use(turn, ask, &place);
            return Err(NotStored::Admission);
        }
        let held = self.captures.take(place.fingerprint).ok_or(NotStored::NoFlight)?;
        Ok((assessed, Late { ask: Rc::clone(ask), place, _held: held }))
    }

    /// Where the response to a request belongs, as far as it can be told before it is filed.
    fn home(&mut self, host: &impl Host, ask: &Ask, response: &Response) -> Place {
        let nominated = &response.stored.vary;
        let key = if nominated.is_empty() { ask.base_key().into_owned() } else { ask.variant_key(nominated) };
        self.writer.place(host, key)
    }

    /// The key was asked for once more, and not often enough yet.
    fn count_use(&mut self, turn: Turn<'_, impl Host>, ask: &Ask, place: &Place) {
        let order = self.order_of(ask);
        if let Ok(lease) = self.writer.take_flight(turn, place, order) {
            self.writer.finish(turn.host, &lease, Left { counted: true, ..Left::default() }, 0);
        }
    }

    /// Stores a response that went beside any flight, now that it is complete. Returns whether it is stored.
    pub fn end_late(&mut self, turn: Turn<'_, impl Host>, late: &Late, response: Response) -> Stored {
        match self.lead_late(turn, &late.ask, &late.place, None) {
            Ok(generation) => {
                let ended = self.end_fetch(turn, generation, FetchEnd::Stored(Box::new(response)));
                ended.map_or(Stored::No(NotStored::NoFlight), |(_, stored)| stored)
            }
            Err(why) => Stored::No(why),
        }
    }

    /// The origin has confirmed what is stored, to a request that went beside any flight: the fetch under which it is
    /// brought up to date for everyone, to be landed in the same callback.
    ///
    /// # Errors
    /// Why only this request is answered by it.
    pub fn confirms_late(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<Ask>,
        stored: &Rc<Entry>,
        shares: bool,
        response: &ResponseHead,
    ) -> Result<u64, NotStored> {
        let old = stored.response().filter(|_| shares).ok_or(NotStored::NoFlight)?;
        let (request, asked) = (&ask.request, ask.decided.get().at.wall);
        let options = options_again(&ask.config, request, old);
        let asked_by = Asked { request, metadata: &|| turn.host.metadata(ask.stream) };
        let new = validation::freshened(&old.stored, asked_by, response, &options, asked, turn.now.wall)?;
        if !is_reusable(&new) {
            return Err(NotStored::Validated);
        }
        let place = self.writer.place(turn.host, stored.record.key.clone());
        self.lead_late(turn, ask, &place, Some(Rc::clone(stored)))
    }

    /// Takes a flight for what is complete.
    fn lead_late(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<Ask>,
        place: &Place,
        validated: Option<Rc<Entry>>,
    ) -> Result<u64, NotStored> {
        if !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        let (stamp, asked) = self.order_of(ask);
        let order = if mutated(Mutant::ReplacesNewerLate) { (u64::MAX, asked) } else { (stamp, asked) };
        let lease = self.writer.take_flight(turn, place, order)?;
        let generation = lease.generation;
        let fetch = Fetch::late(lease, stamp, ask, validated);
        self.fetches.begin(fetch);
        Ok(generation)
    }
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
