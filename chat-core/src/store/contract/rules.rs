//! Clauses about permissions: each change is allowed or refused by the roles at the moment of the change.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::parallel::{Spawn, all};
use super::support::{
    add, client_id, deleting, direct, everything, give_role, giving, message_id, new_message, people, remove,
    removing, room, say, whole_log,
};
use crate::model::Role;
use crate::policy::Refusal;
use crate::store::{Appended, Change, NewMessage, Store};

/// Only members may send messages; this also applies to a repeated send.
pub async fn only_members_say_something(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let [club, others] = [room(&*store, 1, ann).await, direct(&*store, 2, ann, bob).await];
    add(&*store, club, ann, bob, 1).await;
    let sent = NewMessage { client_id: Some(client_id("once")), ..new_message(1, club, bob) };
    assert!(matches!(store.append(sent.clone()).await, Ok(Appended::New { .. })));
    remove(&*store, club, ann, bob, 2).await;
    let before = everything(&*store).await;
    let refused = Appended::Refused(Refusal::ConversationNotFound);
    for new in
        [sent.clone(), new_message(2, club, bob), new_message(3, club, eve), new_message(4, others, eve)]
    {
        assert_eq!(store.append(new).await.unwrap(), refused);
    }
    assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
    say(&*store, 5, others, bob).await;
    add(&*store, club, ann, bob, 3).await;
    assert!(matches!(store.append(sent).await, Ok(Appended::Repeated(_))), "they are in again");
    say(&*store, 6, club, bob).await;
    // The store must not use roles that it has remembered from before.
    for (role, moment) in [(Role::Moderator, 4), (Role::Member, 5)] {
        give_role(&*store, club, ann, (bob, role), moment).await;
        say(&*store, 6 + moment as u16, club, bob).await;
    }
}

/// The role at the moment of the change decides who may delete and restore a message.
pub async fn roles_at_the_moment_decide_who_may_delete(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let club = room(&*store, 1, ann).await;
    for (user, moment) in [(bob, 1), (eve, 2)] {
        add(&*store, club, ann, user, moment).await;
    }
    for n in 1..=3 {
        say(&*store, n, club, eve).await;
    }
    let ask = async |n, by, delete| {
        let done = store.set_deleted(deleting(message_id(n), club, by, delete, 9)).await.expect("it works");
        done.map(|(position, message)| (position.is_some(), message.deleted.map(|tombstone| tombstone.by)))
    };
    let is_forbidden = |done| matches!(done, Err(Refusal::Forbidden(_)));
    let before = everything(&*store).await;
    assert!(is_forbidden(ask(1, bob, true).await), "a member deletes what is another's");
    assert!(is_forbidden(ask(1, bob, false).await), "and restores nothing of theirs");
    assert_eq!(everything(&*store).await, before);
    give_role(&*store, club, ann, (bob, Role::Moderator), 3).await;
    assert_eq!(ask(1, bob, true).await, Ok((true, Some(bob))));
    assert!(is_forbidden(ask(1, eve, false).await), "a moderator has deleted it");
    assert_eq!(ask(1, eve, true).await, Ok((false, Some(bob))), "it is deleted already");
    give_role(&*store, club, ann, (bob, Role::Member), 4).await;
    assert!(is_forbidden(ask(2, bob, true).await), "the role is lost");
    assert_eq!(ask(1, bob, false).await, Ok((true, None)), "who has deleted it restores it");
    assert_eq!(ask(2, eve, true).await, Ok((true, Some(eve))));
    remove(&*store, club, ann, eve, 5).await;
    let before = everything(&*store).await;
    for (n, delete) in [(2, false), (3, true)] {
        assert_eq!(ask(n, eve, delete).await, Err(Refusal::MessageNotFound), "who has left learns nothing");
    }
    assert_eq!(everything(&*store).await, before);
    // In a direct conversation both users are plain members.
    let with_bob = direct(&*store, 2, ann, bob).await;
    let said = say(&*store, 9, with_bob, bob).await;
    let refused = store.set_deleted(deleting(said, with_bob, ann, true, 9)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
}

/// A change is judged after the changes that were submitted before it, even if the caller has not awaited any of
/// them.
pub async fn rules_keep_the_order_of_asking(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let club = room(&*store, 1, ann).await;
    add(&*store, club, ann, bob, 1).await;
    give_role(&*store, club, ann, (bob, Role::Moderator), 2).await;
    say(&*store, 1, club, ann).await;
    let (mut lost, mut deleted) = (
        store.set_role(giving(club, ann, bob, Role::Member, 3)),
        store.set_deleted(deleting(message_id(1), club, bob, true, 3)),
    );
    let (mut last, mut removed, mut late) = (
        store.append(new_message(2, club, bob)),
        store.remove_member(removing(club, ann, bob, 4)),
        store.append(new_message(3, club, bob)),
    );
    let outcomes = (
        poll_fn(|cx| Poll::Ready(lost.as_mut().poll(cx))).await,
        poll_fn(|cx| Poll::Ready(deleted.as_mut().poll(cx))).await,
        poll_fn(|cx| Poll::Ready(last.as_mut().poll(cx))).await,
        poll_fn(|cx| Poll::Ready(removed.as_mut().poll(cx))).await,
        poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx))).await,
    );
    assert!(rest(outcomes.0, lost).await.unwrap().is_ok());
    let deleted = rest(outcomes.1, deleted).await.unwrap();
    assert!(matches!(deleted, Err(Refusal::Forbidden(_))), "{deleted:?}");
    assert!(matches!(rest(outcomes.2, last).await, Ok(Appended::New { .. })));
    assert!(rest(outcomes.3, removed).await.unwrap().is_ok());
    let late = rest(outcomes.4, late).await.unwrap();
    assert_eq!(late, Appended::Refused(Refusal::ConversationNotFound));
}

