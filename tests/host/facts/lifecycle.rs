//! Canary, configuration, code, draining, traps and reloads (envoy-facts §0.3, §0.4, §12, §19.7, §19.9).

use std::time::Duration;

use super::{
    super::{
        faults::FaultKind,
        state::FailurePolicy,
        stream::ClientState,
        vm::{ContextKind, Thread},
    },
    hangs, seen, world,
};
use crate::stand::{Reply, Request};

fn living_roots(world: &super::World) -> usize {
    world.look(|h| h.vms.iter().filter(|vm| vm.alive).map(|vm| vm.roots().count()).sum())
}

#[test]
fn a_refused_configuration_leaves_the_old_one_and_the_canarys_side_effects() {
    let mut world = world("{}");
    let refusal = world.configure_all("please refuse").expect_err("the toy refuses it");
    assert_eq!(refusal, "$.refuse: expected nothing");
    assert_eq!(world.shared("configured").as_deref(), Some(&b"please refuse"[..]));
    assert_eq!(world.send(0, Request::get("/reply")).text(), "local");
    assert_eq!(living_roots(&world), 3);
}

#[test]
fn a_new_configuration_is_a_new_root_in_the_same_vm_and_the_old_one_drains() {
    let mut world = world("a");
    let old = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.configure_all("b tick").unwrap();
    assert_eq!(living_roots(&world), 6);
    assert_eq!(world.finish(old).text(), "answered", "by the new root, which shares the VM");
    world.pass(Duration::from_secs(6));
    assert_eq!(living_roots(&world), 3);
    assert_eq!(world.look(|h| h.vms.iter().filter(|vm| vm.alive).count()), 3);
}

#[test]
fn streams_of_a_drained_listener_are_closed() {
    let mut world = world("a");
    let old = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.configure_all("b").unwrap();
    world.pass(Duration::from_secs(6));
    assert_eq!(world.client(old), ClientState::Broken);
}

#[test]
fn an_old_configuration_that_comes_back_before_it_has_drained_is_used_again_silently() {
    let mut world = world("a");
    world.configure_all("b").unwrap();
    let configured = world.metric("configured");
    world.configure_all("a").unwrap();
    assert_eq!(world.metric("configured"), configured);
    world.pass(Duration::from_secs(10));
    let configurations: Vec<_> = world.look(|h| {
        let name = |kind: &ContextKind| match kind {
            ContextKind::Root { configuration, .. } => configuration.clone(),
            ContextKind::Stream { .. } => String::new(),
        };
        h.vms.iter().flat_map(|vm| vm.roots().map(|(_, c)| name(&c.kind))).collect()
    });
    assert_eq!(configurations, ["a", "a", "a"]);
}

#[test]
fn new_code_is_a_new_vm_with_the_same_shared_data() {
    let mut world = world("a");
    world.set_shared("kept", b"yes");
    let old = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.push_code().unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.shared("kept").as_deref(), Some(&b"yes"[..]));
    assert_eq!(world.send(0, Request::get("/answers-others-on-log")).status, 404);
    assert_eq!(world.client(old), ClientState::Open, "the old VM's streams are not the new one's");
    world.pass(Duration::from_secs(6));
    assert_eq!(world.look(|h| h.vms.iter().filter(|vm| vm.alive).count()), 3);
}

#[test]
fn a_trap_answers_the_request_that_caused_it_and_hangs_the_parked_ones() {
    let mut world = world("{}");
    let parked = world.start(0, Request::get("/park"));
    world.pass(Duration::from_secs(1));
    world.fault(FaultKind::Trap {
        thread: Thread::Worker(0),
        call: "proxy_increment_metric",
        callback: "on_request_headers",
    });
    let caused = world.start(0, Request::get("/reply"));
    let response = world.finish(caused);
    assert_eq!((response.status, world.details(caused)), (503, "wasm_fail_stream".into()));
    assert_eq!(world.send(0, Request::get("/reply")).text(), "local", "10 ms after the load: loaded again");
    assert_eq!(world.send(1, Request::get("/reply")).text(), "local");
    assert!(hangs(&mut world, parked));
}

