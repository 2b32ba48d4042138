//! Clauses of [`RoomStore`](crate::store::RoomStore).

use std::sync::Arc;

use super::support::{
    ODD_TEXTS, append, at, conversation_id, delete, direct, everything, last_position, member, restore,
};
use super::support::{
    message_id, new_message, new_room, people, room, say, user_id, whole_history, whole_log,
};
use crate::id::UserId;
use crate::model::{Conversation, ConversationKind, Pair, Position, Role, RoomInfo, Visibility};
use crate::store::{Change, LoggedChange, Store, StoreError};

async fn find(store: &dyn Store, n: u16) -> Option<Arc<Conversation>> {
    store.conversation(conversation_id(n)).await.expect("looking a conversation up must work")
}

/// There is one direct conversation of a pair: the first call makes it, all later ones answer it unchanged,
/// whichever of the two comes first and whatever id and time they bring.
pub async fn a_pair_has_one_direct_conversation(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let pair = Pair::new(bob, ann);
    assert_eq!(store.direct(pair).await.unwrap(), None, "nobody has opened it yet");
    let opened = store.open_direct(pair, conversation_id(1), at(100)).await.unwrap();
    let expected = Conversation {
        id: conversation_id(1),
        kind: ConversationKind::Direct { pair },
        members: [member(ann, Role::Member, 100), member(bob, Role::Member, 100)].into(),
        created_at: at(100),
    };
    assert_eq!(*opened, expected, "what was opened");
    for (again, n, moment) in [(pair, 1, 100), (Pair::new(ann, bob), 2, 200), (Pair::new(bob, ann), 3, 50)] {
        let answer = store.open_direct(again, conversation_id(n), at(moment)).await.unwrap();
        assert_eq!(*answer, expected, "opening again with conversation id {n} at {moment}");
        assert_eq!(store.direct(again).await.unwrap().as_deref(), Some(&expected));
    }
    assert_eq!(find(&*store, 1).await.as_deref(), Some(&expected), "found by its id");
    assert_eq!(find(&*store, 2).await, None, "an id that was not needed is not taken");
    for other in [Pair::new(ann, cid), Pair::new(cid, bob), Pair::new(ann, ann), Pair::new(bob, bob)] {
        assert_eq!(store.direct(other).await.unwrap(), None, "{other:?} is another pair");
    }
    assert_eq!(direct(&*store, 2, cid, ann).await, conversation_id(2), "another pair gets its own");
    assert_eq!(direct(&*store, 3, ann, bob).await, conversation_id(1), "and the first stays");
    assert_eq!(last_position(&*store).await, Position(0), "opening a direct conversation is not logged");
}

/// Somebody's pair with themselves is a conversation as others are, with one member.
pub async fn notes_to_oneself_are_a_direct_conversation(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let own = Pair::new(ann, ann);
    let opened = store.open_direct(own, conversation_id(1), at(7)).await.unwrap();
    assert_eq!(opened.kind, ConversationKind::Direct { pair: own });
    assert_eq!(opened.members, [member(ann, Role::Member, 7)].into(), "one person is one member");
    direct(&*store, 2, ann, bob).await;
    assert_eq!(direct(&*store, 3, ann, ann).await, conversation_id(1), "opened once");
    assert_eq!(store.direct(own).await.unwrap(), Some(opened));
    say(&*store, 1, conversation_id(1), ann).await;
    assert_eq!(whole_history(&*store, conversation_id(1)).await.len(), 1);
}

/// A room is made as asked, is found by its id, and is logged with its maker.
pub async fn a_room_is_made_as_asked(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    assert_eq!(find(&*store, 1).await, None, "no room yet");
    // Neither in the order of ids nor in that of roles; all joined in the same millisecond.
    let cast =
        vec![member(cid, Role::Moderator, 9), member(ann, Role::Member, 9), member(bob, Role::Admin, 9)];
    for (n, visibility, cast) in [
        (1, Visibility::Public, cast.clone()),
        (2, Visibility::Private, cast),
        (3, Visibility::Private, vec![]),
    ] {
        let mut new = new_room(n, cast, bob);
        new.info.visibility = visibility;
        let expected = Conversation {
            id: new.id,
            kind: ConversationKind::Room(new.info.clone()),
            members: new.members.clone().into(),
            created_at: new.at,
        };
        let (position, made) = store.create_room(new).await.unwrap().unwrap();
        assert_eq!(*made, expected, "what was made");
        assert_eq!(find(&*store, n).await, Some(made), "what is found");
        assert_eq!(position, Position(n.into()));
        let change = Change::RoomCreated { room: expected.id, by: bob };
        assert_eq!(whole_log(&*store).await.pop(), Some(LoggedChange { position, change }));
    }
}

/// Names of rooms are data and need not differ.
pub async fn texts_of_rooms_come_back_as_given(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let names = || (0..).zip(ODD_TEXTS.iter().chain(&["same name", "same name", "Same Name"]));
    for (n, name) in names() {
        let mut new = new_room(n, vec![], ann);
        new.info.name = (*name).into();
        store.create_room(new).await.unwrap().unwrap();
    }
    for (n, name) in names() {
        let info = RoomInfo::new(*name, Visibility::Private);
        let kind = find(&*store, n).await.map(|room| room.kind.clone());
        assert_eq!(kind, Some(ConversationKind::Room(info)), "room {n}");
    }
}

