//! Contract tests of [`ReadMarkStore`](crate::store::ReadMarkStore).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::support::{
    add, adding, append, at, conversation_id, delete, direct, everything, last_position, member, message_id,
    new_message, restore,
};
use super::support::{give_role, new_room, people, remove, removing, room, say, user_id, whole_log};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Pair, Position, Role, Seq};
use crate::store::{Appended, Change, LoggedChange, Store, UNREAD_LOOKED_AT, UNREAD_MOST, UnreadCount};

type Marked = Option<(Option<Position>, Seq)>;

async fn mark(store: &dyn Store, conversation: ConversationId, user: UserId, up_to: Option<u32>) -> Marked {
    let marked = store.mark_read(conversation, user, up_to.map(Seq), at(30_000)).await;
    marked.expect("marking must work")
}

/// Reads a mark without moving it.
async fn mark_of(store: &dyn Store, conversation: ConversationId, user: UserId) -> Option<Seq> {
    let (position, seq) = mark(store, conversation, user, Some(0)).await?;
    assert_eq!(position, None, "a mark does not move to 0");
    Some(seq)
}

async fn unread(store: &dyn Store, user: UserId) -> Vec<UnreadCount> {
    let all = store.unread(user, usize::MAX).await.expect("what is unread must be readable");
    for limit in 0..=all.len() + 1 {
        let some = store.unread(user, limit).await.expect("what is unread must be readable");
        assert_eq!(some, all[..limit.min(all.len())], "unread({user}, {limit})");
    }
    all
}

/// The number of unread messages in each conversation.
async fn counts(store: &dyn Store, user: UserId) -> Vec<(ConversationId, u32)> {
    unread(store, user).await.into_iter().map(|count| (count.conversation, count.unread)).collect()
}

fn count(conversation: ConversationId, read: u32, last: u32, unread: u32) -> UnreadCount {
    UnreadCount { conversation, last_seq: Seq(last), read_seq: Seq(read), unread }
}

/// A mark moves forward, never back and never beyond the last message. Each move is logged once, with the new mark.
pub async fn a_mark_only_moves_forward(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for up_to in [None, Some(0), Some(1), Some(u32::MAX)] {
        assert_eq!(mark(&*store, conversation, bob, up_to).await, Some((None, Seq(0))), "nothing was said");
    }
    for n in 1..=5 {
        say(&*store, n, conversation, ann).await;
    }
    let mut position = 5;
    for (up_to, seq) in [
        (Some(0), 0),
        (Some(2), 2),
        (Some(2), 2),
        (Some(1), 2),
        (Some(4), 4),
        (Some(u32::MAX), 5),
        (None, 5),
        (Some(3), 5),
    ] {
        let before = mark_of(&*store, conversation, bob).await;
        let moves = before < Some(Seq(seq));
        position += u64::from(moves);
        let answer = mark(&*store, conversation, bob, up_to).await;
        assert_eq!(answer, Some((moves.then_some(Position(position)), Seq(seq))), "up to {up_to:?}");
        assert_eq!(mark_of(&*store, conversation, bob).await, Some(Seq(seq)));
        assert_eq!(last_position(&*store).await, Position(position), "up to {up_to:?}");
        if moves {
            let change = Change::ReadMarked { conversation, user: bob, seq: Seq(seq) };
            assert_eq!(
                whole_log(&*store).await.pop(),
                Some(LoggedChange { position: Position(position), change })
            );
        }
    }
    say(&*store, 6, conversation, bob).await;
    assert_eq!(mark_of(&*store, conversation, bob).await, Some(Seq(5)), "sending moves nobody's mark");
    assert_eq!(mark(&*store, conversation, bob, None).await, Some((Some(Position(10)), Seq(6))));
    let moved: Vec<_> = whole_log(&*store)
        .await
        .into_iter()
        .filter_map(|entry| match entry.change {
            Change::ReadMarked { seq, .. } => Some((entry.position.0, seq.0)),
            _ => None,
        })
        .collect();
    assert_eq!(moved, [(6, 2), (7, 4), (8, 5), (10, 6)], "an entry keeps where the mark moved to then");
}

