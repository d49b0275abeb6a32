//! The emulated host alone: what takes longer than anybody wants to wait, or what only it can script.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use larder::store::set::WAYS;
use larder::store::{SCHEMA, Seed};

use super::attacks::{kept_of, paths_aimed_at_one_set};
use super::collapse::nobody_waits;
use super::telling::{
    TABLE, admin, command, expect_hit, expect_miss, get, page, purge_url, stale_page, with_admin,
};
use crate::host::faults::{FaultKind, MessageHarm};
use crate::host::hcm::Cluster;
use crate::host::stand::Emulated;
use crate::stand::{Ending, Reply, Request, Route, Stand};

/// Hash flooding, with the secret and without it. Nothing but a debugger shows the secret of a real Envoy.
pub fn sets_cannot_be_targeted_without_the_secret(stand: &mut Emulated) {
    stand.configure(r#"{"store": {"entries_max": 1024}}"#).unwrap();
    get(stand, 0, "/");
    let secret = stand.world.shared("seed").expect("a request was answered");
    let half = |at: usize| u64::from_le_bytes(secret[at..at + 8].try_into().unwrap());
    let (sets, paths) = (1024 / WAYS as u64, 3 * WAYS);
    let guessed = paths_aimed_at_one_set(Seed(0, 0), sets, paths);
    assert_eq!(kept_of(stand, &guessed), paths);
    let aimed = paths_aimed_at_one_set(Seed(half(0), half(8)), sets, paths);
    assert!(kept_of(stand, &aimed) <= WAYS, "even then no more than one set is lost");
}

/// Only here can a cluster be removed. Blue and green: the route leads to another cluster, then the old one goes.
pub fn a_removed_cluster_is_not_noticed_by_clients(stand: &mut Emulated) {
    for collapse in [TABLE, r#""collapse": {"cluster": null},"#] {
        stand.configure(&with_admin(collapse)).unwrap();
        stand.route(Route::default());
        stand.world.settings(|s| s.route.clusters.insert("origin".into(), Cluster::Up));
        let brief = || page("page").field("cache-control", "max-age=2, stale-while-revalidate=60");
        stand.origin("/green", vec![brief()]);
        for worker in [0, 1] {
            get(stand, worker, "/green");
        }
        stand.route(Route { cluster: "blue", host: Some("blue.internal"), ..Route::default() });
        stand.world.settings(|s| s.route.clusters.remove("origin"));
        let (asked, hits) = (stand.origin_count("/green"), 60);
        let mut served = 0;
        for n in 0..hits {
            let response = get(stand, n % 2, "/green");
            assert_eq!((response.status, response.text().as_str()), (200, "page"));
            served += usize::from(response.is_hit());
            stand.pass(Duration::from_millis(500));
        }
        assert!(served >= hits - 16, "{served} of {hits} are hits");
        let log = stand.origin_log().split_off(asked);
        assert!(log.iter().all(|request| request.field("host") != "shop.example"), "{collapse}");
        purge_url(stand, 0, "/green", "hard");
        expect_miss(stand, 1, "/green", "page");
        expect_hit(stand, 0, "/green", "page");
    }
}

/// Takes an hour.
pub fn a_heuristic_lifetime_ends(stand: &mut Emulated) {
    stand.origin(
        "/heuristic",
        vec![Reply::ok("one").field("last-modified", "Wed, 31 Dec 2025 14:00:00 GMT"), page("two")],
    );
    get(stand, 0, "/heuristic");
    stand.pass(Duration::from_secs(3500));
    expect_hit(stand, 1, "/heuristic", "one");
    stand.pass(Duration::from_secs(150));
    assert_eq!(get(stand, 1, "/heuristic").text(), "two");
}

/// Takes ten seconds, for which it is remembered that a response is of no use to others.
pub fn after_hit_for_miss_expires_no_request_waits_for_an_uncacheable_response(stand: &mut Emulated) {
    let reply = Reply::ok("mine").field("cache-control", "no-store");
    stand.origin("/forgotten", vec![reply.clone(), reply.delay(Duration::from_secs(1))]);
    get(stand, 0, "/forgotten");
    for round in 0..3 {
        stand.pass(Duration::from_millis(10_500));
        nobody_waits(stand, "/forgotten", 1 + 10 * round);
    }
    // Long afterwards nothing is known any more.
    stand.pass(Duration::from_secs(60));
    stand.origin("/forgotten", vec![page("mine").delay(Duration::from_secs(1))]);
    let before = stand.origin_count("/forgotten");
    let exchanges: Vec<_> = (0..10).map(|n| stand.start(n % 2, Request::get("/forgotten"))).collect();
    exchanges.into_iter().for_each(|exchange| assert_eq!(stand.finish(exchange).text(), "mine"));
    assert_eq!(stand.origin_count("/forgotten"), before + 1);
}

/// Takes minutes.
pub fn a_stale_window_ends(stand: &mut Emulated) {
    stand.origin(
        "/window",
        vec![stale_page("old", ", stale-while-revalidate=100, stale-if-error=200"), Reply::status(503)],
    );
    get(stand, 0, "/window");
    expect_hit(stand, 1, "/window", "old");
    stand.pass(Duration::from_secs(61));
    let on_error = expect_hit(stand, 0, "/window", "old");
    assert!(on_error.field("cache-status").ends_with("detail=stale-if-error"));
    stand.pass(Duration::from_secs(100));
    assert_eq!(get(stand, 1, "/window").status, 503);
}

/// Takes a minute: the grace of a soft purge.
pub fn the_grace_of_a_soft_purge_ends(stand: &mut Emulated) {
    admin(stand);
    stand.origin("/grace", vec![page("old"), Reply::status(503)]);
    get(stand, 0, "/grace");
    purge_url(stand, 0, "/grace", "soft");
    expect_hit(stand, 1, "/grace", "old");
    stand.pass(Duration::from_secs(30));
    expect_hit(stand, 0, "/grace", "old");
    stand.pass(Duration::from_secs(31));
    assert_eq!(get(stand, 1, "/grace").status, 503);
}

/// Takes a minute.
pub fn a_key_that_keeps_failing_is_asked_for_ever_less_often(stand: &mut Emulated) {
    for (path, window) in [("/rests/while", "stale-while-revalidate"), ("/rests/error", "stale-if-error")] {
        stand.origin(path, vec![stale_page("old", &format!(", {window}=300")), Reply::status(503)]);
        get(stand, 0, path);
        let mut asked_at = Vec::new();
        for tenth in 0..600 {
            expect_hit(stand, tenth % 2, path, "old");
            stand.pass(Duration::from_millis(100));
            if stand.origin_count(path) > asked_at.len() + 1 {
                asked_at.push(tenth);
            }
        }
        let pauses: Vec<usize> = asked_at.windows(2).map(|two| two[1] - two[0]).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let whole = (10usize << n).min(100);
            assert!((whole / 2..=whole + 2).contains(pause), "{path}: {pauses:?} tenths of a second");
        }
        assert!(pauses.len() >= 7, "{pauses:?}");
        stand.origin(path, vec![page("new")]);
        stand.pass(Duration::from_secs(10));
        get(stand, 0, path);
        stand.pass(Duration::from_secs(1));
        expect_hit(stand, 1, path, "new");
    }
}

