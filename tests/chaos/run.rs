//! Plays a plan on the emulated host and checks after every step.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use larder::store::SCHEMA;
use larder::store::sizes::{SIZES, Sizes, resize};

use super::ledger::{Ledger, Reason, Terms};
use super::model::{Asking, Invalidation, Model, shown};
use super::origin::Origin;
use super::plan::{Act, Ask, Cluster, Configuration, Damage, Health, Key, Kind, Mode, Plan, Selector};
use super::shared;
use crate::host::World;
use crate::host::faults::{FaultKind, Rates};
use crate::host::hcm;
use crate::host::stream::ClientState;
use crate::host::vm::Thread;
use crate::stand::{Exchange, Request};

/// After the last act everything is well again, and this much time passes.
const AFTERWARDS: Duration = Duration::from_secs(70);
/// `stream_idle_timeout`: what is left when a VM dies ends by it.
/// The hosts that requests have at the origin, by the cluster that they are sent to.
const HOST: &str = "shop.example";
const BLUE: &str = "blue.internal";
const IDLE: Duration = Duration::from_secs(20);
/// Steps between two looks at shared data.
const LOOK_EVERY: u64 = 16;

/// What was played.
#[derive(Default)]
pub struct Totals {
    pub seeds: u64,
    pub requests: u64,
    pub hits: u64,
    /// What was served because an origin was taken to be down.
    pub spared: u64,
    pub probes: u64,
    pub purges: u64,
    pub fetches: u64,
    pub reloads: u64,
    pub accounted: u64,
}

impl Totals {
    pub fn add(&mut self, more: &Totals) {
        self.seeds += more.seeds;
        self.requests += more.requests;
        self.hits += more.hits;
        self.spared += more.spared;
        self.probes += more.probes;
        self.purges += more.purges;
        self.fetches += more.fetches;
        self.reloads += more.reloads;
        self.accounted += more.accounted;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { seeds, requests, hits, spared, probes, purges, fetches, reloads, accounted } = self;
        write!(
            f,
            "{seeds} seeds: {requests} requests, {hits} hits, {spared} of them while the origin was down and {probes} \
             probes, {purges} purges acknowledged, {fetches} fetches (those of {accounted} seeds accounted for), \
             {reloads} VMs reloaded; nothing forbidden was seen"
        )
    }
}

/// Plays a plan; an error says what went wrong, with the story when `loud`.
pub fn play(plan: &Plan, loud: bool) -> Result<Totals, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let (segments, records) = plan.ring.unwrap_or((SIZES.segments, SIZES.records));
        resize(Sizes { segments, records, ..SIZES });
        let mut stage = Stage::new(plan, loud);
        let result = stage.play();
        result.map_err(|what| if loud { format!("{what}\n{}", stage.world.story()) } else { what })
    }));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic without words".into()))
    })
}

struct Stage<'a> {
    plan: &'a Plan,
    world: World,
    origin: Rc<RefCell<Origin>>,
    model: Model,
    ledger: Ledger,
    open: Vec<Open>,
    /// When the exchanges began, by their numbers.
    started: Vec<u64>,
    begin: u64,
    steps: u64,
    totals: Totals,
    reloads: u32,
    sets: u32,
    lease: Duration,
    /// Something happened after which origin requests cannot be accounted for.
    unaccountable: bool,
}

/// A client that waits for its response.
struct Open {
    exchange: Exchange,
    asked: What,
}