/// A conversation whose id is taken is refused (trying again would not help), and the one that has the id stays as it is.
pub async fn a_taken_conversation_id_overwrites_nothing(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    direct(&*store, 1, ann, bob).await;
    room(&*store, 2, ann).await;
    let before = everything(&*store).await;
    for n in [1, 2] {
        let made = store.create_room(new_room(n, vec![member(cid, Role::Admin, 1)], cid)).await;
        assert!(
            matches!(made, Err(StoreError::Refused(_))),
            "a room with the id of another conversation: {made:?}"
        );
        let opened = store.open_direct(Pair::new(ann, cid), conversation_id(n), at(1)).await;
        assert!(
            matches!(opened, Err(StoreError::Refused(_))),
            "a direct conversation with the id of another one: {opened:?}"
        );
        assert_eq!(everything(&*store).await, before, "a failed call must change nothing");
        assert_eq!(store.direct(Pair::new(ann, cid)).await.unwrap(), None);
    }
    direct(&*store, 3, ann, cid).await;
}

async fn partners(store: &dyn Store, user: UserId) -> Vec<UserId> {
    let all = store.chat_partners(user, usize::MAX).await.expect("chat partners must be readable");
    for limit in 0..=all.len() + 1 {
        let some = store.chat_partners(user, limit).await.expect("chat partners must be readable");
        assert_eq!(some, all[..limit.min(all.len())], "chat_partners({user}, {limit})");
    }
    all
}

/// Chat partners are ordered by the latest message between the two, whoever sent it.
pub async fn chat_partners_come_latest_first(store: Arc<dyn Store>) {
    let [ann, bob, cid, dan] = people(&*store, [2, 1, 3, 4]).await;
    assert_eq!(partners(&*store, user_id(9)).await, [], "somebody unknown has no partners");
    let [with_bob, with_cid] = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, cid, ann).await];
    assert_eq!(partners(&*store, ann).await, [], "nothing was said yet");
    say(&*store, 1, with_bob, ann).await;
    assert_eq!(partners(&*store, ann).await, [bob]);
    assert_eq!(partners(&*store, bob).await, [ann], "the one who only listens has a partner too");
    say(&*store, 2, with_cid, cid).await;
    assert_eq!(partners(&*store, ann).await, [cid, bob]);
    say(&*store, 3, with_bob, bob).await;
    assert_eq!(partners(&*store, ann).await, [bob, cid]);
    // In the same millisecond the order of commit decides.
    let with_dan = direct(&*store, 3, dan, ann).await;
    for (n, conversation) in [(5, with_cid), (4, with_dan), (6, with_bob), (7, with_cid)] {
        let mut new = new_message(n, conversation, ann);
        new.at = at(90_000);
        append(&*store, new).await;
    }
    assert_eq!(partners(&*store, ann).await, [cid, bob, dan]);
    assert_eq!(partners(&*store, dan).await, [ann]);
}

/// Rooms make no chat partners, and neither do notes to oneself.
pub async fn only_direct_conversations_with_others_make_chat_partners(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let own = direct(&*store, 1, ann, ann).await;
    let cast = [ann, bob, cid].map(|user| member(user, Role::Member, 1)).to_vec();
    store.create_room(new_room(2, cast, ann)).await.unwrap().unwrap();
    say(&*store, 1, own, ann).await;
    say(&*store, 2, conversation_id(2), ann).await;
    say(&*store, 3, conversation_id(2), bob).await;
    assert_eq!(partners(&*store, ann).await, []);
    let with_cid = direct(&*store, 3, ann, cid).await;
    say(&*store, 4, with_cid, ann).await;
    say(&*store, 5, own, ann).await;
    for (user, expected) in [(ann, vec![cid]), (bob, vec![]), (cid, vec![ann])] {
        assert_eq!(partners(&*store, user).await, expected, "the partners of {user}");
    }
}

/// Deleted messages do not count for chat partners, and count again when they are restored, with their old place.
pub async fn deleted_messages_make_no_chat_partners(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let [with_bob, with_cid] = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, ann, cid).await];
    for (n, conversation) in [(1, with_bob), (2, with_cid), (3, with_bob)] {
        say(&*store, n, conversation, ann).await;
    }
    assert_eq!(partners(&*store, ann).await, [bob, cid]);
    delete(&*store, message_id(3)).await;
    assert_eq!(
        partners(&*store, ann).await,
        [cid, bob],
        "the message before the deleted one is the latest now"
    );
    delete(&*store, message_id(1)).await;
    assert_eq!(partners(&*store, ann).await, [cid], "nothing is left with bob");
    assert_eq!(partners(&*store, bob).await, []);
    restore(&*store, message_id(1), 99_000).await;
    assert_eq!(
        partners(&*store, ann).await,
        [cid, bob],
        "restoring an old message does not make it a late one"
    );
    restore(&*store, message_id(3), 99_001).await;
    assert_eq!(partners(&*store, ann).await, [bob, cid]);
}
