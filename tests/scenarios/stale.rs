//! Stale responses, and an origin in trouble (RFC 5861, RFC 9111 §4.2.4).

use std::time::Duration;

use super::telling::{
    await_hit, await_origin, expect_hit, expect_miss, get, in_time, page, soon, stale_page, ttl, with_admin,
};
use crate::stand::{Ending, Reply, Request, Stand};

/// Long enough for a refresh to be stored, not for anything to become stale.
const SOON: Duration = Duration::from_millis(300);

pub fn a_stale_response_is_served_at_once_while_one_fetch_refreshes_it(stand: &mut dyn Stand) {
    let slow = page("new").delay(Duration::from_secs(1));
    stand.origin("/stale/while", vec![stale_page("old", ", stale-while-revalidate=300"), slow]);
    get(stand, 0, "/stale/while");
    for worker in [0, 1, 0, 1] {
        let hit = expect_hit(stand, worker, "/stale/while", "old");
        assert!(ttl(&hit) <= -40 && hit.field("cache-status").ends_with("; detail=stale-while-revalidate"));
        assert!(hit.field("age").parse::<u64>().unwrap() >= 100);
    }
    await_origin(stand, "/stale/while", 2);
    let asked = stand.origin_log().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), "\"old\"");
    for worker in [0, 1] {
        let hit = await_hit(stand, worker, "/stale/while", "new");
        assert!(ttl(&hit) > 0);
    }
    assert_eq!(stand.origin_count("/stale/while"), 2);
}

pub fn a_stale_response_is_sent_with_an_age_past_its_lifetime(stand: &mut dyn Stand) {
    stand
        .configure(
            r#"{"rules": [{"match": {"path": "/stale/aged/**"}, "ttl": "1s", "stale_while_revalidate": "60s"},
                {"match": {"path": "/stale/aged-error/**"}, "ttl": "1s", "stale_if_error": "60s"}]}"#,
        )
        .unwrap();
    // A rule has made it stale. By its own word it is fresh for another ten minutes.
    let slow = || page("new").delay(Duration::from_secs(1));
    let down = || Reply::status(503);
    for (path, next) in [("/stale/aged/a", slow()), ("/stale/aged-error/a", down())] {
        stand.origin(path, vec![page("old").field("etag", "\"old\""), next]);
        get(stand, 0, path);
        assert!(expect_hit(stand, 1, path, "old").field("age").parse::<u64>().unwrap() < 5);
        stand.pass(Duration::from_millis(1100));
        for worker in [0, 1] {
            let hit = expect_hit(stand, worker, path, "old");
            assert!(hit.field("age").parse::<u64>().unwrap() >= 600, "{path}: {}", hit.field("age"));
        }
    }
}

pub fn a_lifetime_from_a_rule_does_not_change_age(stand: &mut dyn Stand) {
    stand.configure(r#"{"rules": [{"match": {"path": "/stale/longer"}, "ttl": "1h"}]}"#).unwrap();
    let reply = Reply::ok("page").field("cache-control", "max-age=60").field("age", "100");
    stand.origin("/stale/longer", vec![reply.field("etag", "\"v\"")]);
    get(stand, 0, "/stale/longer");
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/stale/longer", "page");
        let age: u64 = hit.field("age").parse().unwrap();
        assert!((100..110).contains(&age) && ttl(&hit) > 3000, "{age}: {}", hit.field("cache-status"));
        // Whoever asks again, since the origin's lifetime is over, is answered from the cache.
        let again = stand.send(worker, Request::get("/stale/longer").field("if-none-match", "\"v\""));
        assert_eq!((again.status, again.is_hit()), (304, true));
    }
    assert_eq!(stand.origin_count("/stale/longer"), 1);
}

pub fn a_refresh_that_is_confirmed_makes_the_stored_response_fresh(stand: &mut dyn Stand) {
    let confirmed = Reply::status(304).field("etag", "\"old\"").field("cache-control", "max-age=600");
    stand.origin("/stale/confirmed", vec![stale_page("old", ", stale-while-revalidate=300"), confirmed]);
    get(stand, 0, "/stale/confirmed");
    expect_hit(stand, 1, "/stale/confirmed", "old");
    for worker in [0, 1] {
        let confirmed = soon(stand, |stand| ttl(&expect_hit(stand, worker, "/stale/confirmed", "old")) > 500);
        assert!(confirmed, "on worker {worker}");
    }
    assert_eq!(stand.origin_count("/stale/confirmed"), 2);
}

