//! Many clients, one request to the origin (design: promise 3).

use std::time::Duration;

use super::telling::{admin, await_origin, expect_hit, get, page, purge_url, stale_page, with_admin};
use crate::stand::{Ending, Exchange, OriginRequest, Reply, Request, SHIPPED, Stand};

/// Long enough for a crowd to come together, on a machine that is busy.
const SLOW: Duration = Duration::from_secs(1);

/// Longer than anybody stays, on a machine that is busy.
const NEVER: Duration = Duration::from_secs(9);

/// Starts this many requests, on both workers in turn, once the first has reached the origin.
fn crowd(stand: &mut dyn Stand, path: &str, count: usize) -> Vec<Exchange> {
    crowd_after(stand, path, 0, count)
}

/// The same where the origin has been asked so many times before.
fn crowd_after(stand: &mut dyn Stand, path: &str, before: usize, count: usize) -> Vec<Exchange> {
    let first = stand.start(0, Request::get(path));
    await_origin(stand, path, before + 1);
    let others = (1..count).map(|n| stand.start(n % 2, Request::get(path)));
    [first].into_iter().chain(others).collect()
}

pub fn fifty_clients_on_two_workers_make_one_origin_request(stand: &mut dyn Stand) {
    let body = vec![b'x'; 100_000];
    stand.origin("/collapse/fifty", vec![page(&body).delay(SLOW * 3), page("more")]);
    let exchanges = crowd(stand, "/collapse/fifty", 50);
    let mut shared = 0;
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert!(response.status == 200 && response.complete && response.body == body);
        // Who comes after the landing finds it stored.
        let status = response.field("cache-status");
        shared += usize::from(response.is_hit() || status == "larder; fwd=uri-miss; collapsed");
    }
    assert_eq!((stand.origin_count("/collapse/fifty"), shared), (1, 49));
}

pub fn many_keys_at_once_make_one_origin_request_each(stand: &mut dyn Stand) {
    let paths: Vec<String> = (0..10).map(|n| format!("/collapse/key-{n}")).collect();
    for path in &paths {
        stand.origin(path, vec![page(path).delay(SLOW)]);
    }
    let exchanges: Vec<_> =
        (0..60).map(|n| (n % 10, stand.start(n % 2, Request::get(&paths[n % 10])))).collect();
    for (n, exchange) in exchanges {
        assert_eq!(stand.finish(exchange).text(), paths[n]);
    }
    for path in &paths {
        assert_eq!(stand.origin_count(path), 1, "{path}");
    }
}

pub fn when_the_first_client_leaves_the_others_are_served_by_one_more_request(stand: &mut dyn Stand) {
    stand.origin("/collapse/leader", vec![page("never seen").delay(NEVER), page("page").delay(SLOW)]);
    let mut exchanges = crowd(stand, "/collapse/leader", 11);
    stand.leave(exchanges.remove(0));
    for exchange in exchanges {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    assert_eq!(stand.origin_count("/collapse/leader"), 2);
    for worker in [0, 1] {
        expect_hit(stand, worker, "/collapse/leader", "page");
    }
}

/// Its client does not read, or its origin stalls: to those who wait it is all one.
pub fn waiters_of_a_stalled_response_are_served_by_one_more_fetch(stand: &mut dyn Stand) {
    for (name, configuration) in [("table", SHIPPED), ("inline", "{}")] {
        stand.configure(configuration).unwrap();
        let path = format!("/collapse/stalls-{name}");
        stand.origin(&path, vec![page("0123456789").ending(Ending::StallsAfter(4, NEVER)), page("page")]);
        let mut exchanges = crowd(stand, &path, 8);
        let leader = exchanges.remove(0);
        for exchange in exchanges {
            assert_eq!(stand.finish(exchange).text(), "page", "{name}");
        }
        let response = stand.finish(leader);
        assert!(response.complete && response.text() == "0123456789", "it has what its origin has sent");
        assert_eq!(stand.origin_count(&path), 2, "{name}");
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "page");
        }
    }
    assert_eq!(stand.metric("stalled"), 2);
}

