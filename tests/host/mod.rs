//! An emulated proxy-wasm host: Envoy with N workers in one thread, on virtual time, with the real SDK.
//!
//! The host functions that a module would import are native symbols here ([`abi`]), and the SDK's exports are
//! called as Envoy calls them ([`guest`]). The SDK keeps its contexts per thread; so contexts and tokens of all
//! VMs (canary, main thread, workers) get numbers that are unique in the thread, and several VMs share it.
//!
//! Everything that can happen next is an event in one queue ([`events`]). [`World::step`] runs one. Callbacks are
//! atomic; what another worker does between two host calls of one callback is played by faults (a lost CAS).
//! Where this host and a real Envoy disagree, this host is wrong.

mod abi;
pub mod calls;
mod ending;
pub mod etcd;
pub mod events;
#[cfg(test)]
mod facts;
pub mod faults;
pub mod fleet;
pub mod grpc;
mod guest;
pub mod hcm;
pub mod headers;
pub mod ingress;
mod lifecycle;
pub mod metrics;
pub mod origin;
mod passage;
pub mod shared;
pub mod stand;
pub mod state;
pub mod stream;
mod timers;
mod toy;
mod upstream;
pub mod vm;

use std::{cell::Cell, marker::PhantomData, rc::Rc, time::Duration};

use events::{Event, Lane};
use faults::{Fault, FaultKind};
use state::{Host, Settings, host};
use stream::{ClientState, Part, Stream};
use vm::{Filter, NewVm};

use crate::stand::{Exchange, OriginRequest, Reply, Request, Response};

/// How long a test waits for a response, in virtual time.
pub const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// Contexts and tokens that the SDK of this thread may still know begin below this number.
    static FIRST_ID: Cell<u32> = const { Cell::new(1) };
}

/// One Envoy, its clients and its origin. There is one at a time in a thread.
pub struct World {
    /// The state lives in this thread.
    _here: PhantomData<*const ()>,
}

/// A VM of Larder.
pub fn larder() -> NewVm {
    let vm = larder_wasm::Vm::new();
    Rc::new(move |id| larder_wasm::root(id, Rc::clone(&vm)))
}

impl World {
    /// A world with Larder and nothing configured yet. Its order of events is fixed; see [`World::shuffle`].
    pub fn new(seed: u64, workers: usize) -> Self {
        World::with(larder, seed, workers)
    }

    /// A world with this filter and nothing configured yet. Its order of events is fixed; see [`World::shuffle`].
    pub fn with(filter: Filter, seed: u64, workers: usize) -> Self {
        World::of(Host::new(filter, seed, workers, FIRST_ID.get()))
    }

    /// The world with this state.
    fn of(host: Host) -> Self {
        state::install(host);
        proxy_wasm::set_root_context(guest::create_root);
        World { _here: PhantomData }
    }

    /// Puts its state aside, so that another world of this thread can go on.
    fn put_aside(self) -> Host {
        let host = state::uninstall().expect("a world exists in this thread");
        std::mem::forget(self);
        host
    }

    /// From now on the seed decides about latencies, the sizes of parts and the order of events that are ready
    /// at nearly the same time on different connections and threads.
    pub fn shuffle(&mut self) {
        host(|h| h.shuffled = true);
    }

    /// Keeps no story, for many seeds in a row.
    pub fn silence(&mut self) {
        host(|h| h.story.silent = true);
    }

    /// What an operator would have set in Envoy's configuration.
    pub fn settings<R>(&mut self, change: impl FnOnce(&mut Settings) -> R) -> R {
        host(|h| change(&mut h.settings))
    }

    /// Looks at the host's state.
    pub fn look<R>(&self, look: impl FnOnce(&mut Host) -> R) -> R {
        host(look)
    }

    // Time.

    /// Nanoseconds of the monotonic clock.
    pub fn now(&self) -> u64 {
        host(|h| h.now)
    }

    /// Milliseconds of the wall clock since the epoch.
    pub fn wall_ms(&self) -> u64 {
        host(|h| h.wall() / 1_000_000)
    }

    /// Sets the wall clock forward or back; the monotonic clock does not notice.
    pub fn step_wall(&mut self, milliseconds: i64) {
        host(|h| h.wall_offset += i128::from(milliseconds) * 1_000_000);
    }

    /// Runs the next event; false when there is none.
    pub fn step(&mut self) -> bool {
        let next = host(|h| {
            let shuffle = h.shuffled.then_some(&mut h.random);
            let (at, event) = h.events.take(shuffle)?;
            h.now = h.now.max(at);
            Some(event)
        });
        let Some(event) = next else { return false };
        self.run(event);
        self.report_violations();
        true
    }

