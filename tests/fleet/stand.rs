//! Several Envoys and an emulated etcd on virtual time: the real cache, journal and part in the fleet of each worker, with
//! nothing of Envoy around them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use larder::cache::{Cache, Context, Host, Identity, Route, StreamId};
use larder::config::{Acknowledge, Config};
use larder::exchange::{Ending, Exchange, Kept, Step};
use larder::fleet::{Acknowledged, Answer, Ended, Io, IoId, State};
use larder::http::{Fields, Peer, RequestHead, ResponseHead};
use larder::invalidation::{Invalidation, Mode, Selector, Source};
use larder::outcome::metrics::{Counter, Gauge, Metrics};
use larder::store::{Cas, Fingerprint, Seed, SharedData, Versioned};
use larder::time::{Monotonic, Now, Timestamp};
use larder::turn::Turn;

use crate::host::etcd::{self, Delivery, Etcd};
use crate::world::World;

/// How often a worker ticks.
const TICK_MS: u64 = 50;

/// Shared data and counters of one process.
#[derive(Default)]
pub struct Process {
    world: World,
    woken: RefCell<Vec<u8>>,
    fleet_woken: Cell<bool>,
    counted: RefCell<BTreeMap<String, u64>>,
    shown: RefCell<BTreeMap<&'static str, u64>>,
    /// How many compare-and-sets another worker is faster at.
    pub busy: Cell<u32>,
}

impl SharedData for Process {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.world.get(key)
    }

    fn set(&self, key: &str, value: &[u8]) {
        self.world.set(key, value);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        if let Some(left) = self.busy.get().checked_sub(1) {
            self.busy.set(left);
            if let Some(same) = self.world.get(key) {
                self.world.set(key, &same.bytes);
            }
        }
        self.world.compare_and_set(key, value, expected)
    }

    fn epoch(&self) -> u64 {
        self.world.epoch()
    }

    fn advance_epoch(&self) {
        self.world.advance_epoch();
    }

    fn wake(&self, worker: u8, fingerprint: Fingerprint) {
        if !fingerprint.is_some() {
            self.woken.borrow_mut().push(worker);
        }
    }

    fn add_bytes(&self, delta: i64) -> u64 {
        self.world.add_bytes(delta)
    }

    fn bytes(&self) -> u64 {
        self.world.bytes()
    }

    fn add_entries(&self, delta: i64) {
        self.world.add_entries(delta);
    }

    fn entries(&self) -> u64 {
        self.world.entries()
    }
}

impl Metrics for Process {
    fn count(&self, counter: Counter) {
        *self.counted.borrow_mut().entry(counter.name()).or_default() += 1;
    }

    fn show(&self, gauge: Gauge, value: u64) {
        self.shown.borrow_mut().insert(gauge.name(), value);
    }

