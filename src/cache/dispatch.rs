//! Fetches that the root makes: they belong to no client and cannot be lost with one.

use core::time::Duration;
use std::rc::Rc;

use super::fetches::Fetcher;
use super::route::CallRoute;
use super::{Ask, Cache, Confirmation, Decision, Delivery, Effect, FetchEnd, Host, LearnedRoute};
use crate::config::{Credential, Options};
use crate::http::{Fields, RequestHead, ResponseHead};
use crate::outcome::metrics::Counter;
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::hygiene::is_hop_by_hop;
use crate::policy::plain::{Passed, is_personal, may_provoke};
use crate::policy::{partial, validation};
use crate::store::memory::Entry;
use crate::time::Now;
use crate::turn::Turn;

/// A call for the root to dispatch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The upstream cluster.
    pub cluster: String,
    /// Pseudo-header fields and header section.
    pub fields: Vec<(String, String)>,
    /// How long it may take in all.
    pub timeout: Duration,
}

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
            Some(_) => partial::completing(stored),
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

    /// The call that repeats a client's own request, for it alone, after a validation of `old` that has come to nothing:
    /// through the route table, else by what was learned of the very route that its answer came by. None where neither is
    /// to be had, or where it has content, which is gone.
    pub fn call_again(&mut self, turn: Turn<'_, impl Host>, ask: &Ask, old: &Entry) -> Option<Call> {
        if ask.request.has_body {
            return None;
        }
        let route = match self.table_cluster(ask, turn.now) {
            Some(cluster) => CallRoute::Table(cluster.to_owned()),
            None if ask.config.collapse.cluster.is_none() => {
                CallRoute::Learned(self.own_route(turn, ask, &old.record.key)?)
            }
            None => return None,
        };
        let fields = own_fields(&route.applied(&ask.forwarded())?)?;
        turn.host.count(Counter::Dispatched);
        let (cluster, timeout) = (route.cluster().to_owned(), ask.config.collapse.fetch_timeout);
        Some(Call { cluster, fields, timeout })
    }

    /// A call is under way. Whether it is news that Envoy has the cluster.
    pub fn call_dispatched(&mut self, turn: Turn<'_, impl Host>, call: &Call) -> bool {
        self.table_clusters.found(turn.host, &call.cluster, true, turn.now.mono)
    }

    /// A call could not be dispatched. Whether it is news that Envoy lacks the cluster.
    pub fn call_refused(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        call: &Call,
        refusal: Refusal,
    ) -> bool {
        match refusal {
            Refusal::NoHost => {
                self.call_failed(turn, generation);
                false
            }
            // That says nothing of the origin: whoever waits goes there with the client's own request.
            Refusal::NoCluster => {
                let is_configured = self.fetches.get(generation).is_some_and(|fetch| {
                    fetch.ask.config.collapse.cluster.as_deref() == Some(call.cluster.as_str())
                });
                let is_news = is_configured
                    && self.table_clusters.found(turn.host, &call.cluster, false, turn.now.mono);
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
        self.origin_answered(turn, || cluster, true);
        self.forget_route(turn.host, generation);
        self.call_ended(turn, generation);
    }

    /// A fetch by what was learned of a route has failed: perhaps because that is no longer the route.
    fn forget_route(&mut self, host: &impl Host, generation: u64) {
        if let Some(Fetcher::Root(CallRoute::Learned(route))) =
            self.fetches.get(generation).map(|f| f.by.clone())
        {
            LearnedRoute::forget(host, route.number(self.writer.seed(host)));
            self.route_met = (0, 0);
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
        let leader = self.led(&ask);
        let reason = leader.unwrap_or(ForwardReason::Stale);
        let Some(head) = call_response.head else { return self.call_failed(turn, generation) };
        if !is_failure(&head) || !self.may_provoke(generation) {
            self.origin_answered(turn, || cluster, is_failure(&head));
        }
        let validated = self.validated(generation);
        let completes = validated.as_ref().is_some_and(|entry| entry.is_part());
        // A stored 404 that is still one has been confirmed, not refused.
        let is_stored =
            validated.as_deref().and_then(Entry::response).is_some_and(|r| r.stored.status == head.status);
        let decision = match head.status {
            400.. if !is_stored && (head.status != 416 || !completes) => {
                self.refused(turn, generation, is_failure(&head));
                None
            }
            304 => self.received_confirmation(turn, generation, &head, reason),
            206 | 416 if completes => self.received_rest(turn, generation, &head, call_response.body, reason),
            _ => self.received_response(turn, generation, head, call_response.body, reason),
        };
        if let (Some(decision), Some(_)) = (decision, leader) {
            self.leave(ask.stream);
            self.effects.push_back(Effect::Decided(ask, decision));
        }
    }

    fn received_confirmation(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
        reason: ForwardReason,
    ) -> Option<Decision> {
        let confirmation = self.confirmation(turn, generation, head);
        // Once: whoever answers 304 to a request without conditions would do so for ever.
        if let (Confirmation::OfAnother, Some(_)) = (&confirmation, self.validated(generation)) {
            self.ask_again(generation, turn.now);
            return None;
        }
        let (entry, stored) = self.end_confirmed(turn, generation, confirmation);
        entry.map(|entry| Decision::Deliver {
            delivery: Delivery::Entry { entry, status: 304, stored },
            reason,
        })
    }

    fn received_response(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: ResponseHead,
        body: Vec<u8>,
        reason: ForwardReason,
    ) -> Option<Decision> {
        let status = head.status;
        let storable = self.storable(turn, generation, &head);
        let delivery = match storable.and_then(|one| one.check_whole(&body).map(|()| one)) {
            Ok(storable) => {
                let end = FetchEnd::Stored(Box::new(storable.with_body(body)));
                let (entry, stored) = self.end_fetch(turn, generation, end)?;
                Delivery::Entry { entry, status, stored }
            }
            Err(why) => {
                self.end_fetch(turn, generation, FetchEnd::NotStored(why));
                Delivery::Passing { head, body, why }
            }
        };
        Some(Decision::Deliver { delivery, reason })
    }

    /// The origin answers the root with an error. It may not answer a client so, whose request has what the root's lacks,
    /// such as credentials or cookies: nobody gets it, and it takes nothing's place. Whoever waits asks for itself, or
    /// makes do with something stored.
    fn refused(&mut self, turn: Turn<'_, impl Host>, generation: u64, is_failure: bool) {
        turn.host.count(Counter::DispatchFailed);
        self.forget_route(turn.host, generation);
        if let Some(fetch) = self.fetches.get(generation) {
            // It leads no more, and what the root was refused with is nothing that it has waited for.
            fetch.ask.waited.set(None);
            fetch.ask.was_refused.set(true);
        }
        let end = match is_failure {
            true if self.may_provoke(generation) => FetchEnd::NotStored(NotStored::Provoked),
            // Remembered, so that the origin is left alone while something stored answers.
            true if self.validated(generation).is_some() => FetchEnd::NotStored(NotStored::Error),
            true => FetchEnd::Abandoned,
            false => FetchEnd::Refused,
        };
        self.end_fetch(turn, generation, end);
    }

    /// Whether the origin may fail because of what this fetch has sent.
    fn may_provoke(&self, generation: u64) -> bool {
        self.fetches.get(generation).is_some_and(|fetch| may_provoke(&fetch.request()))
    }

    /// The root has asked for what a stored part lacks (RFC 9111 §3.3).
    fn received_rest(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
        body: Vec<u8>,
        reason: ForwardReason,
    ) -> Option<Decision> {
        let Some(whole) = self.completed(generation, head, body, turn.now) else {
            self.ask_again(generation, turn.now);
            return None;
        };
        let (entry, stored) = self.end_fetch(turn, generation, FetchEnd::Stored(Box::new(whole)))?;
        let delivery = Delivery::Entry { entry, status: head.status, stored };
        Some(Decision::Deliver { delivery, reason })
    }

    /// The 304 was about something else, or the rest of a part does not fit it: the root asks once more, for all.
    fn ask_again(&mut self, generation: u64, now: Now) {
        let stamp = self.journal.head();
        if let Some(fetch) = self.fetches.get_mut(generation) {
            fetch.validated = None;
            fetch.stamp = stamp;
            fetch.started = now;
            self.effects.push_back(Effect::Dispatch(generation));
        }
    }

    /// Why a request that still waits for a fetch on its own behalf does so.
    fn led(&self, ask: &Ask) -> Option<ForwardReason> {
        let waited = ask.waited.get().filter(|waited| waited.leads)?;
        self.waiters.include(ask.stream).then_some(waited.reason)
    }
}

/// Whether a response says that the origin, or the way to it, is in trouble (RFC 5861 §4).
#[must_use]
pub fn is_failure(response: &ResponseHead) -> bool {
    matches!(response.status, 500 | 502 | 503 | 504)
}

/// Whether a failure is told in Envoy's own words, because the origin could not be reached.
#[must_use]
pub fn is_envoys_own(response: &ResponseHead) -> bool {
    !response.fields.contains("x-envoy-upstream-service-time")
}

/// A request as a call sends it, before the route's own changes: without what is the client's own affair.
pub(super) fn anonymised(request: &RequestHead, options: &Options) -> RequestHead {
    let mut request = without_credentials(request, options);
    let nominated: Vec<Vec<u8>> =
        request.fields.connection_options().into_iter().map(<[u8]>::to_vec).collect();
    let is_sayable = |value: &[u8]| str::from_utf8(value).is_ok();
    request.fields.retain(|name, value| {
        !is_personal(name) && is_sayable(value) && !nominated.iter().any(|n| n.eq_ignore_ascii_case(name))
    });
    request
}

/// The same for a refresh, which no client waits for: of fields that nobody has heard of only those are sent that its
/// response is stored under (`key`).
pub(super) fn as_refresh(request: &RequestHead, options: &Options, key: &[u8]) -> RequestHead {
    let mut request = anonymised(request, options);
    let passed = Passed::of(options, key);
    request.fields.retain(|name, _| passed.takes(name));
    request
}

/// A request without what says who sends it. What the route adds of that kind is its own, and stays.
fn without_credentials(request: &RequestHead, options: &Options) -> RequestHead {
    let is_none = |name: &[u8], value: &[u8]| {
        name.starts_with(b":") || options.credentials.of(name, value) == Credential::Ignore
    };
    RequestHead { fields: request.fields.kept(0, is_none), has_body: request.has_body }
}

/// What a call sends: what the request would have sent, without what is the client's own affair. None when it
/// cannot be said in UTF-8, as the SDK wants it.
fn request_fields(request: &Fields, validators: &[(&'static str, Vec<u8>)]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::with_capacity(request.len() + validators.len());
    let nominated = request.connection_options();
    let is_passed_on =
        |name: &[u8]| !is_personal(name) && !nominated.iter().any(|n| n.eq_ignore_ascii_case(name));
    for (name, value) in request.iter().filter(|(name, _)| is_passed_on(name)) {
        fields.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
    }
    let conditions = validators.iter().map(|(name, value)| Some((*name, str::from_utf8(value).ok()?)));
    // Without one of them the others may mean something else: then the whole is asked for.
    let conditions: Option<Vec<(&str, &str)>> = conditions.collect();
    let conditions = conditions.unwrap_or_default().into_iter();
    fields.extend(conditions.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Some(fields)
}

/// What a call sends that repeats a client's own request: all but what belongs to the connection, or would be obeyed by
/// Envoy's own router.
fn own_fields(request: &Fields) -> Option<Vec<(String, String)>> {
    let nominated = request.connection_options();
    let is_sent = |name: &[u8]| {
        !is_hop_by_hop(name)
            && !matches!(name, b"content-length" | b"expect")
            && !nominated.iter().any(|nominated| nominated.eq_ignore_ascii_case(name))
            || matches!(name, b":method" | b":scheme" | b":authority" | b":path")
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    request.iter().filter(|(name, _)| is_sent(name)).map(|(n, v)| Some((text(n)?, text(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_call_carries_nobodys_credentials() {
        let json = br#"{"credentials": {"fields": {"x-tenant": "key", "x-api-key": "ignore"}}}"#;
        let options = crate::config::Config::parse(json).unwrap().defaults;
        let fields = Fields::from_iter([
            (":path", "/bearer a"),
            ("x-forwarded-email", "alice@a.example"),
            ("x-acme", "Bearer secret"),
            ("x-tenant", "a"),
            ("authorization", "Basic YTpi"),
            ("x-api-key", "app"),
            ("accept", "text/html"),
        ]);
        let sent = anonymised(&RequestHead { fields, has_body: false }, &options);
        let expected = [(":path", "/bearer a"), ("x-api-key", "app"), ("accept", "text/html")];
        assert_eq!(sent.fields, Fields::from_iter(expected));
    }

    #[test]
    fn a_call_carries_nothing_of_one_connection_one_client_or_envoy_s_router() {
        let request = Fields::from_iter([
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/a"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("cookie", "me=1"),
            ("authorization", "Basic YTpi"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-max-retries", "9"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-forwarded-for", "192.0.2.7"),
            ("if-none-match", "\"theirs\""),
            ("accept", "text/html"),
        ]);
        let sent = request_fields(&request, &[("if-none-match", b"\"ours\"".to_vec())]).unwrap();
        let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (&**name, &**value)).collect();
        let target = [(":method", "GET"), (":authority", "shop.example"), (":path", "/a")];
        let rest = [("accept", "text/html"), ("if-none-match", "\"ours\"")];
        assert_eq!(sent, target.into_iter().chain(rest).collect::<Vec<_>>());
    }
}
