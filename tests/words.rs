//! Every word that responses, metrics and explanations can say is said in some test: a word that nothing produces is a
//! report that nobody can trust.

use std::fs;
use std::path::{Path, PathBuf};

use larder::outcome::metrics::{Counter, Gauge};
use larder::outcome::{Bypass, ForwardReason, Local, NotStored, StaleReason};

/// The test in which a response is not stored for this reason.
fn not_stored(why: NotStored) -> &'static str {
    match why {
        NotStored::NoStore
        | NotStored::RequestNoStore
        | NotStored::Private
        | NotStored::Authorization
        | NotStored::SetCookie
        | NotStored::Cookie
        | NotStored::NoFreshness
        | NotStored::VaryAny
        | NotStored::Limits
        | NotStored::TooLarge
        | NotStored::Partial
        | NotStored::Provoked
        | NotStored::Error
        | NotStored::Status
        | NotStored::Rule
        | NotStored::Admission
        | NotStored::HostQuota => "stories",
        NotStored::NoCache | NotStored::Validated => "a_response_validated_before_each_use_is_reported_so",
        NotStored::ClockBehind => "an_origin_whose_clock_is_behind_is_named_and_counted",
        NotStored::Memory => "where_bodies_find_no_room_the_largest_are_not_stored",
        NotStored::NoFlight => "a_response_beside_a_flight_is_not_stored",
        NotStored::Incomplete => "a_truncated_response_is_counted_as_incomplete",
        NotStored::LocalReply => "that_a_request_has_no_route_is_not_stored",
        NotStored::NoRoom => "what_finds_no_room_is_not_stored_for_that_reason",
        NotStored::Superseded => "what_is_older_than_what_is_there_is_superseded",
        // Envoy itself turns such a response away.
        NotStored::Framing => "section_3_decides",
        // Both stand for what is said otherwise: `fwd=method`, and requests that go alone.
        NotStored::Method => "a_query_is_stored_like_a_get",
        NotStored::Request => "an_outcome_is_said_in_cache_status_and_in_the_access_log",
    }
}

fn bypassed(why: Bypass) -> &'static str {
    match why {
        Bypass::Rule => "a_rule_can_leave_the_cache_out",
        Bypass::RequestBody | Bypass::Grpc | Bypass::Unkeyed => "every_response_has_a_cache_status",
        Bypass::Upgrade | Bypass::Target => "a_request_is_looked_up_watched_or_left_alone",
        Bypass::Unavailable => "an_unreadable_journal_makes_requests_bypass_the_cache",
        Bypass::Memory => "requests_that_find_no_room_pass_and_hits_go_on",
        Bypass::NotShared => "a_client_waits_no_longer_than_its_deadline",
    }
}

fn forwarded(why: ForwardReason) -> &'static str {
    match why {
        ForwardReason::Bypass(why) => bypassed(why),
        ForwardReason::Method | ForwardReason::UriMiss => "every_response_has_a_cache_status",
        ForwardReason::RouteMiss => "a_response_from_another_route_is_not_served",
        ForwardReason::VaryMiss => "each_variant_is_stored_and_answers_its_own_requests",
        ForwardReason::Purged => "hard_purged_responses_are_freed_in_the_background",
        ForwardReason::Request => "request_directives_on_freshness_are_obeyed",
        ForwardReason::Stale => "a_stale_response_is_validated_with_all_it_has",
        ForwardReason::Invalidated => "a_successful_unsafe_request_makes_the_stored_response_be_validated",
        ForwardReason::Lagging => "when_lagging_says_what_becomes_of_what_is_stored",
        ForwardReason::Partial => "the_missing_rest_of_a_part_is_fetched_for_a_full_request",
    }
}

fn served_stale(why: StaleReason) -> &'static str {
    match why {
        StaleReason::WhileRevalidate => "a_stale_response_is_served_at_once_while_one_fetch_refreshes_it",
        StaleReason::IfError => "a_stale_response_helps_out_when_the_origin_fails",
        StaleReason::IfDown => "an_open_breaker_serves_stale_without_a_request",
        StaleReason::SoftPurged => "a_soft_purge_serves_the_old_response_while_one_fetch_refreshes_it",
        StaleReason::MaxStale => "max_stale_accepts_a_stale_response",
    }
}

fn answered(what: Local) -> &'static str {
    match what {
        Local::OnlyIfCached => "only_if_cached_never_reaches_the_origin",
        Local::Admin => "counters_and_answers_come_to_the_same_sums",
    }
}

