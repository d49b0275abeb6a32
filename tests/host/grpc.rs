//! gRPC calls and streams of the filter, to an emulated etcd.
//!
//! As Envoy 1.40 does it: order and fields of callbacks, tokens, statuses and their texts are measured with a small filter
//! that was written for that. What has no future in Envoy ends the test: a service that aborts it, and every use of a
//! stream that the host may have freed (`source/extensions/common/wasm/context.cc`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::types::Status;

use super::{
    World,
    etcd::{Delivery, Etcd, StreamId, UNREACHABLE, protobuf},
    events::{Event, Lane},
    guest::{Deferred, exports},
    headers::HeaderMap,
    state::{Frame, Host, host},
    vm::Thread,
};

/// What the filter's callbacks are called by: the SDK's own, or those that a filter has in their place.
#[derive(Clone, Copy)]
pub struct GrpcExports {
    pub initial_metadata: fn(root: u32, token: u32, fields: u32),
    pub receive: fn(root: u32, token: u32, bytes: usize),
    pub trailing_metadata: fn(root: u32, token: u32, fields: u32),
    pub close: fn(root: u32, token: u32, status: u32),
}

/// Those of the SDK.
pub const OF_THE_SDK: GrpcExports = GrpcExports {
    initial_metadata: |root, token, fields| {
        exports::proxy_on_grpc_receive_initial_metadata(root, token, fields);
    },
    receive: |root, token, bytes| exports::proxy_on_grpc_receive(root, token, bytes),
    trailing_metadata: |root, token, fields| {
        exports::proxy_on_grpc_receive_trailing_metadata(root, token, fields);
    },
    close: |root, token, status| exports::proxy_on_grpc_close(root, token, status),
};

/// Those that Larder has in their place; of the metadata it hears nothing.
pub const OF_LARDER: GrpcExports = GrpcExports {
    initial_metadata: |_, _, _| {},
    receive: |root, token, bytes| larder_wasm::larder_on_grpc_receive(root, token, bytes),
    trailing_metadata: |_, _, _| {},
    close: |root, token, status| larder_wasm::larder_on_grpc_close(root, token, status),
};

/// The emulated etcd, and this Envoy's calls and streams to it.
pub struct Grpc {
    pub etcd: Rc<RefCell<Etcd>>,
    /// Whom etcd takes this Envoy for, and what faults of the network know it by.
    pub client: String,
    /// The name of its cluster.
    pub cluster: String,
    /// Whether the cluster has hosts: without, a call fails before anything is sent.
    pub has_hosts: bool,
    /// After how long without a way to etcd health checks find that no host is healthy; none: there are no checks.
    pub unhealthy_after: Option<Duration>,
    pub exports: GrpcExports,
    /// The status of the last end, which Envoy goes on telling without its text.
    pub last_status: u32,
    /// A stream that could not begin, of whose metadata the filter is told before it has got its token.
    pub not_begun: Option<(u32, u32)>,
    /// When it is looked at next.
    wake: Option<u64>,
    open: BTreeMap<u32, Open>,
    /// The tokens that were given out, which the SDK may still know.
    pub tokens: Vec<u32>,
}

/// A call or stream of the filter that the host knows.
struct Open {
    vm: usize,
    root: u32,
    stream: StreamId,
    is_call: bool,
    has_headers: bool,
    local_closed: bool,
    /// The callback of its end has returned: the host has freed what is behind the entry.
    freed: bool,
}

/// What a callback may read.
#[derive(Clone, Debug, Default)]
pub struct GrpcPart {
    pub token: u32,
    pub message: Option<Vec<u8>>,
    pub initial: Option<HeaderMap>,
    pub trailing: Option<HeaderMap>,
    pub status: Option<(u32, String)>,
}

/// What happens to a call or stream next.
#[derive(Debug)]
pub enum GrpcStep {
    Deliver(Delivery),
    /// The time of a call is over.
    Timeout,
}

impl Default for Grpc {
    fn default() -> Self {
        Grpc {
            etcd: Rc::new(RefCell::new(Grpc::etcd())),
            client: "gw-a".into(),
            cluster: "etcd".into(),
            has_hosts: true,
            unhealthy_after: Some(Duration::from_millis(1_500)),
            exports: OF_LARDER,
            last_status: 0,
            not_begun: None,
            wake: None,
            open: BTreeMap::new(),
            tokens: Vec::new(),
        }
    }
}

