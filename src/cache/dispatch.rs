//! Fetches that the root makes: they belong to no client and cannot be lost with one.

use core::time::Duration;
use std::rc::Rc;

use super::{Ask, Cache, Decision, Delivery, Effect, Fetcher, Host, Landing};
use crate::http::{Fields, ResponseHead};
use crate::metrics::Counter;
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::validation;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::time::Now;

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

/// The response to a dispatched call.
#[derive(Clone, Debug)]
pub struct Reception {
    /// The head; none when the call failed.
    pub head: Option<ResponseHead>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Cache {
    /// The call of a fetch; none when it cannot be made, and the fetch has ended then.
    pub fn call(&mut self, host: &impl Host, generation: u64, now: Now) -> Option<Call> {
        let fetch = self.fetches.get(&generation)?;
        let validators =
            fetch.validated.as_deref().and_then(Entry::response).map(|r| validation::validators(&r.stored));
        let call = match &fetch.by {
            Fetcher::Stream => None,
            Fetcher::Root(recipe) => {
                let request = recipe.replayed(&fetch.ask.request);
                request_fields(&request, &validators.unwrap_or_default()).map(|fields| Call {
                    cluster: recipe.cluster.clone(),
                    fields,
                    timeout: self.config.collapse.fetch_timeout,
                })
            }
        };
        match call {
            Some(_) => host.count(Counter::Dispatched),
            None => self.call_failed(host, generation, now),
        }
        call
    }

    /// A call could not be dispatched.
    pub fn call_failed(&mut self, host: &impl Host, generation: u64, now: Now) {
        host.count(Counter::DispatchFailed);
        self.land(host, generation, Landing::NotStored(NotStored::Error), now);
    }

    /// A call has come back.
    pub fn received(&mut self, host: &impl Host, generation: u64, reception: Reception, now: Now) {
        let Some(fetch) = self.fetches.get(&generation) else { return };
        let (ask, validated) = (Rc::clone(&fetch.ask), fetch.validated.clone());
        let Some(head) = reception.head else { return self.call_failed(host, generation, now) };
        if is_failure(&head) {
            host.count(Counter::DispatchFailed);
        }
        let (landing, body) = match self.storable(generation, &head, reception.body, now) {
            Ok(response) => (Landing::Stored(Box::new(response)), Vec::new()),
            Err((why, body)) => (Landing::NotStored(why), body),
        };
        let why = if let Landing::NotStored(why) = landing { why } else { NotStored::NoFlight };
        let entry = self.land(host, generation, landing, now);
        let Some(reason) = self.led(&ask) else { return };
        let stale = validated
            .filter(|_| is_failure(&head))
            .and_then(|entry| Some((self.on_error(&entry, now)?, entry)));
        let status = head.status;
        let decision = match (entry, stale) {
            (Some(entry), _) => Decision::Deliver { delivery: Delivery::Stored { entry, status }, reason },
            (None, Some((reuse, entry))) => Decision::Serve { entry, reuse },
            // Nothing that was stored is confirmed: the request has to ask for itself.
            (None, None) if status == 304 => return,
            (None, None) => Decision::Deliver { delivery: Delivery::Passing { head, body, why }, reason },
        };
        self.leave(ask.stream);
        self.effects.push_back(Effect::Decided(ask, decision));
    }

    /// Why a request that still waits for a fetch on its own behalf does so.
    fn led(&self, ask: &Ask) -> Option<ForwardReason> {
        let waited = ask.waited.get().filter(|waited| waited.leads)?;
        self.parked_streams.contains_key(&ask.stream).then_some(waited.reason)
    }

    /// What a response may be stored as, with its body; or why not, and the body.
    fn storable(
        &self,
        generation: u64,
        head: &ResponseHead,
        body: Vec<u8>,
        now: Now,
    ) -> Result<Response, (NotStored, Vec<u8>)> {
        if is_failure(head) {
            return Err((NotStored::Error, body));
        }
        if head.status == 304 {
            return self.freshen(generation, head, now).map_err(|why| (why, body));
        }
        let bytes_max = self.fetches.get(&generation).map_or(0, |f| f.ask.options.object_bytes_max);
        let bytes = body.len() as u64;
        match self.assess(generation, head, now) {
            _ if bytes > bytes_max => Err((NotStored::TooLarge, body)),
            _ if head.content_length().is_some_and(|length| length != bytes) => {
                Err((NotStored::Incomplete, body))
            }
            Ok(response) => Ok(Response { body, ..response }),
            Err(why) => Err((why, body)),
        }
    }
}

/// Whether a response says that the origin, or the way to it, is in trouble (RFC 5861 §4).
#[must_use]
pub fn is_failure(response: &ResponseHead) -> bool {
    matches!(response.status, 500 | 502 | 503 | 504)
}

/// What a call sends: what the request would have sent, without what is the client's own affair. None when it
/// cannot be said in UTF-8, as the SDK wants it.
fn request_fields(request: &Fields, validators: &[(&'static str, Vec<u8>)]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::with_capacity(request.len() + validators.len());
    for (name, value) in request.iter().filter(|(name, _)| is_passed_on(name)) {
        fields.push((String::from_utf8(name.to_vec()).ok()?, String::from_utf8(value.to_vec()).ok()?));
    }
    for (name, value) in validators {
        fields.push(((*name).to_owned(), String::from_utf8(value.clone()).ok()?));
    }
    Some(fields)
}

/// Whether a request field goes with a dispatched call. Not: what belongs to the connection (RFC 9110 §7.6.1), to
/// one client's identity, to one client's stored copy, or to Envoy's own router, which would obey it.
fn is_passed_on(name: &[u8]) -> bool {
    let dropped: &[&[u8]] = &[
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"expect",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
        b"cache-control",
        b"pragma",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-real-ip",
        b"forwarded",
    ];
    !name.starts_with(b"x-envoy-") && !dropped.contains(&name)
}
