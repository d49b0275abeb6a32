//! Parts of stored responses (RFC 9110 §14).

use super::telling::{expect_miss, get, page};
use crate::stand::{Ending, Reply, Request, Stand};

const BODY: &str = "0123456789";

pub fn a_stored_response_answers_for_its_parts(stand: &mut dyn Stand) {
    stand.origin("/range/parts", vec![page(BODY).field("content-type", "text/css")]);
    get(stand, 0, "/range/parts");
    let cases = [
        ("bytes=0-0", 206, "0", "bytes 0-0/10"),
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=5-99", 206, "56789", "bytes 5-9/10"),
        ("bytes=0-1,2-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
        ("bytes=0-1,8-9", 200, BODY, ""),
        ("bytes=4-2", 200, BODY, ""),
        ("lines=1-2", 200, BODY, ""),
    ];
    for (range, status, body, content_range) in cases {
        for worker in [0, 1] {
            let response = stand.send(worker, Request::get("/range/parts").field("range", range));
            let seen = (response.status, response.text(), response.field("content-range"));
            assert_eq!(seen, (status, body.to_string(), content_range.to_string()), "{range}");
            assert!(response.is_hit() && response.complete, "{range}");
            assert_eq!(response.field("content-length"), body.len().to_string(), "{range}");
            if status == 206 {
                assert_eq!(response.field("content-type"), "text/css");
            }
        }
    }
    assert_eq!(stand.origin_count("/range/parts"), 1);
}

pub fn a_part_is_sent_only_while_the_client_has_the_same_response(stand: &mut dyn Stand) {
    stand.origin("/range/if", vec![page(BODY).field("etag", "\"v1\"")]);
    stand.origin("/range/if-weak", vec![page(BODY).field("etag", "W/\"v1\"")]);
    for (path, if_range, status) in [
        ("/range/if", "\"v1\"", 206),
        ("/range/if", "\"v0\"", 200),
        ("/range/if-weak", "W/\"v1\"", 200),
        ("/range/if", "yesterday", 200),
    ] {
        get(stand, 0, path);
        let request = Request::get(path).field("range", "bytes=1-2").field("if-range", if_range);
        assert_eq!(stand.send(1, request).status, status, "{if_range}");
    }
}

pub fn a_range_miss_is_fetched_and_stored_as_a_part(stand: &mut dyn Stand) {
    let part = Reply::status(206)
        .body("234")
        .field("content-range", "bytes 2-4/10")
        .field("cache-control", "max-age=60");
    stand.origin("/range/miss", vec![part, page(BODY)]);
    let response = stand.send(0, Request::get("/range/miss").field("range", "bytes=2-4"));
    assert_eq!((response.status, response.text().as_str(), response.is_hit()), (206, "234", false));
    assert_eq!(stand.origin_log()[0].field("range"), "bytes=2-4");
    expect_miss(stand, 1, "/range/miss", BODY);
    let response = stand.send(0, Request::get("/range/miss").field("range", "bytes=2-4"));
    assert_eq!((response.status, response.text().as_str(), response.is_hit()), (206, "234", true));
}

pub fn a_large_response_answers_for_its_parts(stand: &mut dyn Stand) {
    let body: Vec<u8> = (0..700_000u32).map(|n| (n >> 8) as u8 ^ n as u8).collect();
    stand.origin("/range/large", vec![page(&body)]);
    get(stand, 0, "/range/large");
    for (first, last) in [(0, 9), (131_000, 131_200), (262_000, 600_000), (699_999, 699_999)] {
        let response =
            stand.send(1, Request::get("/range/large").field("range", format!("bytes={first}-{last}")));
        assert_eq!((response.status, response.is_hit()), (206, true));
        assert!(response.body == body[first..=last], "{first}-{last}");
    }
}

pub fn a_part_is_stored_served_and_completed_by_its_other_part(stand: &mut dyn Stand) {
    let path = "/ranges/part";
    let part = |body: &str, range: &str| {
        let reply = Reply::status(206).body(body).field("content-range", range).field("etag", "\"v\"");
        reply.field("cache-control", "max-age=600")
    };
    stand.origin(path, vec![part("01234", "bytes 0-4/10"), part("56789", "bytes 5-9/10")]);
    let get = |stand: &mut dyn Stand, worker, range: &str| {
        let response = stand.send(worker, Request::get(path).field("range", format!("bytes={range}")));
        (response.status, response.text(), response.is_hit())
    };
    assert_eq!(get(stand, 0, "0-4"), (206, "01234".into(), false));
    assert_eq!(get(stand, 1, "1-3"), (206, "123".into(), true));
    assert_eq!(get(stand, 0, "5-9"), (206, "56789".into(), false));
    assert_eq!(get(stand, 1, "3-6"), (206, "3456".into(), true));
    let whole = stand.send(0, Request::get(path));
    assert_eq!((whole.status, whole.text(), whole.is_hit()), (200, "0123456789".into(), true));
    assert_eq!(stand.origin_count(path), 2);
}

pub fn the_missing_rest_of_a_part_is_fetched_for_a_full_request(stand: &mut dyn Stand) {
    let part = |body: &str, range: &str, etag: &str| {
        let reply = Reply::status(206).body(body).field("content-range", range).field("etag", etag);
        reply.field("cache-control", "max-age=600")
    };
    let rest = || part("56789", "bytes 5-9/10", "\"v\"");
    let cases = [
        ("fits", vec![rest()], BODY, 2),
        ("changed", vec![page("another").field("etag", "\"w\"")], "another", 2),
        // An origin that knows no If-Range: what it sends is not taken for the rest.
        ("other", vec![part("fghij", "bytes 5-9/10", "\"w\""), page("abcdefghij")], "abcdefghij", 3),
        ("gap", vec![part("6789", "bytes 6-9/10", "\"v\""), page(BODY)], BODY, 3),
        ("shrunk", vec![Reply::status(416).field("content-range", "bytes */5"), page("01234")], "01234", 3),
    ];
    for (name, replies, whole, count) in cases {
        let path = format!("/range/rest-{name}");
        let first = [part("01234", "bytes 0-4/10", "\"v\"")];
        stand.origin(&path, first.into_iter().chain(replies).collect());
        let ranged = stand.send(0, Request::get(&path).field("range", "bytes=0-4"));
        assert_eq!(ranged.status, 206);
        let response = get(stand, 0, &path);
        assert_eq!((response.status, response.text().as_str()), (200, whole), "{name}");
        let asked = stand.origin_log().into_iter().filter(|request| request.target == path).nth(1).unwrap();
        assert_eq!((asked.field("range").as_str(), asked.field("if-range").as_str()), ("bytes=5-", "\"v\""));
        for worker in [0, 1] {
            let hit = get(stand, worker, &path);
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, whole), "{name}");
        }
        assert_eq!(stand.origin_count(&path), count, "{name}");
        if name == "fits" {
            assert_eq!(response.field("cache-status"), "larder; fwd=partial; fwd-status=206; stored");
        }
    }
}