pub fn a_refresh_does_not_speak_for_the_client_that_caused_it(stand: &mut dyn Stand) {
    let old = stale_page("old", ", public, stale-while-revalidate=300");
    stand.origin("/stale/nobody", vec![old, page("new")]);
    get(stand, 0, "/stale/nobody");
    let request = Request::get("/stale/nobody").field("authorization", "Basic YTpi").field("cookie", "me=1");
    let request = request.field("if-none-match", "\"mine\"").field("accept-language", "de");
    let others =
        ["x-envoy-max-retries", "x-forwarded-client-cert", "cf-connecting-ip", "traceparent", "x-mine"];
    let request = others.iter().fold(request, |request, name| request.field(name, "9"));
    assert!(stand.send(1, request).is_hit());
    await_origin(stand, "/stale/nobody", 2);
    let asked = stand.origin_log().pop().unwrap();
    for name in ["authorization", "cookie", "x-forwarded-for"].iter().chain(&others) {
        assert_eq!(asked.field(name), "", "{name}");
    }
    assert_eq!((asked.field("accept-language"), asked.field("host")), ("de".into(), "shop.example".into()));
    assert_eq!(asked.field("if-none-match"), "\"old\"");
}

/// As many refreshes as may run at a time are waiting for an origin that is slow with their pages.
pub fn slow_pages_do_not_keep_others_from_being_refreshed(stand: &mut dyn Stand) {
    let collapse = r#""collapse": {"cluster": "route_loop", "refresh_concurrency_max": 2, "lease": "1s"},"#;
    stand.configure(&with_admin(collapse)).unwrap();
    let old = || stale_page("old", ", stale-while-revalidate=300");
    for n in 0..2 {
        let path = format!("/stale/slow-{n}");
        stand.origin(&path, vec![old(), page("new").delay(Duration::from_secs(8))]);
        get(stand, 0, &path);
        expect_hit(stand, 0, &path, "old");
        await_origin(stand, &path, 2);
    }
    stand.origin("/stale/quick", vec![old(), page("new")]);
    get(stand, 0, "/stale/quick");
    let refreshed = soon(stand, |stand| get(stand, 0, "/stale/quick").text() == "new");
    assert!(refreshed, "the slow ones hold all places");
}

pub fn a_refresh_that_fails_leaves_the_stale_response_and_is_not_repeated_at_once(stand: &mut dyn Stand) {
    for (n, failure) in
        [Reply::status(503).body("down"), Reply::ok("").ending(Ending::NoResponse)].into_iter().enumerate()
    {
        let path = format!("/stale/failed-{n}");
        // A failure is remembered for half a second at least.
        let (asked, path) = in_time(stand, Duration::from_millis(500), |stand, number| {
            let path = format!("{path}-{number}");
            let old = stale_page("old", ", stale-while-revalidate=300");
            stand.origin(&path, vec![old, failure.clone()]);
            get(stand, 0, &path);
            expect_hit(stand, 0, &path, "old");
            await_origin(stand, &path, 2);
            stand.pass(Duration::from_millis(50));
            for worker in [0, 1, 0] {
                expect_hit(stand, worker, &path, "old");
            }
            stand.pass(Duration::from_millis(50));
            (stand.origin_count(&path), path)
        });
        assert_eq!(asked, 2, "a failure is remembered for a second");
        stand.pass(Duration::from_millis(1100));
        expect_hit(stand, 1, &path, "old");
        await_origin(stand, &path, 3);
    }
}

pub fn a_truncated_refresh_is_not_stored(stand: &mut dyn Stand) {
    let broken = page("brand new").ending(Ending::ResetAfter(5));
    stand.origin("/stale/broken", vec![stale_page("old", ", stale-while-revalidate=300"), broken]);
    get(stand, 0, "/stale/broken");
    expect_hit(stand, 1, "/stale/broken", "old");
    await_origin(stand, "/stale/broken", 2);
    stand.pass(SOON);
    for worker in [0, 1] {
        expect_hit(stand, worker, "/stale/broken", "old");
    }
}

pub fn a_stale_response_helps_out_when_the_origin_fails(stand: &mut dyn Stand) {
    let failures = [
        Reply::status(500).body("oops"),
        Reply::status(502).body("oops"),
        Reply::status(503).body("oops"),
        Reply::status(504).body("oops"),
        Reply::ok("").ending(Ending::NoResponse),
    ];
    for (n, failure) in failures.into_iter().enumerate() {
        let path = format!("/stale/error-{n}");
        stand.origin(&path, vec![stale_page("old", ", stale-if-error=300"), failure]);
        get(stand, 0, &path);
        for worker in [0, 1] {
            let hit = expect_hit(stand, worker, &path, "old");
            assert!(
                hit.field("cache-status").ends_with("; detail=stale-if-error"),
                "{}",
                hit.field("cache-status")
            );
        }
    }
}

pub fn a_stale_response_is_served_when_the_origin_refuses_connections(stand: &mut dyn Stand) {
    stand.origin("/stale/refused", vec![stale_page("old", ", stale-if-error=300"), page("new")]);
    stand.origin("/stale/refused-strict", vec![stale_page("old", ", stale-if-error=300, must-revalidate")]);
    get(stand, 0, "/stale/refused");
    get(stand, 0, "/stale/refused-strict");
    stand.origin_listens(false);
    for worker in [0, 1] {
        expect_hit(stand, worker, "/stale/refused", "old");
        assert_eq!(get(stand, worker, "/stale/refused-strict").status, 503);
        assert_eq!(get(stand, worker, "/stale/refused-unknown").status, 503);
    }
    stand.origin_listens(true);
    stand.pass(Duration::from_millis(1100));
    // It was taken to be down; this shows that it is not.
    assert_eq!(get(stand, 0, "/stale/refused-unknown").status, 404);
    // Its own failures are remembered, the longer the more there were of them.
    let mut hits = Vec::new();
    let came = soon(stand, |stand| {
        let response = get(stand, 0, "/stale/refused");
        hits.push(response.is_hit());
        response.text() == "new"
    });
    assert!(came && hits.pop() == Some(false), "it comes with a request of its own");
    expect_hit(stand, 1, "/stale/refused", "new");
}

