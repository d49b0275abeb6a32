//! Routes decide: what changes in the route table holds for what was asked for before, as it would without a cache.

use std::time::Duration;

use super::telling::{
    TABLE, await_origin, command, expect_hit, expect_miss, get, page, purge_url, settle, soon, stale_page,
    with_admin,
};
use crate::stand::{Reply, Request, Route, Stand};

/// With a way to the route table, and without one.
const WAYS: [(&str, &str); 2] = [("table", TABLE), ("none", r#""collapse": {"cluster": null},"#)];

/// The cluster `blue`, whose requests the origin knows by their host.
fn blue() -> Route {
    Route { cluster: "blue", host: Some("blue.internal"), ..Route::default() }
}

/// The hosts that the origin was asked under for a path, in order.
fn hosts(stand: &mut dyn Stand, path: &str) -> Vec<String> {
    let log = stand.origin_log().into_iter().filter(|request| request.target == path);
    log.map(|request| request.field("host")).collect()
}

pub fn a_switch_of_clusters_holds_for_known_urls_at_once(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        stand.configure(&with_admin(collapse)).unwrap();
        stand.route(Route::default());
        let paths = ["expired", "refreshed", "soft", "hard"].map(|kind| format!("/switch/{way}/{kind}"));
        let [expired, refreshed, soft, hard] = &paths;
        for path in [soft, hard] {
            stand.origin(path, vec![page("old"), page("new")]);
        }
        stand.origin(expired, vec![stale_page("old", ""), page("new")]);
        let window = ", stale-while-revalidate=300";
        stand.origin(refreshed, vec![stale_page("old", window), stale_page("old", window), page("new")]);
        for path in &paths {
            get(stand, 0, path);
        }
        // So that there is something to be learned of the route, and to be forgotten.
        get(stand, 1, refreshed);
        settle(stand);
        stand.route(blue());
        purge_url(stand, 0, soft, "soft");
        purge_url(stand, 0, hard, "hard");
        for path in &paths {
            get(stand, 1, path);
        }
        settle(stand);
        for path in &paths {
            let asked = hosts(stand, path);
            let (last, before) = asked.split_last().unwrap();
            assert_eq!(last, "blue.internal", "{path}: {asked:?}");
            assert!(before.iter().all(|host| host.ends_with("shop.example")), "{path}: {asked:?}");
            expect_hit(stand, 0, path, "new");
        }
    }
}

pub fn a_route_that_answers_by_itself_is_heard(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        stand.configure(&with_admin(collapse)).unwrap();
        stand.route(Route::default());
        let [expired, hard] = ["expired", "hard"].map(|kind| format!("/blocked/{way}/{kind}"));
        stand.origin(&expired, vec![stale_page("leaked", ", stale-while-revalidate=300")]);
        stand.origin(&hard, vec![page("leaked")]);
        for path in [&expired, &hard] {
            get(stand, 0, path);
            get(stand, 1, path);
        }
        settle(stand);
        let before = stand.origin_log().len();
        stand.route(Route { answers: Some(403), ..Route::default() });
        purge_url(stand, 0, &hard, "hard");
        for worker in [0, 1, 0] {
            assert_eq!(get(stand, worker, &hard).status, 403, "{way}");
            // What may still be served is, or the route answers; nobody asks the origin.
            let status = get(stand, worker, &expired).status;
            assert!(matches!(status, 200 | 403), "{way}: {status}");
            settle(stand);
        }
        assert_eq!(stand.origin_log().len(), before, "{way}: nothing is fetched past the route");
        // Not even when everything that Larder has is gone.
        command(stand, 0, "POST", "/_larder/purge", r#"{"selectors": [{"all": true}], "mode": "hard"}"#);
        assert_eq!(get(stand, 1, &expired).status, 403, "{way}");
    }
}

/// A credential that only the route knows: the origin refuses whoever comes without it.
pub fn credentials_added_by_a_route_are_sent_on_that_route_only(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        stand.configure(&with_admin(collapse)).unwrap();
        for (name, value) in
            [("authorization", "Basic ZWRnZQ=="), ("fastly-key", "secret-1"), ("x-sig", "at twelve")]
        {
            let path = format!("/login/{way}/{name}");
            let logged_in = |value| Route { adds: vec![(name, value)], ..Route::default() };
            stand.route(logged_in(value));
            let window = ", stale-while-revalidate=300";
            stand.origin(&path, vec![stale_page("old", window), stale_page("old", window), page("new")]);
            get(stand, 0, &path);
            get(stand, 1, &path);
            await_origin(stand, &path, 2);
            settle(stand);
            // Rotated: the old value is of no use any more.
            stand.route(logged_in("rotated"));
            get(stand, 0, &path);
            await_origin(stand, &path, 3);
            let log = stand.origin_log().into_iter().filter(|request| request.target == path);
            let sent: Vec<String> = log.map(|request| request.field(name)).collect();
            assert_eq!(sent, [value, value, "rotated"], "{way}: {name}");
        }
    }
}

