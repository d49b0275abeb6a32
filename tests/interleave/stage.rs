//! Two workers with the real cache, stepped from one shared-data call to the next, and what is checked meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use larder::cache::{
    Answered, Cache, CacheRequest, CallResponse, Decision, Delivery, Effect, Identity, Uncollapsed,
};
use larder::config::Config;
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::invalidation::{Invalidation, Mode, Selector, Source};
use larder::outcome::{Bypass, ForwardReason};
use larder::policy::key;
use larder::policy::reuse::Reuse;
use larder::store::Fingerprint;
use larder::store::memory::Entry;
use larder::store::set::{SetSnapshot, USES_MAX, WAYS, Way};
use larder::time::{Monotonic, Now, Timestamp};

use super::shared::{Hands, SEED, Shared};

pub const LEASE: Duration = Duration::from_secs(2);
const START: u64 = 1_700_000_000_000;
/// The worker that stored what was there in the beginning, and is gone.
const PREDECESSOR: usize = 2;

/// What is explored.
#[derive(Clone)]
pub struct Setting {
    /// Worker and key of each request, in the order in which they come.
    pub requests: &'static [(usize, u8)],
    /// Worker, key and whether it is hard, in the order in which they come.
    pub purges: &'static [(usize, u8, bool)],
    pub fetch: &'static str,
    /// The origin confirms what it is shown.
    pub validators: bool,
    /// What is stale may be served while it is refreshed.
    pub swr: bool,
    /// Responses are selected by a field.
    pub varies: bool,
    /// Nothing that is published is older than what was published before.
    pub ordered: bool,
    /// Bodies that lie in two chunks.
    pub chunks: bool,
    /// Key 0 is stored, and its way is the next one to be taken.
    pub crowded: bool,
    /// Segments of the journal and records in them.
    pub ring: (u64, u64),
    /// The bytes of records with which a segment is full.
    pub segment_bytes: usize,
    /// The journal takes no record.
    pub busy: bool,
    /// How often each may happen.
    pub leaves: u8,
    pub deaths: u8,
    pub expiries: u8,
    pub ticks: u8,
    pub lost_hints: u8,
    pub lost_calls: u8,
    pub not_stored: u8,
    /// The most fetches of one key.
    pub starts_max: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Setting {
            requests: &[(0, 0), (0, 0), (1, 0), (1, 0)],
            purges: &[],
            fetch: "inline",
            validators: false,
            swr: false,
            varies: false,
            ordered: false,
            chunks: false,
            crowded: false,
            ring: (2, 2),
            segment_bytes: usize::MAX,
            busy: false,
            leaves: 0,
            deaths: 0,
            expiries: 0,
            ticks: 0,
            lost_hints: 0,
            lost_calls: 0,
            not_stored: 0,
            starts_max: usize::MAX,
        }
    }
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A worker makes the call that it is about to make.
    Step(usize),
    /// The next request comes.
    Ask,
    /// The next purge comes.
    Purge,
    /// The origin answers a fetch.
    Answer(usize, Answer),
    /// A hint arrives, or never.
    Hint(u8, Fingerprint),
    LoseHint(u8, Fingerprint),
    /// A call of the root never comes back.
    LoseCall(usize),
    /// The client of a request leaves.
    Leave(usize),
    /// The VM of a worker dies, and another takes its place.
    Die(usize),
    /// More time passes than a lease lasts.
    Expire,
    /// Less time passes, and a worker is told.
    Tick(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Whole,
    Confirmed,
    NotStorable,
}

/// Where a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    ToCome,
    /// Being decided, or waiting.
    Open,
    /// Its own request is at the origin, for a fetch.
    Fetching,
    /// Its own request is at the origin, beside any fetch.
    Beside,
    Over,
}

/// A fetch that was sent to the origin.
#[derive(Clone, Debug)]
struct Sent {
    worker: usize,
    key: u8,
    generation: u64,
    /// The request that was sent on; none for a call of the root.
    request: Option<usize>,
    /// What is stored, for a request that went beside any fetch.
    beside: Option<Option<Rc<Entry>>>,
    conditional: bool,
    /// Records that were in the journal by then.
    at: u64,
    open: bool,
}

struct Purge {
    worker: usize,
    at: Option<u64>,
}

