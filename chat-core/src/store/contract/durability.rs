//! Contract tests for persistent stores: acknowledged changes are there when the store is opened again.
//!
//! Every test runs twice: with a store that was closed before it was dropped, and with one that was only dropped.

use std::path::Path;
use std::sync::Arc;

use super::keyed::{put, putting};
use super::people::say_after_noting;
use super::support::{
    ODD_TEXTS, add, append, at, client_id, conversation_id, create, delete, direct, email, everything,
    restore,
};
use super::support::{
    give_role, hash, id, last_position, member, message_id, new_message, new_room, new_user, people, remove,
    room,
};
use super::support::{say, stored, user_id, username, whole_history, whole_log};
use crate::codec::{Blob, Encoding};
use crate::model::{Fingerprint, NewUser, Pair, PasswordHash, Position, ProfilePatch, Role, Seq};
use crate::store::{Appended, CreatedUser, EditRows, NewMessage, Row, Store, StoreError, Table};

/// How a store ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Closed,
    Dropped,
}

/// Ends the store and opens it again.
pub(super) async fn again(
    store: Arc<dyn Store>,
    end: End,
    path: &Path,
    open: &impl AsyncFn(&Path) -> Arc<dyn Store>,
) -> Arc<dyn Store> {
    if let End::Closed = end {
        store.close().await.expect("closing must work");
    }
    drop(store);
    open(path).await
}

/// A separate path for each way to end.
pub(super) fn places(path: &Path) -> [(End, std::path::PathBuf); 2] {
    [(End::Closed, path.with_extension("closed")), (End::Dropped, path.with_extension("dropped"))]
}

/// All records are read back unchanged: accounts, profiles, conversations, members, messages, tombstones, revoked
/// tokens and the log, each in the same order.
pub async fn everything_is_there_again(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let [cid, ann, bob] = people(&*store, [3, 1, 2]).await;
        create(&*store, new_user(4, None, None)).await;
        let patch = ProfilePatch { full_name: Some("Ann B.".into()), picture: Some(String::new()) };
        store.update_profile(ann, patch, at(50)).await.unwrap();
        store.record_last_seen(bob, at(60)).await.unwrap();
        store.revoke_token([7; 32], at(500)).await.unwrap();
        let [with_bob, with_cid] = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, cid, ann).await];
        direct(&*store, 3, ann, ann).await;
        let cast = vec![member(bob, Role::Moderator, 5), member(ann, Role::Admin, 5)];
        let (_, made) = store.create_room(new_room(4, cast, ann)).await.unwrap().unwrap();
        add(&*store, made.id, ann, cid, 4).await;
        remove(&*store, made.id, ann, ann, 70).await;
        add(&*store, made.id, bob, ann, 3).await;
        give_role(&*store, made.id, bob, (cid, Role::Moderator), 9).await;
        for (n, conversation) in [(5, with_cid), (2, with_bob), (9, made.id), (1, with_bob), (3, with_cid)] {
            say(&*store, n, conversation, ann).await;
        }
        let whole = NewMessage {
            body: Blob { encoding: Encoding::Huffman, bytes: (0..=255).cycle().take(100_000).collect() },
            file_name: Some(ODD_TEXTS.concat()),
            image: Some(String::new()),
            client_id: Some(client_id("c")),
            ..new_message(10, with_bob, bob)
        };
        append(&*store, whole).await;
        for n in [3, 1] {
            delete(&*store, message_id(n)).await;
        }
        restore(&*store, message_id(1), 90).await;

        let mut store = store;
        let before = everything(&*store).await;
        for round in 1..=2 {
            store = again(store, end, &path, &open).await;
            assert_eq!(everything(&*store).await, before, "{end:?}, opened for the {round}. time again");
            store.check().await.expect("a store that was opened again must work");
        }
        for key in [id(ann), username("PERSON-1"), email("person-1@example.org")] {
            let (user, kept) = store.credentials(&key).await.unwrap().expect("credentials must be there");
            assert_eq!((user.id, kept == hash(ann)), (ann, true), "{end:?}, {key:?}");
        }
        let opened = store.direct(Pair::new(ann, bob)).await.unwrap();
        assert_eq!(opened.map(|opened| opened.id), Some(with_bob), "{end:?}");
    }
}

/// Positions and seqs continue where they ended.
pub async fn positions_and_seqs_go_on(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let mut store = open(&path).await;
        let [ann, bob] = people(&*store, [1, 2]).await;
        let conversations = [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await];
        let mut position = 1;
        for n in 0..9 {
            let which = usize::from(n % 3 == 2);
            let seq = if which == 1 { n / 3 + 1 } else { n / 3 * 2 + n % 3 + 1 };
            let place = append(&*store, new_message(n, conversations[which], ann)).await;
            position += 1;
            assert_eq!(place, (Position(position), Seq(seq.into())), "{end:?}, message {n}");
            if n % 2 == 0 {
                delete(&*store, message_id(n)).await;
                position += 1;
            }
            store = again(store, end, &path, &open).await;
            assert_eq!(last_position(&*store).await, Position(position), "{end:?} after message {n}");
        }
        let positions = whole_log(&*store).await.into_iter().map(|entry| entry.position.0);
        assert!(positions.eq(1..=position), "{end:?}: positions must be 1, 2, 3, …");
        assert_eq!(whole_history(&*store, conversations[0]).await.len(), 6);
    }
}