/// Which cluster a serialized `envoy.config.core.v3.GrpcService` names. What is none is itself the name of a cluster.
fn cluster_of(service: &[u8]) -> Option<String> {
    protobuf::messages! {
        EnvoyGrpc { 1 cluster_name: String }
        GrpcService { 1 envoy_grpc: Option<EnvoyGrpc> }
    }
    match <GrpcService as protobuf::Message>::decode(service) {
        Ok(service) => service.envoy_grpc.map(|envoy| envoy.cluster_name),
        Err(_) => Some(String::from_utf8_lossy(service).into_owned()),
    }
}

impl Grpc {
    /// An etcd behind a cluster as `envoy/fleet/envoy.yaml` has it.
    pub fn etcd() -> Etcd {
        let mut etcd = Etcd::new();
        etcd.keepalive_ms = Some(13_000);
        etcd
    }
}

impl Host {
    /// Whether there is a healthy host.
    fn has_etcd(&self) -> bool {
        let since = self.grpc.etcd.borrow().unreachable_since(&self.grpc.client);
        let silent = since.map(|since| Duration::from_millis(self.etcd_ms().saturating_sub(since)));
        let unhealthy = |after| silent.is_some_and(|silent| silent >= after);
        self.grpc.has_hosts && !self.grpc.unhealthy_after.is_some_and(unhealthy)
    }

    /// Milliseconds of the monotonic clock: etcd's time.
    fn etcd_ms(&self) -> u64 {
        // Another Envoy of the fleet may be a little ahead.
        (self.now / 1_000_000).max(self.grpc.etcd.borrow().now())
    }

    fn with_etcd<R>(&mut self, act: impl FnOnce(&mut Etcd, u64) -> R) -> R {
        let etcd = Rc::clone(&self.grpc.etcd);
        let now = self.etcd_ms();
        let result = act(&mut etcd.borrow_mut(), now);
        self.listen_to_etcd();
        result
    }

    /// Looks at etcd when it has something to say.
    pub fn listen_to_etcd(&mut self) {
        let Some(at) = self.grpc.etcd.borrow().next() else { return };
        let at = (at * 1_000_000).max(self.now + self.settings.network.as_nanos() as u64);
        if self.grpc.wake.is_none_or(|wake| at < wake) {
            self.grpc.wake = Some(at);
            self.events.add(at, None, Event::Etcd);
        }
    }

    /// `proxy_grpc_call`.
    pub fn grpc_call(
        &mut self,
        service: &[u8],
        method: &str,
        request: &[u8],
        timeout: Duration,
    ) -> Result<u32, Status> {
        let (vm, root) = self.grpc_owner(service, true)?;
        let client = self.grpc.client.clone();
        let token = self.grpc_token(true);
        let stream = self.with_etcd(|etcd, now| etcd.call(now, &client, method, request));
        self.grpc.open.insert(token, Open::new(vm, root, stream, true));
        if !timeout.is_zero() {
            let at = self.now + timeout.as_nanos() as u64;
            self.events.add(at, None, Event::Grpc { token, step: GrpcStep::Timeout });
        }
        self.tell(|| format!("gRPC call {token}: {method}"));
        Ok(token)
    }