/// The flight is another's by then, although it has the same number: what was asked for before a purge is not stored as
/// what was asked for after it (protocol §1.7, M22).
pub fn a_late_end_of_a_stalled_response_does_not_undo_a_purge(stand: &mut dyn Stand) {
    let path = "/collapse/late-end";
    stand
        .configure(&with_admin(
            r#""collapse": {"cluster": "route_loop", "lease": "300ms", "wait_max": "9s"},"#,
        ))
        .unwrap();
    let stalls = page("0123456789").ending(Ending::StallsAfter(4, SLOW * 2));
    stand.origin(path, vec![stalls, page("page").delay(SLOW * 4)]);
    let leader = stand.start(0, Request::get(path));
    await_origin(stand, path, 1);
    purge_url(stand, 1, path, "hard");
    let waiter = stand.start(0, Request::get(path));
    await_origin(stand, path, 2);
    assert_eq!(stand.finish(leader).text(), "0123456789", "asked for before the purge");
    assert_eq!(stand.finish(waiter).text(), "page");
    assert_eq!(stand.origin_count(path), 2);
    for worker in [0, 1] {
        expect_hit(stand, worker, path, "page");
    }
}

pub fn a_waiter_that_leaves_does_not_affect_the_others(stand: &mut dyn Stand) {
    stand.origin("/collapse/follower", vec![page("page").delay(SLOW)]);
    let mut exchanges = crowd(stand, "/collapse/follower", 8);
    for at in [6, 3, 1] {
        stand.leave(exchanges.remove(at));
    }
    for exchange in exchanges {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    assert_eq!(stand.origin_count("/collapse/follower"), 1);
}

pub fn after_all_clients_leave_the_next_one_is_served(stand: &mut dyn Stand) {
    stand.origin("/collapse/all-left", vec![page("never seen").delay(NEVER), page("two")]);
    for exchange in crowd(stand, "/collapse/all-left", 4).into_iter().rev() {
        stand.leave(exchange);
    }
    let response = get(stand, 1, "/collapse/all-left");
    assert_eq!((response.status, response.text().as_str()), (200, "two"));
}

pub fn when_the_origin_breaks_off_the_others_still_get_a_whole_response(stand: &mut dyn Stand) {
    for (n, ending) in [Ending::NoResponse, Ending::ResetAfter(3)].into_iter().enumerate() {
        let path = format!("/collapse/breaks-{n}");
        stand.origin(&path, vec![page("0123456789").delay(SLOW).ending(ending), page("page")]);
        let mut exchanges = crowd(stand, &path, 8);
        let leader = stand.finish(exchanges.remove(0));
        assert!(leader.status == 503 || !leader.complete, "the leader shares its origin's fate");
        for exchange in exchanges {
            let response = stand.finish(exchange);
            assert_eq!((response.status, response.text().as_str(), response.complete), (200, "page", true));
        }
    }
}

pub fn hit_for_miss_stops_requests_from_waiting_again(stand: &mut dyn Stand) {
    let reply = Reply::ok("mine").field("cache-control", "no-store").delay(SLOW);
    stand.origin("/collapse/alone", vec![reply]);
    for exchange in crowd(stand, "/collapse/alone", 10) {
        assert_eq!(stand.finish(exchange).text(), "mine");
    }
    assert_eq!(stand.origin_count("/collapse/alone"), 10);
    // From now on it is known: ten requests are under way at the same time.
    let exchanges: Vec<_> = (0..10).map(|n| stand.start(n % 2, Request::get("/collapse/alone"))).collect();
    await_origin(stand, "/collapse/alone", 20);
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert!(!response.field("cache-status").contains("collapsed"), "{}", response.field("cache-status"));
    }
}

