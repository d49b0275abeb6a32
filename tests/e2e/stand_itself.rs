//! The stand on an Envoy without Larder: what it tells about client and origin must be true before a cache is judged.

use std::time::{Duration, Instant};

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use crate::stand::{Ending, Reply, Request, Stand};

fn plain_envoy() -> RealEnvoy {
    RealEnvoy::start_with(&Setup { without_filter: true, ..Setup::default() })
}

#[test]
fn a_request_arrives_with_its_bytes_and_its_response_comes_back_whole() {
    let mut envoy = plain_envoy();
    envoy.origin("/a", vec![Reply::ok("one").field("x-raw", b"\xff\xfe"), Reply::status(404)]);
    let response = envoy.send(0, Request::new("POST", "/a?q=1").field("x-odd", b"caf\xe9").body("sent"));
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "one", true));
    assert!(response.fields.contains(&("x-raw".into(), b"\xff\xfe".to_vec())));
    assert_eq!(envoy.send(1, Request::new("HEAD", "/a")).status, 404);
    assert_eq!(envoy.send(1, Request::get("/unknown")).status, 404);
    let log = envoy.origin_log();
    assert_eq!(log.iter().map(|r| r.target.as_str()).collect::<Vec<_>>(), ["/a?q=1", "/a", "/unknown"]);
    assert_eq!(log[0].body, b"sent");
    assert!(log[0].fields.contains(&("x-odd".into(), b"caf\xe9".to_vec())));
    assert_eq!(log[0].field("host"), "shop.example");
    assert_eq!(envoy.origin_count("/a"), 2);
    envoy.check();
}

#[test]
fn a_request_is_served_by_the_worker_it_was_sent_to() {
    let mut envoy = plain_envoy();
    for worker in [0, 1, 1, 0] {
        let name = format!("listener.larder.worker_{worker}.downstream_cx_active");
        let exchange = envoy.start(worker, Request::get("/"));
        assert!(envoy.envoy().stat(&name) > 0);
        envoy.finish(exchange);
    }
}

#[test]
fn a_response_that_ends_early_is_not_complete() {
    let mut envoy = plain_envoy();
    envoy.origin("/reset", vec![Reply::ok("0123456789").ending(Ending::ResetAfter(4))]);
    envoy.origin("/short", vec![Reply::ok("0123").field("content-length", "10")]);
    envoy.origin("/none", vec![Reply::ok("").ending(Ending::NoResponse)]);
    for path in ["/reset", "/short"] {
        let response = envoy.send(0, Request::get(path));
        assert_eq!((response.status, response.complete), (200, false), "{path}");
    }
    assert_eq!(envoy.send(0, Request::get("/none")).status, 503);
    envoy.check();
}

#[test]
fn a_response_with_trailers_is_whole() {
    let mut envoy = plain_envoy();
    let trailers = vec![("x-sum".to_string(), b"1".to_vec())];
    envoy.origin("/t", vec![Reply::ok("body").ending(Ending::Trailers(trailers))]);
    let response = envoy.send(0, Request::get("/t"));
    assert_eq!((response.text().as_str(), response.complete), ("body", true));
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let mut envoy = plain_envoy();
    envoy.origin("/slow", vec![Reply::ok("late").delay(Duration::from_secs(6))]);
    let (stays, leaves) = (envoy.start(0, Request::get("/slow")), envoy.start(0, Request::get("/slow")));
    envoy.leave(leaves);
    assert_eq!(envoy.envoy().stat("http.larder.downstream_rq_active"), 1);
    assert_eq!(envoy.finish(stays).text(), "late");
    envoy.check();
}

#[test]
fn a_push_is_in_force_when_it_has_been_taken() {
    let mut envoy = plain_envoy();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(envoy.configure("{}"), Ok(()));
        assert_eq!(envoy.send(0, Request::get("/")).status, 404);
    }
    assert!(start.elapsed() < Duration::from_secs(120));
}

#[test]
fn scenarios_on_one_envoy_do_not_see_each_other() {
    let page =
        |text: &str| vec![Reply::ok(text).field("cache-control", "max-age=60").field("x-of", "shop.example")];
    for text in ["first", "second", "third"] {
        super::play(|envoy| {
            envoy.origin("/page", page(text));
            let first = envoy.send(0, Request::get("/page"));
            assert_eq!((first.text().as_str(), first.field("x-of").as_str()), (text, "shop.example"));
            assert!(envoy.send(1, Request::get("/page")).is_hit());
            assert_eq!((envoy.metric("stored"), envoy.metric("hits")), (1, 1));
            assert_eq!(envoy.origin_log()[0].field("host"), "shop.example");
            assert_eq!(envoy.origin_count("/page"), 1);
        });
    }
}