/// What a callback has brought about, to be looked at when it is over.
enum Outcome {
    Decided(usize, Decision),
    Dispatched { generation: u64, key: u8, conditional: bool },
    Purged(Option<u64>),
}

struct Worker {
    cache: Rc<RefCell<Cache>>,
    /// The callback that is running.
    running: Option<Coroutine<(), (), ()>>,
    /// Purges that were acknowledged when it began.
    acknowledged: usize,
    outcomes: Rc<RefCell<Vec<Outcome>>>,
}

type Callback = Box<dyn FnOnce(&mut Cache, &Hands<'_>, &mut Vec<Outcome>)>;

/// One execution.
pub struct Stage<'a> {
    setting: &'a Setting,
    shared: Rc<Shared>,
    config: Rc<Config>,
    clock: u64,
    nonces: u32,
    workers: Vec<Worker>,
    requests: Vec<(Standing, Option<Rc<CacheRequest>>)>,
    purges: Vec<Purge>,
    sent: Vec<Sent>,
    /// What may still go wrong.
    left: Setting,
}

thread_local! {
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    static CONFIGS: RefCell<BTreeMap<&'static str, Rc<Config>>> = const { RefCell::new(BTreeMap::new()) };
}

fn config(fetch: &'static str) -> Rc<Config> {
    CONFIGS.with_borrow_mut(|configs| {
        let read = || {
            let json = format!(
                r#"{{"soft_purge_grace":"60s","store":{{"worker_bytes_max":"64MiB"}},"collapse":{{"fetch":"{fetch}",
                "cluster":"origin","lease":"2s","wait_max":"10s","fetch_timeout":"3s"}}}}"#
            );
            let mut config = Config::parse(json.as_bytes()).expect("it is right");
            // All keys in one set.
            config.store.entries_max = WAYS as u32;
            Rc::new(config)
        };
        Rc::clone(configs.entry(fetch).or_insert_with(read))
    })
}

impl<'a> Stage<'a> {
    pub fn new(setting: &'a Setting) -> Self {
        let mut stage = Stage {
            setting,
            shared: Rc::new(Shared::default()),
            config: config(setting.fetch),
            clock: 1_000,
            nonces: 1,
            workers: Vec::new(),
            requests: setting.requests.iter().map(|_| (Standing::ToCome, None)).collect(),
            purges: Vec::new(),
            sent: Vec::new(),
            left: setting.clone(),
        };
        for worker in 0..2 {
            let born = stage.born(worker);
            stage.workers.push(born);
        }
        if setting.crowded {
            stage.crowd();
        }
        stage.shared.busy.set(setting.busy);
        if setting.varies || setting.ordered {
            stage.shared.watch_stamps();
        }
        stage
    }

    fn now(&self) -> Now {
        Now { wall: Timestamp(START + self.clock), mono: Monotonic(self.clock) }
    }

    fn born(&mut self, worker: usize) -> Worker {
        self.nonces += 1;
        let identity = Identity { nonce: self.nonces, seed: SEED };
        let mut cache = Cache::new(Rc::clone(&self.config), identity);
        cache.register(self.hands(worker).at(self.now()));
        Worker {
            cache: Rc::new(RefCell::new(cache)),
            running: None,
            acknowledged: 0,
            outcomes: Rc::default(),
        }
    }

