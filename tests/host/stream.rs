//! One exchange between a client, the filter and what lies behind it.
//!
//! ```text
//! client ──► arrive ──► deliver ──► pass_on ──► router        (Side::Request)
//! client ◄── pass_on ◄── deliver ◄── arrive ◄── router, local reply  (Side::Response)
//! ```
//! `deliver` calls the filter. When it pauses (or its callback sent a local reply) the side is held: at headers
//! nothing more is delivered, at the body more bytes add up. `resume` lets it go on.

use std::collections::{BTreeMap, VecDeque};

use super::{
    World,
    events::{Event, Lane},
    guest::{Verdict, exports},
    hcm::{self, LocalReply},
    headers::HeaderMap,
    state::{Frame, host},
    upstream::Upstream,
    vm::ContextKind,
};
use crate::stand::{Request, Response};

pub const FLAG_CLIENT_LEFT: u64 = 0x4000;
pub const FLAG_UPSTREAM_BROKE: u64 = 0x80_0000;

/// The two halves of an exchange.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Side {
    Request,
    Response,
}

/// What moves along one side.
#[derive(Debug)]
pub enum Part {
    /// The header section, which stands in [`Half::headers`].
    Headers {
        end: bool,
    },
    Data {
        bytes: Vec<u8>,
        end: bool,
    },
    Trailers(HeaderMap),
}

/// Where one side of a stream is.
#[derive(Default)]
pub struct Half {
    pub headers: HeaderMap,
    /// The filter may read the headers now.
    pub headers_visible: bool,
    pub trailers: HeaderMap,
    pub trailers_visible: bool,
    /// The part of the body that the filter looks at, with what is held before it.
    pub body: Vec<u8>,
    pub body_visible: bool,
    held: Option<Held>,
    waiting: VecDeque<Part>,
    /// Nothing of this side goes through the filters any more.
    aborted: bool,
}

/// What the filter holds back.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Held {
    Headers { end: bool },
    Body { end: bool },
    Trailers,
}

/// How an exchange looks from the client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ClientState {
    Open,
    /// The response has come whole.
    Done,
    /// The connection broke.
    Broken,
    /// The client has gone away.
    Left,
}

/// One exchange.
pub struct Stream {
    pub id: usize,
    pub worker: usize,
    pub alive: bool,
    pub vm: Option<usize>,
    pub root: u32,
    /// The context in the filter, once it is created.
    pub context: Option<u32>,
    /// Parts of the request that the client has still to send.
    pub sending: VecDeque<Part>,
    pub wanted: Request,
    pub request: Half,
    pub response: Half,
    pub upstream: Option<Upstream>,
    pub attempts: u32,
    /// The filter has answered by itself.
    replied: bool,
    response_started: bool,
    response_sent: bool,
    request_whole: bool,
    pub logging: bool,
    pub client: ClientState,
    pub seen: Response,
    pub details: String,
    pub flags: u64,
    /// Overrides and additions to what `proxy_get_property` says.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// What the filter has set with `proxy_set_property`.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    pub started_at: u64,
    active_at: u64,
}

impl Stream {
    pub fn new(id: usize, worker: usize, wanted: Request, now: u64) -> Self {
        Stream {
            id,
            worker,
            alive: true,
            vm: None,
            root: 0,
            context: None,
            sending: VecDeque::new(),
            wanted,
            request: Half::default(),
            response: Half::default(),
            upstream: None,
            attempts: 0,
            replied: false,
            response_started: false,
            response_sent: false,
            request_whole: false,
            logging: false,
            client: ClientState::Open,
            seen: Response { status: 0, fields: Vec::new(), body: Vec::new(), complete: false },
            details: String::new(),
            flags: 0,
            properties: BTreeMap::new(),
            filter_state: BTreeMap::new(),
            started_at: now,
            active_at: now,
        }
    }

    pub fn side(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Whether the filter holds a side back now.
    pub fn is_held(&self, side: Side) -> bool {
        match side {
            Side::Request => self.request.held.is_some(),
            Side::Response => self.response.held.is_some(),
        }
    }

    /// Whether the client has got the header section of a response.
    pub fn response_sent(&self) -> bool {
        self.response_sent
    }
}

impl World {
    /// The next part of a client's request reaches Envoy.
    pub(super) fn client_sends(&mut self, id: usize) {
        let Some(part) = host(|h| h.streams[id].alive.then(|| h.streams[id].sending.pop_front()).flatten())
        else {
            return;
        };
        host(|h| {
            if !h.streams[id].sending.is_empty() {
                h.after(h.settings.network, Some(Lane::Stream(id)), Event::Client(id));
            }
            let whole = matches!(
                part,
                Part::Headers { end: true } | Part::Data { end: true, .. } | Part::Trailers(_)
            );
            h.streams[id].request_whole |= whole;
        });
        if matches!(part, Part::Headers { .. }) && !self.begin(id) {
            return;
        }
        self.arrive(id, Side::Request, part);
    }

