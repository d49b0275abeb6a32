//! What routes say: fields that they add to responses, and policy in their metadata.

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use crate::scenarios::operating::configuration;
use crate::stand::{Reply, Request, Response, Stand};

const ROUTE: &str = "              - match: { prefix: / }\n";
/// Routes in front of the one that takes everything.
const ROUTES: &str = r#"              - name: adding
                match: { prefix: /added }
                route: { cluster: origin }
                response_headers_to_add:
                - { header: { key: x-appended, value: "1" } }
                - { header: { key: x-both, value: "of the route" } }
                - { header: { key: x-replaced, value: "by the route" }, append_action: OVERWRITE_IF_EXISTS_OR_ADD }
                - { header: { key: x-absent, value: "of the route" }, append_action: ADD_IF_ABSENT }
              - name: short
                match: { prefix: /short }
                route: { cluster: origin }
                metadata: { filter_metadata: { larder: { ttl: 20s, tags: [short], key: { query: { drop: [utm_*] } } } } }
              - match: { prefix: /nameless }
                route: { cluster: origin }
                metadata: { filter_metadata: { larder: { match: { status: [200, 404] }, ttl: { default: 30s } } } }
              - name: wrong
                match: { prefix: /wrong }
                route: { cluster: origin }
                metadata: { filter_metadata: { larder: { ttl: soon } } }
              - match: { prefix: / }
"#;

const HOSTS: &str = "            - name: origin\n              domains: [\"*\"]\n              routes:\n";
/// A virtual host that answers by itself, one for all that no other is for, and one that goes on as before.
const MORE_HOSTS: &str = r#"            - name: closed
              domains: ["shop.example:8080"]
              routes:
              - match: { prefix: / }
                direct_response: { status: 404 }
            - name: rest
              domains: ["*"]
              routes:
              - match: { prefix: /page }
                route: { cluster: origin, prefix_rewrite: /rest }
            - name: shop
              domains: [shop.example]
              routes:
"#;

fn fields(response: &Response) -> Vec<(String, Vec<u8>)> {
    let own = ["age", "cache-status", "date", "x-envoy-upstream-service-time"];
    let mut fields = response.fields.clone();
    fields.retain(|(name, _)| !own.contains(&name.as_str()));
    fields.sort();
    fields
}

fn left(response: &Response) -> String {
    let status = response.field("cache-status");
    assert!(response.is_hit(), "{status}");
    // A second may have passed.
    status.replace("ttl=19", "ttl=20").replace("ttl=29", "ttl=30").replace("ttl=59", "ttl=60")
}

#[test]
fn routes_are_heard() {
    let mut envoy = RealEnvoy::start_with(&Setup { replaced: vec![(ROUTE, ROUTES)], ..Setup::default() });
    response_headers_to_add_are_not_doubled_on_hits(&mut envoy);
    a_rule_in_a_routes_metadata_comes_before_all_others(&mut envoy);
    a_purge_finds_what_a_routes_rule_has_counted(&mut envoy);
    envoy.check();
}

