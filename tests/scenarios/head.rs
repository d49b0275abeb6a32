//! HEAD, answered by stored GETs (RFC 9110 §9.3.2).

use std::time::Duration;

use super::telling::{expect_hit, expect_miss, get, page};
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
