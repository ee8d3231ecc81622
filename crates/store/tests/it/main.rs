//! One story of the store, told on both databases.
//!
//! Each story takes an empty [`House`] and knows not which database it is. On SQLite each is a test; on PostgreSQL one
//! test starts a server and tells them all. What concerns one database alone is in `files.rs` and `servers.rs`.
#![allow(clippy::doc_markdown, reason = "SQLite and PostgreSQL are names, not code")]
#![allow(clippy::unwrap_used, reason = "stories are tests, though the attribute stands on what calls them")]

mod audit;
mod backups;
mod commands;
mod devices;
mod files;
mod grants;
mod house;
mod keeping;
mod mqtt;
mod opening;
mod people;
mod phones;
#[allow(dead_code, reason = "shared with the tests of the whole program, which use more of it")]
mod postgres;
mod push;
mod rings;
mod servers;
mod tunnel;
mod ways_in;
mod webhooks;

use house::House;

macro_rules! stories {
    ($($module:ident { $($story:ident,)+ })+) => {
        mod on_sqlite {
            $(mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $story() {
                        crate::$module::$story(&crate::House::sqlite()).await;
                    }
                )+
            })+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_same_stories_are_true_on_postgresql() {
            let server = std::sync::Arc::new(postgres::Postgres::start());
            // The stories of one file after each other, three files side by side: with more of them a small machine is so
            // busy that a store gives up waiting for its connection.
            let turns = tokio::sync::Semaphore::new(3);
            tokio::join!($(async {
                let _turn = turns.acquire().await.unwrap();
                $(
                    eprintln!("{}", stringify!($module::$story));
                    Box::pin($module::$story(&House::postgresql(&server).await)).await;
                )+
            }),+);
        }
    };
}

stories! {
    opening {
        a_second_start_finds_what_the_first_wrote,
        wrong_master_key_ends_the_start,
        a_newer_schema_is_refused_clearly,
    }
    commands {
        an_intent_and_its_outcome_are_read_back,
        an_identifier_used_again_returns_the_same_attempt,
        rule_1_only_the_claim_may_act,
        rule_1_two_instances_claim_each_attempt_once,
        rule_10_a_takeover_ends_the_claims_of_the_owner_before,
        an_outcome_without_an_intent_is_written,
        a_batch_is_written_whole_or_not_at_all,
        texts_that_one_database_cannot_hold_are_the_same_on_both,
    }
    audit {
        events_are_read_by_door_kind_and_place,
        events_have_no_gaps_under_concurrent_writers,
        rule_4_a_changed_row_is_found,
        rule_4_a_missing_row_is_found,
        rule_4_a_truncated_tail_is_found,
        rule_4_a_forged_end_stays_found,
        rule_4_an_inserted_row_is_found,
        pruning_keeps_the_rest_verifiable,
        a_person_can_be_erased_and_the_audit_still_holds,
    }
    keeping {
        accounts_keep_settings_and_secrets,
        what_a_driver_keeps_is_read_back,
        what_is_kept_under_a_prefix_is_read_together_and_forgotten,
        rule_5_secrets_are_sealed,
        doors_are_found_named_and_removed,
        a_door_that_cannot_be_does_not_spoil_the_commit,
        sites_give_doors_their_time_zone,
        settings_are_set_and_removed,
        what_was_noted_is_there_after_a_restart,
        a_backlog_is_the_newest_of_what_is_behind,
        of_two_who_note_at_once_one_does,
    }
    devices {
        a_device_and_its_event_are_one_commit_and_the_same_device_again_is_the_same,
        a_device_shows_its_own_secrets_and_no_others,
        what_two_devices_share_is_refused,
        other_secrets_and_no_rights_are_one_commit_with_their_event,
        a_claim_belongs_to_whoever_asks_first_and_a_second_one_ends_it,
        what_a_device_told_is_kept_and_what_it_left_out_stays,
    }
    grants {
        rights_come_from_role_grants_and_groups,
        a_grant_opens_as_often_as_it_may_whoever_asks_at_once,
        what_opened_nothing_is_not_counted,
        a_pass_is_known_by_its_secret_and_shown_again,
        five_wrong_pins_block_a_pass_for_a_quarter_of_an_hour,
    }
    mqtt {
        a_user_of_the_broker_is_known_by_its_secret,
        a_client_identifier_is_whose_it_was,
        a_house_of_the_first_schema_gets_the_tables_of_the_next,
    }
    people {
        people_come_and_go,
        a_token_opens_with_its_secret_until_it_ends,
        a_link_works_once,
        sessions_end_when_they_should,
    }
    phones {
        a_phone_brings_its_key_with_an_invite_once,
        a_session_is_known_until_it_ends,
    }
    push {
        a_browser_is_told_as_long_as_its_session_lasts,
        a_browser_goes_with_its_person,
        where_a_browser_is_stays_sealed,
        a_person_has_at_most_twenty_browsers,
        of_two_senders_one_writes_how_far_a_browser_is,
        a_changed_password_keeps_the_browser_in_which_it_was_changed,
    }
    rings {
        a_ring_and_its_end_are_read_back,
        rings_are_read_newest_first_a_page_at_a_time,
        a_ring_that_ended_stays_as_it_ended,
        what_rang_when_the_last_run_stopped_is_found,
        old_rings_go_with_the_events,
    }
    tunnel {
        a_key_of_the_tunnel_is_sealed_and_read_back,
        a_key_goes_with_its_person,
        a_house_has_at_most_sixty_four_keys,
        a_rotated_key_keeps_the_secret_before,
        how_far_a_key_got_never_goes_back,
        a_nonce_counts_once_until_it_is_forgotten,
    }
    ways_in {
        a_passkey_belongs_to_one_person_and_counts_up,
        a_second_factor_counts_once_it_was_confirmed_and_each_code_once,
        five_wrong_codes_block_a_second_factor_for_a_quarter_of_an_hour,
        sessions_are_listed_and_ended_without_their_secret,
    }
    webhooks {
        a_webhook_is_added_changed_and_removed,
        a_house_has_at_most_fifty_webhooks,
        a_secret_is_sealed_and_the_one_before_signs_along_for_a_day,
        a_webhook_wants_what_it_names_and_nothing_of_itself,
        events_are_queued_once_and_sent_in_their_order,
        what_was_given_up_is_tried_again_by_hand_alone,
        a_disabled_webhook_gives_up_what_is_on_its_way_and_begins_anew,
        only_the_newest_thousand_finished_deliveries_are_kept,
    }
    backups {
        a_backup_while_writing_restores_whole,
        a_wrong_passphrase_restores_nothing,
        a_backup_that_was_cut_or_changed_restores_nothing,
        a_backup_is_restored_into_an_empty_place_only,
        a_restored_house_asks_everybody_to_sign_in_again,
    }
}
