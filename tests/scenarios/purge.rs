//! Purges of URLs: once acknowledged, nobody gets what they cover (design: promise 2).

use std::time::Duration;

use super::telling::{
    admin, await_hit, await_origin, command, date, expect_hit, expect_miss, get, page, pages, purge,
    purge_url, soon, ttl,
};
use crate::stand::{Ending, Reply, Request, Response, Stand};

/// Long enough for what happens during a fetch, on a machine that is busy.
const SLOW: Duration = Duration::from_secs(1);

pub fn a_hard_purge_on_any_worker_holds_at_once_on_all(stand: &mut dyn Stand) {
    admin(stand);
    for (purging, asking) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let path = format!("/purge/hard-{purging}{asking}");
        stand.origin(&path, vec![page("old").field("etag", "\"v\""), page("new")]);
        for worker in [0, 1, 0] {
            get(stand, worker, &path);
        }
        purge_url(stand, purging, &path, "hard");
        let miss = expect_miss(stand, asking, &path, "new");
        assert_eq!(miss.field("cache-status"), "larder; fwd=uri-miss; stored; detail=purged");
        assert_eq!(
            stand.origin_log().pop().unwrap().field("if-none-match"),
            "",
            "what is gone is no validator"
        );
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "new");
        }
    }
}

pub fn a_soft_purge_serves_the_old_response_while_one_fetch_refreshes_it(stand: &mut dyn Stand) {
    admin(stand);
    for purging in [0, 1] {
        let path = format!("/purge/soft-{purging}");
        stand.origin(&path, vec![page("old").field("etag", "\"v\""), page("new").delay(SLOW)]);
        for worker in [0, 1] {
            get(stand, worker, &path);
        }
        purge_url(stand, purging, &path, "soft");
        for worker in [1, 0, 1] {
            let hit = expect_hit(stand, worker, &path, "old");
            assert!(
                ttl(&hit) <= 0 && hit.field("cache-status").ends_with("; detail=soft-purged"),
                "{}",
                hit.field("cache-status")
            );
        }
        await_origin(stand, &path, 2);
        assert_eq!(stand.origin_log().pop().unwrap().field("if-none-match"), "\"v\"");
        for worker in [0, 1] {
            await_hit(stand, worker, &path, "new");
        }
        assert_eq!(stand.origin_count(&path), 2);
    }
}

/// The age of a response, in seconds.
#[track_caller]
fn age(response: &Response) -> u64 {
    response.field("age").parse().unwrap()
}

pub fn a_soft_purged_response_is_served_as_stale(stand: &mut dyn Stand) {
    admin(stand);
    let (in_an_hour, day_ago) = (date(stand, 3600), date(stand, -86_400));
    let cases: [(&[(&str, &str)], u64); 6] = [
        (&[("cache-control", "max-age=600")], 600),
        (&[("cache-control", "max-age=900, s-maxage=600")], 900),
        (&[("cache-control", "max-age=600, must-revalidate")], 600),
        (&[("cache-control", "max-age=600"), ("cdn-cache-control", "max-age=900")], 900),
        // Rounded to seconds, in which the response may have been under way.
        (&[("expires", &in_an_hour)], 3590),
        (&[("last-modified", &day_ago)], 8630),
    ];
    for (n, (fields, lifetime)) in cases.into_iter().enumerate() {
        let path = format!("/purge/age-{n}");
        let old =
            fields.iter().fold(Reply::ok("0123456789").field("etag", "\"v\""), |r, (n, v)| r.field(n, v));
        stand.origin(&path, vec![old, page("new").delay(SLOW)]);
        for worker in [0, 1] {
            get(stand, worker, &path);
        }
        assert!(age(&expect_hit(stand, 0, &path, "0123456789")) < 5, "{fields:?}");
        purge_url(stand, n % 2, &path, "soft");
        for worker in [0, 1] {
            let hit = expect_hit(stand, worker, &path, "0123456789");
            assert!(age(&hit) >= lifetime, "{fields:?}: {}", hit.field("age"));
        }
        // In whatever form: who gets it takes the rest from what it has.
        for (request, status) in [
            (Request::new("HEAD", &path), 200),
            (Request::get(&path).field("if-none-match", "\"v\""), 304),
            (Request::get(&path).field("range", "bytes=0-1"), 206),
            (Request::get(&path).field("range", "bytes=20-"), 416),
        ] {
            let hit = stand.send(1, request);
            let found = (hit.status, hit.field("cache-status"));
            assert!(
                hit.status == status && age(&hit) >= lifetime,
                "{fields:?}: {found:?} {}",
                hit.field("age")
            );
        }
        await_origin(stand, &path, 2);
        stand.pass(SLOW * 2);
        assert!(age(&expect_hit(stand, 0, &path, "new")) < 5, "{fields:?}");
    }
}

