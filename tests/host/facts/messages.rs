//! What header sections look like on their way through Envoy (envoy-facts §13), and the signals of a message's end (envoy-facts §6).

use super::{seen, world};
use crate::stand::{Ending, Reply, Request};

#[test]
fn a_request_goes_to_the_origin_and_back() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("hello").field("ETag", "x")]);
    let response = world.send(0, Request::get("/a?q=1"));
    assert_eq!((response.status, response.text(), response.complete), (200, "hello".into(), true));
    assert_eq!(response.field("content-length"), "5");
    assert_eq!(response.field("server"), "envoy");
    assert_eq!(response.field("date"), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(response.field("x-envoy-upstream-service-time"), "0");
    assert_eq!(world.origin_log()[0].target, "/a?q=1");
}

#[test]
fn the_origin_sees_what_the_connection_manager_makes_of_a_request() {
    let mut world = world("{}");
    let request = Request::get("/a/./b/../")
        .field("Accept-Encoding", "gzip")
        .field("accept-encoding", "br")
        .field("Cookie", "a=1")
        .field("cookie", "b=2")
        .field("X-Custom", b"\xff")
        .field("Connection", "x-hop, keep-alive")
        .field("X-Hop", "1")
        .field("TE", "trailers, gzip")
        .field("x-request-id", "mine")
        .field("x-envoy-retry-on", "5xx");
    world.send(0, request);
    let got = &world.origin_log()[0];
    let all = |name: &str| {
        got.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_slice()).collect::<Vec<_>>()
    };
    assert_eq!(got.target, "/a/");
    assert_eq!(all("accept-encoding"), [b"gzip,br"], "inline fields are joined without a space");
    assert_eq!(all("cookie"), [b"a=1", b"b=2"]);
    assert_eq!(all("x-custom"), [b"\xff"]);
    assert_eq!(all("te"), [b"trailers"]);
    assert_eq!(all("host"), [b"shop.example"]);
    assert_eq!(all("x-forwarded-proto"), [b"http"]);
    assert_eq!(all("x-request-id").len(), 1);
    assert_ne!(all("x-request-id"), [b"mine"]);
    for gone in ["connection", "x-hop", "x-envoy-retry-on"] {
        assert!(all(gone).is_empty(), "{gone}");
    }
}

#[test]
fn targets_and_hosts_are_taken_as_envoy_takes_them() {
    let cases: [(Request, u16, &str, &str); 8] = [
        (Request::get("http://other.example/x?y"), 404, "other.example", "/x?y"),
        (Request::get("http://other.example"), 404, "other.example", "/"),
        (Request::get("/x").host(""), 404, "", "/x"),
        (Request::get("/x").field("host", "b"), 404, "shop.example,b", "/x"),
        (Request::new("OPTIONS", "*"), 404, "", ""),
        (Request::get("/a%2Fb"), 307, "", ""),
        (Request::get("/a//b/%7E"), 404, "shop.example", "/a/b/~"),
        (Request::get("relative"), 400, "", ""),
    ];
    for (request, status, host, target) in cases {
        let mut world = world("{}");
        assert_eq!(world.send(0, request.clone()).status, status, "{request:?}");
        let log = world.origin_log();
        let got = log.first().map(|r| (r.field("host"), r.target.clone())).unwrap_or_default();
        assert_eq!(got, (host.to_owned(), target.to_owned()), "{request:?}");
    }
}

#[test]
fn a_request_that_is_refused_before_the_filters_is_only_logged() {
    let mut world = world("{}");
    for request in [
        Request::get("relative"),
        Request::get("/").field("big", vec![b'x'; 70_000]),
        Request::get("/").field("connection", "upgrade").field("upgrade", "other"),
    ] {
        world.send(0, request);
    }
    let text = String::from_utf8(world.shared("seen").unwrap()).unwrap();
    assert!(!text.contains("request headers") && !text.contains("response headers"), "{text}");
    assert_eq!(text.lines().filter(|l| l.contains("log")).count(), 3);
    assert!(world.origin_log().is_empty());
}

