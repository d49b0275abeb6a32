//! What may happen next: a step of a worker, or something that goes wrong.

use crate::setting::Setting;
use crate::world::World;

/// What stands for etcd, the network or time where an Envoy or a worker would be named.
pub const NOBODY: u8 = 9;

/// What has happened, for people.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The Envoy that it has happened in, if any.
    pub envoy: u8,
    /// Its worker, if any.
    pub worker: u8,
    pub what: &'static str,
    /// Its revision or position, or what else tells it from others.
    pub of: u8,
}

/// The states that may come next, each with what leads there.
pub type Next = Vec<(Event, World)>;

pub const fn event(envoy: u8, worker: u8, what: &'static str, of: u8) -> Event {
    Event { envoy, worker, what, of }
}

impl Setting {
    pub fn next(&self, world: &World, next: &mut Next) {
        for e in 0..self.envoys {
            for w in 0..self.workers[e] {
                self.worker(world, e, w, next);
            }
            self.envoy_faults(world, e, next);
        }
        self.etcd_faults(world, next);
    }
}