/// Every member has their own mark in every conversation. A person outside has none, and cannot move one.
pub async fn marks_belong_to_members(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let with_bob = direct(&*store, 1, ann, bob).await;
    let with_cid = direct(&*store, 2, ann, cid).await;
    for (n, conversation) in [(1, with_bob), (2, with_bob), (3, with_cid)] {
        say(&*store, n, conversation, ann).await;
    }
    let before = everything(&*store).await;
    for (conversation, user) in [(with_bob, cid), (conversation_id(9), ann), (with_bob, user_id(9))] {
        for up_to in [None, Some(0), Some(1)] {
            assert_eq!(mark(&*store, conversation, user, up_to).await, None, "{conversation}, {user}");
        }
    }
    assert_eq!(everything(&*store).await, before, "nothing has changed");
    assert_eq!(unread(&*store, user_id(9)).await, [], "nothing is unread to nobody");
    assert_eq!(mark(&*store, with_bob, bob, None).await, Some((Some(Position(4)), Seq(2))));
    for (conversation, user, seq) in
        [(with_bob, ann, 0), (with_bob, bob, 2), (with_cid, ann, 0), (with_cid, cid, 0)]
    {
        assert_eq!(mark_of(&*store, conversation, user).await, Some(Seq(seq)), "{conversation}, {user}");
    }
}

/// A member from the beginning starts with mark 0. A member who joins later starts at the last message at that time,
/// and does so again after coming back. A change of role leaves the mark in place.
pub async fn who_joins_begins_at_the_last_message(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let cast = vec![member(ann, Role::Admin, 1), member(bob, Role::Member, 1)];
    let id = store.create_room(new_room(1, cast, ann)).await.unwrap().unwrap().1.id;
    for n in 1..=3 {
        say(&*store, n, id, ann).await;
    }
    assert_eq!(mark_of(&*store, id, bob).await, Some(Seq(0)));
    assert_eq!(mark_of(&*store, id, cid).await, None, "not in yet");
    add(&*store, id, ann, cid, 2).await;
    assert_eq!(mark_of(&*store, id, cid).await, Some(Seq(3)));
    assert_eq!(unread(&*store, cid).await, []);
    say(&*store, 4, id, ann).await;
    assert_eq!(unread(&*store, cid).await, [count(id, 3, 4, 1)]);
    assert_eq!(unread(&*store, bob).await, [count(id, 0, 4, 4)]);

    give_role(&*store, id, ann, (cid, Role::Admin), 3).await;
    give_role(&*store, id, ann, (bob, Role::Moderator), 3).await;
    assert_eq!(mark_of(&*store, id, cid).await, Some(Seq(3)), "another role");
    assert_eq!(mark_of(&*store, id, bob).await, Some(Seq(0)), "another role");
    mark(&*store, id, bob, Some(2)).await;

    remove(&*store, id, ann, bob, 70).await;
    assert_eq!(mark_of(&*store, id, bob).await, None, "taken out");
    assert_eq!(unread(&*store, bob).await, [], "taken out");
    say(&*store, 5, id, ann).await;
    add(&*store, id, ann, bob, 4).await;
    assert_eq!(mark_of(&*store, id, bob).await, Some(Seq(5)), "back again");
    say(&*store, 6, id, ann).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 5, 6, 1)]);
    assert_eq!(unread(&*store, cid).await, [count(id, 3, 6, 3)]);
}

/// A user's own messages are never unread, wherever they are, and neither are messages to oneself.
pub async fn own_messages_are_not_unread(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let (conversation, own) = (direct(&*store, 1, ann, bob).await, direct(&*store, 2, ann, ann).await);
    for (n, sender) in [(1, ann), (2, bob), (3, ann), (4, ann), (5, bob), (6, ann)] {
        say(&*store, n, conversation, sender).await;
    }
    say(&*store, 7, own, ann).await;
    assert_eq!(unread(&*store, ann).await, [count(conversation, 0, 6, 2)]);
    assert_eq!(unread(&*store, bob).await, [count(conversation, 0, 6, 4)]);
    mark(&*store, conversation, ann, Some(5)).await;
    assert_eq!(unread(&*store, ann).await, [], "only an own message is after the mark");
    assert_eq!(mark(&*store, own, ann, None).await, Some((Some(Position(9)), Seq(1))), "notes have a mark");
}

