//! Listeners with configurations of their own in one VM, and with that in one cache: each way to the origin is that of the
//! listener that a request has come through, whichever configuration came last.

use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, CacheRequest, Decision, Effect, FetchEnd, Identity, Refusal};
use larder::config::Config;
use larder::http::{Fields, RequestHead};
use larder::policy::key;
use larder::store::Seed;
use larder::time::{Monotonic, Now, Timestamp};

use crate::budget::response;
use crate::world::World;

/// Two listeners with loops of their own, and one without.
const COLLAPSE: [&str; 3] = [
    r#""cluster": "a", "fetch_timeout": "5s""#,
    r#""cluster": "b", "fetch_timeout": "7s""#,
    r#""fetch": "auto""#,
];

struct Stage {
    world: World,
    cache: Cache,
    configs: Vec<Rc<Config>>,
    now: Now,
}

impl Stage {
    /// The configuration of the listener `last` has come last.
    fn new(last: usize) -> Stage {
        let config = |collapse: &&str| {
            let json = format!(r#"{{"collapse": {{{collapse}}}}}"#);
            Rc::new(Config::parse(json.as_bytes()).unwrap())
        };
        let configs: Vec<_> = COLLAPSE.iter().map(config).collect();
        let mut cache = Cache::new(Rc::clone(&configs[0]), Identity { nonce: 1, seed: Seed(1, 1) });
        for config in [&configs[1], &configs[2], &configs[last]] {
            cache.configure(Rc::clone(config));
        }
        let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        Stage { world: World::default(), cache, configs, now }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { wall: self.now.wall.after(time), mono: self.now.mono.after(time) };
        self.cache.tick(self.world.at(self.now));
    }

    /// A request that has come through a listener.
    fn ask(&mut self, listener: usize, path: &str) -> Decision {
        let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", path)];
        let request = RequestHead { fields: Fields::from_iter(lines), has_body: false };
        let config = Rc::clone(&self.configs[listener]);
        let options = config.rules.for_request(&request);
        let key = key::primary(&request, &options);
        let ask = Rc::new(CacheRequest::new(1, config, options, request, key, self.now));
        self.cache.lookup(self.world.at(self.now), &ask)
    }

    /// A response that is stored, and stale by now.
    fn store(&mut self, listener: usize, path: &str) {
        let Decision::Fetch { generation, .. } = self.ask(listener, path) else { panic!("it is stored") };
        let mut response = response(500, self.now);
        response.stored.stale_while_revalidate = Duration::from_secs(3600);
        let landing = FetchEnd::Stored(Box::new(response));
        self.cache.end_fetch(self.world.at(self.now), generation, landing);
        self.pass(Duration::from_secs(100));
    }

    /// The fetch of the root that is to be dispatched.
    fn dispatched(&mut self) -> Option<u64> {
        match self.cache.next_effect()? {
            Effect::Dispatch(generation) => Some(generation),
            Effect::Decided(..) => panic!("nobody waits"),
        }
    }
}

#[test]
fn each_listener_refreshes_by_its_own_way_whichever_configuration_came_last() {
    for last in 0..3 {
        let mut stage = Stage::new(last);
        for (listener, expected) in [Some(("a", 5)), Some(("b", 7)), None].into_iter().enumerate() {
            let path = format!("/{listener}");
            stage.store(listener, &path);
            let decision = stage.ask(listener, &path);
            let Some((cluster, seconds)) = expected else {
                assert!(matches!(decision, Decision::Fetch { .. }), "{last}: the client's own request goes");
                assert_eq!(stage.dispatched(), None, "{last}");
                continue;
            };
            assert!(matches!(decision, Decision::Serve { .. }), "{last} {listener}: {decision:?}");
            let generation = stage.dispatched().expect("a refresh");
            let call = stage.cache.call(stage.world.at(stage.now), generation).expect("a call");
            assert_eq!((call.cluster.as_str(), call.timeout.as_secs()), (cluster, seconds), "{last}");
        }
    }
}

#[test]
fn a_missing_cluster_is_reported_once_for_each_listener() {
    let mut stage = Stage::new(2);
    let mut told = Vec::new();
    for round in 0..4 {
        for listener in [0, 1] {
            let path = format!("/{listener}/{round}");
            stage.store(listener, &path);
            stage.ask(listener, &path);
            // It is tried again after a while, and that is no news.
            let generation = stage.dispatched().expect("an attempt");
            let call = stage.cache.call(stage.world.at(stage.now), generation).expect("a call");
            let (world, now) = (&stage.world, stage.now);
            told.push(stage.cache.call_dispatched(world.at(now), generation, &call, Err(Refusal::NoCluster)));
        }
        let lacked = stage.configs.iter().map(|config| stage.cache.routes().lacked_cluster(config));
        assert_eq!(lacked.collect::<Vec<_>>(), [Some("a"), Some("b"), None]);
    }
    assert_eq!(told, [true, true, false, false, false, false, false, false]);
}