    /// The connection manager makes a stream of a request; false when it refuses it before any filter runs.
    fn begin(&mut self, id: usize) -> bool {
        let parsed = host(|h| {
            let request_id = h.random.next();
            let wanted = &h.streams[id].wanted;
            let (method, target) = (wanted.method.clone(), wanted.target.clone());
            let worker = h.streams[id].worker;
            h.tell(|| format!("exchange {id}: {method} {target} to worker {worker}"));
            hcm::request_in(&h.streams[id].wanted, &h.settings.route, request_id)
        });
        let worker = host(|h| h.streams[id].worker);
        let filter = self.root_for_stream(worker);
        if let Some(Ok((vm, root))) = filter {
            host(|h| (h.streams[id].vm, h.streams[id].root) = (Some(vm), root));
        }
        match (parsed, filter) {
            (Err((status, details)), _) => {
                let reply = LocalReply { status, details: details.into(), ..LocalReply::default() };
                self.local_reply(id, reply);
                false
            }
            (Ok(_), Some(Err(()))) => {
                self.local_reply(id, failed_filter());
                false
            }
            (Ok(headers), _) => {
                host(|h| h.streams[id].request.headers = headers);
                self.watch_idle(id);
                self.create_context(id)
            }
        }
    }

    /// Creates the filter's context of a stream, where there is a filter.
    fn create_context(&mut self, id: usize) -> bool {
        let Some((vm, root)) = host(|h| h.streams[id].vm.map(|vm| (vm, h.streams[id].root))) else {
            return true;
        };
        let context = host(|h| {
            let context = h.new_context(vm, ContextKind::Stream { exchange: id, root });
            h.streams[id].context = Some(context);
            h.tell(|| format!("exchange {id} is context {context}"));
            context
        });
        let created = || exports::proxy_on_context_create(context, root);
        if !self.notify(vm, context, "on_context_create", created) {
            self.fail_stream(id);
            return false;
        }
        true
    }

    /// A part arrives from the outside.
    pub(super) fn arrive(&mut self, id: usize, side: Side, part: Part) {
        let goes = host(|h| {
            let now = h.now;
            let stream = &mut h.streams[id];
            stream.active_at = now;
            if side == Side::Response {
                stream.response_started = true;
            }
            let half = stream.side(side);
            match half.held {
                _ if half.aborted => None,
                Some(Held::Headers { .. }) => {
                    half.waiting.push_back(part);
                    None
                }
                _ => Some(part),
            }
        });
        if let Some(part) = goes
            && host(|h| h.streams[id].alive)
        {
            self.deliver(id, side, part);
        }
    }

    fn deliver(&mut self, id: usize, side: Side, part: Part) {
        let Some((vm, context)) = host(|h| h.streams[id].vm.zip(h.streams[id].context)) else {
            return self.pass_on(id, side, part);
        };
        match part {
            Part::Headers { end } => self.deliver_headers(id, side, vm, context, end),
            Part::Data { bytes, end } => self.deliver_data(id, side, vm, context, bytes, end),
            Part::Trailers(trailers) => self.deliver_trailers(id, side, vm, context, trailers),
        }
    }

    fn deliver_headers(&mut self, id: usize, side: Side, vm: usize, context: u32, end: bool) {
        let count = host(|h| {
            let half = h.streams[id].side(side);
            half.headers_visible = true;
            half.headers.len()
        });
        let verdict = self.filter(id, vm, context, side, "headers", || match side {
            Side::Request => exports::proxy_on_request_headers(context, count, end),
            Side::Response => exports::proxy_on_response_headers(context, count, end),
        });
        match verdict {
            Some(Verdict::Continue) => {
                host(|h| h.streams[id].side(side).headers_visible = false);
                self.pass_on(id, side, Part::Headers { end });
            }
            Some(Verdict::Stop) => host(|h| h.streams[id].side(side).held = Some(Held::Headers { end })),
            None => {}
        }
    }

