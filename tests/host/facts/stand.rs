//! The emulated host as a stand, and its determinism.

use std::time::Duration;

use super::super::{World, stand::Emulated, toy::toy};
use crate::stand::{Reply, Request, Stand};

#[test]
fn a_scenario_plays_on_the_stand() {
    let mut stand = Emulated::with(toy, "{}");
    stand.origin("/a", vec![Reply::ok("first"), Reply::ok("second")]);
    assert_eq!(stand.send(0, Request::get("/a")).text(), "first");
    assert_eq!(stand.send(1, Request::get("/a")).text(), "second");
    assert_eq!(stand.send(1, Request::get("/a?again")).text(), "second");
    assert_eq!(stand.send(0, Request::get("/other")).status, 404);
    assert_eq!((stand.origin_count("/a"), stand.world.metric("requests")), (3, 4));
    assert_eq!(stand.configure("refuse"), Err("$.refuse: expected nothing".into()));
    stand.configure("tick").unwrap();
    let parked = stand.start(0, Request::get("/park"));
    stand.pass(Duration::from_millis(150));
    assert_eq!(stand.finish(parked).text(), "answered");
}

#[test]
fn larder_plays_on_the_stand() {
    let mut stand = Emulated::new("{}");
    stand.origin("/a", vec![Reply::ok("page").field("cache-control", "max-age=60")]);
    for (worker, hit) in [(0, false), (0, true), (1, true)] {
        let response = stand.send(worker, Request::get("/a"));
        assert_eq!((response.text(), response.is_hit()), ("page".into(), hit), "{}", stand.world.story());
    }
    assert_eq!(stand.origin_count("/a"), 1);
    let refusal = stand.configure("{\"nonsense\":1}").unwrap_err();
    assert!(refusal.contains("nonsense"), "{refusal}");
    assert!(stand.send(1, Request::get("/a")).is_hit());
}

/// A little of everything, in an order that the seed decides.
fn workload(seed: u64) -> String {
    let mut world = World::with(toy, seed, 3);
    world.shuffle();
    world.configure_all("queue tick").unwrap();
    world.origin("/a", vec![Reply::ok(vec![b'x'; 50_000]).delay(Duration::from_micros(300))]);
    let paths = ["/a", "/reply", "/park", "/wake", "/own-call", "/root-call", "/answers-others-on-log"];
    let exchanges: Vec<_> =
        (0..60).map(|i| world.start(i % 3, Request::get(paths[i % paths.len()]))).collect();
    world.leave(exchanges[6]);
    world.later(Duration::from_millis(3), move |w| w.leave(exchanges[20]));
    world.look(|h| {
        h.faults.rates.doubled_message = 0.2;
        h.faults.rates.lost_cas = 0.1;
    });
    world.pass(Duration::from_secs(1));
    world.configure_all("tick").unwrap();
    world.pass(Duration::from_secs(10));
    world.story()
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..3 {
        let first = workload(seed);
        assert_eq!(first, workload(seed));
        assert_ne!(first, workload(seed + 100));
    }
}
