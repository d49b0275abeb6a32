//! An origin in trouble: what still answers, and how often it is asked meanwhile.

use std::time::Duration;

use super::telling::{
    await_hit, await_origin, expect_hit, expect_miss, get, in_time, page, soon, stale_page,
};
use crate::stand::{Ending, Reply, Request, Stand};

/// Longer than anybody stays.
const NEVER: Duration = Duration::from_secs(9);

/// Longer than anything is left alone after its first failure.
const ONE_FAILURE: Duration = Duration::from_millis(1100);

fn why(response: &crate::stand::Response) -> String {
    let status = response.field("cache-status");
    status.rsplit_once("; detail=").map(|(_, why)| why.to_owned()).unwrap_or_default()
}

pub fn a_stale_copy_is_served_when_a_client_bound_fetch_fails(stand: &mut dyn Stand) {
    // Only a request with that cookie can fetch it, so it waits for the origin itself.
    let old = stale_page("old", ", stale-while-revalidate=300").field("vary", "cookie");
    let asked = in_time(stand, Duration::from_millis(500), |stand, number| {
        let path = format!("/trouble/own-{number}");
        stand.origin(&path, vec![old.clone(), Reply::status(503).body("down")]);
        let member = || Request::get(&path).field("cookie", "member");
        stand.send(0, member());
        for worker in [0, 1] {
            let response = stand.send(worker, member());
            assert_eq!((response.status, response.text().as_str()), (200, "old"));
            assert_eq!(why(&response), "stale-while-revalidate");
        }
        stand.origin_count(&path)
    });
    assert_eq!(asked, 2, "what has just failed is not tried again");
}

