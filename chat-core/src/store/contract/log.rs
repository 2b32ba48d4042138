//! Clauses of [`ChangeLog`](crate::store::ChangeLog).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::support::{
    add, adding, append, at, client_id, conversation_id, delete, deleting, direct, everything, id,
    last_position, member, restore, set_deleted,
};
use super::support::{
    give_role, giving, message_id, new_message, new_room, new_user, people, remove, removing, room, say,
    user_id, whole_history, whole_log,
};
use crate::history::Window;
use crate::id::UserId;
use crate::model::{Pair, Position, ProfilePatch, Role, Seq};
use crate::store::{
    Appended, Change, EditRows, LoggedChange, NewMessage, Store, StoreError, StoredMessage, Table,
};

async fn message(store: &dyn Store, n: u16) -> StoredMessage {
    store.message(message_id(n)).await.unwrap().expect("the message must be there")
}

/// A new store has an empty log and works.
pub async fn a_fresh_store_is_empty(store: Arc<dyn Store>) {
    store.check().await.expect("a fresh store must work");
    assert_eq!(last_position(&*store).await, Position(0));
    assert_eq!(store.log_begin().await.unwrap(), Position(0));
    assert_eq!(store.forget_before(at(i64::MAX)).await.unwrap(), Position(0), "there is nothing to forget");
    for position in [0, 1, u64::MAX] {
        assert_eq!(store.changes_after(Position(position), 10).await.unwrap(), Some(vec![]));
    }
    assert_eq!(store.users(10).await.unwrap(), []);
}

/// Every kind of change gets the next position, in the order of calling, and nothing else gets one.
pub async fn every_change_gets_the_next_position(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let with_bob = direct(&*store, 1, ann, bob).await;
    let id = conversation_id(2);
    let room = new_room(2, vec![member(ann, Role::Admin, 1)], ann);
    let mut positions = Vec::new();
    // Between the changes are calls that change nothing and those that are no news.
    positions.push(append(&*store, new_message(1, with_bob, ann)).await.0);
    store.record_last_seen(ann, at(1)).await.unwrap();
    positions.push(store.create_room(room).await.unwrap().unwrap().0);
    store.revoke_token([1; 32], at(1)).await.unwrap();
    positions.extend(add(&*store, id, ann, bob, 2).await.position);
    positions.extend(add(&*store, id, ann, bob, 3).await.position);
    positions.extend(give_role(&*store, id, ann, (bob, Role::Moderator), 4).await.position);
    direct(&*store, 3, bob, bob).await;
    positions.extend(set_deleted(&*store, message_id(1), true, 5).await.0);
    positions.extend(set_deleted(&*store, message_id(1), true, 6).await.0);
    positions.extend(set_deleted(&*store, message_id(1), false, 7).await.0);
    people(&*store, [3]).await;
    positions.push(store.update_profile(bob, ProfilePatch::default(), at(8)).await.unwrap().unwrap().0);
    let named = NewMessage { client_id: Some(client_id("c")), ..new_message(2, id, bob) };
    positions.push(append(&*store, named.clone()).await.0);
    assert!(matches!(store.append(named).await, Ok(Appended::Repeated(_))));
    positions.extend(store.mark_read(id, ann, None, at(8)).await.unwrap().unwrap().0);
    positions.extend(store.mark_read(id, ann, None, at(8)).await.unwrap().unwrap().0);
    positions.extend(remove(&*store, id, ann, bob, 9).await.position);
    store.remove_member(removing(id, ann, bob, 10)).await.unwrap().unwrap_err();
    positions.extend(add(&*store, id, ann, bob, 11).await.position);

    let first = message(&*store, 1).await;
    let expected = [
        Change::MessageSent(first.clone()),
        Change::RoomCreated { room: id, by: ann },
        Change::MemberAdded { room: id, user: bob },
        Change::RoleChanged { room: id, user: bob, role: Role::Moderator },
        Change::MessageDeleted(first.clone()),
        Change::MessageRestored(first),
        Change::ProfileUpdated { user: bob },
        Change::MessageSent(message(&*store, 2).await),
        Change::ReadMarked { conversation: id, user: ann, seq: Seq(1) },
        Change::MemberRemoved { room: id, user: bob },
        Change::MemberAdded { room: id, user: bob },
    ];
    let numbers: Vec<Position> = (1..=expected.len() as u64).map(Position).collect();
    assert_eq!(positions, numbers, "the positions answered are 1, 2, 3, …");
    let (logged, changes): (Vec<_>, Vec<_>) =
        whole_log(&*store).await.into_iter().map(|entry| (entry.position, entry.change)).unzip();
    assert_eq!(changes, expected, "the changes in the log");
    assert_eq!(logged, numbers, "the positions in the log");
    assert_eq!(last_position(&*store).await, Position(expected.len() as u64));
}

