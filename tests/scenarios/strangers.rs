//! What one client is told by the origin keeps nothing from others ("hit-for-miss"): while it is remembered that a response
//! was of no use to others nobody waits, and the first response that is of use is stored.

use std::time::Duration;

use super::telling::{await_hit, await_origin, expect_hit, get, page, purge_url, stale_page, with_admin};
use crate::stand::{Ending, Exchange, Reply, Request, SHIPPED, Stand};

/// Enough for a message to another worker.
const SOON: Duration = Duration::from_millis(50);
const SLOW: Duration = Duration::from_secs(1);

/// What a stranger's request looks like, what it is told, and why that is of no use to others.
fn strangers() -> Vec<(&'static str, (&'static str, &'static str), Reply, &'static str)> {
    let cacheable = || page("the stranger's");
    let control = |value: &str| Reply::ok("the stranger's").field("cache-control", value);
    let error = |status: u16| Reply::status(status).body("no");
    vec![
        ("host", ("x-host", "shop.example:"), error(400), "no-freshness"),
        ("agent", ("user-agent", "curl"), error(403), "no-freshness"),
        ("fast", ("x-client", "1"), error(429).field("cache-control", "max-age=60"), "status"),
        ("accept", ("accept", "text/x-unheard-of"), error(406), "no-freshness"),
        (
            "login",
            ("authorization", "Basic c3RyYW5nZXI="),
            error(401).field("cache-control", "no-store"),
            "no-store",
        ),
        ("match", ("if-match", "\"x\""), error(412), "status"),
        ("early", ("early-data", "1"), error(425), "status"),
        ("user", ("cookie", "user=1"), control("private, max-age=60"), "private"),
        ("preview", ("x-preview", "1"), control("no-store"), "no-store"),
        ("visitor", ("x-visitor", "new"), cacheable().field("set-cookie", "id=1"), "set-cookie"),
        ("bare", ("x-plain", "1"), Reply::ok("the stranger's"), "no-freshness"),
        ("any", ("x-any", "1"), cacheable().field("vary", "*"), "vary-any"),
        ("tagged", ("x-tags", "1"), cacheable().field("cache-tag", "t".repeat(2_000)), "limits"),
        ("full", ("x-full", "1"), cacheable().body(vec![b'x'; 70_000]), "too-large"),
        ("broken", ("x-crash", "1"), error(500), "provoked"),
    ]
}

fn small(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""store": {"object_bytes_max": "64KiB"},"#)).unwrap();
}

pub fn one_clients_uncacheable_response_does_not_prevent_storing(stand: &mut dyn Stand) {
    small(stand);
    for (name, (field, value), told, why) in strangers() {
        let path = format!("/strangers/{name}");
        stand.origin(&path, vec![told.clone(), told, page("for all"), page("never asked for")]);
        // Both workers know that it is of no use to others.
        for worker in [0, 1] {
            let stranger = stand.send(worker, Request::get(&path).field(field, value));
            assert_eq!(
                stranger.field("cache-status"),
                format!("larder; fwd=uri-miss; detail={why}"),
                "{name}"
            );
        }
        let first = get(stand, 0, &path);
        assert_eq!(first.field("cache-status"), "larder; fwd=uri-miss; stored", "{name}");
        assert_eq!(first.text(), "for all", "{name}");
        stand.pass(SOON);
        for worker in [1, 0] {
            expect_hit(stand, worker, &path, "for all");
        }
    }
}

pub fn each_response_reports_its_own_reason(stand: &mut dyn Stand) {
    let control = |value: &str| Reply::ok("page").field("cache-control", value);
    stand.origin(
        "/strangers/words",
        vec![
            control("private"),
            control("no-store"),
            Reply::ok("page"),
            control("max-age=60").field("vary", "*"),
        ],
    );
    for (worker, why) in [(0, "private"), (1, "no-store"), (0, "no-freshness"), (1, "vary-any")] {
        let response = get(stand, worker, "/strangers/words");
        assert_eq!(response.field("cache-status"), format!("larder; fwd=uri-miss; detail={why}"));
    }
}

