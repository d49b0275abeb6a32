//! What the router makes of a request is learned from the first fetch, and replayed by Larder's own: on a route that
//! rewrites path and host, adds and removes fields, and chooses among weighted clusters.

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use crate::scenarios::telling::{await_origin, expect_hit, stale_page};
use crate::stand::{OriginRequest, Request, Stand};

const ROUTE: &str =
    "              - match: { prefix: / }\n                route:\n                  cluster: origin\n";
const ROUTES: &str = r#"
              - match: { prefix: /shop/ }
                request_headers_to_add: [{ header: { key: x-route, value: "1" } }]
                request_headers_to_remove: [x-drop]
                route:
                  prefix_rewrite: /inner/
                  host_rewrite_literal: origin.internal
                  timeout: 0s
                  weighted_clusters: { clusters: [
                    { name: origin, weight: 50, request_headers_to_add: [{ header: { key: x-cluster, value: one } }] },
                    { name: other, weight: 50, request_headers_to_add: [{ header: { key: x-cluster, value: two } }] }
                  ] }
              - match: { prefix: / }
                route:
                  cluster: origin
"#;

const CLUSTER: &str = "  clusters:\n  - name: origin\n";
/// The other cluster ends at the same origin.
const CLUSTERS: &str = r#"  clusters:
  - name: other
    connect_timeout: 5s
    lb_policy: CLUSTER_PROVIDED
    cluster_type:
      name: envoy.clusters.aggregate
      typed_config:
        { "@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [origin] }
  - name: origin
"#;

#[test]
fn larders_own_fetches_go_where_the_route_sent_the_first_one_and_look_like_it() {
    let mut envoy = RealEnvoy::start_with(&Setup {
        replaced: vec![(ROUTE, ROUTES), (CLUSTER, CLUSTERS)],
        ..Setup::default()
    });
    let mut clusters = Vec::new();
    for n in 0..12 {
        let path = format!("/shop/{n}?q=1");
        let inner = format!("/inner/{n}");
        envoy.origin(&inner, vec![stale_page("page", ", stale-while-revalidate=300")]);
        let request = Request::get(&path).field("x-drop", "1").field("x-kept", "1").field("cookie", "me=1");
        assert_eq!(envoy.send(0, request.clone()).text(), "page");
        // A request of somebody else is why it is refreshed.
        assert!(envoy.send(1, Request::get(&path).field("x-drop", "2").field("x-kept", "2")).is_hit());
        await_origin(&mut envoy, &inner, 2);
        let log: Vec<_> = envoy.origin_log().into_iter().filter(|r| r.target.starts_with(&inner)).collect();
        for request in &log {
            assert_eq!(
                (request.target.as_str(), request.field("host").as_str()),
                (&*format!("{inner}?q=1"), "origin.internal")
            );
            assert_eq!((request.field("x-route").as_str(), request.field("x-drop").as_str()), ("1", ""));
        }
        let [first, refresh] = &log[..] else { panic!("{} requests", log.len()) };
        assert_eq!(first.field("x-cluster"), refresh.field("x-cluster"), "the cluster that was chosen once");
        assert_eq!((refresh.field("x-kept"), refresh.field("cookie")), ("2".into(), String::new()));
        let mine = |request: &OriginRequest| {
            let own = ["cookie", "x-kept", "if-none-match", "x-forwarded-for", "x-request-id"];
            let mut fields: Vec<_> = request.fields.iter().map(|(name, _)| name.clone()).collect();
            fields.retain(|name| !own.contains(&name.as_str()) && !name.starts_with("x-envoy-"));
            fields.sort();
            fields
        };
        assert_eq!(mine(refresh), mine(first), "nothing else is missing or added");
        clusters.push(first.field("x-cluster"));
        expect_hit(&mut envoy, 0, &path, "page");
    }
    clusters.sort();
    clusters.dedup();
    assert_eq!(clusters, ["one", "two"], "both clusters were chosen at times");
    envoy.check();
}
