//! What a request would find, why, and what to change to get a hit.

use core::time::Duration;

use serde_json::{Value, json};

use super::entries::Entry;
use super::json::{breaker, explained, record};
use super::response::AdminResponse;
use crate::admin::{forwarded, not_stored};
use crate::invalidation::{Invalidation, Verdict};
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::{LifetimeSource, NamesWindow, StoredResponse, clock_behind, only_s_maxage_forbids_stale};
use crate::time::Timestamp;

/// What the cache knows about a request.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    /// The URL that was asked about.
    pub url: &'a str,
    /// The cache key in readable form.
    pub key: &'a str,
    /// The rules that match.
    pub rules: &'a [String],
    /// The stored response that fits the request.
    pub entry: Option<Entry<'a>>,
    /// Why the request would go to the origin, if it would.
    pub forward: Option<ForwardReason>,
    /// The records of the journal that cover the entry, in order, as far as they are remembered.
    pub invalidations: &'a [(u64, Invalidation)],
    /// Whether these are all since it was stored.
    pub invalidations_complete: bool,
    /// Why the last response was not stored.
    pub last_not_stored: Option<NotStored>,
    /// Whether it is being fetched right now.
    pub fetching: bool,
    /// How often its fetch has failed in a row, as far as that is remembered, and for how long it is not fetched again
    /// while something stored answers.
    pub failures: (u8, Duration),
    /// The cluster that it comes from, where that is known, and whether that is taken to be down.
    pub cluster: Option<&'a (String, bool)>,
    /// Where it is not known: the clusters that are taken to be down.
    pub down: &'a [String],
    /// The cluster for Larder's own fetches, if Envoy lacks it.
    pub lacking: Option<&'a str>,
    /// For how long clients fetch it with their own requests, because the origin has refused Larder's.
    pub refused_for: Duration,
    /// By how much the clock of its origin was behind, and when that was seen, as far as it is remembered.
    pub origin_clock: Option<(Duration, Timestamp)>,
    /// Whether routes may have rules of their own.
    pub route_metadata: bool,
}

/// The answer to a question for an explanation.
#[must_use]
pub fn explain(explanation: &Explanation<'_>, now: Timestamp) -> AdminResponse {
    let Explanation { url, key, rules, entry, forward, invalidations, last_not_stored, .. } = explanation;
    let mut why = entry.map_or_else(Vec::new, |entry| why(&entry, now));
    why.extend(forward.map(|reason| forwarded(reason).sentence()));
    why.extend(trouble(explanation));
    why.extend(clock(explanation, now));
    why.extend(explanation.route_metadata.then(|| OF_ROUTES.to_owned()));
    let advice = advice(explanation);
    AdminResponse::json(
        200,
        &json!({
            "url": url,
            "key": key,
            "rules": rules,
            "stored": entry.is_some(),
            "entry": entry.map(|entry| entry.shown(now)),
            "hit": forward.is_none() && entry.is_some(),
            "why": why,
            "invalidations": invalidations.iter().map(|(seq, one)| record(*seq, one)).collect::<Vec<_>>(),
            "invalidations_complete": explanation.invalidations_complete,
            "fetching": explanation.fetching,
            "failures": explanation.failures.0,
            "backoff_ms": u64::try_from(explanation.failures.1.as_millis()).unwrap_or(u64::MAX),
            "cluster": explanation.cluster.map(|(name, is_down)| json!({ "name": name, "breaker": breaker(*is_down) })),
            "last_not_stored": last_not_stored.map(|reason| explained(not_stored(reason))),
            "lifetime": entry.map(|entry| lifetime(entry.stored)),
            "origin_clock_behind": explanation.origin_clock.map(|(behind, _)| behind.as_secs()),
            "advice": advice,
        }),
    )
}

