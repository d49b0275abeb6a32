//! The emulated host as a stand for scenarios: two workers, fixed order, virtual time.

use std::time::Duration;

use super::{World, vm::Filter};
use crate::stand::{Exchange, OriginRequest, Reply, Request, Response, Stand};

/// An emulated Envoy with two workers and the filter.
pub struct Emulated {
    /// For what only this stand can do.
    pub world: World,
}

impl Emulated {
    /// A stand with Larder and this configuration, which it must accept.
    pub fn new(configuration: &str) -> Self {
        Emulated::with(super::larder, configuration)
    }

    /// A stand with this filter and configuration, which it must accept.
    pub fn with(filter: Filter, configuration: &str) -> Self {
        let mut world = World::with(filter, 0, 2);
        if let Err(refusal) = world.configure_all(configuration) {
            panic!("the configuration is refused: {refusal}\n{}", world.story());
        }
        Emulated { world }
    }
}

impl Stand for Emulated {
    fn name(&self) -> &'static str {
        "emulated host"
    }

    fn origin(&mut self, path: &str, replies: Vec<Reply>) {
        self.world.origin(path, replies);
    }

    fn start(&mut self, worker: usize, request: Request) -> Exchange {
        self.world.start(worker, request)
    }

    fn finish(&mut self, exchange: Exchange) -> Response {
        self.world.finish(exchange)
    }

    fn leave(&mut self, exchange: Exchange) {
        self.world.leave(exchange);
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
    }

    fn origin_log(&mut self) -> Vec<OriginRequest> {
        self.world.origin_log()
    }

    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.world.configure_all(configuration)
    }

    fn metric(&mut self, name: &str) -> u64 {
        self.world.metric(name)
    }
}