/// A deleted message is not unread. When restored it is unread again, unless it was marked as read meanwhile.
pub async fn deleted_messages_are_not_unread(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in 1..=4 {
        say(&*store, n, conversation, ann).await;
    }
    mark(&*store, conversation, bob, Some(1)).await;
    let restore = async |n| restore(&*store, message_id(n), 99).await;
    delete(&*store, message_id(1)).await;
    assert_eq!(
        unread(&*store, bob).await,
        [count(conversation, 1, 4, 3)],
        "one that was read is no less unread"
    );
    delete(&*store, message_id(3)).await;
    assert_eq!(unread(&*store, bob).await, [count(conversation, 1, 4, 2)]);
    delete(&*store, message_id(4)).await;
    delete(&*store, message_id(2)).await;
    assert_eq!(unread(&*store, bob).await, [], "none is left");
    restore(2).await;
    assert_eq!(unread(&*store, bob).await, [count(conversation, 1, 4, 1)]);
    mark(&*store, conversation, bob, Some(3)).await;
    restore(3).await;
    assert_eq!(unread(&*store, bob).await, [], "it was read while it was deleted");
    restore(4).await;
    assert_eq!(unread(&*store, bob).await, [count(conversation, 3, 4, 1)]);
    assert_eq!(mark(&*store, conversation, bob, None).await, Some((Some(Position(14)), Seq(4))));
    assert_eq!(unread(&*store, bob).await, []);
}

/// The conversation with the latest message that is not deleted comes first, whoever sent it.
pub async fn unread_conversations_come_latest_first(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let (with_bob, with_cid) = (direct(&*store, 1, ann, bob).await, direct(&*store, 2, cid, ann).await);
    let cast = [ann, bob, cid].map(|user| member(user, Role::Member, 1)).to_vec();
    let in_room = store.create_room(new_room(3, cast, ann)).await.unwrap().unwrap().1.id;
    assert_eq!(counts(&*store, ann).await, [], "nothing was said yet");
    for (n, conversation, sender) in
        [(1, with_bob, bob), (2, in_room, cid), (3, with_cid, cid), (4, in_room, bob)]
    {
        say(&*store, n, conversation, sender).await;
    }
    assert_eq!(counts(&*store, ann).await, [(in_room, 2), (with_cid, 1), (with_bob, 1)]);
    assert_eq!(counts(&*store, bob).await, [(in_room, 1)]);
    say(&*store, 5, with_bob, ann).await;
    assert_eq!(counts(&*store, ann).await, [(with_bob, 1), (in_room, 2), (with_cid, 1)], "one's own message");
    delete(&*store, message_id(5)).await;
    delete(&*store, message_id(4)).await;
    assert_eq!(counts(&*store, ann).await, [(with_cid, 1), (in_room, 1), (with_bob, 1)]);
    mark(&*store, with_cid, ann, None).await;
    assert_eq!(counts(&*store, ann).await, [(in_room, 1), (with_bob, 1)]);
}