    /// `proxy_grpc_stream`.
    pub fn grpc_stream(
        &mut self,
        service: &[u8],
        method: &str,
        metadata: &[(String, Vec<u8>)],
    ) -> Result<u32, Status> {
        let (vm, root) = self.grpc_owner(service, false)?;
        let client = self.grpc.client.clone();
        let token = self.grpc_token(false);
        let text: Vec<_> =
            metadata.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value))).collect();
        let pairs: Vec<_> = text.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let stream = self.with_etcd(|etcd, now| etcd.open(now, &client, method, &pairs));
        self.grpc.open.insert(token, Open::new(vm, root, stream, false));
        self.tell(|| format!("gRPC stream {token}: {method}"));
        Ok(token)
    }

    /// The root context that callbacks go to. Where no request can be sent, Envoy says so, and then tells of the end of a
    /// call or stream whose token nobody was given.
    fn grpc_owner(&mut self, service: &[u8], is_call: bool) -> Result<(usize, u32), Status> {
        let (vm, context) = self.effective().ok_or(Status::InternalFailure)?;
        let root = self.root_of(vm, context);
        let Some(cluster) = cluster_of(service) else {
            let name = String::from_utf8_lossy(service).into_owned();
            self.violate(format!(
                "Envoy aborts (panic: unset oneof): {name:?} is a valid GrpcService that names no target"
            ));
            return Err(Status::InternalFailure);
        };
        if cluster == self.grpc.cluster && self.has_etcd() {
            return Ok((vm, root));
        }
        let token = self.grpc_token(is_call);
        self.vms[vm].deferred.push_back(Deferred::GrpcRefused { root, token });
        if cluster == self.grpc.cluster && !is_call {
            self.grpc.not_begun = Some((root, token));
        }
        Err(Status::InternalFailure)
    }

    /// Odd ones for calls, even ones for streams.
    fn grpc_token(&mut self, is_call: bool) -> u32 {
        if self.next_token.is_multiple_of(2) == is_call {
            self.next_token += 1;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.grpc.tokens.push(token);
        token
    }

    /// `proxy_grpc_send`.
    pub fn grpc_send(&mut self, token: u32, message: &[u8], end: bool) -> Status {
        if token % 2 == 1 {
            return Status::BadArgument;
        }
        let Some(stream) = self.grpc_entry(token, "proxy_grpc_send") else { return Status::NotFound };
        self.with_etcd(|etcd, now| {
            etcd.message(now, stream, message);
            if end {
                etcd.close(now, stream);
            }
        });
        Status::Ok
    }

    /// `proxy_grpc_close`: a call is cancelled by it, a stream says that it will send nothing more.
    pub fn grpc_close(&mut self, token: u32) -> Status {
        if token % 2 == 1 {
            return self.grpc_cancel(token);
        }
        let Some(stream) = self.grpc_entry(token, "proxy_grpc_close") else { return Status::NotFound };
        if self.grpc_is_ending(token) {
            self.grpc.open.remove(&token);
            return Status::Ok;
        }
        self.with_etcd(|etcd, now| etcd.close(now, stream));
        if let Some(open) = self.grpc.open.get_mut(&token) {
            open.local_closed = true;
        }
        Status::Ok
    }

    /// `proxy_grpc_cancel`.
    pub fn grpc_cancel(&mut self, token: u32) -> Status {
        let Some(stream) = self.grpc_entry(token, "proxy_grpc_cancel") else {
            return if token % 2 == 1 { Status::BadArgument } else { Status::NotFound };
        };
        let within = self.frame().filter(|frame| frame.grpc.as_ref().is_some_and(|part| part.token == token));
        if let Some(callback) = within.map(|frame| frame.callback)
            && callback != "on_grpc_close"
        {
            self.violate(format!(
                "{token} is cancelled within its own {callback}: Envoy goes on with what it has freed"
            ));
        }
        self.with_etcd(|etcd, now| etcd.cancel(now, stream));
        self.grpc.open.remove(&token);
        Status::Ok
    }

    fn grpc_entry(&mut self, token: u32, import: &str) -> Option<StreamId> {
        let vm = self.frame()?.vm;
        let open = self.grpc.open.get(&token).filter(|open| open.vm == vm)?;
        let (stream, freed) = (open.stream, open.freed);
        if freed {
            self.violate(format!("{import} of {token}, which has ended: Envoy uses what it has freed"));
        }
        Some(stream)
    }

    /// Whether the callback of its end runs.
    fn grpc_is_ending(&mut self, token: u32) -> bool {
        self.frame().is_some_and(|frame| {
            frame.callback == "on_grpc_close" && frame.grpc.as_ref().is_some_and(|part| part.token == token)
        })
    }

    /// The calls and streams of a VM, or of one of its root contexts, end with it.
    pub fn forget_grpc(&mut self, vm: usize, root: Option<u32>) {
        let of = |open: &Open| open.vm == vm && root.is_none_or(|root| open.root == root);
        let gone: Vec<_> = self
            .grpc
            .open
            .iter()
            .filter(|(_, open)| of(open))
            .map(|(token, open)| (*token, open.stream))
            .collect();
        for (token, stream) in gone {
            self.grpc.open.remove(&token);
            self.with_etcd(|etcd, now| etcd.cancel(now, stream));
        }
    }

    /// The same for the VMs of a thread that have died.
    pub fn forget_grpc_of_the_dead(&mut self, thread: Thread) {
        for vm in 0..self.vms.len() {
            if self.vms[vm].thread == thread && !self.vms[vm].alive {
                self.forget_grpc(vm, None);
            }
        }
    }

    /// How many calls and streams of the filter the host knows, those that have ended among them.
    pub fn open_grpc(&self) -> usize {
        self.grpc.open.len()
    }
}