    fn hands(&self, worker: usize) -> Hands<'static> {
        Hands { shared: Rc::clone(&self.shared), worker, yielder: None }
    }

    /// All ways are taken, and the one that the next flight takes holds key 0.
    fn crowd(&mut self) {
        let hands = self.hands(PREDECESSOR);
        let mut set = SetSnapshot::read(&hands, 0).value;
        // What is stored is worth more than what has never been asked for again.
        let taken = |n: u64| Way {
            fingerprint: Fingerprint(n),
            bytes: 1,
            expires: u32::MAX,
            uses: USES_MAX,
            ..Way::default()
        };
        (100..).zip(&mut set.ways).filter(|(n, _)| *n != 101).for_each(|(n, way)| *way = taken(n));
        assert!(SetSnapshot::read(&hands, 0).replace(&hands, &set));
        let predecessor = Identity { nonce: 1, seed: SEED };
        let mut cache = Cache::new(Rc::clone(&self.config), predecessor);
        let ask = self.asked(9, 0);
        let Decision::Fetch { generation, .. } = cache.lookup(hands.at(self.now()), &ask) else {
            panic!("nothing is stored yet");
        };
        self.sent.push(Sent {
            worker: PREDECESSOR,
            key: 0,
            generation,
            request: None,
            beside: None,
            conditional: false,
            at: 0,
            open: false,
        });
        land(&mut cache, &hands, generation, self.response(0, Answer::Whole), self.now());
    }

    fn asked(&self, stream: u32, key: u8) -> Rc<CacheRequest> {
        let path = format!("/{key}");
        let fields = Fields::from_iter([
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "h"),
            (":path", &path),
            ("accept-language", "en"),
        ]);
        let request = RequestHead { fields, has_body: false };
        let options = Rc::new(self.config.defaults.clone());
        let key = key::primary(&request, &options);
        Rc::new(CacheRequest::new(stream, Rc::clone(&self.config), options, request, key, self.now()))
    }

    /// What the origin answers to the fetch of this number: all of it says which one that was.
    fn response(&self, number: usize, answer: Answer) -> CallResponse {
        let key = self.sent[number].key;
        let control = match (answer, self.setting.swr) {
            (Answer::NotStorable, _) => "private",
            (_, true) => "max-age=600, stale-while-revalidate=600",
            (_, false) => "max-age=600",
        };
        let mut fields = Fields::from_iter([("cache-control", control), ("x-fetch", &number.to_string())]);
        if self.setting.validators || self.setting.swr {
            fields.push("etag", format!("\"{key}\""));
        }
        if self.setting.varies {
            fields.push("vary", "accept-language");
        }
        let line = format!("{key} {number:03}\n");
        let (status, lines) = match answer {
            Answer::Confirmed => (304, 0),
            _ => (200, if self.setting.chunks { 2 } else { 1 }),
        };
        CallResponse { head: Some(ResponseHead { status, fields }), body: line.repeat(lines).into_bytes() }
    }

    /// Everything that can happen next.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let is_idle = |worker: usize| self.workers[worker].running.is_none();
        choices.extend((0..2).filter(|worker| !is_idle(*worker)).map(Choice::Step));
        for (number, sent) in self.sent.iter().enumerate().filter(|(_, sent)| sent.open) {
            if is_idle(sent.worker) {
                let confirmed = sent.conditional && self.setting.validators;
                choices
                    .push(Choice::Answer(number, if confirmed { Answer::Confirmed } else { Answer::Whole }));
                if self.left.not_stored > 0 {
                    choices.push(Choice::Answer(number, Answer::NotStorable));
                }
            }
            if self.left.lost_calls > 0 && sent.request.is_none() {
                choices.push(Choice::LoseCall(number));
            }
        }
        for (worker, fingerprint) in self.shared.hints.borrow().iter() {
            // Who has died is not there any more to be told.
            if self.seat(*worker).is_some_and(is_idle) {
                choices.push(Choice::Hint(*worker, *fingerprint));
            }
            if self.left.lost_hints > 0 {
                choices.push(Choice::LoseHint(*worker, *fingerprint));
            }
        }
        let next = self.requests.iter().position(|(standing, _)| *standing == Standing::ToCome);
        if next.is_some_and(|next| is_idle(self.setting.requests[next].0)) {
            choices.push(Choice::Ask);
        }
        if self.setting.purges.get(self.purges.len()).is_some_and(|(worker, ..)| is_idle(*worker)) {
            choices.push(Choice::Purge);
        }
        if self.left.leaves > 0 {
            let there = |at: &usize| {
                matches!(self.requests[*at].0, Standing::Open | Standing::Fetching | Standing::Beside)
            };
            let can = |at: &usize| is_idle(self.setting.requests[*at].0);
            choices.extend((0..self.requests.len()).filter(there).filter(can).map(Choice::Leave));
        }
        if self.left.deaths > 0 {
            choices.extend((0..2).map(Choice::Die));
        }
        let is_busy = self.sent.iter().any(|sent| sent.open) || !(0..2).all(is_idle);
        if self.left.expiries > 0 && is_busy {
            choices.push(Choice::Expire);
        }
        if self.left.ticks > 0 {
            choices.extend((0..2).filter(|worker| is_idle(*worker)).map(Choice::Tick));
        }
        choices
    }

    /// The worker that has this place in the registry.
    fn seat(&self, place: u8) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.cache.try_borrow().is_ok_and(|cache| cache.worker() == Some(place)))
    }

    /// The whole state in one number.
    pub fn state(&self) -> u64 {
        let mut text = format!("{} {}", self.shared.state(), self.clock);
        for worker in &self.workers {
            let acknowledged = if worker.running.is_some() { worker.acknowledged } else { 0 };
            text.push_str(&format!(" {} {acknowledged}", worker.running.is_some()));
        }
        for (standing, _) in &self.requests {
            text.push_str(&format!(" {standing:?}"));
        }
        for sent in &self.sent {
            text.push_str(&format!(" {}.{}.{}.{}", sent.worker, sent.generation, sent.at, sent.open));
        }
        for purge in &self.purges {
            text.push_str(&format!(" {:?}", purge.at));
        }
        let Setting { leaves, deaths, expiries, ticks, lost_hints, lost_calls, not_stored, .. } = &self.left;
        text.push_str(&format!(
            " {leaves} {deaths} {expiries} {ticks} {lost_hints} {lost_calls} {not_stored}"
        ));
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    /// Lets it happen; an error says what must not have happened.
    pub fn take(&mut self, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Step(worker) => return self.step(worker),
            Choice::Ask => {
                let number = self.requests.iter().position(|(standing, _)| *standing == Standing::ToCome);
                let number = number.expect("somebody is to come");
                let (worker, key) = self.setting.requests[number];
                let ask = self.asked(number as u32, key);
                self.requests[number] = (Standing::Open, Some(Rc::clone(&ask)));
                // So that of two requests it is known which came later.
                self.clock += 1;
                let now = self.now();
                self.begin(worker, choice, move |cache, hands, outcomes| {
                    let decision = cache.lookup(hands.at(now), &ask);
                    outcomes.push(Outcome::Decided(number, decision));
                });
            }
            Choice::Purge => {
                let (worker, key, hard) = self.setting.purges[self.purges.len()];
                self.purges.push(Purge { worker, at: None });
                let record = Invalidation {
                    mode: if hard { Mode::Hard } else { Mode::Soft },
                    selector: Selector::Uri(self.asked(99, key).uri()),
                    issued_at: self.now().wall,
                    source: Source::CacheGroup,
                    reason: None,
                };
                self.begin(worker, choice, move |cache, hands, outcomes| {
                    outcomes.push(Outcome::Purged(cache.invalidate(hands, &record).ok()));
                });
            }
            Choice::Answer(number, answer) => {
                let call_response = self.response(number, answer);
                self.left.not_stored -= u8::from(answer == Answer::NotStorable);
                let (now, sent) = (self.now(), &mut self.sent[number]);
                sent.open = false;
                let (worker, generation, beside) = (sent.worker, sent.generation, sent.beside.clone());
                match (sent.request, beside) {
                    (Some(request), Some(stored)) => {
                        self.requests[request].0 = Standing::Over;
                        let ask = self.requests[request].1.clone().expect("it has come");
                        self.begin(worker, choice, move |cache, hands, _| {
                            end_uncollapsed(cache, hands, &ask, stored, call_response, now);
                        });
                    }
                    (Some(request), None) => {
                        self.requests[request].0 = Standing::Over;
                        self.begin(worker, choice, move |cache, hands, _| {
                            land(cache, hands, generation, call_response, now);
                        });
                    }
                    (None, _) => self.begin(worker, choice, move |cache, hands, _| {
                        cache.received(hands.at(now), generation, call_response);
                    }),
                }
            }
            Choice::Hint(place, fingerprint) => {
                self.shared.hints.borrow_mut().retain(|hint| *hint != (place, fingerprint));
                let (worker, now) = (self.seat(place).expect("it is there"), self.now());
                self.begin(worker, choice, move |cache, hands, _| cache.hint(hands.at(now), fingerprint));
            }
            Choice::LoseHint(place, fingerprint) => {
                self.shared.hints.borrow_mut().retain(|hint| *hint != (place, fingerprint));
                self.left.lost_hints -= 1;
            }
            Choice::LoseCall(number) => {
                self.sent[number].open = false;
                self.left.lost_calls -= 1;
            }
            Choice::Leave(number) => {
                self.left.leaves -= 1;
                let (worker, now) = (self.setting.requests[number].0, self.now());
                let was = std::mem::replace(&mut self.requests[number].0, Standing::Over);
                let fetch = self.sent.iter_mut().find(|sent| sent.open && sent.request == Some(number));
                match (fetch, was) {
                    (Some(sent), Standing::Beside) => sent.open = false,
                    (Some(sent), Standing::Fetching) => {
                        sent.open = false;
                        let generation = sent.generation;
                        self.begin(worker, choice, move |cache, hands, _| {
                            cache.leader_left(hands.at(now), generation);
                        });
                    }
                    _ => self.begin(worker, choice, move |cache, _, _| cache.leave(number as u32)),
                }
            }
            Choice::Die(worker) => {
                self.left.deaths -= 1;
                self.die(worker);
            }
            Choice::Expire => {
                self.left.expiries -= 1;
                self.clock += LEASE.as_millis() as u64 + 1;
            }
            Choice::Tick(worker) => {
                self.left.ticks -= 1;
                self.tick(worker, 700);
            }
        }
        self.check()
    }

    fn die(&mut self, worker: usize) {
        let born = self.born(worker);
        self.workers[worker] = born;
        self.shared.forget_read(worker);
        self.shared.note(worker, b"born");
        for (number, (standing, _)) in self.requests.iter_mut().enumerate() {
            if self.setting.requests[number].0 == worker && *standing != Standing::ToCome {
                *standing = Standing::Over;
            }
        }
        self.sent.iter_mut().filter(|sent| sent.worker == worker).for_each(|sent| sent.open = false);
    }

    fn tick(&mut self, worker: usize, after: u64) {
        self.clock += after;
        let now = self.now();
        self.begin(worker, Choice::Tick(worker), move |cache, hands, _| cache.tick(hands.at(now)));
    }

    /// Begins a callback, which runs up to its first step. When it is through, what it decided for others is brought
    /// about, as the next callback of the root would.
    fn begin(
        &mut self,
        worker: usize,
        choice: Choice,
        callback: impl FnOnce(&mut Cache, &Hands<'_>, &mut Vec<Outcome>) + 'static,
    ) {
        self.shared.forget_read(worker);
        self.shared.note(worker, format!("{choice:?} {}", self.clock).as_bytes());
        let (now, shared) = (self.now(), Rc::clone(&self.shared));
        let acknowledged = self.purges.iter().take_while(|purge| purge.at.is_some()).count();
        let own = &mut self.workers[worker];
        let (cache, outcomes) = (Rc::clone(&own.cache), Rc::clone(&own.outcomes));
        let callback: Callback = Box::new(callback);
        let stack = STACKS.with_borrow_mut(Vec::pop).unwrap_or_default();
        own.acknowledged = acknowledged;
        own.running = Some(Coroutine::with_stack(stack, move |yielder, ()| {
            let hands = Hands { shared, worker, yielder: Some(yielder) };
            let (mut cache, mut found) = (cache.borrow_mut(), Vec::new());
            callback(&mut cache, &hands, &mut found);
            bring_about(&mut cache, &hands, now, &mut found);
            outcomes.replace(found);
        }));
        // Up to its first step nothing has happened that anyone could see.
        self.resume(worker);
    }

    fn resume(&mut self, worker: usize) -> bool {
        let own = &mut self.workers[worker];
        let Some(mut running) = own.running.take() else { return false };
        match running.resume(()) {
            CoroutineResult::Yield(()) => {
                own.running = Some(running);
                false
            }
            CoroutineResult::Return(()) => {
                STACKS.with_borrow_mut(|stacks| stacks.push(running.into_stack()));
                true
            }
        }
    }

    fn step(&mut self, worker: usize) -> Result<(), String> {
        self.resume(worker);
        self.check()
    }

    /// Looks at what callbacks that are over have brought about.
    fn check(&mut self) -> Result<(), String> {
        for worker in 0..2 {
            if self.workers[worker].running.is_none() {
                let outcomes = self.workers[worker].outcomes.take();
                outcomes.into_iter().try_for_each(|outcome| self.outcome(worker, outcome))?;
            }
        }
        self.shared.broken.take().map_or(Ok(()), Err)
    }

    fn outcome(&mut self, worker: usize, outcome: Outcome) -> Result<(), String> {
        match outcome {
            Outcome::Purged(at) => {
                let purge = self.purges.iter_mut().find(|purge| purge.worker == worker && purge.at.is_none());
                let Some(at) = at else { return Ok(()) };
                purge.expect("it was asked for").at = Some(at);
                if at > self.shared.appended.get() {
                    return Err(format!("I8: a purge was acknowledged as {at}, but nothing was appended"));
                }
                Ok(())
            }
            Outcome::Dispatched { generation, key, conditional } => {
                self.send(worker, key, generation, None, conditional)
            }
            Outcome::Decided(number, decision) => self.decided(worker, number, decision),
        }
    }

    fn decided(&mut self, worker: usize, number: usize, decision: Decision) -> Result<(), String> {
        let key = self.setting.requests[number].1;
        if self.requests[number].0 == Standing::Over {
            return Ok(());
        }
        match decision {
            Decision::Wait => return Ok(()),
            Decision::Serve { entry, reuse } => {
                self.requests[number].0 = Standing::Over;
                return self.served(worker, key, &entry, reuse);
            }
            Decision::Fetch { generation, .. } => {
                self.requests[number].0 = Standing::Fetching;
                let conditional = self.workers[worker].cache.borrow().validated(generation).is_some();
                return self.send(worker, key, generation, Some(number), conditional);
            }
            Decision::Forward { shares: true, fallback, .. } => {
                self.requests[number].0 = Standing::Beside;
                let (at, open) = (self.shared.appended.get(), true);
                let conditional = fallback.is_some();
                let (request, beside) = (Some(number), Some(fallback));
                self.sent.push(Sent { worker, key, generation: 0, request, beside, conditional, at, open });
                return Ok(());
            }
            Decision::Forward { reason: ForwardReason::Bypass(Bypass::NotShared), .. } => {
                return Err(format!("I3: request {number} had to wait until its own deadline"));
            }
            Decision::Forward { .. } | Decision::NotCached => {}
            Decision::Deliver { delivery: Delivery::Entry { entry, .. }, .. } => {
                self.is_whole(key, &entry)?;
            }
            Decision::Deliver { .. } => {}
        }
        self.requests[number].0 = Standing::Over;
        Ok(())
    }

    fn send(
        &mut self,
        worker: usize,
        key: u8,
        generation: u64,
        request: Option<usize>,
        conditional: bool,
    ) -> Result<(), String> {
        let at = self.shared.appended.get();
        let beside = None;
        self.sent.push(Sent { worker, key, generation, request, beside, conditional, at, open: true });
        let own = |sent: &&Sent| sent.key == key && sent.worker != PREDECESSOR && sent.beside.is_none();
        let starts = self.sent.iter().filter(own).count();
        if starts > self.setting.starts_max {
            return Err(format!("I4: the origin was asked {starts} times for key {key}"));
        }
        Ok(())
    }

    /// An answer from the cache that the callback of a worker has decided.
    fn served(&self, worker: usize, key: u8, entry: &Entry, reuse: Reuse) -> Result<(), String> {
        let made = self.is_whole(key, entry)?;
        let validated = entry.response().and_then(|r| r.stored.fields.get("x-fetch"));
        let validated = validated.and_then(|v| str::from_utf8(v).ok()?.parse().ok());
        let validated: usize = validated.ok_or("I5: it does not say when it was validated")?;
        for (purge, (_, of, hard)) in
            self.purges.iter().zip(self.setting.purges).take(self.workers[worker].acknowledged)
        {
            let Some(at) = purge.at.filter(|_| *of == key) else { continue };
            let is_older = |number: usize| self.sent[number].at < at;
            if (*hard && (is_older(made) || is_older(validated)))
                || (matches!(reuse, Reuse::Fresh { .. }) && is_older(validated))
            {
                return Err(format!("I1: key {key} of fetch {made} was served in spite of purge {at}"));
            }
        }
        Ok(())
    }

    /// The fetch that a body comes from, which is of this key and whole.
    fn is_whole(&self, key: u8, entry: &Entry) -> Result<usize, String> {
        let body = entry.response().map_or(&[][..], |response| &response.body);
        let lines = (body.get(..6), body.rchunks(6).next(), body.len() % 6);
        let (Some(first), Some(last), 0) = lines else { return Err("I5: a body that is cut".into()) };
        let mut words = str::from_utf8(first).unwrap_or_default().split_ascii_whitespace();
        if first != last || words.next() != Some(&key.to_string()) {
            return Err(format!("I5: key {key} was answered with {first:?} to {last:?}"));
        }
        words.next().and_then(|number| number.parse().ok()).ok_or_else(|| "I5: no number".into())
    }

    /// When nothing can happen any more: everyone was answered, at the latest once time has passed.
    pub fn end(&mut self) -> Result<(), String> {
        let faults = &self.setting;
        // A lease that runs out needs no sweep, but where the response turns out to belong elsewhere.
        let strays = if faults.varies { faults.expiries } else { 0 };
        let heals = faults.deaths + faults.lost_hints + faults.lost_calls + strays > 0;
        for _ in 0..if heals { 50 } else { 0 } {
            if self.waiting().is_none() {
                break;
            }
            for worker in 0..2 {
                self.tick(worker, 125);
                self.run_out()?;
            }
        }
        if let Some(number) = self.waiting() {
            return Err(format!("I3: request {number} waits for ever"));
        }
        self.clock += 2 * LEASE.as_millis() as u64;
        let set = SetSnapshot::read(&self.hands(PREDECESSOR), 0).value;
        if set.flights.iter().any(|flight| flight.is_live(self.now().mono)) {
            return Err(format!("I7: a lease is left: {:?}", set.flights));
        }
        Ok(())
    }

    /// Without any faults, whatever comes first happens first.
    fn run_out(&mut self) -> Result<(), String> {
        self.left = Setting { ..Setting::default() };
        while let Some(choice) = self.choices().first() {
            self.take(*choice)?;
        }
        Ok(())
    }

    fn waiting(&self) -> Option<usize> {
        self.requests.iter().position(|(standing, _)| *standing != Standing::Over)
    }
}

