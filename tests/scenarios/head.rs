//! HEAD, answered by stored GETs (RFC 9110 §9.3.2).

use std::time::Duration;

use super::telling::{await_origin, expect_hit, expect_miss, get, page};
use crate::stand::{Reply, Request, Stand};

pub fn a_stored_get_answers_a_head(stand: &mut dyn Stand) {
    stand.origin(
        "/head/stored",
        vec![page("0123456789").field("etag", "\"v\"").field("content-type", "text/css")],
    );
    get(stand, 0, "/head/stored");
    for worker in [0, 1] {
        let hit = stand.send(worker, Request::new("HEAD", "/head/stored"));
        assert!(hit.is_hit() && hit.complete && hit.body.is_empty());
        assert_eq!((hit.status, hit.field("content-length").as_str()), (200, "10"));
        assert_eq!((hit.field("etag").as_str(), hit.field("content-type").as_str()), ("\"v\"", "text/css"));
        let hit = stand.send(worker, Request::new("HEAD", "/head/stored").field("if-none-match", "\"v\""));
        assert_eq!((hit.status, hit.is_hit()), (304, true));
        let hit = stand.send(worker, Request::new("HEAD", "/head/stored").field("range", "bytes=0-1"));
        assert_eq!((hit.status, hit.field("content-length").as_str()), (200, "10"));
    }
    assert_eq!(stand.origin_count("/head/stored"), 1);
}

pub fn a_head_without_a_stored_get_goes_to_the_origin_and_stores_nothing(stand: &mut dyn Stand) {
    stand.origin("/head/missing", vec![page("0123456789")]);
    for worker in [0, 1] {
        let response = stand.send(worker, Request::new("HEAD", "/head/missing"));
        assert_eq!((response.status, response.is_hit(), response.body.len()), (200, false, 0));
        assert_eq!(response.field("content-length"), "10");
        assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss");
    }
    assert_eq!(stand.origin_log().iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["HEAD", "HEAD"]);
    expect_miss(stand, 0, "/head/missing", "0123456789");
    expect_hit(stand, 1, "/head/missing", "0123456789");
}

pub fn the_answer_to_a_head_brings_the_stored_response_up_to_date(stand: &mut dyn Stand) {
    let path = "/head/update";
    let page = |control: &str| {
        Reply::ok("page")
            .field("cache-control", control)
            .field("etag", "\"v\"")
            .field("content-type", "text/plain")
    };
    stand.origin(path, vec![page("max-age=1"), page("max-age=600")]);
    assert_eq!(stand.send(0, Request::get(path)).text(), "page");
    stand.pass(Duration::from_millis(1_500));
    assert!(!stand.send(0, Request::new("HEAD", path)).is_hit());
    for worker in [0, 1] {
        let response = stand.send(worker, Request::get(path));
        assert!(response.is_hit(), "{}", response.field("cache-status"));
        assert_eq!(response.text(), "page");
    }
}

/// A HEAD that wants the origin's own word.
fn head(path: &str) -> Request {
    Request::new("HEAD", path).field("cache-control", "no-cache")
}

pub fn the_answer_to_a_head_that_shows_a_change_makes_the_stored_response_stale(stand: &mut dyn Stand) {
    let changes: [(&str, Reply); 4] = [
        ("etag", page("old").field("etag", "\"v2\"")),
        ("length", page("longer")),
        ("modified", page("old").field("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")),
        ("vary", page("old").field("etag", "\"v1\"").field("vary", "x-more")),
    ];
    for (name, changed) in changes {
        let path = format!("/head/changed-{name}");
        let replies = vec![page("old").field("etag", "\"v1\""), changed, page("new").field("etag", "\"v2\"")];
        stand.origin(&path, replies);
        for worker in [0, 1, 0, 1] {
            get(stand, worker, &path);
        }
        assert_eq!(stand.send(0, head(&path)).status, 200);
        // The other worker has a copy of its own, and has to hear of it.
        stand.pass(Duration::from_millis(50));
        expect_miss(stand, 1, &path, "new");
        assert_eq!(stand.origin_log().pop().unwrap().field("if-none-match"), "\"v1\"", "{name}");
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "new");
        }
        assert_eq!(stand.origin_count(&path), 3, "{name}");
    }
    assert_eq!(stand.metric("invalidations_revalidate"), 0, "nothing of that is written to the journal");
}

