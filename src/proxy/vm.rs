//! What the roots and streams of one VM share: the cache of this worker, the streams that wait, the calls under way.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::filter::perform_elsewhere;
use super::host::{self, ProxyHost};
use super::{abi, root::Root};
use crate::admin::Desk;
use crate::cache::{Ask, Cache, Decision, Effect, Identity, Reception, StreamId};
use crate::config::Config;
use crate::exchange::{Context, Exchange, catch_up, go_on};
use crate::store::{Fingerprint, Seed};
use crate::time::Monotonic;

/// The most messages that one callback takes from its queue.
const MESSAGES_MAX: usize = 64;
/// The most effects that one callback brings about. The host answers other streams when the callback has returned: each
/// answer calls us again, and upon that return the host goes on with the next one, on the same stack. Some two hundred
/// would overflow it, which kills the VM.
const EFFECTS_MAX: usize = 32;

/// How long the body of an admin command or a `QUERY` may take to begin. Without `allow_on_headers_stop_iteration` it never does.
const BODY_BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// A request whose body is waited for.
struct Held {
    until: Monotonic,
    config: Rc<Config>,
    exchange: Rc<RefCell<Exchange>>,
}

/// A worker's VM.
pub struct Vm {
    host: ProxyHost,
    cache: RefCell<Option<Cache>>,
    desk: RefCell<Desk>,
    /// The roots with their configurations, the newest last.
    roots: RefCell<Vec<(u32, Rc<Config>)>>,
    /// The streams that wait. Only these may be answered from other callbacks: the host's own word on whether a
    /// stream lives is not enough while it is being deleted.
    parked: RefCell<HashMap<StreamId, Rc<RefCell<Exchange>>>>,
    /// Requests of whose bodies nothing has been seen yet, and until when that is waited for.
    held: RefCell<BTreeMap<StreamId, Held>>,
    calls: RefCell<HashMap<u32, u64>>,
    /// Whether this VM serves streams at all; the main thread's and the canary's do not.
    serves: Cell<bool>,
    /// This worker's queue and the root that receives from it.
    queue: Cell<Option<(u32, u32)>>,
}

