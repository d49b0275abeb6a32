//! Conditional requests, from the client and to the origin (RFC 9110 §13, RFC 9111 §4.3).

use std::time::Duration;

use super::telling::{TABLE, date, expect_hit, expect_miss, get, page, stale_page};
use crate::stand::{Reply, Request, Stand};

/// No way for fetches of Larder's own but those that were learned.
const NONE: &str = r#"{"collapse": {"cluster": null}}"#;

pub fn a_client_that_has_the_response_gets_304_from_the_cache(stand: &mut dyn Stand) {
    let (modified, earlier) = (date(stand, -1000), date(stand, -2000));
    let reply = page("page").field("etag", "\"v1\"").field("last-modified", &modified);
    stand.origin("/valid/client", vec![reply.field("content-type", "text/css").field("vary", "x-none")]);
    get(stand, 0, "/valid/client");
    let cases: [(&[(&str, &str)], u16); 10] = [
        (&[("if-none-match", "\"v1\"")], 304),
        (&[("if-none-match", "v1")], 304),
        (&[("if-none-match", "W/\"v1\"")], 304),
        (&[("if-none-match", "\"v0\", \"v1\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"v2\"")], 200),
        (&[("if-modified-since", &modified)], 304),
        (&[("if-modified-since", &earlier)], 200),
        (&[("if-none-match", "\"v2\""), ("if-modified-since", &modified)], 200),
        (&[("if-modified-since", "yesterday")], 200),
    ];
    for (fields, status) in cases {
        for worker in [0, 1] {
            let request = fields.iter().fold(Request::get("/valid/client"), |r, (n, v)| r.field(n, v));
            let response = stand.send(worker, request);
            assert_eq!((response.status, response.is_hit()), (status, true), "{fields:?}");
            assert_eq!(response.field("etag"), "\"v1\"");
            assert_eq!(
                (response.field("vary").as_str(), response.field("cache-control").as_str()),
                ("x-none", "max-age=600")
            );
            assert_eq!(response.all("age").len(), 1);
            if status == 304 {
                assert_eq!((response.body.len(), response.all("content-type")), (0, vec![]), "{fields:?}");
            }
        }
    }
    assert_eq!(stand.origin_count("/valid/client"), 1);
}

pub fn a_clients_condition_does_not_reach_the_origin_when_the_response_is_for_all(stand: &mut dyn Stand) {
    stand.origin("/valid/miss", vec![page("page").field("etag", "\"v1\"")]);
    let response = stand.send(0, Request::get("/valid/miss").field("if-none-match", "\"old\""));
    assert_eq!((response.status, response.text().as_str()), (200, "page"));
    assert_eq!(stand.origin_log()[0].field("if-none-match"), "");
    expect_hit(stand, 1, "/valid/miss", "page");
}

pub fn a_stale_response_is_validated_with_all_it_has(stand: &mut dyn Stand) {
    let modified = date(stand, -5000);
    let old = stale_page("page", "").field("last-modified", &modified).field("x-version", "1");
    let confirmed = Reply::status(304).field("etag", "\"old\"").field("cache-control", "max-age=600");
    stand.origin("/valid/stale", vec![old, confirmed.field("x-version", "2")]);
    expect_miss(stand, 0, "/valid/stale", "page");
    let validated = expect_miss(stand, 1, "/valid/stale", "page");
    assert_eq!(validated.field("cache-status"), "larder; fwd=stale; fwd-status=304; stored");
    assert_eq!(validated.field("x-version"), "2");
    let asked = stand.origin_log().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), "\"old\"");
    assert_eq!(asked.field("if-modified-since"), modified);
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/valid/stale", "page");
        assert_eq!(
            (hit.field("x-version").as_str(), hit.field("cache-control").as_str()),
            ("2", "max-age=600")
        );
        assert!(hit.field("age").parse::<u64>().unwrap() < 5);
    }
    assert_eq!(stand.origin_count("/valid/stale"), 2);
}

pub fn a_changed_response_replaces_the_stale_one(stand: &mut dyn Stand) {
    stand.origin("/valid/changed", vec![stale_page("old", ""), page("new")]);
    get(stand, 0, "/valid/changed");
    expect_miss(stand, 1, "/valid/changed", "new");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/valid/changed", "new");
    }
    assert_eq!(stand.origin_count("/valid/changed"), 2);
}