    fn values(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Host for Process {
    fn sent(&self, _: StreamId) -> Option<Fields> {
        None
    }

    fn route(&self, _: StreamId) -> Option<Route> {
        None
    }

    fn route_name(&self, _: StreamId) -> Vec<u8> {
        Vec::new()
    }

    fn is_from_upstream(&self, _: StreamId) -> bool {
        true
    }

    fn cluster(&self, _: StreamId) -> Option<String> {
        Some("origin".into())
    }

    fn metadata(&self, _: StreamId) -> Vec<u8> {
        Vec::new()
    }

    fn wake_fleet(&self) {
        self.fleet_woken.set(true);
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }
}

/// One Envoy.
pub struct Envoy {
    pub name: String,
    config: Rc<Config>,
    pub process: Process,
    workers: Vec<Worker>,
    streams: u32,
}

struct Worker {
    cache: Cache,
    kept: Kept,
    /// The commands that wait here.
    commands: Vec<StreamId>,
    /// Calls and streams that are open in etcd, by their names here; a call with when it times out.
    open: HashMap<IoId, (etcd::StreamId, Option<u64>)>,
    next_tick: u64,
}

/// A request that has gone to the origin.
pub struct Fetching {
    envoy: usize,
    worker: usize,
    exchange: Exchange,
    /// What the origin had when it was asked.
    pub version: u64,
    path: String,
}

impl Fetching {
    pub fn envoy(&self) -> usize {
        self.envoy
    }

    pub fn worker(&self) -> usize {
        self.worker
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

/// What a request has come to.
pub enum Got {
    /// It was answered by a stored response of this version.
    Stored(u64),
    /// It goes to the origin.
    Fetching(Box<Fetching>),
    /// It waits for the fetch of another.
    Waits,
}

/// The fleet and its etcd.
pub struct Fleet {
    pub now: u64,
    pub etcd: Etcd,
    pub envoys: Vec<Envoy>,
    /// What the origin has at each path.
    pub origin: BTreeMap<String, u64>,
    /// What commands were answered with, by Envoy and stream.
    pub answers: Vec<(usize, StreamId, Acknowledged)>,
    /// The commands whose worker has died while they waited.
    dead: Vec<(usize, StreamId)>,
    born: u32,
}

fn at(now: u64) -> Now {
    Now { wall: Timestamp(1_750_000_000_000 + now), mono: Monotonic(1_000_000 + now) }
}

impl Fleet {
    /// So many Envoys with so many workers each; `options` are those of `fleet` but for the names.
    pub fn new(envoys: usize, workers: usize, options: &str) -> Fleet {
        let mut fleet = Fleet {
            now: 0,
            etcd: Etcd::new(),
            envoys: Vec::new(),
            origin: BTreeMap::new(),
            answers: Vec::new(),
            dead: Vec::new(),
            born: 0,
        };
        for number in 0..envoys {
            let name = format!("gw-{number}");
            let more = if options.is_empty() { String::new() } else { format!(", {options}") };
            let json = format!(r#"{{"fleet": {{"name": "prod", "member": "{name}"{more}}}}}"#);
            let config = Rc::new(Config::parse(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}")));
            fleet.envoys.push(Envoy {
                name,
                config,
                process: Process::default(),
                workers: Vec::new(),
                streams: 0,
            });
            fleet.start(number, workers);
        }
        fleet
    }

    fn start(&mut self, envoy: usize, workers: usize) {
        for number in 0..workers {
            let worker = self.worker(envoy, number as u64);
            self.envoys[envoy].workers.push(worker);
        }
    }

    fn worker(&mut self, envoy: usize, offset: u64) -> Worker {
        self.born += 1;
        let identity = Identity { nonce: self.born, seed: Seed(u64::from(self.born) << 32 | 7, 9) };
        let Envoy { config, process, .. } = &self.envoys[envoy];
        let mut cache = Cache::new(Rc::clone(config), identity);
        cache.register(Turn { host: process, now: at(self.now) });
        let next_tick = self.now + 1 + offset * 13 + envoy as u64 * 3;
        Worker { cache, kept: Kept::new(identity), commands: Vec::new(), open: HashMap::new(), next_tick }
    }

    /// The process ends, and another begins with nothing.
    pub fn restart(&mut self, envoy: usize) {
        let workers = self.envoys[envoy].workers.len();
        for worker in 0..workers {
            self.abandon(envoy, worker);
        }
        self.envoys[envoy].workers.clear();
        self.envoys[envoy].process = Process::default();
        self.start(envoy, workers);
    }

    /// The VM of a worker dies and is loaded again: shared data stays.
    pub fn kill_vm(&mut self, envoy: usize, worker: usize) {
        self.abandon(envoy, worker);
        let new = self.worker(envoy, worker as u64);
        self.envoys[envoy].workers[worker] = new;
    }

    fn abandon(&mut self, envoy: usize, worker: usize) {
        let waiting = core::mem::take(&mut self.envoys[envoy].workers[worker].commands);
        self.dead.extend(waiting.into_iter().map(|stream| (envoy, stream)));
        for (_, (stream, _)) in core::mem::take(&mut self.envoys[envoy].workers[worker].open) {
            self.etcd.cancel(self.now, stream);
        }
    }

    /// Another worker has the lease from now on, although its holder lives.
    pub fn steal_lease(&mut self, envoy: usize) {
        self.envoys[envoy].process.set("fleet/lease", &[0; 12]);
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Lets it pass until something holds, at most so long; whether it does.
    pub fn until(&mut self, most_ms: u64, mut holds: impl FnMut(&mut Fleet) -> bool) -> bool {
        let end = self.now + most_ms;
        loop {
            if holds(self) {
                return true;
            }
            match self.next().filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => return false,
            }
            self.step();
        }
    }

    fn next(&self) -> Option<u64> {
        let workers = || self.envoys.iter().flat_map(|envoy| &envoy.workers);
        let ticks = workers().map(|worker| worker.next_tick);
        let timeouts = workers().flat_map(|worker| worker.open.values().filter_map(|(_, until)| *until));
        ticks.chain(timeouts).chain(self.etcd.next()).min()
    }

    fn step(&mut self) {
        for (stream, delivery) in self.etcd.poll(self.now) {
            self.deliver(stream, delivery);
        }
        for envoy in 0..self.envoys.len() {
            for worker in 0..self.envoys[envoy].workers.len() {
                self.time_out(envoy, worker);
                if self.envoys[envoy].workers[worker].next_tick <= self.now {
                    self.envoys[envoy].workers[worker].next_tick = self.now + TICK_MS;
                    self.with(envoy, worker, |cx, kept| {
                        cx.cache.tick(cx.turn);
                        kept.fleet.tick(cx);
                    });
                }
            }
        }
        self.settle();
    }

    fn time_out(&mut self, envoy: usize, worker: usize) {
        let now = self.now;
        let late: Vec<_> = self.envoys[envoy].workers[worker]
            .open
            .iter()
            .filter(|(_, (_, until))| until.is_some_and(|until| until <= now))
            .map(|(id, (stream, _))| (*id, *stream))
            .collect();
        for (id, stream) in late {
            self.etcd.cancel(now, stream);
            self.envoys[envoy].workers[worker].open.remove(&id);
            let trouble = Ended { status: 4, text: "timeout".into() };
            self.with(envoy, worker, |cx, kept| kept.fleet.answered(cx, id, Answer::Ended(trouble)));
        }
    }

    fn deliver(&mut self, stream: etcd::StreamId, delivery: Delivery) {
        for envoy in 0..self.envoys.len() {
            for worker in 0..self.envoys[envoy].workers.len() {
                let open = &mut self.envoys[envoy].workers[worker].open;
                let Some((id, until)) = open
                    .iter()
                    .find(|(_, (known, _))| *known == stream)
                    .map(|(id, (_, until))| (*id, *until))
                else {
                    continue;
                };
                let answer = match delivery {
                    Delivery::Message(bytes) => {
                        if until.is_some() {
                            open.remove(&id);
                        }
                        Answer::Message(bytes)
                    }
                    Delivery::Closed(status, text) => {
                        open.remove(&id);
                        Answer::Ended(Ended { status, text })
                    }
                };
                self.with(envoy, worker, |cx, kept| kept.fleet.answered(cx, id, answer));
                return self.settle();
            }
        }
    }

    /// Brings about all that workers want done, until they want nothing.
    fn settle(&mut self) {
        for envoy in 0..self.envoys.len() {
            loop {
                let mut any = false;
                for number in self.envoys[envoy].process.woken.take() {
                    any = true;
                    let at = |worker: &Worker| worker.cache.worker() == Some(number);
                    if let Some(worker) = self.envoys[envoy].workers.iter().position(at) {
                        self.with(envoy, worker, |cx, kept| kept.fleet.wake(cx));
                    }
                }
                if self.envoys[envoy].process.fleet_woken.take()
                    && let Some(worker) =
                        self.envoys[envoy].workers.iter().position(|worker| worker.kept.fleet.watches())
                {
                    any = true;
                    self.with(envoy, worker, |cx, kept| kept.fleet.wake(cx));
                }
                for worker in 0..self.envoys[envoy].workers.len() {
                    while let Some(io) = self.envoys[envoy].workers[worker].kept.fleet.next_io() {
                        any = true;
                        self.bring_about(envoy, worker, io);
                    }
                    let fleet = &mut self.envoys[envoy].workers[worker].kept.fleet;
                    while let Some((stream, came_of_it)) = fleet.next_acknowledged() {
                        self.answers.push((envoy, stream, came_of_it));
                    }
                }
                if !any {
                    break;
                }
            }
        }
    }

    fn bring_about(&mut self, envoy: usize, worker: usize, io: Io) {
        let client = self.envoys[envoy].name.clone();
        let now = self.now;
        match io {
            Io::Call { id, service, method, message, timeout } => {
                let stream = self.etcd.call(now, &client, &format!("/{service}/{method}"), &message);
                let until = now + timeout.as_millis() as u64;
                self.envoys[envoy].workers[worker].open.insert(id, (stream, Some(until)));
            }
            Io::Open { id, service, method, message } => {
                let metadata = [("hasleader", "true")];
                let stream = self.etcd.open(now, &client, &format!("/{service}/{method}"), &metadata);
                self.etcd.message(now, stream, &message);
                self.envoys[envoy].workers[worker].open.insert(id, (stream, None));
            }
            Io::Send { id, message } => {
                if let Some((stream, _)) = self.envoys[envoy].workers[worker].open.get(&id) {
                    self.etcd.message(now, *stream, &message);
                }
            }
            Io::Close { id } => {
                if let Some((stream, _)) = self.envoys[envoy].workers[worker].open.remove(&id) {
                    self.etcd.cancel(now, stream);
                }
            }
        }
    }

    fn with<T>(
        &mut self,
        envoy: usize,
        worker: usize,
        event: impl FnOnce(&mut Context<'_, Process>, &mut Kept) -> T,
    ) -> T {
        let Envoy { config, process, workers, .. } = &mut self.envoys[envoy];
        let Worker { cache, kept, .. } = &mut workers[worker];
        let turn = Turn { host: &*process, now: at(self.now) };
        event(&mut Context { cache, config, turn }, kept)
    }

    // Clients.

    /// A command of the admin route: everything at these paths is invalid. Its position in the journal, and the stream that
    /// waits for the fleet.
    pub fn purge(&mut self, envoy: usize, worker: usize, mode: Mode, paths: &[&str]) -> (u64, StreamId) {
        self.command(envoy, worker, (mode, paths), Acknowledge::Fleet)
    }

    /// The same, with what it waits for.
    pub fn command(
        &mut self,
        envoy: usize,
        worker: usize,
        (mode, paths): (Mode, &[&str]),
        acknowledge: Acknowledge,
    ) -> (u64, StreamId) {
        let stream = self.stream(envoy);
        let position = self.with(envoy, worker, |cx, kept| {
            let mut last = 0;
            for path in paths {
                let invalidation = Invalidation {
                    mode,
                    selector: Selector::Uri(format!("h.example{path}").into_bytes()),
                    issued_at: cx.turn.now.wall,
                    source: Source::Admin { token: "ops".into() },
                    reason: None,
                };
                last = cx.cache.invalidate(cx.turn.host, &invalidation).expect("a journal that is not busy");
            }
            kept.fleet.await_commit(cx, stream, last, acknowledge);
            last
        });
        self.envoys[envoy].workers[worker].commands.push(stream);
        self.settle();
        (position, stream)
    }

    /// The same, and waits until it is answered.
    pub fn purged(&mut self, envoy: usize, worker: usize, mode: Mode, paths: &[&str]) -> Acknowledged {
        let (_, stream) = self.purge(envoy, worker, mode, paths);
        let answered = |fleet: &Fleet| fleet.answer_to(envoy, stream);
        assert!(self.until(60_000, |fleet| answered(fleet).is_some()), "no answer to a purge");
        answered(self).unwrap()
    }

    pub fn answer_to(&self, envoy: usize, stream: StreamId) -> Option<Acknowledged> {
        self.answers
            .iter()
            .find(|(of, known, _)| (*of, *known) == (envoy, stream))
            .map(|(_, _, answer)| answer.clone())
    }

    fn stream(&mut self, envoy: usize) -> StreamId {
        self.envoys[envoy].streams += 1;
        self.envoys[envoy].streams
    }

    /// A request of a client.
    pub fn get(&mut self, envoy: usize, worker: usize, path: &str) -> Got {
        let stream = self.stream(envoy);
        let fields = [(":method", "GET"), (":authority", "h.example"), (":path", path), (":scheme", "http")];
        let request = RequestHead { fields: fields.into_iter().collect(), has_body: false };
        let mut exchange = Exchange::new(stream);
        let step = self.with(envoy, worker, |cx, kept| exchange.request_head(cx, kept, request));
        match step {
            Step::Reply(reply) => {
                let body = String::from_utf8(reply.body.bytes().to_vec()).unwrap();
                Got::Stored(body.parse().unwrap_or_else(|_| panic!("{} {body}", reply.status)))
            }
            Step::Continue(_) => {
                let version = *self.origin.entry(path.into()).or_default();
                let path = path.to_owned();
                Got::Fetching(Box::new(Fetching { envoy, worker, exchange, version, path }))
            }
            Step::Wait => {
                self.with(envoy, worker, |cx, _| exchange.end(cx, Ending::ClientLeft));
                Got::Waits
            }
            Step::Hold | Step::Call(_) => panic!("{step:?}"),
        }
    }

    /// The origin answers, with what it had when it was asked.
    pub fn land(&mut self, mut fetching: Fetching) -> u64 {
        let body = fetching.version.to_string().into_bytes();
        let length = body.len().to_string();
        let fields = [("cache-control", "max-age=3600"), ("content-length", length.as_str())];
        let response = ResponseHead { status: 200, fields: fields.into_iter().collect() };
        let Fetching { envoy, worker, ref mut exchange, version, .. } = fetching;
        self.with(envoy, worker, |cx, kept| {
            exchange.response_head(cx, &mut kept.unsafe_methods, &response, false);
            if exchange.captures() {
                exchange.response_body(cx, Some(body), true);
            }
            if !exchange.is_over() {
                exchange.end(cx, Ending::ClientLeft);
            }
        });
        version
    }

    /// A request all the way: what the client gets, and whether it was stored.
    pub fn served(&mut self, envoy: usize, worker: usize, path: &str) -> (u64, bool) {
        match self.get(envoy, worker, path) {
            Got::Stored(version) => (version, true),
            Got::Fetching(fetching) => (self.land(*fetching), false),
            Got::Waits => panic!("nobody is fetching {path}"),
        }
    }

    /// The origin has something new.
    pub fn publish(&mut self, path: &str) -> u64 {
        let version = self.origin.entry(path.into()).or_default();
        *version += 1;
        *version
    }

    // Looking.

    pub fn workers(&self, envoy: usize) -> usize {
        self.envoys[envoy].workers.len()
    }

    /// Whether the worker that fetches is still the one that has begun.
    pub fn lives(&self, fetching: &Fetching, _: [u32; 3]) -> bool {
        fetching.worker < self.workers(fetching.envoy)
    }

    /// Whether the worker has died that a command waited on.
    pub fn has_died(&self, envoy: usize, stream: StreamId) -> bool {
        self.dead.contains(&(envoy, stream))
    }

    /// The position of the newest record of an Envoy's journal.
    pub fn head(&mut self, envoy: usize) -> u64 {
        self.with(envoy, 0, |cx, _| cx.cache.journal(cx.turn.host).map_or(0, |journal| journal.head()))
    }

    /// What the workers of an Envoy know of the log.
    pub fn state(&self, envoy: usize) -> State {
        State::load(&self.envoys[envoy].process)
    }

    /// Everything up to this revision is in the journal of an Envoy.
    pub fn applied(&mut self, envoy: usize) -> u64 {
        let state = self.state(envoy);
        self.with(envoy, 0, |cx, _| {
            let log = cx.cache.journal(cx.turn.host).and_then(|journal| journal.log().cloned());
            log.map_or(
                0,
                |log| if log.join == state.join { log.applied.max(state.progress) } else { log.applied },
            )
        })
    }

    /// The name of the history that an Envoy has joined.
    pub fn tag(&mut self, envoy: usize) -> Option<[u8; 16]> {
        self.with(envoy, 0, |cx, _| cx.cache.journal(cx.turn.host)?.log().map(|log| log.tag))
    }

    /// The newest records of an Envoy's journal.
    pub fn journal(&mut self, envoy: usize) -> Vec<Invalidation> {
        self.with(envoy, 0, |cx, _| {
            let journal = cx.cache.journal(cx.turn.host).expect("a journal");
            journal.tail(cx.turn.host, None, 1_000).into_iter().map(|(_, record)| record).collect()
        })
    }

    pub fn counted(&self, envoy: usize, name: &str) -> u64 {
        self.envoys[envoy].process.counted.borrow().get(name).copied().unwrap_or(0)
    }

    pub fn shown(&self, envoy: usize, name: &str) -> u64 {
        self.envoys[envoy].process.shown.borrow().get(name).copied().unwrap_or(0)
    }

    /// Whether every Envoy has joined and has heard of etcd.
    pub fn is_joined(&mut self) -> bool {
        (0..self.envoys.len()).all(|envoy| self.state(envoy).contact.is_some())
    }

    /// A fleet that has joined.
    pub fn joined(envoys: usize, workers: usize, options: &str) -> Fleet {
        let mut fleet = Fleet::new(envoys, workers, options);
        assert!(fleet.until(10_000, Fleet::is_joined), "the fleet never joined");
        fleet
    }
}
