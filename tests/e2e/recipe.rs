//! How the cache's own fetches reach their origin: with what the router made of an earlier request for the same key, or
//! through the whole route table, by way of an internal listener (`envoy/envoy-route-loop.yaml`).

use std::time::Duration;

use super::process::{Setup, replace};
use super::real_envoy::RealEnvoy;
use crate::stand::{OriginRequest, Reply, Request, Stand};

const ROUTE: &str = "              - match: { prefix: / }\n";
const ROUTES: &str = r#"              - match: { prefix: /shop/ }
                route:
                  prefix_rewrite: /
                  host_rewrite_literal: origin.internal
                  weighted_clusters: { clusters: [
                    { name: origin, weight: 50, request_headers_to_add: [{ header: { key: x-chosen, value: origin } }] },
                    { name: blue, weight: 50, request_headers_to_add: [{ header: { key: x-chosen, value: blue } }] }
                  ] }
                request_headers_to_add:
                - { header: { key: x-route, value: "1" } }
                - { header: { key: x-client, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" } }
                request_headers_to_remove: [x-drop]
              - match: { prefix: / }
"#;
const CLUSTER: &str = "  clusters:\n";
const CLUSTERS: &str = r#"  clusters:
  - name: blue
    load_assignment:
      cluster_name: blue
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ORIGIN_PORT } } }
"#;

/// Where a filter comes between Larder and the router, on either listener.
const ROUTERS: [(&str, &str); 2] =
    [("          - &router\n", "          - &auth\n"), ("          - *router\n", "          - *auth\n")];
/// Says to the origin who we are.
const AUTH: &str = r#"            name: auth
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
              mutations:
                request_mutations: [{ append: { header: { key: authorization, value: Bearer edge } } }]
"#;

/// A page that is stale from the beginning, but for half an hour served while it is refreshed.
fn stale_page() -> Reply {
    let fields = Reply::ok("old").field("cache-control", "max-age=60, stale-while-revalidate=1800");
    fields.field("age", "100").field("etag", "\"old\"")
}

fn new_page() -> Reply {
    Reply::ok("new").field("cache-control", "max-age=600")
}

/// Waits until a path has been asked for so often; all requests for it.
fn asked(envoy: &mut RealEnvoy, path: &str, times: usize) -> Vec<OriginRequest> {
    for _ in 0..500 {
        let log: Vec<_> = envoy.origin_log().into_iter().filter(|r| r.target.starts_with(path)).collect();
        if log.len() >= times {
            return log;
        }
        envoy.pass(Duration::from_millis(10));
    }
    panic!("the origin was never asked for {path} {times} times");
}

#[test]
fn a_refresh_goes_where_the_router_sent_the_first_request_and_as_it_did() {
    let replaced = vec![(ROUTE, ROUTES), (CLUSTER, CLUSTERS)];
    let mut envoy = RealEnvoy::start_with(&Setup { replaced, ..Setup::default() });
    let mut blue = 0;
    for n in 0..8 {
        let path = format!("/page-{n}");
        envoy.origin(&path, vec![stale_page(), new_page()]);
        let ask = |client: &str| {
            let request = Request::get(&format!("/shop{path}?a=1")).field("x-drop", client);
            request.field("cookie", format!("session={client}")).field("x-kept", "yes")
        };
        envoy.send(0, ask("one"));
        let hit = envoy.send(1, ask("two"));
        assert!(hit.is_hit() && hit.text() == "old", "{}", hit.field("cache-status"));
        let seen = asked(&mut envoy, &path, 2);
        let [first, second] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(first.target, format!("{path}?a=1"));
        assert_eq!(first.field("x-client"), "127.0.0.1");
        for (name, expected) in
            [("host", "origin.internal"), ("x-route", "1"), ("x-drop", ""), ("x-kept", "yes")]
        {
            assert_eq!((first.field(name), second.field(name)), (expected.into(), expected.into()), "{name}");
        }
        assert_eq!(second.target, first.target);
        assert_eq!(second.field("x-chosen"), first.field("x-chosen"));
        assert_eq!(second.field("if-none-match"), "\"old\"");
        for name in ["cookie", "x-client", "x-forwarded-for", "x-request-id", "x-envoy-original-path"] {
            assert_eq!(second.field(name), "", "{name} is the first client's own affair");
        }
        blue += 2 * u64::from(first.field("x-chosen") == "blue");
    }
    assert_eq!(envoy.envoy().stat("cluster.blue.upstream_rq_total"), blue);
    assert_eq!(envoy.envoy().stat("cluster.origin.upstream_rq_total"), 16 - blue);
    envoy.check();
}

#[test]
fn a_refresh_goes_through_the_route_table_and_does_not_meet_the_cache_again() {
    let mut envoy = RealEnvoy::start_as_written("envoy-route-loop.yaml", |yaml| {
        let [(router, auth), (router_again, auth_again)] = ROUTERS;
        replace(yaml, router, &[auth, AUTH, router].concat());
        replace(yaml, router_again, &[auth_again, router_again].concat());
    });
    envoy.origin("/loop", vec![stale_page(), Reply::status(503).body("busy"), new_page()]);
    envoy.send(0, Request::get("/shop/loop"));
    assert!(envoy.send(1, Request::get("/shop/loop")).is_hit());
    let seen = asked(&mut envoy, "/loop", 3);
    for (n, request) in seen.iter().enumerate() {
        assert_eq!((request.target.as_str(), request.field("host").as_str()), ("/loop", "origin.internal"));
        assert_eq!(request.field("x-route"), "shop", "request {n}");
        assert_eq!(request.field("authorization"), "Bearer edge", "request {n}");
    }
    envoy.pass(Duration::from_millis(300));
    let hit = envoy.send(0, Request::get("/shop/loop"));
    assert!(hit.is_hit() && hit.text() == "new", "{}", hit.field("cache-status"));
    assert_eq!(envoy.origin_log().len(), 3, "the route retries what failed");
    let stat = |name: &str| envoy.envoy().stat(name);
    assert_eq!(stat("http.route_loop.downstream_rq_total"), 1);
    assert_eq!(stat("http.larder.downstream_rq_total"), 3, "only clients meet the cache");
    assert_eq!((stat("wasmcustom.larder_dispatched"), stat("wasmcustom.larder_dispatched_failed")), (1, 0));
    envoy.check();
}
