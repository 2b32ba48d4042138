//! Contract tests of relations between two people: blocks, friendships and friend requests.

use std::sync::Arc;

use super::parallel::{Spawn, all};
use super::support::{
    adding, at, client_id, direct, everything, member, new_message, new_room, people, room, say, whole_log,
};
use crate::id::UserId;
use crate::model::{Friendship, Relation, RelationAct, Role};
use crate::policy::Refusal;
use crate::reactions::{Emoji, React, Reacting};
use crate::store::write::make;
use crate::store::{Appended, Change, LoggedChange, NewMessage, Relate, Related, Store, Table};

async fn relate(store: &dyn Store, by: UserId, act: RelationAct, with: UserId) -> Result<Related, Refusal> {
    store.relate(Relate { by, with, act, at: at(50_000) }).await.expect("the store must work")
}

/// The relation of `of` with `with`, read from its row.
async fn relation(store: &dyn Store, of: UserId, with: UserId) -> Relation {
    let rows = store.rows(Table::Relations, &Relation::key(of, with), None, 9).await.unwrap();
    rows.first().and_then(|row| row.relation()).map_or(Relation::default(), |(_, relation)| relation)
}

/// The relation changes in the log, in order.
async fn told(store: &dyn Store) -> Vec<(UserId, UserId, Relation)> {
    let told = |logged: LoggedChange| match logged.change {
        Change::RelationChanged { user, with, relation } => Some((user, with, relation)),
        _ => None,
    };
    whole_log(store).await.into_iter().filter_map(told).collect()
}

fn friendship(friendship: Friendship) -> Relation {
    Relation { friendship, ..Relation::default() }
}

/// A change of a relation is logged for both people, each with its own view, and only if that view has changed.
pub async fn requests_for_friendship_are_told_to_both(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let asked = relate(&*store, ann, RelationAct::Ask, bob).await.expect("he may be asked");
    let (mine, (theirs, seen)) = (asked.position.expect("it is new"), asked.theirs.expect("he is told"));
    assert_eq!((asked.relation, seen), (friendship(Friendship::Sent), friendship(Friendship::Received)));
    assert_eq!(theirs.0, mine.0 + 1, "one behind the other");
    let before = everything(&*store).await;
    let again = relate(&*store, ann, RelationAct::Ask, bob).await.unwrap();
    assert_eq!((again.relation, again.position, again.theirs), (asked.relation, None, None));
    for (by, act, with) in [
        (ann, RelationAct::Accept, bob),
        (ann, RelationAct::Decline, bob),
        (bob, RelationAct::Withdraw, ann),
        (eve, RelationAct::Accept, ann),
    ] {
        assert_eq!(relate(&*store, by, act, with).await, Err(Refusal::RequestNotFound), "{act:?}");
    }
    for nobody in [super::support::user_id(99), ann] {
        assert_eq!(relate(&*store, ann, RelationAct::Block, nobody).await, Err(Refusal::UserNotFound));
    }
    assert_eq!(everything(&*store).await, before, "what is refused or so already changes nothing");
    relate(&*store, bob, RelationAct::Accept, ann).await.unwrap();
    relate(&*store, ann, RelationAct::Unfriend, bob).await.unwrap();
    let expected = [
        (ann, bob, Friendship::Sent),
        (bob, ann, Friendship::Received),
        (bob, ann, Friendship::Friends),
        (ann, bob, Friendship::Friends),
        (ann, bob, Friendship::None),
        (bob, ann, Friendship::None),
    ];
    assert_eq!(told(&*store).await, expected.map(|(user, with, how)| (user, with, friendship(how))));
    assert_eq!(store.rows(Table::Relations, &[], None, 9).await.unwrap(), [], "nothing is left of it");
}

/// Only the two people receive changes of their relation, and a blocked person does not learn of the block.
pub async fn relations_are_told_to_nobody_else(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    direct(&*store, 1, ann, bob).await;
    relate(&*store, bob, RelationAct::Ask, ann).await.unwrap();
    let blocked = relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
    assert_eq!(blocked.relation, Relation { blocks: true, ..Relation::default() });
    assert_eq!(blocked.theirs.map(|(_, seen)| seen), Some(Relation::default()), "his request has ended");
    let mirrored = Relation { blocked: true, ..Relation::default() };
    assert_eq!(relation(&*store, bob, ann).await, mirrored);
    let again = relate(&*store, ann, RelationAct::Unblock, bob).await.unwrap();
    assert!(again.position.is_some() && again.theirs.is_none(), "he has not known of it");
    let again = relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
    assert!(again.position.is_some() && again.theirs.is_none());
    let log = whole_log(&*store).await;
    for (who, count) in [(ann, 4), (bob, 2), (eve, 0)] {
        let begin = store.log_begin().await.unwrap();
        let mine = store.changes_for(who, begin, 99).await.unwrap().unwrap().changes;
        let expected: Vec<_> = log
            .iter()
            .filter(|logged| matches!(logged.change, Change::RelationChanged { user, .. } if user == who))
            .cloned()
            .collect();
        assert_eq!((mine.len(), &mine), (count, &expected), "{who}");
        let counted = store.count_changes_for(who, begin, 99).await.unwrap().unwrap();
        assert_eq!(counted, count as u64, "{who}");
        assert_eq!(store.count_changes_for(who, begin, 1).await.unwrap().unwrap(), counted.min(1));
    }
    let known = |relation: &Relation| relation.blocked;
    assert!(!told(&*store).await.iter().any(|(_, _, relation)| known(relation)));
}