pub fn an_error_does_not_replace_a_usable_stale_response(stand: &mut dyn Stand) {
    for fetch in ["auto", "inline"] {
        let rules =
            format!(r#"{{"ttl": {{"status": {{"5xx": "1m"}}}}, "collapse": {{"fetch": "{fetch}"}}}}"#);
        stand.configure(&rules).unwrap();
        let path = format!("/trouble/better-{fetch}");
        let error = || Reply::status(503).body("down");
        let said = error().field("cache-control", "max-age=600");
        stand.origin(&path, vec![stale_page("old", ", stale-if-error=300"), error(), said, page("new")]);
        get(stand, 0, &path);
        for _ in 0..2 {
            for worker in [0, 1] {
                assert_eq!(why(&expect_hit(stand, worker, &path, "old")), "stale-if-error");
            }
            stand.pass(ONE_FAILURE * 2);
        }
        expect_miss(stand, 0, &path, "new");
        assert_eq!(stand.origin_count(&path), 4);
    }
}

pub fn errors_are_remembered_for_a_time_of_their_own(stand: &mut dyn Stand) {
    for fetch in ["auto", "dispatched"] {
        let rules = format!(
            r#"{{"ttl": {{"default": "1h", "status": {{"404": "3s", "410": "1m", "5xx": "3s"}}}}, "collapse": {{"fetch": "{fetch}", "cluster": "route_loop"}}}}"#
        );
        stand.configure(&rules).unwrap();
        // What Larder's own request is refused with, a client's own may get or not: only that is stored.
        let errors = if fetch == "auto" { 1 } else { 2 };
        for status in [404, 410, 500, 503] {
            let path = format!("/trouble/negative-{fetch}-{status}");
            let mut replies = vec![Reply::status(status).body("no"); errors];
            replies.push(page("yes"));
            stand.origin(&path, replies);
            assert_eq!(get(stand, 0, &path).status, status);
            for worker in [0, 1] {
                let again = get(stand, worker, &path);
                assert_eq!((again.status, again.is_hit(), again.text().as_str()), (status, true, "no"));
            }
        }
        stand.pass(Duration::from_millis(3100));
        for status in [404, 500, 503] {
            expect_miss(stand, 1, &format!("/trouble/negative-{fetch}-{status}"), "yes");
        }
        assert_eq!(get(stand, 1, &format!("/trouble/negative-{fetch}-410")).status, 410);
    }
}

/// A stored 404 is an answer; a stored 503 would only make an outage longer.
pub fn a_stale_404_is_served_on_error_and_a_stale_5xx_is_not(stand: &mut dyn Stand) {
    let windows = r#""stale_while_revalidate": "1h", "stale_if_error": "1h","#;
    // No probe comes in between.
    let breaker = BREAKER.replace("1s", "1m");
    stand.configure(&format!(r#"{{{windows} {breaker} "name": "l"}}"#)).unwrap();
    let brief = |status, body: &str| Reply::status(status).body(body).field("cache-control", "max-age=3");
    let strict = |status, body: &str| {
        let control = "max-age=3, stale-while-revalidate=0";
        Reply::status(status).body(body).field("cache-control", control)
    };
    let down = || Reply::status(503).body("down");
    let cases = [
        (404, strict(404, "old")),
        (410, strict(410, "old")),
        (500, brief(500, "old")),
        (503, brief(503, "old")),
    ];
    for (status, stored) in &cases {
        let path = format!("/gone/{status}");
        stand.origin(&path, vec![stored.clone(), down()]);
        assert_eq!(get(stand, 0, &path).text(), "old");
        assert!(get(stand, 1, &path).is_hit());
    }
    stand.pass(Duration::from_millis(4100));
    for (status, _) in &cases {
        let seen = get(stand, 1, &format!("/gone/{status}"));
        let expected = if *status < 500 { (*status, "old") } else { (503, "down") };
        assert_eq!((seen.status, seen.text().as_str()), expected, "{status}");
        assert_eq!(why(&seen).starts_with("stale-if-"), *status < 500, "{status}: {}", why(&seen));
    }
    // The breaker has opened; what failed is asked for all the same, and shows that the origin is back.
    assert_eq!(stand.metric("breaker_opened"), 1);
    assert_eq!(why(&get(stand, 0, "/gone/410")), "stale-if-down");
    assert_eq!(get(stand, 0, "/gone/503").text(), "down");
    stand.origin("/gone/503", vec![page("new")]);
    expect_miss(stand, 1, "/gone/503", "new");
}

pub fn waiters_past_wait_max_are_served_stale(stand: &mut dyn Stand) {
    stand
        .configure(r#"{"collapse": {"cluster": "route_loop", "wait_max": "1500ms", "lease": "500ms"}}"#)
        .unwrap();
    let slow = page("new").delay(Duration::from_secs(5));
    stand.origin("/trouble/slow", vec![stale_page("old", ", stale-if-error=300"), slow]);
    get(stand, 0, "/trouble/slow");
    let waiting: Vec<_> = (0..4).map(|n| stand.start(n % 2, Request::get("/trouble/slow"))).collect();
    for exchange in waiting {
        let response = stand.finish(exchange);
        assert_eq!((response.status, response.text().as_str()), (200, "old"));
        assert_eq!(why(&response), "stale-if-error");
    }
    assert_eq!(stand.origin_count("/trouble/slow"), 2);
    stand.pass(Duration::from_millis(4000));
    await_hit(stand, 1, "/trouble/slow", "new");
}

pub fn a_timed_out_or_truncated_fetch_keeps_the_stored_response(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"cluster": "route_loop", "fetch_timeout": "500ms"}}"#).unwrap();
    let troubles = [
        page("late").delay(Duration::from_secs(2)),
        page("torn to pieces").ending(Ending::ResetAfter(5)),
        Reply::ok("").ending(Ending::NoResponse),
    ];
    for (n, trouble) in troubles.into_iter().enumerate() {
        for window in ["stale-while-revalidate", "stale-if-error"] {
            let path = format!("/trouble/{n}-{window}");
            stand.origin(&path, vec![stale_page("old", &format!(", {window}=300")), trouble.clone()]);
            get(stand, 0, &path);
            for worker in [0, 1] {
                assert_eq!(why(&expect_hit(stand, worker, &path, "old")), window);
            }
            await_origin(stand, &path, 2);
        }
    }
    assert!(soon(stand, |stand| stand.metric("dispatched_failed") >= 6));
}

/// So that the breaker opens with the third failure, and a probe a second looks whether the origin is back.
const BREAKER: &str = r#""breaker": {"failures": 3, "probe_interval": "1s"}, "stale_if_down": "1d","#;

pub fn an_open_breaker_serves_stale_without_a_request(stand: &mut dyn Stand) {
    // At first no probe comes in between.
    const PROBE: Duration = Duration::from_secs(4);
    stand.configure(&super::telling::with_admin(&BREAKER.replace("1s", "4s"))).unwrap();
    let windows = [", stale-while-revalidate=300", ", stale-if-error=300", ""];
    let strict = ", stale-while-revalidate=300, must-revalidate";
    for (n, window) in windows.iter().chain([&strict]).enumerate() {
        stand.origin(&format!("/down/{n}"), vec![stale_page("old", window)]);
        get(stand, 0, &format!("/down/{n}"));
    }
    stand.origin_listens(false);
    for n in 0..3 {
        assert_eq!(get(stand, n % 2, &format!("/down/never-{n}")).status, 503);
    }
    // Now it is known to be down.
    assert_eq!((stand.metric("breaker_opened"), stand.metric("breaker_probes")), (1, 0));
    for worker in [0, 1] {
        assert_eq!(why(&expect_hit(stand, worker, "/down/0", "old")), "stale-while-revalidate");
        for path in ["/down/1", "/down/2"] {
            assert_eq!(why(&expect_hit(stand, worker, path, "old")), "stale-if-down");
        }
        assert_eq!(get(stand, worker, "/down/3").status, 503, "nothing forbidden is served, trouble or not");
    }
    let dispatched = stand.metric("dispatched");
    stand.pass(Duration::from_millis(60));
    let shown = super::telling::command(stand, 1, "GET", "/_larder/health", "");
    assert!(shown.text().contains(r#""breaker":"open""#), "{}", shown.text());
    let url = "/_larder/explain?url=http://shop.example/down/2";
    let shown = super::telling::command(stand, 1, "GET", url, "").text();
    assert!(shown.contains("cluster origin: that is taken to be down"), "{shown}");
    let shown = super::telling::command(stand, 0, "GET", "/_larder/stats", "").text();
    assert!(shown.contains(r#""larder_breakers_open":1"#), "{shown}");
    // A probe an interval, however many ask. The real time is longer on a machine that is busy.
    let began = stand.now();
    while stand.now() - began < PROBE * 2 {
        for n in 0..3 {
            expect_hit(stand, n % 2, &format!("/down/{n}"), "old");
        }
        stand.pass(Duration::from_millis(100));
    }
    let probes = stand.metric("breaker_probes");
    let probes_max = 2 + (stand.now() - began).as_secs() / PROBE.as_secs();
    assert!((1..=probes_max).contains(&probes), "{probes} probes, not {probes_max} at most");
    assert!(stand.metric("dispatched") - dispatched <= probes + 1, "only probes ask");
    stand.origin_listens(true);
    for n in 0..3 {
        stand.origin(&format!("/down/{n}"), vec![page("new")]);
    }
    let closed = soon(stand, |stand| {
        for n in 0..3 {
            assert_eq!(get(stand, n % 2, &format!("/down/{n}")).status, 200);
        }
        stand.metric("breaker_closed") == 1
    });
    assert!(closed, "{} probes", stand.metric("breaker_probes"));
    for n in 0..3 {
        await_hit(stand, 1, &format!("/down/{n}"), "new");
    }
}

pub fn a_miss_probes_a_cluster_with_an_open_breaker(stand: &mut dyn Stand) {
    stand.configure(&format!(r#"{{{} "name": "l"}}"#, BREAKER.replace("1s", "1m"))).unwrap();
    let error = || Reply::status(500).body("oops");
    stand.origin("/back/stale", vec![stale_page("old", ", stale-while-revalidate=300"), page("new")]);
    stand.origin("/back/other", vec![error(), error(), error(), page("yes")]);
    get(stand, 0, "/back/stale");
    for n in 0..3 {
        assert_eq!(get(stand, n % 2, "/back/other").status, 500);
    }
    for _ in 0..3 {
        expect_hit(stand, 1, "/back/stale", "old");
    }
    stand.pass(Duration::from_millis(100));
    assert_eq!(stand.origin_count("/back/stale"), 1, "nobody asks");
    expect_miss(stand, 1, "/back/other", "yes");
    assert_eq!(stand.metric("breaker_closed"), 1);
    expect_hit(stand, 0, "/back/stale", "old");
    await_origin(stand, "/back/stale", 2);
}

pub fn a_page_that_fails_among_others_that_answer_opens_no_breaker(stand: &mut dyn Stand) {
    stand.configure(&format!(r#"{{{} "name": "l"}}"#, BREAKER)).unwrap();
    stand.origin("/one/broken", vec![Reply::status(500).body("oops")]);
    for n in 0..8 {
        assert_eq!(get(stand, 0, "/one/broken").status, 500);
        stand.pass(Duration::from_millis(100));
        assert_eq!(get(stand, 1, &format!("/one/missing-{n}")).status, 404);
    }
    assert_eq!(stand.metric("breaker_opened"), 0);
}

pub fn a_refresh_sends_no_dropped_query_parameters(stand: &mut dyn Stand) {
    for (fetch, cluster) in [("auto", "null"), ("dispatched", r#""origin""#)] {
        let collapse = format!(r#""collapse": {{"fetch": "{fetch}", "cluster": {cluster}}}"#);
        stand.configure(&format!(r#"{{"key": {{"query": {{"drop": ["utm_*"]}}}}, {collapse}}}"#)).unwrap();
        let path = format!("/trouble/utm-{fetch}");
        stand.origin(&path, vec![stale_page("old", ", stale-while-revalidate=300"), page("new")]);
        get(stand, 0, &format!("{path}?a=1"));
        expect_hit(stand, 1, &format!("{path}?a=1&utm_source=evil"), "old");
        await_origin(stand, &path, 2);
        let asked = stand.origin_log().pop().unwrap();
        assert_eq!(asked.target, format!("{path}?a=1"));
    }
}

pub fn a_refresh_needs_no_copy_in_the_worker(stand: &mut dyn Stand) {
    stand.configure(r#"{"store": {"worker_bytes_max": 0}}"#).unwrap();
    let slow = page("new").delay(Duration::from_millis(300));
    stand.origin("/trouble/no-copy", vec![stale_page("old", ", stale-while-revalidate=300"), slow]);
    get(stand, 0, "/trouble/no-copy");
    expect_hit(stand, 0, "/trouble/no-copy", "old");
    await_origin(stand, "/trouble/no-copy", 2);
    assert_eq!(stand.metric("dispatched"), 1);
}

pub fn a_response_of_a_dispatched_fetch_can_be_refreshed(stand: &mut dyn Stand) {
    /// When a client has had the time to look again, on a machine that is busy.
    const LATER: Duration = Duration::from_secs(4);
    let slow = |reply: Reply| reply.delay(Duration::from_secs(1));
    let old = stale_page("old", ", stale-while-revalidate=300");
    stand.origin(
        "/trouble/taken-over",
        vec![page("never seen").delay(NEVER), slow(old), page("new").delay(LATER)],
    );
    let leader = stand.start(0, Request::get("/trouble/taken-over"));
    await_origin(stand, "/trouble/taken-over", 1);
    let follower = stand.start(1, Request::get("/trouble/taken-over"));
    stand.pass(Duration::from_millis(50));
    stand.leave(leader);
    assert_eq!(stand.finish(follower).text(), "old");
    expect_hit(stand, 0, "/trouble/taken-over", "old");
    await_origin(stand, "/trouble/taken-over", 3);
    assert_eq!(stand.metric("dispatched"), 2);
    stand.pass(LATER);
    await_hit(stand, 1, "/trouble/taken-over", "new");
}
