//! What clients and origin see, told once and played on both stands: the emulated host and a real Envoy (`make e2e`).
//!
//! A scenario is a function of a stand that begins with the configuration that is shipped. Hosts end in
//! `.example`, in lower case (on Envoy something else stands for it, so that scenarios can share a process). The lists below are the only place that makes tests of them; a
//! scenario that is in none of them is dead code, which is denied here.
#![deny(dead_code, reason = "a scenario that nobody plays")]

/// The admin route: who may use it and what it says of a wrong command.
pub mod admin;
/// Refreshes before anything expires.
pub mod ahead;
/// What attackers of caches try.
pub mod attacks;
/// What `Cache-Status` says (RFC 9211).
pub mod cache_status;
/// What the plugins of real products send, and what is gone then.
pub mod clients;
/// Many clients, one request to the origin.
pub mod collapse;
/// Commands in Larder's own language: receipts, lists, explanations, namespaces, refreshes.
pub mod commands;
/// Configuration pushes.
pub mod config;
/// Requests whose content selects the response.
pub mod content;
/// Commands in the languages of others.
pub mod dialects;
/// The emulated host alone: what takes long, or what only it can script.
pub mod emulated;
/// How long a response answers, and how old it says it is.
pub mod freshness;
/// HEAD, answered by stored GETs.
pub mod head;
/// Who asks, and whose answer is whose.
pub mod identity;
/// Responses that break off, and clients that leave.
pub mod incomplete;
/// Bodies that Envoy does not show, and sides of a listener: the emulated host alone.
pub mod kept_back;
/// What the key makes equal, the origin sees as equal.
pub mod keys;
/// What requests and responses under way may hold.
pub mod memory;
/// What the answers of unsafe requests invalidate.
pub mod mutations;
/// What the stories of the admin route have in common.
pub mod operating;
/// Purges of URLs.
pub mod purge;
/// Parts of stored responses.
pub mod ranges;
/// Why responses are not stored.
pub mod reasons;
/// The route table decides about what was asked for before, too.
pub mod routes;
/// Queries that differ in what makes no difference.
pub mod search;
/// Stale responses, and an origin in trouble.
pub mod stale;
/// What is stored, and in what form.
pub mod storing;
/// What one client is told, and what that means for others.
pub mod strangers;
/// Purges of tags.
pub mod tags;
/// What scenarios have in common.
pub mod telling;
/// An origin in trouble for longer.
pub mod trouble;
/// Who is let in to the admin route, and how often.
pub mod trust;
/// POST and its like.
pub mod unsafe_methods;
/// Conditional requests, from the client and to the origin.
pub mod validation;
/// Responses that differ by request fields.
pub mod vary;

use crate::host::stand::Emulated;
use crate::stand::{SHIPPED, Stand};

