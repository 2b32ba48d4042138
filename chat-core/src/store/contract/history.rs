//! Clauses of [`MessageStore::history`](crate::store::MessageStore::history).

use std::sync::Arc;

use super::support::{
    conversation_id, delete, direct, message_id, people, restore, room, say, whole_history,
};
use crate::history::Window;
use crate::id::ConversationId;
use crate::model::Seq;
use crate::store::{Store, StoredMessage};

/// What the contract says, in its plainest form: `all` is the whole history, deleted messages included.
fn expected(all: &[StoredMessage], window: Window, include_deleted: bool) -> (Vec<StoredMessage>, bool) {
    let wanted = |message: &&StoredMessage| include_deleted || message.deleted.is_none();
    let inside = |message: &&StoredMessage| match window {
        Window::Before { seq, .. } => message.seq < seq,
        Window::After { seq, .. } => message.seq > seq,
        Window::Latest { .. } | Window::Page { .. } => true,
    };
    let mut rest: Vec<StoredMessage> = all.iter().filter(wanted).filter(inside).cloned().collect();
    rest.truncate(rest.len().saturating_sub(window.skip()));
    let beyond = rest.len().saturating_sub(window.limit());
    if matches!(window, Window::After { .. }) {
        rest.truncate(window.limit());
    } else {
        rest.drain(..beyond);
    }
    (rest, beyond > 0)
}

/// All windows that can tell a difference on a conversation of at most `len` messages, and some far beyond.
fn windows(len: u32) -> impl Iterator<Item = Window> {
    let sizes = move || (0..=len as usize + 1).chain([Window::MAX_LIMIT, Window::MAX_LIMIT + 1, usize::MAX]);
    let seqs = move || (0..=len + 1).chain([i32::MAX as u32, u32::MAX]).map(Seq);
    let latest = sizes().map(|limit| Window::Latest { limit });
    let before = seqs().flat_map(move |seq| sizes().map(move |limit| Window::Before { seq, limit }));
    let after = seqs().flat_map(move |seq| sizes().map(move |limit| Window::After { seq, limit }));
    let pages = sizes().flat_map(move |page| sizes().map(move |size| Window::Page { page, size }));
    latest.chain(before).chain(after).chain(pages)
}

/// Compares all windows with what `all` promises.
async fn check_windows(store: &dyn Store, conversation: ConversationId, all: &[StoredMessage]) {
    for window in windows(all.len() as u32) {
        for include_deleted in [true, false] {
            let answer = store.history(conversation, window, include_deleted).await;
            let (messages, has_more) = answer.expect("a history must be readable");
            let (expected, more_expected) = expected(all, window, include_deleted);
            let seqs =
                |messages: &[StoredMessage]| messages.iter().map(|message| message.seq.0).collect::<Vec<_>>();
            let what = format!("{window:?}, include_deleted: {include_deleted}");
            assert_eq!(seqs(&messages), seqs(&expected), "the messages of {what}");
            assert_eq!(messages, expected, "the messages of {what}");
            assert_eq!(has_more, more_expected, "has_more of {what}");
        }
    }
}

/// Every window on a conversation holds exactly its messages, the oldest first, and tells exactly whether there
/// are more.
pub async fn windows_hold_exactly_their_messages(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [here, there] = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, ann, ann).await];
    // Ids that are not in the order of the messages, and another conversation in between.
    for (n, other) in [(7, 20), (3, 21), (5, 22), (1, 23), (6, 24), (2, 25)] {
        say(&*store, n, here, if n % 2 == 0 { ann } else { bob }).await;
        say(&*store, other, there, ann).await;
    }
    let all = whole_history(&*store, here).await;
    let ids: Vec<_> = all.iter().map(|message| message.id).collect();
    assert_eq!(ids, [7, 3, 5, 1, 6, 2].map(message_id), "the whole history is in the order of sending");
    check_windows(&*store, here, &all).await;
}

/// Deleted messages count when they are asked for and else do not, wherever in the conversation they are.
pub async fn deleted_messages_count_only_when_asked_for(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    // Every pattern of deleted and other messages in a conversation of five.
    for pattern in 0..32_u16 {
        let conversation = room(&*store, pattern, ann).await;
        for n in 0..5 {
            let message = say(&*store, pattern * 8 + n, conversation, ann).await;
            if pattern >> n & 1 == 1 {
                delete(&*store, message).await;
            }
        }
        let all = whole_history(&*store, conversation).await;
        let deleted = all.iter().map(|message| u32::from(message.deleted.is_some()));
        assert_eq!(deleted.sum::<u32>(), pattern.count_ones(), "deleted messages are in the whole history");
        // All windows on all patterns would be many; the patterns that matter most see them all.
        if [0b00000, 0b11111, 0b00001, 0b10000, 0b01110, 0b10101].contains(&pattern) {
            check_windows(&*store, conversation, &all).await;
        }
        for window in [Window::Latest { limit: 2 }, Window::After { seq: Seq(1), limit: 2 }] {
            let answer = store.history(conversation, window, false).await.unwrap();
            assert_eq!(answer, expected(&all, window, false), "{window:?} on the pattern {pattern:05b}");
        }
    }
}

/// A restored message is back in its place.
pub async fn restored_messages_are_back_in_their_place(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in 1..=3 {
        let message = say(&*store, n, conversation, ann).await;
        delete(&*store, message).await;
    }
    let window = Window::Latest { limit: 10 };
    assert_eq!(store.history(conversation, window, false).await.unwrap(), (vec![], false), "all are deleted");
    restore(&*store, message_id(2), 1).await;
    let all = whole_history(&*store, conversation).await;
    assert_eq!(store.history(conversation, window, false).await.unwrap(), (all[1..2].to_vec(), false));
    check_windows(&*store, conversation, &all).await;
}

/// A conversation in which nothing was said, and one that does not exist, have an empty history.
pub async fn an_empty_history_is_empty(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let silent = room(&*store, 1, ann).await;
    say(&*store, 1, room(&*store, 2, ann).await, ann).await;
    for conversation in [silent, conversation_id(9)] {
        check_windows(&*store, conversation, &[]).await;
    }
}

/// Following `has_more` from either end visits every message once.
pub async fn cursors_visit_every_message_once(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    for n in 1..=23 {
        let message = say(&*store, n, conversation, ann).await;
        if n % 5 == 0 || (8..12).contains(&n) {
            delete(&*store, message).await;
        }
    }
    let all = whole_history(&*store, conversation).await;
    let live: Vec<_> = all.into_iter().filter(|message| message.deleted.is_none()).collect();
    for limit in 1..=7 {
        let (mut forward, mut seq) = (Vec::new(), Seq(0));
        // One page more than there can be, for a store that says for ever that there is more.
        for _ in 0..=live.len() {
            let window = Window::After { seq, limit };
            let (page, has_more) = store.history(conversation, window, false).await.unwrap();
            seq = page.last().map_or(seq, |message| message.seq);
            forward.extend(page);
            if !has_more {
                break;
            }
        }
        assert_eq!(forward, live, "forward by {limit}");

        let (mut backward, mut window) = (Vec::new(), Window::Latest { limit });
        for _ in 0..=live.len() {
            let (page, has_more) = store.history(conversation, window, false).await.unwrap();
            window = Window::Before { seq: page.first().map_or(Seq(0), |message| message.seq), limit };
            backward.splice(0..0, page);
            if !has_more {
                break;
            }
        }
        assert_eq!(backward, live, "backward by {limit}");
    }
}