/// When one of two people blocks the other, neither can write to the other directly or add the other to a room.
/// Elsewhere nothing changes for them.
pub async fn blocked_people_do_not_reach_each_other(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let (here, club) = (direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await);
    let with_eve = direct(&*store, 3, ann, eve).await;
    let to = |n, from| new_message(n, here, from);
    let first = NewMessage { client_id: Some(client_id("first")), ..to(1, bob) };
    assert!(matches!(store.append(first.clone()).await, Ok(Appended::New { .. })));
    relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
    let before = everything(&*store).await;
    for new in [to(2, ann), to(3, bob), first.clone()] {
        let refused = store.append(new).await.unwrap();
        assert!(matches!(refused, Appended::Refused(Refusal::Forbidden(_))), "{refused:?}");
    }
    let refused = store.add_member(adding(club, ann, bob, 9)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    let cast =
        || vec![member(bob, Role::Admin, 9), member(eve, Role::Member, 9), member(ann, Role::Member, 9)];
    let refused = store.create_room(new_room(4, cast(), bob)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    assert!(matches!(relate(&*store, bob, RelationAct::Ask, ann).await, Err(Refusal::Forbidden(_))));
    assert!(matches!(relate(&*store, ann, RelationAct::Ask, bob).await, Err(Refusal::Forbidden(_))));
    assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
    assert!(matches!(store.append(new_message(5, with_eve, ann)).await, Ok(Appended::New { .. })));
    say(&*store, 6, club, ann).await;
    relate(&*store, ann, RelationAct::Unblock, bob).await.unwrap();
    assert!(matches!(store.append(first).await, Ok(Appended::Repeated(_))));
    assert!(matches!(store.append(to(7, bob)).await, Ok(Appended::New { .. })));
    assert!(store.add_member(adding(club, ann, bob, 9)).await.unwrap().is_ok());
    assert!(store.create_room(new_room(4, cast(), bob)).await.unwrap().is_ok());
}

/// A block also applies in a conversation that is opened after it. Each person can lift only their own block.
pub async fn a_block_holds_in_a_conversation_that_is_opened_later(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
    let here = direct(&*store, 1, ann, bob).await;
    let is_refused = async |n, by| {
        let appended = store.append(new_message(n, here, by)).await.unwrap();
        matches!(appended, Appended::Refused(Refusal::Forbidden(_)))
    };
    assert!(is_refused(1, ann).await && is_refused(2, bob).await);
    relate(&*store, bob, RelationAct::Block, ann).await.unwrap();
    relate(&*store, ann, RelationAct::Unblock, bob).await.unwrap();
    assert!(is_refused(3, ann).await && is_refused(4, bob).await, "his stands");
    relate(&*store, bob, RelationAct::Unblock, ann).await.unwrap();
    assert!(!is_refused(5, ann).await && !is_refused(6, bob).await);
}

/// A blocked person cannot add reactions, but can remove earlier ones.
pub async fn blocked_people_do_not_react_to_each_other(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let here = direct(&*store, 1, ann, bob).await;
    let message = say(&*store, 1, here, ann).await;
    let react = async |by, emoji, reacting| {
        let emoji = Emoji::parse(emoji).unwrap();
        let react = React { message, conversation: here, by, emoji, reacting, at: at(50_000) };
        make(&*store, react).await.unwrap()
    };
    assert!(react(bob, "👍", Reacting::Add).await.is_ok());
    relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
    for by in [ann, bob] {
        for reacting in [Reacting::Add, Reacting::Toggle] {
            let refused = react(by, "🎉", reacting).await;
            assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
        }
    }
    assert!(react(bob, "👍", Reacting::Add).await.is_ok(), "it is there already");
    assert_eq!(react(bob, "👍", Reacting::Remove).await.map(|reacted| reacted.reactions), Ok(vec![]));
}

/// No message is stored after a block, even when many messages are sent concurrently.
pub async fn a_block_holds_while_everything_is_said(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u16 = 24;
    let [ann, bob] = people(&*store, [1, 2]).await;
    let here = direct(&*store, 1, ann, bob).await;
    let step = |n: u16| {
        let store = store.clone();
        async move {
            if n == EACH / 2 {
                relate(&*store, ann, RelationAct::Block, bob).await.unwrap();
            }
            matches!(store.append(new_message(n, here, bob)).await.unwrap(), Appended::New { .. })
        }
    };
    let said = all(spawn, (0..EACH).map(step)).await;
    let log = whole_log(&*store).await;
    let block =
        log.iter().position(|logged| matches!(logged.change, Change::RelationChanged { .. })).unwrap();
    assert_eq!(block + 1, log.len(), "nothing comes behind it");
    assert_eq!(said.iter().filter(|said| **said).count(), block);
    assert!(!said[usize::from(EACH / 2)], "who has waited for it is refused");
}