#[test]
fn every_word_is_said_in_a_test() {
    let code = code();
    let check = |word: &str, variant: String, test: &str| {
        let body = code.iter().find_map(|text| function(text, test)).unwrap_or_else(|| panic!("no {test}"));
        let body = body.to_lowercase();
        let says = [word, &variant.to_lowercase()].iter().any(|said| body.contains(said));
        assert!(says, "{test} does not say {word}:\n{body}");
    };
    for why in NotStored::ALL {
        check(why.as_str(), format!("{why:?}"), not_stored(why));
    }
    for why in ForwardReason::all() {
        check(why.as_str(), format!("{why:?}"), forwarded(why));
    }
    for why in StaleReason::ALL {
        check(why.as_str(), format!("{why:?}"), served_stale(why));
    }
    for what in Local::ALL {
        check(what.as_str(), format!("{what:?}"), answered(what));
    }
}

/// Every word has a place where it is made, not only names and explanations.
#[test]
fn every_word_is_produced() {
    let words = |file: &Path| {
        let name = file.to_string_lossy().into_owned();
        name.contains("src/outcome/") || name.ends_with("src/admin/reasons.rs")
    };
    let made: String = sources("src")
        .into_iter()
        .filter(|file| !words(file))
        .map(|file| fs::read_to_string(file).unwrap())
        .map(|text| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned())
        .collect();
    for why in NotStored::ALL {
        assert!(made.contains(&format!("NotStored::{why:?}")), "{why:?} is never produced");
    }
    for why in Bypass::ALL {
        assert!(made.contains(&format!("Bypass::{why:?}")), "{why:?} is never produced");
    }
    for why in ForwardReason::ALL {
        assert!(made.contains(&format!("ForwardReason::{why:?}")), "{why:?} is never produced");
    }
    for why in StaleReason::ALL {
        assert!(made.contains(&format!("StaleReason::{why:?}")), "{why:?} is never produced");
    }
    for what in Local::ALL {
        assert!(made.contains(&format!("Local::{what:?}")), "{what:?} is never produced");
    }
}

/// Every counter is counted somewhere, and some test sees it, or one of its family, move; every gauge is looked at.
#[test]
fn every_counter_and_every_gauge_is_seen_in_a_test() {
    let read = |file: PathBuf| fs::read_to_string(file).unwrap();
    let (metrics, others): (Vec<_>, Vec<_>) = [sources("src"), sources("wasm/src")]
        .concat()
        .into_iter()
        .partition(|file| file.ends_with("src/outcome/metrics.rs"));
    let of_answers = metrics.into_iter().map(read).filter_map(|text| Some(function(&text, "of")?.to_owned()));
    let (src, tests): (String, String) =
        (others.into_iter().map(read).chain(of_answers).collect(), code().concat());
    for counter in Counter::all() {
        let variant = format!("{counter:?}");
        let variant = variant.split('(').next().unwrap();
        assert!(src.contains(&format!("Counter::{variant}")), "{variant} is counted nowhere");
        let name = counter.family();
        let family = name.trim_start_matches("larder_").split('<').next().unwrap();
        assert!(
            tests.contains(&format!("\"{family}")) || tests.contains(&format!("larder_{family}")),
            "{name}"
        );
    }
    for gauge in Gauge::ALL {
        let name = gauge.name().trim_start_matches("larder_");
        assert!(
            tests.contains(&format!("\"{name}\"")) || tests.contains(&format!("\"larder_{name}")),
            "{name}"
        );
    }
}

/// Every word for Envoy's access log is seen there in a test.
#[test]
fn every_detail_of_the_access_log_is_seen_in_a_test() {
    let details = fs::read_to_string(root().join("src/outcome/mod.rs")).unwrap();
    let details = function(&details, "details").unwrap();
    let words: Vec<&str> = details.split('"').filter(|word| word.starts_with("larder_")).collect();
    assert_eq!(words.len(), 8, "{words:?}");
    let (tests, readme) = (code().concat(), fs::read_to_string(root().join("README.md")).unwrap());
    for word in words.into_iter().chain(["larder_not_confirmed"]) {
        assert!(tests.contains(&format!("\"{word}\"")), "no test has seen {word}");
        assert!(readme.contains(&format!("`{word}`")), "the README lacks {word}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a function.
fn function<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, body) = text.split_once(&format!("fn {name}("))?;
    let indent = text.split_once(&format!("fn {name}("))?.0.rsplit('\n').next()?;
    let spaces: String = indent.chars().take_while(|c| *c == ' ').collect();
    Some(body.split(&format!("\n{spaces}}}\n")).next().unwrap_or(body))
}

fn code() -> Vec<String> {
    let files = [sources("tests"), sources("src")].concat();
    let other = files.into_iter().filter(|file| !file.ends_with("tests/words.rs"));
    other.map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