pub fn a_soft_purge_is_over_when_the_origin_confirms_the_response(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin(
        "/purge/confirmed",
        vec![page("old").field("etag", "\"v\""), Reply::status(304).field("etag", "\"v\"")],
    );
    get(stand, 0, "/purge/confirmed");
    purge_url(stand, 1, "/purge/confirmed", "soft");
    expect_hit(stand, 0, "/purge/confirmed", "old");
    await_origin(stand, "/purge/confirmed", 2);
    for worker in [0, 1] {
        let confirmed = soon(stand, |stand| ttl(&expect_hit(stand, worker, "/purge/confirmed", "old")) > 500);
        assert!(confirmed, "on worker {worker}");
    }
    assert_eq!(stand.origin_count("/purge/confirmed"), 2);
}

pub fn a_revalidating_purge_asks_before_the_next_use(stand: &mut dyn Stand) {
    admin(stand);
    let confirmed = Reply::status(304).field("etag", "\"v\"");
    stand.origin("/purge/revalidate", vec![page("old").field("etag", "\"v\""), confirmed]);
    get(stand, 0, "/purge/revalidate");
    purge_url(stand, 0, "/purge/revalidate", "revalidate");
    let response = expect_miss(stand, 1, "/purge/revalidate", "old");
    assert_eq!(
        response.field("cache-status"),
        "larder; fwd=stale; fwd-status=304; stored; detail=invalidated"
    );
    expect_hit(stand, 0, "/purge/revalidate", "old");
}

pub fn a_purge_covers_every_variant_and_every_spelling(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/purge/variants";
    let varying = |body: &str| page(body).field("vary", "x-lang");
    stand.origin(path, ["a1", "b1", "a2", "b2"].map(varying).to_vec());
    let ask = |stand: &mut dyn Stand, worker, lang: &str| {
        stand.send(worker, Request::get(path).field("x-lang", lang)).text()
    };
    for worker in [0, 1] {
        assert_eq!([ask(stand, worker, "a"), ask(stand, worker, "b")], ["a1", "b1"]);
    }
    // Host in another case, default port, a needless escape.
    purge(stand, 0, r#"{"url": "http://SHOP.example:80/purge/%76ariants"}"#, "hard");
    for worker in [1, 0] {
        assert_eq!([ask(stand, worker, "a"), ask(stand, worker, "b")], ["a2", "b2"]);
    }
    assert_eq!(stand.origin_count(path), 4);
}

pub fn a_purge_leaves_other_responses_alone(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/purge/other", pages(&["path", "query", "host", "again"]));
    let requests = [
        Request::get("/purge/other"),
        Request::get("/purge/other?a=1"),
        Request::get("/purge/other").host("other.example"),
    ];
    for request in &requests {
        stand.send(0, request.clone());
    }
    purge_url(stand, 1, "/purge/other", "hard");
    for worker in [0, 1] {
        let seen: Vec<_> = requests.iter().skip(1).map(|r| stand.send(worker, r.clone())).collect();
        assert!(seen.iter().all(|r| r.is_hit()));
        assert_eq!(seen.iter().map(|r| r.text()).collect::<Vec<_>>(), ["query", "host"]);
    }
    expect_miss(stand, 0, "/purge/other", "again");
}

pub fn a_fetch_in_flight_cannot_undo_a_purge(stand: &mut dyn Stand) {
    admin(stand);
    for (n, (fetching, purging, mode)) in
        [(0, 0, "hard"), (0, 1, "hard"), (1, 0, "soft"), (1, 1, "soft"), (0, 1, "revalidate")]
            .into_iter()
            .enumerate()
    {
        let path = format!("/purge/flight-{n}");
        stand.origin(&path, vec![page("old").delay(SLOW), page("new")]);
        let leader = stand.start(fetching, Request::get(&path));
        await_origin(stand, &path, 1);
        purge_url(stand, purging, &path, mode);
        assert_eq!(stand.finish(leader).text(), "old", "it asked before the purge");
        if mode == "soft" {
            // Stale on arrival: served while it is refreshed.
            expect_hit(stand, purging, &path, "old");
            await_hit(stand, purging, &path, "new");
        } else {
            expect_miss(stand, purging, &path, "new");
        }
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "new");
        }
        assert_eq!(stand.origin_count(&path), 2, "{mode}");
    }
}

