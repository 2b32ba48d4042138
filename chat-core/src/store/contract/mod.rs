//! The clauses of the store contract: one function per guarantee, the same for every driver.
//!
//! A clause takes a fresh store and panics, saying what was promised, when the promise is not kept.
//! [`store_contract!`](crate::store_contract) makes a test of each; [`store_durability_contract!`] does so for the
//! clauses that open a store again. A clause added here is a test of every driver at once, and a driver that is
//! mended comes with the clause that failed.
//!
//! Clauses ask only for what callers may ask: people exist before they speak or become members, conversations
//! before something is said in them, only rooms change their members, and time never runs backwards where a
//! method's meaning depends on it.
//!
//! [`store_durability_contract!`]: crate::store_durability_contract

mod chats;
mod context;
mod durability;
mod edits;
mod hiding;
mod history;
mod keyed;
mod log;
mod lookup;
mod members;
mod messages;
mod moderation;
mod nodes;
mod parallel;
mod people;
mod pins;
mod reactions;
mod read_marks;
mod receipts;
mod reindexing;
mod relations;
mod reports;
mod rooms;
mod rules;
mod search;
mod sessions;
mod settings;
mod support;
mod threads;
mod tokens;

use std::sync::Arc;

pub use self::{
    chats::*, context::*, durability::*, edits::*, hiding::*, history::*, keyed::*, log::*, lookup::*,
    members::*, messages::*, moderation::*, nodes::*, parallel::*, people::*, pins::*, reactions::*,
    read_marks::*, receipts::*, reindexing::*, relations::*, reports::*, rooms::*, rules::*, search::*,
    sessions::*, settings::*, threads::*, tokens::*,
};
pub use self::{
    parallel::Task,
    support::{Everything, Scratch},
};
use super::Store;

/// What [`store_contract!`](crate::store_contract) accepts for a fresh store: the store, or the store and
/// something that has to live as long as the test, such as the folder it is in.
pub trait Fresh {
    /// What has to stay alive.
    type Guard;

    /// The store and what has to stay alive.
    fn split(self) -> (Arc<dyn Store>, Self::Guard);
}

impl Fresh for Arc<dyn Store> {
    type Guard = ();

    fn split(self) -> (Arc<dyn Store>, ()) {
        (self, ())
    }
}

impl<G> Fresh for (Arc<dyn Store>, G) {
    type Guard = G;

    fn split(self) -> Self {
        self
    }
}

