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
    row("`Cache-Control: max-age`, `s-maxage`", "the freshness lifetime; `s-maxage` takes precedence over `max-age`, both over `Expires`", TTL,
        "RFC 9111 §4.2.1", "freshness::the_most_specific_lifetime_counts"),
    row("… repeated, invalid or too large", "the first value counts; an invalid value means stale; values above 2^31 are clamped", &[],
        "RFC 9111 §4.2.1, §1.2.2", "freshness::repeated_invalid_and_too_large_values_are_read_with_caution"),
    row("… malformed", "a member that names or hides `no-store`, `private` or `no-cache` (`private; max-age=60`, `'no-store'`) counts as that; beside what cannot be read neither `Expires` nor `Last-Modified` counts, and nothing is served stale", &[],
        "RFC 9111 §4.2.1", "freshness::a_malformed_directive_counts_as_the_strictest_reading"),
    row("`Pragma: no-cache`", "where there is no `Cache-Control`: neither `Expires` nor `Last-Modified` counts", &["ttl.override"],
        "RFC 9111 §5.4", "freshness::no_heuristic_lifetime_beside_an_unreadable_directive"),
    row("`no-store`", "not stored; with `must-understand` stored if the status code is understood", &[],
        "RFC 9111 §5.2.2.5, §5.2.2.3", "storing::a_status_code_that_must_be_understood_is_stored_if_it_is"),
    row("`private`", "not stored; `private=\"…\"`: stored without these fields", &[],
        "RFC 9111 §5.2.2.7", "storing::a_qualified_private_or_no_cache_withholds_the_fields_it_names"),
    row("`no-cache`", "validated before each use; `no-cache=\"…\"`: stored without these fields", &[],
        "RFC 9111 §5.2.2.4", "validation::no_cache_responses_are_validated_each_time"),
    row("`public`, `must-revalidate`, `s-maxage`", "allow storing the response to a request with `Authorization` or another credential, which is not stored otherwise", &["credentials.fields", "credentials.metadata"],
        "RFC 9111 §3.5", "storing::responses_to_credentials_need_an_explicit_directive"),
    row("`must-revalidate`, `proxy-revalidate`, `s-maxage`", "never served stale, whatever stale windows apply", &["stale_despite_s_maxage"],
        "RFC 9111 §4.2.4", "stale::no_response_is_served_stale_beyond_its_window"),
    row("`stale-while-revalidate`", "served stale immediately, while one fetch refreshes it", &["stale_while_revalidate"],
        "RFC 5861 §3", "stale::a_stale_response_is_served_at_once_while_one_fetch_refreshes_it"),
    row("`stale-if-error`", "served stale when the origin answers 500, 502, 503 or 504, or not at all", &["stale_if_error"],
        "RFC 5861 §4", "stale::a_stale_response_helps_out_when_the_origin_fails"),
    row("`immutable`", "a reload (`max-age=0`) is answered from the cache while it is fresh", &[],
        "RFC 8246 §2", "freshness::an_immutable_response_answers_reloads"),
    row("`Expires`, `Date`, `Age`", "used for the current age; `Age` is computed for each response", &[],
        "RFC 9111 §4.2.3, §5.1, §5.3", "freshness::the_age_that_a_response_came_with_counts"),
    row("… in a stale response", "`Age` is at least the longest lifetime in its fields, so that browsers and downstream caches do not keep a soft purged or stale response as fresh", &[],
        "RFC 9111 §4.2", "purge::a_soft_purged_response_is_served_as_stale"),
    row("… where a rule gives another lifetime", "it applies to this cache only; browsers and downstream caches see the origin's fields and the true `Age`, and revalidate with this cache when that lifetime is over", TTL,
        "RFC 9111 §4.2.3", "stale::a_lifetime_from_a_rule_does_not_change_age"),
    row("dates", "the three formats of HTTP, in any letter case, with any day of the week; any other form or zone is invalid, which means in the past", &[],
        "RFC 9110 §5.6.7, RFC 9111 §4.2", "freshness::dates_are_read_in_any_case_and_with_any_day_of_the_week"),
    row("`Last-Modified`", "heuristic freshness: a part of the time since then, where the status code allows it and there is no explicit lifetime", &["heuristics.percent", "heuristics.max"],
        "RFC 9111 §4.2.2", "freshness::the_most_specific_lifetime_counts"),
    row("`CDN-Cache-Control`", "replaces `Cache-Control` and `Expires`; ignored if invalid or empty", &["targeted"],
        "RFC 9213 §2.2", "freshness::a_targeted_field_counts_instead_where_it_is_valid"),
    row("`Surrogate-Control`", "off by default; if on, it replaces them likewise, and is removed from responses to clients", &["surrogate_control", "surrogate_device"],
        "Edge Architecture §2", "freshness::surrogate_control_counts_where_it_is_turned_on"),
    row("`Vary`", "variants are selected by the fields as the origin receives them: codings and languages normalised, others unchanged; `*`: not stored", &["variants_max", "key.accept_encoding", "key.cookies_drop"],
        "RFC 9111 §4.1", "vary::equivalent_request_fields_share_a_variant"),
    row("`Access-Control-Allow-Origin`, `Content-Encoding`, `Preference-Applied`", "treated as if `Vary` named `Origin`, `Accept-Encoding`, `Prefer`; `Access-Control-Allow-Origin: *` is shared by all", &[],
        "RFC 9110 §12.5.5, Fetch §3.3", "identity::a_page_that_one_origin_may_read_is_for_that_origin"),
    row("`No-Vary-Search`", "queries that differ only in insignificant parameters share a response", &[],
        "draft-ietf-httpbis-no-vary-search", "search::queries_that_differ_in_insignificant_parameters_share_a_response"),
    row("`ETag`, `Last-Modified`", "validators for a stale response: both are sent, and a 304 freshens it", &["keep"],
        "RFC 9111 §4.3, §3.2", "validation::a_stale_response_is_validated_with_all_it_has"),
    row("a 304 with another `ETag`", "does not validate the stored response: the request is repeated without Larder's conditions, through the route table or the same route; if neither is possible, the client gets 502", &["collapse.cluster"],
        "RFC 9111 §4.3.3, §4.3.4", "validation::a_304_about_something_else_confirms_nothing"),
    row("`Set-Cookie`", "not stored", &["set_cookie"],
        "RFC 9111 §7.3", "storing::rules_decide_about_cookies"),
    row("status code", "any final one, except those that answer one request only (such as 304, 412, 416) or must not be stored (428, 429, 431, 511)", &["ttl.status"],
        "RFC 9111 §3, RFC 6585", "storing::final_status_codes_are_stored_where_a_lifetime_may_be_given"),
    row("206, `Content-Range`", "a part with a strong `ETag` is stored, serves ranges within it, is combined with other parts, and is completed when a client requests the whole", &[],
        "RFC 9111 §3.3, §3.4", "ranges::the_missing_rest_of_a_part_is_fetched_for_a_full_request"),
    row("`Connection` and the fields that it names, other hop-by-hop fields, trailers", "passed on as Envoy does, not stored", &[],
        "RFC 9111 §3.1", "storing::fields_of_one_connection_are_not_stored"),
    row("a body that ends early or is shorter than `Content-Length`", "not stored", &["store.object_bytes_max", "rules[].object_bytes_max"],
        "RFC 9111 §3.3", "incomplete::a_response_that_breaks_off_is_not_stored"),
    row("interim responses (1xx)", "passed on as Envoy does, not stored", &[],
        "RFC 9110 §15.2", "storing::interim_responses_reach_the_client_and_are_not_stored"),
    row("`Cache-Tag`, `Surrogate-Key`, `Cache-Groups`, `xkey`", "tags for purges, removed from responses to clients", &["tags.headers", "tags.strip"],
        "RFC 9875 §2", "tags::tags_are_read_from_every_known_field_and_not_shown"),
    row("`Cache-Status`", "one member is added; members of upstream caches are kept", &["cache_status.enabled", "name"],
        "RFC 9211", "cache_status::cache_status_members_of_upstream_caches_are_kept"),
];

