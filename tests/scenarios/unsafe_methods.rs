//! POST and its like: they pass, and what they change is asked for again (RFC 9111 §4.4).

use super::telling::{expect_hit, expect_miss, get, page, pages};
use crate::stand::{Reply, Request, Stand};

pub fn a_post_reaches_the_origin_with_its_body_each_time(stand: &mut dyn Stand) {
    stand.origin("/unsafe/post", vec![page("done")]);
    let body = vec![b'p'; 100_000];
    for worker in [0, 1] {
        let response = stand.send(worker, Request::new("POST", "/unsafe/post").body(&body));
        assert_eq!((response.status, response.text().as_str()), (200, "done"));
        assert_eq!(response.field("cache-status"), "larder; fwd=method");
        assert!(stand.origin_log().pop().unwrap().body == body);
    }
    let trailing = Request::new("POST", "/unsafe/post").body("abc").trailer("x-sum", "1");
    assert_eq!(stand.send(0, trailing).text(), "done");
    assert_eq!(stand.origin_log().pop().unwrap().body, b"abc");
    assert_eq!(stand.origin_count("/unsafe/post"), 3);
}

pub fn a_successful_unsafe_request_makes_the_stored_response_be_validated(stand: &mut dyn Stand) {
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROBNICATE"] {
        let path = format!("/unsafe/{method}");
        stand.origin(&path, vec![page("old").field("etag", "\"v\""), Reply::status(204), page("new")]);
        for worker in [0, 1] {
            get(stand, worker, &path);
        }
        stand.send(0, Request::new(method, &path).body("x"));
        let response = expect_miss(stand, 1, &path, "new");
        assert_eq!(response.field("cache-status"), "larder; fwd=stale; stored; detail=invalidated");
        assert_eq!(stand.origin_log().pop().unwrap().field("if-none-match"), "\"v\"");
        expect_hit(stand, 0, &path, "new");
    }
}

pub fn a_failed_or_safe_request_changes_nothing(stand: &mut dyn Stand) {
    for (n, (method, status)) in
        [("POST", 400), ("POST", 500), ("DELETE", 404), ("OPTIONS", 200)].into_iter().enumerate()
    {
        let path = format!("/unsafe/nothing-{n}");
        stand.origin(&path, vec![page("old"), Reply::status(status), page("new")]);
        get(stand, 0, &path);
        assert_eq!(stand.send(1, Request::new(method, &path)).status, status);
        expect_hit(stand, 0, &path, "old");
    }
}

pub fn location_on_the_same_origin_is_invalidated_too(stand: &mut dyn Stand) {
    for path in ["/unsafe/list", "/unsafe/item", "/unsafe/elsewhere"] {
        stand.origin(path, pages(&["old", "new"]));
        get(stand, 0, path);
    }
    let created = Reply::status(201)
        .field("location", "/unsafe/item")
        .field("content-location", "http://other.example/unsafe/elsewhere");
    stand.origin("/unsafe/create", vec![created]);
    stand.origin("/unsafe/elsewhere", pages(&["old", "new"]));
    stand.send(0, Request::get("/unsafe/elsewhere").host("other.example"));
    stand.send(1, Request::new("POST", "/unsafe/create"));
    expect_miss(stand, 0, "/unsafe/item", "new");
    expect_hit(stand, 0, "/unsafe/list", "old");
    expect_hit(stand, 0, "/unsafe/elsewhere", "old");
    let other = stand.send(1, Request::get("/unsafe/elsewhere").host("other.example"));
    assert!(other.is_hit(), "another origin's responses are not ours to invalidate");
}