pub fn a_whole_that_comes_instead_of_a_part_is_stored(stand: &mut dyn Stand) {
    let body = "0123456789";
    let cases = [
        ("plain", page(body), "larder; fwd=uri-miss; stored"),
        ("varies", page(body).field("vary", "accept-encoding"), "larder; fwd=uri-miss; stored"),
        ("chunked", page(body).ending(Ending::Trailers(Vec::new())), "larder; fwd=uri-miss; detail=storing"),
    ];
    for (name, reply, status) in cases {
        let path = format!("/ranges/ignored-{name}");
        stand.origin(&path, vec![reply]);
        let stored = stand.metric("stored");
        let part = |range: &str| Request::get(&path).field("range", range).field("accept-encoding", "gzip");
        let first = stand.send(0, part("bytes=2-4"));
        assert_eq!((first.status, first.text().as_str()), (200, body), "{name}");
        assert_eq!(first.field("cache-status"), status, "{name}");
        let next = stand.send(1, part("bytes=0-2"));
        assert_eq!((next.status, next.text().as_str(), next.is_hit()), (206, "012", true), "{name}");
        let whole = stand.send(0, Request::get(&path).field("accept-encoding", "gzip"));
        assert_eq!((whole.status, whole.text().as_str(), whole.is_hit()), (200, body, true), "{name}");
        assert_eq!(stand.origin_count(&path), 1, "{name}");
        assert!(stand.metric("stored") > stored, "{name}");
    }
}

