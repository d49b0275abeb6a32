//! What requests and responses under way may hold of a worker's memory, and what becomes of those that find no room.

use std::time::Duration;

use super::telling::{await_origin, command, expect_hit, get, page, with_admin};
use crate::stand::{Ending, Request, Stand};

/// Long enough for many requests to be under way at the same time, on a machine that is busy.
const SLOW: Duration = Duration::from_secs(4);

fn little_memory(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""store": {"in_flight_bytes_max": "1MiB"},"#)).unwrap();
}

/// What is held by a worker in which nothing is under way any more.
fn held(stand: &mut dyn Stand, worker: usize) -> u64 {
    let health = command(stand, worker, "GET", "/_larder/health", "");
    let health: serde_json::Value = serde_json::from_slice(&health.body).unwrap();
    health["facts"]["worker_in_flight_bytes"].as_u64().unwrap()
}

pub fn requests_that_find_no_room_pass_and_hits_go_on(stand: &mut dyn Stand) {
    little_memory(stand);
    stand.origin("/memory/known", vec![page("known")]);
    get(stand, 0, "/memory/known");
    stand.origin("/memory/slow", vec![page("slow").delay(SLOW)]);
    let long = "x".repeat(50_000);
    // A megabyte is enough for 14 of them.
    let waiting: Vec<_> = (0..25)
        .map(|n| stand.start(0, Request::get(&format!("/memory/slow?{n}")).field("x-long", &long)))
        .collect();
    await_origin(stand, "/memory/slow", 25);
    expect_hit(stand, 0, "/memory/known", "known");
    let mut passed = 0;
    for exchange in waiting {
        let response = stand.finish(exchange);
        assert_eq!((response.status, response.text().as_str()), (200, "slow"));
        passed += u64::from(response.field("cache-status") == "larder; fwd=bypass; detail=memory");
    }
    assert!((10..20).contains(&passed), "{passed}");
    assert_eq!(stand.metric("forwarded_bypass_memory"), passed);
    assert_eq!(held(stand, 0), 0);
}

/// What is to be validated may have left the copies by the time the origin answers.
pub fn a_validating_request_counts_against_in_flight_memory(stand: &mut dyn Stand) {
    little_memory(stand);
    let large = vec![b'l'; 300_000];
    let known = || page(&large).field("etag", "\"e\"");
    let paths: Vec<String> = (0..6).map(|n| format!("/memory/validated/{n}")).collect();
    for path in &paths {
        stand.origin(path, vec![known(), known().delay(SLOW)]);
        assert!(get(stand, 0, path).body == large);
    }
    let validate = |path: &String| Request::get(path).field("cache-control", "no-cache");
    let validations: Vec<_> = paths.iter().map(|path| stand.start(0, validate(path))).collect();
    for path in &paths {
        await_origin(stand, path, 2);
    }
    let mut passed = 0;
    for validation in validations {
        let response = stand.finish(validation);
        assert!(response.complete && response.body == large);
        passed += u32::from(response.field("cache-status") == "larder; fwd=bypass; detail=memory");
    }
    assert_eq!(passed, 4, "there is room for two");
    assert_eq!(held(stand, 0), 0);
}