const TIMEOUT: &str = "upstream request timeout";

/// What `proxy_get_status` says: Envoy adds to each text how it came about. So no text is ever just what etcd has said.
fn with_details(status: u32, text: &str) -> String {
    match text {
        "" if status == 13 => "upstream_reset_after_response_started{connection_termination}".into(),
        "" => "via_upstream".into(),
        TIMEOUT => format!("{TIMEOUT}{{response_timeout}}"),
        UNREACHABLE => format!(
            "{UNREACHABLE}{{upstream_reset_before_response_started{{remote_connection_failure|delayed_connect_error:_\
             Connection_refused}}}}"
        ),
        "Cluster not available" => text.into(),
        said => format!("{said}{{via_upstream}}"),
    }
}

impl Open {
    fn new(vm: usize, root: u32, stream: StreamId, is_call: bool) -> Open {
        Open { vm, root, stream, is_call, has_headers: false, local_closed: false, freed: false }
    }
}

impl World {
    /// The emulated etcd and its time, for what an operator or another Envoy does, and for faults.
    pub fn etcd<R>(&mut self, act: impl FnOnce(&mut Etcd, u64) -> R) -> R {
        host(|h| h.with_etcd(act))
    }

    /// Takes what etcd has sent. Each VM has a connection of its own, on which nothing overtakes.
    pub(super) fn hear_etcd(&mut self) {
        host(|h| {
            let (now, client) = (h.etcd_ms(), h.grpc.client.clone());
            h.grpc.wake = h.grpc.wake.filter(|wake| *wake > h.now);
            let heard = h.grpc.etcd.borrow_mut().poll_of(now, &client);
            for (stream, delivery) in heard {
                let Some((token, vm)) = h
                    .grpc
                    .open
                    .iter()
                    .find(|(_, open)| open.stream == stream)
                    .map(|(token, open)| (*token, open.vm))
                else {
                    continue;
                };
                let step = GrpcStep::Deliver(delivery);
                h.after(Duration::ZERO, Some(Lane::Grpc(vm)), Event::Grpc { token, step });
            }
            h.listen_to_etcd();
        });
    }

    pub(super) fn grpc_goes_on(&mut self, token: u32, step: GrpcStep) {
        let Some((vm, root, is_call, stream)) = host(|h| {
            let open = h.grpc.open.get(&token).filter(|open| !open.freed)?;
            let lives = h.vms[open.vm].alive
                && h.vms[open.vm].contexts.get(&open.root).is_some_and(|root| !root.deleted);
            lives.then_some((open.vm, open.root, open.is_call, open.stream))
        }) else {
            return;
        };
        match step {
            GrpcStep::Timeout => {
                host(|h| h.with_etcd(|etcd, now| etcd.cancel(now, stream)));
                self.grpc_closes(vm, root, token, 14, TIMEOUT);
            }
            GrpcStep::Deliver(Delivery::Message(message)) => {
                self.grpc_receives(vm, root, token, is_call, message)
            }
            GrpcStep::Deliver(Delivery::Closed(status, text)) => {
                self.grpc_closes(vm, root, token, status, &text);
            }
        }
    }