impl Vm {
    /// A VM that knows nothing.
    #[must_use]
    pub fn new() -> Rc<Vm> {
        Rc::new(Vm {
            host: ProxyHost::default(),
            cache: RefCell::new(None),
            desk: RefCell::default(),
            roots: RefCell::default(),
            parked: RefCell::default(),
            held: RefCell::default(),
            calls: RefCell::default(),
            serves: Cell::new(false),
            queue: Cell::new(None),
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
            None => *cache = Some(Cache::new(config, identity())),
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

    /// Whether this root is the one that ticks, listens and dispatches.
    pub(super) fn is_current(&self, root: u32) -> bool {
        self.roots.borrow().last().is_some_and(|(id, _)| *id == root)
    }

    /// The VM serves streams from now on.
    pub(super) fn serve(&self) {
        self.serves.set(true);
    }

    /// Runs an event against the cache; nothing happens before there is a configuration.
    pub(super) fn with_cache<T>(
        &self,
        config: &Rc<Config>,
        event: impl FnOnce(&mut Context<'_, ProxyHost>) -> T,
    ) -> Option<T> {
        let mut cache = self.cache.borrow_mut();
        let cache = cache.as_mut()?;
        let desk = &mut *self.desk.borrow_mut();
        Some(event(&mut Context { cache, config, host: &self.host, desk, now: host::now() }))
    }

    /// A stream waits.
    pub(super) fn park(&self, stream: StreamId, exchange: &Rc<RefCell<Exchange>>) {
        self.parked.borrow_mut().insert(stream, Rc::clone(exchange));
    }

    /// A stream does not wait any more.
    pub(super) fn unpark(&self, stream: StreamId) {
        self.parked.borrow_mut().remove(&stream);
        self.held.borrow_mut().remove(&stream);
    }

    /// A request's body is waited for.
    pub(super) fn hold(&self, stream: StreamId, config: &Rc<Config>, exchange: &Rc<RefCell<Exchange>>) {
        let until = host::now().mono.after(BODY_BEGINS_WITHIN);
        let held = Held { until, config: Rc::clone(config), exchange: Rc::clone(exchange) };
        self.held.borrow_mut().insert(stream, held);
    }

    fn give_up_missing_bodies(&self) {
        let now = host::now().mono;
        let due = |(stream, held): (&StreamId, &Held)| (held.until <= now).then_some(*stream);
        let streams: Vec<StreamId> = self.held.borrow().iter().filter_map(due).take(EFFECTS_MAX).collect();
        for stream in streams {
            let Some(held) = self.held.borrow_mut().remove(&stream) else { continue };
            let step = self.with_cache(&held.config, |cx| held.exchange.borrow_mut().body_missing(cx));
            if let Some(step) = step {
                perform_elsewhere(self, stream, &held.exchange, step);
            }
        }
    }

    /// Sees to it that what is due happens in a callback of the root, soon.
    pub(super) fn kick(&self) {
        let is_settled = self.cache.borrow().as_ref().is_none_or(Cache::is_settled);
        if let (false, Some((queue, _))) = (is_settled, self.queue.get()) {
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
        let Some(worker) = cache.register(&self.host, host::now()) else { return };
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
        for _ in 0..MESSAGES_MAX {
            let Some(message) = abi::dequeue(queue) else { break };
            if let (Ok(fingerprint), Some(cache)) = (message.try_into(), &mut *self.cache.borrow_mut()) {
                cache.hint(&self.host, Fingerprint(u64::from_le_bytes(fingerprint)), host::now());
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.tick(&self.host, host::now());
        }
        let newest = self.roots.borrow().last().map(|(_, config)| Rc::clone(config));
        newest.and_then(|config| {
            self.with_cache(&config, |cx| {
                catch_up(cx);
                go_on(cx);
            })
        });
        self.give_up_missing_bodies();
        self.host.report();
    }

    /// A dispatched call has come back.
    pub(super) fn call_response(&self, token: u32, reception: Reception) {
        let Some(generation) = self.calls.borrow_mut().remove(&token) else { return };
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.received(&self.host, generation, reception, host::now());
        }
    }

    /// Brings about what has been decided for other streams. Only from callbacks of the root.
    pub(super) fn bring_about(&self, dispatcher: &Root) {
        if let Some(cache) = &mut *self.cache.borrow_mut() {
            cache.settle(&self.host, host::now());
        }
        for _ in 0..EFFECTS_MAX {
            let effect = self.cache.borrow_mut().as_mut().and_then(Cache::next_effect);
            match effect {
                Some(Effect::Decided(ask, decision)) => self.decided(&ask, decision),
                Some(Effect::Dispatch(generation)) => self.dispatch(dispatcher, generation),
                None => break,
            }
        }
        self.kick();
    }

    fn decided(&self, ask: &Rc<Ask>, decision: Decision) {
        let exchange = self.parked.borrow_mut().remove(&ask.stream);
        let Some(exchange) = exchange.filter(|_| abi::set_effective_context(ask.stream)) else {
            if let (Decision::Fetch { generation, .. }, Some(cache)) =
                (decision, &mut *self.cache.borrow_mut())
            {
                cache.leader_left(&self.host, generation, host::now());
            }
            return;
        };
        let step = self.with_cache(&ask.config, |cx| exchange.borrow_mut().decided(cx, ask, decision));
        if let Some(step) = step {
            perform_elsewhere(self, ask.stream, &exchange, step);
        }
    }

    fn dispatch(&self, dispatcher: &Root, generation: u64) {
        let Some(cache) = &mut *self.cache.borrow_mut() else { return };
        let Some(call) = cache.call(&self.host, generation, host::now()) else { return };
        match dispatcher.dispatch(&call) {
            Some(token) => {
                self.calls.borrow_mut().insert(token, generation);
            }
            None => cache.call_failed(&self.host, generation, host::now()),
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
