//! The emulated host and the real Envoy, both without a filter, make the same of the same messages.

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use crate::host::{World, larder};
use crate::stand::{Ending, OriginRequest, Reply, Request, Response, Stand};

/// What origin and client saw, without what differs each time.
#[derive(PartialEq, Debug)]
struct Seen {
    origin: Vec<String>,
    client: Vec<String>,
}

#[test]
fn the_emulated_host_makes_of_messages_what_envoy_makes_of_them() {
    let mut real = RealEnvoy::start_with(&Setup { without_filter: true, ..Setup::default() });
    let mut emulated = World::with(larder, 0, 2);
    let mut differences = Vec::new();
    for (n, (request, reply)) in cases().into_iter().enumerate() {
        let path = request.target.split(['?', '#']).next().unwrap_or_default().to_owned();
        real.origin(&path, vec![reply.clone()]);
        emulated.origin(&path, vec![reply.clone()]);
        let before = (real.origin_log().len(), emulated.origin_log().len());
        let response = (real.send(0, request.clone()), emulated.send(0, request.clone()));
        let log = (real.origin_log().split_off(before.0), emulated.origin_log().split_off(before.1));
        let (real, emulated) = (seen(log.0, response.0), seen(log.1, response.1));
        if real != emulated {
            differences.push(format!("{n}: {}", difference(&request, &reply, &real, &emulated)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// The lines that only one of the two has.
fn difference(request: &Request, reply: &Reply, real: &Seen, emulated: &Seen) -> String {
    let only = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|line| !b.contains(line))
            .map(|line| line.chars().take(200).collect::<String>())
            .collect::<Vec<_>>()
    };
    let short: String = format!("{request:?} {reply:?}").chars().take(400).collect();
    format!(
        "{short}\n  to the origin: Envoy {:?}, emulated {:?}\n  to the client: Envoy {:?}, emulated {:?}",
        only(&real.origin, &emulated.origin),
        only(&emulated.origin, &real.origin),
        only(&real.client, &emulated.client),
        only(&emulated.client, &real.client)
    )
}

fn seen(log: Vec<OriginRequest>, response: Response) -> Seen {
    let origin = log.into_iter().flat_map(|r| {
        let first = format!("{} {} {}", r.method, r.target, r.body.len());
        [vec![first], readable(&r.fields)].concat()
    });
    let first = format!("{} {} {}", response.status, response.body.escape_ascii(), response.complete);
    let client = [vec![first], readable(&response.fields)].concat();
    Seen { origin: origin.collect(), client }
}

fn readable(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| match name.as_str() {
            // The address of the machine stands for a loopback client.
            "x-forwarded-for" => format!("{name} of {}", value.split(|b| *b == b',').count()),
            "x-request-id" if value != b"mine" => name.clone(),
            "date" | "x-envoy-upstream-service-time" => name.clone(),
            _ => format!("{name}: {}", value.escape_ascii()),
        })
        .collect();
    lines.sort();
    lines
}

fn cases() -> Vec<(Request, Reply)> {
    let get = || Request::get("/a?q=1");
    let ok = || Reply::ok("body");
    let twice = |name: &str| get().field(name, "a").field(name, "b");
    let trailers = Ending::Trailers(vec![("x-sum".into(), b"1".to_vec())]);
    let mut cases = vec![
        (get(), ok()),
        (Request::new("HEAD", "/a"), ok()),
        (Request::new("HEAD", "/a"), Reply::status(304).field("etag", "x")),
        (Request::new("POST", "/a").body("sent"), ok()),
        (Request::new("DELETE", "/a"), Reply::status(204)),
        (Request::new("OPTIONS", "/a"), ok()),
        (get(), Reply::status(304).field("etag", "\"x\"")),
        (get(), Reply::ok("")),
        (get(), Reply::status(404)),
        (get(), ok().ending(trailers)),
        (get(), ok().ending(Ending::Trailers(Vec::new()))),
        (get(), ok().ending(Ending::NoResponse)),
        (get(), ok().ending(Ending::ResetAfter(2))),
        (get(), ok().field("content-length", "9")),
        (get(), ok().field("date", "Thu, 01 Jan 2026 00:00:00 GMT").field("server", "origin")),
        (
            get(),
            ok().field("connection", "x-hop, keep-alive")
                .field("x-hop", "1")
                .field("keep-alive", "timeout=5"),
        ),
        (get().field("x-forwarded-client-cert", "Hash=1"), ok()),
        (get(), ok().field("connection", "close")),
        (get(), ok().field("set-cookie", "a=1").field("set-cookie", "b=2")),
        (get(), ok().field("via", "1.1 a").field("via", "1.1 b").field("age", "7")),
        (get(), ok().field("x-envoy-attempt-count", "1").field("x-raw", b"\xff")),
        (get().field("connection", "x-hop").field("x-hop", "1"), ok()),
        (get().field("connection", "close"), ok()),
        (get().field("te", "trailers, gzip"), ok()),
        (get().field("te", "gzip"), ok()),
        (get().field("keep-alive", "timeout=5").field("proxy-connection", "keep-alive"), ok()),
        (get().field("x-forwarded-for", "1.2.3.4").field("x-forwarded-proto", "https"), ok()),
        (get().field("x-request-id", "mine"), ok()),
        (get().field("x-envoy-retry-on", "5xx").field("x-envoy-anything", "1"), ok()),
        (get().field("x-raw", b"\xff").field("x-empty", ""), ok()),
        (get().field("x-space", "  a  b  "), ok()),
        (get().host("SHOP.example:80"), ok()),
        (get().host(""), ok()),
        (get().host("user@shop.example"), ok()),
        (get().host("a b"), ok()),
        (get().host("shop.example/a"), ok()),
        (get().field("host", "other.example"), ok()),
        (get().field("connection", "upgrade").field("upgrade", "websocket"), Reply::status(403).body("no")),
        (
            get().field("connection", "upgrade").field("upgrade", "websocket"),
            Reply::status(101).field("connection", "upgrade").field("upgrade", "websocket").body("tunnel"),
        ),
        (get().field("connection", "upgrade").field("upgrade", "other"), ok()),
        (
            get()
                .field("connection", "upgrade, http2-settings")
                .field("upgrade", "h2c")
                .field("http2-settings", "x"),
            ok(),
        ),
        (get().field("upgrade", "websocket"), ok()),
        (Request::get("/a%5cb%2f%2e?c=%2f"), ok()),
        (Request::get("/a%00b"), ok()),
        (Request::get("/a%zzb%f"), ok()),
        (Request::get("/a/."), ok()),
        (Request::get("/../.."), ok()),
        (Request::get("//"), ok()),
        (Request::get("/a/b/../..//"), ok()),
        (Request::get("/A%41%c3%A9"), ok()),
        (Request::get("/a?%7e#"), ok()),
        (Request::get("/[a]{b}|^`\"<>"), ok()),
        (Request::get("/a;b=c,d:e@f!$&'()*+"), ok()),
        (Request::new("PURGE", "/a"), ok()),
        (Request::new("TRACE", "/a"), ok()),
        (Request::new("POST", "/a"), ok()),
        (Request::new("PUT", "/a").body(vec![b'x'; 40_000]), ok().body(vec![b'y'; 100_000])),
        (Request::get("/a?q#fragment"), ok()),
        (Request::get("/a/../b//c/./d"), ok()),
        (Request::get("/a/%2e%2e/b"), ok()),
        (Request::get("/a%2Fb"), ok()),
        (Request::get("/a\\b"), ok()),
        (Request::get("/a%7Eb%20c"), ok()),
        (Request::get("/a?x=//y/../z"), ok()),
        (Request::get("/"), ok()),
        (Request::get("http://other.example/x"), ok()),
        (Request::get("http://other.example"), ok()),
        (Request::get("https://other.example/x"), ok()),
        (Request::new("OPTIONS", "*"), ok()),
        (Request::get("relative"), ok()),
        (get().field("x-big", vec![b'x'; 61_000]), ok()),
        ((0..97).fold(get(), |r, n| r.field(&format!("x-{n}"), "v")), ok()),
        ((0..101).fold(get(), |r, n| r.field(&format!("x-{n}"), "v")), ok()),
        (get().field("content-type", "application/grpc"), ok().ending(Ending::NoResponse)),
    ];
    let names = "accept accept-encoding accept-language authorization access-control-request-headers access-control-request-method cache-control \
        cdn-loop content-encoding content-language content-type cookie dnt expires forwarded grpc-timeout \
        if-match if-modified-since if-none-match if-range if-unmodified-since origin pragma range referer \
        sec-fetch-mode traceparent tracestate upgrade-insecure-requests user-agent via x-forwarded-for x-forwarded-host x-forwarded-proto x-custom \
        x-http-method-override x-real-ip surrogate-capability";
    cases.extend(names.split_whitespace().map(|name| (twice(name), ok())));
    let names = "accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods \
        access-control-allow-origin access-control-expose-headers access-control-max-age accept-encoding authorization age allow cache-control cache-status cache-tag \
        content-encoding content-language content-location content-type date etag expires grpc-message grpc-status last-modified link \
        location pragma retry-after server surrogate-control surrogate-key vary via warning www-authenticate x-custom";
    cases.extend(names.split_whitespace().map(|name| (get(), ok().field(name, "a").field(name, "b"))));
    cases
}
