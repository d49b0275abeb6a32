//! Dispatched calls: owned by a root context in the host, by the running callback's context in the SDK.

use std::time::Duration;

use super::{
    World,
    events::{Event, Lane},
    guest::exports,
    hcm::{self, Cluster, LocalReply},
    headers::HeaderMap,
    origin::{OriginStep, Plan},
    state::{Frame, Host, host},
    upstream,
};
use crate::stand::OriginRequest;

/// Largest response body that the host buffers for a call (`http.async_response_buffer_limit`).
const BODY_MAX: usize = 32 << 20;

/// A call under way.
pub struct Call {
    pub vm: usize,
    /// The root context that the host cancels the call with.
    pub root: u32,
    /// The context whose callback dispatched it: the SDK gives the response to it, or to nobody.
    pub owner: u32,
    request: Option<OriginRequest>,
    deadline: Option<u64>,
}

/// What happens to a call next.
#[derive(Debug)]
pub enum CallStep {
    /// The request reaches the origin.
    Arrive,
    /// The filter gets the response; without one, the call has failed.
    Finish(Option<CallResponse>),
}

/// A response to a call, whole.
#[derive(Clone, Debug, Default)]
pub struct CallResponse {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// Why a call is refused at once.
#[derive(Debug, PartialEq)]
pub enum CallError {
    BadArgument,
    InternalFailure,
}

impl Host {
    /// Calls whose end the SDK has not been told.
    pub fn open_calls(&self) -> Vec<u32> {
        self.calls.keys().copied().collect()
    }

    /// `proxy_http_call`.
    pub fn dispatch(
        &mut self,
        cluster: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<u32, CallError> {
        let mut up = self.settings.route.clusters.get(cluster).copied().ok_or(CallError::BadArgument)?;
        if [":method", ":path", ":authority"].iter().any(|name| headers.text(name).is_empty()) {
            return Err(CallError::BadArgument);
        }
        if up == Cluster::NoHosts {
            return Err(CallError::InternalFailure);
        }
        let (vm, context) = self.effective().ok_or(CallError::InternalFailure)?;
        let owner = self.frame().map_or(context, |f| f.context);
        let root = self.root_of(vm, context);
        let token = self.next_token;
        self.next_token += 1;
        let deadline = (!timeout.is_zero()).then(|| self.now + timeout.as_nanos() as u64);
        let mut request = call_out(headers, body, timeout);
        let mut reply = None;
        if up == Cluster::RouteLoop {
            // Whatever the route says of it is an answer of the loop, not a refusal.
            (up, reply) = self.loops(&mut request);
        }
        self.tell(|| format!("call {token} of context {owner}: {} {}", request.method, request.target));
        self.calls.insert(token, Call { vm, root, owner, request: Some(request), deadline });
        let refused = || (up == Cluster::ConnectionRefused).then(upstream::connection_refused);
        let step = match reply.or_else(refused) {
            Some(reply) => CallStep::Finish(Some(own_reply(&reply))),
            None => CallStep::Arrive,
        };
        self.after(self.settings.network, Some(Lane::Call(token)), Event::Call { token, step });
        Ok(token)
    }

    /// The route takes a request that has come through the internal listener.
    fn loops(&self, request: &mut OriginRequest) -> (Cluster, Option<LocalReply>) {
        let route =
            self.settings.route.taken_by(|field| request.fields.iter().any(|(name, _)| name == field));
        if let Some(status) = route.direct_response {
            return (Cluster::RouteLoop, Some(upstream::direct_response(status)));
        }
        let mut headers = HeaderMap::new();
        headers.add(":path", &request.target);
        for (name, value) in &request.fields {
            headers.add(if name == "host" { ":authority" } else { name }, value);
        }
        headers.add(":method", &request.method);
        route.rewrite(&mut headers);
        *request = hcm::request_out(&headers, std::mem::take(&mut request.body));
        match route.clusters.get(&route.cluster).copied() {
            Some(Cluster::NoHosts) => (Cluster::NoHosts, Some(upstream::no_healthy_upstream())),
            Some(up) => (up, None),
            None => (Cluster::RouteLoop, Some(upstream::cluster_not_found())),
        }
    }

    /// The origin gets the request of a call: when and how it ends is known now.
    fn call_arrives(&mut self, token: u32) {
        let Some(call) = self.calls.get_mut(&token) else { return };
        let (deadline, Some(request)) = (call.deadline, call.request.take()) else { return };
        self.tell(|| format!("call {token}: the origin is asked for {}", request.target));
        let random = self.shuffled.then_some(&mut self.random);
        let plan = self.origin.answer(request, self.now, &self.settings, random);
        let (at, response) = fold(plan, self.now, deadline);
        let step = CallStep::Finish(response);
        if self.faults.loses_call_response(&mut self.random) {
            self.tell(|| format!("call {token}: its response will never come"));
            return;
        }
        self.events.add(at, Some(Lane::Call(token)), Event::Call { token, step });
    }
}

impl World {
    pub(super) fn call_goes_on(&mut self, token: u32, step: CallStep) {
        let lives = host(|h| {
            let Some(call) = h.calls.get(&token) else { return false };
            h.vms[call.vm].alive && h.vms[call.vm].contexts.get(&call.root).is_some_and(|root| !root.deleted)
        });
        if !lives {
            // Cancelled with its root context. The SDK never hears of it.
            return;
        }
        match step {
            CallStep::Arrive => host(|h| h.call_arrives(token)),
            CallStep::Finish(response) => self.call_finishes(token, response),
        }
    }