/// Makes a `#[tokio::test]` of every clause.
///
/// The argument is an expression whose value is a future of a fresh store: an `Arc<dyn Store>`, or a pair of it
/// and a guard that is kept until the clause has ended. It is evaluated once per clause. The calling crate needs
/// `tokio` with `macros` and `rt-multi-thread`. Use one module per driver. With `ignore = "the reason";` before the
/// expression the tests run only when asked for, for drivers that need something that is not everywhere.
/// ```text
/// mod my_store {
///     chat_core::store_contract!(async {
///         let folder = tempfile::tempdir().unwrap();
///         (Arc::new(MyStore::open(folder.path()).await.unwrap()) as Arc<dyn Store>, folder)
///     });
/// }
/// ```
#[macro_export]
macro_rules! store_contract {
    (ignore = $reason:literal; $fresh:expr) => {
        $crate::__store_clauses!(__store_clause_tests, (#[ignore = $reason]) $fresh);
    };
    ($fresh:expr) => {
        $crate::__store_clauses!(__store_clause_tests, () $fresh);
    };
}

/// Makes a `#[tokio::test]` of every clause about opening a store again.
///
/// The argument is an async closure from a path to the store there, made if there is nothing yet: the path is in
/// an empty folder of its own, and the driver may make a file or a folder of it.
/// ```text
/// mod my_store_again {
///     chat_core::store_durability_contract!(async |path: &Path| {
///         Arc::new(MyStore::open(path).await.unwrap()) as Arc<dyn Store>
///     });
/// }
/// ```
#[macro_export]
macro_rules! store_durability_contract {
    (ignore = $reason:literal; $open:expr) => {
        $crate::__store_durability_clauses!(__store_durability_clause_tests, (#[ignore = $reason]) $open);
    };
    ($open:expr) => {
        $crate::__store_durability_clauses!(__store_durability_clause_tests, () $open);
    };
}

/// The list of all clauses, handed to another macro of this crate: those that need one task, then those that need
/// several.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_clauses {
    ($with:ident, $attributes:tt $argument:expr) => {
        $crate::$with! {
            $attributes $argument;
            an_account_is_found_by_id_name_and_address
            an_unknown_person_is_none
            names_are_unique_without_regard_to_case
            addresses_are_unique_without_regard_to_case
            names_that_differ_are_different
            a_refused_account_changes_nothing
            names_and_addresses_may_be_missing
            nobodys_name_is_anothers_address
            keys_of_names_are_given_once
            a_hash_is_replaced_only_if_it_is_still_there
            users_come_in_the_order_of_their_accounts
            texts_of_people_come_back_as_given
            ids_are_compared_whole
            moments_come_back_as_given
            a_profile_patch_changes_only_what_it_names
            a_profile_patch_for_nobody_is_none
            last_seen_is_noted_and_not_logged
            last_seen_is_stored_with_what_comes_behind_it
            revoked_tokens_are_listed
            expired_tokens_are_not_listed
            revoking_again_never_shortens
            a_pair_has_one_direct_conversation
            notes_to_oneself_are_a_direct_conversation
            a_room_is_made_as_asked
            texts_of_rooms_come_back_as_given
            a_taken_conversation_id_overwrites_nothing
            members_are_added_in_order
            adding_a_member_changes_no_role
            roles_change_in_place
            a_role_makes_nobody_a_member
            a_role_is_logged_at_its_own_time
            members_are_removed_once
            the_last_admin_who_goes_is_followed
            the_last_admin_gives_up_the_role_to_somebody
            a_room_has_only_so_many_members
            members_are_read_in_pages
            a_large_room_keeps_its_rules
            roles_at_the_moment_decide_who_may
            chat_partners_come_latest_first
            only_direct_conversations_with_others_make_chat_partners
            deleted_messages_make_no_chat_partners
            a_message_is_kept_as_given
            seqs_have_no_gaps_in_any_conversation
            a_repeated_client_id_answers_the_first_message
            client_ids_that_differ_are_different
            a_repeated_fingerprint_answers_the_first_message
            a_refused_message_leaves_no_fingerprint
            a_taken_message_id_overwrites_nothing
            bodies_come_back_bit_by_bit
            texts_of_messages_come_back_as_given
            a_message_is_deleted_once
            a_message_is_restored_once
            an_unknown_message_is_none
            windows_hold_exactly_their_messages
            deleted_messages_count_only_when_asked_for
            restored_messages_are_back_in_their_place
            an_empty_history_is_empty
            cursors_visit_every_message_once
            a_mark_only_moves_forward
            marks_belong_to_members
            who_joins_begins_at_the_last_message
            own_messages_are_not_unread
            deleted_messages_are_not_unread
            unread_conversations_come_latest_first
            counting_is_bounded
            marks_keep_the_order_of_asking
            only_members_say_something
            roles_at_the_moment_decide_who_may_delete
            who_is_banned_does_not_come_in
            who_is_muted_does_not_speak
            plain_members_wait_where_a_wait_is_set
            the_roles_decide_who_moderates
            rules_keep_the_order_of_asking
            requests_for_friendship_are_told_to_both
            relations_are_told_to_nobody_else
            blocked_people_do_not_reach_each_other
            a_block_holds_in_a_conversation_that_is_opened_later
            blocked_people_do_not_react_to_each_other
            a_chat_list_shows_what_was_said_last_and_what_is_unread
            a_chat_list_shows_only_ones_own_conversations
            accounts_are_found_by_their_ids
            people_are_found_by_the_beginning_of_their_names
            a_delivered_position_only_moves_forward
            marks_are_read_in_the_order_of_joining
            a_report_is_filed_once_and_resolved_once
            reports_in_a_room_are_for_its_moderators
            a_refresh_token_is_replaced_once
            a_session_that_ends_is_revoked
            only_so_many_sessions_last
            settings_of_a_chat_are_kept_and_told_to_nobody_else
            who_leaves_keeps_no_settings
            rows_are_put_replaced_and_deleted
            rows_come_in_the_order_of_their_keys
            rows_of_many_prefixes_are_read_at_once
            messages_know_which_tables_hold_something
            malformed_rows_change_nothing
            a_person_reacts_once_with_each_emoji
            only_members_react_to_what_is_there
            a_message_has_only_so_many_emojis
            a_fresh_store_is_empty
            every_change_gets_the_next_position
            the_log_can_be_read_from_any_position
            logged_messages_come_as_they_are_now
            a_shortened_log_says_so
            a_person_is_told_their_part_of_the_log
            changes_of_one_profile_count_once
            a_shortened_log_says_so_to_each_person
            a_long_log_can_be_shortened
            an_epoch_lasts_until_it_is_renewed
            reading_changes_nothing
            nodes_learn_of_each_other
            nodes_leave_no_trace
            a_closed_store_has_no_nodes
            a_message_is_found_by_its_terms
            only_indexed_messages_are_found
            any_text_is_a_term
            deleted_messages_are_not_found
            only_the_conversations_asked_for_are_searched
            pages_of_matches_do_not_shift
            terms_are_only_added_at_the_end
            a_long_text_is_found
            a_long_conversation_is_found
            a_closed_store_cannot_be_searched
            a_message_with_an_unwanted_term_is_left_out
            a_filter_leaves_messages_out
            everything_needs_no_index
            a_search_is_bounded
            messages_with_a_term_are_counted
            rows_are_stored_with_a_message
            messages_are_found_together
            an_edit_replaces_the_text
            only_senders_edit_what_is_there
            an_edited_message_is_indexed_again
            a_message_knows_whether_it_is_hidden
            a_root_shows_what_is_in_its_thread
            those_who_reply_follow_and_can_stop
            a_message_is_pinned_once
            only_those_pin_who_may
            terms_are_added_to_a_message_whose_text_has_changed
            a_change_that_is_not_polled_again_holds_nobody_up
            a_closed_store_is_unavailable
            an_unused_store_can_be_closed;
            messages_of_many_tasks_all_get_their_place
            a_reader_never_sees_a_gap
            a_pair_opened_at_once_is_one_conversation
            a_name_asked_for_at_once_is_given_once
            what_only_one_may_have_is_given_once
            a_client_id_used_at_once_is_one_message
            a_change_wanted_at_once_is_made_once
            only_so_many_join_at_once
            a_room_left_at_once_keeps_an_admin
            marks_moved_at_once_end_at_the_farthest
            an_index_is_extended_once_by_many
            rules_hold_while_everything_changes
            a_block_holds_while_everything_is_said
            a_refresh_token_used_at_once_has_one_successor
            rows_edited_at_once_replace_each_other
            ranges_are_right_while_others_change_them
            reactions_at_once_are_all_counted
            replies_at_once_are_all_counted
            a_ban_holds_while_everybody_brings_them_in
        }
    };
}

/// The list of all clauses about opening a store again, handed to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_durability_clauses {
    ($with:ident, $attributes:tt $argument:expr) => {
        $crate::$with! {
            $attributes $argument;
            everything_is_there_again
            positions_and_seqs_go_on
            what_was_taken_is_still_taken
            marks_are_where_they_were
            revoked_tokens_stay_revoked
            last_seen_is_as_late_as_the_last_message
            a_shortened_log_stays_so
            an_index_is_there_again
            rows_are_there_again
            the_epoch_is_the_same_again
            an_unused_store_opens_again
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_clause_tests {
    (@one ($($attributes:tt)*) $fresh:expr; $clause:ident) => {
        #[tokio::test]
        $($attributes)*
        async fn $clause() {
            let (store, _guard) = $crate::store::contract::Fresh::split($fresh.await);
            $crate::store::contract::$clause(store).await;
        }
    };
    (@parallel ($($attributes:tt)*) $fresh:expr; $clause:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        $($attributes)*
        async fn $clause() {
            let (store, _guard) = $crate::store::contract::Fresh::split($fresh.await);
            let spawn = |task: $crate::store::contract::Task| -> $crate::store::contract::Task {
                let running = tokio::spawn(task);
                Box::pin(async move { running.await.expect("a task of the clause panicked") })
            };
            $crate::store::contract::$clause(store, &spawn).await;
        }
    };
    ($attributes:tt $fresh:expr; $($clause:ident)*; $($parallel:ident)*) => {
        $($crate::__store_clause_tests! { @one $attributes $fresh; $clause })*
        $($crate::__store_clause_tests! { @parallel $attributes $fresh; $parallel })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_durability_clause_tests {
    (@one ($($attributes:tt)*) $open:expr; $clause:ident) => {
        #[tokio::test]
        $($attributes)*
        async fn $clause() {
            let place = $crate::store::contract::Scratch::new();
            $crate::store::contract::$clause(&place.path(), $open).await;
        }
    };
    ($attributes:tt $open:expr; $($clause:ident)*) => {
        $($crate::__store_durability_clause_tests! { @one $attributes $open; $clause })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_clause_names {
    ($attributes:tt $source:expr; $($clause:ident)* $(; $($parallel:ident)*)?) => {
        [$(stringify!($clause),)* $($(stringify!($parallel),)*)?]
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_clause_is_in_a_list() {
        let sources = [
            include_str!("chats.rs"),
            include_str!("context.rs"),
            include_str!("durability.rs"),
            include_str!("edits.rs"),
            include_str!("hiding.rs"),
            include_str!("history.rs"),
            include_str!("keyed.rs"),
            include_str!("log.rs"),
            include_str!("lookup.rs"),
            include_str!("members.rs"),
            include_str!("messages.rs"),
            include_str!("moderation.rs"),
            include_str!("nodes.rs"),
            include_str!("parallel.rs"),
            include_str!("people.rs"),
            include_str!("pins.rs"),
            include_str!("reactions.rs"),
            include_str!("read_marks.rs"),
            include_str!("receipts.rs"),
            include_str!("reindexing.rs"),
            include_str!("relations.rs"),
            include_str!("reports.rs"),
            include_str!("rooms.rs"),
            include_str!("rules.rs"),
            include_str!("search.rs"),
            include_str!("settings.rs"),
            include_str!("sessions.rs"),
            include_str!("threads.rs"),
            include_str!("tokens.rs"),
        ];
        let listed = [
            &crate::__store_clauses!(__store_clause_names, ()())[..],
            &crate::__store_durability_clauses!(__store_clause_names, ()())[..],
        ]
        .concat();
        let mut written: Vec<&str> = sources
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split(['(', '<']).next())
            .collect();
        for name in &listed {
            let place = written.iter().position(|other| other == name);
            written.swap_remove(place.unwrap_or_else(|| panic!("{name} is listed twice or not written")));
        }
        assert_eq!(written, [""; 0], "these clauses are in no list");
    }
}