/// Faults that only this stand can script: hints are only hints.
pub fn a_lost_hint_is_made_up_for_by_the_sweep(stand: &mut Emulated) {
    for (n, harm) in
        [MessageHarm::Lost, MessageHarm::NotAnnounced, MessageHarm::Doubled, MessageHarm::Reordered]
            .into_iter()
            .enumerate()
    {
        let path = format!("/hint-{n}");
        stand.origin(&path, vec![page("page").delay(Duration::from_millis(300))]);
        let leader = stand.start(0, Request::get(&path));
        stand.pass(Duration::from_millis(20));
        let follower = stand.start(1, Request::get(&path));
        stand.pass(Duration::from_millis(20));
        stand.world.faults(FaultKind::Message { prefix: b"w/".to_vec(), harm }, 0, 3);
        stand.finish(leader);
        let before = stand.world.now();
        assert_eq!(stand.finish(follower).text(), "page", "{harm:?}");
        assert!(stand.world.now() - before < 300_000_000, "{harm:?}: within the sweep");
        assert_eq!(stand.origin_count(&path), 1, "{harm:?}");
        stand.pass(Duration::from_secs(1));
        stand.world.look(|h| h.faults.scripted.clear());
    }
}

/// Faults that only this stand can script: compare-and-set that is lost to another worker.
pub fn a_lost_compare_and_set_is_tried_again(stand: &mut Emulated) {
    admin(stand);
    for n in 0..8 {
        let path = format!("/cas-{n}");
        stand.origin(&path, vec![page("old"), page("new")]);
        for prefix in [format!("{SCHEMA}/s/"), "j/".into()] {
            stand.world.faults(FaultKind::LoseCas { prefix: prefix.into() }, n / 2, 1);
        }
        get(stand, 0, &path);
        expect_hit(stand, 1, &path, "old");
        purge_url(stand, 1, &path, "hard");
        expect_miss(stand, 0, &path, "new");
        stand.world.look(|h| h.faults.scripted.clear());
    }
    assert!(stand.metric("conflicts") > 0);
}