impl Drop for Stage<'_> {
    /// What still runs is unwound; its stack is used again.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            if let Some(mut running) = worker.running.take() {
                running.force_unwind();
                STACKS.with_borrow_mut(|stacks| stacks.push(running.into_stack()));
            }
        }
    }
}

/// The response to a request that was sent on has arrived.
fn land(cache: &mut Cache, hands: &Hands<'_>, generation: u64, call_response: CallResponse, now: Now) {
    let Some(head) = call_response.head else { return };
    if let Answered::Body(storable) = cache.fetch_answered(hands.at(now), generation, &head) {
        cache.body_complete(hands.at(now), None, storable, call_response.body);
    }
}

/// The response to a request that went beside any fetch has arrived.
fn end_uncollapsed(
    cache: &mut Cache,
    hands: &Hands<'_>,
    ask: &Rc<CacheRequest>,
    stored: Option<Rc<Entry>>,
    call_response: CallResponse,
    now: Now,
) {
    let Some(head) = call_response.head else { return };
    let uncollapsed = Uncollapsed {
        ask,
        fallback: stored.as_ref(),
        validates: stored.is_some(),
        shares: true,
        bypassed: false,
    };
    if let Some(Answered::Body(storable)) = cache.uncollapsed_answered(hands.at(now), uncollapsed, &head) {
        cache.body_complete(hands.at(now), None, storable, call_response.body);
    }
}

fn bring_about(cache: &mut Cache, hands: &Hands<'_>, now: Now, outcomes: &mut Vec<Outcome>) {
    cache.settle(hands.at(now));
    while let Some(effect) = cache.next_effect() {
        match effect {
            Effect::Decided(ask, decision) => {
                outcomes.push(Outcome::Decided(ask.stream as usize, decision));
            }
            Effect::Dispatch(generation) => {
                let Some(call) = cache.call(hands.at(now), generation) else { continue };
                let field = |name: &str| call.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value);
                let key = field(":path").and_then(|path| path[1..].parse().ok()).unwrap_or_default();
                let conditional = field("if-none-match").is_some();
                outcomes.push(Outcome::Dispatched { generation, key, conditional });
            }
        }
        cache.settle(hands.at(now));
    }
}