    fn deliver_data(&mut self, id: usize, side: Side, vm: usize, context: u32, bytes: Vec<u8>, end: bool) {
        let len = host(|h| {
            let half = h.streams[id].side(side);
            half.body.extend_from_slice(&bytes);
            half.body_visible = true;
            half.body.len()
        });
        let verdict = self.filter(id, vm, context, side, "body", || match side {
            Side::Request => exports::proxy_on_request_body(context, len, end),
            Side::Response => exports::proxy_on_response_body(context, len, end),
        });
        match verdict {
            Some(Verdict::Continue) => {
                let bytes = host(|h| {
                    let half = h.streams[id].side(side);
                    half.body_visible = false;
                    half.held = None;
                    std::mem::take(&mut half.body)
                });
                self.pass_on(id, side, Part::Data { bytes, end });
            }
            Some(Verdict::Stop) => {
                host(|h| h.streams[id].side(side).held = Some(Held::Body { end }));
                self.check_buffer(id, side);
            }
            None => {}
        }
    }

    fn deliver_trailers(&mut self, id: usize, side: Side, vm: usize, context: u32, trailers: HeaderMap) {
        let count = trailers.len();
        host(|h| {
            let half = h.streams[id].side(side);
            half.trailers = trailers;
            half.trailers_visible = true;
        });
        let verdict = self.filter(id, vm, context, side, "trailers", || match side {
            Side::Request => exports::proxy_on_request_trailers(context, count),
            Side::Response => exports::proxy_on_response_trailers(context, count),
        });
        match verdict {
            Some(Verdict::Continue) => self.pass_on_trailers(id, side),
            Some(Verdict::Stop) => host(|h| h.streams[id].side(side).held = Some(Held::Trailers)),
            None => {}
        }
    }

    /// Calls the filter for one part. Nothing is returned when this side of the stream does not go on.
    fn filter(
        &mut self,
        id: usize,
        vm: usize,
        context: u32,
        side: Side,
        what: &str,
        call: impl FnOnce() -> u32,
    ) -> Option<Verdict> {
        let callback = callback_name(side, what);
        if !host(|h| h.vms[vm].alive) {
            self.fail_stream(id);
            return None;
        }
        let Some((action, verdict)) = self.guest(Frame::new(vm, context, callback), call) else {
            if !host(|h| h.vms[vm].alive) {
                self.fail_stream(id);
            }
            return None;
        };
        let verdict = if action == 0 { verdict } else { Verdict::Stop };
        host(|h| h.tell(|| format!("exchange {id}: {callback} → {verdict:?}")));
        let goes_on = host(|h| h.streams[id].alive && !h.streams[id].side(side).aborted);
        goes_on.then_some(verdict)
    }

    /// A body that is held and larger than the buffer limit ends the exchange.
    fn check_buffer(&mut self, id: usize, side: Side) {
        let over = host(|h| h.streams[id].side(side).body.len() > h.settings.buffer_bytes_max);
        match side {
            _ if !over => {}
            Side::Request => {
                let reply = LocalReply {
                    status: 413,
                    body: b"Payload Too Large".to_vec(),
                    details: "request_payload_too_large".into(),
                    ..LocalReply::default()
                };
                self.local_reply(id, reply);
            }
            Side::Response => self.reset_stream(id, "response_payload_too_large"),
        }
    }

    /// The filter lets a side go on that it has held.
    pub(super) fn resume(&mut self, vm: usize, context: u32, side: Side) {
        let Some(id) = self.stream_of(vm, context) else { return };
        let held = host(|h| {
            let half = h.streams[id].side(side);
            if half.aborted {
                return None;
            }
            let held = half.held.take();
            half.headers_visible = false;
            half.body_visible = false;
            half.trailers_visible = false;
            if held.is_none() {
                h.violate(format!("exchange {id}: {side:?} is resumed and was not held"));
            }
            held
        });
        let Some(held) = held else { return };
        host(|h| h.tell(|| format!("exchange {id}: {side:?} goes on")));
        match held {
            Held::Headers { end } => {
                self.pass_on(id, side, Part::Headers { end });
                self.deliver_waiting(id, side);
            }
            Held::Body { end } => {
                let bytes = host(|h| std::mem::take(&mut h.streams[id].side(side).body));
                self.pass_on(id, side, Part::Data { bytes, end });
            }
            Held::Trailers => self.pass_on_trailers(id, side),
        }
    }