/// Larder's own requests come without what a filter behind it adds, when they go past that filter: here straight to the
/// cluster. What they are refused with is nobody's answer.
pub fn a_refusal_of_a_dispatched_fetch_is_neither_served_nor_stored(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""collapse": {"cluster": "origin"},"#)).unwrap();
    for (n, status) in [401, 403, 407, 404, 429, 451].into_iter().enumerate() {
        let refusal = || {
            let reply = Reply::status(status).body("refused");
            reply.field("cache-control", "max-age=600, stale-while-revalidate=600")
        };
        // Purged: a client waits, and then asks for itself.
        let path = format!("/refused/purged-{status}");
        stand.origin(&path, vec![page("old"), refusal(), page("new")]);
        get(stand, n % 2, &path);
        purge_url(stand, 0, &path, "hard");
        expect_miss(stand, n % 2, &path, "new");
        expect_hit(stand, 1 - n % 2, &path, "new");
        // Stale: the copy stays, and the next refresh is a client's own.
        let path = format!("/refused/stale-{status}");
        let old = || stale_page("old", ", stale-while-revalidate=300");
        stand.origin(&path, vec![old(), refusal(), old(), old(), page("new")]);
        get(stand, n % 2, &path);
        expect_hit(stand, n % 2, &path, "old");
        await_origin(stand, &path, 2);
        settle(stand);
        let dispatched = stand.metric("dispatched");
        for count in [3, 4] {
            let own = get(stand, n % 2, &path);
            assert_eq!((own.status, own.text().as_str()), (200, "old"), "{status}");
            assert_eq!(stand.origin_count(&path), count, "{status}: with the client's own request");
        }
        let shown = command(stand, 0, "GET", &format!("/_larder/explain?url=http://shop.example{path}"), "");
        assert!(shown.text().contains("has refused Larder's own request"), "{}", shown.text());
        expect_miss(stand, 1 - n % 2, &path, "new");
        assert_eq!(stand.metric("dispatched"), dispatched, "{status}: nothing is tried again so soon");
    }
    // An error that was stored is an answer like any other, and is refreshed like one.
    stand.origin("/refused/gone", vec![stale_page("gone", ", stale-while-revalidate=300"); 3]);
    let gone = |more: &str| Reply { status: 404, ..stale_page("gone", more) };
    let fresh = Reply { status: 404, ..page("still gone") };
    stand.origin("/refused/gone", vec![gone(", stale-while-revalidate=300"), fresh]);
    get(stand, 0, "/refused/gone");
    assert!(get(stand, 0, "/refused/gone").is_hit());
    await_origin(stand, "/refused/gone", 2);
    settle(stand);
    let again = get(stand, 1, "/refused/gone");
    assert_eq!((again.status, again.is_hit(), again.text().as_str()), (404, true, "still gone"));
}