    fn grpc_receives(&mut self, vm: usize, root: u32, token: u32, is_call: bool, message: Vec<u8>) {
        let bytes = message.len();
        host(|h| h.tell(|| format!("gRPC {token}: {bytes} bytes")));
        let exports = host(|h| h.grpc.exports);
        if !is_call && !self.grpc_begins(vm, root, token, false) {
            return;
        }
        let part = GrpcPart { token, message: Some(message), ..GrpcPart::default() };
        let frame = Frame { grpc: Some(part), ..Frame::new(vm, root, "on_grpc_receive") };
        self.guest(frame, || (exports.receive)(root, token, bytes));
        if is_call {
            host(|h| h.grpc.open.remove(&token));
        }
    }

    /// The header section of a stream, once. Of an answer that is an end it is empty. False when the stream is gone
    /// after that.
    fn grpc_begins(&mut self, vm: usize, root: u32, token: u32, is_end: bool) -> bool {
        let first = host(|h| {
            h.grpc.open.get_mut(&token).is_some_and(|open| !std::mem::replace(&mut open.has_headers, true))
        });
        if first {
            let whole: HeaderMap =
                [(":status", "200"), ("content-type", "application/grpc")].into_iter().collect();
            let fields = if is_end { HeaderMap::new() } else { whole };
            let (exports, count) = (host(|h| h.grpc.exports), fields.len() as u32);
            let part = GrpcPart { token, initial: Some(fields), ..GrpcPart::default() };
            let frame =
                Frame { grpc: Some(part), ..Frame::new(vm, root, "on_grpc_receive_initial_metadata") };
            self.guest(frame, || (exports.initial_metadata)(root, token, count));
        }
        host(|h| h.grpc.open.contains_key(&token))
    }

    fn grpc_closes(&mut self, vm: usize, root: u32, token: u32, status: u32, text: &str) {
        host(|h| h.tell(|| format!("gRPC {token}: closed with {status} {text}")));
        let exports = host(|h| h.grpc.exports);
        let Some(is_call) = host(|h| h.grpc.open.get(&token).map(|open| open.is_call)) else { return };
        // A connection that breaks leaves no trailers; every other end has them, and no headers where nothing came before.
        let is_reset = status == 13 && text.is_empty();
        let is_alone = host(|h| h.grpc.open.get(&token).is_some_and(|open| !open.has_headers));
        if !is_call {
            if !is_reset && !self.grpc_begins(vm, root, token, true) {
                return;
            }
            let said = [("grpc-status", status.to_string()), ("grpc-message", text.to_owned())];
            let head = [(":status", "200"), ("content-type", "application/grpc")];
            let head = head.map(|(name, value)| (name, value.to_owned()));
            let fields: HeaderMap = match (is_reset, is_alone) {
                (true, _) => HeaderMap::new(),
                (false, true) => head.into_iter().chain(said).collect(),
                (false, false) => said.into_iter().collect(),
            };
            let count = fields.len() as u32;
            let part = GrpcPart { token, trailing: Some(fields), ..GrpcPart::default() };
            let frame =
                Frame { grpc: Some(part), ..Frame::new(vm, root, "on_grpc_receive_trailing_metadata") };
            if self.guest(frame, || (exports.trailing_metadata)(root, token, count)).is_none() {
                return;
            }
        }
        self.grpc_ends(vm, root, token, status, text);
        host(|h| {
            let ended = h.grpc.open.get_mut(&token).is_some_and(|open| {
                open.freed = true;
                open.is_call || open.local_closed
            });
            if ended {
                h.grpc.open.remove(&token);
            }
        });
    }

    /// The callback of an end, also of one whose token nobody knows.
    pub(super) fn grpc_ends(&mut self, vm: usize, root: u32, token: u32, status: u32, text: &str) {
        let lives = host(|h| h.vms[vm].contexts.get(&root).is_some_and(|root| !root.deleted));
        if !lives {
            return;
        }
        let exports = host(|h| h.grpc.exports);
        let text = with_details(status, text);
        host(|h| h.grpc.last_status = status);
        let part = GrpcPart { token, status: Some((status, text)), ..GrpcPart::default() };
        let frame = Frame { grpc: Some(part), ..Frame::new(vm, root, "on_grpc_close") };
        self.guest(frame, || (exports.close)(root, token, status));
    }
}