    fn run(&mut self, event: Event) {
        match event {
            Event::Client(id) => self.client_sends(id),
            Event::Leave(id) => self.client_leaves(id),
            Event::Origin { stream, attempt } => self.origin_acts(stream, attempt),
            Event::RouteTimeout { stream, attempt } => self.route_timeout(stream, attempt),
            Event::Idle(id) => self.idle(id),
            Event::Queue { thread, code, root, token } => self.queue_ready(thread, code, root, token),
            Event::Tick { vm, root, armed } => self.tick(vm, root, armed),
            Event::Call { token, step } => self.call_goes_on(token, step),
            Event::Etcd => self.hear_etcd(),
            Event::Grpc { token, step } => self.grpc_goes_on(token, step),
            Event::Configure(thread) => self.take_over(thread),
            Event::Drained { vm, root } => self.drained(vm, root),
            Event::Destroy { vm, context } => self.destroy_context(vm, context),
            Event::Script(act) => act(self),
        }
    }

    /// Runs everything that happens within this time, and lets it pass.
    pub fn pass(&mut self, time: Duration) {
        let end = host(|h| h.now) + time.as_nanos() as u64;
        while host(|h| h.events.earliest()).is_some_and(|at| at <= end) {
            self.step();
        }
        host(|h| h.now = h.now.max(end));
    }

    /// Runs until something holds, at most this long; whether it does.
    pub fn drive(&mut self, most: Duration, mut until: impl FnMut(&World) -> bool) -> bool {
        let end = host(|h| h.now) + most.as_nanos() as u64;
        while !until(self) {
            if host(|h| h.events.earliest()).is_none_or(|at| at > end) {
                host(|h| h.now = h.now.max(end));
                return until(self);
            }
            self.step();
        }
        true
    }

    /// Runs a step of the test's own after this time.
    pub fn later(&mut self, delay: Duration, act: impl FnOnce(&mut World) + 'static) {
        host(|h| {
            let at = h.now + delay.as_nanos() as u64;
            h.events.add(at, None, Event::Script(Box::new(act)));
        });
    }

    fn report_violations(&mut self) {
        let violations = host(|h| std::mem::take(&mut h.violations));
        assert!(violations.is_empty(), "{}\n{}", violations.join("\n"), self.story());
    }

    /// What has happened so far, with seed and times.
    pub fn story(&self) -> String {
        host(|h| h.report())
    }

    /// Adds a line to the story.
    pub fn tell(&self, line: &str) {
        host(|h| h.tell(|| line.to_owned()));
    }

    // Clients.

    /// A client begins to send a request to a worker.
    pub fn start(&mut self, worker: usize, request: Request) -> Exchange {
        host(|h| {
            assert!(worker < h.settings.workers, "there is no worker {worker}");
            let id = h.streams.len();
            let mut stream = Stream::new(id, worker, request, h.now);
            stream.sending = parts_of(&stream.wanted, &h.settings);
            stream.direction = h.settings.direction;
            h.streams.push(stream);
            h.after(h.settings.network, Some(Lane::Stream(id)), Event::Client(id));
            Exchange(id)
        })
    }

    /// A client begins to send a request that has a body, and sends nothing of that.
    pub fn start_without_body(&mut self, worker: usize, request: Request) -> Exchange {
        let exchange = self.start(worker, request);
        host(|h| h.streams[exchange.0].sending.truncate(1));
        exchange
    }

    /// The client goes away, now.
    pub fn leave(&mut self, exchange: Exchange) {
        self.client_leaves(exchange.0);
        self.report_violations();
    }

    /// How an exchange looks from the client.
    pub fn client(&self, exchange: Exchange) -> ClientState {
        host(|h| h.streams[exchange.0].client)
    }

    /// What the client has seen of the response so far; status 0 before its header section.
    pub fn seen(&self, exchange: Exchange) -> Response {
        host(|h| h.streams[exchange.0].seen.clone())
    }

    /// Waits for the response. When the connection breaks it is what came until then, not complete, with status 0
    /// when nothing came.
    pub fn finish(&mut self, exchange: Exchange) -> Response {
        let over = self.drive(PATIENCE, |w| w.client(exchange) != ClientState::Open);
        assert!(over, "no response to exchange {} within {PATIENCE:?}\n{}", exchange.0, self.story());
        self.seen(exchange)
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, worker: usize, request: Request) -> Response {
        let exchange = self.start(worker, request);
        self.finish(exchange)
    }

