//! Dispatched calls (envoy-facts §3, §19.1).

use std::time::Duration;

use super::{
    super::{faults::FaultKind, hcm::Cluster},
    hangs, world,
};
use crate::stand::{Ending, Reply, Request};

#[test]
fn a_call_goes_past_the_route_to_the_origin() {
    let mut world = world("{}");
    world.origin("/called", vec![Reply::ok("from afar")]);
    let response = world.send(0, Request::get("/own-call"));
    assert_eq!(response.text(), "3 200 from afar", "headers: status, length and service time");
    let got = &world.origin_log()[0];
    assert_eq!((got.method.as_str(), got.target.as_str()), ("GET", "/called"));
    assert_eq!(got.field("te"), "gzip", "hop-by-hop fields go out as they are");
    assert_eq!(got.field("x-envoy-internal"), "true");
    assert_eq!(got.field("x-envoy-expected-rq-timeout-ms"), "1000");
    assert_eq!(got.field("x-request-id"), "");
}

#[test]
fn a_call_fails_in_different_ways() {
    let late = Duration::from_secs(2);
    let cases = [
        (Reply::ok("whole").ending(Ending::ResetAfter(2)), "0  "),
        (Reply::ok("late").delay(late), "3 504 upstream request timeout"),
        (
            Reply::ok("never").ending(Ending::NoResponse),
            "3 503 upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ),
    ];
    for (reply, expected) in cases {
        let mut world = world("{}");
        world.origin("/called", vec![reply.clone()]);
        assert_eq!(world.send(0, Request::get("/own-call")).text(), expected, "{reply:?}");
    }
}

#[test]
fn a_refused_connection_looks_like_a_503_of_the_origin() {
    let mut world = world("{}");
    world.settings(|s| s.route.clusters.insert("origin".into(), Cluster::ConnectionRefused));
    assert!(world.send(0, Request::get("/own-call")).text().starts_with("3 503 upstream connect error"));
    assert!(world.origin_log().is_empty());
}

#[test]
fn a_call_of_a_stream_is_lost_with_its_client() {
    let mut world = world("{}");
    world.origin("/called", vec![Reply::ok("x").delay(Duration::from_millis(500))]);
    let gone = world.start(0, Request::get("/own-call"));
    world.pass(Duration::from_millis(300));
    world.leave(gone);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.origin_log().len(), 1);
    assert!(world.story().contains("nobody hears of it"), "{}", world.story());
}

#[test]
fn a_call_of_the_root_outlives_its_client() {
    let mut world = world("{}");
    world.origin("/called", vec![Reply::ok("x").delay(Duration::from_millis(500))]);
    let gone = world.start(0, Request::get("/root-call"));
    let other = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(300));
    world.leave(gone);
    assert_eq!(world.finish(other).text(), "answered");
}

#[test]
fn a_response_can_be_lost_by_script() {
    let mut world = world("{}");
    world.fault(FaultKind::LoseCallResponse);
    let exchange = world.start(0, Request::get("/own-call"));
    assert!(hangs(&mut world, exchange));
    assert_eq!(world.origin_log().len(), 1);
}

#[test]
fn calls_end_with_the_root_context_that_dispatched_them() {
    let mut world = world("{}");
    world.origin("/called", vec![Reply::ok("x").delay(Duration::from_millis(900))]);
    world.settings(|s| s.drain = Duration::from_millis(100));
    world.start(0, Request::get("/root-call"));
    world.pass(Duration::from_millis(50));
    world.configure_all("other").unwrap();
    world.pass(Duration::from_secs(2));
    assert!(!world.story().contains("200, 1 bytes"), "{}", world.story());
}