/// Unique values stay taken: names, addresses, ids, pairs and client ids.
pub async fn what_was_taken_is_still_taken(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let [ann, bob] = people(&*store, [1, 2]).await;
        create(&*store, new_user(3, Some("Žofie"), Some("žofie@example.org"))).await;
        let keyed =
            |n: u16| NewUser { name_key: Some("key".into()), ..new_user(n, Some(&format!("n-{n}")), None) };
        create(&*store, keyed(4)).await;
        let renewed = PasswordHash::new("renewed");
        assert!(store.set_password_hash(bob, &hash(bob), renewed.clone()).await.unwrap(), "{end:?}");
        let conversation = direct(&*store, 1, ann, bob).await;
        let first = NewMessage { client_id: Some(client_id("once")), ..new_message(1, conversation, ann) };
        append(&*store, first.clone()).await;
        let marked = NewMessage { fingerprint: Some(Fingerprint(9)), ..new_message(3, conversation, ann) };
        append(&*store, marked.clone()).await;
        let store = again(store, end, &path, &open).await;

        let before = everything(&*store).await;
        for (new, answer) in [
            (new_user(9, Some("žOFIE"), None), CreatedUser::UsernameTaken),
            (new_user(9, None, Some("ŽOFIE@example.org")), CreatedUser::EmailTaken),
            (new_user(3, None, None), CreatedUser::UsernameTaken),
            (new_user(9, Some("žofie@example.org"), None), CreatedUser::UsernameTaken),
            (keyed(9), CreatedUser::UsernameTaken),
        ] {
            assert_eq!(store.create_user(new).await.unwrap(), answer, "{end:?}");
        }
        let (_, kept) = store.credentials(&id(bob)).await.unwrap().expect("credentials must be there");
        assert!(kept == renewed, "{end:?}: a hash that was replaced stays so");
        assert_eq!(
            direct(&*store, 2, bob, ann).await,
            conversation,
            "{end:?}: the pair has its conversation"
        );
        let made = store.create_room(new_room(1, vec![], ann)).await;
        assert!(matches!(made, Err(StoreError::Refused(_))), "{end:?}: a taken conversation id: {made:?}");
        let appended = store.append(new_message(1, conversation, bob)).await;
        assert!(matches!(appended, Err(StoreError::Refused(_))), "{end:?}: a taken message id: {appended:?}");
        let repeated = NewMessage { id: message_id(2), ..first.clone() };
        let answer = store.append(repeated).await.unwrap();
        assert_eq!(answer, Appended::Repeated(Box::new(stored(first, Seq(1)))), "{end:?}: a repeated send");
        let repeated = NewMessage { id: message_id(4), ..marked.clone() };
        let answer = store.append(repeated).await.unwrap();
        assert_eq!(
            answer,
            Appended::Repeated(Box::new(stored(marked, Seq(2)))),
            "{end:?}: a repeated packet"
        );
        assert_eq!(everything(&*store).await, before, "{end:?}: none of this may change anything");
        let others = NewMessage { client_id: Some(client_id("once")), ..new_message(2, conversation, bob) };
        assert_eq!(append(&*store, others).await, (Position(3), Seq(3)), "{end:?}: another's client id");
    }
}

/// Read marks are kept: of the first members, of members who joined later, and of members who came back. Deleted
/// messages still do not count as unread.
pub async fn marks_are_where_they_were(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
        let cast = vec![member(ann, Role::Admin, 1), member(bob, Role::Member, 1)];
        let id = store.create_room(new_room(1, cast, ann)).await.unwrap().unwrap().1.id;
        for n in 1..=5 {
            say(&*store, n, id, ann).await;
            if n == 3 {
                add(&*store, id, ann, cid, 2).await;
            }
        }
        delete(&*store, message_id(5)).await;
        store.mark_read(id, bob, Some(Seq(1)), at(3)).await.unwrap();
        let position = last_position(&*store).await;

        let store = again(store, end, &path, &open).await;
        for (user, mark, unread) in [(ann, 0, None), (bob, 1, Some(3)), (cid, 3, Some(1))] {
            let marked = store.mark_read(id, user, Some(Seq(0)), at(4)).await.unwrap();
            assert_eq!(marked, Some((None, Seq(mark))), "{end:?}, {user}");
            let counted = store.unread(user, 9).await.unwrap();
            assert_eq!(counted.first().map(|count| count.unread), unread, "{end:?}, {user}");
        }
        let marked = store.mark_read(id, bob, None, at(5)).await.unwrap();
        assert_eq!(marked, Some((Some(Position(position.0 + 1)), Seq(5))), "{end:?}: marks go on");
    }
}

