//! gRPC calls and streams to etcd.

use std::time::Duration;

use super::{
    super::{World, etcd::faults::Fate, vm::Thread},
    world,
};
use crate::stand::Request;

const SOON: Duration = Duration::from_millis(300);

/// What the streams of all VMs have heard.
fn told(world: &mut World, time: Duration) -> String {
    world.pass(time);
    String::from_utf8(world.shared("told").unwrap_or_default()).expect("the toy writes text")
}

/// How many lines of it are these.
fn count(told: &str, line: &str) -> usize {
    told.lines().filter(|told| *told == line).count()
}

#[test]
fn a_call_is_answered_in_the_context_that_made_it() {
    let mut world = world("{}");
    assert_eq!(world.send(0, Request::get("/put")).text(), "0 true ");
    assert_eq!(world.etcd(|etcd, now| etcd.get(now, "k")).unwrap().value, b"v");
    assert_eq!(
        world.send(0, Request::get("/no-method")).text(),
        "12 true unknown method Nope for service etcdserverpb.KV{via_upstream}"
    );
    assert_eq!(world.look(|h| h.open_grpc()), 0);
}

#[test]
fn a_call_that_fails_says_why() {
    let mut world = world("{}");
    world.etcd(|etcd, now| etcd.cut(now, "gw-a"));
    assert!(world.send(0, Request::get("/put")).text().starts_with("14 true upstream connect error"));
    world.etcd(|etcd, now| etcd.heal(now, "gw-a"));
    world.etcd(|etcd, _| etcd.fate("gw-a", Fate::Unanswered));
    assert_eq!(
        world.send(0, Request::get("/put")).text(),
        "14 true upstream request timeout{response_timeout}"
    );
    assert_eq!(world.etcd(|etcd, _| etcd.revision()), 2);
    world.look(|h| h.grpc.has_hosts = false);
    assert_eq!(world.send(0, Request::get("/put")).text(), "InternalFailure");
}

/// As the cluster is set up in `envoy/fleet/envoy.yaml`.
#[test]
fn health_checks_and_keepalives_find_what_is_silent() {
    let mut world = world("tick watch tidy");
    told(&mut world, SOON);
    world.etcd(|etcd, now| etcd.black_hole(now, "gw-a"));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.send(0, Request::get("/put")).text(), "InternalFailure", "no host is healthy");
    assert_eq!(count(&told(&mut world, Duration::from_secs(10)), "trailers 0"), 0);
    assert_eq!(count(&told(&mut world, Duration::from_secs(2)), "trailers 0"), 3);
    world.etcd(|etcd, now| etcd.heal(now, "gw-a"));
    assert_eq!(world.send(0, Request::get("/put")).text(), "0 true ");
    world.look(|h| h.grpc.unhealthy_after = None);
    world.etcd(|etcd, now| etcd.kill(now));
    world.pass(Duration::from_secs(2));
    assert!(world.send(0, Request::get("/put")).text().starts_with("14 true upstream connect error"));
}