#[test]
fn an_upgraded_connection_passes() {
    let mut world = world("{}");
    let reply = Reply::status(101).field("connection", "upgrade").field("upgrade", "websocket");
    world.origin("/socket", vec![reply.body("through the tunnel")]);
    let request = Request::get("/socket").field("connection", "upgrade").field("upgrade", "websocket");
    let response = world.send(0, request);
    assert_eq!((response.status, response.text()), (101, "through the tunnel".into()));
    assert_eq!(seen(&world, "/socket")[0], "request headers false");
}

#[test]
fn the_end_of_a_response_shows_in_one_of_three_ways() {
    let trailers = Ending::Trailers(vec![("x-sum".into(), b"1".to_vec())]);
    let cases = [
        ("GET", Reply::ok(""), vec!["response headers true via_upstream"]),
        ("HEAD", Reply::ok("body"), vec!["response headers true via_upstream"]),
        ("GET", Reply::status(204), vec!["response headers true via_upstream"]),
        ("GET", Reply::status(304), vec!["response headers true via_upstream"]),
        (
            "GET",
            Reply::ok("body"),
            vec!["response headers false via_upstream", "response body 4 false", "response body 0 true"],
        ),
        (
            "GET",
            Reply::ok("body").ending(trailers),
            vec!["response headers false via_upstream", "response body 4 false", "response trailers 1"],
        ),
    ];
    for (method, reply, expected) in cases {
        let mut world = world("{}");
        world.origin("/a", vec![reply.clone()]);
        let response = world.send(0, Request::new(method, "/a"));
        assert!(response.complete);
        let got: Vec<_> =
            seen(&world, "/a").into_iter().filter(|line| line.starts_with("response")).collect();
        assert_eq!(got, expected, "{method} {reply:?}");
    }
}

#[test]
fn a_head_response_keeps_its_content_length() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("body")]);
    let response = world.send(0, Request::new("HEAD", "/a"));
    assert_eq!((response.field("content-length"), response.body.len()), ("4".into(), 0));
}

#[test]
fn long_bodies_come_in_parts_and_only_the_new_part_is_shown() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok(vec![b'x'; 40_000])]);
    let request = Request::new("POST", "/a").body(vec![b'y'; 20_000]);
    let response = world.send(1, request);
    assert_eq!(response.body.len(), 40_000);
    assert_eq!(world.origin_log()[0].body.len(), 20_000);
    let bodies: Vec<_> = seen(&world, "/a").into_iter().filter(|line| line.contains(" body ")).collect();
    assert_eq!(
        bodies,
        [
            "request body 16384 false",
            "request body 3616 false",
            "request body 0 true",
            "response body 16384 false",
            "response body 16384 false",
            "response body 7232 false",
            "response body 0 true",
        ]
    );
}

#[test]
fn pausing_in_the_body_adds_parts_up() {
    let mut world = world("{}");
    world.origin("/hold-response", vec![Reply::ok(vec![b'x'; 40_000])]);
    let response = world.send(1, Request::get("/hold-response"));
    assert_eq!(response.body.len(), 40_000);
    assert!(seen(&world, "/hold-response").contains(&"response body 40000 true".to_owned()));
    world.send(1, Request::new("POST", "/hold-body").body(vec![b'y'; 20_000]));
    assert_eq!(world.origin_log()[1].body.len(), 20_000);
}

#[test]
fn pausing_past_the_buffer_limit_breaks_the_exchange() {
    let mut world = world("{}");
    world.settings(|s| s.buffer_bytes_max = 30_000);
    world.origin("/hold-response", vec![Reply::ok(vec![b'x'; 40_000])]);
    let response = world.send(0, Request::get("/hold-response"));
    assert_eq!((response.status, response.body.len(), response.complete), (200, 0, false));
    let response = world.send(0, Request::new("POST", "/hold-body").body(vec![b'y'; 40_000]));
    assert_eq!(response.status, 413);
}

#[test]
fn the_request_map_is_there_in_its_own_phase_and_in_the_log_with_what_the_router_made_of_it() {
    let mut world = world("{}");
    world.settings(|s| s.route.prefix_rewrite = Some(("/shop".into(), "/real".into())));
    world.origin("/real/a", vec![Reply::ok("x")]);
    world.send(0, Request::get("/shop/a"));
    let lines = seen(&world, "/shop/a");
    assert!(lines.contains(&"request map 0".to_owned()), "{lines:?}");
    assert!(lines.contains(&"log via_upstream /real/a".to_owned()), "{lines:?}");
}