/// Envoy chooses the virtual host by the host as it is written, before Larder sees the request.
#[test]
fn a_host_that_chooses_another_virtual_host_answers_only_itself() {
    let mut envoy = RealEnvoy::start_with(&Setup { replaced: vec![(HOSTS, MORE_HOSTS)], ..Setup::default() });
    envoy.configure(r#"{"ttl": {"status": {"404": "1m"}}}"#).unwrap();
    let page = |body: &str| Reply::ok(body).field("cache-control", "max-age=60");
    envoy.origin("/page", vec![page("shop")]);
    envoy.origin("/rest", vec![page("rest")]);
    let send = |envoy: &mut RealEnvoy, worker, host: &str, path: &str| {
        let response = envoy.send(worker, Request::get(path).host(host));
        (response.status, response.text())
    };
    for worker in [0, 1] {
        for (host, expected) in [
            ("shop.example:80", (200, "rest")),
            ("shop.example:", (200, "rest")),
            ("shop.example:8080", (404, "")),
            ("shop.example", (200, "shop")),
        ] {
            assert_eq!(
                send(&mut envoy, worker, host, "/page"),
                (expected.0, expected.1.to_owned()),
                "{host}"
            );
        }
        // Envoy's own answer to what no route matches.
        envoy.origin("/other", vec![page("other")]);
        assert_eq!(send(&mut envoy, worker, "shop.example:80", "/other").0, 404);
        assert_eq!(send(&mut envoy, worker, "shop.example", "/other"), (200, "other".to_owned()));
    }
    envoy.check();
}

fn response_headers_to_add_are_not_doubled_on_hits(envoy: &mut RealEnvoy) {
    let reply = Reply::ok("page").field("cache-control", "max-age=60").field("x-both", "of the origin");
    envoy.origin(
        "/added",
        vec![reply.field("x-replaced", "of the origin").field("x-twice", "2").field("x-twice", "2")],
    );
    let miss = envoy.send(0, Request::get("/added"));
    assert_eq!(miss.all("x-both"), ["of the origin", "of the route"]);
    assert_eq!(miss.all("x-replaced"), ["by the route"]);
    for worker in [0, 1] {
        let hit = envoy.send(worker, Request::get("/added"));
        assert!(hit.is_hit(), "{}", hit.field("cache-status"));
        assert_eq!(fields(&hit), fields(&miss));
        assert_eq!(hit.all("x-both"), ["of the origin", "of the route"]);
        for request in [Request::new("HEAD", "/added"), Request::get("/added").field("range", "bytes=0-1")] {
            let part = envoy.send(worker, request);
            assert_eq!((part.all("x-appended"), part.all("x-twice").len()), (vec!["1".to_owned()], 2));
        }
    }
}

fn a_rule_in_a_routes_metadata_comes_before_all_others(envoy: &mut RealEnvoy) {
    envoy.configure(r#"{"route_metadata": true, "rules": [{"ttl": "1m"}]}"#).unwrap();
    for path in ["/short", "/nameless", "/wrong", "/other"] {
        envoy.origin(path, vec![Reply::ok("page").field("cache-control", "max-age=7")]);
        envoy.send(0, Request::get(&format!("{path}?utm_a=1")));
    }
    for worker in [0, 1] {
        assert_eq!(left(&envoy.send(worker, Request::get("/short?utm_b=2"))), "larder; hit; ttl=20");
        for path in ["/nameless?utm_a=1", "/other?utm_a=1"] {
            assert_eq!(left(&envoy.send(worker, Request::get(path))), "larder; hit; ttl=60", "{path}");
        }
        let wrong = envoy.send(worker, Request::get("/wrong?utm_a=1"));
        assert_eq!(wrong.field("cache-status"), "larder; fwd=bypass; detail=rule");
    }
    assert_eq!(envoy.origin_log().iter().find(|r| r.target.starts_with("/short")).unwrap().target, "/short");
    let log = envoy.envoy().log();
    let said = "so its requests bypass the cache: filter_metadata.larder.ttl: \"soon\" is not a duration";
    assert_eq!(log.matches(said).count(), 2, "once on each worker");
    // Without a word from the plugin, routes are not asked.
    envoy.configure(r#"{"rules": [{"ttl": "1m"}]}"#).unwrap();
    envoy.send(0, Request::get("/wrong"));
    assert_eq!(left(&envoy.send(1, Request::get("/wrong"))), "larder; hit; ttl=60");
}

/// The route that a purge meets has no such rule.
fn a_purge_finds_what_a_routes_rule_has_counted(envoy: &mut RealEnvoy) {
    envoy.configure(&configuration(r#", "methods": true"#, r#", "route_metadata": true"#)).unwrap();
    envoy.origin("/short", vec![Reply::ok("page")]);
    let get = || Request::get("/short/x?q=1&utm_source=mail");
    envoy.origin("/short/x", vec![Reply::ok("page")]);
    for (worker, purge) in [
        (0, Request::new("PURGE", "/short/x?q=1&utm_source=mail")),
        (1, Request::new("PURGE", "/short/x?utm_a=2&q=1")),
        (
            0,
            Request::new("POST", "/_larder/purge").body(
                r#"{"selectors": [{"url": "http://shop.example/short/x?q=1&utm_source=mail", "status": 200}], "mode": "hard"}"#,
            ),
        ),
    ] {
        envoy.send(0, get());
        assert!(envoy.send(1, get()).is_hit());
        let shown = format!("{purge:?}");
        assert_eq!(envoy.send(worker, purge.field("authorization", "Bearer all")).status, 200, "{shown}");
        let after = envoy.send(1 - worker, get());
        assert!(!after.is_hit(), "{shown}: {}", after.field("cache-status"));
    }
}
