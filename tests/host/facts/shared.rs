//! Shared data, queues, timers, time and metrics (envoy-facts §1, §2, §7, §8, §10, §20.2).

use std::time::Duration;

use super::{
    super::faults::{FaultKind, MessageHarm},
    hangs, world,
};
use crate::stand::Request;

#[test]
fn one_callback_finds_the_rules_of_shared_data_calls_and_contexts() {
    let mut world = world("{}");
    world.settings(|s| s.route.clusters.insert("empty".into(), super::super::hcm::Cluster::NoHosts));
    let text = world.send(0, Request::get("/facts")).text();
    for fact in [
        "absent=(None, None)",
        "absent-cas-any=Ok(())",
        "insert-if-absent=Err(CasMismatch)",
        "cas=Ok(())",
        "stale-cas=Err(CasMismatch)",
        "empty=(None, true)",
        "unknown-cluster=Err(BadArgument)",
        "no-hosts=Err(InternalFailure)",
        "no-path=Err(BadArgument)",
        "dead-context=Err(BadArgument)",
    ] {
        assert!(text.lines().any(|line| line == fact), "{fact} is not in\n{text}");
    }
}

#[test]
fn another_worker_can_write_first_by_script() {
    let mut world = world("{}");
    world.fault(FaultKind::LoseCas { prefix: b"k".to_vec() });
    let text = world.send(0, Request::get("/facts")).text();
    assert!(text.contains("absent-cas-any=Ok(())"), "an absent key has no cas to lose:\n{text}");
    assert!(text.contains("\ncas=Ok(())"), "the insertion that fails anyway used the fault up:\n{text}");

    drop(world);
    let mut world = self::world("{}");
    world.faults(FaultKind::LoseCas { prefix: b"k".to_vec() }, 1, 1);
    let text = world.send(0, Request::get("/facts")).text();
    assert!(text.contains("\ncas=Err(CasMismatch)"), "{text}");
    assert_eq!(world.shared("k").as_deref(), Some(&b"v"[..]));

    drop(world);
    let mut world = self::world("{}");
    world.fault(FaultKind::Meddle { key: b"k".to_vec(), value: b"theirs".to_vec() });
    let text = world.send(0, Request::get("/facts")).text();
    assert!(text.contains("absent-cas-any=Err(CasMismatch)"), "{text}");
}

#[test]
fn only_the_last_registrant_of_a_queue_is_called() {
    let mut world = world("queue");
    let first = world.start(0, Request::get("/park"));
    let second = world.start(1, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.send(0, Request::get("/wake"));
    assert_eq!(world.finish(second).text(), "answered", "worker 1 was configured last");
    assert!(hangs(&mut world, first));
    world.send(0, Request::get("/register"));
    world.send(1, Request::get("/wake"));
    assert_eq!(world.finish(first).text(), "answered");
}

#[test]
fn a_canary_takes_the_queue_for_the_main_thread_even_when_it_is_refused() {
    let mut world = world("queue");
    let parked = world.start(1, Request::get("/park"));
    world.configure_all("queue refuse").expect_err("the toy refuses it");
    world.send(0, Request::get("/wake"));
    assert!(hangs(&mut world, parked));
    assert_eq!(world.metric("queue_ready"), 1, "the main thread's VM was called");
}

#[test]
fn messages_to_a_queue_can_go_wrong_by_script() {
    for (harm, ready, empty) in [
        (None, 1, 0),
        (Some(MessageHarm::Lost), 0, 0),
        (Some(MessageHarm::NotAnnounced), 0, 0),
        (Some(MessageHarm::Doubled), 2, 0),
        (Some(MessageHarm::Reordered), 1, 0),
    ] {
        let mut world = world("queue");
        if let Some(harm) = harm {
            world.fault(FaultKind::Message { prefix: b"toy".to_vec(), harm });
        }
        world.send(0, Request::get("/wake"));
        world.pass(Duration::from_secs(1));
        assert_eq!((world.metric("queue_ready"), world.metric("queue_empty")), (ready, empty), "{harm:?}");
    }
}

#[test]
fn every_living_root_context_ticks_and_the_canary_does_not() {
    let mut world = world("tick");
    world.pass(Duration::from_millis(1050));
    assert_eq!(world.metric("ticks"), 30, "main thread and two workers, ten times");
}

#[test]
fn metrics_are_shared_by_name_and_counters_can_be_reset_or_silenced() {
    let mut world = world("{}");
    assert_eq!(world.metric("configured"), 4, "canary, main thread and two workers");
    world.send(0, Request::get("/reply"));
    world.send(1, Request::get("/reply"));
    assert_eq!(world.metric("requests"), 2);
    world.reset_counters();
    assert_eq!(world.metric("requests"), 0);
    world.silence_metrics();
    world.send(1, Request::get("/reply"));
    assert_eq!(world.metric("requests"), 0);
}

#[test]
fn the_wall_clock_can_step_while_the_monotonic_clock_goes_on() {
    let mut world = world("{}");
    let (wall, mono) = (world.wall_ms(), world.now());
    world.step_wall(-3_600_000);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.wall_ms(), wall - 3_600_000 + 1000);
    assert_eq!(world.now(), mono + 1_000_000_000);
}