    /// What arrived while headers were held, bytes as one part.
    fn deliver_waiting(&mut self, id: usize, side: Side) {
        let mut waiting = host(|h| std::mem::take(&mut h.streams[id].side(side).waiting));
        let (mut all, mut ends) = (Vec::new(), None);
        while let Some(Part::Data { bytes, end }) = waiting.pop_front_if(|p| matches!(p, Part::Data { .. })) {
            all.extend_from_slice(&bytes);
            ends = Some(end);
        }
        if let Some(end) = ends {
            self.arrive(id, side, Part::Data { bytes: all, end });
        }
        while let Some(part) = waiting.pop_front() {
            self.arrive(id, side, part);
        }
    }

    fn pass_on(&mut self, id: usize, side: Side, part: Part) {
        if !host(|h| h.streams[id].alive) {
            return;
        }
        match side {
            Side::Request => self.route(id, part),
            Side::Response => self.send_to_client(id, part),
        }
    }

    fn pass_on_trailers(&mut self, id: usize, side: Side) {
        let (body, trailers) = host(|h| {
            let half = h.streams[id].side(side);
            half.trailers_visible = false;
            half.held = None;
            (std::mem::take(&mut half.body), half.trailers.clone())
        });
        if !body.is_empty() {
            self.pass_on(id, side, Part::Data { bytes: body, end: false });
        }
        self.pass_on(id, side, Part::Trailers(trailers));
    }

    fn send_to_client(&mut self, id: usize, part: Part) {
        let end = host(|h| {
            let (now, wall) = (h.now, h.wall());
            let stream = &mut h.streams[id];
            stream.active_at = now;
            match part {
                Part::Headers { end } => {
                    let close = !stream.request_whole;
                    hcm::response_out(
                        &mut stream.response.headers,
                        &stream.request.headers,
                        wall,
                        end,
                        close,
                    );
                    stream.seen = hcm::client_response(&stream.response.headers);
                    stream.response_sent = true;
                    end
                }
                Part::Data { bytes, end } => {
                    stream.seen.body.extend_from_slice(&bytes);
                    end
                }
                Part::Trailers(_) => true,
            }
        });
        if end {
            host(|h| {
                let stream = &mut h.streams[id];
                stream.client = ClientState::Done;
                stream.seen.complete = true;
                let (status, bytes) = (stream.seen.status, stream.seen.body.len());
                h.tell(|| format!("exchange {id}: the client has {status} with {bytes} bytes"));
            });
            self.end_stream(id);
        }
    }

    /// The filter answers a stream by itself.
    pub(super) fn reply_of_filter(&mut self, vm: usize, context: u32, reply: LocalReply) {
        if host(|h| h.vms[vm].contexts.get(&context).is_some_and(|c| c.deleted)) {
            host(|h| {
                h.violate(format!("a reply to context {context}, which the filter has dropped (§20.1)"))
            });
            return;
        }
        let Some(id) = self.stream_of(vm, context) else { return };
        if host(|h| std::mem::replace(&mut h.streams[id].replied, true)) {
            return;
        }
        if (100..200).contains(&reply.status) {
            host(|h| h.violate(format!("exchange {id}: a local reply with {} ends it", reply.status)));
        }
        self.local_reply(id, reply);
    }

    /// Envoy answers by itself: through the filters while no response has begun, past them while its headers are
    /// held back, not at all once they are out.
    pub(super) fn local_reply(&mut self, id: usize, reply: LocalReply) {
        let (started, sent) = host(|h| {
            let stream = &mut h.streams[id];
            stream.upstream = None;
            stream.request.aborted = true;
            stream.details = reply.details.replace(|c: char| c.is_ascii_whitespace(), "_");
            stream.flags |= reply.flags;
            let (status, details) = (reply.status, stream.details.clone());
            let before = (stream.response_started, stream.response_sent);
            h.tell(|| format!("exchange {id}: local reply {status} {details}"));
            before
        });
        if sent {
            return self.reset_stream(id, &reply.details);
        }
        let (body, end) = host(|h| {
            let route = h.settings.route.clone();
            let stream = &mut h.streams[id];
            let (headers, body) = hcm::local_reply(&reply, &stream.request.headers, &route);
            stream.response.headers = headers;
            stream.response.held = None;
            stream.response.aborted = started;
            let end = body.is_empty() || stream.wanted.method == "HEAD";
            (body, end)
        });
        let through_filter = !started && host(|h| h.streams[id].context.is_some());
        let send: fn(&mut World, usize, Side, Part) =
            if through_filter { World::arrive } else { World::pass_on };
        send(self, id, Side::Response, Part::Headers { end });
        if !end {
            send(self, id, Side::Response, Part::Data { bytes: body, end: true });
        }
    }

