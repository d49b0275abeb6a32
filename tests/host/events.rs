//! What can happen next: one queue, ordered by virtual time, then by order of arrival.
//!
//! Events of one lane never overtake each other, as bytes of one connection or messages posted to one thread do
//! not. With a seed, lanes that are ready at nearly the same time run in an order drawn from it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{World, calls::CallStep, grpc::GrpcStep, vm::Thread};

/// Lanes whose next events lie this close together may run in either order when shuffled.
const NEARLY: Duration = Duration::from_micros(300);

/// Something that will happen.
pub enum Event {
    /// The next part of a client's request reaches Envoy.
    Client(usize),
    /// The client goes away.
    Leave(usize),
    /// The next part of the origin's response reaches Envoy.
    Origin { stream: usize, attempt: u32 },
    /// The route's timeout for an upstream request.
    RouteTimeout { stream: usize, attempt: u32 },
    /// Nothing happened on a stream for too long.
    Idle(usize),
    /// A posted queue callback.
    Queue { thread: Thread, code: u32, root: u32, token: u32 },
    /// A timer of a root context.
    Tick { vm: usize, root: u32, armed: u32 },
    /// The next step of a dispatched call.
    Call { token: u32, step: CallStep },
    /// The emulated etcd may have something to say.
    Etcd,
    /// The next step of a gRPC call or stream.
    Grpc { token: u32, step: GrpcStep },
    /// A thread takes over the newest configuration.
    Configure(Thread),
    /// The streams of an old root context have had their time.
    Drained { vm: usize, root: u32 },
    /// The host frees a context that the filter has been told to forget.
    Destroy { vm: usize, context: u32 },
    /// A step of the test's own script.
    Script(Box<dyn FnOnce(&mut World)>),
}

/// What keeps its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    Stream(usize),
    Origin(usize),
    Thread(Thread),
    Timer(usize, u32),
    Call(u32),
    Grpc(usize),
    /// No order with anything else.
    Alone(u64),
}

/// All events to come.
#[derive(Default)]
pub struct Events {
    waiting: BTreeMap<(u64, u64), (Lane, Event)>,
    /// The last time of each lane, so that a later event of it never comes earlier.
    lanes: BTreeMap<Lane, u64>,
    next: u64,
}

impl Events {
    pub fn add(&mut self, at: u64, lane: Option<Lane>, event: Event) {
        let sequence = self.next;
        self.next += 1;
        let (lane, at) = match lane {
            None => (Lane::Alone(sequence), at),
            Some(lane) => {
                let last = self.lanes.entry(lane).or_default();
                *last = at.max(*last);
                (lane, *last)
            }
        };
        self.waiting.insert((at, sequence), (lane, event));
    }

    /// The time of the earliest event.
    pub fn earliest(&self) -> Option<u64> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Takes the earliest event, or one that is ready at nearly the same time.
    pub fn take(&mut self, shuffle: Option<&mut Random>) -> Option<(u64, Event)> {
        let key = match shuffle {
            None => *self.waiting.keys().next()?,
            Some(random) => {
                let ready = self.ready();
                *ready.get(random.below(ready.len() as u64) as usize)?
            }
        };
        self.waiting.remove(&key).map(|(_, event)| (key.0, event))
    }

    fn ready(&self) -> Vec<(u64, u64)> {
        let end = self.earliest().unwrap_or_default() + NEARLY.as_nanos() as u64;
        let mut lanes = Vec::new();
        let mut ready = Vec::new();
        for (key, (lane, _)) in self.waiting.range(..=(end, u64::MAX)) {
            if !lanes.contains(lane) {
                lanes.push(*lane);
                ready.push(*key);
            }
        }
        ready
    }
}

/// A small deterministic generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// Where numbers come from instead, until it is used up.
    tape: Option<VecDeque<u8>>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random { state: seed, tape: None }
    }

    /// Numbers that these bytes decide, as few of them as a number needs; zeros after the last one.
    pub fn written(tape: &[u8]) -> Self {
        Random { state: 0, tape: Some(tape.iter().copied().collect()) }
    }

    /// Whether the bytes that decide are used up.
    pub fn is_spent(&self) -> bool {
        self.tape.as_ref().is_some_and(VecDeque::is_empty)
    }

    pub fn next(&mut self) -> u64 {
        if self.tape.is_some() {
            return self.read(8);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn read(&mut self, bytes: u32) -> u64 {
        let tape = self.tape.as_mut();
        tape.map_or(0, |tape| (0..bytes).fold(0, |n, _| n << 8 | u64::from(tape.pop_front().unwrap_or(0))))
    }

    /// A number in `0..end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        match end {
            0 => 0,
            1..=256 if self.tape.is_some() => self.read(1) % end,
            _ => self.next() % end,
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        let drawn = match self.tape {
            Some(_) => self.read(1) << 56,
            None if probability > 0.0 => self.next(),
            None => return false,
        };
        ((drawn >> 11) as f64 / ((1u64 << 53) as f64)) < probability
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.next() as u8;
        }
    }
}
