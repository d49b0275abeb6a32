//! What the admin route shows: numbers and facts that the adapter supplies, as JSON.

use serde_json::{Value, json};

use super::json::{breaker, object, record};
use super::response::{AdminResponse, Problem};
use crate::admin::Purge;
use crate::invalidation::Invalidation;
use crate::json::Json;

/// Where the journal stands, as a worker's mirror knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JournalState {
    /// The position of the newest record.
    pub head: u64,
    /// What was requested before this must be validated before its next use.
    pub floor: u64,
    /// What was requested before this is gone.
    pub hard_below: u64,
}

/// How many stored responses an invalidation has touched, as far as they were looked at. What has been fetched again
/// or evicted since is not among them any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Touched {
    /// Those that it covers, and that are stored still.
    pub still_stored: u64,
    /// How many stored responses were looked at.
    pub looked_at: u64,
    /// Where counting goes on; none when all were looked at.
    pub next: Option<u64>,
}

/// The answer to a question for statistics: counters and gauges by name.
#[must_use]
pub fn stats(numbers: &[(&str, u64)]) -> AdminResponse {
    AdminResponse::json(200, &object(numbers))
}

/// A cluster in trouble: how often it has failed in a row, and, where it is taken to be down, in how many milliseconds
/// a request may look whether it is back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterInTrouble {
    /// Its name.
    pub name: String,
    /// How often it has failed.
    pub failures: u32,
    /// In how many milliseconds it may be asked again; none when it may be at any time.
    pub probe_in_ms: Option<u64>,
}

/// The answer to a question for health: 503 when something is wrong. A cluster in trouble is nothing wrong with the
/// cache.
#[must_use]
pub fn health(
    wrong: &[&str],
    warnings: &[String],
    clusters: &[ClusterInTrouble],
    numbers: &[(&str, u64)],
) -> AdminResponse {
    let (status, word) = if wrong.is_empty() { (200, "ok") } else { (503, "degraded") };
    let shown = |cluster: &ClusterInTrouble| {
        json!({
            "name": cluster.name,
            "breaker": breaker(cluster.probe_in_ms.is_some()),
            "failures": cluster.failures,
            "probe_in_ms": cluster.probe_in_ms,
        })
    };
    let clusters: Vec<Value> = clusters.iter().map(shown).collect();
    let body = json!({
        "status": word,
        "wrong": wrong,
        "warnings": warnings,
        "in_trouble": clusters,
        "facts": object(numbers),
    });
    AdminResponse::json(status, &body)
}

/// The answer to a question for the journal's tail: its newest records, in ascending order.
#[must_use]
pub fn journal(state: JournalState, records: &[(u64, Invalidation)]) -> AdminResponse {
    let shown: Vec<Value> = records.iter().map(|(seq, invalidation)| record(*seq, invalidation)).collect();
    let older = records.first().map(|(seq, _)| *seq).filter(|seq| *seq > 1);
    AdminResponse::json(
        200,
        &json!({
            "head": state.head,
            "floor": state.floor,
            "hard_below": state.hard_below,
            "records": shown,
            "before": older,
        }),
    )
}

/// The answer to a question for a receipt. `invalidation` is the record, while it is remembered; `touched` how many
/// stored responses it has touched so far, where that could be counted.
///
/// A position that the journal has reached holds on every worker, so there is nothing to wait for.
#[must_use]
pub fn receipt(
    seq: u64,
    state: JournalState,
    invalidation: Option<&Invalidation>,
    touched: Option<&Touched>,
) -> AdminResponse {
    if seq == 0 || seq > state.head {
        return Problem::new(404, format!("the journal has no position {seq}")).response();
    }
    let body = json!({
        "receipt": seq,
        "holds": true,
        "head": state.head,
        "record": invalidation.map(|invalidation| record(seq, invalidation)),
        "touched": touched.map(|touched| json!({
            "still_stored": touched.still_stored,
            "looked_at": touched.looked_at,
            "complete": touched.next.is_none(),
            "next": touched.next,
        })),
    });
    AdminResponse::json(200, &body)
}

/// The answer to a dry run: how many stored responses each of those asked for would cover, of those that were
/// looked at; `complete` when that was all.
#[must_use]
pub fn would_purge(purge: &Purge, covered: &[u64], complete: bool) -> AdminResponse {
    let selectors: Vec<Value> = purge
        .asked
        .iter()
        .zip(covered)
        .map(|(asked, count)| json!({ "selector": asked, "covers": count }))
        .collect();
    let body = json!({
        "dry_run": true,
        "mode": purge.mode().as_str(),
        "selectors": selectors,
        "complete": complete,
    });
    AdminResponse::json(200, &body)
}

