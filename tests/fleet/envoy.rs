//! The filter in an emulated Envoy, and its part in a fleet: through the admin route, over the host's gRPC.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::etcd::Etcd;
use crate::host::faults::FaultKind;
use crate::host::stand::Emulated;
use crate::scenarios::telling::{
    command, commanding, expect_hit, expect_miss, get, page, purge_url, with_admin,
};
use crate::stand::Stand;

const LOG: &str = "/larder/prod/log/j";

/// Long enough to join.
const SOON: Duration = Duration::from_millis(500);

fn config(more: &str) -> String {
    with_admin(&format!(r#""fleet": {{"name": "prod", "member": "gw-a"{more}}},"#))
}

fn joined(more: &str) -> Emulated {
    let mut stand = Emulated::new(&config(more));
    // The VM of a worker is there from its first request on.
    for worker in [0, 1] {
        get(&mut stand, worker, "/nothing");
    }
    stand.pass(SOON);
    assert_eq!(stand.world.etcd(|etcd, _| etcd.watchers()), 1);
    stand
}

fn etcd<R>(stand: &mut Emulated, act: impl FnOnce(&mut Etcd, u64) -> R) -> R {
    stand.world.etcd(act)
}

fn body(response: &crate::stand::Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|_| panic!("{} {}", response.status, response.text()))
}

fn purge(stand: &mut Emulated, worker: usize, more: &str) -> crate::stand::Response {
    let selectors = r#""selectors": [{"url": "http://shop.example/a"}]"#;
    command(stand, worker, "POST", "/_larder/purge", &format!("{{{selectors}{more}}}"))
}

#[test]
fn a_command_is_answered_when_etcd_has_committed_it() {
    let mut stand = joined("");
    for worker in [0, 1] {
        let answer = purge(&mut stand, worker, "");
        let revision = etcd(&mut stand, |etcd, now| etcd.get(now, LOG)).unwrap().mod_revision;
        assert_eq!(
            (answer.status, &body(&answer)["fleet"]),
            (200, &json!({"state": "committed", "revision": revision}))
        );
    }
    let batch = etcd(&mut stand, |etcd, now| etcd.get(now, LOG)).unwrap();
    let batch: Value = serde_json::from_slice(&batch.value).unwrap();
    assert_eq!((&batch["v"], &batch["by"]), (&json!(1), &json!("gw-a/ops")));
    let record = &batch["records"][0];
    assert_eq!((&record["mode"], &record["sel"]), (&json!("soft"), &json!([{"uri": "shop.example/a"}])));
}

#[test]
fn a_command_of_another_language_says_it_in_a_field() {
    let mut stand = Emulated::new(&config("").replace(r#""admin": {"#, r#""admin": {"methods": true, "#));
    get(&mut stand, 0, "/nothing");
    stand.pass(SOON);
    let answer = stand.send(0, commanding("PURGE", "/a", ""));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.field("larder-fleet").starts_with("committed;revision="),
        "{}",
        answer.field("larder-fleet")
    );
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    let answer = stand.send(0, commanding("PURGE", "/a", ""));
    assert_eq!((answer.status, answer.field("larder-fleet").as_str()), (503, "pending"));
    assert_eq!(answer.field("retry-after"), "1");
}

#[test]
fn without_etcd_a_command_holds_here_and_says_that_it_is_pending() {
    let mut stand = joined("");
    stand.origin("/a", vec![page("old"), page("new")]);
    expect_miss(&mut stand, 0, "/a", "old");
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    let answer = purge(&mut stand, 1, r#", "mode": "hard""#);
    assert_eq!((answer.status, answer.field("retry-after").as_str()), (503, "1"));
    let said = body(&answer);
    assert_eq!(said["fleet"], json!({"state": "pending"}));
    assert!(said["receipt"].as_u64().is_some() && said["error"]["message"].is_string(), "{said}");
    expect_miss(&mut stand, 0, "/a", "new");
    let answer = purge(&mut stand, 1, r#", "acknowledge": "local""#);
    assert_eq!((answer.status, &body(&answer)["fleet"]), (200, &json!({"state": "pending"})));
    etcd(&mut stand, |etcd, now| etcd.restart(now));
    stand.pass(Duration::from_secs(6));
    let batch = etcd(&mut stand, |etcd, now| etcd.get(now, LOG)).unwrap();
    let batch: Value = serde_json::from_slice(&batch.value).unwrap();
    assert_eq!(batch["records"].as_array().unwrap().len(), 2, "{batch}");
}

#[test]
fn a_command_of_this_envoy_alone_is_not_shared() {
    let mut stand = joined("");
    let before = etcd(&mut stand, |etcd, _| etcd.revision());
    let answer = purge(&mut stand, 0, r#", "scope": "here""#);
    assert_eq!((answer.status, &body(&answer)["fleet"]), (200, &json!({"state": "here"})));
    stand.pass(SOON);
    assert_eq!(etcd(&mut stand, |etcd, _| etcd.revision()), before);
    let refused = purge(&mut stand, 0, r#", "scope": "here", "acknowledge": "fleet""#);
    assert_eq!((refused.status, &body(&refused)["error"]["path"]), (400, &json!("scope")));
    stand.configure(&with_admin("")).unwrap();
    let refused = purge(&mut stand, 0, r#", "acknowledge": "fleet""#);
    assert_eq!((refused.status, &body(&refused)["error"]["path"]), (400, &json!("acknowledge")));
    let answer = purge(&mut stand, 0, "");
    assert_eq!((answer.status, body(&answer).get("fleet")), (200, None));
}

#[test]
fn a_repeated_command_is_answered_with_what_the_first_one_was() {
    let mut stand = joined("");
    let first = purge(&mut stand, 0, r#", "idempotency_key": "k""#);
    let again = purge(&mut stand, 1, r#", "idempotency_key": "k""#);
    assert_eq!(first.body, again.body);
    assert_eq!(body(&first)["fleet"]["state"], "committed");
}

#[test]
fn what_others_publish_holds_on_every_worker() {
    let mut stand = joined("");
    stand.origin("/a", vec![page("old"), page("new")]);
    for worker in [0, 1] {
        get(&mut stand, worker, "/a");
    }
    let batch = r#"{"v":1,"id":"7","by":"ci","records":[{"mode":"hard","sel":[{"prefix":"shop.example/a"}],"age":0}]}"#;
    etcd(&mut stand, |etcd, now| etcd.put(now, LOG, batch));
    stand.pass(Duration::from_millis(5));
    expect_miss(&mut stand, 1, "/a", "new");
    expect_hit(&mut stand, 0, "/a", "new");
}

#[test]
fn a_new_configuration_takes_the_stream_over_and_loses_nothing() {
    let mut stand = joined("");
    stand.world.settings(|s| s.drain = Duration::from_millis(100));
    for ttl in ["1h", "2h", "3h"] {
        stand.configure(&config(&format!(r#"}}, "ttl": {{"max": "{ttl}""#))).unwrap();
        purge_url(&mut stand, 0, "/a", "hard");
        stand.pass(Duration::from_secs(2));
        assert_eq!(etcd(&mut stand, |etcd, _| etcd.watchers()), 1, "{ttl}");
        purge_url(&mut stand, 1, "/a", "hard");
    }
    assert_eq!(stand.metric("fleet_joined_start"), 1, "nobody begins anew");
    stand.configure(&with_admin("")).unwrap();
    stand.pass(Duration::from_secs(2));
    assert_eq!(etcd(&mut stand, |etcd, _| etcd.watchers()), 0);
}

#[test]
fn another_vm_takes_over_when_the_watching_one_traps() {
    let mut stand = joined("");
    for round in 0..3 {
        for worker in [0, 1] {
            stand.world.fault(FaultKind::Trap {
                thread: crate::host::vm::Thread::Worker(worker),
                call: "",
                callback: "on_tick",
            });
        }
        stand.vm_deaths_expected(2 * (round + 1));
        stand.pass(Duration::from_millis(200));
        get(&mut stand, 0, "/nothing");
        get(&mut stand, 1, "/nothing");
        stand.pass(Duration::from_secs(2));
        purge_url(&mut stand, 0, "/a", "hard");
    }
    assert_eq!(stand.metric("fleet_joined_start"), 1);
}

#[test]
fn a_client_that_leaves_while_its_command_waits_hurts_nobody() {
    let mut stand = joined("");
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    let waiting = stand
        .start(0, commanding("POST", "/_larder/purge", r#"{"selectors": [{"all": true}], "mode": "hard"}"#));
    stand.pass(Duration::from_millis(300));
    stand.leave(waiting);
    etcd(&mut stand, |etcd, now| etcd.restart(now));
    stand.pass(Duration::from_secs(6));
    purge_url(&mut stand, 0, "/a", "hard");
}

#[test]
fn stale_is_served_within_the_grace_while_etcd_is_not_heard_of() {
    let mut stand = joined(r#", "max_lag": "3s", "when_lagging": "stale""#);
    stand.origin("/a", vec![page("old")]);
    expect_miss(&mut stand, 0, "/a", "old");
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    stand.pass(Duration::from_secs(4));
    let stale = expect_hit(&mut stand, 0, "/a", "old");
    assert!(stale.field("cache-status").ends_with("; detail=soft-purged"), "{}", stale.field("cache-status"));
}

#[test]
fn cache_status_says_that_purges_may_have_been_missed() {
    let mut stand = joined(r#", "max_lag": "3s""#);
    stand.origin("/a", vec![page("old")]);
    expect_miss(&mut stand, 0, "/a", "old");
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    stand.pass(Duration::from_secs(4));
    let asked = expect_miss(&mut stand, 0, "/a", "old");
    assert!(asked.field("cache-status").contains("fwd=stale"), "{}", asked.field("cache-status"));
    assert!(asked.field("cache-status").contains("detail=lagging"), "{}", asked.field("cache-status"));
    assert_eq!(stand.metric("forwarded_lagging"), 1);
}

fn asked(stand: &mut Emulated, path: &str) -> (u16, Value) {
    let answer = command(stand, 1, "GET", &format!("/_larder/{path}"), "");
    (answer.status, body(&answer))
}

#[test]
fn an_operator_sees_how_an_envoy_stands_to_its_fleet() {
    let mut stand = joined(r#", "max_lag": "3s""#);
    let answer = purge(&mut stand, 0, "");
    let revision = body(&answer)["fleet"]["revision"].as_u64().unwrap();
    let (status, fleet) = asked(&mut stand, "fleet");
    assert_eq!((status, &fleet["fleet"], &fleet["state"]), (200, &json!("prod"), &json!("in_contact")));
    assert_eq!((&fleet["revision"], &fleet["watched"]), (&json!(revision), &json!(true)));
    assert_eq!((&fleet["shared_up_to_receipt"], &fleet["last_error"]), (&fleet["receipt"], &Value::Null));
    assert_eq!(fleet["last_batches"][0]["revision"], json!(revision));
    for (asked_for, holds) in [(revision, true), (revision + 1, false)] {
        let (status, receipt) = asked(&mut stand, &format!("receipts/fleet:{asked_for}"));
        assert_eq!((status, &receipt["holds"]), (200, &json!(holds)), "{asked_for}");
    }
    assert_eq!(asked(&mut stand, "health").0, 200);
    etcd(&mut stand, |etcd, now| etcd.kill(now));
    stand.pass(Duration::from_secs(4));
    let (_, fleet) = asked(&mut stand, "fleet");
    assert_eq!(fleet["state"], json!("lagging"));
    assert!(fleet["last_error"]["why"].as_str().unwrap().contains("gRPC status 14"), "{fleet}");
    assert!(fleet["lag_ms"].as_u64().unwrap() > 3_000, "{fleet}");
    let (status, health) = asked(&mut stand, "health");
    assert_eq!((status, &health["status"]), (503, &json!("degraded")));
    stand.configure(&with_admin("")).unwrap();
    assert_eq!(asked(&mut stand, "fleet").0, 404);
    assert_eq!(asked(&mut stand, "receipts/fleet:1").0, 404);
}

#[test]
fn the_journal_says_by_whom_a_record_came() {
    let mut stand = joined("");
    let batch = r#"{"v":1,"id":"7","by":"ci","records":[{"mode":"hard","sel":[{"host":"h"}],"age":0,"reason":"deploy"}]}"#;
    let revision = etcd(&mut stand, |etcd, now| etcd.put(now, LOG, batch));
    stand.pass(SOON);
    let (_, journal) = asked(&mut stand, "journal");
    let record = journal["records"].as_array().unwrap().last().unwrap();
    assert_eq!((&record["source"], &record["by"]), (&json!("fleet"), &json!("ci")));
    assert_eq!((&record["revision"], &record["reason"]), (&json!(revision), &json!("deploy")));
}

#[test]
fn a_command_says_who_has_applied_it() {
    let mut stand = joined(r#", "members": true, "max_lag": "3s", "everywhere_timeout": "500ms""#);
    let at_once = purge(&mut stand, 0, r#", "acknowledge": "everywhere""#);
    assert_eq!(
        (at_once.status, &body(&at_once)["fleet"]["state"]),
        (202, &json!("committed")),
        "just joined"
    );
    stand.pass(Duration::from_secs(4));
    let answer = purge(&mut stand, 0, r#", "acknowledge": "everywhere""#);
    let fleet = &body(&answer)["fleet"];
    assert_eq!((answer.status, &fleet["state"], &fleet["members"]), (200, &json!("everywhere"), &json!(1)));
    let (_, shown) = asked(&mut stand, "fleet");
    assert_eq!(shown["listed"]["members"][0]["name"], json!("gw-a"), "{shown}");
    stand.configure(&config("")).unwrap();
    let refused = purge(&mut stand, 0, r#", "acknowledge": "everywhere""#);
    assert_eq!((refused.status, &body(&refused)["error"]["path"]), (400, &json!("acknowledge")));
}

#[test]
fn what_clients_cause_travels_at_its_own_rate_and_is_not_lost() {
    let mut stand = joined(r#", "share": ["unsafe-method"], "share_rate": {"per_minute": 1, "burst": 2}"#);
    let before = etcd(&mut stand, |etcd, _| etcd.revision());
    for number in 0..30 {
        let path = format!("/api/{number}");
        stand.origin(&path, vec![page("done")]);
        stand.send(0, crate::stand::Request::new("POST", &path));
    }
    stand.pass(Duration::from_secs(3));
    let batches = etcd(&mut stand, |etcd, _| etcd.revision()) - before;
    assert!((1..=5).contains(&batches), "{batches}");
    let newest = etcd(&mut stand, |etcd, now| etcd.get(now, LOG)).unwrap();
    let newest: Value = serde_json::from_slice(&newest.value).unwrap();
    let covers = newest["records"].to_string();
    assert!(covers.contains("shop.example"), "{covers}");
    assert!(newest["records"].as_array().unwrap().len() <= 4, "{covers}");
}
