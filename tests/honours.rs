//! What Larder honours, in one table from which the README's is rendered. Each line names the scenario that shows it on
//! both stands, and the options that change it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use larder::config::REFERENCE;

/// A field or directive with its behaviour.
struct Row {
    what: &'static str,
    behaviour: &'static str,
    /// The options that change it, by their paths in the configuration.
    options: &'static [&'static str],
    /// Where it is written.
    source: &'static str,
    /// The scenario that shows it: file and name.
    shown: &'static str,
}

const fn row(
    what: &'static str,
    behaviour: &'static str,
    options: &'static [&'static str],
    source: &'static str,
    shown: &'static str,
) -> Row {
    Row { what, behaviour, options, source, shown }
}

const TTL: &[&str] = &["ttl.override", "ttl.default", "ttl.min", "ttl.max", "ttl.status"];

#[rustfmt::skip] // One after another, whatever their length.
const RESPONSES: &[Row] = &[
    row("`Cache-Control: max-age`, `s-maxage`", "the lifetime; `s-maxage` counts before `max-age`, both before `Expires`", TTL,
        "RFC 9111 §4.2.1", "freshness::the_most_specific_lifetime_counts"),
    row("… repeated, invalid or too large", "the first one; invalid is stale; what is too large is as large as can be", &[],
        "RFC 9111 §4.2.1, §1.2.2", "freshness::repeated_invalid_and_too_large_values_are_read_with_caution"),
    row("… malformed", "a member that names or hides `no-store`, `private` or `no-cache` (`private; max-age=60`, `'no-store'`) counts as that; beside what cannot be read neither `Expires` nor `Last-Modified` counts, and nothing is served stale", &[],
        "RFC 9111 §4.2.1", "freshness::what_is_malformed_counts_as_what_it_forbids"),
    row("`Pragma: no-cache`", "where there is no `Cache-Control`: neither `Expires` nor `Last-Modified` counts", &["ttl.override"],
        "RFC 9111 §5.4", "freshness::nothing_is_guessed_beside_what_cannot_be_read"),
    row("`no-store`", "not stored; with `must-understand` stored if the status code is understood", &[],
        "RFC 9111 §5.2.2.5, §5.2.2.3", "storing::a_status_code_that_must_be_understood_is_stored_if_it_is"),
    row("`private`", "not stored; `private=\"…\"`: stored without these fields", &[],
        "RFC 9111 §5.2.2.7", "storing::a_qualified_private_or_no_cache_withholds_the_fields_it_names"),
    row("`no-cache`", "validated before each use; `no-cache=\"…\"`: stored without these fields", &[],
        "RFC 9111 §5.2.2.4", "validation::no_cache_responses_are_validated_each_time"),
    row("`public`, `must-revalidate`, `s-maxage`", "let the answer to a request with `Authorization` or another credential be stored, which is not stored otherwise", &["credentials.fields", "credentials.metadata"],
        "RFC 9111 §3.5", "storing::what_was_asked_for_with_credentials_is_shared_only_by_the_origins_word"),
    row("`must-revalidate`, `proxy-revalidate`, `s-maxage`", "never served stale, whatever windows there are", &["stale_despite_s_maxage"],
        "RFC 9111 §4.2.4", "stale::nothing_is_served_stale_beyond_what_is_allowed"),
    row("`stale-while-revalidate`", "served stale at once, while one fetch refreshes it", &["stale_while_revalidate"],
        "RFC 5861 §3", "stale::a_stale_response_is_served_at_once_while_one_fetch_refreshes_it"),
    row("`stale-if-error`", "served stale when the origin answers 500, 502, 503 or 504, or not at all", &["stale_if_error"],
        "RFC 5861 §4", "stale::a_stale_response_helps_out_when_the_origin_fails"),
    row("`immutable`", "a reload (`max-age=0`) is answered from the cache while it is fresh", &[],
        "RFC 8246 §2", "freshness::what_is_immutable_answers_reloads"),
    row("`Expires`, `Date`, `Age`", "the lifetime less what has passed; `Age` is made anew for each answer", &[],
        "RFC 9111 §4.2.3, §5.1, §5.3", "freshness::the_age_that_a_response_came_with_counts"),
    row("… in an answer that is stale", "`Age` is at least the longest lifetime that its fields give, so that no browser or cache in front keeps as fresh what was purged softly or is served because the origin fails", &[],
        "RFC 9111 §4.2", "purge::what_is_served_after_a_soft_purge_goes_out_as_stale"),
    row("… where a rule gives another lifetime", "it holds in this cache; who is in front goes by the fields of the origin and the true `Age`, and when that lifetime is over asks again, which this cache answers", TTL,
        "RFC 9111 §4.2.3", "stale::what_a_rule_makes_last_goes_out_with_its_own_age"),
    row("dates", "the three formats, in any case, whatever the day of the week; another form or zone than `GMT` is no date, which is in the past", &[],
        "RFC 9110 §5.6.7, RFC 9111 §4.2", "freshness::dates_are_read_in_any_case_and_with_any_day_of_the_week"),
    row("`Last-Modified`", "a part of the time since is the lifetime, where the status code allows it and nothing else says so", &["heuristics.percent", "heuristics.max"],
        "RFC 9111 §4.2.2", "freshness::the_most_specific_lifetime_counts"),
    row("`CDN-Cache-Control`", "counts instead of `Cache-Control` and `Expires`; invalid or empty: ignored", &["targeted"],
        "RFC 9213 §2.2", "freshness::a_targeted_field_counts_instead_where_it_is_valid"),
    row("`Surrogate-Control`", "off; on, it counts likewise, and clients do not see it", &["surrogate_control", "surrogate_device"],
        "Edge Architecture §2", "freshness::surrogate_control_counts_where_it_is_turned_on"),
    row("`Vary`", "variants by what the origin is sent of the fields: codings in a few forms, languages in one spelling, others as they are; `*`: not stored", &["variants_max", "key.accept_encoding", "key.cookies_drop"],
        "RFC 9111 §4.1", "vary::what_means_the_same_is_one_variant"),
    row("`Access-Control-Allow-Origin`, `Content-Encoding`, `Preference-Applied`", "count as if `Vary` named `Origin`, `Accept-Encoding`, `Prefer`; `Access-Control-Allow-Origin: *` is for all", &[],
        "RFC 9110 §12.5.5, Fetch §3.3", "identity::a_page_that_one_origin_may_read_is_for_that_origin"),
    row("`No-Vary-Search`", "queries that differ only in what makes no difference find one response", &[],
        "draft-ietf-httpbis-no-vary-search", "search::queries_that_differ_in_what_makes_no_difference_find_one_response"),
    row("`ETag`, `Last-Modified`", "validators of what is stale: both are sent, and a 304 brings it up to date", &["keep"],
        "RFC 9111 §4.3, §3.2", "validation::a_stale_response_is_validated_with_all_it_has"),
    row("a 304 with another `ETag`", "confirms nothing: the request goes again without our conditions, through the route table or the very route of its answer; where neither is to be had it is answered 502", &["collapse.cluster"],
        "RFC 9111 §4.3.3, §4.3.4", "validation::a_304_about_something_else_confirms_nothing"),
    row("`Set-Cookie`", "not stored", &["set_cookie"],
        "RFC 9111 §7.3", "storing::rules_decide_about_cookies"),
    row("status code", "any final one but those that answer one request (such as 304, 412, 416) or must not be stored (428, 429, 431, 511)", &["ttl.status"],
        "RFC 9111 §3, RFC 6585", "storing::final_status_codes_are_stored_where_a_lifetime_may_be_given"),
    row("206, `Content-Range`", "a part with a strong `ETag` is stored, answers ranges within it, is combined with others, and is completed when somebody wants it all", &[],
        "RFC 9111 §3.3, §3.4", "ranges::what_a_part_lacks_is_fetched_for_who_wants_it_all"),
    row("`Connection` and what it names, other fields of one hop, trailers", "passed on as Envoy does, not stored", &[],
        "RFC 9111 §3.1", "storing::fields_of_one_connection_are_not_stored"),
    row("a body that breaks off, or is shorter than its length", "not stored", &["store.object_bytes_max", "rules[].object_bytes_max"],
        "RFC 9111 §3.3", "incomplete::a_response_that_breaks_off_is_not_stored"),
    row("interim responses (1xx)", "passed on as Envoy does, not stored", &[],
        "RFC 9110 §15.2", "storing::interim_responses_reach_the_client_and_are_not_stored"),
    row("`Cache-Tag`, `Surrogate-Key`, `Cache-Groups`, `xkey`", "tags for purges, taken off what clients get", &["tags.headers", "tags.strip"],
        "RFC 9875 §2", "tags::tags_are_read_from_every_known_field_and_not_shown"),
    row("`Cache-Status`", "one member is added; those of caches behind are kept", &["cache_status.enabled", "name"],
        "RFC 9211", "cache_status::what_caches_behind_us_said_is_kept"),
];

