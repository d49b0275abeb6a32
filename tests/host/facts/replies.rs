//! Pausing, resuming and local replies (envoy-facts §5, §19.2, §20.1).

use std::time::Duration;

use super::{super::stream::ClientState, hangs, seen, world};
use crate::stand::{Reply, Request};

#[test]
fn an_own_reply_passes_the_filters_response_callbacks() {
    let mut world = world("{}");
    let response = world.send(0, Request::get("/reply"));
    assert_eq!((response.status, response.text()), (200, "local".into()));
    assert_eq!(response.field("content-length"), "5");
    assert_eq!(response.field("content-type"), "text/plain");
    assert_eq!(response.all("vary"), ["a,b"]);
    let lines = seen(&world, "/reply");
    assert!(lines.contains(&"response headers false ".to_owned()), "no details: {lines:?}");
    assert!(lines.contains(&"response body 5 true".to_owned()), "the whole body at once: {lines:?}");
    assert!(world.origin_log().is_empty());
}

#[test]
fn an_own_reply_without_a_body_ends_with_its_headers_which_may_be_changed_on_the_way() {
    let mut world = world("{}");
    let response = world.send(0, Request::get("/reply-empty"));
    assert_eq!((response.status, response.field("etag")), (304, "e".into()));
    assert_eq!(response.field("content-type"), "", "removed with an empty body");
    assert_eq!(response.field("content-length"), "777", "set in the response callback");
    assert!(seen(&world, "/reply-empty").contains(&"response headers true ".to_owned()));
}

#[test]
fn a_head_request_with_an_own_reply_gets_the_length_and_no_body() {
    let mut world = world("{}");
    let response = world.send(0, Request::new("HEAD", "/reply"));
    assert_eq!((response.field("content-length"), response.body.len()), ("5".into(), 0));
    assert!(seen(&world, "/reply").contains(&"response headers true ".to_owned()));
}

#[test]
fn a_second_own_reply_is_ignored() {
    let mut world = world("{}");
    assert_eq!(world.send(0, Request::get("/reply-twice")).text(), "first");
}

#[test]
fn an_own_reply_with_too_many_fields_has_none() {
    let mut world = world("{}");
    let response = world.send(0, Request::get("/reply-many"));
    assert_eq!((response.status, response.field("x")), (200, String::new()));
}

#[test]
fn an_own_reply_to_grpc_is_trailers_only() {
    let mut world = world("{}");
    let response = world.send(0, Request::get("/reply").field("content-type", "application/grpc"));
    assert_eq!((response.status, response.field("grpc-status")), (200, "0".into()));
}

#[test]
fn an_own_reply_before_the_request_is_whole_closes_the_connection() {
    let mut world = world("{}");
    let response = world.send(0, Request::new("POST", "/reply").body("x"));
    assert_eq!((response.text(), response.field("connection")), ("local".into(), "close".into()));
}

#[test]
fn an_own_reply_in_the_response_phase_replaces_the_response_past_the_filter() {
    let mut world = world("{}");
    world.origin("/replace", vec![Reply::ok("original")]);
    assert_eq!(world.send(0, Request::get("/replace")).text(), "replaced");
    let headers = seen(&world, "/replace").into_iter().filter(|l| l.starts_with("response headers")).count();
    assert_eq!(headers, 1);
}

#[test]
fn an_own_reply_after_the_response_headers_are_out_breaks_the_exchange() {
    let mut world = world("{}");
    world.origin("/reply-late", vec![Reply::ok("body")]);
    let response = world.send(0, Request::get("/reply-late"));
    assert_eq!((response.status, response.body.len(), response.complete), (200, 0, false));
}

#[test]
#[should_panic(expected = "a local reply with 103 ends it")]
fn an_own_reply_with_an_informational_status_is_reported() {
    world("{}").send(0, Request::get("/reply-early-hints"));
}

#[test]
fn fields_that_the_route_adds_are_added_to_own_replies_as_well() {
    let mut world = world("{}");
    world.settings(|s| s.route.response_headers_to_add.push(("x-route".into(), "1".into())));
    world.origin("/a", vec![Reply::ok("x")]);
    assert_eq!(world.send(0, Request::get("/a")).all("x-route"), ["1"]);
    assert_eq!(world.send(0, Request::get("/reply")).all("x-route"), ["1"]);
}

#[test]
fn a_paused_request_gets_nothing_until_it_is_woken() {
    let mut world = world("queue");
    let parked = world.start(1, Request::new("POST", "/park").body("some bytes"));
    assert!(hangs(&mut world, parked));
    assert!(world.origin_log().is_empty());
    world.send(0, Request::get("/wake"));
    assert_eq!(world.finish(parked).text(), "answered");
    assert!(!seen(&world, "/park").iter().any(|l| l.contains("request body")));
}

#[test]
fn where_headers_alone_are_held_the_body_is_seen_and_lets_them_go() {
    let mut world = world("queue");
    world.settings(|s| s.body_while_headers_held = true);
    let parked = world.start(1, Request::new("POST", "/park").body("some bytes"));
    assert_eq!(world.finish(parked).status, 404, "the toy lets every body go on");
    assert_eq!(world.origin_log()[0].body, b"some bytes");
}

#[test]
fn answering_others_in_a_response_callback_hangs_the_one_who_does() {
    let mut world = world("{}");
    world.origin("/lead", vec![Reply::ok("body")]);
    let follower = world.start(0, Request::get("/park"));
    let leader = world.start(0, Request::get("/lead"));
    assert_eq!(world.finish(follower).text(), "from the leader");
    assert!(hangs(&mut world, leader));
}

#[test]
fn answering_others_when_logging_is_fine() {
    let mut world = world("{}");
    let parked = world.start(0, Request::get("/park"));
    world.send(0, Request::get("/answers-others-on-log"));
    assert_eq!(world.finish(parked).text(), "on log");
}

#[test]
fn several_waiters_are_answered_in_one_callback() {
    let mut world = world("tick");
    let parked: Vec<_> = (0..5).map(|_| world.start(0, Request::get("/park"))).collect();
    for exchange in parked {
        assert_eq!(world.finish(exchange).text(), "answered");
    }
}

#[test]
fn more_waiters_answered_in_one_callback_than_the_stack_holds_kill_the_vm() {
    let mut world = world("tick");
    let parked: Vec<_> = (0..250).map(|_| world.start(0, Request::get("/park"))).collect();
    assert!(hangs(&mut world, parked[249]));
    assert!(world.look(|h| h.vms.iter().any(|vm| !vm.alive && !vm.canary)));
}

#[test]
fn a_stream_that_is_gone_cannot_be_chosen() {
    let mut world = world("tick");
    let parked = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.leave(parked);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.client(parked), ClientState::Left);
    assert_eq!(world.logged(), ["gone: BadArgument"]);
}

#[test]
#[should_panic(expected = "which the filter has dropped (envoy-facts §20.1)")]
fn answering_a_stream_between_its_deletion_and_destruction_is_reported() {
    let mut world = world("tick");
    world.settings(|s| s.deferred_delete = Duration::from_secs(1));
    let parked = world.start(0, Request::get("/park"));
    world.pass(Duration::from_millis(1));
    world.leave(parked);
    world.pass(Duration::from_millis(200));
}

#[test]
fn a_stream_without_traffic_ends_at_the_idle_timeout() {
    let mut world = world("{}");
    world.settings(|s| s.idle_timeout = Some(Duration::from_secs(5)));
    let parked = world.start(0, Request::get("/park"));
    let response = world.finish(parked);
    assert_eq!((response.status, world.details(parked)), (504, "stream_idle_timeout".into()));
}
