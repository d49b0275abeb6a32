//! What `Cache-Status` says (RFC 9211).

use super::telling::{expect_hit, get, page};
use crate::stand::{Request, Stand};

pub fn what_caches_behind_us_said_is_kept(stand: &mut dyn Stand) {
    stand.origin("/status/behind", vec![page("page").field("cache-status", "origin-cache; hit; ttl=7")]);
    let miss = get(stand, 0, "/status/behind");
    assert_eq!(miss.all("cache-status"), ["origin-cache; hit; ttl=7", "larder; fwd=uri-miss; stored"]);
    let hit = get(stand, 1, "/status/behind");
    let all = hit.all("cache-status");
    assert_eq!((all.len(), all[0].as_str()), (2, "origin-cache; hit; ttl=7"));
    assert!(all[1].starts_with("larder; hit; ttl=5") || all[1] == "larder; hit; ttl=600", "{all:?}");
}

pub fn every_response_says_what_was_done(stand: &mut dyn Stand) {
    stand.origin("/status/all", vec![page("page")]);
    let request = |method: &str| Request::new(method, "/status/all");
    let cases = [
        (Request::get("/status/none"), "larder; fwd=uri-miss; detail=no-freshness"),
        (request("OPTIONS"), "larder; fwd=method"),
        (request("DELETE"), "larder; fwd=method"),
        (request("BREW"), "larder; fwd=method"),
        (request("GET").body("body"), "larder; fwd=bypass; detail=request-body"),
        (request("GET").field("content-type", "application/grpc"), "larder; fwd=bypass; detail=grpc"),
        (request("GET").field("x-http-method-override", "PUT"), "larder; fwd=bypass; detail=unkeyed"),
    ];
    for (request, status) in cases {
        if request.method == "BREW" && stand.name() == "Envoy" {
            continue; // Envoy's codec turns it away.
        }
        let shown = format!("{} {:?}", request.method, request.fields);
        assert_eq!(stand.send(0, request).field("cache-status"), status, "{shown}");
    }
}

pub fn the_cache_has_the_name_that_it_was_given(stand: &mut dyn Stand) {
    stand.configure(r#"{"name": "edge-1"}"#).unwrap();
    stand.origin("/status/named", vec![page("page")]);
    assert_eq!(get(stand, 0, "/status/named").field("cache-status"), "edge-1; fwd=uri-miss; stored");
    assert!(get(stand, 1, "/status/named").field("cache-status").starts_with("edge-1; hit; ttl="));
}

pub fn it_can_be_turned_off(stand: &mut dyn Stand) {
    stand.configure(r#"{"cache_status": {"enabled": false}}"#).unwrap();
    stand.origin("/status/off", vec![page("one"), page("two")]);
    for worker in [0, 1] {
        let response = get(stand, worker, "/status/off");
        assert_eq!((response.text().as_str(), response.all("cache-status")), ("one", vec![]));
    }
    assert_eq!(stand.origin_count("/status/off"), 1);
}

pub fn counters_tell_the_same_story(stand: &mut dyn Stand) {
    let names = ["hits", "forwarded_uri_miss", "forwarded_method", "stored", "not_stored_no_store"];
    let before = names.map(|name| stand.metric(name));
    stand.origin("/status/counted", vec![page("page")]);
    stand.origin("/status/uncounted", vec![page("page").field("cache-control", "no-store")]);
    get(stand, 0, "/status/counted");
    expect_hit(stand, 0, "/status/counted", "page");
    expect_hit(stand, 1, "/status/counted", "page");
    get(stand, 1, "/status/uncounted");
    stand.send(1, Request::new("OPTIONS", "/status/counted"));
    let after = names.map(|name| stand.metric(name));
    let counted: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(counted, [2, 2, 1, 1, 1], "{names:?}");
}