/// What to change to get a hit.
fn advice(explanation: &Explanation<'_>) -> Vec<&'static str> {
    let Explanation { entry, forward, last_not_stored, .. } = explanation;
    let mut advice = Vec::new();
    advice.extend(forward.map(|reason| match (reason, entry) {
        (ForwardReason::Stale, Some(entry)) => stale(entry.stored).unwrap_or(forwarded(reason).advice),
        _ => forwarded(reason).advice,
    }));
    advice.extend(last_not_stored.map(|reason| not_stored(reason).advice));
    if (*forward, *last_not_stored) == (Some(ForwardReason::UriMiss), None) {
        advice.push(UNKNOWN);
    }
    advice.retain(|text| !text.is_empty());
    advice
}

/// Which route a request takes only Envoy knows.
const OF_ROUTES: &str = "Its route may have a rule in its metadata, which explain cannot see, since only Envoy knows which route a request takes: send the request itself with Larder-Debug to see what applies.";

/// What to do about a URL that nothing is known of.
const UNKNOWN: &str = "Request it: nothing is known about earlier responses, and Cache-Status shows whether the next one is stored.";

/// What keeps the origin from being asked.
fn trouble(explanation: &Explanation<'_>) -> Vec<String> {
    let (failures, backoff) = explanation.failures;
    let mut why = Vec::new();
    if !backoff.is_zero() {
        let (times, ms) =
            (if failures == 1 { "once" } else { "several times in a row" }, backoff.as_millis());
        why.push(format!(
            "Its last fetch failed, {times}: while a stored response can be served, it is not fetched again for another {ms} ms (back-off)."
        ));
    }
    let down = "is taken to be down (its circuit breaker is open): stale responses are served where allowed, and one request at a time probes the origin.";
    if let Some((name, true)) = explanation.cluster {
        why.push(format!("The cluster {name} {down}"));
    }
    why.extend(
        explanation.down.iter().map(|name| format!("If its route leads to cluster {name}: that {down}")),
    );
    let own = "it is fetched by clients' own requests, and not refreshed in the background";
    if let Some(name) = explanation.lacking {
        why.push(format!("Envoy has no cluster {name}, which collapse.cluster names: until it has, {own}."));
    }
    if !explanation.refused_for.is_zero() {
        let secs = explanation.refused_for.as_secs();
        why.push(format!("The origin has refused Larder's own request for it, which has no credentials: for another {secs} s {own}."));
    }
    why
}

/// What the clock of the origin has to do with it.
fn clock(explanation: &Explanation<'_>, now: Timestamp) -> Option<String> {
    let (behind, seen) = explanation.origin_clock?;
    Some(format!(
        "The clock of its origin was {} s behind when that was seen last, {} s ago: its responses count as that much older, and are stale on arrival if their lifetime is shorter (RFC 9111 §4.2.3).",
        behind.as_secs(),
        now.since(seen).as_secs()
    ))
}

/// How long an entry is fresh and what says so.
fn lifetime(stored: &StoredResponse) -> Value {
    json!({ "seconds": stored.lifetime.as_secs(), "from": stored.lifetime_from.as_str() })
}

/// What gives a lifetime, in words.
fn source(source: LifetimeSource) -> &'static str {
    match source {
        LifetimeSource::Nothing => "it has none",
        LifetimeSource::SMaxage => "s-maxage",
        LifetimeSource::MaxAge => "max-age",
        LifetimeSource::Targeted => "CDN-Cache-Control or another field for caches like this one",
        LifetimeSource::Expires => "Expires",
        LifetimeSource::Malformed => "Cache-Control or Pragma, which is malformed",
        LifetimeSource::Heuristic => "heuristic, a part of the time since Last-Modified",
        LifetimeSource::Override => "ttl in a rule",
        LifetimeSource::Default => "ttl.default in a rule",
        LifetimeSource::Status => "ttl.status in a rule",
        LifetimeSource::Min => "ttl.min in a rule",
        LifetimeSource::Max => "ttl.max in a rule",
        LifetimeSource::Head => "a HEAD, which has shown that the representation changed",
    }
}