/// Makes a test of each scenario that is played on both stands; `$play` plays one.
macro_rules! on_both_stands {
    ($play:path) => {
        $crate::scenarios::tests! { $play;
            storing {
                a_response_stored_by_one_worker_is_a_hit_on_both
                an_uncacheable_response_is_fetched_each_time
                responses_to_credentials_need_an_explicit_directive
                no_store_in_a_request_prevents_storing
                a_qualified_private_or_no_cache_withholds_the_fields_it_names
                final_status_codes_are_stored_where_a_lifetime_may_be_given
                a_response_without_a_body_is_stored_too
                fields_come_back_as_the_origin_sent_them
                fields_of_one_connection_are_not_stored
                directives_that_envoy_joined_go_out_readable
                a_chunked_body_with_trailers_is_stored_without_them
                interim_responses_reach_the_client_and_are_not_stored
                large_bodies_are_the_same_bytes_on_both_workers
                a_host_does_not_push_out_another
                lowering_entries_max_evicts_the_surplus
                a_too_large_response_streams_through
                a_response_without_content_length_is_stored_at_its_end
                a_response_below_min_uses_is_not_stored
                rules_decide_about_cookies
                host_and_query_tell_resources_apart
                parameters_that_do_not_count_do_not_reach_the_origin
                parameters_that_do_not_count_reach_the_origin_where_a_rule_says_so
                fields_and_cookies_tell_resources_apart_where_a_rule_says_so
                a_status_code_that_must_be_understood_is_stored_if_it_is
                requests_with_cookies_are_treated_as_configured
                the_answer_to_a_post_is_stored_for_gets_where_that_is_wanted
                a_purge_holds_for_the_answer_to_a_post_that_is_under_way
                fields_for_caches_are_not_sent_to_clients
            }
            memory {
                requests_that_find_no_room_pass_and_hits_go_on
                a_validating_request_counts_against_in_flight_memory
                waiters_count_against_in_flight_memory
                where_bodies_find_no_room_the_largest_are_not_stored
                waiters_of_a_dispatched_fetch_stay_when_a_capture_is_given_up
                the_answer_to_a_post_that_found_no_room_is_for_its_client_alone
            }
            identity {
                identity_fields_prevent_sharing
                the_origin_may_allow_sharing_responses_to_credentials
                each_sender_has_answers_of_its_own_where_credentials_are_part_of_the_key
                a_rule_may_say_that_a_field_is_no_credential
                a_waiter_is_not_given_a_response_to_other_credentials
                a_refresh_carries_no_credentials
                every_way_of_storing_checks_credentials
                no_heuristic_lifetime_for_a_request_with_a_cookie
                a_page_that_one_origin_may_read_is_for_that_origin
                a_page_that_all_origins_may_read_is_one_for_all
                a_page_first_asked_for_without_an_origin_is_asked_for_again_with_one
                a_refused_cors_origin_does_not_affect_others
                a_304_keeps_cors_variants_apart
                an_encoded_body_is_served_only_where_it_is_accepted
                a_preference_applied_counts_as_vary_prefer
            }
            content {
                a_query_is_answered_by_the_response_to_the_same_question
                a_query_is_stored_and_collapsed_like_a_get
                a_query_without_content_is_a_question_too
                content_too_long_for_the_key_bypasses_the_cache
                purges_and_unsafe_requests_cover_stored_queries
                a_post_that_only_asks_is_as_good_as_a_query
            }
            routes {
                a_switch_of_clusters_holds_for_known_urls_at_once
                a_route_that_answers_by_itself_is_heard
                credentials_added_by_a_route_are_sent_on_that_route_only
                a_refusal_of_a_dispatched_fetch_is_neither_served_nor_stored
                a_cluster_that_envoy_lacks_is_named_and_clients_fetch_meanwhile
                where_no_call_reaches_the_routes_the_next_client_leads
                a_refresh_uses_the_learned_route_while_it_is_certain
                a_response_from_another_route_is_not_served
                a_waiter_on_another_route_is_not_served_the_fetch
                that_a_request_has_no_route_is_not_stored
            }
            freshness {
                the_most_specific_lifetime_counts
                the_age_that_a_response_came_with_counts
                age_grows_and_date_stays
                a_response_is_asked_for_again_when_its_time_is_over
                rules_set_lifetimes
                a_rule_can_leave_the_cache_out
                request_directives_on_freshness_are_obeyed
                request_directives_can_be_ignored_by_configuration
                only_if_cached_never_reaches_the_origin
                repeated_invalid_and_too_large_values_are_read_with_caution
                a_malformed_directive_counts_as_the_strictest_reading
                no_heuristic_lifetime_beside_an_unreadable_directive
                a_malformed_no_store_in_a_request_prevents_storing
                dates_are_read_in_any_case_and_with_any_day_of_the_week
                an_origin_whose_clock_is_behind_is_named_and_counted
                an_explanation_says_where_a_lifetime_comes_from
                a_response_validated_before_each_use_is_reported_so
                a_targeted_field_counts_instead_where_it_is_valid
                surrogate_control_counts_where_it_is_turned_on
                an_immutable_response_answers_reloads
                the_delay_of_a_response_makes_it_older
            }
            validation {
                a_client_that_has_the_response_gets_304_from_the_cache
                a_clients_condition_does_not_reach_the_origin_when_the_response_is_for_all
                a_stale_response_is_validated_with_all_it_has
                a_changed_response_replaces_the_stale_one
                a_clients_own_condition_is_answered_after_the_validation
                no_cache_responses_are_validated_each_time
                a_304_about_something_else_confirms_nothing
                a_304_with_another_etag_is_a_502_without_a_way_to_retry
            }
            head {
                a_stored_get_answers_a_head
                a_head_without_a_stored_get_goes_to_the_origin_and_stores_nothing
                the_answer_to_a_head_brings_the_stored_response_up_to_date
                the_answer_to_a_head_that_shows_a_change_makes_the_stored_response_stale
                the_answer_to_a_head_concerns_its_own_variant
                the_answer_to_a_head_that_comes_late_changes_nothing
                a_head_answer_for_one_client_does_not_update_the_stored_get
                a_response_to_head_can_forbid_the_stored_get
            }
            ranges {
                a_part_is_stored_served_and_completed_by_its_other_part
                the_missing_rest_of_a_part_is_fetched_for_a_full_request
                a_stored_response_answers_for_its_parts
                a_part_is_sent_only_while_the_client_has_the_same_response
                a_range_miss_is_fetched_and_stored_as_a_part
                a_large_response_answers_for_its_parts
                a_whole_that_comes_instead_of_a_part_is_stored
                a_response_instead_of_a_part_reports_why_it_is_not_stored
                parts_are_combined_up_to_the_largest_that_is_stored
                a_part_of_a_too_large_response_is_not_completed
            }
            vary {
                each_variant_is_stored_and_answers_its_own_requests
                equivalent_request_fields_share_a_variant
                different_request_fields_never_share_a_variant
                a_response_may_change_its_vary
                a_page_that_no_longer_varies_is_one_for_all
                variants_are_bounded
                a_popular_variant_evicts_the_least_used_one
                a_purge_of_a_full_list_makes_room_for_all
                vary_star_is_never_reused
            }
            keys {
                a_refused_coding_is_not_sent_to_origins_that_only_look_for_its_name
                browsers_share_variants_by_normalised_accept_encoding
                a_coding_is_served_only_to_clients_that_accept_it
                which_codings_count_is_configured
                a_spelling_of_the_host_answers_only_itself
                languages_of_equal_weight_keep_their_order
                an_ambiguous_cookie_is_keyed_whole
                cookies_of_analytics_make_no_variants
                a_query_is_sent_in_the_order_of_the_key
                a_field_is_part_of_the_key_as_it_is_sent
                a_refresh_asks_in_the_form_of_the_key
            }
            search {
                queries_that_differ_in_insignificant_parameters_share_a_response
                no_vary_search_must_be_valid_and_applies_to_its_path
                a_purge_of_either_url_holds_for_both
                equivalent_queries_are_one_fetch
                the_newest_word_about_queries_counts
                explain_and_refresh_ignore_insignificant_parameters
                a_purge_of_either_url_holds_while_the_origin_is_down
            }
            stale {
                slow_pages_do_not_keep_others_from_being_refreshed
                a_stale_response_helps_out_when_the_origin_is_too_slow
                a_stale_response_is_served_at_once_while_one_fetch_refreshes_it
                a_stale_response_is_sent_with_an_age_past_its_lifetime
                a_lifetime_from_a_rule_does_not_change_age
                a_refresh_that_is_confirmed_makes_the_stored_response_fresh
                a_refresh_does_not_speak_for_the_client_that_caused_it
                a_refresh_that_fails_leaves_the_stale_response_and_is_not_repeated_at_once
                a_truncated_refresh_is_not_stored
                a_stale_response_helps_out_when_the_origin_fails
                a_stale_response_is_served_when_the_origin_refuses_connections
                no_response_is_served_stale_beyond_its_window
                a_rule_may_let_the_windows_beside_s_maxage_count
                windows_can_come_from_rules
                max_stale_accepts_a_stale_response
                a_client_that_wants_no_stale_response_waits_for_the_origin
            }
            ahead {
                a_popular_response_is_refreshed_before_it_expires
                a_refresh_ahead_can_be_turned_off_by_a_rule
                a_response_that_only_its_client_can_fetch_is_not_refreshed_ahead
            }
            trouble {
                a_stale_copy_is_served_when_a_client_bound_fetch_fails
                an_error_does_not_replace_a_usable_stale_response
                errors_are_remembered_for_a_time_of_their_own
                a_stale_404_is_served_on_error_and_a_stale_5xx_is_not
                waiters_past_wait_max_are_served_stale
                a_timed_out_or_truncated_fetch_keeps_the_stored_response
                an_open_breaker_serves_stale_without_a_request
                a_miss_probes_a_cluster_with_an_open_breaker
                a_page_that_fails_among_others_that_answer_opens_no_breaker
                a_refresh_sends_no_dropped_query_parameters
                a_refresh_needs_no_copy_in_the_worker
                a_response_of_a_dispatched_fetch_can_be_refreshed
            }
            purge {
                a_hard_purge_on_any_worker_holds_at_once_on_all
                a_soft_purge_serves_the_old_response_while_one_fetch_refreshes_it
                a_soft_purged_response_is_served_as_stale
                a_soft_purge_is_over_when_the_origin_confirms_the_response
                a_revalidating_purge_asks_before_the_next_use
                a_purge_covers_every_variant_and_every_spelling
                a_purge_leaves_other_responses_alone
                a_fetch_in_flight_cannot_undo_a_purge
                followers_do_not_get_a_response_that_was_purged_in_flight
                followers_get_a_response_soft_purged_in_flight_and_it_is_refreshed
                two_purges_during_a_flight_both_hold
                a_refresh_in_flight_cannot_undo_a_purge
                several_selectors_are_answered_one_by_one
                a_purge_holds_for_a_large_response_that_is_arriving
                hard_purged_responses_are_freed_in_the_background
            }
            tags {
                tags_are_read_from_every_known_field_and_not_shown
                tags_that_a_head_or_a_304_tells_are_taken_in_and_not_shown
                a_tag_covers_exactly_the_responses_that_carry_it
                a_soft_purged_tag_refreshes_responses_on_request
                the_purge_of_an_unknown_tag_covers_fetches_in_flight
                rules_add_tags_with_parts_of_the_path
                purging_a_tag_purges_its_descendants
                a_response_with_too_many_tags_is_not_stored
                tags_can_be_left_in_the_response
                every_variant_carries_its_own_tags
            }
            collapse {
                waiters_of_a_stalled_response_are_served_by_one_more_fetch
                a_late_end_of_a_stalled_response_does_not_undo_a_purge
                fifty_clients_on_two_workers_make_one_origin_request
                many_keys_at_once_make_one_origin_request_each
                when_the_first_client_leaves_the_others_are_served_by_one_more_request
                a_waiter_that_leaves_does_not_affect_the_others
                after_all_clients_leave_the_next_one_is_served
                when_the_origin_breaks_off_the_others_still_get_a_whole_response
                hit_for_miss_stops_requests_from_waiting_again
                after_hit_for_miss_expires_one_request_probes_and_no_other_waits
                a_response_with_set_cookie_is_not_given_to_waiters
                a_private_response_is_not_given_to_waiters
                a_response_to_credentials_is_not_given_to_waiters
                no_more_wait_than_may
                beyond_waiters_max_a_known_key_is_still_fetched_once
                collapse_fetch_chooses_inline_or_dispatched_fetches
                a_response_above_object_bytes_max_is_delivered_but_not_stored
                a_response_too_large_for_a_dispatched_fetch_is_fetched_inline
                a_client_waits_no_longer_than_its_deadline
                a_follower_gets_its_own_variant_or_304
                a_validation_is_shared_as_well
                a_rule_can_turn_it_off
            }
            strangers {
                one_clients_uncacheable_response_does_not_prevent_storing
                a_403_for_one_client_is_not_served_to_others
                each_response_reports_its_own_reason
                hit_for_miss_ends_with_the_first_storable_response
                of_two_responses_the_one_that_was_asked_for_later_stays
                a_late_response_does_not_undo_a_purge
                a_variant_that_went_beside_is_stored_like_any
                a_truncated_response_beside_a_flight_is_not_stored
                one_clients_private_response_does_not_stop_refreshes
                a_suspicious_request_does_not_keep_a_stale_response
                a_response_beside_a_flight_keeps_other_cors_variants
                a_request_with_bytes_that_are_not_text_does_not_keep_a_stale_response
                a_failure_that_one_client_provokes_is_its_own
                an_uncacheable_response_is_never_waited_for
            }
            incomplete {
                a_response_that_breaks_off_is_not_stored
                an_origin_that_closes_without_a_response_is_a_503_and_not_stored
                a_client_that_leaves_midway_leaves_no_partial_record
                more_than_the_length_is_cut_off
            }
            unsafe_methods {
                a_post_reaches_the_origin_with_its_body_each_time
                a_successful_unsafe_request_makes_the_stored_response_be_validated
                a_failed_or_safe_request_changes_nothing
                location_on_the_same_origin_is_invalidated_too
            }
            cache_status {
                cache_status_members_of_upstream_caches_are_kept
                every_response_has_a_cache_status
                the_cache_has_the_name_that_it_was_given
                it_can_be_turned_off
                counters_tell_the_same_story
                ten_responses_that_are_not_stored_count_as_ten
                counters_and_answers_come_to_the_same_sums
                the_access_log_shows_who_answered
            }
            reasons {
                each_reason_is_true_and_its_advice_leads_to_a_hit
                the_reason_that_is_remembered_is_explained
                a_response_beside_a_flight_is_not_stored
                a_truncated_response_is_counted_as_incomplete
            }
            admin {
                a_wrong_token_gets_401_and_does_not_reach_the_origin
                an_unreadable_command_gets_an_error_with_the_reason
                without_a_token_the_route_is_a_missing_page
                without_a_configured_token_there_is_no_route
                commands_never_reach_the_origin
                a_wrong_command_gets_an_error_with_the_place_and_has_no_effect
                a_command_may_come_in_pieces
                a_command_may_not_be_too_long
                statistics_are_numbers_by_name
                scopes_limit_what_a_token_may_do
                the_path_can_be_another
                a_strangers_purge_is_a_request_like_any_other
            }
            commands {
                options_without_effect_are_reported_as_warnings
                a_purge_says_how_much_it_covers
                a_selector_with_a_port_covers_that_port_only
                a_refresh_of_an_unstored_url_has_no_effect
                a_url_is_purged_by_whatever_rule_it_was_stored
                entries_are_listed_without_values_that_identify_a_client
                a_purge_is_followed_by_its_receipt
                a_wrong_method_gets_405_with_the_allowed_methods
                a_selector_shown_by_the_journal_can_be_sent_as_a_command
                no_form_of_everything_is_for_a_limited_token
                a_command_needs_no_body
                a_refresh_and_a_namespace_need_no_body
                a_dry_run_purges_nothing
                stored_responses_can_be_listed
                the_variants_of_a_url_are_shown
                a_url_is_explained
                a_live_request_explains_itself
                a_namespace_is_bumped
                a_refresh_fetches_again_by_itself
                a_purge_can_refresh
                a_purge_of_much_is_refreshed_bit_by_bit
                a_command_with_a_key_is_carried_out_once
                the_configuration_is_shown
                each_selector_covers_the_responses_that_it_names
            }
            clients {
                products_purge_by_their_own_tags
                products_purge_urls
                a_field_that_is_not_known_purges_nothing
                a_page_may_have_a_thousand_tags_and_so_may_a_purge
                tags_may_stand_in_a_field_of_ones_own
                a_ban_of_a_page_and_its_site_and_a_url_covers_no_more
            }
            dialects {
                varnish_foshttpcache_and_nginx_purge
                soft_purges_and_refreshes_of_varnish
                fastly_purges
                cloudflare_purges
                souin_purges
            }
            mutations {
                a_mutation_rule_invalidates
                a_group_is_invalidated_on_its_own_origin
                a_flood_of_unsafe_requests_costs_few_records_and_loses_none
                a_flood_of_unsafe_requests_touches_no_other_host
                an_unsafe_request_invalidates_even_when_it_bypasses_the_cache
            }
            trust {
                strangers_meet_the_origin
                a_strangers_purge_purges_nothing
                patterns_of_a_limited_token_flush_nothing
                strangers_purges_are_forbidden
                callers_come_from_their_networks
                commands_have_a_rate
                a_wrong_command_is_not_carried_out_in_part
                clients_cannot_choose_the_links_in_shared_responses
                unkeyed_fields_are_treated_as_configured
            }
            attacks {
                parts_of_a_key_do_not_run_into_each_other
                a_response_that_varies_by_cookie_is_served_to_that_cookie_only
                a_get_with_a_body_cannot_poison_the_cache
                a_hidden_parameter_does_not_get_past_the_key
                a_path_is_keyed_as_it_was_sent
                a_way_up_in_disguise_does_not_get_past_a_bypass
                a_private_page_is_not_stored_for_its_disguise
                a_304_leaks_no_fields_of_the_client_that_validated
                a_provoked_error_is_served_only_to_the_client_that_provoked_it
                other_methods_cannot_store_responses_for_get
                waiting_is_bounded
                responses_to_credentials_are_not_shared
                clients_learn_neither_keys_nor_tags
            }
            config {
                a_configuration_push_keeps_stored_responses
                a_push_is_in_force_at_once
                a_wrong_configuration_is_refused_with_its_place_and_changes_nothing
                a_purge_outlives_a_push
                requests_under_way_are_not_disturbed_by_a_push
                a_smaller_largest_object_counts_from_the_next_response_on
                partitions_share_a_store_and_purges_and_no_responses
            }
        }
    };
}

