//! Where Envoy does not show bodies while a request is held at its head, as without `allow_on_headers_stop_iteration`. Only
//! the emulated host does so at a word; for a real Envoy there is `tests/e2e/mesh.rs`.

use std::time::Duration;

use super::telling::{TOKEN, admin, command, commanding, get, page, with_admin};
use crate::host::stand::Emulated;
use crate::stand::{Reply, Request, Response, Stand};

/// A stand with an admin route whose bodies are kept back.
fn keep_back(stand: &mut Emulated) {
    stand.world.settings(|s| s.body_while_headers_held = false);
    admin(stand);
}

fn query(path: &str) -> Request {
    Request::new("QUERY", path).field("content-type", "text/plain").body("q")
}

fn purge() -> Request {
    commanding("POST", "/_larder/purge", r#"{"selectors": [{"tag": "t"}]}"#)
}

/// The response, and after how many milliseconds it came.
fn timed(stand: &mut Emulated, worker: usize, request: Request) -> (Response, u64) {
    let before = stand.world.now();
    let response = stand.send(worker, request);
    (response, (stand.world.now() - before) / 1_000_000)
}

fn expect_bypass(response: &Response, body: &str) {
    assert_eq!((response.status, response.text().as_str()), (200, body));
    assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=request-body");
}

pub fn a_query_whose_content_is_kept_back_goes_to_the_origin(stand: &mut Emulated) {
    keep_back(stand);
    stand.origin("/kept-back", vec![page("found")]);
    for worker in [0, 1] {
        for n in 0..5 {
            let (response, took) = timed(stand, worker, query("/kept-back"));
            expect_bypass(&response, "found");
            assert_eq!(stand.origin_log().pop().unwrap().body, b"q");
            let most = if n == 0 { 150 } else { 5 };
            assert!(took < most, "request {n} on worker {worker} took {took} ms");
        }
    }
    let told = stand.world.logged().into_iter().filter(|line| line.contains("cannot read request bodies"));
    assert_eq!(told.count(), 2, "once on each worker");
}

pub fn a_post_that_asks_waits_no_longer_where_its_content_is_kept_back(stand: &mut Emulated) {
    stand.world.settings(|s| s.body_while_headers_held = false);
    stand.configure(r#"{"rules": [{"match": {"path": "/graphql"}, "post_as_query": true}]}"#).unwrap();
    stand.origin("/graphql", vec![page("data")]);
    // Many at once, and none of them stalls.
    let before = stand.world.now();
    let post = || Request::new("POST", "/graphql").body("{ me { name } }");
    let exchanges: Vec<_> = (0..200).map(|n| stand.start(n % 2, post())).collect();
    exchanges.into_iter().for_each(|exchange| expect_bypass(&stand.finish(exchange), "data"));
    assert!(stand.world.now() - before < 200_000_000);
    assert_eq!(stand.origin_count("/graphql"), 200);
    // A GET is none of these.
    get(stand, 0, "/graphql");
    assert!(get(stand, 1, "/graphql").is_hit());
}

/// As many as one callback gives up: with the last of them nothing is left to do, and the worker has to know.
pub fn a_worker_goes_on_when_it_has_given_up_on_a_callback_full_of_bodies(stand: &mut Emulated) {
    for count in 30..35 {
        stand.world.settings(|s| s.body_while_headers_held = false);
        stand.configure(&format!("{{}}{}", " ".repeat(count))).unwrap(); // A root that knows nothing.
        stand.origin("/full", vec![page("found")]);
        let exchanges: Vec<_> = (0..count).map(|_| stand.start(0, query("/full"))).collect();
        exchanges.into_iter().for_each(|exchange| expect_bypass(&stand.finish(exchange), "found"));
        stand.pass(Duration::from_secs(1));
        assert_eq!(get(stand, 0, "/full").text(), "found", "after {count}");
    }
}

pub fn a_command_whose_body_cannot_be_read_gets_501_with_advice(stand: &mut Emulated) {
    keep_back(stand);
    for (n, worker) in [0, 0, 1, 1].into_iter().enumerate() {
        let (response, took) = timed(stand, worker, purge());
        assert_eq!(response.status, 501, "{}", response.text());
        for word in ["allow_on_headers_stop_iteration", "1.39", "POST /_larder/purge?tag="] {
            assert!(response.text().contains(word), "{word}: {}", response.text());
        }
        assert!(took < if n % 2 == 0 { 150 } else { 5 }, "{took} ms");
    }
    let zone = "/client/v4/zones/z/purge_cache";
    let fastly = || Request::new("POST", "/service/s/purge").field("fastly-key", TOKEN);
    for (request, word) in [
        (commanding("POST", "/_larder/refresh", "{}"), "POST /_larder/refresh?url="),
        (commanding("POST", "/_larder/namespaces", "{}"), "POST /_larder/namespaces?prefix="),
        (commanding("POST", "/_larder/explain", "{}"), "GET /_larder/explain?url="),
        (commanding("POST", "/_larder/invalidate", "{}"), "POST /_larder/purge?tag="),
        (commanding("POST", zone, r#"{"tags": ["t"]}"#), "Cloudflare's clients do not work"),
        (commanding("POST", "/souin-api/souin", "{}"), "use PURGE here"),
        (fastly().body(r#"{"surrogate_keys": ["t"]}"#), "Surrogate-Key"),
    ] {
        let (response, took) = timed(stand, 0, request);
        assert_eq!((response.status, took), (501, 0), "{}", response.text());
        assert!(response.text().contains(word), "{word}: {}", response.text());
    }
    // Said in the query as well, one of the two would be left out.
    let both = command(stand, 0, "POST", "/_larder/purge?tag=t", r#"{"selectors": [{"tag": "t"}]}"#);
    assert_eq!(both.status, 400, "{}", both.text());
    assert!(both.text().contains("either a body or parameters"), "{}", both.text());
    assert_eq!(stand.origin_log().len(), 0, "no command reaches the origin");
}

/// What a command's body says makes no difference to some.
pub fn a_command_that_reads_no_body_is_carried_out_without_it(stand: &mut Emulated) {
    stand.world.settings(|s| s.body_while_headers_held = false);
    stand.configure(&with_admin("").replace("\"tokens\"", "\"methods\": true, \"tokens\"")).unwrap();
    stand.origin("/plain", (0..9).map(|n| page(n.to_string()).field("cache-tag", "t")).collect());
    let bearer = |method: &str, path: &str| commanding(method, path, "ignored");
    let fastly =
        |method: &str, path: &str| Request::new(method, path).field("fastly-key", TOKEN).body("ignored");
    for (n, request) in [
        bearer("PURGE", "/plain"),
        bearer("PURGE", "/souin-api/souin").field("surrogate-key", "t"),
        fastly("POST", "/service/s/purge").field("surrogate-key", "t"),
        fastly("POST", "/service/s/purge/t"),
        fastly("PURGE", "/plain"),
    ]
    .into_iter()
    .enumerate()
    {
        get(stand, 0, "/plain");
        assert!(get(stand, 0, "/plain").is_hit());
        let response = stand.send(0, request);
        assert!(matches!(response.status, 200 | 204), "{n}: {} {}", response.status, response.text());
        assert!(!get(stand, 1, "/plain").is_hit(), "{n}");
    }
    assert_eq!(stand.send(0, commanding("GET", "/_larder/stats", "ignored")).status, 200);
}

pub fn commands_in_the_query_work_where_bodies_are_kept_back(stand: &mut Emulated) {
    keep_back(stand);
    stand.origin("/asked", (0..9).map(|n| page(n.to_string()).field("cache-tag", "t")).collect());
    for (n, command) in [
        "purge?tag=t&mode=hard",
        "purge?url=http://shop.example/asked&mode=hard",
        "namespaces?prefix=http://shop.example/",
    ]
    .into_iter()
    .enumerate()
    {
        get(stand, 0, "/asked");
        assert!(get(stand, 1, "/asked").is_hit());
        let (response, took) = timed(stand, n % 2, commanding("POST", &format!("/_larder/{command}"), ""));
        assert_eq!((response.status, took), (200, 0), "{command}: {}", response.text());
        assert!(!get(stand, 0, "/asked").is_hit(), "{command}");
    }
}

/// A client that is slow shows nothing about Envoy.
pub fn a_client_without_a_body_does_not_affect_others(stand: &mut Emulated) {
    admin(stand);
    stand.origin("/slow", vec![page("found")]);
    for shown in [true, false] {
        stand.world.settings(|s| s.body_while_headers_held = shown);
        stand.configure(&with_admin(&format!(r#""name": "{shown}","#))).unwrap();
        let stalled: Vec<_> = (0..100).map(|_| stand.world.start_without_body(0, query("/slow"))).collect();
        let command = stand.world.start_without_body(0, purge());
        stand.pass(Duration::from_secs(1));
        let (response, took) = timed(stand, 0, query("/slow"));
        assert_eq!(response.text(), "found");
        assert!(took < 300, "{took} ms");
        if shown {
            assert!(timed(stand, 0, query("/slow")).0.is_hit());
            stand.pass(Duration::from_secs(5));
            let late = stand.finish(command);
            assert_eq!(late.status, 408, "{}", late.text());
        } else {
            assert_eq!(stand.finish(command).status, 501);
        }
        stalled.into_iter().for_each(|exchange| stand.leave(exchange));
    }
}

/// A body that has nothing in it but its end shows nothing, and stalls for long once only.
pub fn an_empty_body_stalls_no_second_time(stand: &mut Emulated) {
    keep_back(stand);
    stand.origin("/empty", vec![page("found")]);
    let empty = || query("/empty").body("").trailer("x-end", "1");
    for n in 0..3 {
        let (response, took) = timed(stand, 0, empty());
        expect_bypass(&response, "found");
        assert!(took < if n == 0 { 5_100 } else { 1_100 }, "{n}: {took} ms");
    }
    // Whoever sends something is not mistaken for that.
    stand.world.settings(|s| s.body_while_headers_held = true);
    stand.configure(&with_admin(r#""name": "larder","#)).unwrap();
    let stalled = stand.world.start_without_body(0, query("/empty"));
    stand.pass(Duration::from_secs(6));
    stand.leave(stalled);
    assert!(!stand.send(0, query("/empty")).is_hit());
    assert!(stand.send(0, query("/empty")).is_hit());
    assert_eq!(stand.send(0, purge()).status, 200);
}

/// Another value of the flag is a new root, and bodies that come are believed.
pub fn bodies_that_are_shown_are_read_again(stand: &mut Emulated) {
    keep_back(stand);
    stand.origin("/again", vec![page("found")]);
    for worker in [0, 1] {
        expect_bypass(&stand.send(worker, query("/again")), "found");
        assert_eq!(stand.send(worker, purge()).status, 501);
    }
    stand.world.settings(|s| s.body_while_headers_held = true);
    stand.configure(&with_admin(r#""name": "larder","#)).unwrap();
    assert_eq!(stand.send(0, purge()).status, 200);
    assert!(!stand.send(0, query("/again")).is_hit());
    assert!(stand.send(1, query("/again")).is_hit());
    // Without a push, as far as that can be: one request in ten seconds sees to it.
    stand.world.settings(|s| s.body_while_headers_held = false);
    stand.configure(&with_admin(r#""cache_status": {},"#)).unwrap();
    expect_bypass(&stand.send(0, query("/again")), "found");
    stand.world.settings(|s| s.body_while_headers_held = true);
    expect_bypass(&stand.send(0, query("/again")), "found");
    stand.pass(Duration::from_secs(11));
    for _ in 0..2 {
        assert!(stand.send(0, query("/again")).is_hit());
        assert_eq!(stand.send(0, purge()).status, 200);
    }
    // And where they still are kept back, that look costs nobody more than a moment.
    stand.world.settings(|s| s.body_while_headers_held = false);
    stand.configure(&with_admin(r#""breaker": {},"#)).unwrap();
    for n in 0..20 {
        let (response, took) = timed(stand, 0, query("/again"));
        expect_bypass(&response, "found");
        assert!(took < 150, "{n}: {took} ms");
        stand.pass(Duration::from_secs(3));
    }
}

/// Takes hundreds of connections to one worker.
pub fn commands_without_their_bodies_are_answered_bit_by_bit(stand: &mut Emulated) {
    keep_back(stand);
    let before = stand.world.now();
    let exchanges: Vec<_> = (0..300).map(|_| stand.start(0, purge())).collect();
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert_eq!(response.status, 501, "{}", response.text());
    }
    assert!(stand.world.now() - before < 200_000_000);
    // The same for those whose clients send none.
    stand.world.settings(|s| s.body_while_headers_held = true);
    stand.configure(&with_admin(r#""name": "larder","#)).unwrap();
    let exchanges: Vec<_> = (0..300).map(|_| stand.world.start_without_body(0, purge())).collect();
    stand.pass(Duration::from_secs(6));
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert_eq!(response.status, 408, "{}", response.text());
    }
}

/// Listeners of a sidecar share a plugin configuration, a root and a store, and mean different things by the same URL.
pub fn inbound_and_outbound_listeners_do_not_share_responses(stand: &mut Emulated) {
    let toward = |stand: &mut Emulated, direction: u64| stand.world.settings(|s| s.direction = direction);
    stand.configure(&with_admin(r#""route_metadata": true,"#)).unwrap();
    stand.origin("/both", ["inbound", "outbound", "neither"].into_iter().map(page).collect());
    for (direction, body) in [(1, "inbound"), (2, "outbound"), (0, "neither")] {
        toward(stand, direction);
        let response = get(stand, 0, "/both");
        assert_eq!((response.text().as_str(), response.is_hit()), (body, false));
    }
    for (direction, body) in [(2, "outbound"), (1, "inbound"), (0, "neither"), (1, "inbound")] {
        toward(stand, direction);
        for worker in [0, 1] {
            let response = get(stand, worker, "/both");
            assert_eq!((response.text().as_str(), response.is_hit()), (body, true), "worker {worker}");
        }
    }
    // Each lists what all have stored, and a purge by any covers it in all.
    let listed = command(stand, 0, "GET", "/_larder/entry?url=http://shop.example/both", "");
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
    let keys: Vec<_> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().any(|key| key.ends_with("listener direction: inbound")), "{keys:?}");
    stand.origin("/both", vec![Reply::ok("new").field("cache-control", "max-age=600")]);
    assert_eq!(
        command(stand, 0, "POST", "/_larder/purge?url=http://shop.example/both&mode=hard", "").status,
        200
    );
    for direction in [0, 1, 2] {
        toward(stand, direction);
        let response = get(stand, 1, "/both");
        assert_eq!((response.text().as_str(), response.is_hit()), ("new", false));
    }
}