    /// The filter of this stream is dead: 503 while that is possible, else the connection breaks.
    fn fail_stream(&mut self, id: usize) {
        let first = host(|h| {
            let stream = &mut h.streams[id];
            stream.context = None;
            stream.alive && !std::mem::replace(&mut stream.replied, true)
        });
        if first {
            self.local_reply(id, failed_filter());
        }
    }

    /// The filter resets a stream.
    pub(super) fn close(&mut self, vm: usize, context: u32) {
        if let Some(id) = self.stream_of(vm, context) {
            self.reset_stream(id, "wasm_close_stream");
        }
    }

    /// The connection to the client breaks.
    pub(super) fn reset_stream(&mut self, id: usize, details: &str) {
        host(|h| {
            let stream = &mut h.streams[id];
            if !stream.alive {
                return;
            }
            stream.details = details.to_owned();
            stream.client = ClientState::Broken;
            h.tell(|| format!("exchange {id}: reset, {details}"));
        });
        self.end_stream(id);
    }

    /// The client goes away.
    pub(super) fn client_leaves(&mut self, id: usize) {
        let alive = host(|h| {
            let stream = &mut h.streams[id];
            if stream.client == ClientState::Open {
                stream.client = ClientState::Left;
            }
            if stream.alive {
                stream.details = "downstream_remote_disconnect".into();
                stream.flags |= FLAG_CLIENT_LEFT;
            }
            let alive = stream.alive;
            h.tell(|| format!("exchange {id}: the client leaves"));
            alive
        });
        if alive {
            self.end_stream(id);
        }
    }

    /// The stream is over: the filter logs it, and is told to drop its context.
    fn end_stream(&mut self, id: usize) {
        let was_alive = host(|h| {
            let stream = &mut h.streams[id];
            stream.upstream = None;
            stream.sending.clear();
            stream.request.aborted = true;
            stream.response.aborted = true;
            stream.logging = true;
            std::mem::replace(&mut stream.alive, false)
        });
        let Some(vm) = host(|h| h.streams[id].vm).filter(|vm| was_alive && host(|h| h.vms[*vm].alive)) else {
            return;
        };
        if host(|h| h.streams[id].context.is_none()) {
            // A request that no filter saw is logged all the same.
            self.create_context(id);
        }
        let Some(context) = host(|h| h.streams[id].context) else { return };
        let logged = self.notify(vm, context, "on_log", || exports::proxy_on_log(context));
        host(|h| h.streams[id].logging = false);
        let done = || {
            exports::proxy_on_done(context);
        };
        if logged && self.notify(vm, context, "on_done", done) {
            self.delete_context(vm, context);
        }
    }

    fn watch_idle(&mut self, id: usize) {
        host(|h| {
            if let Some(timeout) = h.settings.idle_timeout {
                let at = h.streams[id].active_at + timeout.as_nanos() as u64;
                h.events.add(at, None, Event::Idle(id));
            }
        });
    }

    /// `stream_idle_timeout`: 504 while no response has begun, else the connection breaks.
    pub(super) fn idle(&mut self, id: usize) {
        let idle = host(|h| {
            let timeout = h.settings.idle_timeout?;
            let stream = &h.streams[id];
            stream.alive.then_some(h.now >= stream.active_at + timeout.as_nanos() as u64)
        });
        match idle {
            Some(true) => {
                let status = if host(|h| h.streams[id].request_whole) { 504 } else { 408 };
                let reply = LocalReply {
                    status,
                    body: b"stream timeout".to_vec(),
                    details: "stream_idle_timeout".into(),
                    ..LocalReply::default()
                };
                self.local_reply(id, reply);
            }
            Some(false) => self.watch_idle(id),
            None => {}
        }
    }
}

fn failed_filter() -> LocalReply {
    LocalReply { status: 503, details: "wasm_fail_stream".into(), ..LocalReply::default() }
}

fn callback_name(side: Side, what: &str) -> &'static str {
    match (side, what) {
        (Side::Request, "headers") => "on_request_headers",
        (Side::Request, "body") => "on_request_body",
        (Side::Request, _) => "on_request_trailers",
        (Side::Response, "headers") => "on_response_headers",
        (Side::Response, "body") => "on_response_body",
        (Side::Response, _) => "on_response_trailers",
    }
}