    /// What the filter set for the access log of an exchange (`%FILTER_STATE(wasm.<name>)%`).
    pub fn filter_state(&self, exchange: Exchange, name: &str) -> Option<String> {
        host(|h| {
            let value = h.streams[exchange.0].filter_state.get(name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    }

    /// `%RESPONSE_CODE_DETAILS%` of an exchange.
    pub fn details(&self, exchange: Exchange) -> String {
        host(|h| h.streams[exchange.0].details.clone())
    }

    /// The same of all exchanges for a target, sorted.
    pub fn details_of(&self, target: &str) -> Vec<String> {
        let of = |h: &Host| {
            h.streams.iter().filter(|s| s.wanted.target == target).map(|s| s.details.clone()).collect()
        };
        let mut details: Vec<String> = host(|h| of(h));
        details.sort();
        details
    }

    // Origin.

    /// How the origin answers requests for a path from now on.
    pub fn origin(&mut self, path: &str, replies: Vec<Reply>) {
        host(|h| h.origin.script(path, replies));
    }

    /// All requests that the origin has seen.
    pub fn origin_log(&self) -> Vec<OriginRequest> {
        host(|h| h.origin.log.clone())
    }

    // Operation.

    /// Pushes a configuration and waits until every worker has it.
    pub fn configure_all(&mut self, configuration: &str) -> Result<(), String> {
        self.configure(configuration)?;
        let everywhere = |w: &World| {
            w.look(|h| {
                let new = Some((h.code, configuration.to_owned()));
                (0..h.settings.workers).all(|i| h.serving.get(&vm::Thread::Worker(i)) == new.as_ref())
            })
        };
        assert!(self.drive(PATIENCE, everywhere), "the workers never took over\n{}", self.story());
        Ok(())
    }

    /// The value of a counter or gauge.
    pub fn metric(&self, name: &str) -> u64 {
        host(|h| h.metrics.value(name))
    }

    /// `POST /reset_counters`.
    pub fn reset_counters(&mut self) {
        host(|h| h.metrics.reset_counters());
    }

    /// A stats filter silences the metrics from now on.
    pub fn silence_metrics(&mut self) {
        host(|h| h.metrics.silenced = true);
    }

    /// The lines that the filter has logged.
    pub fn logged(&self) -> Vec<String> {
        host(|h| h.logs.iter().map(|line| line.text.clone()).collect())
    }

    // Faults.

    /// Something goes wrong on the next occasion that fits.
    pub fn fault(&mut self, kind: FaultKind) {
        self.faults(kind, 0, 1);
    }

    /// Something goes wrong several times, after so many occasions that pass.
    pub fn faults(&mut self, kind: FaultKind, skip: u32, times: u32) {
        host(|h| h.faults.scripted.push(Fault { kind, skip, times }));
    }

    /// The VM of a worker traps at its next host call of this name (any when empty).
    pub fn trap(&mut self, worker: usize, call: &'static str) {
        self.fault(FaultKind::Trap { thread: vm::Thread::Worker(worker), call, callback: "" });
    }

    // Shared data.

    /// The value under a key.
    pub fn shared(&self, key: &str) -> Option<Vec<u8>> {
        host(|h| h.shared.get(key.as_bytes()).map(|(value, _)| value.clone()))
    }

    /// Overwrites a value behind the filter's back.
    pub fn set_shared(&mut self, key: &str, value: &[u8]) {
        host(|h| h.shared.set(key.as_bytes(), value, 0));
    }

    /// All keys with the sizes of their values.
    pub fn shared_sizes(&self) -> Vec<(String, usize)> {
        host(|h| {
            let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
            h.shared.values.iter().map(|(key, (value, _))| (name(key), value.len())).collect()
        })
    }
}

impl Drop for World {
    /// The SDK of this thread forgets everything, so that another world can begin at the same numbers.
    fn drop(&mut self) {
        let next = host(|h| {
            h.ending = true;
            h.next_context.max(h.next_token)
        });
        if std::thread::panicking() {
            FIRST_ID.set(next);
            drop(state::uninstall());
            return;
        }
        let vms = host(|h| h.vms.len());
        for vm in 0..vms {
            if host(|h| h.vms[vm].alive) {
                self.kill(vm);
            }
        }
        for token in host(|h| h.open_calls()) {
            // Its context is gone, so the SDK only forgets the token.
            guest::exports::proxy_on_http_call_response(0, token, 0, 0, 0);
        }
        for token in host(|h| std::mem::take(&mut h.grpc.tokens)) {
            guest::exports::proxy_on_grpc_close(0, token, 0);
        }
        FIRST_ID.set(1);
        drop(state::uninstall());
    }
}

fn parts_of(request: &Request, settings: &Settings) -> std::collections::VecDeque<Part> {
    let chunked = !request.trailers.is_empty();
    let empty = request.body.is_empty() && !chunked;
    let mut parts = std::collections::VecDeque::from([Part::Headers { end: empty }]);
    if !request.body.is_empty() {
        for chunk in request.body.chunks(settings.chunk_bytes.max(1)) {
            parts.push_back(Part::Data { bytes: chunk.to_vec(), end: false });
        }
        if chunked {
            // The trailers are its end.
        } else if settings.separate_end {
            parts.push_back(Part::Data { bytes: Vec::new(), end: true });
        } else if let Some(Part::Data { end, .. }) = parts.back_mut() {
            *end = true;
        }
    }
    if chunked && settings.trailers {
        let trailers = request.trailers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        parts.push_back(Part::Trailers(trailers));
    } else if chunked {
        parts.push_back(Part::Data { bytes: Vec::new(), end: true });
    }
    parts
}