pub fn the_answer_to_a_head_concerns_its_own_variant(stand: &mut dyn Stand) {
    let reply = |body: &str, etag: &str| page(body).field("vary", "x-kind").field("etag", etag);
    let path = "/head/variant";
    let of = |method: &str, kind: &str| Request::new(method, path).field("x-kind", kind);
    stand.origin(
        path,
        vec![reply("a", "\"a1\""), reply("b", "\"b1\""), reply("a", "\"a2\""), reply("a2", "\"a2\"")],
    );
    stand.send(0, of("GET", "a"));
    stand.send(0, of("GET", "b"));
    stand.send(0, of("HEAD", "a").field("cache-control", "no-cache"));
    let again = stand.send(0, of("GET", "a"));
    assert_eq!((again.is_hit(), again.text().as_str()), (false, "a2"), "{}", again.field("cache-status"));
    let other = stand.send(0, of("GET", "b"));
    assert_eq!((other.is_hit(), other.text().as_str()), (true, "b"), "{}", other.field("cache-status"));
    // The same, and it confirms.
    stand.origin(path, vec![reply("b", "\"b1\"").field("x-new", "1")]);
    stand.send(1, of("HEAD", "b").field("cache-control", "no-cache"));
    let confirmed = stand.send(1, of("GET", "b"));
    assert_eq!((confirmed.is_hit(), confirmed.field("x-new").as_str()), (true, "1"));
}

pub fn the_answer_to_a_head_that_comes_late_changes_nothing(stand: &mut dyn Stand) {
    // Asked before the change, and answered after it: once with what was there, once with something else again.
    for (n, etag) in ["\"v1\"", "\"v0\""].into_iter().enumerate() {
        let path = format!("/head/late-{n}");
        let slow = page("old").field("etag", etag).delay(Duration::from_secs(1));
        let replies = vec![page("old").field("etag", "\"v1\""), slow, page("new").field("etag", "\"v2\"")];
        stand.origin(&path, replies);
        get(stand, 0, &path);
        let asked = stand.start(0, head(&path));
        await_origin(stand, &path, 2);
        let newer = stand.send(1, Request::get(&path).field("cache-control", "no-cache"));
        assert_eq!(newer.text(), "new");
        assert_eq!(stand.finish(asked).status, 200);
        stand.pass(Duration::from_millis(50));
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "new");
        }
        assert_eq!(stand.origin_count(&path), 3);
    }
}

pub fn a_head_answer_for_one_client_does_not_update_the_stored_get(stand: &mut dyn Stand) {
    let other = || page("other").field("etag", "\"mine\"");
    let cases = [
        (head("/head/own-0").field("authorization", "Basic YTpi"), other()),
        (head("/head/own-1").field("cache-control", "no-store"), other()),
        (head("/head/own-2"), Reply::ok("other").field("etag", "\"mine\"").field("cache-control", "private")),
        (head("/head/own-3"), Reply::status(404).field("etag", "\"mine\"")),
        (head("/head/own-4"), Reply::status(503)),
    ];
    for (n, (request, reply)) in cases.into_iter().enumerate() {
        let path = format!("/head/own-{n}");
        stand.origin(&path, vec![page("old").field("etag", "\"v1\""), reply]);
        get(stand, 0, &path);
        stand.send(0, request);
        stand.pass(Duration::from_millis(50));
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "old");
        }
        assert_eq!(stand.origin_count(&path), 2, "{path}");
    }
}

pub fn a_response_to_head_can_forbid_the_stored_get(stand: &mut dyn Stand) {
    stand.configure(r#"{"stale_if_error": "60s"}"#).unwrap();
    for (n, control) in ["private", "no-store", "private; max-age=600"].into_iter().enumerate() {
        let path = format!("/head/forbids-{n}");
        let reply = |control| Reply::ok("old").field("etag", "\"v1\"").field("cache-control", control);
        stand.origin(&path, vec![reply("max-age=600"), reply(control), Reply::status(503)]);
        get(stand, 0, &path);
        stand.send(0, head(&path));
        stand.pass(Duration::from_millis(50));
        for worker in [0, 1] {
            assert_eq!(get(stand, worker, &path).status, 503, "{control}");
        }
    }
}