pub fn a_response_instead_of_a_part_reports_why_it_is_not_stored(stand: &mut dyn Stand) {
    let cases = [
        ("secret", page("x").field("cache-control", "no-store"), 200, "; detail=no-store"),
        ("large", page(vec![b'x'; (1 << 20) + 1]), 200, "; detail=too-large"),
        ("old", Reply::ok("x"), 200, "; detail=no-freshness"),
        ("gone", page("x").status_code(404), 404, "; stored"),
        ("failing", Reply::ok("x").status_code(500), 500, "; detail=error"),
    ];
    for (name, reply, status, detail) in cases {
        let path = format!("/ranges/not-{name}");
        stand.origin(&path, vec![reply]);
        let response = stand.send(0, Request::get(&path).field("range", "bytes=0-"));
        let seen = (response.status, response.field("cache-status"));
        assert_eq!(seen, (status, format!("larder; fwd=uri-miss{detail}")), "{name}");
        // What is stored answers who asks for it whole.
        assert_eq!(stand.send(1, Request::get(&path)).is_hit(), detail == "; stored", "{name}");
    }
}

/// What is read in parts, one after the other, as players and download tools do.
pub fn parts_are_combined_up_to_the_largest_that_is_stored(stand: &mut dyn Stand) {
    stand.configure(r#"{"store": {"object_bytes_max": 1000}}"#).unwrap();
    let path = "/ranges/growing";
    let part = |first: usize, last: usize| {
        let reply = Reply::status(206).body(vec![b'x'; last - first + 1]).field("etag", "\"v\"");
        reply
            .field("cache-control", "max-age=600")
            .field("content-range", format!("bytes {first}-{last}/4000"))
    };
    stand.origin(path, vec![part(0, 599), part(600, 999), part(1000, 1599), part(0, 99)]);
    let is_hit = |stand: &mut dyn Stand, range: &str| {
        let response = stand.send(0, Request::get(path).field("range", format!("bytes={range}")));
        assert_eq!(response.status, 206, "{range}");
        response.is_hit()
    };
    assert!(!is_hit(stand, "0-599") && !is_hit(stand, "600-999"));
    assert!(is_hit(stand, "500-700"), "both are one, of all that may be");
    assert!(!is_hit(stand, "1000-1599") && is_hit(stand, "1100-1200"));
    assert!(!is_hit(stand, "0-99"), "there is no place for all of them");
    assert_eq!(stand.origin_count(path), 4);
}

/// The rest of it is not fetched for nothing, before the client gets what it has asked for.
pub fn a_part_of_a_too_large_response_is_not_completed(stand: &mut dyn Stand) {
    let whole = vec![b'x'; 3 << 20];
    let part = |complete: &str| {
        let reply = Reply::status(206).body("x").field("content-range", format!("bytes 0-0/{complete}"));
        reply.field("etag", "\"v\"").field("cache-control", "max-age=600")
    };
    stand.origin("/ranges/iso", vec![part("3145728"), page(&whole).field("etag", "\"v\"")]);
    stand.origin("/ranges/unknown", vec![part("*"), page(BODY).field("etag", "\"v\"")]);
    let dispatched = stand.metric("dispatched");
    for path in ["/ranges/iso", "/ranges/unknown"] {
        let first = stand.send(0, Request::get(path).field("range", "bytes=0-0"));
        assert_eq!(
            (first.status, first.field("cache-status").as_str()),
            (206, "larder; fwd=uri-miss; stored")
        );
        assert!(stand.send(1, Request::get(path).field("range", "bytes=0-0")).is_hit());
    }
    for worker in [0, 1, 0] {
        let response = get(stand, worker, "/ranges/iso");
        assert_eq!(response.field("cache-status"), "larder; fwd=partial; detail=too-large");
        assert!(response.complete && response.body == whole);
    }
    let unknown = get(stand, 0, "/ranges/unknown");
    assert_eq!(
        (unknown.text().as_str(), unknown.field("cache-status").as_str()),
        (BODY, "larder; fwd=partial; stored")
    );
    assert!(get(stand, 1, "/ranges/unknown").is_hit());
    let asked = stand.origin_log().into_iter().filter(|request| request.target == "/ranges/iso").skip(1);
    assert!(asked.inspect(|request| assert_eq!(request.field("range"), "")).count() == 3);
    assert_eq!(stand.metric("dispatched"), dispatched);
}
