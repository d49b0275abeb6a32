//! Responses in demand are refreshed before they expire.

use std::time::Duration;

use super::telling::{get, in_time, soon, ttl};
use crate::stand::{Reply, Request, Stand};

/// A page that takes its time.
fn slow_page(body: &str, lifetime: u32) -> Reply {
    Reply::ok(body).field("cache-control", format!("max-age={lifetime}")).delay(Duration::from_millis(100))
}

/// Asks on both workers again and again; the answers that were no hits.
fn demand(stand: &mut dyn Stand, path: &str, for_ms: u64) -> Vec<String> {
    let mut others = Vec::new();
    let (began, time) = (stand.now(), Duration::from_millis(for_ms));
    while stand.now() - began < time {
        for worker in [0, 1] {
            let response = get(stand, worker, path);
            if !response.is_hit() || ttl(&response) < 0 {
                others.push(response.field("cache-status"));
            }
        }
        stand.pass(Duration::from_millis(10));
    }
    others
}

pub fn a_popular_response_is_refreshed_before_it_expires(stand: &mut dyn Stand) {
    // Who asks more rarely has to be more eager: on a busy machine the real clients are slow.
    stand.origin("/ahead/rate", vec![slow_page("page", 600)]);
    demand(stand, "/ahead/rate", 500);
    let rate = 2 * stand.metric("hits");
    let percent = (10_000 / rate.max(1)).clamp(500, 5_000);
    stand.configure(&format!(r#"{{"refresh_ahead": {{"percent": {percent}}}}}"#)).unwrap();
    let bodies = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    stand.origin("/ahead/hot", bodies.map(|body| slow_page(body, 4)).into());
    get(stand, 0, "/ahead/hot");
    assert_eq!(demand(stand, "/ahead/hot", 5_000), [""; 0]);
    // A refresh may be under way.
    soon(stand, |stand| stand.metric("refreshed_ahead") as usize + 1 == stand.origin_count("/ahead/hot"));
    let (asked, early) = (stand.origin_count("/ahead/hot"), stand.metric("refreshed_ahead"));
    assert!(
        (2..=bodies.len()).contains(&asked) && early as usize == asked - 1,
        "{asked} requests, {early} of them early"
    );
    // Nobody keeps what has been replaced.
    for worker in [0, 1] {
        let newest = |stand: &mut dyn Stand| {
            let asked = stand.origin_count("/ahead/hot");
            get(stand, worker, "/ahead/hot").text() == bodies[asked - 1]
        };
        assert!(soon(stand, newest), "on worker {worker}");
    }
}

pub fn a_refresh_ahead_can_be_turned_off_by_a_rule(stand: &mut dyn Stand) {
    let rules = r#"{"rules": [{"match": {"path": "/ahead/off"}, "refresh_ahead": {"percent": 0}}]}"#;
    stand.configure(rules).unwrap();
    stand.origin("/ahead/off", vec![slow_page("one", 2), slow_page("two", 60)]);
    get(stand, 0, "/ahead/off");
    let others = demand(stand, "/ahead/off", 2_500);
    assert!(others.len() == 1 && others[0].contains("fwd=stale"), "{others:?}");
    assert_eq!(stand.metric("refreshed_ahead"), 0);
}

pub fn a_response_that_only_its_client_can_fetch_is_not_refreshed_ahead(stand: &mut dyn Stand) {
    stand.configure(r#"{"refresh_ahead": {"percent": 1000}}"#).unwrap();
    let page = |body| slow_page(body, 2).field("vary", "cookie");
    let (seen, asked) = in_time(stand, Duration::from_secs(2), |stand, number| {
        let path = format!("/ahead/member-{number}");
        stand.origin(&path, vec![page("one"), page("two")]);
        let ask = || Request::get(&path).field("cookie", "member");
        let began = stand.now();
        stand.send(0, ask());
        let mut seen = Vec::new();
        while stand.now() - began < Duration::from_millis(1700) {
            seen.push(stand.send(1, ask()).is_hit());
            stand.pass(Duration::from_millis(100));
        }
        (seen, stand.origin_count(&path))
    });
    assert!(seen.len() > 5 && seen.iter().all(|hit| *hit), "{seen:?}");
    assert_eq!(asked, 1);
}