/// What has to be validated each time is known for a second.
pub fn after_hit_for_miss_expires_one_request_probes_and_no_other_waits(stand: &mut dyn Stand) {
    let reply = page("mine").field("cache-control", "no-cache").field("etag", "\"v\"");
    stand.origin("/collapse/again", vec![reply.clone(), reply.delay(SLOW)]);
    get(stand, 0, "/collapse/again");
    stand.pass(Duration::from_millis(1100));
    nobody_waits(stand, "/collapse/again", 1);
}

pub(super) fn nobody_waits(stand: &mut dyn Stand, path: &str, before: usize) {
    for exchange in crowd_after(stand, path, before, 10) {
        let response = stand.finish(exchange);
        let status = response.field("cache-status");
        assert!(response.text() == "mine" && !status.contains("collapsed"), "{status}");
    }
}

pub fn a_response_with_set_cookie_is_not_given_to_waiters(stand: &mut dyn Stand) {
    let cookie = |n: usize| page(format!("for {n}")).field("set-cookie", format!("session={n}"));
    stand.origin("/collapse/cookies", (0..6).map(|n| cookie(n).delay(SLOW)).collect());
    let mut seen: Vec<String> = Vec::new();
    for exchange in crowd(stand, "/collapse/cookies", 6) {
        let response = stand.finish(exchange);
        assert_eq!(response.all("set-cookie").len(), 1);
        seen.push(response.field("set-cookie"));
    }
    seen.sort();
    assert_eq!(seen, (0..6).map(|n| format!("session={n}")).collect::<Vec<_>>());
}

pub fn a_private_response_is_not_given_to_waiters(stand: &mut dyn Stand) {
    let private =
        |n: usize| Reply::ok(n.to_string()).field("cache-control", "private, max-age=600").delay(SLOW);
    stand.origin("/collapse/private", (0..6).map(private).collect());
    let mut seen: Vec<String> = Vec::new();
    for exchange in crowd(stand, "/collapse/private", 6) {
        seen.push(stand.finish(exchange).text());
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5"]);
}

pub fn a_response_to_credentials_is_not_given_to_waiters(stand: &mut dyn Stand) {
    stand.origin("/collapse/credentials", ["a", "b", "c"].map(|body| page(body).delay(SLOW)).into());
    let with = |credentials: &str| {
        Request::get("/collapse/credentials").field("authorization", format!("Basic {credentials}"))
    };
    let leader = stand.start(0, with("YTph"));
    await_origin(stand, "/collapse/credentials", 1);
    let other = stand.start(1, with("Yjpi"));
    let strangers: Vec<_> =
        (0..4).map(|n| stand.start(n % 2, Request::get("/collapse/credentials"))).collect();
    let [leaders, others] = [leader, other].map(|exchange| stand.finish(exchange).text());
    let mut shared: Vec<_> = strangers.into_iter().map(|stranger| stand.finish(stranger).text()).collect();
    shared.dedup();
    assert_eq!(shared.len(), 1, "what is for all is for all of them");
    // Who has other credentials may get what is for all.
    assert!(leaders == "a" && others != "a" && shared[0] != "a", "{others}, {shared:?}");
}

pub fn no_more_wait_than_may(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"waiters_max": 3, "key_waiters_max": 2}}"#).unwrap();
    let mut exchanges = Vec::new();
    // Two wait for the first; for the second there is room for one more on this worker.
    for (path, followers) in [("/collapse/bounded", 3), ("/collapse/bounded-as-well", 2)] {
        stand.origin(path, vec![page(path).delay(SLOW * 5)]);
        exchanges.push((path, stand.start(0, Request::get(path))));
        await_origin(stand, path, 1);
        exchanges.extend((0..followers).map(|_| (path, stand.start(0, Request::get(path)))));
        await_origin(stand, path, 2);
    }
    for (path, exchange) in exchanges {
        assert_eq!(stand.finish(exchange).text(), path);
        assert_eq!(stand.origin_count(path), 2, "{path}: who may not wait goes by itself");
    }
}