    fn call_finishes(&mut self, token: u32, response: Option<CallResponse>) {
        let Some(call) = host(|h| h.calls.remove(&token)) else { return };
        let (vm, root) = (call.vm, call.root);
        let (count, bytes, trailers) =
            response.as_ref().map_or((0, 0, 0), |r| (r.headers.len(), r.body.len(), r.trailers.len()));
        host(|h| {
            let heard = h.vms[vm].contexts.get(&call.owner).is_some_and(|c| !c.deleted);
            let status = response.as_ref().map_or("failed".into(), |r| r.headers.text(":status"));
            let to = if heard { "" } else { ", and its context is gone: nobody hears of it" };
            h.tell(|| format!("call {token}: {status}, {bytes} bytes{to}"));
        });
        let frame = Frame { call: response, ..Frame::new(vm, root, "on_http_call_response") };
        self.guest(frame, || exports::proxy_on_http_call_response(root, token, count, bytes, trailers));
    }
}

/// A call's request as the origin sees it.
fn call_out(mut headers: HeaderMap, body: Vec<u8>, timeout: Duration) -> OriginRequest {
    headers.set("x-envoy-internal", "true");
    if !timeout.is_zero() {
        headers.set("x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string());
    }
    if !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
    hcm::request_out(&headers, body)
}

/// A response that Envoy's router makes itself.
fn own_reply(reply: &LocalReply) -> CallResponse {
    let (headers, body) = hcm::local_reply(reply, &HeaderMap::new(), &hcm::Route::default());
    CallResponse { headers, body, trailers: HeaderMap::new() }
}

/// When a response is whole and what it is: nothing when it breaks, 504 when its headers come too late.
fn fold(plan: Plan, now: u64, deadline: Option<u64>) -> (u64, Option<CallResponse>) {
    let mut at = now;
    let mut response = CallResponse::default();
    let late = |at: u64| deadline.is_some_and(|deadline| at > deadline);
    for (delay, step) in plan {
        at += delay.as_nanos() as u64;
        if late(at) {
            let none_yet = response.headers.is_empty();
            return (deadline.unwrap_or(at), none_yet.then(|| own_reply(&upstream::request_timeout())));
        }
        match step {
            OriginStep::Interim(_) => {}
            OriginStep::Headers { headers, .. } => response.headers = headers,
            OriginStep::Data { bytes, .. } => response.body.extend_from_slice(&bytes),
            OriginStep::Trailers(trailers) => response.trailers = trailers,
            OriginStep::Reset if response.headers.is_empty() => {
                return (at, Some(own_reply(&upstream::connection_terminated())));
            }
            OriginStep::Reset => return (at, None),
        }
        if response.body.len() > BODY_MAX {
            return (at, None);
        }
    }
    (at, Some(response))
}