pub fn hit_for_miss_ends_with_the_first_storable_response(stand: &mut dyn Stand) {
    let path = "/strangers/crowd";
    let own = Reply::ok("own").field("cache-control", "private");
    let mut replies = vec![own.clone(), own.delay(SLOW)];
    replies.extend((0..9).map(|_| page("for all").delay(SLOW)));
    stand.origin(path, replies);
    get(stand, 0, path);
    let exchanges: Vec<Exchange> = (0..10).map(|n| stand.start(n % 2, Request::get(path))).collect();
    await_origin(stand, path, 11);
    let mut stored = 0;
    for exchange in exchanges {
        let response = stand.finish(exchange);
        let status = response.field("cache-status");
        assert!(!response.is_hit() && !status.contains("collapsed"), "{status}");
        stored += usize::from(status == "larder; fwd=uri-miss; stored");
    }
    assert!((1..=9).contains(&stored), "{stored}");
    stand.pass(SOON);
    for worker in [0, 1] {
        expect_hit(stand, worker, path, "for all");
    }
    assert_eq!(stand.origin_count(path), 11);
}

/// Two responses that went to the origin beside any flight: what was asked for later is newer, whichever comes first.
pub fn of_two_responses_the_one_that_was_asked_for_later_stays(stand: &mut dyn Stand) {
    for (n, delays) in [[SLOW, SLOW / 4], [SLOW / 4, SLOW]].into_iter().enumerate() {
        let path = format!("/strangers/order-{n}");
        let own = Reply::ok("own").field("cache-control", "private");
        stand.origin(&path, vec![own, page("older").delay(delays[0]), page("newer").delay(delays[1])]);
        get(stand, 0, &path);
        let older = stand.start(0, Request::get(&path));
        await_origin(stand, &path, 2);
        stand.pass(Duration::from_millis(20));
        let newer = stand.start(1, Request::get(&path));
        await_origin(stand, &path, 3);
        for (exchange, body) in [(older, "older"), (newer, "newer")] {
            assert_eq!(stand.finish(exchange).text(), body);
        }
        stand.pass(SOON);
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "newer");
        }
    }
}

pub fn a_late_response_does_not_undo_a_purge(stand: &mut dyn Stand) {
    small(stand);
    let path = "/strangers/purged";
    let own = Reply::ok("own").field("cache-control", "private");
    stand.origin(path, vec![own, page("purged").delay(SLOW), page("new")]);
    get(stand, 0, path);
    let beside = stand.start(0, Request::get(path));
    await_origin(stand, path, 2);
    purge_url(stand, 1, path, "hard");
    assert_eq!(stand.finish(beside).text(), "purged");
    for worker in [1, 0] {
        assert_eq!(get(stand, worker, path).text(), "new");
    }
}

pub fn a_variant_that_went_beside_is_stored_like_any(stand: &mut dyn Stand) {
    let path = "/strangers/varied";
    let varied = |body: &str| page(body).field("vary", "accept-language");
    let own = Reply::ok("own").field("cache-control", "private");
    stand.origin(path, vec![own.clone(), varied("de"), own, varied("en")]);
    let request = |language: &str| Request::get(path).field("accept-language", language);
    get(stand, 0, path);
    for language in ["de", "en"] {
        let first = stand.send(0, request(language));
        if language == "en" {
            assert_eq!(first.text(), "own");
            assert_eq!(stand.send(1, request(language)).text(), "en");
        }
        stand.pass(SOON);
        for worker in [1, 0] {
            let hit = stand.send(worker, request(language));
            assert!(hit.is_hit() && hit.text() == language, "{}", hit.field("cache-status"));
        }
    }
    assert_eq!(stand.origin_count(path), 4);
}

pub fn a_truncated_response_beside_a_flight_is_not_stored(stand: &mut dyn Stand) {
    let path = "/strangers/broken";
    let own = Reply::ok("own").field("cache-control", "private");
    let torn = page("0123456789").ending(Ending::ResetAfter(3));
    stand.origin(path, vec![own, torn, page("whole")]);
    get(stand, 0, path);
    assert!(!get(stand, 0, path).complete);
    assert_eq!(get(stand, 1, path).field("cache-status"), "larder; fwd=uri-miss; stored");
    stand.pass(SOON);
    expect_hit(stand, 0, path, "whole");
}