pub fn beyond_waiters_max_a_known_key_is_still_fetched_once(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""collapse": {"waiters_max": 1},"#)).unwrap();
    stand.origin("/collapse/known", vec![page("old"), page("new")]);
    get(stand, 0, "/collapse/known");
    purge_url(stand, 0, "/collapse/known", "hard");
    stand.origin("/collapse/crowded", vec![page("page").delay(SLOW * 2)]);
    let crowd = crowd(stand, "/collapse/crowded", 3);
    assert_eq!(get(stand, 0, "/collapse/known").text(), "new");
    assert_eq!(stand.origin_count("/collapse/known"), 2);
    for exchange in crowd {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
}

pub fn collapse_fetch_chooses_inline_or_dispatched_fetches(stand: &mut dyn Stand) {
    for (n, (fetch, cluster, unknown, known)) in [
        ("auto", "null", "client", "client"),
        ("auto", "\"route_loop\"", "client", "larder"),
        ("inline", "\"route_loop\"", "client", "client"),
        ("dispatched", "null", "client", "client"),
        ("dispatched", "\"route_loop\"", "larder", "larder"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/collapse/fetched-by-{n}");
        let collapse = format!(r#""collapse": {{"fetch": "{fetch}", "cluster": {cluster}}},"#);
        stand.configure(&with_admin(&collapse)).unwrap();
        stand.origin(&path, vec![page("one"), page("two")]);
        assert_eq!(get(stand, 0, &path).text(), "one");
        purge_url(stand, 1, &path, "hard");
        assert_eq!(get(stand, 1, &path).text(), "two");
        let log = stand.origin_log().into_iter().filter(|request| request.target == path);
        // What Larder sends itself comes from no client.
        let by = |r: OriginRequest| if r.field("x-forwarded-for").is_empty() { "larder" } else { "client" };
        assert_eq!(log.map(by).collect::<Vec<_>>(), [unknown, known], "{fetch}, {cluster}");
    }
}

/// Larder's own fetch has the whole of it when it finds that it may not be stored. Who leads gets that; the others ask
/// for themselves, and so does everybody from then on.
pub fn a_response_above_object_bytes_max_is_delivered_but_not_stored(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""store": {"object_bytes_max": "64KiB"},"#)).unwrap();
    let large = vec![b'x'; 300_000];
    let grown = || page(&large).delay(SLOW);
    stand.origin("/collapse/grown", vec![page("small"), grown()]);
    get(stand, 0, "/collapse/grown");
    purge_url(stand, 1, "/collapse/grown", "hard");
    let exchanges: Vec<_> = (0..6).map(|n| stand.start(n % 2, Request::get("/collapse/grown"))).collect();
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert!(response.complete && response.body == large, "{}", response.field("cache-status"));
    }
    assert_eq!(stand.metric("dispatched"), 1);
    assert_eq!(stand.origin_count("/collapse/grown"), 1 + 6, "one for each");
    for worker in [0, 1] {
        let response = get(stand, worker, "/collapse/grown");
        assert!(response.body == large && !response.is_hit());
    }
    assert_eq!(stand.metric("dispatched"), 1, "it is known by now");
    // A refresh that nobody waits for leaves what is stored until its window ends.
    stand.origin("/collapse/growing", vec![stale_page("small", ", stale-while-revalidate=300"), grown()]);
    get(stand, 0, "/collapse/growing");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/collapse/growing", "small");
    }
    await_origin(stand, "/collapse/growing", 2);
    stand.pass(SLOW + Duration::from_millis(300));
    for worker in [0, 1] {
        expect_hit(stand, worker, "/collapse/growing", "small");
    }
    assert_eq!(stand.origin_count("/collapse/growing"), 2, "it is not tried again at once");
}

/// Envoy gives up a call whose response has more than 32 MiB.
pub fn a_response_too_large_for_a_dispatched_fetch_is_fetched_inline(stand: &mut dyn Stand) {
    admin(stand);
    let huge = vec![b'x'; 33 << 20];
    stand.origin("/collapse/huge", vec![page("small"), page(&huge)]);
    get(stand, 0, "/collapse/huge");
    purge_url(stand, 1, "/collapse/huge", "hard");
    let response = get(stand, 1, "/collapse/huge");
    assert!(response.complete && response.body == huge, "{}", response.field("cache-status"));
    assert_eq!(stand.metric("dispatched_failed"), 1);
    assert_eq!(stand.origin_count("/collapse/huge"), 3);
}

pub fn a_client_waits_no_longer_than_its_deadline(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"wait_max": "1500ms", "lease": "500ms"}}"#).unwrap();
    stand.origin("/collapse/deadline", vec![page("slow").delay(SLOW * 6), page("fast")]);
    let waited = stand.metric("waited");
    let exchanges = crowd(stand, "/collapse/deadline", 3);
    for follower in [exchanges[1], exchanges[2]] {
        let response = stand.finish(follower);
        assert_eq!((response.text().as_str(), response.is_hit()), ("fast", false));
        assert_eq!(response.field("cache-status"), "larder; fwd=bypass; collapsed=?0; detail=not-shared");
    }
    assert_eq!(stand.origin_count("/collapse/deadline"), 3);
    assert_eq!(stand.finish(exchanges[0]).text(), "slow");
    assert_eq!(stand.metric("waited") - waited, 2);
}

