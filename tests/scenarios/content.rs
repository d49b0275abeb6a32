//! Requests whose content selects the response: `QUERY` (RFC 10008), and POST where it only asks.

use std::time::Duration;

use super::telling::{admin, page, pages, purge_url};
use crate::stand::{Ending, Reply, Request, Response, Stand};

fn query(path: &str, content: impl AsRef<[u8]>) -> Request {
    Request::new("QUERY", path).field("content-type", "text/plain").body(content)
}

fn ask(stand: &mut dyn Stand, worker: usize, request: Request) -> (bool, String) {
    let response = stand.send(worker, request);
    assert_eq!(response.status, 200);
    (response.is_hit(), response.text())
}

fn miss(body: &str) -> (bool, String) {
    (false, body.into())
}

fn hit(body: &str) -> (bool, String) {
    (true, body.into())
}

pub fn a_query_is_answered_by_the_response_to_the_same_question(stand: &mut dyn Stand) {
    let path = "/content/query";
    stand.origin(path, pages(&["a", "b", "c", "d", "e"]));
    assert_eq!(ask(stand, 0, query(path, "x=1")), miss("a"));
    assert_eq!(ask(stand, 0, query(path, "x=2")), miss("b"));
    for worker in [0, 1] {
        assert_eq!(ask(stand, worker, query(path, "x=1")), hit("a"));
        assert_eq!(ask(stand, worker, query(path, "x=2")), hit("b"));
        // The same in chunks, with trailers.
        assert_eq!(ask(stand, worker, query(path, "x=2").trailer("x-sum", "1")), hit("b"));
    }
    let typed = Request::new("QUERY", path).field("content-type", "text/csv").body("x=1");
    assert_eq!(ask(stand, 1, typed), miss("c"), "what is asked depends on the type of the content");
    assert_eq!(ask(stand, 1, Request::get(path)), miss("d"), "a GET asks something else");
    assert_eq!(ask(stand, 0, query(&format!("{path}?y"), "x=1")), miss("e"));
    let asked = stand.origin_log();
    assert_eq!((asked[0].method.as_str(), asked[0].body.as_slice()), ("QUERY", &b"x=1"[..]));
    assert_eq!((asked[1].body.as_slice(), asked[2].body.as_slice()), (&b"x=2"[..], &b"x=1"[..]));
}

pub fn a_query_is_stored_and_collapsed_like_a_get(stand: &mut dyn Stand) {
    let rule = r#"{"rules": [{"match": {"path": "/content/slow"}, "key": {"query": {"drop": ["utm_*"]}}}]}"#;
    stand.configure(rule).unwrap();
    let slow = page("found").field("etag", "\"v\"").delay(Duration::from_secs(1));
    stand.origin("/content/slow", vec![slow, page("again")]);
    let long = vec![b'q'; 60_000];
    let leader = stand.start(0, query("/content/slow?utm_a=1", &long));
    stand.pass(Duration::from_millis(50));
    let followers: Vec<_> =
        (0..6).map(|n| stand.start(n % 2, query(&format!("/content/slow?utm_b={n}"), &long))).collect();
    let found = |response: Response| (response.status, response.text());
    assert_eq!(found(stand.finish(leader)), (200, "found".into()));
    for follower in followers {
        let response = stand.finish(follower);
        let status = response.field("cache-status");
        // On a busy machine it may come when the answer is there already.
        assert!(status.contains("collapsed") || response.is_hit(), "{status}");
        assert_eq!(found(response), (200, "found".into()));
    }
    let asked = stand.origin_log();
    assert_eq!((asked.len(), asked[0].target.as_str()), (1, "/content/slow"));
    assert!(asked[0].body == long);
    // Conditional requests are answered from the cache, but nothing is validated with a QUERY: to any method but GET
    // and HEAD an origin may answer 412.
    let mine = query("/content/slow", &long).field("if-none-match", "\"v\"");
    assert_eq!(stand.send(1, mine).status, 304);
    stand.origin("/content/stale", vec![super::telling::stale_page("old", ""), page("new")]);
    assert_eq!(ask(stand, 0, query("/content/stale", "q")), miss("old"));
    assert_eq!(ask(stand, 1, query("/content/stale", "q")), miss("new"));
    assert_eq!(stand.origin_log().pop().unwrap().field("if-none-match"), "");
}