#[rustfmt::skip] // One after another, whatever their length.
const REQUESTS: &[Row] = &[
    row("`Cache-Control: no-cache`, `max-age`, `min-fresh`, `Pragma: no-cache`", "what is stored is validated unless it is as fresh as that", &["request_directives"],
        "RFC 9111 §5.2.1, §5.4", "freshness::what_a_request_says_about_freshness_is_heeded"),
    row("`max-stale`, `stale-if-error`", "a stale response will do, where its own directives do not forbid it", &["request_directives"],
        "RFC 9111 §5.2.1.2, RFC 5861 §4", "stale::a_client_may_accept_what_is_stale"),
    row("`no-store`", "the response is not stored; what is stored may answer", &["request_directives"],
        "RFC 9111 §5.2.1.5", "storing::a_request_that_says_no_store_leaves_nothing_behind"),
    row("`only-if-cached`", "504 instead of a request to the origin", &[],
        "RFC 9111 §5.2.1.7", "freshness::only_if_cached_never_reaches_the_origin"),
    row("`If-None-Match`, `If-Modified-Since`", "304 from the cache; the first counts before the second", &[],
        "RFC 9111 §4.3.2, RFC 9110 §13.2.2", "validation::a_client_that_has_the_response_gets_304_from_the_cache"),
    row("`Range`, `If-Range`", "206 or 416 from the cache for one range, or for several that touch; others are answered by the whole. The whole that an origin sends instead of a part is stored", &[],
        "RFC 9110 §14.2, §13.1.5", "ranges::a_stored_response_answers_for_its_parts"),
    row("scheme, authority, path, query", "the cache key, and what a client may claim of the origin's own address (`X-Forwarded-Host` and its like)", &["key.query", "key.query.keep", "key.query.drop", "key.query_sorted", "key.forward_dropped", "key.headers", "key.cookies", "key.unkeyed"],
        "RFC 9111 §2", "storing::host_and_query_tell_resources_apart"),
    row("`Authorization`, and what else says who asks", "see `public`; what the cache fetches by itself has none", &["credentials.fields"],
        "RFC 9111 §3.5", "stale::a_refresh_does_not_speak_for_the_client_that_caused_it"),
    row("`Accept-Encoding`", "sent on as one of a few forms, so that clients that differ in what makes no difference have one variant; nobody is given a coding that it does not accept", &["key.accept_encoding"],
        "RFC 9110 §12.5.3", "keys::nobody_is_given_a_coding_that_it_does_not_accept"),
    row("`Accept-Language`", "sent on as browsers write it; languages of one weight keep their order", &[],
        "RFC 9110 §12.5.4", "keys::languages_are_in_the_order_of_who_reads_them"),
    row("`Cookie`", "makes no difference, but that no lifetime is guessed for the answer", &["cookies_need_public", "key.cookies", "key.cookies_drop"],
        "RFC 9111 §3", "storing::requests_with_cookies_are_treated_as_configured"),
    row("HEAD", "answered by a stored GET; its own answer brings that up to date, or shows that it has changed: then that is stale, on all workers", &[],
        "RFC 9111 §4.3.5", "head::the_answer_to_a_head_brings_the_stored_response_up_to_date"),
    row("POST", "goes to the origin; its answer is stored for later GETs if that is wanted", &["store_post", "post_as_query"],
        "RFC 9110 §9.3.3", "storing::the_answer_to_a_post_is_stored_for_gets_where_that_is_wanted"),
    row("QUERY", "stored and answered like GET, with its content as a part of the key", &["key.content_bytes_max"],
        "RFC 10008", "content::a_query_is_answered_by_the_response_to_the_same_question"),
    row("POST, PUT, DELETE, PATCH and methods that nobody knows", "a non-error answer makes what is stored for the URL, and on the same origin for `Location` and `Content-Location`, be validated before its next use", &["unsafe_methods.per_minute", "rules[].invalidates.tags"],
        "RFC 9111 §4.4", "unsafe_methods::a_successful_unsafe_request_makes_the_stored_response_be_validated"),
    row("… with `Cache-Group-Invalidation`", "the same for what carries these groups on the same origin", &[],
        "RFC 9875 §3", "mutations::a_group_is_invalidated_on_its_own_origin"),
];