pub fn a_cluster_that_envoy_lacks_is_named_and_clients_fetch_meanwhile(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""collapse": {"cluster": "nowhere"},"#)).unwrap();
    stand.origin("/lacking/stale", vec![stale_page("old", ", stale-while-revalidate=300"), page("new")]);
    stand.origin("/lacking/purged", vec![page("old"), page("new")]);
    get(stand, 0, "/lacking/stale");
    get(stand, 0, "/lacking/purged");
    purge_url(stand, 1, "/lacking/purged", "hard");
    expect_miss(stand, 0, "/lacking/purged", "new");
    expect_hit(stand, 1, "/lacking/purged", "new");
    for worker in [0, 1] {
        let is_told = soon(stand, |stand| {
            let health = command(stand, worker, "GET", "/_larder/health", "").text();
            health.contains(r#"Envoy has no cluster \"nowhere\""#)
        });
        assert!(is_told, "worker {worker} does not hear of it");
        let url = "/_larder/explain?url=http://shop.example/lacking/stale";
        let shown = command(stand, worker, "GET", url, "").text();
        assert!(shown.contains("Envoy has no cluster nowhere"), "{shown}");
    }
    assert_eq!(get(stand, 1, "/lacking/stale").text(), "new", "who asks refreshes it");
    expect_hit(stand, 0, "/lacking/stale", "new");
    assert_eq!(stand.metric("breaker_opened"), 0, "that says nothing of the origin");
    // The one that is there is used at once.
    stand.configure(&with_admin(TABLE)).unwrap();
    purge_url(stand, 1, "/lacking/purged", "hard");
    let dispatched = stand.metric("dispatched");
    expect_miss(stand, 0, "/lacking/purged", "new");
    assert_eq!(stand.metric("dispatched"), dispatched + 1);
    let health = command(stand, 0, "GET", "/_larder/health", "").text();
    assert!(!health.contains("nowhere"), "{health}");
}

/// Without a way to the route table the next who waits leads, on Envoy's own path.
pub fn where_no_call_reaches_the_routes_the_next_client_leads(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"cluster": null}}"#).unwrap();
    let slow = |reply: Reply| reply.delay(Duration::from_secs(1));
    let never = page("never seen").delay(Duration::from_secs(9));
    stand.origin("/next/leads", vec![never, slow(page("page"))]);
    let leader = stand.start(0, Request::get("/next/leads"));
    await_origin(stand, "/next/leads", 1);
    let others: Vec<_> = (0..10).map(|n| stand.start(n % 2, Request::get("/next/leads"))).collect();
    assert!(soon(stand, |stand| stand.metric("waited") == 10), "they wait for the first");
    stand.leave(leader);
    for exchange in others {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    assert_eq!((stand.origin_count("/next/leads"), stand.metric("dispatched")), (2, 0));
}

/// What was learned of a route serves refreshes, as long as nothing speaks against it.
pub fn a_refresh_uses_the_learned_route_while_it_is_certain(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""collapse": {"cluster": null},"#)).unwrap();
    let old = || stale_page("old", ", stale-while-revalidate=300");
    stand.route(Route { host: Some("one.internal"), name: "one", ..Route::default() });
    stand.origin("/learned/a", vec![old(), old(), old(), page("new")]);
    get(stand, 0, "/learned/a");
    settle(stand);
    expect_hit(stand, 0, "/learned/a", "old");
    await_origin(stand, "/learned/a", 2);
    settle(stand);
    assert_eq!(stand.metric("dispatched"), 1);
    assert_eq!(hosts(stand, "/learned/a"), ["one.internal", "one.internal"]);
    // Another route, known by its name alone.
    stand.route(Route { host: Some("two.internal"), name: "two", ..Route::default() });
    assert!(!get(stand, 1, "/learned/a").is_hit(), "who asks refreshes it");
    assert_eq!(stand.metric("dispatched"), 1);
    settle(stand);
    expect_hit(stand, 1, "/learned/a", "old");
    await_origin(stand, "/learned/a", 4);
    assert_eq!(stand.metric("dispatched"), 2, "that has been learned now");
    assert_eq!(hosts(stand, "/learned/a")[2..], ["two.internal", "two.internal"]);
    // After a purge it is not certain, until the route is met again.
    for path in ["/learned/b", "/learned/c"] {
        stand.origin(path, vec![page("old"), page("new")]);
        get(stand, 0, path);
    }
    settle(stand);
    command(
        stand,
        0,
        "POST",
        "/_larder/purge",
        r#"{"selectors": [{"prefix": "shop.example/learned/"}], "mode": "soft"}"#,
    );
    expect_miss(stand, 1, "/learned/b", "new");
    settle(stand);
    expect_hit(stand, 1, "/learned/c", "old");
    await_origin(stand, "/learned/c", 2);
    assert_eq!(stand.metric("dispatched"), 3);
}

