//! Several Envoys around one emulated etcd, in one thread and in step.
//!
//! Each is a world of its own, with its shared data, VMs and origin. Their contexts and tokens have numbers that are unique
//! in the thread, as the SDK wants it. At any time the state of one lies in the thread ([`Fleet::on`]), and that of the
//! others aside. Whatever lets time pass has to be asked of the fleet, which runs the earliest event of all.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::etcd::Etcd;
use super::grpc::Grpc;
use super::state::Host;
use super::stream::ClientState;
use super::vm::Filter;
use super::{FIRST_ID, PATIENCE, World};
use crate::stand::{Exchange, Reply, Request, Response};

/// What is between the numbers of two Envoys.
const NUMBERS: u32 = 10_000_000;

/// Envoys, by their place. etcd knows them as `gw-a`, `gw-b` and so on.
pub struct Fleet {
    etcd: Rc<RefCell<Etcd>>,
    /// None while its state lies in the thread.
    envoys: Vec<Option<Host>>,
}

impl Fleet {
    /// So many Envoys with this filter and nothing configured yet. There is one fleet at a time in a thread, and no world
    /// beside it.
    pub fn with(filter: Filter, seed: u64, envoys: usize, workers: usize) -> Fleet {
        let etcd = Rc::new(RefCell::new(Grpc::etcd()));
        let first = FIRST_ID.get();
        let envoy = |at: usize| {
            let mut host =
                Host::new(filter, seed.wrapping_add(at as u64), workers, first + at as u32 * NUMBERS);
            host.grpc.etcd = Rc::clone(&etcd);
            host.grpc.client = Fleet::name(at);
            Some(host)
        };
        Fleet { envoys: (0..envoys).map(envoy).collect(), etcd }
    }

    /// The same with Larder.
    pub fn new(seed: u64, envoys: usize, workers: usize) -> Fleet {
        Fleet::with(super::larder, seed, envoys, workers)
    }

    /// What etcd calls an Envoy.
    pub fn name(envoy: usize) -> String {
        format!("gw-{}", char::from(b'a' + envoy as u8))
    }

    /// Something that takes no time, of one Envoy.
    pub fn on<R>(&mut self, envoy: usize, act: impl FnOnce(&mut World) -> R) -> R {
        let mut world = Lent::new(self, envoy);
        act(world.world.as_mut().expect("a world"))
    }

    /// The emulated etcd and its time, for what an operator does, and for faults.
    pub fn etcd<R>(&mut self, act: impl FnOnce(&mut Etcd, u64) -> R) -> R {
        let now = self.now() / 1_000_000;
        let mut etcd = self.etcd.borrow_mut();
        let now = now.max(etcd.now());
        act(&mut etcd, now)
    }

    /// Nanoseconds of the monotonic clock, by the Envoy that is ahead.
    pub fn now(&self) -> u64 {
        self.envoys.iter().flatten().map(|host| host.now).max().unwrap_or_default()
    }

    /// Runs the earliest event of all Envoys, if there is one by then.
    fn step_until(&mut self, end: u64) -> bool {
        for host in self.envoys.iter_mut().flatten() {
            host.listen_to_etcd();
        }
        let earliest = |(at, host): (usize, &Option<Host>)| Some((host.as_ref()?.events.earliest()?, at));
        let Some((at, envoy)) = self.envoys.iter().enumerate().filter_map(earliest).min() else {
            return false;
        };
        at <= end && self.on(envoy, |world| world.step())
    }

    /// Runs everything that happens within this time, and lets it pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now() + time.as_nanos() as u64;
        while self.step_until(end) {}
        self.wait_until(end);
    }

    /// Runs until something holds, at most this long; whether it does.
    pub fn drive(&mut self, most: Duration, mut until: impl FnMut(&mut Fleet) -> bool) -> bool {
        let end = self.now() + most.as_nanos() as u64;
        while !until(self) {
            if !self.step_until(end) {
                self.wait_until(end);
                return until(self);
            }
        }
        true
    }

    fn wait_until(&mut self, end: u64) {
        for host in self.envoys.iter_mut().flatten() {
            host.now = host.now.max(end);
        }
    }

    /// Pushes a configuration to all Envoys and waits until every worker has it.
    pub fn configure_all(&mut self, configuration: &str) -> Result<(), String> {
        (0..self.envoys.len())
            .try_for_each(|envoy| self.on(envoy, |world| world.configure_all(configuration)))
    }

    /// How the origin of each Envoy answers requests for a path from now on.
    pub fn origin(&mut self, path: &str, replies: &[Reply]) {
        for envoy in 0..self.envoys.len() {
            self.on(envoy, |world| world.origin(path, replies.to_vec()));
        }
    }

    /// A client begins to send a request to a worker of an Envoy.
    pub fn start(&mut self, envoy: usize, worker: usize, request: Request) -> Exchange {
        self.on(envoy, |world| world.start(worker, request))
    }

    /// Waits for the response, while all Envoys go on.
    pub fn finish(&mut self, envoy: usize, exchange: Exchange) -> Response {
        let is_over =
            |fleet: &mut Fleet| fleet.on(envoy, |world| world.client(exchange)) != ClientState::Open;
        let over = self.drive(PATIENCE, is_over);
        self.on(envoy, |world| {
            assert!(over, "no response within {PATIENCE:?}\n{}", world.story());
            world.seen(exchange)
        })
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, envoy: usize, worker: usize, request: Request) -> Response {
        let exchange = self.start(envoy, worker, request);
        self.finish(envoy, exchange)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for host in self.envoys.drain(..).flatten() {
            drop(World::of(host));
        }
    }
}

/// A world in the thread, which is put aside again.
struct Lent<'a> {
    place: &'a mut Option<Host>,
    world: Option<World>,
}

impl<'a> Lent<'a> {
    fn new(fleet: &'a mut Fleet, envoy: usize) -> Self {
        let place = &mut fleet.envoys[envoy];
        let host = place.take().expect("an Envoy that is not lent already");
        Lent { place, world: Some(World::of(host)) }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        *self.place = self.world.take().map(World::put_aside);
    }
}
