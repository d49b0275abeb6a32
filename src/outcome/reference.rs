//! The tables of reasons and of metrics in Markdown, as `docs/outcomes.md` shows them.

use core::fmt::Write;

use super::metrics::{Counter, Gauge};
use super::{Bypass, Forward, ForwardReason, Local, NotStored, Outcome, Reason, StaleReason, Stored};

/// The tables of reasons, each kind under a heading, with a line break at the end.
#[must_use]
pub fn reasons_markdown() -> String {
    let stale = |why: StaleReason| (why.reason(), Outcome::Hit { ttl: -3, stale: Some(why) });
    let forwarded = |why: ForwardReason| (why.reason(), Outcome::Forward(Forward::new(why)));
    let bypassed = |why| forwarded(ForwardReason::Bypass(why));
    let not_stored = |why: NotStored| {
        let stored = Stored::No(why);
        (why.reason(), Outcome::Forward(Forward { stored, ..Forward::new(ForwardReason::UriMiss) }))
    };
    let local = |why: Local| (why.reason(), Outcome::Local(why));
    let mut text = String::new();
    table(&mut text, "Why a stale response was served", StaleReason::ALL.map(stale));
    table(&mut text, "Why a request went to the origin", ForwardReason::ALL.map(forwarded));
    table(&mut text, "Why a request did not concern the cache", Bypass::ALL.map(bypassed));
    table(&mut text, "Why a response was not stored", NotStored::ALL.map(not_stored));
    table(&mut text, "What Larder answered by itself", Local::ALL.map(local));
    text
}

fn table(text: &mut String, heading: &str, rows: impl IntoIterator<Item = (&'static Reason, Outcome)>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n### {heading}\n\n| Word | Where it stands | By | What it means | What to do |");
    text.push_str("|---|---|---|---|---|\n");
    for (Reason { word, section, why, advice }, outcome) in rows {
        let place = place(word, &outcome).map(|place| format!("`{place}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{word}` | {place} | {section} | {why} | {advice} |");
    }
}

/// Where a word stands in `Cache-Status`: behind which parameter, and beside which other one that always has this value.
fn place(word: &str, outcome: &Outcome) -> Option<String> {
    // Answers of the admin route have no such field.
    if *outcome == Outcome::Local(Local::Admin) {
        return None;
    }
    let status = outcome.cache_status("larder");
    let parameters: Vec<&str> = status.split("; ").skip(1).filter(|one| !one.starts_with("ttl=")).collect();
    let (before, last) = match parameters.as_slice() {
        [before, last] => (Some(before), *last),
        [last] => (None, *last),
        _ => return None,
    };
    let name = last.strip_suffix(word)?.strip_suffix('=')?;
    // Why something was not stored may stand behind any reason to go to the origin.
    let is_any =
        |outcome: &Outcome| matches!(outcome, Outcome::Forward(forward) if forward.not_stored().is_some());
    let before = before.filter(|_| !is_any(outcome));
    Some(before.map_or_else(|| name.to_owned(), |before| format!("{before}; {name}")))
}

/// The table of metrics, with a line break at the end.
#[must_use]
pub fn metrics_markdown() -> String {
    let mut table = String::from("| Metric | Kind | Unit | Meaning |\n|---|---|---|---|\n");
    let mut row = |name: &str, kind: &str, unit: &str, meaning: &str| {
        let _ = writeln!(table, "| `{name}` | {kind} | {unit} | {meaning} |");
    };
    let mut last = String::new();
    for counter in Counter::all() {
        let family = counter.family();
        if family != last {
            row(&family, "counter", counter.unit(), counter.meaning());
        }
        last = family;
    }
    for gauge in Gauge::ALL {
        row(gauge.name(), "gauge", gauge.unit(), gauge.meaning());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_word_stands_where_cache_status_has_it() {
        let forwarded = |reason, stored| Outcome::Forward(Forward { stored, ..Forward::new(reason) });
        let (miss, purged) = (ForwardReason::UriMiss, ForwardReason::Purged);
        let (request, no_store) = (Stored::No(NotStored::Request), Stored::No(NotStored::NoStore));
        let rule = ForwardReason::Bypass(Bypass::Rule);
        let stale = Some(StaleReason::MaxStale);
        for (word, outcome, expected) in [
            ("max-stale", Outcome::Hit { ttl: -3, stale }, Some("hit; detail")),
            ("uri-miss", forwarded(miss, request), Some("fwd")),
            ("purged", forwarded(purged, request), Some("fwd=uri-miss; detail")),
            ("rule", forwarded(rule, request), Some("fwd=bypass; detail")),
            ("no-store", forwarded(miss, no_store), Some("detail")),
            ("request", forwarded(miss, request), None),
            ("only-if-cached", Outcome::Local(Local::OnlyIfCached), Some("detail")),
            ("admin", Outcome::Local(Local::Admin), None),
        ] {
            assert_eq!(place(word, &outcome).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn the_markdown_has_a_line_for_each_and_no_stray_column() {
        let (reasons, metrics) = (reasons_markdown(), metrics_markdown());
        let rows = |table: &str, columns: usize| {
            let rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).collect();
            assert!(rows.iter().all(|row| row.matches('|').count() == columns + 1), "{table}");
            rows.len()
        };
        let all =
            StaleReason::ALL.len() + ForwardReason::all().count() + NotStored::ALL.len() + Local::ALL.len();
        assert_eq!(rows(&reasons, 5), all + 2 * 5);
        assert!(rows(&metrics, 4) > Gauge::ALL.len());
        for counter in Counter::all() {
            assert!(metrics.contains(&format!("| `{}` |", counter.family())), "{counter:?}");
        }
    }
}
