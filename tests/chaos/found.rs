//! What chaos has found, each as the short story that it told.

use std::time::Duration;

use crate::host::World;
use crate::stand::{Reply, Request};

fn world(workers: usize, configuration: &str) -> World {
    let mut world = World::new(1, workers);
    world.configure_all(configuration).unwrap();
    world
}

#[test]
fn a_stranger_with_credentials_cannot_keep_a_key_from_being_stored() {
    let mut world = world(2, "{}");
    world.origin("/a", vec![Reply::ok("a").field("cache-control", "max-age=60")]);
    world.send(0, Request::get("/a").field("authorization", "Basic c3RyYW5nZXI="));
    world.send(1, Request::get("/a"));
    assert!(world.send(0, Request::get("/a")).is_hit(), "{}", world.story());
}

#[test]
fn a_request_that_says_no_store_keeps_nobody_from_storing() {
    let mut world = world(2, "{}");
    world.origin(
        "/a",
        vec![Reply::ok("a").field("cache-control", "max-age=60").delay(Duration::from_secs(1))],
    );
    let first = world.start(0, Request::get("/a").field("cache-control", "no-store"));
    world.pass(Duration::from_millis(500));
    // Nobody waits for it either.
    let second = world.start(1, Request::get("/a"));
    world.finish(first);
    world.finish(second);
    assert_eq!(world.origin_log().len(), 2);
    assert!(world.send(0, Request::get("/a")).is_hit(), "{}", world.story());
}

#[test]
fn a_reload_waits_for_the_fetch_that_the_root_makes_on_its_behalf() {
    let mut world = world(1, "{}");
    let reply = || Reply::ok("a").field("cache-control", "max-age=60");
    world.origin("/a", vec![reply(), reply().delay(Duration::from_secs(1))]);
    world.send(0, Request::get("/a"));
    let reload = world.start(0, Request::get("/a").field("cache-control", "no-cache"));
    assert_eq!(world.finish(reload).status, 200);
    assert_eq!(world.origin_log().len(), 2, "{}", world.story());
}

#[test]
fn a_reload_that_has_waited_for_another_s_fetch_makes_one_of_its_own() {
    let mut world = world(1, "{}");
    let reply = || Reply::ok("a").field("cache-control", "max-age=60").delay(Duration::from_secs(1));
    world.origin("/a", vec![reply()]);
    world.start(0, Request::get("/a"));
    world.pass(Duration::from_millis(10));
    let reload = world.start(0, Request::get("/a").field("cache-control", "no-cache"));
    assert_eq!(world.finish(reload).status, 200);
    world.pass(Duration::from_secs(3));
    assert!(world.origin_log().len() <= 2, "{}", world.story());
}