/// A part of the log begins right after the position asked for and is as long as asked for, if there is so much.
pub async fn the_log_can_be_read_from_any_position(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    for n in 1..=4 {
        say(&*store, n, conversation, ann).await;
        store.update_profile(ann, ProfilePatch::default(), at(1)).await.unwrap();
    }
    let all = whole_log(&*store).await;
    assert_eq!(all.len(), 9);
    let past_the_end = [all.len() as u64 + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
    for after in (0..=all.len() as u64).chain(past_the_end) {
        let rest = all.get(after as usize..).unwrap_or_default();
        for limit in (0..=all.len() + 1).chain([usize::MAX]) {
            let part = store.changes_after(Position(after), limit).await.unwrap().unwrap();
            assert_eq!(part, rest[..limit.min(rest.len())], "changes_after({after}, {limit})");
        }
    }
}

/// All entries about a message show it as it is when the log is read.
pub async fn logged_messages_come_as_they_are_now(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in [1, 2] {
        say(&*store, n, conversation, ann).await;
    }
    for round in 0..3 {
        delete(&*store, message_id(1)).await;
        if round < 2 {
            restore(&*store, message_id(1), round).await;
        }
        let now = message(&*store, 1).await;
        let other = message(&*store, 2).await;
        for entry in whole_log(&*store).await {
            match entry.change {
                Change::MessageSent(said) if said.id == other.id => {
                    assert_eq!(said, other, "the other message");
                }
                Change::MessageSent(said) | Change::MessageDeleted(said) | Change::MessageRestored(said) => {
                    assert_eq!(said, now, "the message at {:?} in round {round}", entry.position);
                }
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }
}

/// What one person is told, by the list of all changes and by who is where now.
async fn told(store: &dyn Store, user: UserId) -> Vec<LoggedChange> {
    let log = whole_log(store).await;
    let last_of = |who: UserId| {
        let theirs = log.iter().filter(|entry| entry.change == Change::ProfileUpdated { user: who });
        theirs.map(|entry| entry.position).max()
    };
    let mut told = Vec::new();
    for entry in &log {
        let (conversation, is_theirs) = match &entry.change {
            Change::MessageSent(said) | Change::MessageDeleted(said) | Change::MessageRestored(said) => {
                (said.conversation, false)
            }
            Change::MessageChanged { message, .. } => (message.conversation, false),
            Change::ReadMarked { conversation, .. } => (*conversation, false),
            Change::RoomCreated { room, .. }
            | Change::MemberAdded { room, .. }
            | Change::RoleChanged { room, .. }
            | Change::RoomChanged { room, .. } => (*room, false),
            Change::MemberRemoved { room, user: who } => (*room, *who == user),
            Change::RelationChanged { user: who, .. }
            | Change::ChatSettingsChanged { user: who, .. }
            | Change::SessionEnded { user: who, .. } => {
                told.extend((*who == user).then(|| entry.clone()));
                continue;
            }
            Change::ProfileUpdated { user: who } => {
                told.extend((last_of(*who) == Some(entry.position)).then(|| entry.clone()));
                continue;
            }
        };
        let conversation = store.conversation(conversation).await.unwrap().expect("a conversation");
        told.extend((is_theirs || conversation.member(user).is_some()).then(|| entry.clone()));
    }
    told
}

/// Asks for what a person is told in parts of any size, and compares each with what they must be.
async fn check_told(store: &dyn Store, user: UserId) {
    let (all, last, begin) =
        (told(store, user).await, last_position(store).await, store.log_begin().await.unwrap());
    for after in (begin.0..=last.0).chain([last.0 + 1, u64::MAX]).map(Position) {
        let rest: Vec<_> = all.iter().filter(|entry| entry.position > after).cloned().collect();
        // Every length at some places, to be done in time on a slow machine.
        let all = [0, rest.len(), rest.len() + 1];
        let lengths = if after.0.is_multiple_of(9) { &all[..] } else { &[] };
        for limit in lengths.iter().copied().chain([3, usize::MAX]) {
            let part = store.changes_for(user, after, limit).await.unwrap().expect("nothing is forgotten");
            assert_eq!(
                part.changes,
                rest[..limit.min(rest.len())],
                "{user} after {after:?}, {limit} at most"
            );
            let (read_to, next) = (part.read_to, rest.get(part.changes.len()).map(|entry| entry.position));
            assert!(read_to >= after, "{user} after {after:?}: {read_to:?}");
            assert!(part.changes.last().is_none_or(|last| last.position <= read_to));
            assert!(next.is_none_or(|next| read_to < next), "{user} after {after:?}: {read_to:?}, {next:?}");
            if limit > rest.len() {
                assert_eq!(read_to, last.max(after), "there are no others, up to the end");
            }
            let count = store.count_changes_for(user, after, limit as u64).await.unwrap();
            assert_eq!(count, Some(rest.len().min(limit) as u64), "{user} after {after:?}, up to {limit}");
        }
    }
}

/// A person is told what happened in their conversations and rooms, that they were taken out of others, and of each
/// profile the last change; in parts of any size, and nothing of what is for others.
pub async fn a_person_is_told_their_part_of_the_log(store: Arc<dyn Store>) {
    let [ann, bob, cid, eve] = people(&*store, [1, 2, 3, 4]).await;
    check_told(&*store, ann).await;
    let (with_bob, others) = (direct(&*store, 1, ann, bob).await, direct(&*store, 2, cid, eve).await);
    let notes = direct(&*store, 3, ann, ann).await;
    let club = room(&*store, 4, cid).await;
    let profile = async |user, n| {
        store.update_profile(user, ProfilePatch::default(), at(n)).await.unwrap().unwrap();
    };
    for n in 1..=4 {
        say(&*store, 10 * n, with_bob, if n % 2 == 0 { ann } else { bob }).await;
        profile(bob, i64::from(n)).await;
        say(&*store, 10 * n + 1, others, cid).await;
        say(&*store, 10 * n + 2, club, cid).await;
        store.mark_read(with_bob, ann, None, at(1)).await.unwrap();
        store.mark_read(others, eve, None, at(1)).await.unwrap();
    }
    profile(ann, 9).await;
    delete(&*store, message_id(10)).await;
    delete(&*store, message_id(11)).await;
    delete(&*store, message_id(12)).await;
    restore(&*store, message_id(10), 9).await;
    say(&*store, 50, notes, ann).await;
    // In and out, and in again.
    for (user, stays) in [(ann, false), (bob, true), (eve, false), (eve, true)] {
        add(&*store, club, cid, user, 9).await;
        give_role(&*store, club, cid, (user, Role::Moderator), 9).await;
        say(
            &*store,
            60 + u16::from(stays) + 2 * u16::from(user == eve) + 4 * u16::from(user == bob),
            club,
            cid,
        )
        .await;
        store.mark_read(club, user, None, at(9)).await.unwrap();
        if !stays {
            remove(&*store, club, user, user, 9).await;
        }
    }
    for user in [ann, bob, cid, eve, user_id(9)] {
        check_told(&*store, user).await;
    }
    assert_eq!(told(&*store, ann).await.len(), 4 + 4 + 2 + 2 + 1 + 1, "what is asked for is not nothing");
}

/// However often a profile was changed, that is one change for everybody.
pub async fn changes_of_one_profile_count_once(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let before = append(&*store, new_message(1, conversation, ann)).await.0;
    for n in 0..50 {
        store.update_profile(ann, ProfilePatch::default(), at(n)).await.unwrap();
    }
    let last = last_position(&*store).await;
    let told = store.changes_for(bob, before, 3).await.unwrap().unwrap();
    assert_eq!(told.changes, [LoggedChange { position: last, change: Change::ProfileUpdated { user: ann } }]);
    assert_eq!(told.read_to, last);
    assert_eq!(store.count_changes_for(bob, before, 9).await.unwrap(), Some(1));
    assert_eq!(store.count_changes_for(bob, Position(0), 9).await.unwrap(), Some(2));
    check_told(&*store, bob).await;
}

/// Of a log that was shortened a person is told nothing that follows something forgotten.
pub async fn a_shortened_log_says_so_to_each_person(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in 1..=5 {
        append(&*store, NewMessage { at: at(100 * i64::from(n)), ..new_message(n, conversation, ann) }).await;
    }
    assert_eq!(store.forget_before(at(301)).await.unwrap(), Position(3));
    for after in 0..3 {
        assert_eq!(store.changes_for(bob, Position(after), 9).await.unwrap(), None);
        assert_eq!(store.count_changes_for(bob, Position(after), 9).await.unwrap(), None);
    }
    check_told(&*store, bob).await;
}

/// Forgetting shortens the log at its beginning, up to the first change that is new enough, and nothing else: what is
/// left can be read, what follows something forgotten is none, and positions go on.
pub async fn a_shortened_log_says_so(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    // The fourth was made on a clock that was late.
    for (n, made) in (1..).zip([100, 200, 300, 150, 400]) {
        append(&*store, NewMessage { at: at(made), ..new_message(n, conversation, ann) }).await;
    }
    delete(&*store, message_id(1)).await;
    let (log, history) = (whole_log(&*store).await, whole_history(&*store, conversation).await);
    for (before, begin) in [(0, 0), (100, 0), (101, 1), (100, 1), (201, 2), (301, 4), (400, 4), (i64::MAX, 5)]
    {
        assert_eq!(store.forget_before(at(before)).await.unwrap(), Position(begin), "before {before}");
        assert_eq!(store.log_begin().await.unwrap(), Position(begin));
        assert_eq!(last_position(&*store).await, Position(6));
        for after in 0..=7 {
            let changes = store.changes_after(Position(after), 2).await.unwrap();
            let rest = log.get(after as usize..).unwrap_or_default();
            let expected = (after >= begin).then(|| rest[..rest.len().min(2)].to_vec());
            assert_eq!(
                changes, expected,
                "changes after {after} when everything before {before} was forgotten"
            );
        }
    }
    assert_eq!(whole_history(&*store, conversation).await, history, "messages are not forgotten");
    let place = append(&*store, new_message(6, conversation, bob)).await;
    assert_eq!(place, (Position(7), Seq(6)), "positions and seqs go on");
}

/// A long log can be forgotten too.
pub async fn a_long_log_can_be_shortened(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let changes = (0..2_500).map(|n| store.update_profile(ann, ProfilePatch::default(), at(n)));
    // Handed over together, so that they are committed together.
    let mut waiting = Vec::new();
    for mut change in changes {
        match poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx))).await {
            Poll::Ready(changed) => drop(changed.unwrap()),
            Poll::Pending => waiting.push(change),
        }
    }
    for change in waiting {
        change.await.unwrap();
    }
    assert_eq!(last_position(&*store).await, Position(2_500));
    assert_eq!(store.forget_before(at(2_345)).await.unwrap(), Position(2_345));
    assert_eq!(whole_log(&*store).await.len(), 155);
}

