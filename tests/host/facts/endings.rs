//! How exchanges end, and what the filter is told (envoy-facts §6, §19.3).

use std::time::Duration;

use super::{super::stream::ClientState, seen, world};
use crate::stand::{Ending, Reply, Request};

#[test]
fn log_then_done_then_delete() {
    let mut world = world("{}");
    world.send(0, Request::get("/a"));
    let lines = seen(&world, "/a");
    assert_eq!(lines[lines.len() - 3..], ["log via_upstream /a", "done", "deleted"]);
}

#[test]
fn the_log_says_why_an_exchange_broke() {
    let started = "upstream_reset_after_response_started{protocol_error}";
    let before = "upstream_reset_before_response_started{connection_termination}";
    let cases = [
        (Reply::ok("body").ending(Ending::ResetAfter(2)), started, (200, 2, false)),
        (Reply::ok("body").field("content-length", "9"), started, (200, 4, false)),
        (Reply::ok("").ending(Ending::NoResponse), before, (503, 95, true)),
    ];
    for (reply, details, expected) in cases {
        let mut world = world("{}");
        world.origin("/a", vec![reply]);
        let response = world.send(0, Request::get("/a"));
        assert_eq!((response.status, response.body.len(), response.complete), expected);
        assert!(seen(&world, "/a").contains(&format!("log {details} /a")), "{:?}", seen(&world, "/a"));
    }
}

#[test]
fn a_body_shorter_than_its_content_length_never_ends_for_the_filter() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("body").ending(Ending::ResetAfter(2))]);
    world.send(0, Request::get("/a"));
    assert!(!seen(&world, "/a").iter().any(|l| l.starts_with("response") && l.ends_with("true")));
}

#[test]
fn a_body_longer_than_its_content_length_is_cut() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("body and more").field("content-length", "4")]);
    assert_eq!(world.send(0, Request::get("/a")).text(), "body");
}

#[test]
fn a_client_that_leaves_takes_the_upstream_request_with_it() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("x").delay(Duration::from_secs(1))]);
    let exchange = world.start(0, Request::get("/a"));
    world.pass(Duration::from_millis(500));
    world.leave(exchange);
    world.pass(Duration::from_secs(2));
    let lines = seen(&world, "/a");
    assert_eq!(lines[lines.len() - 3..], ["log downstream_remote_disconnect /a", "done", "deleted"]);
    assert!(!lines.iter().any(|l| l.starts_with("response")));
    assert_eq!(world.client(exchange), ClientState::Left);
}

#[test]
fn a_client_that_leaves_over_http2_resets_its_stream() {
    let mut world = world("{}");
    world.settings(|s| s.http2 = true);
    let exchange = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(500));
    world.leave(exchange);
    world.pass(Duration::from_secs(1));
    assert!(seen(&world, "/park").contains(&"log http2.remote_reset /park".to_owned()));
}

#[test]
fn a_paused_stream_whose_client_leaves_is_logged_and_deleted() {
    let mut world = world("{}");
    let exchange = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(500));
    world.leave(exchange);
    world.pass(Duration::from_secs(1));
    let expected = ["request headers true", "log downstream_remote_disconnect /park", "done", "deleted"];
    assert_eq!(seen(&world, "/park"), expected);
}

#[test]
fn an_origin_that_is_too_slow_is_a_504() {
    let mut world = world("{}");
    world.settings(|s| s.route.timeout = Duration::from_secs(3));
    world.origin("/a", vec![Reply::ok("x").delay(Duration::from_secs(5))]);
    let response = world.send(0, Request::get("/a"));
    assert_eq!((response.status, response.text()), (504, "upstream request timeout".into()));
    assert_eq!(response.field("x-envoy-upstream-service-time"), "");
}

#[test]
fn the_access_log_reads_what_the_filter_set() {
    let mut world = world("{}");
    let exchange = world.start(0, Request::get("/a"));
    world.finish(exchange);
    assert_eq!(world.filter_state(exchange, "toy_path").as_deref(), Some("/a"));
}