/// What to change where a directive forbids to serve it stale: then no window of a rule has an effect.
fn stale(stored: &StoredResponse) -> Option<&'static str> {
    match only_s_maxage_forbids_stale(stored)? {
        NamesWindow::Yes => Some(
            "Set stale_despite_s_maxage in a rule: it has a stale-while-revalidate or stale-if-error window, but s-maxage forbids serving it stale.",
        ),
        NamesWindow::No => Some(
            "Send stale-while-revalidate at the origin and set stale_despite_s_maxage in a rule, since s-maxage forbids serving it stale; or lengthen s-maxage.",
        ),
    }
}

/// Why an entry is fresh or stale, and what may be done with it.
fn why(entry: &Entry<'_>, now: Timestamp) -> Vec<String> {
    let stored = entry.stored;
    let (age, lifetime, ttl) = (entry.age_secs(now), stored.lifetime.as_secs(), entry.ttl_secs(now));
    let from = source(stored.lifetime_from);
    let mut why = vec![if ttl > 0 {
        format!(
            "Its age of {age} s is below its freshness lifetime of {lifetime} s ({from}): fresh for another {ttl} s (RFC 9111 §4.2)."
        )
    } else {
        format!(
            "Its age of {age} s is not below its freshness lifetime of {lifetime} s ({from}): stale for {} s (RFC 9111 §4.2).",
            -ttl
        )
    }];
    if let Some(behind) = clock_behind(stored) {
        why.push(format!(
            "Its Date was {} s in the past on arrival, and only that makes it stale: the clock of its origin is behind, or an upstream cache sends no Age (RFC 9111 §4.2.3).",
            behind.as_secs()
        ));
    }
    let mut has_grace = false;
    match entry.verdict {
        Verdict::Valid => {}
        Verdict::Soft { at } => {
            let (ago, grace) = (now.since(at), stored.soft_purge_grace);
            // As `policy::reuse` has it: a grace is for what only the purge has made stale.
            has_grace = ttl > 0 && ago < grace;
            let then = match (has_grace, ttl > 0) {
                (true, _) => {
                    format!(
                        "served while it is refreshed for another {} s",
                        grace.saturating_sub(ago).as_secs()
                    )
                }
                (false, true) => format!("its grace of {} s is over", grace.as_secs()),
                (false, false) => "its lifetime is over too, so it has no grace".to_owned(),
            };
            why.push(format!("It was soft purged {} s ago: stale since then, and {then}.", ago.as_secs()));
        }
        Verdict::Revalidate => {
            why.push(
                "It was invalidated: validated before its next use and never served stale (RFC 9111 §4.4)."
                    .into(),
            );
        }
        Verdict::Hard => why.push("It was hard purged: never used again, not even to validate.".into()),
    }
    if stored.no_cache {
        why.push("It says no-cache: validated before each use (RFC 9111 §5.2.2.4).".into());
    }
    if stored.must_revalidate {
        let but = if has_grace { "Apart from that grace it" } else { "It" };
        why.push(format!(
            "{but} is never served stale: must-revalidate, proxy-revalidate, s-maxage, or a malformed directive (RFC 9111 §4.2.4)."
        ));
    } else if ttl <= 0 {
        why.extend(window(
            "served while it is refreshed",
            stored.stale_while_revalidate.as_secs(),
            ttl,
            "RFC 5861 §3",
        ));
        why.extend(window(
            "served when the origin fails",
            stored.stale_if_error.as_secs(),
            ttl,
            "RFC 5861 §4",
        ));
    }
    why
}

