//! What `Cache-Status` says (RFC 9211).

use std::collections::BTreeMap;
use std::time::Duration;

use super::telling::{
    admin, await_origin, command, expect_hit, get, page, purge_url, stale_page, with_admin,
};
use crate::stand::{Reply, Request, Response, Stand};

pub fn cache_status_members_of_upstream_caches_are_kept(stand: &mut dyn Stand) {
    stand.origin("/status/behind", vec![page("page").field("cache-status", "origin-cache; hit; ttl=7")]);
    let miss = get(stand, 0, "/status/behind");
    assert_eq!(miss.all("cache-status"), ["origin-cache; hit; ttl=7", "larder; fwd=uri-miss; stored"]);
    let hit = get(stand, 1, "/status/behind");
    let all = hit.all("cache-status");
    assert_eq!((all.len(), all[0].as_str()), (2, "origin-cache; hit; ttl=7"));
    assert!(all[1].starts_with("larder; hit; ttl=5") || all[1] == "larder; hit; ttl=600", "{all:?}");
}

pub fn every_response_has_a_cache_status(stand: &mut dyn Stand) {
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

pub fn ten_responses_that_are_not_stored_count_as_ten(stand: &mut dyn Stand) {
    let before = stand.metric("not_stored_no_store");
    let fetches = stand.metric("fetches_not_stored_no_store");
    stand.origin("/status/ten", vec![page("page").field("cache-control", "no-store")]);
    for n in 0..10 {
        let response = get(stand, n % 2, "/status/ten");
        assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=no-store");
    }
    assert_eq!(stand.metric("not_stored_no_store") - before, 10);
    assert!((1..=10).contains(&(stand.metric("fetches_not_stored_no_store") - fetches)));
}

/// Every request is counted once, as what its answer says: a hit, a hit of something stale, collapsed, forwarded, answered by
/// the cache itself, or not at all.
pub fn counters_and_answers_come_to_the_same_sums(stand: &mut dyn Stand) {
    admin(stand);
    let before = counters(stand);
    let seen = mixed_workload(stand);
    let after = counters(stand);
    let counted: BTreeMap<String, u64> = after
        .into_iter()
        .map(|(name, value)| (name.clone(), value - before.get(&name).copied().unwrap_or(0)))
        .filter(|(name, value)| is_of_answers(name) && *value > 0)
        .collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for response in &seen {
        for name in names(response) {
            *expected.entry(name).or_default() += 1;
        }
    }
    for family in [
        "hits",
        "hits_stale_stale_if_error",
        "hits_stale_stale_while_revalidate",
        "collapsed",
        "forwarded_stale",
        "forwarded_request",
        "forwarded_method",
        "forwarded_bypass_unkeyed",
        "local_only_if_cached",
        "not_stored_private",
        "not_stored_set_cookie",
        "not_stored_no_freshness",
    ] {
        assert!(expected.contains_key(&format!("larder_{family}")), "{family}: {expected:?}");
    }
    // The purge of the workload and the first question for the counters.
    expected.insert("larder_local_admin".into(), 2);
    expected.insert("larder_unanswered".into(), 1);
    // What was purged and is no longer stored says only the latter.
    expected.insert("larder_forwarded_purged".into(), 1);
    *expected.get_mut("larder_forwarded_uri_miss").unwrap() -= 1;
    assert_eq!(counted, expected);
    let requests: u64 = counted
        .iter()
        .filter(|(name, _)| !name.starts_with("larder_not_stored"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(requests as usize, seen.len() + 3);
}

fn counters(stand: &mut dyn Stand) -> BTreeMap<String, u64> {
    let stats = command(stand, 0, "GET", "/_larder/stats", "");
    let all: serde_json::Value = serde_json::from_slice(&stats.body).expect("numbers by name");
    let all = all.as_object().expect("an object");
    all.iter().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
}

fn is_of_answers(name: &str) -> bool {
    let families = ["hits", "forwarded", "collapsed", "local", "unanswered", "not_stored"];
    families.iter().any(|family| name.strip_prefix("larder_").is_some_and(|name| name.starts_with(family)))
}

/// The counters that an answer is expected in, from its `Cache-Status` alone.
fn names(response: &Response) -> Vec<String> {
    let status = response.field("cache-status");
    let mut parameters = status.split("; ").skip(1);
    let said = |name: &str| parameters.clone().find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
    let name = |family: &str, word: &str| format!("larder_{family}_{}", word.replace('-', "_"));
    let detail = said("detail");
    match (said("fwd"), detail) {
        _ if parameters.any(|p| p == "collapsed") => vec!["larder_collapsed".into()],
        (None, None) => vec!["larder_hits".into()],
        (None, Some(detail)) if status.contains("; hit") => vec![name("hits_stale", detail)],
        (None, Some(detail)) => vec![name("local", detail)],
        (Some("bypass"), Some(detail)) => vec![name("forwarded_bypass", detail)],
        (Some(_), Some(detail @ ("purged" | "invalidated"))) => vec![name("forwarded", detail)],
        (Some(fwd), Some(detail)) => vec![name("forwarded", fwd), name("not_stored", detail)],
        (Some(fwd), None) => vec![name("forwarded", fwd)],
    }
}

/// Everything that can become of a request, with what the clients saw.
fn mixed_workload(stand: &mut dyn Stand) -> Vec<Response> {
    let control = |value: &str| page("page").field("cache-control", value);
    let no_store = || Reply::ok("page").field("cache-control", "no-store");
    stand.origin("/sums/page", vec![page("page").field("etag", "\"1\"")]);
    stand.origin("/sums/none", vec![no_store()]);
    stand.origin("/sums/mixed", vec![Reply::ok("own").field("cache-control", "private"), page("for all")]);
    stand.origin("/sums/cookie", vec![page("page").field("set-cookie", "a=1")]);
    stand.origin("/sums/varies", vec![page("page").field("vary", "x-v")]);
    stand.origin("/sums/error", vec![stale_page("old", ", stale-if-error=300"), Reply::status(503)]);
    stand.origin("/sums/while", vec![stale_page("old", ", stale-while-revalidate=300"), page("new")]);
    stand.origin(
        "/sums/checked",
        vec![stale_page("old", ""), Reply::status(304).field("cache-control", "max-age=60")],
    );
    stand.origin("/sums/purged", vec![page("page"), no_store()]);
    stand.origin("/sums/slow", vec![control("max-age=60").delay(Duration::from_secs(1))]);
    stand.origin("/sums/left", vec![page("page").delay(Duration::from_secs(9))]);
    let with = |path: &str, name: &str, value: &str| Request::get(path).field(name, value);
    let requests = [
        Request::get("/sums/page"),
        Request::get("/sums/page"),
        Request::get("/sums/page"),
        Request::new("HEAD", "/sums/page"),
        with("/sums/page", "range", "bytes=0-1"),
        with("/sums/page", "if-none-match", "\"1\""),
        with("/sums/page", "cache-control", "no-cache"),
        Request::get("/sums/none"),
        Request::get("/sums/none"),
        Request::get("/sums/none"),
        with("/sums/none", "range", "bytes=0-1"),
        with("/sums/none", "cache-control", "no-store"),
        Request::get("/sums/mixed"),
        Request::get("/sums/mixed"),
        Request::get("/sums/mixed"),
        Request::get("/sums/cookie"),
        with("/sums/varies", "x-v", "1"),
        with("/sums/varies", "x-v", "2"),
        with("/sums/varies", "x-v", "1"),
        Request::get("/sums/error"),
        Request::get("/sums/error"),
        Request::get("/sums/error"),
        Request::get("/sums/while"),
        Request::get("/sums/while"),
        Request::get("/sums/checked"),
        Request::get("/sums/checked"),
        Request::get("/sums/unknown"),
        with("/sums/unknown", "cache-control", "only-if-cached"),
        Request::new("OPTIONS", "/sums/page"),
        Request::new("POST", "/sums/other").body("x"),
        Request::new("GET", "/sums/page").body("x"),
        with("/sums/page", "x-http-method-override", "PUT"),
        Request::get("/sums/purged"),
    ];
    let mut seen: Vec<Response> =
        requests.into_iter().enumerate().map(|(n, request)| stand.send(n % 2, request)).collect();
    purge_url(stand, 0, "/sums/purged", "hard");
    seen.push(get(stand, 1, "/sums/purged"));
    let leader = stand.start(0, Request::get("/sums/slow"));
    await_origin(stand, "/sums/slow", 1);
    let followers: Vec<_> = (0..4).map(|n| stand.start(n % 2, Request::get("/sums/slow"))).collect();
    seen.extend([leader].into_iter().chain(followers).map(|exchange| stand.finish(exchange)));
    let left = stand.start(0, Request::get("/sums/left"));
    await_origin(stand, "/sums/left", 1);
    stand.leave(left);
    stand.pass(Duration::from_millis(300));
    seen
}

pub fn the_access_log_shows_who_answered(stand: &mut dyn Stand) {
    stand.origin("/details/page", vec![page("page")]);
    stand.origin("/details/stale", vec![stale_page("old", ", stale-while-revalidate=600")]);
    let confirmed = Reply::status(304).field("etag", "\"old\"").field("cache-control", "max-age=60");
    stand.origin("/details/confirmed", vec![stale_page("old", ""), confirmed]);
    stand.origin("/details/slow", vec![page("slow").delay(Duration::from_millis(700))]);
    let asked = |stand: &mut dyn Stand, path: &str, statuses: &[&str]| {
        for (n, status) in statuses.iter().enumerate() {
            let response = get(stand, n % 2, path).field("cache-status");
            assert!(response.starts_with(&format!("larder; {status}")), "{path}, {n}: {response}");
        }
    };
    asked(stand, "/details/page", &["fwd=uri-miss; stored", "hit", "hit"]);
    asked(stand, "/details/stale", &["fwd=uri-miss; stored", "hit; ttl=-"]);
    stand.configure(&with_admin(r#""collapse": {"fetch": "inline"},"#)).unwrap();
    asked(stand, "/details/confirmed", &["fwd=uri-miss; stored", "fwd=stale; fwd-status=304; stored", "hit"]);
    let first = stand.start(0, Request::get("/details/slow"));
    stand.pass(Duration::from_millis(200));
    assert_eq!(get(stand, 1, "/details/slow").field("cache-status"), "larder; fwd=uri-miss; collapsed");
    stand.finish(first);
    let none = Request::get("/details/none").field("cache-control", "only-if-cached");
    assert_eq!(stand.send(0, none).status, 504);
    command(stand, 0, "GET", "/_larder/namespaces", "");
    for (target, details) in [
        ("/details/page", &["larder_hit", "larder_hit", "via_upstream"][..]),
        ("/details/stale", &["larder_stale", "via_upstream"]),
        ("/details/confirmed", &["larder_hit", "larder_revalidated", "via_upstream"]),
        ("/details/slow", &["larder_collapsed", "via_upstream"]),
        ("/details/none", &["larder_only_if_cached"]),
        ("/_larder/namespaces", &["larder_admin"]),
    ] {
        assert_eq!(stand.details(target), details, "{target}");
    }
}