#[test]
fn what_a_callback_is_told() {
    let mut world = world("{}");
    let said = world.send(0, Request::get("/grpc-facts")).text();
    let lines = [
        "name=true",
        "unknown-cluster=Err(InternalFailure)",
        "send-to-nobody=Err(NotFound)",
        "send-to-a-call=Err(BadArgument)",
        "cancel-nothing=Err(NotFound)",
        "close-nothing=Err(NotFound)",
        "status=Ok((0, None))",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
}

#[test]
#[should_panic(expected = "Envoy aborts")]
fn a_bare_name_that_happens_to_be_a_message_aborts_envoy() {
    world("{}").send(0, Request::get("/bare-name"));
}

/// On all three threads that run the filter.
#[test]
fn a_stream_has_headers_messages_and_an_end() {
    let mut world = world("tick watch tidy");
    let begun = told(&mut world, SOON);
    assert_eq!((count(&begun, "headers 2 2"), count(&begun, "message true")), (3, 3), "{begun}");
    world.etcd(|etcd, now| etcd.put(now, "k", "x"));
    assert_eq!(count(&told(&mut world, SOON), "message true"), 6);
    world.etcd(|etcd, now| etcd.kill(now));
    let ended = told(&mut world, SOON);
    assert_eq!(
        (
            count(&ended, "trailers 0"),
            count(&ended, "closed 13 13 upstream_reset_after_response_started{connection_termination}")
        ),
        (3, 3),
        "{ended}"
    );
    assert_eq!(world.look(|h| h.open_grpc()), 0);
}

#[test]
fn a_stream_that_cannot_connect_has_an_end_alone() {
    let mut world = world("{}");
    world.etcd(|etcd, now| etcd.kill(now));
    world.configure_all("tick watch tidy").unwrap();
    let told = told(&mut world, SOON);
    assert_eq!((count(&told, "headers 0 0"), count(&told, "trailers 4")), (3, 3), "{told}");
    assert!(
        told.contains("closed 14 14 upstream connect error or disconnect/reset before headers"),
        "{told}"
    );
}

#[test]
fn without_hosts_a_stream_is_not_opened_and_an_end_comes_that_nobody_knows() {
    let mut world = world("{}");
    world.look(|h| h.grpc.has_hosts = false);
    world.configure_all("tick watch").unwrap();
    let told = told(&mut world, SOON);
    assert!(count(&told, "not opened") >= 3 && told.lines().all(|line| line == "not opened"), "{told}");
}

#[test]
fn an_end_that_nobody_clears_up_stays_known_to_the_host() {
    let mut world = world("tick watch");
    told(&mut world, SOON);
    world.etcd(|etcd, now| etcd.kill(now));
    told(&mut world, SOON);
    assert_eq!(world.look(|h| h.open_grpc()), 3);
}

#[test]
fn a_stream_is_cancelled_from_the_tick() {
    let mut world = world("tick watch cancel on tick");
    told(&mut world, SOON);
    assert_eq!((world.look(|h| h.open_grpc()), world.etcd(|etcd, _| etcd.watchers())), (0, 0));
}

#[test]
#[should_panic(expected = "cancelled within its own on_grpc_receive")]
fn a_stream_must_not_be_cancelled_within_its_message() {
    told(&mut world("tick watch cancel at once"), SOON);
}

#[test]
#[should_panic(expected = "which has ended: Envoy uses what it has freed")]
fn a_stream_must_not_be_used_after_the_callback_of_its_end() {
    let mut world = world("tick watch too late");
    told(&mut world, SOON);
    world.etcd(|etcd, now| etcd.kill(now));
    told(&mut world, SOON);
}

#[test]
fn a_stream_that_is_closed_by_the_filter_goes_on_until_etcd_ends_it() {
    let mut world = world("tick watch half");
    told(&mut world, SOON);
    world.etcd(|etcd, now| etcd.put(now, "k", "x"));
    assert_eq!(count(&told(&mut world, SOON), "message true"), 6);
    world.etcd(|etcd, now| etcd.kill(now));
    told(&mut world, SOON);
    assert_eq!(world.look(|h| h.open_grpc()), 0, "the host clears up itself");
}

#[test]
fn the_streams_of_a_root_end_with_it_and_those_of_a_dead_vm_with_its_successor() {
    let mut world = world("tick watch");
    world.settings(|s| s.drain = Duration::from_millis(100));
    told(&mut world, SOON);
    assert_eq!(world.etcd(|etcd, _| etcd.watchers()), 3);
    world.configure_all("tick").unwrap();
    told(&mut world, Duration::from_secs(1));
    assert_eq!(world.etcd(|etcd, _| etcd.watchers()), 0);
    world.configure_all("tick watch").unwrap();
    told(&mut world, SOON);
    world.trap(0, "");
    told(&mut world, SOON);
    assert_eq!(world.etcd(|etcd, _| etcd.watchers()), 3, "a zombie");
    world.etcd(|etcd, now| etcd.put(now, "k", "x"));
    told(&mut world, SOON);
    world.send(0, Request::get("/"));
    assert_eq!(world.etcd(|etcd, _| etcd.watchers()), 2);
    told(&mut world, SOON);
    assert_eq!(world.etcd(|etcd, _| etcd.watchers()), 3);
    assert!(world.look(|h| h.vm_on(Thread::Worker(0))).is_some());
}
