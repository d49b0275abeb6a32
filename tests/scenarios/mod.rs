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
                what_one_worker_stored_is_a_hit_on_both
                what_may_not_be_shared_is_asked_for_each_time
                what_was_asked_for_with_credentials_is_shared_only_by_the_origins_word
                a_request_that_says_no_store_leaves_nothing_behind
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
                what_fewer_entries_have_no_place_for_is_given_up
                what_is_too_large_streams_through
                what_does_not_say_how_long_it_is_is_stored_when_it_has_come_to_its_end
                what_is_asked_for_too_rarely_is_not_stored
                rules_decide_about_cookies
                host_and_query_tell_resources_apart
                parameters_that_do_not_count_do_not_reach_the_origin
                parameters_that_do_not_count_reach_the_origin_where_a_rule_says_so
                fields_and_cookies_tell_resources_apart_where_a_rule_says_so
                a_status_code_that_must_be_understood_is_stored_if_it_is
                requests_with_cookies_are_treated_as_configured
                the_answer_to_a_post_is_stored_for_gets_where_that_is_wanted
                a_purge_holds_for_the_answer_to_a_post_that_is_under_way
                what_is_said_to_caches_is_said_to_no_client
            }
            memory {
                requests_that_find_no_room_pass_and_hits_go_on
                what_is_validated_holds_its_share
                what_waits_holds_its_share_and_no_more_may_wait
                where_bodies_find_no_room_the_largest_are_not_stored
                who_waits_for_the_root_is_not_sent_away_when_a_body_is_given_up
                the_answer_to_a_post_that_found_no_room_is_for_its_client_alone
            }
            identity {
                what_says_who_asks_keeps_the_answer_from_others
                the_origin_may_share_what_was_asked_for_with_credentials
                each_sender_has_answers_of_its_own_where_credentials_are_part_of_the_key
                a_rule_may_say_that_a_field_is_no_credential
                who_has_waited_is_not_given_what_is_anothers
                a_refresh_carries_nobodys_credentials
                no_other_way_into_the_store_forgets_who_asked
                no_lifetime_is_guessed_for_what_was_asked_for_with_a_cookie
                a_page_that_one_origin_may_read_is_for_that_origin
                a_page_that_all_origins_may_read_is_one_for_all
                a_page_first_asked_for_without_an_origin_is_asked_for_again_with_one
                an_origin_that_is_refused_takes_nothing_from_others
                what_is_kept_apart_stays_so_when_it_is_confirmed
                a_coded_body_goes_to_nobody_who_did_not_ask_for_it
                an_applied_preference_is_for_who_has_it
            }
            content {
                a_query_is_answered_by_the_response_to_the_same_question
                a_query_is_stored_and_collapsed_like_a_get
                a_query_without_content_is_a_question_too
                what_is_too_long_to_be_part_of_a_key_goes_to_the_origin
                a_query_for_what_was_changed_goes_to_the_origin
                a_post_that_only_asks_is_as_good_as_a_query
            }
            routes {
                a_switch_of_clusters_holds_for_known_urls_at_once
                a_route_that_answers_by_itself_is_heard
                what_a_route_logs_in_with_is_sent_by_the_route_alone
                what_larder_is_refused_with_reaches_nobody_and_replaces_nothing
                a_cluster_that_envoy_lacks_is_named_and_clients_fetch_meanwhile
                where_no_call_reaches_the_routes_the_next_client_leads
                a_refresh_goes_by_what_was_learned_of_a_route_while_that_is_certain
                what_came_by_another_route_answers_nobody
                who_waits_for_another_route_is_not_answered_by_it
                that_a_request_has_no_route_is_not_stored
            }
            freshness {
                the_most_specific_lifetime_counts
                the_age_that_a_response_came_with_counts
                age_grows_and_date_stays
                a_response_is_asked_for_again_when_its_time_is_over
                rules_set_lifetimes
                a_rule_can_leave_the_cache_out
                what_a_request_says_about_freshness_is_heeded
                what_a_request_says_can_be_ignored_by_configuration
                only_if_cached_never_reaches_the_origin
                repeated_invalid_and_too_large_values_are_read_with_caution
                what_is_malformed_counts_as_what_it_forbids
                nothing_is_guessed_beside_what_cannot_be_read
                a_request_that_says_no_store_in_a_malformed_way_leaves_nothing_behind
                dates_are_read_in_any_case_and_with_any_day_of_the_week
                an_origin_whose_clock_is_behind_is_named_and_counted
                an_explanation_says_where_a_lifetime_comes_from
                what_has_to_be_validated_each_time_says_so
                a_targeted_field_counts_instead_where_it_is_valid
                surrogate_control_counts_where_it_is_turned_on
                what_is_immutable_answers_reloads
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
                a_304_about_something_else_is_no_answer_where_nobody_can_be_asked_again
            }
            head {
                a_stored_get_answers_a_head
                a_head_without_a_stored_get_goes_to_the_origin_and_stores_nothing
                the_answer_to_a_head_brings_the_stored_response_up_to_date
                the_answer_to_a_head_that_shows_a_change_makes_the_stored_response_stale
                the_answer_to_a_head_concerns_its_own_variant
                the_answer_to_a_head_that_comes_late_changes_nothing
                a_head_whose_answer_is_one_clients_own_changes_nothing_for_others
                what_the_answer_to_a_head_forbids_is_not_served_any_more
            }
            ranges {
                a_part_is_stored_served_and_completed_by_its_other_part
                what_a_part_lacks_is_fetched_for_who_wants_it_all
                a_stored_response_answers_for_its_parts
                a_part_is_sent_only_while_the_client_has_the_same_response
                a_part_of_what_is_not_stored_comes_from_the_origin_and_is_not_taken_for_the_whole
                a_large_response_answers_for_its_parts
                a_whole_that_comes_instead_of_a_part_is_stored
                what_comes_instead_of_a_part_says_why_it_is_not_stored
                parts_are_combined_up_to_the_largest_that_is_stored
                a_part_of_what_is_too_large_is_not_completed
            }
            vary {
                each_variant_is_stored_and_answers_its_own_requests
                what_means_the_same_is_one_variant
                what_does_not_mean_the_same_is_never_mixed_up
                a_response_may_change_what_it_varies_by
                a_page_that_no_longer_varies_is_one_for_all
                variants_are_bounded
                a_variant_in_demand_displaces_what_nobody_asks_for_and_stays
                a_purge_of_a_full_list_makes_room_for_all
                nothing_that_varies_by_everything_is_reused
            }
            keys {
                an_origin_that_looks_for_a_name_alone_gives_nobody_what_is_refused
                browsers_share_what_the_origin_has_for_them
                nobody_is_given_a_coding_that_it_does_not_accept
                which_codings_count_is_configured
                a_spelling_of_the_host_answers_only_itself
                languages_are_in_the_order_of_who_reads_them
                a_cookie_that_can_be_read_in_two_ways_is_nobody_elses
                cookies_of_analytics_make_no_variants
                a_query_is_sent_in_the_order_of_the_key
                a_field_is_part_of_the_key_as_it_is_sent
                a_refresh_asks_in_the_form_of_the_key
            }
            search {
                queries_that_differ_in_what_makes_no_difference_find_one_response
                what_no_vary_search_says_has_to_be_right_and_of_the_same_path
                a_purge_of_either_url_holds_for_both
                equivalent_queries_are_one_fetch
                the_newest_word_about_queries_counts
                what_makes_no_difference_makes_none_to_explanations_and_refreshes
                a_purge_of_either_url_holds_while_the_origin_is_down
            }
            stale {
                slow_pages_do_not_keep_others_from_being_refreshed
                a_stale_response_helps_out_when_the_origin_is_too_slow
                a_stale_response_is_served_at_once_while_one_fetch_refreshes_it
                what_is_served_stale_goes_out_as_stale
                what_a_rule_makes_last_goes_out_with_its_own_age
                a_refresh_that_is_confirmed_makes_the_stored_response_fresh
                a_refresh_does_not_speak_for_the_client_that_caused_it
                a_refresh_that_fails_leaves_the_stale_response_and_is_not_repeated_at_once
                a_refresh_that_breaks_off_stores_nothing_of_it
                a_stale_response_helps_out_when_the_origin_fails
                a_stale_response_helps_out_when_nobody_listens
                nothing_is_served_stale_beyond_what_is_allowed
                a_rule_may_let_the_windows_beside_s_maxage_count
                windows_can_come_from_rules
                a_client_may_accept_what_is_stale
                a_client_that_wants_no_stale_response_waits_for_the_origin
            }
            ahead {
                what_is_in_demand_never_expires
                a_refresh_ahead_can_be_turned_off_by_a_rule
                what_only_its_own_client_can_fetch_is_served_until_it_expires
            }
            trouble {
                what_may_be_served_meanwhile_helps_out_when_its_own_request_fails
                an_error_never_takes_the_place_of_what_still_helps
                errors_are_remembered_for_a_time_of_their_own
                what_is_gone_helps_out_and_what_failed_does_not
                who_has_waited_long_enough_makes_do_with_what_is_stale
                a_fetch_that_takes_too_long_or_breaks_off_leaves_what_is_stored
                a_cluster_that_is_down_is_not_asked_about_what_can_be_served
                what_is_not_stored_is_asked_for_and_shows_that_the_origin_is_back
                a_page_that_fails_among_others_that_answer_opens_no_breaker
                a_refresh_asks_for_nothing_that_does_not_count
                a_refresh_needs_no_copy_in_the_worker
                what_the_root_has_fetched_it_can_fetch_again
            }
            purge {
                a_hard_purge_on_any_worker_holds_at_once_on_all
                a_soft_purge_serves_the_old_response_while_one_fetch_refreshes_it
                what_is_served_after_a_soft_purge_goes_out_as_stale
                a_soft_purge_is_over_when_the_origin_confirms_the_response
                a_revalidating_purge_asks_before_the_next_use
                a_purge_covers_every_variant_and_every_spelling
                a_purge_covers_nothing_else
                a_fetch_in_flight_cannot_bring_back_what_was_purged
                followers_of_a_fetch_do_not_get_what_was_purged_meanwhile
                followers_of_a_fetch_get_what_was_softly_purged_meanwhile_and_it_is_refreshed
                two_purges_during_a_flight_both_hold
                a_refresh_in_flight_cannot_bring_back_what_was_purged
                several_selectors_are_answered_one_by_one
                a_purge_holds_for_a_large_response_that_is_arriving
                what_is_hard_purged_gives_its_room_back
            }
            tags {
                tags_are_read_from_every_known_field_and_not_shown
                tags_that_a_head_or_a_304_tells_are_taken_in_and_not_shown
                a_tag_covers_all_that_carry_it_and_nothing_else
                a_soft_purge_of_a_tag_refreshes_what_is_asked_for
                a_fetch_in_flight_does_not_escape_the_purge_of_a_tag_that_nobody_knew
                rules_add_tags_with_parts_of_the_path
                purging_a_tag_purges_what_is_part_of_it
                a_response_with_too_many_tags_is_not_stored
                tags_can_be_left_in_the_response
                every_variant_carries_its_own_tags
            }
            collapse {
                who_waits_for_a_response_that_stalls_is_served_by_one_more_request
                a_stalled_response_that_ends_after_all_brings_back_nothing_that_was_purged
                fifty_clients_on_two_workers_make_one_origin_request
                many_keys_at_once_make_one_origin_request_each
                when_the_first_client_leaves_the_others_are_served_by_one_more_request
                when_a_waiting_client_leaves_nobody_else_notices
                when_everybody_leaves_the_next_client_is_served
                when_the_origin_breaks_off_the_others_still_get_a_whole_response
                what_cannot_be_shared_is_not_waited_for_twice
                when_the_memory_runs_out_one_finds_out_and_nobody_waits_for_it
                a_response_with_cookies_goes_to_nobody_else
                a_private_response_goes_to_nobody_else
                what_was_fetched_with_credentials_goes_to_nobody_else
                no_more_wait_than_may
                where_nobody_may_wait_any_more_a_known_key_is_fetched_once_all_the_same
                who_fetches_is_configured
                what_is_too_large_for_the_cache_is_delivered_once_and_not_stored
                what_is_too_large_for_a_call_comes_with_the_clients_own_request
                a_client_waits_no_longer_than_its_deadline
                a_follower_gets_what_it_asked_for
                a_validation_is_shared_as_well
                a_rule_can_turn_it_off
            }
            strangers {
                what_one_client_is_told_keeps_nothing_from_others
                what_a_firewall_refuses_one_client_is_not_refused_to_others
                everyone_is_told_why_his_own_response_is_not_stored
                nobody_waits_and_the_first_response_for_others_ends_that
                of_two_responses_the_one_that_was_asked_for_later_stays
                what_was_purged_meanwhile_does_not_come_back
                a_variant_that_went_beside_is_stored_like_any
                what_breaks_off_beside_is_not_stored
                a_copy_is_refreshed_whatever_one_client_is_told
                an_odd_request_keeps_nothing_stale_in_place
                what_is_stored_beside_keeps_variants_in_place
                bytes_that_are_not_text_keep_nothing_stale_in_place
                a_failure_that_one_client_provokes_is_its_own
                what_is_never_for_others_is_never_waited_for
            }
            incomplete {
                a_response_that_breaks_off_is_not_stored
                an_origin_that_says_nothing_is_a_503_and_nothing_is_stored
                a_client_that_leaves_in_the_middle_leaves_nothing_behind
                more_than_the_length_is_cut_off
            }
            unsafe_methods {
                a_post_reaches_the_origin_with_its_body_each_time
                a_successful_unsafe_request_makes_the_stored_response_be_validated
                a_failed_or_safe_request_changes_nothing
                what_location_names_on_the_same_origin_is_validated_too
            }
            cache_status {
                what_caches_behind_us_said_is_kept
                every_response_says_what_was_done
                the_cache_has_the_name_that_it_was_given
                it_can_be_turned_off
                counters_tell_the_same_story
                ten_responses_that_are_not_stored_count_as_ten
                counters_and_answers_come_to_the_same_sums
                the_access_log_tells_who_has_answered
            }
            reasons {
                each_reason_is_true_and_its_advice_leads_to_a_hit
                the_reason_that_is_remembered_is_explained
                what_goes_beside_a_fetch_is_not_stored
                what_breaks_off_is_counted_as_incomplete
            }
            admin {
                a_wrong_token_is_told_so_and_not_sent_to_the_origin
                a_command_that_cannot_be_read_is_told_why
                without_a_token_the_route_is_a_missing_page
                without_a_configured_token_there_is_no_route
                commands_never_reach_the_origin
                a_wrong_command_is_told_where_and_nothing_of_it_is_done
                a_command_may_come_in_pieces
                a_command_may_not_be_too_long
                statistics_are_numbers_by_name
                a_token_may_do_what_its_scopes_say
                the_path_can_be_another
                a_strangers_purge_is_a_request_like_any_other
            }
            commands {
                what_a_configuration_says_without_effect_is_told
                a_purge_says_how_much_it_covers
                a_port_means_what_it_says
                a_refresh_of_what_is_not_stored_changes_nothing
                a_url_is_purged_by_whatever_rule_it_was_stored
                what_is_stored_is_shown_without_what_identifies_a_client
                a_purge_is_followed_by_its_receipt
                a_wrong_method_is_told_the_methods_of_its_path
                what_the_journal_shows_can_be_sent_back
                no_form_of_everything_is_for_a_limited_token
                a_command_needs_no_body
                a_refresh_and_a_namespace_need_no_body
                a_dry_run_purges_nothing
                what_is_stored_can_be_listed
                the_variants_of_a_url_are_shown
                a_url_is_explained
                a_live_request_explains_itself
                a_namespace_is_bumped
                a_refresh_fetches_again_by_itself
                a_purge_can_refresh
                a_purge_of_much_is_refreshed_bit_by_bit
                a_command_with_a_key_is_carried_out_once
                the_configuration_is_shown
                each_selector_covers_what_it_names
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
                what_bypasses_the_cache_invalidates_all_the_same
            }
            trust {
                strangers_meet_the_origin
                a_strangers_purge_purges_nothing
                patterns_of_a_limited_token_flush_nothing
                strangers_purges_are_forbidden
                callers_come_from_their_networks
                commands_have_a_rate
                nothing_is_half_applied
                nobody_chooses_the_links_of_others
                unkeyed_fields_are_treated_as_configured
            }
            attacks {
                parts_of_a_key_do_not_run_into_each_other
                what_a_cookie_selects_is_for_its_client
                a_get_with_a_body_poisons_nobody
                a_hidden_parameter_does_not_get_past_the_key
                a_path_is_what_was_sent
                a_way_up_in_disguise_does_not_get_past_a_bypass
                a_private_page_is_not_stored_for_its_disguise
                a_confirmation_leaks_nothing_of_its_client
                a_provoked_error_is_for_who_provoked_it
                other_methods_store_nothing_for_get
                waiting_is_bounded
                credentials_are_nobody_elses
                clients_learn_neither_keys_nor_tags
            }
            config {
                a_push_keeps_what_is_stored
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
                only_who_knows_the_secret_can_aim_at_a_set
                a_heuristic_lifetime_ends
                a_cluster_that_is_removed_is_missed_by_nobody
                what_cannot_be_shared_is_not_waited_for_when_that_is_forgotten
                a_stale_window_ends
                the_grace_of_a_soft_purge_ends
                a_key_that_keeps_failing_is_asked_for_ever_less_often
                a_lost_hint_is_made_up_for_by_the_sweep
                a_lost_compare_and_set_costs_a_try_and_nothing_else
                what_cannot_be_written_down_goes_to_the_origin_and_is_counted
                a_body_that_larder_was_not_given_is_not_stored
                a_request_whose_body_larder_was_not_given_is_not_taken_for_an_empty_one
                a_clock_that_jumps_makes_nothing_younger
                a_purge_that_cannot_be_written_is_not_acknowledged
                followers_of_a_dead_leader_are_served_within_its_lease
                a_message_for_a_dead_vm_does_not_kill_its_heir
                a_crowd_on_one_worker_is_answered_bit_by_bit
                when_the_first_client_resets_its_stream_the_others_are_served_by_one_more_request
                purges_hold_where_a_stats_filter_silences_the_epoch
                a_damaged_journal_forgets_to_the_safe_side
                an_unreadable_journal_turns_the_cache_off_and_nothing_else
                what_another_layout_stored_is_not_in_the_way
                damaged_records_and_sets_are_misses
                a_configuration_that_comes_back_still_serves_and_purges
                what_a_route_adds_is_not_doubled_on_hits
                a_routes_metadata_holds_with_the_next_request
                what_other_endpoints_answer_is_for_who_is_sent_to_them
                who_is_known_to_a_filter_alone_is_not_mixed_up_with_others
                what_a_filter_behind_adds_twice_is_taken_out_and_told
                a_stranger_costs_others_next_to_nothing
            }
            kept_back {
                a_query_whose_content_is_kept_back_goes_to_the_origin
                a_post_that_asks_waits_no_longer_where_its_content_is_kept_back
                a_worker_goes_on_when_it_has_given_up_on_a_callback_full_of_bodies
                a_command_whose_body_is_kept_back_is_told_what_to_do
                a_command_that_reads_no_body_is_carried_out_without_it
                commands_in_the_query_work_where_bodies_are_kept_back
                a_client_that_sends_no_body_spoils_nothing_for_others
                an_empty_body_stalls_no_second_time
                bodies_that_are_shown_are_read_again
                commands_without_their_bodies_are_answered_bit_by_bit
                what_came_in_does_not_answer_what_goes_out
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