#[test]
fn a_dead_vm_is_loaded_again_after_the_backoff_or_never() {
    let mut world = world("{}");
    world.settings(|s| s.failure = FailurePolicy::Reload(Duration::from_secs(1)));
    world.trap(0, "");
    assert_eq!(world.send(0, Request::get("/reply")).status, 503);
    assert_eq!(world.send(0, Request::get("/reply")).status, 503);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.send(0, Request::get("/reply")).status, 200);
    world.settings(|s| s.failure = FailurePolicy::Closed);
    world.trap(0, "");
    world.send(0, Request::get("/reply"));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.send(0, Request::get("/reply")).status, 503);
}

#[test]
fn a_trap_in_the_middle_of_a_response_truncates_it() {
    let mut world = world("{}");
    world.settings(|s| s.between_parts = Duration::from_millis(10));
    world.origin("/a", vec![Reply::ok(vec![b'x'; 40_000])]);
    let streaming = world.start(0, Request::get("/a"));
    assert!(world.drive(Duration::from_secs(1), |w| !w.seen(streaming).body.is_empty()));
    world.trap(0, "");
    world.send(0, Request::get("/reply"));
    let response = world.finish(streaming);
    assert_eq!((response.status, response.body.len(), response.complete), (200, 16_384, false));
}

#[test]
fn a_response_that_comes_back_to_a_dead_vm_is_a_503() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("x").delay(Duration::from_secs(1))]);
    let waiting = world.start(0, Request::get("/a"));
    world.pass(Duration::from_millis(500));
    world.trap(0, "");
    world.send(0, Request::get("/reply"));
    assert_eq!(world.finish(waiting).status, 503);
    assert_eq!(world.details(waiting), "wasm_fail_stream");
}

#[test]
fn what_came_before_a_trap_stays_and_nothing_after_it_has_an_effect() {
    let mut world = world("queue");
    world.fault(FaultKind::Trap {
        thread: Thread::Worker(0),
        call: "proxy_enqueue_shared_queue",
        callback: "",
    });
    assert_eq!(world.send(0, Request::get("/wake")).status, 503);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.metric("requests"), 1, "counted before the trap");
    assert_eq!(world.metric("queue_ready"), 0, "nothing was enqueued");
    assert!(seen(&world, "/wake").is_empty(), "neither logged nor deleted");
}

#[test]
fn a_worker_may_trap_at_any_host_call_of_any_callback() {
    let paths = ["/reply", "/park", "/a", "/own-call", "/root-call", "/wake", "/answers-others-on-log"];
    let mut traps = 0;
    for skip in 0.. {
        let mut world = world("queue tick");
        world.origin("/a", vec![Reply::ok("body")]);
        world.faults(FaultKind::Trap { thread: Thread::Worker(0), call: "", callback: "" }, skip, 1);
        for path in paths {
            let exchange = world.start(0, Request::get(path));
            world.later(Duration::from_millis(150), move |w| w.leave(exchange));
        }
        world.pass(Duration::from_millis(300));
        if !world.story().contains("the VM traps") {
            break;
        }
        assert_eq!(world.send(0, Request::get("/reply")).text(), "local", "loaded again\n{}", world.story());
        traps += 1;
    }
    assert!(traps > 60, "{traps}");
}

#[test]
fn a_root_callback_that_traps_kills_the_worker_silently() {
    let mut world = world("tick");
    world.fault(FaultKind::Trap { thread: Thread::Worker(0), call: "", callback: "on_tick" });
    let parked = world.start(0, Request::get("/park"));
    assert!(hangs(&mut world, parked));
    let other = world.start(1, Request::get("/park"));
    assert_eq!(world.finish(other).text(), "answered");
}