/// A canary route that a field chooses: what it answers is not for those without the field, whoever asks first.
pub fn a_response_from_another_route_is_not_served(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        stand.configure(&with_admin(collapse)).unwrap();
        // Known by its name alone, where the field is an ordinary one; else also where no route has a name.
        for (field, name) in
            [("x-canary", ""), ("x-beta", "beta"), ("cookie", "beta"), ("user-agent", "beta")]
        {
            let main = if name.is_empty() { "" } else { "main" };
            stand.route(Route { name: main, canary: Some((field, name)), ..Route::default() });
            let path = format!("/canary/{way}/{field}");
            let plain = || Request::get(&path);
            let canary = || Request::get(&path).field(field, "1");
            stand.origin(&path, vec![page("of blue").field("cache-control", "max-age=600"), page("page")]);
            assert_eq!(stand.send(0, canary()).text(), "of blue", "{path}");
            let other = stand.send(1, plain());
            assert_eq!(other.text(), "page", "{path}");
            assert_eq!(other.field("cache-status"), "larder; fwd=vary-miss; stored; detail=route-miss");
            assert_eq!(stand.send(0, plain()).text(), "page", "{path}");
            let sent = hosts(stand, &path);
            assert_eq!(sent, ["blue.internal", "shop.example"], "{path}");
            expect_hit(stand, 1, &path, "page");
        }
    }
}

/// Who waits for a fetch by another route asks for itself.
pub fn a_waiter_on_another_route_is_not_served_the_fetch(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        stand.configure(&with_admin(collapse)).unwrap();
        stand.route(Route { canary: Some(("x-canary", "")), ..Route::default() });
        let path = format!("/canary/{way}/waiting");
        stand.origin(&path, vec![page("of blue").delay(Duration::from_millis(500)), page("page")]);
        let leader = stand.start(0, Request::get(&path).field("x-canary", "1"));
        await_origin(stand, &path, 1);
        let others: Vec<_> = (0..6).map(|n| stand.start(n % 2, Request::get(&path))).collect();
        assert_eq!(stand.finish(leader).text(), "of blue");
        for exchange in others {
            assert_eq!(stand.finish(exchange).text(), "page", "{way}");
        }
        let asked = hosts(stand, &path);
        assert!(asked.len() <= 3, "{way}: {asked:?}");
    }
}

/// A route that only exists for some: that others have none is not stored, whatever lifetime 404s have.
pub fn that_a_request_has_no_route_is_not_stored(stand: &mut dyn Stand) {
    for (way, collapse) in WAYS {
        let ttl = r#""ttl": {"status": {"404": "10m"}, "default": "10m"}"#;
        stand.configure(&with_admin(&format!("{collapse} {ttl},"))).unwrap();
        stand.route(Route { answers: Some(404), canary: Some(("x-tenant", "")), ..Route::default() });
        let path = format!("/tenant/{way}");
        stand.origin(&path, vec![page("of the tenant")]);
        for worker in [0, 1, 0] {
            let none = get(stand, worker, &path);
            assert_eq!(none.status, 404, "{way}");
            assert_eq!(none.field("cache-status"), "larder; fwd=uri-miss; detail=local-reply", "{way}");
        }
        for worker in [0, 1] {
            let theirs = stand.send(worker, Request::get(&path).field("x-tenant", "1"));
            assert_eq!(theirs.text(), "of the tenant", "{way}");
            assert_eq!(get(stand, worker, &path).status, 404, "{way}");
        }
    }
}
