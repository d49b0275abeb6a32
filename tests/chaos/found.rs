//! What chaos has found, each as the short story that it told.

use std::time::Duration;

use crate::host::World;
use crate::host::faults::{FaultKind, MessageHarm};
use crate::stand::{Reply, Request, SHIPPED};

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
fn a_no_store_request_does_not_prevent_others_from_storing() {
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
    let mut world = world(1, SHIPPED);
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

const ADMIN: &str = r#"{"collapse":{"cluster":"route_loop"},"admin":{"methods":true,"tokens":[{"name":"ops",
    "sha256":"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}]}}"#;

fn soft_purge(world: &mut World, path: &str) {
    let purge = Request::new("PURGE", path).field("authorization", "Bearer secret");
    assert_eq!(world.send(0, purge.field("fastly-soft-purge", "1")).status, 200);
}

#[test]
fn a_refresh_on_behalf_of_a_request_with_credentials_is_stored_because_it_sends_none() {
    let mut world = world(1, ADMIN);
    world.origin("/a", vec![Reply::ok("a").field("cache-control", "max-age=60")]);
    world.send(0, Request::get("/a"));
    soft_purge(&mut world, "/a");
    let stale = world.send(0, Request::get("/a").field("authorization", "Basic YTpi"));
    assert!(stale.is_hit(), "{stale:?}");
    world.pass(Duration::from_secs(1));
    let fresh = world.send(0, Request::get("/a")).field("cache-status");
    assert!(fresh.contains("hit") && !fresh.contains("soft-purged"), "{fresh}\n{}", world.story());
    assert_eq!(world.origin_log().len(), 2);
}

#[test]
fn what_the_root_fetches_without_a_cookie_never_answers_requests_with_one() {
    let mut world = world(1, ADMIN);
    let reply = |body| Reply::ok(body).field("cache-control", "max-age=60").field("vary", "cookie");
    world.origin("/a", vec![reply("member"), reply("whoever")]);
    let ask = || Request::get("/a").field("cookie", "member");
    assert_eq!(world.send(0, ask()).text(), "member");
    soft_purge(&mut world, "/a");
    world.send(0, ask());
    world.pass(Duration::from_secs(1));
    world.send(0, ask());
    let asked = world.origin_log();
    assert!(asked.len() > 1 && asked.iter().all(|r| r.field("cookie") == "member"), "{}", world.story());
}

#[test]
fn a_fetch_whose_dispatch_is_late_is_made_all_the_same() {
    let mut world = world(1, r#"{"collapse":{"fetch_timeout":"100ms","cluster":"route_loop"}}"#);
    world.origin("/a", vec![Reply::ok("a").field("cache-control", "max-age=1")]);
    world.send(0, Request::get("/a"));
    world.pass(Duration::from_secs(2));
    // The hint that would have it dispatched is lost, and the tick comes after its timeout.
    world.fault(FaultKind::Message { prefix: b"w/0".to_vec(), harm: MessageHarm::Lost });
    world.look(|h| h.faults.rates.late_tick = 1.0);
    let late = world.start(0, Request::get("/a"));
    let seen = world.finish(late).field("cache-status");
    assert!(!seen.contains("error") && world.metric("larder_dispatched") == 1, "{seen}\n{}", world.story());
}

#[test]
fn bytes_may_be_freed_before_they_are_counted() {
    let page = |bytes: usize| Reply::ok(vec![b'x'; bytes]).field("cache-control", "max-age=60");
    let stored = |pages: Vec<Reply>, workers: &[usize]| {
        let mut world = world(2, "{}");
        world.origin("/a", pages);
        // Within the same tick, of which the first worker's comes first.
        for worker in workers {
            world.send(*worker, Request::get("/a").field("cache-control", "no-cache"));
        }
        world.pass(Duration::from_secs(1));
        world.metric("larder_stored_bytes")
    };
    assert_eq!(stored(vec![page(4000), page(100)], &[1, 0]), stored(vec![page(100)], &[0]));
}
