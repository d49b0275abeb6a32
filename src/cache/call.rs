//! Fetches that the root makes: they belong to no client and cannot be lost with one.

use std::rc::Rc;

use super::assess::{assessed, body_limit, combined, is_failure};
use super::confirmation::Confirmation;
use super::fetches::{Fetch, Fetcher};
use super::response::FetchResponse;
use super::sent::request_fields;
use super::storable::Storable;
use super::{Cache, Call, Decision, Delivery, Effect, FetchEnd, Host};
use crate::http::ResponseHead;
use crate::outcome::NotStored;
use crate::outcome::metrics::Counter;
use crate::policy::partial::completing;
use crate::policy::validation;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::time::Now;
use crate::turn::Turn;

/// Why the host does not dispatch a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Envoy has no cluster of that name.
    NoCluster,
    /// The cluster has nobody to ask.
    NoHost,
}

/// The response to a dispatched call.
#[derive(Clone, Debug)]
pub struct CallResponse {
    /// The head; none when the call failed.
    pub head: Option<ResponseHead>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Cache {
    /// The call of a fetch; none when it cannot be made, and the fetch has ended then.
    pub fn call(&mut self, turn: Turn<'_, impl Host>, generation: u64) -> Option<Call> {
        let fetch = self.fetches.get_mut(generation)?;
        (fetch.started, fetch.deadline) = (turn.now, turn.now.mono.after(fetch.timeout));
        let stored = fetch.validated.as_deref().and_then(Entry::response).map(|response| &response.stored);
        let conditions = stored.map(|stored| match stored.range {
            Some(_) => completing(stored),
            None => validation::validators(stored),
        });
        let call = match &fetch.by {
            Fetcher::Stream => None,
            Fetcher::Root(route) => {
                let sent = fetch.sent_by_root(&fetch.ask.forwarded());
                let request = route.applied(&sent);
                let conditions = conditions.unwrap_or_default();
                request.and_then(|request| request_fields(&request, &conditions)).map(|fields| Call {
                    cluster: route.cluster().to_owned(),
                    fields,
                    timeout: fetch.timeout,
                })
            }
        };
        match call {
            Some(_) => turn.host.count(Counter::Dispatched),
            None => self.call_ended(turn, generation),
        }
        call
    }

    /// A call is under way, or could not be dispatched. Whether it is news that Envoy has its cluster, or lacks it.
    pub fn call_dispatched(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        call: &Call,
        dispatched: Result<(), Refusal>,
    ) -> bool {
        match dispatched {
            Ok(()) => self.routes.found(turn.host, call, true, turn.now.mono),
            Err(Refusal::NoHost) => {
                self.call_failed(turn, generation);
                false
            }
            // That says nothing of the origin: whoever waits goes there with the client's own request.
            Err(Refusal::NoCluster) => {
                let is_configured = self.fetches.get(generation).is_some_and(|fetch| {
                    fetch.ask.config.collapse.cluster.as_deref() == Some(call.cluster.as_str())
                });
                let is_news = is_configured && self.routes.found(turn.host, call, false, turn.now.mono);
                turn.host.count(Counter::DispatchFailed);
                self.forget_route(turn.host, generation);
                self.end_fetch(turn, generation, FetchEnd::Abandoned);
                is_news
            }
        }
    }

    /// A call has come to no answer.
    fn call_failed(&mut self, turn: Turn<'_, impl Host>, generation: u64) {
        let cluster = self.fetches.get(generation).and_then(|fetch| fetch.cluster.clone());
        self.cluster_answered(turn, || cluster, true);
        self.forget_route(turn.host, generation);
        self.call_ended(turn, generation);
    }

    /// A fetch by what was learned of a route has failed: perhaps because that is no longer the route.
    fn forget_route(&mut self, host: &impl Host, generation: u64) {
        if let Some(Fetcher::Root(route)) = self.fetches.get(generation).map(|fetch| &fetch.by) {
            self.routes.forget(host, &mut self.storage, route);
        }
    }

    fn call_ended(&mut self, turn: Turn<'_, impl Host>, generation: u64) {
        turn.host.count(Counter::DispatchFailed);
        self.end_fetch(turn, generation, FetchEnd::NotStored(NotStored::Error));
    }

    /// A call has come back.
    pub fn received(&mut self, turn: Turn<'_, impl Host>, generation: u64, call_response: CallResponse) {
        let Some(fetch) = self.fetches.get(generation) else { return };
        let (ask, cluster) = (Rc::clone(&fetch.ask), fetch.cluster.clone());
        let leader = self.waiters.leader(&ask);
        let Some(head) = call_response.head else { return self.call_failed(turn, generation) };
        if !is_failure(&head) || !self.fetches.get(generation).is_some_and(Fetch::may_provoke) {
            self.cluster_answered(turn, || cluster, is_failure(&head));
        }
        let delivery = match self.fetch_response(turn, generation, &head) {
            // Waiters are woken, and find by themselves what may be served stale.
            FetchResponse::Refused | FetchResponse::StaleIfError { .. } => {
                self.refused(turn, generation, is_failure(&head));
                None
            }
            FetchResponse::Confirmed(confirmation) => {
                let (entry, stored) = self.end_confirmed(turn, generation, confirmation);
                entry.map(|entry| Delivery::Entry { entry, status: head.status, stored })
            }
            // Once: whoever answers 304 to a request without conditions would do so for ever.
            FetchResponse::OfAnother if self.validated(generation).is_some() => {
                self.ask_again(generation, turn.now);
                None
            }
            FetchResponse::OfAnother => {
                self.end_confirmed(turn, generation, Confirmation::OfAnother);
                None
            }
            FetchResponse::Rest => self.received_rest(turn, generation, &head, call_response.body),
            FetchResponse::Body(storable) => {
                self.received_body(turn, generation, storable, head, call_response.body)
            }
            FetchResponse::NotStored(why) => {
                self.end_fetch(turn, generation, FetchEnd::NotStored(why));
                Some(Delivery::Passing { head, body: call_response.body, why })
            }
        };
        if let (Some(delivery), Some(reason)) = (delivery, leader) {
            self.leave(ask.stream);
            self.effects.push_back(Effect::Decided(ask, Decision::Deliver { delivery, reason }));
        }
    }

    fn received_body(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        storable: Storable,
        head: ResponseHead,
        body: Vec<u8>,
    ) -> Option<Delivery> {
        if let Err(why) = storable.check_whole(&body) {
            self.end_fetch(turn, generation, FetchEnd::NotStored(why));
            return Some(Delivery::Passing { head, body, why });
        }
        let (response, ..) = storable.with_body(body);
        let (entry, stored) = self.end_fetch(turn, generation, FetchEnd::Stored(Box::new(response)))?;
        Some(Delivery::Entry { entry, status: head.status, stored })
    }

    /// The root has asked for what a stored part lacks (RFC 9111 §3.3).
    fn received_rest(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
        body: Vec<u8>,
    ) -> Option<Delivery> {
        let completed = self.fetches.get(generation).and_then(|fetch| fetch.completed(head, body, turn.now));
        let Some((whole, stamp)) = completed else {
            self.ask_again(generation, turn.now);
            return None;
        };
        if let Some(fetch) = self.fetches.get_mut(generation) {
            fetch.stamp = stamp;
        }
        let (entry, stored) = self.end_fetch(turn, generation, FetchEnd::Stored(Box::new(whole)))?;
        Some(Delivery::Entry { entry, status: head.status, stored })
    }

    /// The origin answers the root with an error. It may not answer a client so, whose request has what the root's lacks,
    /// such as credentials or cookies: the error is served to no client and replaces nothing that is stored. Waiters send
    /// their own requests, or are served stale.
    fn refused(&mut self, turn: Turn<'_, impl Host>, generation: u64, is_failure: bool) {
        turn.host.count(Counter::DispatchFailed);
        self.forget_route(turn.host, generation);
        let Some(fetch) = self.fetches.get(generation) else { return };
        // It leads no more, and what the root was refused with is nothing that it has waited for.
        fetch.ask.waited.set(None);
        fetch.ask.was_refused.set(true);
        let end = match is_failure {
            true if fetch.may_provoke() => FetchEnd::NotStored(NotStored::Provoked),
            // Remembered, so that the origin is left alone while something stored answers.
            true if fetch.validated.is_some() => FetchEnd::NotStored(NotStored::Error),
            true => FetchEnd::Abandoned,
            false => FetchEnd::Refused,
        };
        self.end_fetch(turn, generation, end);
    }

    /// The 304 was about something else, or the rest of a part does not fit it: the root asks once more, for all.
    fn ask_again(&mut self, generation: u64, now: Now) {
        let stamp = self.storage.journal.head();
        if let Some(fetch) = self.fetches.get_mut(generation) {
            fetch.validated = None;
            fetch.stamp = stamp;
            fetch.started = now;
            self.effects.push_back(Effect::Dispatch(generation));
        }
    }
}

impl Fetch {
    /// What a stored part and the rest of it, which has been asked for, make together, with its stamp; none when they do not
    /// belong together, or leave something out.
    fn completed(&self, head: &ResponseHead, body: Vec<u8>, now: Now) -> Option<(Response, u64)> {
        let part = self.validated.as_ref()?;
        let old = part.response()?;
        let mut request = self.request().into_owned();
        for (name, value) in completing(&old.stored) {
            request.fields.push(name, value);
        }
        let times = (self.started.wall, now.wall);
        let rest = assessed(&self.ask.config, &request, head, old.uri.clone(), times).ok()?;
        let limit = body_limit(&self.ask.config, &request, head);
        let whole = combined(old, &Response { body: body.into(), ..rest }, limit)?;
        // The older part is still subject to what was invalidated since it was asked for.
        let stamp = self.stamp.min(part.record.stamp);
        whole.stored.range.is_none().then_some((whole, stamp))
    }
}