/// Reading, and asking for what is not there, leaves everything as it was.
pub async fn reading_changes_nothing(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    say(&*store, 1, direct(&*store, 1, ann, bob).await, ann).await;
    let before = everything(&*store).await;
    store.check().await.unwrap();
    store.direct(Pair::new(bob, bob)).await.unwrap();
    store.conversation(conversation_id(9)).await.unwrap();
    store.user(&id(user_id(9))).await.unwrap();
    store.chat_partners(user_id(9), 9).await.unwrap();
    store.history(conversation_id(9), Window::Page { page: 3, size: 2 }, true).await.unwrap();
    store.changes_after(Position(9), 9).await.unwrap();
    store.changes_for(ann, Position(0), 9).await.unwrap();
    store.count_changes_for(ann, Position(0), 9).await.unwrap();
    assert_eq!(everything(&*store).await, before);
}

fn assert_unavailable<T: std::fmt::Debug>(method: &str, answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{method} after close answered {answer:?}");
}

/// Once a store is closed, every call fails as unavailable, except closing it again.
pub async fn a_closed_store_is_unavailable(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let other_room = room(&*store, 2, ann).await;
    say(&*store, 1, conversation, ann).await;
    for _ in 0..2 {
        store.close().await.expect("closing, also twice, must work");
        let pair = Pair::new(ann, bob);
        let window = Window::Latest { limit: 1 };
        let patch = ProfilePatch::default();
        let deletion = deleting(message_id(1), conversation, ann, true, 1);
        assert_unavailable("create_user", &store.create_user(new_user(3, None, None)).await);
        assert_unavailable("user", &store.user(&id(ann)).await);
        assert_unavailable("credentials", &store.credentials(&id(ann)).await);
        assert_unavailable("users", &store.users(1).await);
        assert_unavailable("update_profile", &store.update_profile(ann, patch, at(1)).await);
        assert_unavailable("record_last_seen", &store.record_last_seen(ann, at(1)).await);
        assert_unavailable("revoke_token", &store.revoke_token([1; 32], at(1)).await);
        assert_unavailable("revoked_tokens", &store.revoked_tokens(at(0)).await);
        assert_unavailable("open_direct", &store.open_direct(pair, conversation_id(3), at(1)).await);
        assert_unavailable("direct", &store.direct(pair).await);
        assert_unavailable("create_room", &store.create_room(new_room(3, vec![], ann)).await);
        assert_unavailable("conversation", &store.conversation(conversation).await);
        assert_unavailable("add_member", &store.add_member(adding(other_room, ann, bob, 1)).await);
        let admin = giving(other_room, ann, ann, Role::Admin, 1);
        assert_unavailable("set_role", &store.set_role(admin).await);
        assert_unavailable("remove_member", &store.remove_member(removing(other_room, ann, ann, 1)).await);
        assert_unavailable("chat_partners", &store.chat_partners(ann, 1).await);
        assert_unavailable("append", &store.append(new_message(2, conversation, ann)).await);
        assert_unavailable("message", &store.message(message_id(1)).await);
        assert_unavailable("set_deleted", &store.set_deleted(deletion).await);
        assert_unavailable("history", &store.history(conversation, window, true).await);
        assert_unavailable("rows", &store.rows(Table::Pins, &[], None, 1).await);
        assert_unavailable("rows_of", &store.rows_of(Table::Pins, &[vec![]], 1).await);
        let edit = EditRows { table: Table::Pins, edits: vec![], then: None };
        assert_unavailable("edit_rows", &store.edit_rows(edit).await);
        assert_unavailable("last_position", &store.last_position().await);
        assert_unavailable("changes_after", &store.changes_after(Position(0), 1).await);
        assert_unavailable("changes_for", &store.changes_for(ann, Position(0), 1).await);
        assert_unavailable("count_changes_for", &store.count_changes_for(ann, Position(0), 1).await);
        assert_unavailable("log_begin", &store.log_begin().await);
        assert_unavailable("epoch", &store.epoch().await);
        assert_unavailable("renew_epoch", &store.renew_epoch().await);
        assert_unavailable("forget_before", &store.forget_before(at(1)).await);
        assert_unavailable("check", &store.check().await);
    }
}

/// The epoch is the same, whatever is written, until it is renewed; then it is another one, and everything else stays.
pub async fn an_epoch_lasts_until_it_is_renewed(store: Arc<dyn Store>) {
    let mut epoch = store.epoch().await.unwrap();
    assert_eq!(epoch.renewals, 0, "a new log is in its first epoch");
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    append(&*store, new_message(1, conversation, ann)).await;
    for renewals in 1..=3 {
        assert_eq!(store.epoch().await.unwrap(), epoch);
        let before = everything(&*store).await;
        let renewed = store.renew_epoch().await.unwrap();
        assert_ne!(renewed.id, epoch.id);
        assert_eq!(renewed.renewals, renewals);
        assert_eq!(everything(&*store).await, before, "nothing else has changed");
        epoch = renewed;
    }
    let place = append(&*store, new_message(2, conversation, ann)).await;
    assert_eq!(place.0, Position(2), "positions go on");
    assert_eq!(store.epoch().await.unwrap(), epoch);
}

/// A store in which nothing happened can be closed too.
pub async fn an_unused_store_can_be_closed(store: Arc<dyn Store>) {
    store.close().await.expect("closing an unused store must work");
    store.close().await.expect("closing twice must work");
    assert_unavailable("check", &store.check().await);
}