#[rustfmt::skip] // One after another, whatever their length.
const REQUESTS: &[Row] = &[
    row("`Cache-Control: no-cache`, `max-age`, `min-fresh`, `Pragma: no-cache`", "the stored response is validated unless it is fresh enough", &["request_directives"],
        "RFC 9111 §5.2.1, §5.4", "freshness::request_directives_on_freshness_are_obeyed"),
    row("`max-stale`, `stale-if-error`", "a stale response is served, unless its own directives forbid it", &["request_directives"],
        "RFC 9111 §5.2.1.2, RFC 5861 §4", "stale::max_stale_accepts_a_stale_response"),
    row("`no-store`", "the response is not stored; a stored response may still be served", &["request_directives"],
        "RFC 9111 §5.2.1.5", "storing::no_store_in_a_request_prevents_storing"),
    row("`only-if-cached`", "504 instead of a request to the origin", &[],
        "RFC 9111 §5.2.1.7", "freshness::only_if_cached_never_reaches_the_origin"),
    row("`If-None-Match`, `If-Modified-Since`", "304 from the cache; the first takes precedence", &[],
        "RFC 9111 §4.3.2, RFC 9110 §13.2.2", "validation::a_client_that_has_the_response_gets_304_from_the_cache"),
    row("`Range`, `If-Range`", "206 or 416 from the cache for one range, or for several adjoining ones; for others the whole is sent. A whole response to a range request is stored", &[],
        "RFC 9110 §14.2, §13.1.5", "ranges::a_stored_response_answers_for_its_parts"),
    row("scheme, authority, path, query", "the cache key, with the fields in which a client may claim the origin's address (`X-Forwarded-Host` and the like)", &["key.query", "key.query.keep", "key.query.drop", "key.query_sorted", "key.forward_dropped", "key.headers", "key.cookies", "key.unkeyed"],
        "RFC 9111 §2", "storing::host_and_query_tell_resources_apart"),
    row("`Authorization` and other credentials", "see `public`; Larder's own fetches have none", &["credentials.fields"],
        "RFC 9111 §3.5", "stale::a_refresh_does_not_speak_for_the_client_that_caused_it"),
    row("`Accept-Encoding`", "normalised to a few forms, so that equivalent clients share a variant; no client gets a coding that it does not accept", &["key.accept_encoding"],
        "RFC 9110 §12.5.3", "keys::a_coding_is_served_only_to_clients_that_accept_it"),
    row("`Accept-Language`", "normalised to the form that browsers send; languages of equal weight keep their order", &[],
        "RFC 9110 §12.5.4", "keys::languages_of_equal_weight_keep_their_order"),
    row("`Cookie`", "ignored, except that the response gets no heuristic lifetime", &["cookies_need_public", "key.cookies", "key.cookies_drop"],
        "RFC 9111 §3", "storing::requests_with_cookies_are_treated_as_configured"),
    row("HEAD", "answered from a stored GET; the origin's response to it freshens the stored GET, or makes it stale on all workers if the representation changed", &[],
        "RFC 9111 §4.3.5", "head::the_answer_to_a_head_brings_the_stored_response_up_to_date"),
    row("POST", "forwarded; its response is stored for later GETs if `store_post` is on", &["store_post", "post_as_query"],
        "RFC 9110 §9.3.3", "storing::the_answer_to_a_post_is_stored_for_gets_where_that_is_wanted"),
    row("QUERY", "stored and served like GET, with its content as a part of the key", &["key.content_bytes_max"],
        "RFC 10008", "content::a_query_is_answered_by_the_response_to_the_same_question"),
    row("POST, PUT, DELETE, PATCH and unknown methods", "after a non-error response, stored responses for the URL, and on the same origin for `Location` and `Content-Location`, are validated before their next use", &["unsafe_methods.per_minute", "rules[].invalidates.tags"],
        "RFC 9111 §4.4", "unsafe_methods::a_successful_unsafe_request_makes_the_stored_response_be_validated"),
    row("… with `Cache-Group-Invalidation`", "the same for stored responses of these groups on the same origin", &[],
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