/// A fault that only this stand can script: sets that take no write. What is stored still answers, all else goes to the
/// origin, and the counters say why.
pub fn a_miss_whose_set_cannot_be_written_bypasses_the_cache(stand: &mut Emulated) {
    stand.configure(r#"{"store": {"entries_max": 64}}"#).unwrap();
    stand.origin("/kept", vec![page("kept")]);
    stand.origin("/new", (0..40).map(|n| page(n.to_string())).collect());
    for n in 0..16 {
        get(stand, 0, &format!("/kept?{n}")); // At least one in each of the four sets.
    }
    stand.world.faults(FaultKind::LoseCas { prefix: format!("{SCHEMA}/s/").into() }, 0, u32::MAX);
    for n in 0..10 {
        for worker in [0, 1] {
            expect_hit(stand, worker, &format!("/kept?{n}"), "kept");
            let response = get(stand, worker, "/new");
            assert_eq!(response.status, 200);
            assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=unavailable");
        }
    }
    assert_eq!(stand.metric("forwarded_bypass_unavailable"), 20);
    stand.world.look(|h| h.faults.scripted.clear());
    get(stand, 0, "/new");
    assert!(get(stand, 1, "/new").is_hit());
}

/// A response without `Content-Length` does not show by itself that some of it is missing.
pub fn a_body_that_larder_was_not_given_is_not_stored(stand: &mut Emulated) {
    admin(stand);
    let chunked = || page("body").ending(Ending::Trailers(Vec::new()));
    stand.origin("/not-given", vec![chunked()]);
    for fetched_by in ["client", "larder"] {
        stand.world.faults(FaultKind::KeepBody, 0, 1);
        assert_eq!(get(stand, 0, "/not-given").text(), "body", "by {fetched_by}");
        stand.pass(Duration::from_millis(1100)); // A fetch that failed is not made again for others at once.
        if fetched_by == "client" {
            expect_miss(stand, 1, "/not-given", "body");
        } // Else the client went to the origin as well, and Larder was given that.
        expect_hit(stand, 0, "/not-given", "body");
        purge_url(stand, 1, "/not-given", "hard");
    }
}

/// What stands for its content is part of a QUERY's key, and of a command the most.
pub fn a_request_whose_body_larder_was_not_given_is_not_taken_for_an_empty_one(stand: &mut Emulated) {
    admin(stand);
    stand.origin("/kept-back", vec![page("to a"), page("to b")]);
    for content in ["a", "b"] {
        stand.world.faults(FaultKind::KeepBody, 0, 1);
        let query = Request::new("QUERY", "/kept-back").field("content-type", "text/plain").body(content);
        let response = stand.send(0, query);
        assert_eq!(response.text(), format!("to {content}"));
        assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=request-body");
    }
    stand.world.faults(FaultKind::KeepBody, 0, 1);
    let response = command(stand, 0, "POST", "/_larder/purge", r#"{"selectors": [{"all": true}]}"#);
    assert_eq!(response.status, 408, "{}", response.text());
}

/// Only this stand can set the clock. Set forward, it ends lifetimes early; set back, it would let them go on, so what is
/// stored is validated before its next use.
pub fn a_wall_clock_that_jumps_does_not_prolong_lifetimes(stand: &mut Emulated) {
    stand.configure(&with_admin("")).unwrap();
    stand.origin("/clock", (0..9).map(|n| page(n.to_string())).collect());
    get(stand, 0, "/clock");
    expect_hit(stand, 1, "/clock", "0");
    stand.world.step_wall(3_600_000);
    expect_miss(stand, 1, "/clock", "1");
    expect_hit(stand, 0, "/clock", "1");
    stand.pass(Duration::from_secs(1));
    assert_eq!(stand.metric("clock_set_back"), 0);
    stand.world.step_wall(-7_200_000);
    stand.pass(Duration::from_secs(1));
    assert!(stand.metric("clock_set_back") >= 2, "each worker has noticed");
    expect_miss(stand, 0, "/clock", "2");
    expect_hit(stand, 1, "/clock", "2");
    purge_url(stand, 1, "/clock", "hard");
    expect_miss(stand, 0, "/clock", "3");
    expect_hit(stand, 1, "/clock", "3");
    stand.pass(Duration::from_secs(590));
    expect_hit(stand, 0, "/clock", "3");
    stand.pass(Duration::from_secs(15));
    expect_miss(stand, 1, "/clock", "4");
}

/// A fault that only this stand can script: a journal that cannot be appended to.
pub fn a_purge_that_cannot_be_written_is_not_acknowledged(stand: &mut Emulated) {
    admin(stand);
    stand.origin("/busy", vec![page("old"), page("new")]);
    get(stand, 0, "/busy");
    purge_url(stand, 0, "/elsewhere", "hard");
    stand.world.faults(FaultKind::LoseCas { prefix: b"j/".to_vec() }, 0, 1000);
    let body = r#"{"selectors": [{"url": "http://shop.example/busy"}], "mode": "hard"}"#;
    let response = command(stand, 0, "POST", "/_larder/purge", body);
    assert_eq!((response.status, response.field("retry-after").as_str()), (503, "1"));
    assert_eq!(stand.metric("invalidations_refused"), 1);
    stand.world.look(|h| h.faults.scripted.clear());
    expect_hit(stand, 1, "/busy", "old");
}

/// A fault that only this stand can script: the VM of the leader dies.
pub fn followers_of_a_dead_leader_are_served_within_its_lease(stand: &mut Emulated) {
    stand.configure(&with_admin(r#""collapse": {"lease": "1s"},"#)).unwrap();
    stand.origin("/dead", vec![page("one").delay(Duration::from_millis(500)), page("two")]);
    let leader = stand.start(0, Request::get("/dead"));
    stand.pass(Duration::from_millis(20));
    let follower = stand.start(1, Request::get("/dead"));
    stand.pass(Duration::from_millis(20));
    stand.world.trap(0, "");
    stand.pass(Duration::from_millis(100));
    let before = stand.world.now();
    assert_eq!(stand.finish(follower).text(), "two");
    assert!(stand.world.now() - before < 1_500_000_000);
    stand.leave(leader);
    expect_hit(stand, 1, "/dead", "two");
    expect_hit(stand, 0, "/dead", "two");
    stand.vm_deaths_expected(1);
}

/// The number that the receiver of a dead VM's messages had is a stream's in the VM that comes after it.
pub fn a_message_for_a_dead_vm_does_not_kill_its_heir(stand: &mut Emulated) {
    stand.configure(&with_admin("")).unwrap();
    stand.configure(&with_admin(r#""name": "second","#)).unwrap();
    stand.origin("/kept", vec![page("one"), page("two")]);
    get(stand, 1, "/kept");
    stand.world.trap(1, "");
    stand.pass(Duration::from_millis(60)); // Its next tick is its last.
    let slow = || Reply::ok("slow").field("cache-control", "no-store").delay(Duration::from_secs(1));
    let slow: Vec<_> = (0..9)
        .map(|n| {
            let path = format!("/slow/{n}");
            stand.origin(&path, vec![slow()]);
            stand.start(1, Request::get(&path))
        })
        .collect();
    stand.pass(Duration::from_millis(20));
    // What replaces a fresh response is told to every worker, and for a while the dead one counts as such.
    let replacing = stand.start(0, Request::get("/kept").field("cache-control", "no-cache"));
    assert_eq!(stand.finish(replacing).text(), "two");
    for exchange in slow {
        assert_eq!(stand.finish(exchange).text(), "slow");
    }
    stand.vm_deaths_expected(1);
}

/// Takes hundreds of connections to one worker, which no Envoy promises. (`e2e/crowds.rs` has the real ones.)
pub fn a_crowd_on_one_worker_is_answered_bit_by_bit(stand: &mut Emulated) {
    stand.origin("/crowd", vec![page("page").delay(Duration::from_millis(300)), page("again")]);
    let exchanges: Vec<_> = (0..500).map(|_| stand.start(0, Request::get("/crowd"))).collect();
    let before = stand.world.now();
    for exchange in exchanges {
        assert_eq!(stand.finish(exchange).text(), "page");
    }
    assert!(stand.world.now() - before < 400_000_000, "one callback follows the other");
    assert_eq!(stand.origin_count("/crowd"), 1);
    // The same for those who go to the origin after all.
    stand.origin(
        "/private",
        vec![Reply::ok("mine").field("cache-control", "private").delay(Duration::from_millis(300))],
    );
    let exchanges: Vec<_> = (0..500).map(|_| stand.start(0, Request::get("/private"))).collect();
    for exchange in exchanges {
        assert_eq!(stand.finish(exchange).text(), "mine");
    }
}

/// Only this stand's clients speak HTTP/2. (`e2e/crowds.rs` has the real ones.)
pub fn when_the_first_client_resets_its_stream_the_others_are_served_by_one_more_request(
    stand: &mut Emulated,
) {
    stand.world.settings(|s| s.http2 = true);
    super::collapse::when_the_first_client_leaves_the_others_are_served_by_one_more_request(stand);
}

/// Only this stand can silence statistics: then the journal's clock is in shared data.
pub fn purges_hold_where_a_stats_filter_silences_the_epoch(stand: &mut Emulated) {
    stand.world.silence_metrics();
    stand.world.look(|h| h.metrics.values.clear());
    // A VM finds out when it starts.
    stand.world.push_code().unwrap();
    stand.configure(&with_admin(r#""name": "quiet","#)).unwrap();
    stand.origin("/quiet", vec![page("old"), page("new"), page("newer")]);
    get(stand, 0, "/quiet");
    get(stand, 1, "/quiet");
    purge_url(stand, 0, "/quiet", "hard");
    expect_miss(stand, 1, "/quiet", "new");
    purge_url(stand, 1, "/quiet", "hard");
    expect_miss(stand, 0, "/quiet", "newer");
}

/// Only this stand can begin with what another version has left. That takes its memory until Envoy ends, but is not in
/// the way.
pub fn records_of_another_layout_are_ignored(stand: &mut Emulated) {
    for key in ["bytes", "4/bytes", "4/entries"] {
        stand.world.set_shared(key, &(1u64 << 40).to_le_bytes());
    }
    stand.configure(&with_admin("")).unwrap();
    stand.pass(Duration::from_millis(100)); // Each worker hears what all have stored.
    stand.origin("/upgraded", vec![page("new")]);
    expect_miss(stand, 0, "/upgraded", "new");
    expect_hit(stand, 1, "/upgraded", "new");
}

/// Only this stand can damage shared data.
pub fn damaged_records_and_sets_are_misses(stand: &mut Emulated) {
    stand.configure(r#"{"store": {"worker_bytes_max": 0}}"#).unwrap();
    stand.origin("/damaged", vec![page("good"), page("better"), page("fresh")]);
    get(stand, 0, "/damaged");
    expect_hit(stand, 1, "/damaged", "good");
    for (kind, body, met) in [("r", "better", 1), ("s", "fresh", 2)] {
        let kind = format!("{SCHEMA}/{kind}/");
        assert_eq!(stand.metric("damaged"), met - 1);
        for (key, _) in stand.world.shared_sizes().into_iter().filter(|(key, _)| key.starts_with(&kind)) {
            let mut value = stand.world.shared(&key).unwrap();
            if let Some(byte) = value.last_mut() {
                *byte ^= 1;
            }
            stand.world.set_shared(&key, &value);
        }
        expect_miss(stand, 1, "/damaged", body);
        assert_eq!(stand.metric("damaged"), met);
        expect_hit(stand, 0, "/damaged", body);
    }
}

/// Damage to the journal costs fetches, and no purge.
pub fn a_damaged_journal_forgets_to_the_safe_side(stand: &mut Emulated) {
    stand.configure(&with_admin("")).unwrap();
    stand.origin("/torn", (0..9).map(|n| page(n.to_string())).collect());
    get(stand, 0, "/torn");
    for (n, segment) in [(1, "j/1"), (3, "j/2"), (5, "j/3")] {
        purge_url(stand, n % 2, "/torn", "hard");
        expect_miss(stand, 0, "/torn", &n.to_string());
        let mut value = stand.world.shared(segment).expect("the segment where the journal ends");
        value.truncate(value.len() / 2);
        stand.world.set_shared(segment, &value);
        stand.pass(Duration::from_millis(60)); // The next tick looks at it.
        expect_miss(stand, 1, "/torn", &(n + 1).to_string());
        expect_hit(stand, 0, "/torn", &(n + 1).to_string());
    }
    assert_eq!(stand.metric("journal_healed"), 3);
}

/// Only this stand can damage so much of the journal: then nothing is served from the cache, nothing is purged, and all of
/// it is said.
pub fn an_unreadable_journal_makes_requests_bypass_the_cache(stand: &mut Emulated) {
    stand.configure(&with_admin("")).unwrap();
    stand.origin("/off", (0..9).map(|n| page(n.to_string())).collect());
    get(stand, 0, "/off");
    purge_url(stand, 0, "/elsewhere", "hard");
    expect_hit(stand, 1, "/off", "0");
    for segment in ["j/1", "j/2"] {
        stand.world.set_shared(segment, b"?");
    }
    stand.pass(Duration::from_millis(60)); // The next tick looks at it.
    for (worker, body) in [(0, "1"), (1, "2")] {
        let response = expect_miss(stand, worker, "/off", body);
        assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=unavailable");
    }
    assert_eq!(stand.metric("forwarded_bypass_unavailable"), 2);
    let body = r#"{"selectors": [{"url": "http://shop.example/off"}]}"#;
    assert_eq!(command(stand, 0, "POST", "/_larder/purge", body).status, 503);
    let health = command(stand, 1, "GET", "/_larder/health", "");
    assert!(health.text().contains("the journal in shared data cannot be read"), "{}", health.text());
}

/// Takes a hundred purges, and pushes the very same configuration again, which Envoy would not take up.
pub fn a_configuration_that_comes_back_still_serves_and_purges(stand: &mut Emulated) {
    let (a, b) = (with_admin(r#""name": "a","#), with_admin(r#""name": "b","#));
    stand.origin("/back", (0..40).map(|n| page(n.to_string())).collect());
    get(stand, 0, "/back");
    for n in 1..20 {
        stand.configure(if n % 2 == 0 { &a } else { &b }).unwrap();
        purge_url(stand, n % 2, "/back", "hard");
        expect_miss(stand, (n + 1) % 2, "/back", &n.to_string());
        let hit = expect_hit(stand, n % 2, "/back", &n.to_string());
        assert!(hit.field("cache-status").starts_with(if n % 2 == 0 { "a;" } else { "b;" }));
        stand.pass(Duration::from_secs(n as u64 % 7));
    }
}

/// Only this stand can change its route at once; for a real Envoy there is `tests/e2e/routes.rs`.
pub fn response_headers_to_add_are_not_doubled_on_hits(stand: &mut Emulated) {
    let add = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    stand.origin(
        "/added",
        vec![page("page").field("x-both", "origin").field("x-twice", "2").field("x-twice", "2")],
    );
    let added = vec![add("x-route", "1"), add("x-both", "route")];
    stand.world.settings(|s| s.route.response_headers_to_add = added);
    let seen = |response: &crate::stand::Response| {
        ["x-route", "x-both", "x-twice", "x-new"].map(|name| response.all(name))
    };
    let miss = expect_miss(stand, 0, "/added", "page");
    assert_eq!(seen(&miss)[1], ["origin", "route"]);
    for worker in [0, 1] {
        assert_eq!(seen(&expect_hit(stand, worker, "/added", "page")), seen(&miss));
    }
    stand.world.settings(|s| s.route.response_headers_to_add.push(add("x-new", "1")));
    let [route, both, twice, new] = seen(&expect_hit(stand, 0, "/added", "page"));
    assert_eq!((route.len(), both.len(), twice.len(), new.len()), (1, 2, 2, 1));
}

/// Such as a Lua script on responses: local replies run through it as well.
pub fn fields_that_a_filter_adds_twice_are_removed_and_reported(stand: &mut Emulated) {
    stand.configure(&with_admin("")).unwrap();
    let health = |stand: &mut Emulated, worker| command(stand, worker, "GET", "/_larder/health", "").text();
    stand.origin("/behind", vec![page("page").field("x-both", "origin")]);
    let add = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    stand
        .world
        .settings(|s| s.route.response_headers_appended = vec![add("x-lua", "1"), add("x-both", "lua")]);
    let miss = expect_miss(stand, 0, "/behind", "page");
    assert_eq!(
        (miss.all("x-lua"), miss.all("x-both")),
        (vec!["1".into()], vec!["origin".into(), "lua".into()])
    );
    assert!(health(stand, 0).contains(r#""warnings":[]"#));
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/behind", "page");
        assert_eq!((hit.all("x-lua"), hit.all("x-both")), (miss.all("x-lua"), miss.all("x-both")));
        let told = health(stand, worker);
        assert!(told.contains("a filter behind larder") && told.contains("(x-both, x-lua)"), "{told}");
    }
    stand.world.settings(|s| s.route.response_headers_appended.clear());
    stand.pass(Duration::from_secs(601));
    assert!(health(stand, 0).contains(r#""warnings":[]"#), "the filter has moved");
}

/// A filter takes the token off the request, and tells the origin in a field that nobody knows. Only its metadata says
/// that there was one.
pub fn senders_known_only_from_filter_metadata_do_not_share_responses(stand: &mut Emulated) {
    stand.world.settings(|s| s.authenticates = true);
    let of = |path: &str, who: &str| Request::get(path).field("authorization", who).field("x-acme", who);
    let own = |control: &str| {
        ["for alice", "for bob", "third", "fourth"]
            .map(|body| Reply::ok(body).field("cache-control", control))
            .to_vec()
    };
    stand.origin("/known", own("max-age=600"));
    let alice = stand.send(0, of("/known", "alice"));
    assert_eq!(alice.field("cache-status"), "larder; fwd=uri-miss; detail=authorization");
    for (worker, body) in [(0, "for bob"), (1, "third")] {
        assert_eq!(stand.send(worker, of("/known", "bob")).text(), body);
    }
    assert!(stand.origin_log().iter().all(|request| request.field("authorization").is_empty()));
    expect_miss(stand, 0, "/known", "fourth");
    expect_hit(stand, 1, "/known", "fourth");
    stand.origin("/known/public", own("max-age=600, public"));
    stand.send(0, of("/known/public", "alice"));
    assert!(stand.send(1, of("/known/public", "bob")).is_hit());
    // Those who wait are not held up by each other.
    stand.origin("/known/slow", vec![page("own").delay(Duration::from_secs(1))]);
    stand.send(0, of("/known/slow", "alice"));
    let crowd: Vec<_> = (0..10).map(|n| stand.start(n % 2, of("/known/slow", &n.to_string()))).collect();
    let before = stand.world.now();
    crowd.into_iter().for_each(|exchange| assert_eq!(stand.finish(exchange).text(), "own"));
    assert!(stand.world.now() - before < 1_500_000_000, "one after the other");
    // The root knows nothing of that field, so it fetches for nobody who may have set it; and a confirmation, a part or
    // a HEAD on behalf of one makes nothing fresh for others.
    stand.origin(
        "/known/stale",
        vec![stale_page("old", ", stale-while-revalidate=600"), page("for alice"), page("new")],
    );
    get(stand, 0, "/known/stale");
    let refreshing = stand.send(0, of("/known/stale", "alice"));
    assert_eq!(refreshing.text(), "for alice");
    assert_eq!(stand.origin_log().last().unwrap().field("x-acme"), "alice");
    assert_ne!(get(stand, 1, "/known/stale").text(), "for alice");
    let confirmed = Reply::status(304).field("etag", "\"old\"").field("cache-control", "max-age=60");
    stand.origin("/known/304", vec![stale_page("old", ""), confirmed, page("new")]);
    get(stand, 0, "/known/304");
    let once = stand.send(0, of("/known/304", "alice"));
    assert_eq!(once.field("cache-status"), "larder; fwd=stale; fwd-status=304; detail=authorization");
    expect_miss(stand, 0, "/known/304", "new");
    let part = Reply::status(206).body("01").field("content-range", "bytes 0-1/4").field("etag", "\"v\"");
    stand.origin("/known/206", vec![part.field("cache-control", "max-age=600")]);
    stand.send(0, of("/known/206", "alice").field("range", "bytes=0-1"));
    assert!(!stand.send(1, Request::get("/known/206").field("range", "bytes=0-1")).is_hit());
    stand.origin(
        "/known/head",
        vec![
            stale_page("page", ""),
            Reply::ok("page").field("etag", "\"old\"").field("cache-control", "max-age=60"),
        ],
    );
    get(stand, 0, "/known/head");
    stand.send(0, Request { method: "HEAD".into(), ..of("/known/head", "alice") });
    assert!(!get(stand, 1, "/known/head").is_hit());
    // A field that is part of the key says what the metadata says; and a rule may set all of that at nothing.
    for (n, config) in [
        r#"{"credentials": {"fields": {"x-acme": "key"}}}"#,
        r#"{"credentials": {"metadata": {"envoy.filters.http.*": "ignore"}}, "key": {"headers": ["x-acme"]}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        stand.configure(config).unwrap();
        let path = format!("/known/keyed-{n}");
        stand.origin(&path, own("max-age=600"));
        for worker in [0, 1] {
            for who in ["alice", "bob"] {
                let response = stand.send(worker, of(&path, who));
                assert_eq!(response.text(), format!("for {who}"), "{config}");
                assert!(response.is_hit() || worker == 0, "{config}");
            }
        }
    }
}

/// Only this stand can change its route at once; for a real Envoy there is `tests/e2e/routes.rs`.
pub fn a_routes_metadata_holds_with_the_next_request(stand: &mut Emulated) {
    let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
    let entry = |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
    let metadata = |ttl: &str| entry("larder", &entry("ttl", &bytes(3, ttl.as_bytes())));
    let ttl = |stand: &mut Emulated, path: &str| {
        stand.origin(path, vec![page("page")]);
        get(stand, 0, path);
        super::telling::ttl(&expect_hit(stand, 0, path, "page"))
    };
    stand.world.settings(|s| s.route.metadata = metadata("20s"));
    assert!(ttl(stand, "/route-a") > 500, "nobody reads it");
    stand.configure(&with_admin(r#""route_metadata": true,"#)).unwrap();
    assert!((19..=20).contains(&ttl(stand, "/route-b")));
    stand.world.settings(|s| s.route.metadata = metadata("30s"));
    assert!((29..=30).contains(&ttl(stand, "/route-c")));
    stand.world.settings(|s| s.route.metadata = metadata("soon"));
    let wrong = get(stand, 0, "/route-c");
    assert_eq!(wrong.field("cache-status"), "larder; fwd=bypass; detail=rule");
    stand.world.settings(|s| s.route.metadata = Vec::new());
    let health = command(stand, 0, "GET", "/_larder/health", "").text();
    assert!(
        health.contains("is invalid, so its requests bypass the cache: filter_metadata.larder.ttl:"),
        "{health}"
    );
    let explained = command(stand, 0, "GET", "/_larder/explain?url=http://shop.example/route-c", "").text();
    assert!(explained.contains("may have a rule in its metadata"), "{explained}");
    assert!(!get(stand, 0, "/route-c").field("cache-status").contains("bypass"));
    // It is told for a minute after it was met last.
    stand.pass(Duration::from_secs(61));
    assert!(command(stand, 0, "GET", "/_larder/health", "").text().contains(r#""warnings":[]"#));
    // Another route of the same name.
    stand.world.settings(|s| s.route.metadata = metadata("40s"));
    assert!((39..=40).contains(&ttl(stand, "/route-d")));
    stand.world.settings(|s| s.route.metadata = Vec::new());
    assert!(ttl(stand, "/route-e") > 500);
}

/// A filter chooses endpoints by a field, within one cluster and one route.
pub fn responses_of_another_endpoint_are_not_served(stand: &mut Emulated) {
    stand.world.settings(|s| s.chooses_endpoints_by = Some("x-version"));
    for (n, collapse) in [TABLE, r#""collapse": {"cluster": null},"#].into_iter().enumerate() {
        stand.configure(&with_admin(collapse)).unwrap();
        let path = format!("/endpoints/{n}");
        stand.origin(&path, vec![page("of the canary"), page("page")]);
        let canary = stand.send(0, Request::get(&path).field("x-version", "2"));
        assert_eq!(canary.text(), "of the canary");
        assert!(stand.send(1, Request::get(&path).field("x-version", "2")).is_hit());
        for worker in [1, 0] {
            assert_eq!(get(stand, worker, &path).text(), "page");
        }
        expect_hit(stand, 1, &path, "page");
    }
    stand.world.settings(|s| s.chooses_endpoints_by = None);
}

/// What a stranger is told.
type Told = fn() -> Reply;

/// A minute of a busy page: others every so often, and a stranger who is told something of its own.
struct Minute {
    path: &'static str,
    others_ms: u64,
    lifetime: u64,
    strangers_ms: Option<u64>,
    told: Told,
}

impl Minute {
    /// The others' share of hits in percent, and how often the origin was asked.
    fn play(&self, stand: &mut Emulated) -> (u64, u64) {
        let (asked, own, lifetime) = (Rc::new(Cell::new(0)), self.told, self.lifetime);
        let count = Rc::clone(&asked);
        stand.world.look(|h| {
            h.origin.author = Some(Box::new(move |_, request| {
                count.set(count.get() + 1);
                let is_stranger = !request.field("x-stranger").is_empty();
                let page = || Reply::ok("page").field("cache-control", format!("max-age={lifetime}"));
                let reply = if is_stranger { own() } else { page() };
                reply.delay(Duration::from_millis(20))
            }));
        });
        let mut others = Vec::new();
        for ms in 0..60_000 {
            let worker = usize::from(ms % 2 == 1) ^ usize::from(ms / 1000 % 2 == 1);
            if self.strangers_ms.is_some_and(|every| ms % every == 0) {
                stand.start(worker, Request::get(self.path).field("x-stranger", "1"));
            }
            if ms % self.others_ms == 1 {
                others.push(stand.start((ms / self.others_ms % 2) as usize, Request::get(self.path)));
            }
            stand.pass(Duration::from_millis(1));
        }
        stand.pass(Duration::from_secs(1));
        let all = others.len() as u64;
        let hits = others.into_iter().filter(|exchange| stand.finish(*exchange).is_hit()).count() as u64;
        (hits * 100 / all, asked.get())
    }
}

/// Takes a quarter of an hour: minutes in which a stranger comes now and then, or ten times as often as all others.
pub fn a_stranger_costs_others_next_to_nothing(stand: &mut Emulated) {
    let kinds: [(&str, Told); 3] = [
        ("403", || Reply::status(403)),
        ("private", || Reply::ok("own").field("cache-control", "private, max-age=60")),
        ("cookie", || page("own").field("set-cookie", "id=1")),
    ];
    for (others_ms, lifetime) in [(62, 2), (500, 10)] {
        let alone = Minute { path: "/minute", others_ms, lifetime, strangers_ms: None, told: kinds[0].1 };
        let (share, asked) = alone.play(stand);
        for (name, told) in kinds {
            for strangers_ms in [2_500, 50] {
                stand.pass(Duration::from_secs(60));
                let minute = Minute { told, strangers_ms: Some(strangers_ms), ..alone };
                let (with, requests) = minute.play(stand);
                let what =
                    format!("{name} each {strangers_ms} ms: {with} of 100 are hits, {requests} requests");
                assert!(with + 5 >= share && requests <= 3 * asked + 30, "{what}; {share} and {asked} alone");
            }
        }
    }
}