/// A stored copy stays for others whatever one client is told, and is refreshed for them at once.
pub fn one_clients_private_response_does_not_stop_refreshes(stand: &mut dyn Stand) {
    small(stand);
    for (name, (field, value), told, _) in strangers() {
        let path = format!("/strangers/stale-{name}");
        let replies = vec![page("old").field("etag", "\"1\""), told, page("new").field("etag", "\"2\"")];
        stand.origin(&path, replies);
        get(stand, 0, &path);
        purge_url(stand, 0, &path, "soft");
        // It wants no stale response. (Where Larder's own request is refused, it asks once more itself.)
        stand.send(0, Request::get(&path).field(field, value).field("cache-control", "no-cache"));
        let mut seen = Vec::new();
        for n in 0..20 {
            let response = get(stand, n % 2, &path);
            assert!(["old", "new"].contains(&response.text().as_str()), "{name}: {}", response.text());
            seen.push(response.text());
            stand.pass(Duration::from_millis(if name == "broken" { 100 } else { 20 }));
        }
        assert!(seen.ends_with(&["new".to_owned(), "new".to_owned()]), "{name}: {seen:?}");
    }
}

/// What one client's request is so odd for that the origin fails is no failure of the resource.
pub fn a_suspicious_request_does_not_keep_a_stale_response(stand: &mut dyn Stand) {
    small(stand);
    let path = "/strangers/odd";
    let replies =
        vec![page("old").field("etag", "\"1\""), Reply::status(500), page("new").field("etag", "\"2\"")];
    stand.origin(path, replies);
    get(stand, 0, path);
    purge_url(stand, 0, path, "soft");
    let odd = || Request::get(path).field("accept-language", "x".repeat(5_000));
    // Served what is stale, it refreshes nothing; when it insists, the origin fails for it alone.
    assert_eq!(stand.send(0, odd()).text(), "old");
    stand.pass(SOON);
    assert_eq!(stand.origin_count(path), 1);
    stand.send(0, odd().field("cache-control", "no-cache"));
    for worker in [0, 1, 0, 1] {
        get(stand, worker, path);
        stand.pass(SOON);
    }
    for worker in [0, 1] {
        expect_hit(stand, worker, path, "new");
    }
}

/// What each origin is told lies under a list, and stays there when a response beside any flight says nothing of origins.
pub fn a_response_beside_a_flight_keeps_other_cors_variants(stand: &mut dyn Stand) {
    small(stand);
    let path = "/strangers/origins";
    let of_a = page("for a").field("access-control-allow-origin", "https://a.example");
    let own = Reply::ok("own").field("cache-control", "no-store");
    stand.origin(path, vec![of_a, own, page("plain"), page("more")]);
    let from_a = || Request::get(path).field("origin", "https://a.example");
    assert_eq!(stand.send(0, from_a()).text(), "for a");
    assert_eq!(get(stand, 0, path).text(), "own");
    assert_eq!(get(stand, 0, path).text(), "plain");
    for worker in [0, 1] {
        let answer = stand.send(worker, from_a());
        assert!(answer.is_hit() && answer.text() == "for a", "{}", answer.field("cache-status"));
        expect_hit(stand, worker, path, "plain");
    }
}

/// Bytes that are not UTF-8 cannot be said in a call, and keep nothing from being refreshed or stored.
pub fn a_request_with_bytes_that_are_not_text_does_not_keep_a_stale_response(stand: &mut dyn Stand) {
    small(stand);
    for (name, field) in [("unknown", "x-bytes"), ("preference", "accept-language"), ("agent", "user-agent")]
    {
        let path = format!("/strangers/bytes-{name}");
        let etag = |tag: &[u8]| page("old").field("etag", tag);
        stand.origin(&path, vec![etag(b"\"caf\xe9\""), page("new"), page("new")]);
        get(stand, 0, &path);
        purge_url(stand, 0, &path, "soft");
        let stranger = || Request::get(&path).field(field, b"caf\xe9 \xff");
        for worker in [0, 1, 0] {
            assert_eq!(stand.send(worker, stranger()).status, 200);
        }
        for worker in [0, 1] {
            await_hit(stand, worker, &path, "new");
        }
        purge_url(stand, 0, &path, "hard");
        for worker in [0, 1, 0] {
            assert_eq!(stand.send(worker, stranger()).text(), "new");
        }
        expect_hit(stand, 1, &path, "new");
    }
}