/// Appends many messages, concurrently where the store supports it.
/// Appends the messages with these numbers, all at once.
pub(super) async fn say_many(
    store: &Arc<dyn Store>,
    id: ConversationId,
    sender: UserId,
    numbers: std::ops::Range<u16>,
) {
    let mut sending: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for n in numbers {
        let store = store.clone();
        sending.push(Box::pin(async move {
            let appended = store.append(new_message(n, id, sender)).await;
            assert!(matches!(appended, Ok(Appended::New { .. })), "message {n}: {appended:?}");
        }));
    }
    poll_fn(|context| {
        sending.retain_mut(|sending| sending.as_mut().poll(context).is_pending());
        if sending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Unread messages are counted up to a limit, and only the last messages of a conversation are examined.
pub async fn counting_is_bounded(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    let (most, looked_at) = (UNREAD_MOST as u16, UNREAD_LOOKED_AT as u16);
    say_many(&store, id, ann, 1..most).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 0, UNREAD_MOST - 1, UNREAD_MOST - 1)]);
    say_many(&store, id, ann, most..most + 2).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 0, UNREAD_MOST + 1, UNREAD_MOST)]);
    mark(&*store, id, bob, Some(2)).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 2, UNREAD_MOST + 1, UNREAD_MOST - 1)]);

    say_many(&store, id, bob, most + 2..looked_at + 3).await;
    let last = UNREAD_LOOKED_AT + 2;
    assert_eq!(
        unread(&*store, bob).await,
        [count(id, 2, last, UNREAD_MOST - 1)],
        "all that are after the mark"
    );
    say_many(&store, id, bob, looked_at + 3..looked_at + 5).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 2, last + 2, UNREAD_MOST - 3)], "two are farther back");
    let (position, seq) = mark(&*store, id, bob, None).await.expect("he is a member");
    assert_eq!((position.is_some(), seq), (true, Seq(last + 2)));
    assert_eq!(unread(&*store, bob).await, []);
}

/// A mark that is submitted after a message or a member change sees that change, also when both are committed together.
pub async fn marks_keep_the_order_of_asking(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = room(&*store, 1, ann).await;
    say(&*store, 1, id, ann).await;
    let mut said = store.append(new_message(2, id, ann));
    let mut joined = store.add_member(adding(id, ann, bob, 2));
    let mut said_more = store.append(new_message(3, id, ann));
    let mut marked = store.mark_read(id, bob, None, at(1));
    let mut removed = store.remove_member(removing(id, bob, bob, 2));
    let mut no_more = store.mark_read(id, bob, None, at(3));
    let mut back = store.add_member(adding(id, ann, bob, 4));
    let mut direct = store.open_direct(Pair::new(ann, bob), conversation_id(2), at(5));
    let mut nothing = store.mark_read(conversation_id(2), bob, None, at(6));
    let (mut answer, mut none, mut fresh) = (None, None, None);
    let mut left = [true; 9];
    poll_fn(|context| {
        // The first poll submits all of them in this order.
        let mut poll = |nth: usize, poll: &mut dyn FnMut(&mut std::task::Context<'_>) -> bool| {
            if left[nth] && poll(context) {
                left[nth] = false;
            }
        };
        poll(0, &mut |context| said.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(1, &mut |context| joined.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(2, &mut |context| said_more.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(3, &mut |context| {
            marked.as_mut().poll(context).map(|done| answer = Some(done.unwrap())).is_ready()
        });
        poll(4, &mut |context| removed.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(5, &mut |context| {
            no_more.as_mut().poll(context).map(|done| none = Some(done.unwrap())).is_ready()
        });
        poll(6, &mut |context| back.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(7, &mut |context| direct.as_mut().poll(context).map(|done| drop(done.unwrap())).is_ready());
        poll(8, &mut |context| {
            nothing.as_mut().poll(context).map(|done| fresh = Some(done.unwrap())).is_ready()
        });
        if left.contains(&true) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    assert_eq!(answer, Some(Some((Some(Position(6)), Seq(3)))), "from where he joined to the last message");
    assert_eq!(none, Some(None), "he was taken out");
    assert_eq!(fresh, Some(Some((None, Seq(0)))), "nothing was said there");
    assert_eq!(mark_of(&*store, id, bob).await, Some(Seq(3)), "where he came back");
    let ids: Vec<MessageId> = (1..=3).map(message_id).collect();
    let sent = whole_log(&*store).await.into_iter().filter_map(|entry| match entry.change {
        Change::MessageSent(message) => Some(message.id),
        _ => None,
    });
    assert!(sent.eq(ids), "the messages are in order too");
    append(&*store, new_message(4, id, ann)).await;
    assert_eq!(unread(&*store, bob).await, [count(id, 3, 4, 1)]);
}
