//! The access log of `envoy/envoy.yaml`: each line tells what the cache did.

use std::time::Duration;

use super::real_envoy::RealEnvoy;
use crate::scenarios::telling::{page, with_admin};
use crate::stand::{Reply, Request, Stand};

#[test]
fn every_request_has_its_verdict_in_the_access_log() {
    let mut envoy = RealEnvoy::start();
    let rules = r#""rules": [{"match": {"path": "/log/not-ours"}, "bypass": true}],"#;
    envoy.configure(&with_admin(rules)).unwrap();
    envoy.origin("/log/page", vec![page("page")]);
    envoy.origin("/log/secret", vec![Reply::ok("secret").field("cache-control", "no-store")]);
    envoy.origin("/log/torn", vec![Reply::ok("").ending(crate::stand::Ending::NoResponse)]);
    let cached = |path: &str| Request::get(path).field("cache-control", "only-if-cached");
    let asked = [
        (0, Request::get("/log/page"), "GET /log/page", "larder; fwd=uri-miss; stored"),
        (0, Request::get("/log/page"), "GET /log/page", "larder; hit; ttl="),
        (1, Request::new("HEAD", "/log/page"), "HEAD /log/page", "larder; hit; ttl="),
        (1, Request::get("/log/secret"), "GET /log/secret", "larder; fwd=uri-miss; detail=no-store"),
        (0, Request::get("/log/not-ours"), "GET /log/not-ours", "larder; fwd=bypass; detail=rule"),
        (1, Request::new("POST", "/log/post").body("x"), "POST /log/post", "larder; fwd=method"),
        (0, cached("/log/none"), "GET /log/none", "larder; detail=only-if-cached"),
        (0, Request::get("/log/torn"), "GET /log/torn", "larder; fwd=uri-miss"),
    ];
    for (worker, request, ..) in &asked {
        envoy.send(*worker, request.clone());
    }
    let lines = |log: String| -> Vec<String> {
        log.lines().filter(|line| line.contains(" /log/")).map(str::to_owned).collect()
    };
    envoy.envoy().within(Duration::from_secs(60), |envoy| lines(envoy.log()).len() == asked.len());
    // Each worker has a buffer of its own.
    let mut told = lines(envoy.envoy().log());
    for (_, _, request, verdict) in &asked {
        let whole = |line: &String| {
            line.contains(&format!("\"{request}\"")) && line.contains(&format!(" cache-status=\"{verdict}"))
        };
        let found = told.iter().position(whole);
        told.remove(found.unwrap_or_else(|| panic!("no line tells of {request}: {verdict}\n{told:#?}")));
    }
    assert!(told.is_empty(), "{told:#?}");
    envoy.check();
}