/// Revoked tokens stay revoked until they expire.
pub async fn revoked_tokens_stay_revoked(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        for (fingerprint, until) in [([1; 32], 100), ([2; 32], 200), ([2; 32], 150)] {
            store.revoke_token(fingerprint, at(until)).await.unwrap();
        }
        let store = again(store, end, &path, &open).await;
        let mut revoked = store.revoked_tokens(at(99)).await.unwrap();
        revoked.sort_unstable();
        assert_eq!(revoked, [([1; 32], at(100)), ([2; 32], at(200))], "{end:?}");
        let store = again(store, end, &path, &open).await;
        assert_eq!(store.revoked_tokens(at(100)).await.unwrap(), [([2; 32], at(200))], "{end:?}");
    }
}

/// A truncated log stays truncated, and positions continue, also when almost nothing of the log was kept.
pub async fn a_shortened_log_stays_so(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let [ann] = people(&*store, [1]).await;
        let conversation = room(&*store, 1, ann).await;
        for n in 1..=3 {
            say(&*store, n, conversation, ann).await;
        }
        assert_eq!(store.forget_before(at(i64::MAX)).await.unwrap(), Position(3), "{end:?}");
        let store = again(store, end, &path, &open).await;
        assert_eq!(store.log_begin().await.unwrap(), Position(3), "{end:?}");
        assert_eq!(store.changes_after(Position(2), 9).await.unwrap(), None, "{end:?}");
        assert_eq!(last_position(&*store).await, Position(4), "{end:?}");
        let place = append(&*store, new_message(4, conversation, ann)).await;
        assert_eq!(place, (Position(5), Seq(4)), "{end:?}");
    }
}

/// Rows of keyed tables are kept: inserted and replaced rows are there, and deleted rows are not.
pub async fn rows_are_there_again(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    let key = |n: u8, text: &str| [&[n; 24][..], text.as_bytes()].concat();
    for (end, path) in places(path) {
        let store = open(&path).await;
        let mut expected = Vec::new();
        for n in 0..9 {
            put(&*store, key(n, "a"), &[n]).await;
            match n % 3 {
                0 => assert_eq!(put(&*store, key(n, "a"), &[n, n]).await, Some(vec![n])),
                1 => {
                    let edits = vec![(key(n, "a"), None), (key(n, "b"), Some(vec![]))];
                    store.edit_rows(EditRows { edits, ..putting(vec![], &[]) }).await.unwrap();
                }
                _ => {}
            }
            let (text, value) =
                [("a", vec![n, n]), ("b", vec![]), ("a", vec![n])][usize::from(n % 3)].clone();
            expected.push(Row { key: key(n, text), value });
        }
        let store = again(store, end, &path, &open).await;
        let rows = store.rows(Table::Reactions, &[], None, usize::MAX).await.unwrap();
        assert_eq!(rows, expected, "{end:?}");
        assert_eq!(put(&*store, key(8, "a"), &[]).await, Some(vec![8]), "{end:?}");
    }
}

/// A log keeps its epoch when it is opened again, also after the epoch was renewed.
pub async fn the_epoch_is_the_same_again(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let first = store.epoch().await.unwrap();
        let [ann] = people(&*store, [1]).await;
        room(&*store, 1, ann).await;
        let store = again(store, end, &path, &open).await;
        assert_eq!(store.epoch().await.unwrap(), first, "{end:?}");
        let renewed = store.renew_epoch().await.unwrap();
        let store = again(store, end, &path, &open).await;
        assert_eq!(store.epoch().await.unwrap(), renewed, "{end:?}");
        assert_ne!(renewed, first, "{end:?}");
    }
}

/// A store without any writes can be opened again, and is still empty.
pub async fn an_unused_store_opens_again(path: &Path, open: impl AsyncFn(&Path) -> Arc<dyn Store>) {
    for (end, path) in places(path) {
        let mut store = open(&path).await;
        for _ in 0..2 {
            store = again(store, end, &path, &open).await;
            assert_eq!(store.users(9).await.unwrap(), [], "{end:?}");
            assert_eq!(store.user(&id(user_id(1))).await.unwrap(), None, "{end:?}");
            assert_eq!(store.conversation(conversation_id(1)).await.unwrap(), None, "{end:?}");
            assert_eq!(last_position(&*store).await, Position(0), "{end:?}");
        }
        people(&*store, [1]).await;
    }
}

/// After reopening, the sender of a message was last seen no earlier than that message, because the record submitted
/// before the message is stored with it.
pub async fn last_seen_is_as_late_as_the_last_message(
    path: &Path,
    open: impl AsyncFn(&Path) -> Arc<dyn Store>,
) {
    for (end, path) in places(path) {
        let store = open(&path).await;
        let [ann] = people(&*store, [1]).await;
        let conversation = room(&*store, 1, ann).await;
        say_after_noting(&*store, 1, conversation, ann, at(7_000)).await;
        let store = again(store, end, &path, &open).await;
        let found = store.user(&id(ann)).await.unwrap().expect("she is there");
        assert_eq!(
            (found.last_seen, last_position(&*store).await),
            (Some(at(7_000)), Position(2)),
            "{end:?}"
        );
    }
}