pub fn no_response_is_served_stale_beyond_its_window(stand: &mut dyn Stand) {
    let cases = [
        ", stale-if-error=10, stale-while-revalidate=10",
        ", stale-if-error=300, stale-while-revalidate=300, must-revalidate",
        ", stale-if-error=300, stale-while-revalidate=300, proxy-revalidate",
        ", stale-if-error=300, stale-while-revalidate=300, s-maxage=60",
        "",
    ];
    for (n, windows) in cases.into_iter().enumerate() {
        let path = format!("/stale/never-{n}");
        stand.origin(&path, vec![stale_page("old", windows), Reply::status(503).body("down")]);
        get(stand, 0, &path);
        for worker in [0, 1] {
            let response = get(stand, worker, &path);
            assert_eq!((response.status, response.text().as_str()), (503, "down"), "{windows}");
            assert!(!response.is_hit());
        }
    }
}

pub fn a_rule_may_let_the_windows_beside_s_maxage_count(stand: &mut dyn Stand) {
    let rules = r#"{"rules": [{"match": {"path": "/stale/meant"}, "stale_despite_s_maxage": true}]}"#;
    stand.configure(rules).unwrap();
    let window = ", stale-while-revalidate=300, s-maxage=0";
    for path in ["/stale/meant", "/stale/strict"] {
        stand.origin(path, vec![stale_page("old", window), page("new")]);
        get(stand, 0, path);
    }
    let hit = expect_hit(stand, 1, "/stale/meant", "old");
    assert!(hit.field("cache-status").ends_with("; detail=stale-while-revalidate"));
    expect_miss(stand, 1, "/stale/strict", "new");
}

pub fn windows_can_come_from_rules(stand: &mut dyn Stand) {
    let rules = r#"{"rules": [{"match": {"path": "/stale/rule-*"}, "stale_while_revalidate": "5m", "stale_if_error": "10m"}]}"#;
    stand.configure(rules).unwrap();
    stand.origin("/stale/rule-while", vec![stale_page("old", ""), page("new")]);
    stand.origin(
        "/stale/rule-error",
        vec![stale_page("old", ", stale-while-revalidate=0"), Reply::status(503)],
    );
    stand.origin(
        "/stale/rule-own-word",
        vec![stale_page("old", ", stale-while-revalidate=10, stale-if-error=10"), page("new")],
    );
    for path in ["/stale/rule-while", "/stale/rule-error", "/stale/rule-own-word"] {
        get(stand, 0, path);
    }
    expect_hit(stand, 1, "/stale/rule-while", "old");
    expect_hit(stand, 1, "/stale/rule-error", "old");
    expect_miss(stand, 1, "/stale/rule-own-word", "new");
}

pub fn max_stale_accepts_a_stale_response(stand: &mut dyn Stand) {
    stand.origin("/stale/accepted", vec![stale_page("old", ""), page("new")]);
    get(stand, 0, "/stale/accepted");
    for control in ["max-stale", "max-stale=100"] {
        let response = stand.send(1, Request::get("/stale/accepted").field("cache-control", control));
        assert_eq!((response.is_hit(), response.text().as_str()), (true, "old"), "{control}");
        assert!(response.field("cache-status").ends_with("; detail=max-stale"));
    }
    let response = stand.send(1, Request::get("/stale/accepted").field("cache-control", "max-stale=10"));
    assert_eq!((response.is_hit(), response.text().as_str()), (false, "new"));
}

pub fn a_client_that_wants_no_stale_response_waits_for_the_origin(stand: &mut dyn Stand) {
    stand.origin("/stale/unwanted", vec![stale_page("old", ", stale-while-revalidate=300"), page("new")]);
    get(stand, 0, "/stale/unwanted");
    let response = stand.send(1, Request::get("/stale/unwanted").field("cache-control", "no-cache"));
    assert_eq!((response.is_hit(), response.text().as_str()), (false, "new"));
    expect_hit(stand, 0, "/stale/unwanted", "new");
}

pub fn a_stale_response_helps_out_when_the_origin_is_too_slow(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"cluster": "route_loop", "fetch_timeout": "300ms"}}"#).unwrap();
    let slow = page("new").delay(Duration::from_secs(3));
    stand.origin("/stale/slow", vec![stale_page("old", ", stale-if-error=300"), slow]);
    get(stand, 0, "/stale/slow");
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/stale/slow", "old");
        assert!(hit.field("cache-status").ends_with("; detail=stale-if-error"));
    }
}