/// The origin fails for one client, because of what that sends: others are not given what is stale for it.
pub fn a_failure_that_one_client_provokes_is_its_own(stand: &mut dyn Stand) {
    for (name, configuration) in [("table", SHIPPED), ("inline", "{}")] {
        stand.configure(configuration).unwrap();
        let path = format!("/strangers/provoked-{name}");
        let old = stale_page("old", ", stale-if-error=300");
        stand.origin(&path, vec![old, Reply::status(500), Reply::status(500), page("new")]);
        get(stand, 0, &path);
        let crash = Request::get(&path).field("x-crash", "1");
        assert_eq!(stand.send(0, crash).text(), "old", "{name}: it may have that itself");
        let asked = stand.origin_count(&path);
        stand.origin(&path, vec![page("new")]);
        assert_eq!(get(stand, 1, &path).text(), "new", "{name}: the origin was asked {asked} times");
    }
}

/// An uncacheable page costs a fetch for each, and nobody waits for another's.
pub fn an_uncacheable_response_is_never_waited_for(stand: &mut dyn Stand) {
    let path = "/strangers/never";
    stand.origin(path, vec![Reply::ok("own").field("cache-control", "no-store").delay(SLOW / 4)]);
    get(stand, 0, path);
    for round in 0..5 {
        let exchanges: Vec<Exchange> = (0..6).map(|n| stand.start(n % 2, Request::get(path))).collect();
        await_origin(stand, path, 1 + 6 * (round + 1));
        for exchange in exchanges {
            let response = stand.finish(exchange);
            assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=no-store");
        }
    }
}

/// A firewall refuses one kind of client: whatever lifetime such errors are given here, others ask for themselves.
pub fn a_403_for_one_client_is_not_served_to_others(stand: &mut dyn Stand) {
    let refused = || Reply::status(403).body("refused");
    stand.configure(&with_admin(r#""ttl": {"status": {"4xx": "10m"}},"#)).unwrap();
    stand.origin("/firewall/class", vec![refused(), page("for all")]);
    let scanner = |path: &str| Request::get(path).field("user-agent", "scanner");
    let first = stand.send(0, scanner("/firewall/class"));
    assert_eq!(first.field("cache-status"), "larder; fwd=uri-miss; detail=no-freshness");
    assert_eq!(get(stand, 1, "/firewall/class").text(), "for all");
    // By its own number it is meant, for this kind of client.
    stand.configure(&with_admin(r#""ttl": {"status": {"403": "10m", "404": "10m"}},"#)).unwrap();
    stand.origin("/firewall/named", vec![refused(), page("for all"), page("never asked for")]);
    assert_eq!(stand.send(0, scanner("/firewall/named")).status, 403);
    let again = stand.send(1, scanner("/firewall/named"));
    assert_eq!((again.status, again.is_hit()), (403, true), "{}", again.field("cache-status"));
    assert_eq!(get(stand, 1, "/firewall/named").text(), "for all");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/firewall/named", "for all");
    }
    stand.origin("/firewall/cookie", vec![refused(), refused(), page("for all")]);
    let user = |path: &str| Request::get(path).field("cookie", "user=1");
    for worker in [0, 1] {
        let told = stand.send(worker, user("/firewall/cookie"));
        assert_eq!(told.field("cache-status"), "larder; fwd=uri-miss; detail=cookie");
    }
    // That there is nothing is the same for all.
    stand.origin("/firewall/nothing", vec![Reply::status(404), page("never asked for")]);
    assert_eq!(stand.send(0, scanner("/firewall/nothing")).status, 404);
    assert!(get(stand, 1, "/firewall/nothing").is_hit());
}
