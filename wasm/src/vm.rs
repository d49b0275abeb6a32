//! What the roots and streams of one VM share: the cache of this worker, the streams that wait, the calls under way.

use core::cell::{Cell, RefCell};
use hashbrown::HashMap;
use log::{error, info};
use std::rc::Rc;

use super::abi::{self, Buffer};
use super::bodies::Bodies;
use super::filter::perform_elsewhere;
use super::grpc::Grpc;
use super::held::HeldRequests;
use super::host::{self, ProxyHost};
use super::root::Root;
use larder::admin;
use larder::cache::{Cache, CacheRequest, CallResponse, Context, Decision, Effect, Identity, StreamId};
use larder::config::Config;
use larder::exchange::{Exchange, Kept, catch_up};
use larder::fleet::{Answer, Ended};
use larder::store::{Fingerprint, Seed};
use larder::turn::Turn;

/// The most messages that one callback takes from its queue. Beyond it the others stay there for the next callback.
const MESSAGES_MAX: usize = 64;
/// The most effects that one callback brings about. Beyond it the next callback goes on, which comes at once. The host
/// answers other streams when the callback has returned: each answer calls us again, and upon that return the host goes on
/// with the next one, on the same stack. Some two hundred would overflow it, which kills the VM.
const EFFECTS_MAX: usize = 32;

/// The most times in a row that we have ourselves called back at once. Beyond it the next tick goes on. Envoy
/// calls back before it sees to the sockets and timers of the thread again (envoy-facts §0.11): should something be due for
/// ever, the worker would do nothing else.
const KICKS_MAX: u32 = 1000;

/// A worker's VM.
pub struct Vm {
    host: ProxyHost,
    identity: Identity,
    cache: RefCell<Option<Cache>>,
    kept: RefCell<Kept>,
    /// The roots with their configurations, the newest last.
    roots: RefCell<Vec<(u32, Rc<Config>)>>,
    /// The streams that wait. Only these may be answered from other callbacks: the host's own word on whether a
    /// stream lives is not enough while it is being deleted (envoy-facts §20.1).
    parked: RefCell<HashMap<StreamId, Rc<RefCell<Exchange>>>>,
    /// Requests whose bodies are waited for.
    held: RefCell<HeldRequests>,
    calls: RefCell<HashMap<u32, u64>>,
    /// Whether this VM serves streams at all; the main thread's and the canary's do not.
    serves: Cell<bool>,
    /// This worker's queue and the root that receives from it.
    queue: Cell<Option<(u32, u32)>>,
    /// The calls and streams of this worker's part in the fleet.
    grpc: RefCell<Grpc>,
    /// The queue of whoever ships to the fleet's log, and the root that receives from it; none where another VM does.
    fleet_queue: Cell<Option<(u32, u32)>>,
    /// How often it has been kicked since the last tick.
    kicks: Cell<u32>,
}

impl Vm {
    /// A VM that knows nothing.
    #[must_use]
    pub fn new() -> Rc<Vm> {
        let identity = identity();
        Rc::new(Vm {
            host: ProxyHost::default(),
            identity,
            cache: RefCell::new(None),
            kept: RefCell::new(Kept::new(identity)),
            roots: RefCell::default(),
            parked: RefCell::default(),
            held: RefCell::default(),
            calls: RefCell::default(),
            serves: Cell::new(false),
            queue: Cell::new(None),
            grpc: RefCell::default(),
            fleet_queue: Cell::new(None),
            kicks: Cell::new(0),
        })
    }

    /// A root has a configuration now, which becomes the one of the VM.
    pub(super) fn configure(&self, root: u32, config: Rc<Config>) {
        self.host.define_metrics();
        let mut roots = self.roots.borrow_mut();
        roots.retain(|(id, _)| *id != root);
        roots.push((root, Rc::clone(&config)));
        let mut cache = self.cache.borrow_mut();
        match cache.as_mut() {
            Some(cache) => cache.configure(config),
            None => *cache = Some(Cache::new(config, self.identity)),
        }
    }