pub fn followers_do_not_get_a_response_that_was_purged_in_flight(stand: &mut dyn Stand) {
    admin(stand);
    for purging in [0, 1] {
        let path = format!("/purge/followers-{purging}");
        stand.origin(&path, vec![page("old").delay(SLOW * 4), page("new").delay(SLOW)]);
        let leader = stand.start(0, Request::get(&path));
        await_origin(stand, &path, 1);
        let followers: Vec<_> = (0..6).map(|n| stand.start(n % 2, Request::get(&path))).collect();
        purge_url(stand, purging, &path, "hard");
        let late = stand.start(1, Request::get(&path));
        assert_eq!(stand.finish(leader).text(), "old");
        for follower in followers.into_iter().chain([late]) {
            assert_eq!(stand.finish(follower).text(), "new");
        }
        assert_eq!(stand.origin_count(&path), 2, "one more fetch for all of them");
    }
}

pub fn followers_get_a_response_soft_purged_in_flight_and_it_is_refreshed(stand: &mut dyn Stand) {
    admin(stand);
    for purging in [0, 1] {
        let path = format!("/purge/soft-followers-{purging}");
        stand.origin(&path, vec![page("old").delay(SLOW), page("new")]);
        let leader = stand.start(0, Request::get(&path));
        await_origin(stand, &path, 1);
        let followers: Vec<_> = (0..6).map(|n| stand.start(n % 2, Request::get(&path))).collect();
        purge_url(stand, purging, &path, "soft");
        assert_eq!(stand.finish(leader).text(), "old");
        for follower in followers {
            // Within the grace of the purge; the one on whose behalf it is refreshed may get that.
            let text = stand.finish(follower).text();
            assert!(text == "old" || text == "new", "{text}");
        }
        for worker in [0, 1] {
            await_hit(stand, worker, &path, "new");
        }
        assert_eq!(stand.origin_count(&path), 2);
    }
}

pub fn two_purges_during_a_flight_both_hold(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin(
        "/purge/two",
        vec![page("one").delay(SLOW * 3), page("two").delay(SLOW), page("three").delay(SLOW), page("four")],
    );
    let leader = stand.start(0, Request::get("/purge/two"));
    await_origin(stand, "/purge/two", 1);
    let follower = stand.start(1, Request::get("/purge/two"));
    purge_url(stand, 0, "/purge/two", "hard");
    purge_url(stand, 1, "/purge/two", "hard");
    assert_eq!(stand.finish(leader).text(), "one");
    // The second fetch began after both. A third purge comes while it is under way.
    await_origin(stand, "/purge/two", 2);
    purge_url(stand, 0, "/purge/two", "hard");
    let followed = stand.finish(follower).text();
    // Its own request may have been on its way when the third purge came; what another fetched would not do.
    assert!(followed == "two" || followed == "three", "{followed}");
    assert_eq!(get(stand, 1, "/purge/two").text(), "three");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/purge/two", "three");
    }
    assert_eq!(stand.origin_count("/purge/two"), 3);
}