pub fn a_clients_own_condition_is_answered_after_the_validation(stand: &mut dyn Stand) {
    let confirmed = Reply::status(304).field("cache-control", "max-age=600");
    stand.origin("/valid/both", vec![stale_page("page", ""), confirmed]);
    get(stand, 0, "/valid/both");
    let response = stand.send(1, Request::get("/valid/both").field("if-none-match", "\"old\""));
    assert_eq!((response.status, response.body.len()), (304, 0));
    expect_hit(stand, 0, "/valid/both", "page");
    stand.origin(
        "/valid/other",
        vec![stale_page("page", ""), Reply::status(304).field("cache-control", "max-age=600")],
    );
    get(stand, 0, "/valid/other");
    // The client has something else than what is confirmed: it gets the stored response, not the origin's 304.
    let response = stand.send(1, Request::get("/valid/other").field("if-none-match", "\"older\""));
    assert_eq!((response.status, response.text().as_str()), (200, "page"));
}

pub fn no_cache_responses_are_validated_each_time(stand: &mut dyn Stand) {
    let reply = Reply::ok("page").field("cache-control", "no-cache, max-age=60").field("etag", "\"v\"");
    let confirmed =
        || Reply::status(304).field("etag", "\"v\"").field("cache-control", "no-cache, max-age=60");
    stand.origin("/valid/no-cache", vec![reply, confirmed()]);
    get(stand, 0, "/valid/no-cache");
    for (worker, count) in [(0, 2), (1, 3)] {
        // For a second after that it is not even waited for.
        stand.pass(Duration::from_millis(1100));
        let response = expect_miss(stand, worker, "/valid/no-cache", "page");
        assert_eq!(response.field("cache-status"), "larder; fwd=stale; fwd-status=304; stored");
        assert_eq!(stand.origin_count("/valid/no-cache"), count);
    }
}

pub fn a_304_about_something_else_confirms_nothing(stand: &mut dyn Stand) {
    let other = || Reply::status(304).field("etag", "\"another\"").field("cache-control", "max-age=600");
    // With credentials it is the client's own request that is answered so.
    for (way, configuration) in
        [("table", format!("{{{}}}", TABLE.trim_end_matches(','))), ("none", NONE.to_owned())]
    {
        stand.configure(&configuration).unwrap();
        for (who, field) in [("anybody", ("x-nobody", "1")), ("somebody", ("cookie", "me=1"))] {
            let path = format!("/valid/wrong-{way}-{who}");
            let ask = || Request::get(&path).field(field.0, field.1);
            stand.origin(&path, vec![stale_page("old", ", must-revalidate"), other(), page("new")]);
            stand.send(0, ask());
            let answer = stand.send(1, ask());
            let status = answer.field("cache-status");
            assert_eq!((answer.status, answer.text().as_str()), (200, "new"), "{way} {who}: {status}");
            let asked = stand.origin_log();
            let last = asked.last().unwrap();
            assert_eq!(last.field("if-none-match"), "", "{way} {who}: without our conditions");
            assert_eq!(
                last.field("cookie"),
                ask().fields.iter().find(|(n, _)| n == "cookie").map_or("", |_| "me=1")
            );
            assert_eq!(get(stand, 0, &path).text(), "new", "{way} {who}");
        }
    }
}

pub fn a_304_with_another_etag_is_a_502_without_a_way_to_retry(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"cluster": "nowhere"}}"#).unwrap();
    let other = Reply::status(304).field("etag", "\"another\"");
    stand.origin("/valid/stuck", vec![stale_page("old", ""), other, page("new")]);
    get(stand, 0, "/valid/stuck");
    let answer = stand.send(1, Request::get("/valid/stuck").field("cookie", "me=1"));
    let status = answer.field("cache-status");
    assert_eq!((answer.status, answer.text().as_str()), (502, ""), "{status}");
    assert_eq!(status, "larder; fwd=stale; fwd-status=304; detail=status");
    assert_eq!(stand.details("/valid/stuck"), ["larder_not_confirmed", "via_upstream"]);
    expect_miss(stand, 0, "/valid/stuck", "new");
}