pub fn waiters_count_against_in_flight_memory(stand: &mut dyn Stand) {
    little_memory(stand);
    stand.origin("/memory/crowd", vec![page("page").delay(SLOW)]);
    let long = "x".repeat(50_000);
    let ask = || Request::get("/memory/crowd").field("x-long", &long);
    let first = stand.start(0, ask());
    await_origin(stand, "/memory/crowd", 1);
    let others: Vec<_> = (0..24).map(|_| stand.start(0, ask())).collect();
    for exchange in [first].into_iter().chain(others) {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    let asked = stand.origin_count("/memory/crowd");
    assert!((10..20).contains(&asked), "{asked}");
    assert_eq!(held(stand, 0), 0);
}

/// It holds the body of a response that stalled, for which the root asks anew: those who wait are served by that, whatever
/// becomes of the body.
pub fn waiters_of_a_dispatched_fetch_stay_when_a_capture_is_given_up(stand: &mut dyn Stand) {
    let table = r#""collapse": {"cluster": "route_loop", "lease": "1s"}"#;
    stand
        .configure(&with_admin(&format!(r#"{table}, "store": {{"in_flight_bytes_max": "1MiB"}},"#)))
        .unwrap();
    let large = vec![b'l'; 700_000];
    let stalls = page(&large).ending(Ending::StallsAfter(600_000, SLOW * 2));
    stand.origin("/memory/stalls", vec![stalls, page("anew").delay(SLOW)]);
    stand.origin("/memory/other", vec![page(&large).ending(Ending::StallsAfter(500_000, SLOW * 2))]);
    let leader = stand.start(0, Request::get("/memory/stalls"));
    await_origin(stand, "/memory/stalls", 1);
    let waiter = stand.start(1, Request::get("/memory/stalls"));
    await_origin(stand, "/memory/stalls", 2);
    let other = stand.start(0, Request::get("/memory/other"));
    assert_eq!(stand.finish(waiter).text(), "anew");
    assert_eq!(stand.origin_count("/memory/stalls"), 2);
    for exchange in [leader, other] {
        assert!(stand.finish(exchange).body == large);
    }
    assert!(stand.metric("not_stored_memory") >= 1);
}

pub fn where_bodies_find_no_room_the_largest_are_not_stored(stand: &mut dyn Stand) {
    little_memory(stand);
    let [small, large] = [vec![b's'; 20_000], vec![b'l'; 400_000]];
    stand.origin("/memory/small", vec![page(&small).ending(Ending::StallsAfter(10_000, SLOW))]);
    stand.origin("/memory/large", vec![page(&large).ending(Ending::StallsAfter(300_000, SLOW))]);
    let paths = |name: &str, count| (0..count).map(|n| format!("/memory/{name}?{n}")).collect::<Vec<_>>();
    let (smalls, larges) = (paths("small", 5), paths("large", 5));
    let all: Vec<_> =
        smalls.iter().chain(&larges).map(|path| (path, stand.start(0, Request::get(path)))).collect();
    for (path, exchange) in all {
        let response = stand.finish(exchange);
        let body = if path.contains("small") { &small } else { &large };
        assert!(response.complete && response.body == *body, "{path}");
    }
    let hits = |stand: &mut dyn Stand, paths: &[String]| {
        stand.origin("/memory/small", vec![page("again")]);
        stand.origin("/memory/large", vec![page("again")]);
        paths.iter().filter(|path| get(stand, 1, path).is_hit()).count()
    };
    assert_eq!(hits(stand, &smalls), 5);
    let kept = hits(stand, &larges);
    assert!(kept <= 2, "{kept} of five are stored, for which there was no room");
    assert!(stand.metric("not_stored_memory") >= 3);
    assert_eq!((held(stand, 0), held(stand, 1)), (0, 0));
}

/// Of such a request only the URI is kept, which does not say who sent it.
pub fn the_answer_to_a_post_that_found_no_room_is_for_its_client_alone(stand: &mut dyn Stand) {
    let options = r#""store_post": true, "key": {"unkeyed": {"x-forwarded-proto": "ignore"}}"#;
    stand.configure(&format!(r#"{{{options}, "store": {{"in_flight_bytes_max": "64KiB"}}}}"#)).unwrap();
    let long = "x".repeat(50_000);
    for (path, long, is_stored) in [("/memory/post-1", "x", true), ("/memory/post-2", &*long, false)] {
        stand.origin(path, vec![page("posted").field("content-location", path), page("got")]);
        let post = Request::new("POST", path).field("x-long", long);
        assert_eq!(stand.send(0, post).text(), "posted");
        assert_eq!(get(stand, 1, path).text(), if is_stored { "posted" } else { "got" }, "{path}");
    }
}