pub fn a_refresh_in_flight_cannot_undo_a_purge(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/purge/refresh";
    stand.origin(path, vec![page("one"), page("two").delay(SLOW), page("three")]);
    get(stand, 0, path);
    purge_url(stand, 0, path, "soft");
    expect_hit(stand, 1, path, "one");
    await_origin(stand, path, 2);
    purge_url(stand, 0, path, "hard");
    // The refresh under way was decided before the purge: nobody may get it.
    for worker in [1, 0] {
        expect_miss_or_hit(stand, worker, path, "three");
    }
    stand.pass(SLOW);
    for worker in [0, 1] {
        expect_hit(stand, worker, path, "three");
    }
}

fn expect_miss_or_hit(stand: &mut dyn Stand, worker: usize, path: &str, body: &str) {
    assert_eq!(get(stand, worker, path).text(), body, "worker {worker}");
}

pub fn several_selectors_are_answered_one_by_one(stand: &mut dyn Stand) {
    admin(stand);
    for path in ["/purge/list-a", "/purge/list-b", "/purge/list-c"] {
        stand.origin(path, pages(&["old", "new"]));
        get(stand, 0, path);
    }
    let body = r#"{"selectors": [{"url": "http://shop.example/purge/list-a"}, {"url": "http://shop.example/purge/list-b"}], "mode": "hard"}"#;
    let response = command(stand, 1, "POST", "/_larder/purge", body);
    let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, answer["mode"].as_str()), (200, Some("hard")));
    let receipts: Vec<_> =
        answer["selectors"].as_array().unwrap().iter().map(|s| s["receipt"].as_u64().unwrap()).collect();
    assert_eq!(receipts[1], receipts[0] + 1);
    assert_eq!(answer["receipt"].as_u64(), Some(receipts[1]));
    expect_miss(stand, 0, "/purge/list-a", "new");
    expect_miss(stand, 0, "/purge/list-b", "new");
    expect_hit(stand, 0, "/purge/list-c", "old");
}

pub fn a_purge_holds_for_a_large_response_that_is_arriving(stand: &mut dyn Stand) {
    admin(stand);
    let body = vec![b'o'; 600_000];
    stand.origin(
        "/purge/large",
        vec![page(&body).delay(SLOW).ending(Ending::Trailers(Vec::new())), page("new")],
    );
    let leader = stand.start(0, Request::get("/purge/large"));
    await_origin(stand, "/purge/large", 1);
    purge_url(stand, 1, "/purge/large", "hard");
    assert!(stand.finish(leader).body == body);
    expect_miss(stand, 1, "/purge/large", "new");
}

pub fn hard_purged_responses_are_freed_in_the_background(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/purge/room", vec![page("room")]);
    let query = |n: usize| format!("/purge/room?{n}");
    for n in 0..40 {
        get(stand, n % 2, &query(n));
    }
    let before = stand.metric("reclaimed");
    purge(stand, 0, r#"{"url_any_query": "http://shop.example/purge/room"}"#, "hard");
    soon(stand, |stand| stand.metric("reclaimed") >= before + 40);
    assert_eq!(stand.metric("reclaimed") - before, 40);
    let answer = command(stand, 0, "GET", "/_larder/entries?prefix=shop.example/purge/room", "").text();
    let answer = answer.trim_end();
    assert_eq!(answer, r#"{"entries":[],"next":null}"#);
    // It is known all the same that something was purged there.
    for (worker, n) in [(0, 1), (1, 2)] {
        let status = get(stand, worker, &query(n)).field("cache-status");
        assert_eq!(status, "larder; fwd=uri-miss; stored; detail=purged");
        assert!(get(stand, 1 - worker, &query(n)).is_hit());
    }
    let status = get(stand, 0, &query(40)).field("cache-status");
    assert_eq!(status, "larder; fwd=uri-miss; stored", "nothing was stored there");
}
