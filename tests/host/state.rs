//! Everything the emulated host knows, and how the imports reach it.
//!
//! One host lives in each thread. It is borrowed for the length of one import or one step of the driver, never
//! across a call into the filter.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::Write,
    time::Duration,
};

use super::{
    calls::{Call, CallResponse},
    events::{Event, Events, Lane, Random},
    faults::Faults,
    grpc::{Grpc, GrpcPart},
    hcm::Route,
    headers::HeaderMap,
    metrics::Metrics,
    origin::Origin,
    shared::{Queues, SharedData},
    stream::{Side, Stream},
    timers::Posts,
    vm::{ContextKind, Filter, Thread, Vm},
};

/// How many lines of the story are kept for the report of a failure.
const STORY_MAX: usize = 4000;
/// How many of them are printed.
const STORY_PRINTED: usize = 120;
/// 2026-01-01T00:00:00Z.
const WALL_START_NS: u64 = 1_767_225_600_000_000_000;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// The state of the emulated host.
pub struct Host {
    pub seed: u64,
    /// The monotonic clock in nanoseconds.
    pub now: u64,
    /// What the wall clock says more than the monotonic one, in nanoseconds.
    pub wall_offset: i128,
    pub random: Random,
    /// What `random_get` hands out.
    pub guest_random: Random,
    /// Whether the order of events and their latencies are drawn from the seed.
    pub shuffled: bool,
    pub settings: Settings,
    pub events: Events,
    pub filter: Filter,
    pub vms: Vec<Vm>,
    /// The VM that a thread uses for a version of the code.
    pub thread_vms: BTreeMap<(Thread, u32), usize>,
    /// The newest version of the code.
    pub code: u32,
    /// The code and configuration that each thread has taken over.
    pub serving: BTreeMap<Thread, (u32, String)>,
    pub configuration: Option<String>,
    /// What canaries have said, which is not asked again.
    pub canaries: BTreeMap<(u32, String), Result<(), String>>,
    pub frames: Vec<Frame>,
    pub shared: SharedData,
    pub queues: Queues,
    pub posts: Posts,
    pub metrics: Metrics,
    pub streams: Vec<Stream>,
    pub calls: BTreeMap<u32, Call>,
    pub grpc: Grpc,
    pub origin: Origin,
    pub faults: Faults,
    pub logs: Vec<LogLine>,
    pub story: Story,
    pub violations: Vec<String>,
    /// VMs that were loaded again after a trap (`wasm.<name>.vm_reload`).
    pub reloads: u32,
    pub next_context: u32,
    pub next_token: u32,
    pub next_armed: u32,
    /// The filter is being taken down: nothing it does counts any more.
    pub ending: bool,
}

/// A line that the filter logged.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub vm: usize,
    pub level: u32,
    pub text: String,
}

/// What an operator would set in Envoy's configuration (at first what `envoy/envoy.yaml` sets), and how fast the
/// network is.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workers: usize,
    pub route: Route,
    /// Whether a filter before ours takes `authorization` off requests and leaves in dynamic metadata whose it was, as
    /// `jwt_authn` does.
    pub authenticates: bool,
    /// A request field by which a filter before ours chooses endpoints, as `header_to_metadata` does for subsets.
    pub chooses_endpoints_by: Option<&'static str>,
    /// Largest part in which a body arrives.
    pub chunk_bytes: usize,
    /// Whether the end of a body comes as a part of its own without bytes, as HTTP/1 often has it.
    pub separate_end: bool,
    pub buffer_bytes_max: usize,
    /// `allow_on_headers_stop_iteration`: a body reaches the filter while the filter holds the header section.
    pub body_while_headers_held: bool,
    /// `traffic_direction` of the listener that clients connect to: 0 for none, 1 inbound, 2 outbound.
    pub direction: u64,
    /// `enable_trailers` on both sides.
    pub trailers: bool,
    /// `stream_idle_timeout`.
    pub idle_timeout: Option<Duration>,
    /// Time until the streams of an old configuration are closed.
    pub drain: Duration,
    pub failure: FailurePolicy,
    /// Time of a message between clients, Envoy and the origin.
    pub network: Duration,
    /// Time between two parts of the origin's body.
    pub between_parts: Duration,
    /// Time until a posted callback runs on another thread.
    pub post: Duration,
    /// Time between a context's delete callback and its destruction (envoy-facts §20.1).
    pub deferred_delete: Duration,
    /// How deep the host may be in what one callback deferred: each reply to another stream calls the filter again,
    /// and on its return the host goes on with the next, on the same stack. (Envoy took 125 and died of 250.)
    pub nesting_max: usize,
    /// Clients speak HTTP/2, in which one that leaves resets its stream.
    pub http2: bool,
    pub log_level: u32,
}