    /// A root is gone; the newest of the others, if any, takes its place.
    pub(super) fn remove_root(&self, root: u32) {
        let mut roots = self.roots.borrow_mut();
        roots.retain(|(id, _)| *id != root);
        if let (Some((_, config)), Some(cache)) = (roots.last(), self.cache.borrow_mut().as_mut()) {
            cache.configure(Rc::clone(config));
        }
    }

    /// Shared data and metrics.
    pub(super) fn host(&self) -> &ProxyHost {
        &self.host
    }

    /// Whether this root is the one that ticks, listens and dispatches.
    pub(super) fn is_current(&self, root: u32) -> bool {
        self.roots.borrow().last().is_some_and(|(id, _)| *id == root)
    }

    /// The VM serves streams from now on.
    pub(super) fn serve(&self) {
        self.serves.set(true);
    }

    /// The world and the time, for one event.
    fn turn(&self) -> Turn<'_, ProxyHost> {
        Turn { host: &self.host, now: host::now() }
    }

    /// Runs an event against the cache; nothing happens before there is a configuration.
    pub(super) fn with_cache<T>(
        &self,
        config: &Rc<Config>,
        event: impl FnOnce(&mut Context<'_, ProxyHost>, &mut Kept) -> T,
    ) -> Option<T> {
        let mut cache = self.cache.borrow_mut();
        let cache = cache.as_mut()?;
        let cx = &mut Context { cache, config, turn: self.turn() };
        Some(event(cx, &mut self.kept.borrow_mut()))
    }

    /// A stream waits.
    pub(super) fn park(&self, stream: StreamId, exchange: &Rc<RefCell<Exchange>>) {
        self.parked.borrow_mut().insert(stream, Rc::clone(exchange));
    }

    /// A stream does not wait any more.
    pub(super) fn unpark(&self, stream: StreamId) {
        self.parked.borrow_mut().remove(&stream);
        self.held.borrow_mut().release(stream);
    }

    /// Waits for the body of the request at hand; false when it will not come, and the request shall go on without.
    pub(super) fn hold(
        &self,
        stream: StreamId,
        config: &Rc<Config>,
        exchange: &Rc<RefCell<Exchange>>,
        bodies: &Rc<Bodies>,
    ) -> bool {
        self.held.borrow_mut().hold(stream, config, exchange, bodies, host::now().mono)
    }

    fn give_up_missing_bodies(&self) {
        if self.held.borrow().is_empty() {
            return;
        }
        let given_up = self.held.borrow_mut().give_up(host::now().mono, EFFECTS_MAX);
        for (stream, held, why) in given_up {
            let missing = |cx: &mut Context<'_, _>, kept: &mut _| {
                held.exchange.borrow_mut().body_missing(cx, kept, why)
            };
            if let Some(step) = self.with_cache(&held.config, missing) {
                perform_elsewhere(self, stream, &held.exchange, step);
            }
        }
    }

    /// Sees to it that what is due happens in a callback of the root, soon.
    pub(super) fn kick(&self) {
        let is_settled = !self.held.borrow().are_due()
            && self.cache.borrow().as_ref().is_none_or(Cache::is_settled)
            && !self.kept.borrow().fleet.has_acknowledged();
        if let (false, true, Some((queue, _))) = (is_settled, self.kicks.get() < KICKS_MAX, self.queue.get())
        {
            self.kicks.set(self.kicks.get() + 1);
            abi::enqueue(queue, &[]);
        }
    }

    /// Takes part in waking: a place in the registry, and a queue of which this root is the receiver.
    pub(super) fn register(&self, root: u32) {
        if !self.serves.get() || !self.is_current(root) {
            return;
        }
        let Some(cache) = &mut *self.cache.borrow_mut() else { return };
        let before = cache.worker();
        let Some(worker) = cache.register(self.turn()) else { return };
        if before != Some(worker) || self.lacks_queue(root) {
            self.queue.set(abi::register_queue(&host::queue_name(worker)).map(|id| (id, root)));
        }
    }

    /// Whether this root is the current one and does not receive this worker's queue.
    pub(super) fn lacks_queue(&self, root: u32) -> bool {
        self.is_current(root) && self.queue.get().is_none_or(|(_, receiver)| receiver != root)
    }

    /// Something is in the queue.
    pub(super) fn messages(&self, queue: u32) {
        let mut of_fleet = self.fleet_queue.get().is_some_and(|(fleet, _)| fleet == queue);
        for _ in 0..MESSAGES_MAX {
            let Some(message) = abi::dequeue(queue) else { break };
            let Ok(fingerprint) = message.try_into().map(u64::from_le_bytes).map(Fingerprint) else {
                continue;
            };
            if !fingerprint.is_some() {
                of_fleet = true;
            } else if let Some(cache) = &mut *self.cache.borrow_mut() {
                cache.hint(self.turn(), fingerprint);
            }
        }
        if of_fleet {
            self.with_fleet(|cx, kept| kept.fleet.wake(cx));
        }
    }

    /// Runs an event of this worker's part in the fleet, by the newest configuration.
    fn with_fleet(&self, event: impl FnOnce(&mut Context<'_, ProxyHost>, &mut Kept)) {
        let newest = self.roots.borrow().last().map(|(_, config)| Rc::clone(config));
        if let Some(config) = newest {
            self.with_cache(&config, event);
        }
    }

    /// A gRPC call of this root was answered, or a stream has brought a message.
    pub(super) fn grpc_message(&self, root: u32, token: u32, size: usize) {
        let Some(id) = self.grpc.borrow_mut().received(token) else { return };
        let message = abi::buffer(Buffer::GrpcMessage, 0, size).unwrap_or_default();
        self.fleet_answered(root, id, Answer::Message(message));
    }

    /// A gRPC call of this root has failed, or a stream has ended.
    pub(super) fn grpc_ended(&self, root: u32, token: u32) {
        let Some(id) = self.grpc.borrow_mut().ended(token) else { return };
        let (status, text) = abi::grpc_status();
        self.fleet_answered(root, id, Answer::Ended(Ended { status, text }));
    }

    fn fleet_answered(&self, root: u32, id: u32, answer: Answer) {
        self.with_fleet(|cx, kept| kept.fleet.answered(cx, id, answer));
        self.fleet_goes_on(root);
        self.kick();
    }

    /// Makes the calls of this worker's part in the fleet, and answers the commands that have waited for it.
    fn fleet_goes_on(&self, root: u32) {
        for _ in 0..EFFECTS_MAX {
            let Some(io) = self.kept.borrow_mut().fleet.next_io() else { break };
            let Some(cluster) = self.roots.borrow().last().map(|(_, config)| config.fleet.cluster.clone())
            else {
                break;
            };
            if let Some((id, trouble)) = self.grpc.borrow_mut().bring_about(root, &cluster, io) {
                self.with_fleet(|cx, kept| kept.fleet.answered(cx, id, Answer::Ended(trouble)));
            }
        }
        for _ in 0..EFFECTS_MAX {
            let Some((stream, came_of_it)) = self.kept.borrow_mut().fleet.next_acknowledged() else { break };
            let parked = self.parked.borrow_mut().remove(&stream);
            let Some(exchange) = parked.filter(|_| abi::set_effective_context(stream)) else { continue };
            let config = self.roots.borrow().last().map(|(_, config)| Rc::clone(config));
            let acknowledged =
                |cx: &mut Context<'_, _>, _: &mut _| exchange.borrow_mut().acknowledged(cx, came_of_it);
            if let Some(step) = config.and_then(|config| self.with_cache(&config, acknowledged)) {
                perform_elsewhere(self, stream, &exchange, step);
            }
        }
    }

    /// Whoever watches the fleet's log is told at once when there is something to ship.
    fn listen_for_fleet(&self, root: u32) {
        let watches = self.kept.borrow().fleet.watches();
        let is_heard = self.fleet_queue.get().is_some_and(|(_, receiver)| receiver == root);
        if !watches {
            self.fleet_queue.set(None);
        } else if !is_heard {
            self.fleet_queue.set(abi::register_queue(host::FLEET_QUEUE).map(|queue| (queue, root)));
        }
    }

    /// Time has passed.
    pub(super) fn tick(&self, root: u32) {
        self.kicks.set(0);
        if self.grpc.borrow_mut().is_of_another(root) {
            let now = host::now();
            self.kept.borrow_mut().fleet.lost(now);
        }
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.tick(self.turn());
        }
        let newest = self.roots.borrow().last().map(|(_, config)| Rc::clone(config));
        newest.and_then(|config| {
            self.with_cache(&config, |cx, kept| {
                catch_up(cx, &mut kept.unsafe_methods);
                admin::run_jobs(cx, &mut kept.admin);
                kept.fleet.tick(cx);
            })
        });
        self.listen_for_fleet(root);
        if !self.held.borrow().is_empty() {
            self.held.borrow_mut().look(host::now().mono);
        }
        self.host.report();
    }

    /// A dispatched call has come back.
    pub(super) fn call_response(&self, token: u32, call_response: CallResponse) {
        let Some(generation) = self.calls.borrow_mut().remove(&token) else { return };
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.received(self.turn(), generation, call_response);
        }
    }

    /// Brings about what has been decided for other streams. Only from callbacks of the root.
    pub(super) fn bring_about(&self, dispatcher: &Root, root: u32) {
        self.give_up_missing_bodies();
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.settle(self.turn());
        }
        for _ in 0..EFFECTS_MAX {
            let effect = self.cache.borrow_mut().as_mut().and_then(Cache::next_effect);
            match effect {
                Some(Effect::Decided(ask, decision)) => self.decided(&ask, decision),
                Some(Effect::Dispatch(generation)) => self.dispatch(dispatcher, generation),
                None => break,
            }
        }
        self.fleet_goes_on(root);
        self.kick();
    }

    fn decided(&self, ask: &Rc<CacheRequest>, decision: Decision) {
        let exchange = self.parked.borrow_mut().remove(&ask.stream);
        let Some(exchange) = exchange.filter(|_| abi::set_effective_context(ask.stream)) else {
            if let (Decision::Fetch { generation, .. }, Some(cache)) =
                (decision, &mut *self.cache.borrow_mut())
            {
                cache.leader_left(self.turn(), generation);
            }
            return;
        };
        let step = self.with_cache(&ask.config, |cx, _| exchange.borrow_mut().decided(cx, ask, decision));
        if let Some(step) = step {
            perform_elsewhere(self, ask.stream, &exchange, step);
        }
    }

    fn dispatch(&self, dispatcher: &Root, generation: u64) {
        let Some(cache) = &mut *self.cache.borrow_mut() else { return };
        let Some(call) = cache.call(self.turn(), generation) else { return };
        let dispatched = dispatcher.dispatch(&call).map(|token| {
            self.calls.borrow_mut().insert(token, generation);
        });
        match (cache.call_dispatched(self.turn(), generation, &call, dispatched), dispatched) {
            (false, _) => {}
            (true, Ok(())) => info!("larder sends its own fetches to cluster {:?} again", call.cluster),
            (true, Err(_)) => error!(
                "larder: Envoy has no cluster {:?}, which collapse.cluster names; until it has, misses \
                 are fetched by clients' own requests, and nothing is refreshed in the background",
                call.cluster
            ),
        }
    }
}

/// Who this VM is among all that ever were.
fn identity() -> Identity {
    let random = abi::random();
    let number = |at: usize, len: usize| {
        let bytes = random.get(at..at + len).unwrap_or_default();
        bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    Identity { nonce: (number(0, 4) as u32).max(1), seed: Seed(number(4, 8), number(12, 8)) }
}
