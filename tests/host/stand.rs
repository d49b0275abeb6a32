//! The emulated host as a stand for scenarios: two workers, fixed order, virtual time.

use std::time::Duration;

use super::{PATIENCE, World, hcm::Cluster, vm::Filter};
use crate::stand::{Exchange, OriginRequest, Reply, Request, Response, Route, Stand};

/// An emulated Envoy with two workers and the filter.
pub struct Emulated {
    /// For what only this stand can do.
    pub world: World,
    deaths_expected: u32,
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
        Emulated { world, deaths_expected: 0 }
    }

    /// So many VMs die by intent.
    pub fn vm_deaths_expected(&mut self, count: u32) {
        self.deaths_expected = count;
    }

    /// Panics when a VM died or a request hangs.
    pub fn check(&mut self) {
        let reloads = self.world.look(|h| h.reloads);
        assert_eq!(reloads, self.deaths_expected, "VMs died\n{}", self.world.story());
        let ended = self.world.drive(PATIENCE, |w| w.look(|h| h.streams.iter().all(|s| !s.alive)));
        assert!(ended, "a request hangs\n{}", self.world.story());
    }
}

impl Stand for Emulated {
    fn name(&self) -> &'static str {
        "emulated host"
    }

    fn origin(&mut self, path: &str, replies: Vec<Reply>) {
        self.world.origin(path, replies);
    }

    fn origin_listens(&mut self, listens: bool) {
        let state = if listens { Cluster::Up } else { Cluster::ConnectionRefused };
        for cluster in ["origin", "blue"] {
            self.world.settings(|s| s.route.clusters.insert(cluster.into(), state));
        }
    }

    fn route(&mut self, route: Route) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.world.settings(|s| {
            s.route.name = route.name.to_owned();
            s.route.cluster = route.cluster.to_owned();
            s.route.host_rewrite = route.host.map(str::to_owned);
            s.route.request_headers_to_add = route.adds.iter().map(owned).collect();
            s.route.direct_response = route.answers;
            s.route.canary = route.canary.map(|(field, name)| (field.to_owned(), name.to_owned()));
        });
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

    fn now(&mut self) -> Duration {
        Duration::from_nanos(self.world.now())
    }

    fn origin_log(&mut self) -> Vec<OriginRequest> {
        self.world.origin_log()
    }

    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.world.configure_all(configuration)
    }

    fn details(&mut self, target: &str) -> Vec<String> {
        self.world.details_of(target)
    }

    fn metric(&mut self, name: &str) -> u64 {
        self.world.metric(&format!("larder_{name}"))
    }
}