/// What Envoy does with a worker whose VM has trapped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailurePolicy {
    /// 503 for ever.
    Closed,
    /// A new VM for the next stream, at the earliest this long after the last one was loaded.
    Reload(Duration),
}

/// A call into the filter.
pub struct Frame {
    pub vm: usize,
    /// The context that the callback is for.
    pub context: u32,
    /// What `proxy_set_effective_context` chose.
    pub effective: Option<u32>,
    pub callback: &'static str,
    /// Nothing after this point has an effect, and the VM is dead when the callback returns.
    pub trapped: bool,
    /// A local reply stops the iteration of the callback that runs, whichever stream it was for.
    pub stopped: bool,
    /// The response that `on_http_call_response` may read.
    pub call: Option<CallResponse>,
    /// What a callback of gRPC may read.
    pub grpc: Option<GrpcPart>,
    /// The plugin configuration that `on_configure` may read.
    pub configuration: Option<Vec<u8>>,
}

/// What happened, for the report of a failure.
#[derive(Default)]
pub struct Story {
    lines: VecDeque<String>,
    /// No story is kept (for many seeds in a row; run the one that fails again with it).
    pub silent: bool,
}

impl Settings {
    pub fn new(workers: usize) -> Self {
        Settings {
            workers,
            route: Route::default(),
            authenticates: false,
            chooses_endpoints_by: None,
            chunk_bytes: 16 * 1024,
            separate_end: true,
            buffer_bytes_max: 256 * 1024,
            body_while_headers_held: true,
            direction: 0,
            trailers: true,
            idle_timeout: Some(Duration::from_secs(60)),
            drain: Duration::from_secs(5),
            failure: FailurePolicy::Reload(Duration::from_millis(10)),
            network: Duration::from_micros(100),
            between_parts: Duration::from_micros(50),
            post: Duration::from_micros(40),
            deferred_delete: Duration::from_micros(60),
            nesting_max: 100,
            http2: false,
            log_level: 2,
        }
    }
}

impl Host {
    pub fn new(filter: Filter, seed: u64, workers: usize, first_id: u32) -> Self {
        Host {
            seed,
            now: 1_000_000_000_000,
            wall_offset: i128::from(WALL_START_NS) - 1_000_000_000_000,
            random: Random::new(seed),
            guest_random: Random::new(!seed),
            shuffled: false,
            settings: Settings::new(workers),
            events: Events::default(),
            filter,
            vms: Vec::new(),
            thread_vms: BTreeMap::new(),
            code: 1,
            serving: BTreeMap::new(),
            configuration: None,
            canaries: BTreeMap::new(),
            frames: Vec::new(),
            shared: SharedData::new(),
            queues: Queues::default(),
            posts: Posts::default(),
            metrics: Metrics::default(),
            streams: Vec::new(),
            calls: BTreeMap::new(),
            grpc: Grpc::default(),
            origin: Origin::default(),
            faults: Faults::default(),
            logs: Vec::new(),
            story: Story::default(),
            violations: Vec::new(),
            reloads: 0,
            next_context: first_id,
            next_token: first_id,
            next_armed: 0,
            ending: false,
        }
    }

    /// The wall clock in nanoseconds since the epoch.
    pub fn wall(&self) -> u64 {
        (i128::from(self.now) + self.wall_offset).max(0) as u64
    }

    /// Puts an event into the queue, this much later; a little more or less when shuffled.
    pub fn after(&mut self, delay: Duration, lane: Option<Lane>, event: Event) {
        let mut delay = delay.as_nanos() as u64;
        if self.shuffled {
            delay += self.random.below(delay / 2 + 200_000);
        }
        self.events.add(self.now + delay, lane, event);
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.story.silent {
            return;
        }
        if self.story.lines.len() == STORY_MAX {
            self.story.lines.pop_front();
        }
        let now = Duration::from_nanos(self.now - 1_000_000_000_000);
        self.story.lines.push_back(format!("{:>12.6}s  {}", now.as_secs_f64(), line()));
    }

