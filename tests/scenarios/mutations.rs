//! What the answers of unsafe requests invalidate.

use serde_json::json;

use std::time::Duration;

use super::operating::{configure, fill, is_hit, page, told};
use crate::stand::{Reply, Request, Stand};

const RULES: &str = r#", "rules": [
    {"name": "users", "match": {"path": "/users/{id}", "method": "PUT"},
     "invalidates": {"tags": ["user:{id}"], "prefixes": ["/users"], "paths": ["/top"]}},
    {"match": {"path": "/users/**"}, "tags": ["listing"]}]"#;

/// A successful PUT invalidates what its rule says, in the RFC's sense: validated before its next use.
pub fn a_mutation_rule_invalidates(stand: &mut dyn Stand) {
    configure(stand, "", RULES);
    for (path, tags) in
        [("/users/7", ""), ("/users", ""), ("/top", ""), ("/profile", "user:7"), ("/else", "user:8")]
    {
        stand.origin(path, vec![page("v", tags), Reply::status(304).field("etag", "\"v\"")]);
    }
    fill(stand, &["/users", "/top?x=1", "/profile", "/else"]);
    stand.origin("/users/7", vec![Reply::status(500), Reply::ok("changed")]);
    stand.send(0, Request::new("PUT", "/users/7").body("x"));
    assert!(is_hit(stand, 1, "/profile"), "an error has changed nothing");
    stand.send(0, Request::new("PUT", "/users/7").body("x"));
    for path in ["/users", "/top?x=1", "/profile"] {
        let response = stand.send(1, Request::get(path));
        assert!(
            response.field("cache-status").contains("fwd-status=304"),
            "{path}: {}",
            response.field("cache-status")
        );
    }
    assert!(is_hit(stand, 1, "/else"));
    let records = told(stand, "GET", "/_larder/journal?limit=4", "")["records"].clone();
    assert_eq!(records[0]["source"], "unsafe-method");
    assert_eq!(
        (&records[1]["source"], &records[1]["reason"]),
        (&json!("mutation-rule"), &json!("users")),
        "{records}"
    );
    assert_eq!(records[1]["mode"], "revalidate");
}

/// `Cache-Group-Invalidation` invalidates groups of its own origin, and of no other.
pub fn a_group_is_invalidated_on_its_own_origin(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for path in ["/g/a", "/g/b", "/g/c"] {
        let groups = if path == "/g/c" { "\"other\"" } else { "\"news\", \"x\"" };
        stand.origin(path, vec![page("v", "").field("cache-groups", groups)]);
    }
    fill(stand, &["/g/a", "/g/b", "/g/c"]);
    stand.send(0, Request::get("/g/a").host("other.example"));
    stand.origin("/post", vec![Reply::ok("").field("cache-group-invalidation", "\"news\"")]);
    stand.send(1, Request::new("POST", "/post").body("x"));
    assert!(!is_hit(stand, 0, "/g/a") && !is_hit(stand, 0, "/g/b") && is_hit(stand, 0, "/g/c"));
    assert!(stand.send(0, Request::get("/g/a").host("other.example")).is_hit(), "another origin's group");
}

/// Strangers' requests write no more records than their rate allows and a few for all the rest, and what they changed
/// is validated before it is used again, however many they are.
pub fn a_flood_of_unsafe_requests_costs_few_records_and_loses_none(stand: &mut dyn Stand) {
    configure(stand, "", r#", "unsafe_methods": {"per_minute": 1, "burst": 3}"#);
    let paths: Vec<String> = (0..20).map(|n| format!("/flood/{n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    for path in &paths {
        stand.origin(path, vec![page("v", "")]);
    }
    fill(stand, &paths);
    fill(stand, &paths);
    let head = |stand: &mut dyn Stand| told(stand, "GET", "/_larder/journal", "")["head"].as_u64().unwrap();
    let before = head(stand);
    for path in &paths {
        stand.send(0, Request::new("POST", path).body("x"));
    }
    stand.pass(Duration::from_millis(200));
    let written = head(stand) - before;
    let gathered = stand.metric("invalidations_gathered");
    assert_eq!(gathered, 17);
    // On a busy machine each request may have had a tick to itself.
    let most = if stand.name() == "Envoy" { 20 } else { 11 };
    assert!((4..=most).contains(&written), "{written}");
    for path in &paths {
        assert!(!is_hit(stand, 1, path), "{path}");
    }
    // An error has changed nothing.
    stand.origin("/flood/0", vec![Reply::status(500)]);
    let before = head(stand);
    stand.send(0, Request::new("POST", "/flood/0").body("x"));
    stand.pass(Duration::from_millis(200));
    assert_eq!(head(stand), before);
}

/// However many requests change however many hosts, what is stored of a host that had none of them stays a hit; and
/// what an operator has purged before stays purged.
pub fn a_flood_of_unsafe_requests_touches_no_other_host(stand: &mut dyn Stand) {
    configure(stand, "", r#", "unsafe_methods": {"per_minute": 60, "burst": 20}"#);
    stand.origin("/page", vec![page("v", "")]);
    stand.origin("/post", vec![Reply::ok("done")]);
    let get = |stand: &mut dyn Stand, host: &str| stand.send(1, Request::get("/page").host(host)).is_hit();
    let hosts: Vec<String> = (0..60).map(|n| format!("h{n}.flood.example")).collect();
    let page_of = |host: &str| Request::get("/page").host(host);
    stand.send(0, page_of("victim.example"));
    stand.send(0, page_of(&hosts[59]));
    for host in &hosts {
        for path in ["/post", "/page"] {
            stand.send(0, Request::new("POST", path).host(host).body("x"));
        }
    }
    stand.pass(Duration::from_millis(200));
    assert!(get(stand, "victim.example"), "it had no unsafe request");
    assert!(!get(stand, &hosts[59]), "it had one");
    let records = told(stand, "GET", "/_larder/journal?limit=1000", "")["records"].clone();
    let records = records.as_array().expect("a list");
    // Others may have purged everything in this very Envoy.
    let mut of_clients = records.iter().filter(|record| record["source"] != "admin");
    assert!(of_clients.all(|record| record["selector"].get("all").is_none()), "{records:?}");
}

/// Whatever kept an unsafe request from the cache, its answer invalidates (RFC 9111 §4.4).
pub fn an_unsafe_request_invalidates_even_when_it_bypasses_the_cache(stand: &mut dyn Stand) {
    configure(
        stand,
        "",
        r#", "rules": [{"match": {"path": "/by/rule", "method": "DELETE"}, "bypass": true}]"#,
    );
    for (path, field, value) in [
        ("/by/grpc", "content-type", "application/grpc"),
        ("/by/grpc-web", "content-type", "application/grpc+proto"),
        ("/by/rule", "x-nothing", "1"),
        ("/by/override", "x-http-method-override", "GET"),
    ] {
        for method in ["DELETE", "POST"] {
            stand.origin(path, vec![page("v", "")]);
            fill(stand, &[path]);
            assert!(is_hit(stand, 1, path), "{path}");
            let failed = Request::new(method, path).field(field, value);
            stand.origin(path, vec![Reply::status(500), page("w", "")]);
            stand.send(0, failed.clone());
            assert!(is_hit(stand, 1, path), "{method} {path}: an error has changed nothing");
            assert_eq!(stand.send(0, failed).status, 200);
            assert!(!is_hit(stand, 1, path), "{method} {path}");
        }
    }
}