async fn rest<T>(outcome: Poll<T>, pending: impl Future<Output = T>) -> T {
    match outcome {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => pending.await,
    }
}

/// After a user is removed, no message of that user is stored. After a user has lost a role, that user deletes no
/// message of others. Both hold however many tasks do it at once.
pub async fn rules_hold_while_everything_changes(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u16 = 24;
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let club = room(&*store, 1, ann).await;
    for (user, moment) in [(bob, 1), (eve, 2)] {
        add(&*store, club, ann, user, moment).await;
    }
    give_role(&*store, club, ann, (eve, Role::Moderator), 3).await;
    for n in 0..EACH {
        say(&*store, 1_000 + n, club, ann).await;
    }
    let step = |n: u16| {
        let store = store.clone();
        async move {
            if n == EACH / 2 {
                remove(&*store, club, ann, bob, 9).await;
                give_role(&*store, club, ann, (eve, Role::Member), 9).await;
            }
            let deletion = deleting(message_id(1_000 + n), club, eve, true, 9);
            let said = store.append(new_message(n, club, bob)).await.unwrap();
            (said, store.set_deleted(deletion).await.unwrap().is_ok())
        }
    };
    let answers = all(spawn, (0..EACH).map(step)).await;
    let log = whole_log(&*store).await;
    let at = |wanted: &dyn Fn(&Change) -> bool| log.iter().position(|logged| wanted(&logged.change)).unwrap();
    let gone = at(&|change| matches!(change, Change::MemberRemoved { .. }));
    let plain = at(&|change| matches!(change, Change::RoleChanged { role: Role::Member, .. }));
    let (mut said, mut deleted) = (0, 0);
    for (n, logged) in log.iter().enumerate() {
        match &logged.change {
            Change::MessageSent(message) if message.sender == bob => {
                assert!(n < gone, "somebody has spoken after they were removed");
                said += 1;
            }
            Change::MessageDeleted(_) => {
                assert!(n < plain, "somebody has deleted what is another's without the role for it");
                deleted += 1;
            }
            _ => {}
        }
    }
    let refused = Appended::Refused(Refusal::ConversationNotFound);
    assert_eq!(answers.iter().filter(|(answer, _)| *answer != refused).count(), said);
    assert_eq!(answers.iter().filter(|(_, is_deleted)| *is_deleted).count(), deleted);
    let (answer, is_deleted) = &answers[usize::from(EACH / 2)];
    assert!(*answer == refused && !is_deleted, "who has waited for it is refused");
}