/// The two tables as they stand in the README.
pub fn markdown() -> String {
    let mut text = String::new();
    for (title, rows) in [("Response", RESPONSES), ("Request", REQUESTS)] {
        let _ = writeln!(text, "| {title} | What becomes of it | Options | By |\n|---|---|---|---|");
        for Row { what, behaviour, options, source, .. } in rows {
            let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
            let _ = writeln!(text, "| {what} | {behaviour} | {} | {source} |", options.join(", "));
        }
        text.push('\n');
    }
    text
}

#[test]
fn each_line_is_shown_by_a_scenario_and_names_options_that_exist() {
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let played = fs::read_to_string(lists.join("mod.rs")).unwrap();
    for Row { what, options, shown, .. } in RESPONSES.iter().chain(REQUESTS) {
        for option in *options {
            assert!(REFERENCE.iter().any(|row| row.path == *option), "{what}: there is no option {option}");
        }
        let (file, name) = shown.split_once("::").unwrap();
        let stories = fs::read_to_string(lists.join(file).with_extension("rs")).unwrap();
        assert!(stories.contains(&format!("pub fn {name}(stand: &mut dyn Stand)")), "{what}: no {shown}");
        assert!(played.lines().any(|line| line.trim() == name), "{what}: nobody plays {shown}");
    }
}