/// Makes a test of each scenario that is played on the emulated host alone. The reason stands at each.
macro_rules! on_the_emulated_host_only {
    ($play:path) => {
        $crate::scenarios::tests! { $play;
            emulated {
                sets_cannot_be_targeted_without_the_secret
                a_heuristic_lifetime_ends
                a_removed_cluster_is_not_noticed_by_clients
                after_hit_for_miss_expires_no_request_waits_for_an_uncacheable_response
                a_stale_window_ends
                the_grace_of_a_soft_purge_ends
                a_key_that_keeps_failing_is_asked_for_ever_less_often
                a_lost_hint_is_made_up_for_by_the_sweep
                a_lost_compare_and_set_is_tried_again
                a_miss_whose_set_cannot_be_written_bypasses_the_cache
                a_body_that_larder_was_not_given_is_not_stored
                a_request_whose_body_larder_was_not_given_is_not_taken_for_an_empty_one
                a_wall_clock_that_jumps_does_not_prolong_lifetimes
                a_purge_that_cannot_be_written_is_not_acknowledged
                followers_of_a_dead_leader_are_served_within_its_lease
                a_message_for_a_dead_vm_does_not_kill_its_heir
                a_crowd_on_one_worker_is_answered_bit_by_bit
                when_the_first_client_resets_its_stream_the_others_are_served_by_one_more_request
                purges_hold_where_a_stats_filter_silences_the_epoch
                a_damaged_journal_forgets_to_the_safe_side
                an_unreadable_journal_makes_requests_bypass_the_cache
                records_of_another_layout_are_ignored
                damaged_records_and_sets_are_misses
                a_configuration_that_comes_back_still_serves_and_purges
                response_headers_to_add_are_not_doubled_on_hits
                a_routes_metadata_holds_with_the_next_request
                responses_of_another_endpoint_are_not_served
                senders_known_only_from_filter_metadata_do_not_share_responses
                fields_that_a_filter_adds_twice_are_removed_and_reported
                a_stranger_costs_others_next_to_nothing
            }
            kept_back {
                a_query_whose_content_is_kept_back_goes_to_the_origin
                a_post_that_asks_waits_no_longer_where_its_content_is_kept_back
                a_worker_goes_on_when_it_has_given_up_on_a_callback_full_of_bodies
                a_command_whose_body_cannot_be_read_gets_501_with_advice
                a_command_that_reads_no_body_is_carried_out_without_it
                commands_in_the_query_work_where_bodies_are_kept_back
                a_client_without_a_body_does_not_affect_others
                an_empty_body_stalls_no_second_time
                bodies_that_are_shown_are_read_again
                commands_without_their_bodies_are_answered_bit_by_bit
                inbound_and_outbound_listeners_do_not_share_responses
            }
        }
    };
}

macro_rules! tests {
    ($play:path; $($file:ident { $($name:ident)+ })+) => { $(
        mod $file { $(
            #[test]
            fn $name() {
                $play(crate::scenarios::$file::$name);
            }
        )+ }
    )+ };
}

pub(crate) use {on_both_stands, tests};

mod on_the_emulated_host {
    on_both_stands!(crate::scenarios::play);
    on_the_emulated_host_only!(crate::scenarios::play_here);
}

/// Plays a scenario on an emulated host of its own, then checks that no VM died and no request hangs.
fn play(scenario: impl FnOnce(&mut dyn Stand)) {
    play_here(|stand| scenario(stand));
}

fn play_here(scenario: impl FnOnce(&mut Emulated)) {
    let mut stand = Emulated::new(SHIPPED);
    scenario(&mut stand);
    stand.check();
}