/// What a stale window still allows.
fn window(what: &str, secs: u64, ttl: i64, section: &str) -> Option<String> {
    let left = i64::try_from(secs).unwrap_or(i64::MAX).saturating_add(ttl);
    (left > 0).then(|| format!("It may be {what} for another {left} s ({section})."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::answers::entries::tests::{stored, with_entry};
    use crate::admin::fixture::{NOW, body, body as body_of, tags};
    use crate::http::Fields;
    use crate::invalidation::{Mode, Source};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn nothing() -> Explanation<'static> {
        Explanation {
            url: "https://h/a",
            key: "https h/a",
            rules: &[],
            entry: None,
            forward: Some(ForwardReason::UriMiss),
            invalidations: &[],
            invalidations_complete: true,
            last_not_stored: None,
            fetching: false,
            failures: (0, Duration::ZERO),
            down: &[],
            lacking: None,
            refused_for: Duration::ZERO,
            cluster: None,
            origin_clock: None,
            route_metadata: false,
        }
    }

    #[test]
    fn a_url_that_was_not_stored_says_why_and_what_to_change() {
        let answer = explain(&Explanation { last_not_stored: Some(NotStored::Private), ..nothing() }, NOW);
        let body = body(&answer);
        assert_eq!((&body["stored"], &body["hit"]), (&json!(false), &json!(false)));
        assert_eq!(body["last_not_stored"]["section"], "RFC 9111 §5.2.2.7");
        let advice = "If it is the same for all users, send public instead of private at the origin.";
        assert_eq!(body["advice"], json!([advice]));
        let unknown = body_of(&explain(&nothing(), NOW));
        assert_eq!(unknown["advice"], json!([UNKNOWN]));
    }

    #[test]
    fn a_fresh_entry_says_for_how_long() {
        with_entry(&stored(), Verdict::Valid, |entry| {
            let body = body(&explain(&Explanation { entry: Some(entry), forward: None, ..nothing() }, NOW));
            assert_eq!(body["hit"], true);
            let why = "Its age of 18 s is below its freshness lifetime of 60 s (max-age): fresh for another 42 s (RFC 9111 §4.2).";
            assert_eq!(body["why"], json!([why]));
            assert_eq!(body["advice"], json!([]));
        });
    }

    #[test]
    fn a_stale_entry_says_what_may_still_be_done_with_it() {
        let secs = Duration::from_secs;
        let stale = StoredResponse {
            lifetime: secs(10),
            stale_while_revalidate: secs(5),
            stale_if_error: secs(60),
            ..stored()
        };
        let sentences = |stored: &StoredResponse, verdict| {
            with_entry(stored, verdict, |entry| why(&entry, NOW).join(" "))
        };
        let text = sentences(&stale, Verdict::Valid);
        assert!(
            text.contains("stale for 8 s") && text.contains("fails for another 52 s (RFC 5861 §4)"),
            "{text}"
        );
        assert!(!text.contains("RFC 5861 §3"), "{text}");
        let strict = StoredResponse { must_revalidate: true, no_cache: true, ..stale };
        let text = sentences(&strict, Verdict::Valid);
        assert!(text.contains("§4.2.4") && text.contains("§5.2.2.4") && !text.contains("5861"), "{text}");
        let text = sentences(&stored(), Verdict::Soft { at: Timestamp(NOW.0 - 3_000) });
        assert!(text.contains("soft purged 3 s ago"), "{text}");
    }

    #[test]
    fn a_soft_purge_leaves_its_grace_to_what_is_never_served_stale_otherwise() {
        let secs = Duration::from_secs;
        let strict = StoredResponse { must_revalidate: true, soft_purge_grace: secs(60), ..stored() };
        let told = |stored: &StoredResponse, ago: u64| {
            let verdict = Verdict::Soft { at: Timestamp(NOW.0 - ago * 1000) };
            with_entry(stored, verdict, |entry| why(&entry, NOW).join(" "))
        };
        let text = told(&strict, 3);
        assert!(
            text.contains("for another 57 s") && text.contains("Apart from that grace it is never"),
            "{text}"
        );
        let text = told(&StoredResponse { soft_purge_grace: secs(2), ..strict.clone() }, 3);
        assert!(text.contains("its grace of 2 s is over") && text.contains(" It is never"), "{text}");
        let text = told(&StoredResponse { lifetime: secs(10), ..strict }, 3);
        assert!(text.contains("it has no grace") && text.contains(" It is never"), "{text}");
    }

    #[test]
    fn it_says_where_a_lifetime_comes_from() {
        for (lifetime_from, expected) in [
            (LifetimeSource::Heuristic, "(heuristic, a part of the time since Last-Modified)"),
            (LifetimeSource::Override, "(ttl in a rule)"),
            (LifetimeSource::Malformed, "(Cache-Control or Pragma, which is malformed)"),
        ] {
            let stored = StoredResponse { lifetime_from, ..stored() };
            with_entry(&stored, Verdict::Valid, |entry| {
                let body = body(&explain(&Explanation { entry: Some(entry), ..nothing() }, NOW));
                assert!(body["why"][0].as_str().unwrap().contains(expected), "{body}");
                assert_eq!(body["lifetime"], json!({"seconds": 60, "from": lifetime_from.as_str()}));
            });
        }
    }

    #[test]
    fn what_s_maxage_forbids_to_serve_stale_names_the_option_that_helps() {
        let advice = |control: &str| {
            let fields = Fields::from_iter([("cache-control", control)]);
            let stored = StoredResponse { fields, must_revalidate: true, ..stored() };
            with_entry(&stored, Verdict::Valid, |entry| {
                let forward = Some(ForwardReason::Stale);
                let answer = explain(&Explanation { entry: Some(entry), forward, ..nothing() }, NOW);
                body(&answer)["advice"][0].as_str().unwrap().to_owned()
            })
        };
        assert!(advice("s-maxage=1, stale-while-revalidate=60").starts_with("Set stale_despite_s_maxage"));
        assert!(advice("s-maxage=1").starts_with("Send stale-while-revalidate at the origin"));
        for control in ["s-maxage=1, must-revalidate", "max-age=1, proxy-revalidate", "s-maxage=1;"] {
            assert!(advice(control).starts_with("Lengthen max-age"), "{control}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_is_named() {
        let origin_clock = Some((Duration::from_secs(90), Timestamp(NOW.0 - 3_000)));
        let body = body(&explain(&Explanation { origin_clock, ..nothing() }, NOW));
        assert_eq!(body["origin_clock_behind"], 90);
        let why = body["why"].to_string();
        assert!(why.contains("was 90 s behind") && why.contains("3 s ago"), "{why}");
    }

    #[test]
    fn an_origin_in_trouble_is_a_reason_not_to_ask_it() {
        let cluster = ("shop".to_owned(), true);
        let failures = (2, Duration::from_millis(1500));
        let body = body(&explain(&Explanation { failures, cluster: Some(&cluster), ..nothing() }, NOW));
        assert_eq!((&body["failures"], &body["backoff_ms"]), (&json!(2), &json!(1500)));
        assert_eq!(body["cluster"], json!({"name": "shop", "breaker": "open"}));
        let why = body["why"].to_string();
        assert!(why.contains("another 1500 ms") && why.contains("shop is taken to be down"), "{why}");
    }

    #[test]
    fn the_records_that_cover_it_are_listed() {
        let record = Invalidation {
            mode: Mode::Hard,
            selector: tags(&["feed"]),
            issued_at: NOW,
            source: Source::Admin { token: "ops".into() },
            reason: Some("deploy".into()),
        };
        with_entry(&stored(), Verdict::Hard, |entry| {
            let records = [(12, record)];
            let explanation = Explanation {
                entry: Some(entry),
                forward: Some(ForwardReason::Purged),
                invalidations: &records,
                ..nothing()
            };
            let body = body(&explain(&explanation, NOW));
            assert_eq!(body["invalidations"][0]["selector"], json!({"tag": "feed"}));
            assert_eq!(body["hit"], false);
        });
    }
}