    /// Something happened that must never happen; the step reports it.
    pub fn violate(&mut self, what: String) {
        self.tell(|| format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    pub fn frame(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// The context that imports act on: the effective one while it exists, else the callback's own.
    pub fn effective(&self) -> Option<(usize, u32)> {
        let frame = self.frames.last()?;
        let known = |id: &u32| self.vms[frame.vm].contexts.contains_key(id);
        Some((frame.vm, frame.effective.filter(known).unwrap_or(frame.context)))
    }

    /// The root context above this context, or itself.
    pub fn root_of(&self, vm: usize, context: u32) -> u32 {
        match self.vms[vm].contexts.get(&context).map(|c| &c.kind) {
            Some(ContextKind::Stream { root, .. }) => *root,
            Some(ContextKind::Root { .. }) | None => context,
        }
    }

    /// The stream that imports act on.
    pub fn effective_stream(&mut self) -> Option<&mut Stream> {
        let (vm, context) = self.effective()?;
        match self.vms[vm].contexts.get(&context)?.kind {
            ContextKind::Stream { exchange, .. } => self.streams.get_mut(exchange),
            ContextKind::Root { .. } => None,
        }
    }

    /// The header map that an import reads, if it is there now.
    pub fn map(&mut self, kind: u32) -> Option<&mut HeaderMap> {
        if kind == 4 || kind == 5 {
            let part = self.frame()?.grpc.as_mut()?;
            return if kind == 4 { part.initial.as_mut() } else { part.trailing.as_mut() };
        }
        if kind >= 6 {
            let response = self.frame()?.call.as_mut()?;
            return Some(if kind == 6 { &mut response.headers } else { &mut response.trailers });
        }
        let stream = self.effective_stream()?;
        let side = stream.side(if kind < 2 { Side::Request } else { Side::Response });
        match kind {
            0 | 2 if side.headers_visible => Some(&mut side.headers),
            1 | 3 if side.trailers_visible => Some(&mut side.trailers),
            _ => None,
        }
    }

    /// Whether the stream that imports act on is being logged, when maps are read-only and may be missing.
    pub fn logging(&mut self) -> bool {
        self.effective_stream().is_some_and(|s| s.logging)
    }

    /// The story so far, with what is needed to run it again.
    pub fn report(&self) -> String {
        let skipped = self.story.lines.len().saturating_sub(STORY_PRINTED);
        let lines: Vec<_> = self.story.lines.iter().skip(skipped).map(String::as_str).collect();
        format!("seed {}, {} workers\n{}", self.seed, self.settings.workers, lines.join("\n"))
    }
}

/// Installs a host in this thread.
pub fn install(new: Host) {
    report_panics_inside_the_filter();
    HOST.with_borrow_mut(|host| {
        assert!(host.is_none(), "one world at a time in a thread");
        *host = Some(new);
    });
}

/// Removes the host of this thread.
pub fn uninstall() -> Option<Host> {
    HOST.take()
}

/// Borrows the host of this thread.
pub fn host<R>(act: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(|host| act(host.as_mut().expect("a world exists in this thread")))
}

/// Borrows the host of this thread, if there is one.
pub fn try_host<R>(act: impl FnOnce(&mut Host) -> R) -> Option<R> {
    HOST.try_with(|host| host.try_borrow_mut().ok()?.as_mut().map(act)).ok().flatten()
}

/// The filter is called through `extern "C"`, so a panic in it ends the process and the test runner's captured
/// output with it. The hook writes the panic and the story past the capture.
fn report_panics_inside_the_filter() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The SDK installs its logger and a hook of its own on the first call; not again later.
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        let _ = std::panic::take_hook();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let report = try_host(|h| (!h.frames.is_empty()).then(|| h.report())).flatten();
            if let Some(report) = report {
                let mut stderr = std::io::stderr().lock();
                let _ = writeln!(stderr, "\nThe filter panicked: {info}\n{report}\n");
            }
            usual(info);
        }));
    });
}