pub fn a_query_without_content_is_a_question_too(stand: &mut dyn Stand) {
    stand.origin("/content/none", pages(&["nothing", "something"]));
    let nothing = || Request::new("QUERY", "/content/none").field("content-type", "text/plain");
    assert_eq!(ask(stand, 0, nothing()), miss("nothing"));
    assert_eq!(ask(stand, 1, nothing()), hit("nothing"));
    // RFC 10008 §2.1: a question of no type is none; Envoy itself says so.
    assert_eq!(stand.send(1, Request::new("QUERY", "/content/none")).status, 400);
    assert_eq!(ask(stand, 1, query("/content/none", "x")), miss("something"));
}

pub fn content_too_long_for_the_key_bypasses_the_cache(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"content_bytes_max": "1KiB"}}"#).unwrap();
    stand.origin("/content/long", vec![page("found")]);
    let long = vec![b'q'; 100_000];
    for (n, request) in [
        query("/content/long", &long),
        query("/content/long", &long).trailer("x-sum", "1"),
        query("/content/long", &long[..1025]),
    ]
    .into_iter()
    .enumerate()
    {
        let content = request.body.clone();
        for worker in [0, 1] {
            let response = stand.send(worker, request.clone());
            assert_eq!((response.status, response.text().as_str()), (200, "found"), "{n}");
            assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=request-body");
            assert!(stand.origin_log().pop().unwrap().body == content, "{n}");
        }
    }
    assert_eq!(ask(stand, 0, query("/content/long", &long[..1024])), miss("found"));
    assert_eq!(ask(stand, 1, query("/content/long", &long[..1024])), hit("found"));
}

pub fn purges_and_unsafe_requests_cover_stored_queries(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/content/changed";
    stand.origin(path, vec![page("old"), page("new"), Reply::status(204), page("newer")]);
    assert_eq!(ask(stand, 0, query(path, "q")), miss("old"));
    purge_url(stand, 1, path, "hard");
    assert_eq!(ask(stand, 1, query(path, "q")), miss("new"));
    assert_eq!(ask(stand, 0, query(path, "q")), hit("new"));
    assert_eq!(stand.send(0, Request::new("PUT", path).body("x")).status, 204);
    assert_eq!(ask(stand, 1, query(path, "q")), miss("newer"));
    // One that breaks off leaves nothing behind.
    let broken = page("0123456789").ending(Ending::ResetAfter(4));
    stand.origin("/content/broken", vec![broken, page("whole")]);
    assert!(!stand.send(0, query("/content/broken", "q")).complete);
    stand.pass(Duration::from_millis(1100));
    assert_eq!(ask(stand, 0, query("/content/broken", "q")), miss("whole"));
}

pub fn a_post_that_only_asks_is_as_good_as_a_query(stand: &mut dyn Stand) {
    let rules = r#"{"rules": [
        {"match": {"path": "/content/search"}, "post_as_query": true},
        {"match": {"path": "/content/ttl"}, "post_as_query": true, "ttl": {"default": "1m"}}]}"#;
    stand.configure(rules).unwrap();
    let post = |path: &str, content: &str| Request::new("POST", path).body(content);
    stand.origin("/content/search", pages(&["page", "a", "b"]));
    assert_eq!(ask(stand, 0, Request::get("/content/search")), miss("page"));
    assert_eq!(ask(stand, 0, post("/content/search", "1")), miss("a"));
    assert_eq!(ask(stand, 0, post("/content/search", "2")), miss("b"));
    for worker in [0, 1] {
        assert_eq!(ask(stand, worker, post("/content/search", "1")), hit("a"));
        assert_eq!(ask(stand, worker, post("/content/search", "2")), hit("b"));
        assert_eq!(ask(stand, worker, Request::get("/content/search")), hit("page"), "nothing is changed");
    }
    // RFC 9110 §9.3.3: explicit freshness, or the operator's.
    let modified = Reply::ok("found").field("last-modified", "Wed, 31 Dec 2014 14:00:00 GMT");
    for (path, stored) in [("/content/search", false), ("/content/ttl", true)] {
        stand.origin(path, vec![modified.clone()]);
        ask(stand, 0, post(path, "3"));
        assert_eq!(ask(stand, 1, post(path, "3")), (stored, "found".into()), "{path}");
    }
    stand.origin("/content/post", pages(&["1", "2"]));
    assert_eq!(ask(stand, 0, post("/content/post", "q")), miss("1"));
    assert_eq!(ask(stand, 1, post("/content/post", "q")), miss("2"), "no rule says that it only asks");
}