/// The answer to a question for the configuration in force: as it was pushed, without the digests of tokens.
#[must_use]
pub fn configuration(pushed: &[u8]) -> AdminResponse {
    let mut configuration = Json::parse(pushed).map_or_else(|_| json!({}), |pushed| pushed.written());
    let tokens = configuration.pointer_mut("/admin/tokens").and_then(Value::as_array_mut);
    for token in tokens.into_iter().flatten() {
        if let Some(digest) = token.get_mut("sha256") {
            *digest = "(hidden)".into();
        }
    }
    AdminResponse::json(200, &configuration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{NOW, body, purge, tags};
    use crate::invalidation::{Mode, Selector, Source};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const STATE: JournalState = JournalState { head: 42, floor: 7, hard_below: 3 };

    fn invalidation() -> Invalidation {
        Invalidation {
            mode: Mode::Hard,
            selector: tags(&["a"]),
            issued_at: NOW,
            source: Source::Admin { token: "ops".into() },
            reason: Some("deploy".into()),
        }
    }

    #[test]
    fn numbers_are_shown_by_name() {
        assert_eq!(
            body(&stats(&[("hits", 7), ("misses", u64::MAX)])),
            json!({"hits": 7, "misses": u64::MAX})
        );
    }

    #[test]
    fn what_is_wrong_makes_the_health_answer_an_error() {
        assert_eq!(health(&[], &[], &[], &[("head", 3)]).status, 200);
        let sick = health(&["the journal in shared data cannot be read"], &[], &[], &[]);
        assert_eq!(sick.status, 503);
        assert_eq!(body(&sick)["wrong"][0], "the journal in shared data cannot be read");
    }

    #[test]
    fn clusters_in_trouble_are_shown() {
        let cluster =
            |name: &str, probe_in_ms| ClusterInTrouble { name: name.into(), failures: 5, probe_in_ms };
        let answer = health(&[], &[], &[cluster("a", Some(700)), cluster("b", None)], &[]);
        let a = json!({"name": "a", "breaker": "open", "failures": 5, "probe_in_ms": 700});
        assert_eq!((answer.status, &body(&answer)["in_trouble"][0]), (200, &a));
        assert_eq!(body(&answer)["in_trouble"][1]["breaker"], "closed");
    }

    #[test]
    fn the_journal_names_the_source_of_each_invalidation() {
        let silent = Invalidation {
            source: Source::UnsafeMethod,
            reason: None,
            selector: Selector::All,
            ..invalidation()
        };
        let body = body(&journal(STATE, &[(41, silent), (42, invalidation())]));
        let expected = json!({
            "receipt": 42, "mode": "hard", "selector": {"tag": "a"}, "issued_at": NOW.secs(),
            "source": "admin", "token": "ops", "reason": "deploy",
        });
        assert_eq!(body["records"][1], expected);
        assert_eq!(body["records"][0].get("token"), None);
        assert_eq!((&body["head"], &body["floor"], &body["before"]), (&json!(42), &json!(7), &json!(41)));
    }

    #[test]
    fn a_receipt_holds_once_the_journal_is_there() {
        assert_eq!(receipt(43, STATE, None, None).status, 404);
        assert_eq!(receipt(0, STATE, None, None).status, 404);
        let touched = Touched { still_stored: 17, looked_at: 100, next: Some(800) };
        let body = body(&receipt(42, STATE, Some(&invalidation()), Some(&touched)));
        let expected = json!({"still_stored": 17, "looked_at": 100, "complete": false, "next": 800});
        assert_eq!((&body["holds"], &body["touched"]), (&json!(true), &expected));
        assert_eq!(body["record"]["reason"], "deploy");
    }

    #[test]
    fn a_dry_run_counts() {
        let purge =
            purge("POST /_larder/purge", &[], r#"{"selectors":[{"tag":"a"},{"all":true}],"dry_run":true}"#);
        let body = body(&would_purge(&purge, &[3, 99], false));
        assert_eq!(body["selectors"][1], json!({"selector": {"all": true}, "covers": 99}));
        assert_eq!(body["complete"], false);
    }

    #[test]
    fn the_configuration_is_shown_without_digests() {
        let pushed = br#"{"admin":{"tokens":[{"name":"ops","sha256":"abcd"}]},"rules":[]}"#;
        let expected = json!({"admin": {"tokens": [{"name": "ops", "sha256": "(hidden)"}]}, "rules": []});
        assert_eq!(body(&configuration(pushed)), expected);
        assert_eq!(body(&configuration(b"")), json!({}));
    }
}