pub fn a_follower_gets_its_own_variant_or_304(stand: &mut dyn Stand) {
    let reply = |body: &str| page(body).field("vary", "x-lang").field("etag", "\"v\"").delay(SLOW);
    stand.origin("/collapse/others", vec![reply("german"), reply("english")]);
    let german = |more: &[(&str, &str)]| {
        more.iter().fold(Request::get("/collapse/others").field("x-lang", "de"), |r, (n, v)| r.field(n, v))
    };
    let leader = stand.start(0, german(&[]));
    await_origin(stand, "/collapse/others", 1);
    let same = stand.start(1, german(&[]));
    let conditional = stand.start(1, german(&[("if-none-match", "\"v\"")]));
    let english = stand.start(0, Request::get("/collapse/others").field("x-lang", "en"));
    assert_eq!(stand.finish(leader).text(), "german");
    assert_eq!(stand.finish(same).text(), "german");
    assert_eq!(stand.finish(conditional).status, 304);
    assert_eq!(stand.finish(english).text(), "english");
    assert_eq!(stand.origin_count("/collapse/others"), 2);
}

pub fn a_validation_is_shared_as_well(stand: &mut dyn Stand) {
    let confirmed = Reply::status(304).field("cache-control", "max-age=600").delay(SLOW);
    stand.origin("/collapse/validation", vec![stale_page("page", ""), confirmed]);
    get(stand, 0, "/collapse/validation");
    let exchanges: Vec<_> =
        (0..10).map(|n| stand.start(n % 2, Request::get("/collapse/validation"))).collect();
    for exchange in exchanges {
        let response = stand.finish(exchange);
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
    }
    assert_eq!(stand.origin_count("/collapse/validation"), 2);
}

pub fn a_rule_can_turn_it_off(stand: &mut dyn Stand) {
    stand.configure(r#"{"rules": [{"match": {"path": "/collapse/off"}, "collapse": false}]}"#).unwrap();
    stand.origin("/collapse/off", vec![page("page").delay(SLOW * 5)]);
    let exchanges = crowd(stand, "/collapse/off", 5);
    await_origin(stand, "/collapse/off", 5);
    for exchange in exchanges {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    expect_hit(stand, 1, "/collapse/off", "page");
}