enum What {
    /// With the number of a reason that it alone has.
    Ask(Ask, Option<usize>),
    /// With its position in the model.
    Purge(usize),
    Write(usize),
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan, loud: bool) -> Self {
        let mut world = World::new(plan.seed, plan.workers);
        world.shuffle();
        if !loud {
            world.silence();
        }
        world.settings(|s| {
            s.idle_timeout = Some(IDLE);
            s.drain = Duration::from_secs(3);
            s.http2 = plan.seed % 2 == 1;
        });
        let origin = Rc::new(RefCell::new(Origin::new(!plan.seed, plan.lifetime)));
        let author = Rc::clone(&origin);
        world.look(|h| {
            h.origin.author = Some(Box::new(move |now, request| author.borrow_mut().answer(now, request)));
        });
        let grace = plan.configurations.iter().map(|c| c.grace_s.max(c.down_s)).max().unwrap_or_default();
        let lease = plan.configurations.iter().map(|c| c.lease_ms).max().unwrap_or_default();
        Stage {
            plan,
            world,
            origin,
            model: Model { grace: Duration::from_secs(grace), ..Model::default() },
            ledger: Ledger::default(),
            open: Vec::new(),
            started: Vec::new(),
            begin: 0,
            steps: 0,
            totals: Totals { seeds: 1, ..Totals::default() },
            reloads: 0,
            sets: shared::sets(plan.configurations.iter().map(|c| c.entries).max().unwrap_or(64)),
            lease: Duration::from_millis(lease),
            unaccountable: plan.crowded
                || plan.ring.is_some()
                || plan.configurations.iter().any(|c| !c.collapse)
                || plan.configurations.windows(2).any(|two| two[0].entries != two[1].entries),
        }
    }

    fn play(&mut self) -> Result<Totals, String> {
        let first = self.plan.configurations.first().map(Configuration::json).unwrap_or_default();
        self.world.configure_all(&first)?;
        self.note_clock();
        self.world.look(|h| h.faults.rates = self.plan.rates.clone());
        self.begin = self.world.now();
        self.model.hosts.push((0, HOST));
        let begin = self.begin;
        for (at, act) in &self.plan.acts {
            self.run_until(begin + at.as_nanos() as u64)?;
            self.act(act);
        }
        self.heal();
        self.run_until(self.world.now() + AFTERWARDS.as_nanos() as u64)?;
        self.check_end()?;
        Ok(std::mem::take(&mut self.totals))
    }

    fn run_until(&mut self, end: u64) -> Result<(), String> {
        while self.world.look(|h| h.events.earliest()).is_some_and(|at| at <= end) {
            self.world.step();
            self.after_step()?;
        }
        self.world.look(|h| h.now = h.now.max(end));
        Ok(())
    }

    fn after_step(&mut self) -> Result<(), String> {
        self.steps += 1;
        let dead = self.world.look(|h| h.vms.iter().filter(|vm| !vm.alive && !vm.canary).count() as u32);
        if dead > self.reloads {
            self.reloads = dead;
            self.ledger.note(self.world.now(), Reason::Fault);
        }
        for over in self.take_over() {
            self.ended(&over)?;
        }
        if self.steps.is_multiple_of(LOOK_EVERY) {
            shared::check_sets(&self.world, self.lease)?;
        }
        Ok(())
    }

    /// The clients that need not wait any more.
    fn take_over(&mut self) -> Vec<Open> {
        let world = &self.world;
        let is_over =
            |open: &mut Open| world.look(|h| h.streams[open.exchange.0].client != ClientState::Open);
        self.open.extract_if(.., is_over).collect()
    }

    /// Judges what a client has seen in the end.
    fn ended(&mut self, open: &Open) -> Result<(), String> {
        let (now, started) = (self.world.now(), self.started[open.exchange.0]);
        let seen = self.world.seen(open.exchange);
        let left = self.world.client(open.exchange) == ClientState::Left;
        match &open.asked {
            What::Ask(ask, reason) => {
                if let Some(reason) = reason {
                    self.ledger.settle(*reason, now);
                }
                if left {
                    return Ok(());
                }
                self.totals.hits += u64::from(seen.is_hit());
                self.totals.spared += u64::from(seen.field("cache-status").contains("stale-if-down"));
                let lifetime = self.origin.borrow().lifetime(ask.key.class);
                let asking = Asking { ask: ask.clone(), client: open.exchange.0, started, over: now };
                self.model.check(&asking, &seen, lifetime)
            }
            What::Purge(at) => {
                self.ledger.settle(self.model.invalidations[*at].reason, now);
                if seen.status == 200 && seen.complete {
                    let purge = &mut self.model.invalidations[*at];
                    (purge.since, purge.acknowledged) = (Some(now), Some(now));
                    self.totals.purges += 1;
                } else if seen.complete && !matches!(seen.status, 503) {
                    return Err(format!("a purge was answered with {}", shown(&seen)));
                }
                Ok(())
            }
            What::Write(at) => {
                self.ledger.settle(self.model.invalidations[*at].reason, now);
                if seen.status == 200 && seen.complete {
                    let purge = &mut self.model.invalidations[*at];
                    purge.since = seen.field("x-asked").parse().ok();
                    purge.acknowledged = Some(now);
                }
                Ok(())
            }
        }
    }

    fn act(&mut self, act: &Act) {
        self.world.tell(&format!("ACT {act:?}"));
        let now = self.world.now();
        match act {
            Act::Ask(ask) => self.ask(ask),
            Act::Leave(back) => self.leave(*back),
            Act::Purge { worker, mode, what } => self.purge(*worker, *mode, *what),
            Act::Write { worker, key } => {
                let request = Request::new("POST", &key.path()).body("new");
                let exchange = self.start(*worker, request);
                let at = self.expect(Mode::Revalidate, Selector::Key(*key));
                self.open.push(Open { exchange, asked: What::Write(at) });
            }
            Act::Change(key) => self.origin.borrow_mut().change(*key),
            Act::Clock(ms) => {
                self.world.step_wall(*ms);
                self.note_clock();
                self.ledger.note(now, Reason::Fault);
                if *ms < 0 {
                    // Each worker that notices has everything validated.
                    for _ in 0..self.plan.workers {
                        self.ledger.note(now, Reason::Invalidated(Selector::All));
                    }
                }
            }
            Act::Trap { worker, call, callback, skip } => {
                let thread = Thread::Worker(*worker);
                self.world.faults(FaultKind::Trap { thread, call, callback }, *skip, 1);
            }
            Act::Configure(n) => {
                let json = self.plan.configurations[*n % self.plan.configurations.len()].json();
                // The canary may be refused only for what is wrong with the configuration.
                self.world.configure(&json).expect("the configuration is right");
            }
            Act::Misconfigure => {
                assert!(self.world.configure(r#"{"no_such_option": 1}"#).is_err());
            }
            Act::PushCode => self.world.push_code().expect("the configuration is right"),
            Act::ResetCounters => self.world.reset_counters(),
            Act::Corrupt { nth, how } => self.corrupt(*nth, *how),
            Act::Health(health) => self.origin.borrow_mut().health = *health,
            Act::Cluster(cluster) => self.cluster(*cluster),
            Act::Route { blue } => self.route(*blue),
        }
    }

    fn ask(&mut self, ask: &Ask) {
        let method = if ask.kind == Kind::Head { "HEAD" } else { "GET" };
        let mut request = Request::new(method, &ask.key.path())
            .field("x-variant", ask.variant.to_string())
            .field("x-client", self.started.len().to_string());
        if ask.authorized {
            request = request.field("authorization", "Basic Y2xpZW50");
        }
        request = match ask.kind {
            Kind::Plain | Kind::Head => request,
            Kind::Range => request.field("range", "bytes=0-9"),
            Kind::Reload => request.field("cache-control", "no-cache"),
            Kind::OnlyIfCached => request.field("cache-control", "only-if-cached"),
            Kind::MaxStale => request.field("cache-control", "max-stale=5"),
            Kind::NoStore => request.field("cache-control", "no-store"),
            Kind::Conditional => request.field("if-none-match", "W/\"0--\""),
        };
        let reason =
            (ask.kind == Kind::Reload).then(|| self.ledger.expect(self.world.now(), Reason::Of(ask.key)));
        let exchange = self.start(ask.worker, request);
        self.totals.requests += 1;
        self.open.push(Open { exchange, asked: What::Ask(ask.clone(), reason) });
    }

    fn leave(&mut self, back: usize) {
        let Some(at) = self.open.len().checked_sub(back + 1) else { return };
        let open = self.open.remove(at);
        if let What::Ask(ask, _) = &open.asked {
            self.ledger.note(self.world.now(), Reason::Of(ask.key));
        }
        self.world.leave(open.exchange);
    }

    fn purge(&mut self, worker: usize, mode: Mode, what: Selector) {
        let (method, target, (name, value)) = what.command(mode);
        let request =
            Request::new(method, &target).field("authorization", "Bearer secret").field(name, value);
        let exchange = self.start(worker, request);
        let at = self.expect(mode, what);
        self.open.push(Open { exchange, asked: What::Purge(at) });
    }

    fn start(&mut self, worker: usize, request: Request) -> Exchange {
        let exchange = self.world.start(worker, request);
        self.started.push(self.world.now());
        exchange
    }

    /// From now on something may be invalidated.
    fn expect(&mut self, mode: Mode, what: Selector) -> usize {
        let sent = self.world.now();
        let reason = self.ledger.expect(sent, Reason::Invalidated(what));
        let purge = Invalidation { mode, what, sent, since: None, acknowledged: None, reason };
        self.model.invalidations.push(purge);
        self.model.invalidations.len() - 1
    }

    fn note_clock(&mut self) {
        let (now, offset) = self.world.look(|h| (h.now, h.wall_offset));
        self.model.clocks.set(now, offset);
    }

    fn cluster(&mut self, cluster: Cluster) {
        let state = match cluster {
            Cluster::Up => hcm::Cluster::Up,
            Cluster::NoHosts => hcm::Cluster::NoHosts,
            Cluster::Refused => hcm::Cluster::ConnectionRefused,
        };
        for name in ["origin", "blue"] {
            self.world.settings(|s| s.route.clusters.insert(name.into(), state));
        }
        // What does not reach the origin is not in its log.
        self.unaccountable |= cluster != Cluster::Up;
    }

    fn route(&mut self, blue: bool) {
        let (cluster, host) = if blue { ("blue", BLUE) } else { ("origin", HOST) };
        self.world.settings(|s| {
            s.route.cluster = cluster.into();
            s.route.host_rewrite = blue.then(|| BLUE.into());
        });
        self.model.hosts.push((self.world.now(), host));
        // Requests have a field that a route may match on: what came by the other one answers them no more.
        self.ledger.note(self.world.now(), Reason::Rerouted);
    }

    /// Damages a value that proves itself. (The registry only loses its own; the journal is left alone.)
    fn corrupt(&mut self, nth: u64, how: Damage) {
        let keys: Vec<_> = self.world.shared_sizes().into_iter().map(|(key, _)| key).collect();
        let is_sum = |key: &str| key.ends_with("/bytes") || key.ends_with("/entries");
        let may = |key: &&String| key.starts_with(SCHEMA) && !is_sum(key) || *key == "workers";
        let mut keys: Vec<_> = keys.iter().filter(may).collect();
        if keys.is_empty() {
            return;
        }
        let key = keys.remove(nth as usize % keys.len());
        let mut value = self.world.shared(key).unwrap_or_default();
        let fragile = key.as_str() == "workers";
        match how {
            Damage::Flip(at) if !fragile && !value.is_empty() => {
                let at = at as usize % value.len();
                value[at] ^= 1 << (nth % 8);
            }
            Damage::Cut(at) if !fragile => value.truncate(at as usize % (value.len() + 1)),
            Damage::Swap(other) if !fragile => {
                let same: Vec<_> = keys.iter().filter(|k| k[..3] == key[..3]).collect();
                if let Some(other) = same.get(other as usize % same.len().max(1)) {
                    value = self.world.shared(other).unwrap_or_default();
                }
            }
            Damage::Flip(_) | Damage::Cut(_) | Damage::Swap(_) | Damage::Empty => value.clear(),
        }
        self.world.tell(&format!("{key} is damaged"));
        self.world.set_shared(key, &value);
        self.unaccountable = true;
    }

    /// Everything is well from now on.
    fn heal(&mut self) {
        self.world.tell("all is well from now on");
        self.world.look(|h| {
            h.faults.rates = Rates::default();
            h.faults.scripted.clear();
        });
        self.cluster(Cluster::Up);
        self.origin.borrow_mut().health = Health::Well;
    }

    /// Each worker says that nobody waits in it, that it fetches nothing, and that it keeps within its memory.
    fn check_workers(&mut self) -> Result<(), String> {
        for worker in 0..self.plan.workers {
            let request = Request::get("/_larder/health").field("authorization", "Bearer secret");
            let health = self.world.send(worker, request).text();
            let number = |name: &str| -> u64 {
                let digits = health.split(&format!("\"{name}\":")).nth(1).unwrap_or_default();
                let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                digits[..end].parse().unwrap_or(u64::MAX)
            };
            let at_rest = ["worker_waiting", "worker_fetches", "worker_in_flight_bytes"];
            // The largest budget of any configuration.
            if at_rest.iter().any(|name| number(name) > 0) || number("worker_bytes") > 8 << 20 {
                return Err(format!("worker {worker} is not at rest: {health}"));
            }
        }
        Ok(())
    }

    /// One probe at a time looked whether the origin was back.
    fn check_probes(&mut self) -> Result<(), String> {
        self.totals.probes = self.world.metric("larder_breaker_probes");
        let damaged = self.plan.acts.iter().any(|(_, act)| matches!(act, Act::Corrupt { .. }));
        let interval = self.plan.configurations.iter().map(|c| c.probe_ms).min().unwrap_or_default();
        let most = (self.world.now() - self.begin) / 1_000_000 / interval;
        if !damaged && self.totals.probes > most {
            return Err(format!("{} probes, where {most} are allowed", self.totals.probes));
        }
        Ok(())
    }

    /// Nobody waits, no lease is left, the keys are known, and the origin was not asked too often.
    fn check_end(&mut self) -> Result<(), String> {
        if let Some(open) = self.open.first() {
            return Err(format!("exchange {} was never answered", open.exchange.0));
        }
        shared::check_sets(&self.world, self.lease)?;
        shared::check_idle(&self.world)?;
        shared::check_keys(&self.world, self.sets)?;
        self.check_workers()?;
        self.check_probes()?;
        let origin = self.origin.borrow();
        let late = if self.plan.rates.late_tick > 0.0 { 1_100_000_000 } else { 100_000_000 };
        for asked in &origin.log {
            // A request keeps the route that it had when it came, however long it waits.
            let begun = self.started.get(asked.client).copied().unwrap_or(u64::MAX);
            self.model.check_route(asked, begun.min(asked.at.saturating_sub(late)))?;
        }
        self.totals.fetches = origin.log.len() as u64;
        self.totals.reloads = u64::from(self.world.look(|h| h.reloads));
        if self.unaccountable {
            return Ok(());
        }
        if self.reloads == 0 && self.totals.reloads == 0 {
            shared::check_sums(&self.world)?;
        }
        self.totals.accounted = 1;
        let configurations = &self.plan.configurations;
        let least = |of: fn(&Configuration) -> u64| configurations.iter().map(of).min().unwrap_or_default();
        let most = |of: fn(&Configuration) -> u64| configurations.iter().map(of).max().unwrap_or_default();
        let pushes = |act: &Act| matches!(act, Act::Configure(_) | Act::PushCode);
        let terms = Terms {
            wait: Duration::from_millis(least(|c| c.wait_ms)),
            fetch_timeout: Duration::from_millis(most(|c| c.fetch_timeout_ms)),
            least_timeout: Duration::from_millis(least(|c| c.fetch_timeout_ms)),
            ahead_percent: configurations.iter().map(|c| c.ahead_percent).max().unwrap_or_default(),
            dispatch: Duration::from_millis(if self.plan.rates.late_tick > 0.0 { 1_100 } else { 100 }),
            loses_calls: self.plan.rates.lost_call_response > 0.0
                || self.plan.acts.iter().any(|(_, act)| pushes(act)),
        };
        let (started, clocks) = (&self.started, &self.model.clocks);
        self.ledger.check(
            &origin.log,
            &terms,
            |client| started.get(client).copied(),
            |at| clocks.wall(at),
            |key: Key| origin.lifetime(key.class),
        )
    }
}
