//! Configuration pushes: what is stored stays, what is wrong is refused and changes nothing.

use std::time::Duration;

use super::telling::{await_origin, expect_hit, expect_miss, get, page, pages, purge_url, with_admin};
use crate::stand::{Request, Stand};

pub fn a_configuration_push_keeps_stored_responses(stand: &mut dyn Stand) {
    stand.origin("/config/kept", pages(&["old", "new"]));
    get(stand, 0, "/config/kept");
    for configuration in [r#"{"name": "other"}"#, "{}", r#"{"store": {"worker_bytes_max": 0}}"#] {
        stand.configure(configuration).unwrap();
        for worker in [0, 1] {
            expect_hit(stand, worker, "/config/kept", "old");
        }
    }
    assert_eq!(stand.origin_count("/config/kept"), 1);
}

pub fn a_push_is_in_force_at_once(stand: &mut dyn Stand) {
    stand.origin("/config/rule", vec![page("page")]);
    get(stand, 0, "/config/rule");
    stand.configure(r#"{"rules": [{"match": {"path": "/config/rule"}, "bypass": true}]}"#).unwrap();
    for worker in [0, 1] {
        assert_eq!(
            get(stand, worker, "/config/rule").field("cache-status"),
            "larder; fwd=bypass; detail=rule"
        );
    }
    stand.configure("{}").unwrap();
    expect_hit(stand, 1, "/config/rule", "page");
}

pub fn a_wrong_configuration_is_refused_with_its_place_and_changes_nothing(stand: &mut dyn Stand) {
    stand.configure(r#"{"name": "before"}"#).unwrap();
    stand.origin("/config/refused", pages(&["old", "new"]));
    get(stand, 0, "/config/refused");
    let cases: [(&str, &[&str]); 6] = [
        (r#"{"rules": [{"ttl": "90s"}, {"ttl": "90x"}]}"#, &["rules[1].ttl", "\"90x\"", "expected"]),
        (r#"{"rulez": []}"#, &["rulez"]),
        (r#"{"store": {"bytes_max": "5KiB"}}"#, &["store.bytes_max", "5KiB"]),
        (r#"{"admin": {"tokens": [{"name": "ops", "sha256": "secret"}]}}"#, &["admin.tokens[0].sha256"]),
        ("{\"name\": ", &["EOF"]),
        ("[]", &["expected"]),
    ];
    for (configuration, said) in cases {
        let refusal = stand.configure(configuration).expect_err(configuration);
        for text in said {
            assert!(refusal.contains(text), "{configuration}: {refusal}");
        }
        for worker in [0, 1] {
            let hit = expect_hit(stand, worker, "/config/refused", "old");
            assert!(hit.field("cache-status").starts_with("before; hit"));
        }
    }
}

pub fn a_purge_outlives_a_push(stand: &mut dyn Stand) {
    stand.configure(&with_admin("")).unwrap();
    stand.origin("/config/purged", pages(&["old", "new"]));
    get(stand, 0, "/config/purged");
    get(stand, 1, "/config/purged");
    purge_url(stand, 0, "/config/purged", "hard");
    stand.configure(r#"{"name": "next"}"#).unwrap();
    expect_miss(stand, 1, "/config/purged", "new");
    expect_hit(stand, 0, "/config/purged", "new");
}

pub fn requests_under_way_are_not_disturbed_by_a_push(stand: &mut dyn Stand) {
    stand.origin("/config/flight", vec![page("page").delay(Duration::from_secs(1)), page("second")]);
    let leader = stand.start(0, Request::get("/config/flight"));
    await_origin(stand, "/config/flight", 1);
    let follower = stand.start(1, Request::get("/config/flight"));
    stand.configure(r#"{"name": "during"}"#).unwrap();
    let late = stand.start(1, Request::get("/config/flight"));
    for exchange in [leader, follower, late] {
        let response = stand.finish(exchange);
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
    }
    assert_eq!(stand.origin_count("/config/flight"), 1);
}

pub fn a_smaller_largest_object_counts_from_the_next_response_on(stand: &mut dyn Stand) {
    stand.configure(r#"{"store": {"object_bytes_max": "1KiB"}}"#).unwrap();
    stand.origin("/config/small", vec![page(vec![b'x'; 1024])]);
    stand.origin("/config/large", vec![page(vec![b'x'; 1025])]);
    for (path, stored) in [("/config/small", true), ("/config/large", false)] {
        get(stand, 0, path);
        assert_eq!(get(stand, 1, path).is_hit(), stored, "{path}");
    }
}

/// One `vm_id`, and with it one store, for plugins that mean different things by one URL.
pub fn partitions_share_a_store_and_purges_and_no_responses(stand: &mut dyn Stand) {
    let partition = |name: &str| with_admin(&format!(r#""key": {{"partition": "{name}"}},"#));
    stand.origin("/parted", ["none", "a", "b", "new", "new", "new"].into_iter().map(page).collect());
    let configurations = [with_admin(""), partition("a"), partition("b")];
    for (configuration, body) in configurations.iter().zip(["none", "a", "b"]) {
        stand.configure(configuration).unwrap();
        expect_miss(stand, 0, "/parted", body);
    }
    for (configuration, body) in configurations.iter().zip(["none", "a", "b"]) {
        stand.configure(configuration).unwrap();
        expect_hit(stand, 1, "/parted", body);
    }
    purge_url(stand, 0, "/parted", "hard");
    for configuration in &configurations {
        stand.configure(configuration).unwrap();
        expect_miss(stand, 1, "/parted", "new");
    }
}
