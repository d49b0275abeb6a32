//! Responses in demand are refreshed before they expire.

use std::time::Duration;

use super::telling::{get, ttl};
use crate::stand::{Reply, Request, Stand};

/// A page that takes its time.
fn slow_page(body: &str, lifetime: u32) -> Reply {
    Reply::ok(body).field("cache-control", format!("max-age={lifetime}")).delay(Duration::from_millis(100))
}

/// Asks on both workers again and again; the answers that were no hits.
fn demand(stand: &mut dyn Stand, path: &str, for_ms: u64) -> Vec<String> {
    let mut others = Vec::new();
    for _ in 0..for_ms / 10 {
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

pub fn what_is_in_demand_never_expires(stand: &mut dyn Stand) {
    stand.configure(r#"{"refresh_ahead": {"percent": 500}}"#).unwrap();
    let bodies = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    stand.origin("/ahead/hot", bodies.map(|body| slow_page(body, 4)).into());
    get(stand, 0, "/ahead/hot");
    assert_eq!(demand(stand, "/ahead/hot", 5_000), [""; 0]);
    // A refresh may be under way.
    stand.pass(Duration::from_millis(500));
    let (asked, early) = (stand.origin_count("/ahead/hot"), stand.metric("refreshed_ahead"));
    assert!(
        (2..=bodies.len()).contains(&asked) && early as usize == asked - 1,
        "{asked} requests, {early} of them early"
    );
    // Nobody keeps what has been replaced.
    for worker in [0, 1] {
        assert_eq!(get(stand, worker, "/ahead/hot").text(), bodies[asked - 1]);
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

pub fn what_only_its_own_client_can_fetch_is_served_until_it_expires(stand: &mut dyn Stand) {
    stand.configure(r#"{"refresh_ahead": {"percent": 1000}}"#).unwrap();
    let page = |body| slow_page(body, 2).field("vary", "cookie");
    stand.origin("/ahead/member", vec![page("one"), page("two")]);
    let ask = || Request::get("/ahead/member").field("cookie", "member");
    stand.send(0, ask());
    for _ in 0..15 {
        assert!(stand.send(1, ask()).is_hit());
        stand.pass(Duration::from_millis(100));
    }
    assert_eq!(stand.origin_count("/ahead/member"), 1);
}
