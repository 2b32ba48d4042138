//! The chat list.

use std::sync::Arc;

use super::read_marks::say_many;
use super::support::{
    add, at, chats, create, delete, direct, member, new_room, new_user, people, remove, restore, room, say,
    user_id,
};
use crate::id::{ConversationId, UserId};
use crate::model::{ConversationKind, Pair, Role, Seq};
use crate::store::{Activity, ChatSummary, MEMBERS_SHOWN, Store, UNREAD_MOST};

async fn listed(store: &dyn Store, user: UserId) -> Vec<(Activity, ChatSummary)> {
    chats(store, user).await.expect("the chat list must be readable")
}

/// The conversations in their order, with the last message, the last place, the mark and the unread messages.
async fn brief(store: &dyn Store, user: UserId) -> Vec<(ConversationId, Option<u32>, u32, u32, u32)> {
    let brief = |(_, chat): (Activity, ChatSummary)| {
        let last = chat.last.map(|message| message.seq.0);
        (chat.conversation, last, chat.last_seq.0, chat.read_seq.0, chat.unread)
    };
    listed(store, user).await.into_iter().map(brief).collect()
}

/// A chat list shows the last message that is not deleted and counts what is unread, in direct conversations and rooms.
pub async fn a_chat_list_shows_what_was_said_last_and_what_is_unread(shared: Arc<dyn Store>) {
    let store = &*shared;
    let [ann, bob, cid] = people(store, [1, 2, 3]).await;
    let (club, empty) = (room(store, 1, ann).await, room(store, 2, ann).await);
    add(store, club, ann, bob, 9).await;
    let (with_bob, notes) = (direct(store, 3, ann, bob).await, direct(store, 4, ann, ann).await);
    let first = say(store, 1, with_bob, bob).await;
    let second = say(store, 2, with_bob, bob).await;
    say(store, 3, club, bob).await;
    say(store, 4, notes, ann).await;
    let expected = |with_bob_last, with_bob_unread| {
        let with_bob = (with_bob, with_bob_last, 2, 0, with_bob_unread);
        [(notes, Some(1), 1, 0, 0), (club, Some(1), 1, 0, 1), with_bob, (empty, None, 0, 0, 0)]
    };
    assert_eq!(brief(store, ann).await, expected(Some(2), 2));
    let whole = listed(store, ann).await;
    let (activity, summary) = &whole[2];
    assert!(activity.is_direct && activity.latest.0 > 0);
    assert_eq!(summary.kind, ConversationKind::Direct { pair: Pair::new(ann, bob) });
    assert_eq!(summary.member_count, 2);
    assert_eq!(summary.last.as_ref(), store.message(second).await.unwrap().as_ref());
    assert!(!whole[1].0.is_direct && matches!(whole[1].1.kind, ConversationKind::Room(_)));
    assert_eq!((whole[3].0.latest.0, whole[3].1.member_count), (0, 1));

    delete(store, second).await;
    assert_eq!(brief(store, ann).await, expected(Some(1), 1));
    delete(store, first).await;
    let mut behind = expected(None, 0);
    behind[2..].sort_unstable_by_key(|b| std::cmp::Reverse(b.0));
    assert_eq!(brief(store, ann).await, behind, "nothing that can be seen was said");
    restore(store, second, 21_000).await;
    assert_eq!(brief(store, ann).await, expected(Some(2), 1));
    store.mark_read(with_bob, ann, Some(Seq(1)), at(30_000)).await.unwrap();
    store.mark_read(club, ann, None, at(30_000)).await.unwrap();
    let read = [(notes, Some(1), 1, 0, 0), (club, Some(1), 1, 1, 0), (with_bob, Some(2), 2, 1, 1)];
    assert_eq!(brief(store, ann).await[..3], read);
    assert_eq!(brief(store, cid).await, []);

    // The count has an upper limit.
    let most = u16::try_from(UNREAD_MOST).unwrap();
    say_many(&shared, with_bob, bob, 100..101 + most).await;
    assert_eq!(brief(store, ann).await[0].4, UNREAD_MOST);
}

/// A chat list has the conversations of its user and no others; the first members come in the order of joining.
pub async fn a_chat_list_shows_only_ones_own_conversations(store: Arc<dyn Store>) {
    let store = &*store;
    let [ann, bob, eve] = people(store, [1, 2, 99]).await;
    let others: Vec<_> = (10..10 + MEMBERS_SHOWN as u16).map(user_id).collect();
    for (n, user) in (10..).zip(&others) {
        assert_eq!([*user], people(store, [n]).await);
    }
    let members = [bob, ann].into_iter().chain(others.iter().copied());
    let role = |user| if user == bob { Role::Admin } else { Role::Member };
    let members: Vec<_> = members.map(|user| member(user, role(user), 10)).collect();
    let (_, made) = store.create_room(new_room(1, members.clone(), bob)).await.unwrap().unwrap();
    let [(_, summary)] = &listed(store, ann).await[..] else { panic!("it is one") };
    assert_eq!(summary.member_count, members.len());
    assert_eq!(summary.first_members, members[..MEMBERS_SHOWN]);
    assert_eq!(listed(store, eve).await, []);
    for (user, ids) in [
        (eve, vec![made.id]),
        (user_id(77), vec![made.id]),
        (ann, vec![]),
        (ann, vec![ConversationId::from_bytes([9; 12])]),
    ] {
        assert_eq!(store.summaries(user, &ids).await.unwrap(), []);
    }
    remove(store, made.id, bob, ann, 20).await;
    assert_eq!(listed(store, ann).await, []);
    let [(_, summary)] = &listed(store, bob).await[..] else { panic!("it is one") };
    assert_eq!((summary.member_count, summary.first_members[1].user), (members.len() - 1, others[0]));
}

/// Accounts are found by their ids, each once, and unknown ids are left out.
pub async fn accounts_are_found_by_their_ids(store: Arc<dyn Store>) {
    let [ann, bob, _] = people(&*store, [1, 2, 3]).await;
    let mut found = store.users_by_id(&[bob, user_id(9), ann]).await.unwrap();
    found.sort_unstable_by_key(|user| user.id);
    let all = store.users(2).await.unwrap();
    assert_eq!(found, all);
    assert_eq!(store.users_by_id(&[]).await.unwrap(), []);
}

/// People are found by the beginning of their user names, in pages, without regard to case. Accounts without one are
/// never found, not even by their addresses.
pub async fn people_are_found_by_the_beginning_of_their_names(store: Arc<dyn Store>) {
    let names = [
        "ann",
        "Anna",
        "ANTON",
        "an%",
        "an_x",
        "bob",
        "ännchen",
        "日本",
        "日本語",
        "a\\b",
        "zoe",
        "an\u{10ffff}",
    ];
    for (n, name) in (1..).zip(names) {
        create(&*store, new_user(n, Some(name), Some(&format!("mail-{n}@example.org")))).await;
    }
    create(&*store, new_user(90, None, Some("anonymous@example.org"))).await;
    let found = async |prefix: &str, after: Option<&str>, limit| {
        let users = store.users_named(prefix, after, limit).await.expect("people must be found");
        users.into_iter().map(|user| user.username.clone().expect("a user name")).collect::<Vec<_>>()
    };
    let all = ["an%", "an_x", "ann", "Anna", "ANTON", "an\u{10ffff}"];
    assert_eq!(found("an", None, 99).await, all);
    for limit in 0..=all.len() {
        assert_eq!(found("an", None, limit).await, all[..limit]);
    }
    for (n, name) in all.iter().enumerate() {
        assert_eq!(found("an", Some(&name.to_lowercase()), 99).await, all[n + 1..]);
    }
    assert_eq!(found("ann", None, 99).await, ["ann", "Anna"]);
    assert_eq!(found("anna", None, 99).await, ["Anna"]);
    assert_eq!(found("日本", None, 99).await, ["日本", "日本語"]);
    assert_eq!(found("ä", None, 99).await, ["ännchen"]);
    assert_eq!(found("a\\", None, 99).await, ["a\\b"]);
    for nothing in ["anonymous", "mail", "annaa", "%", "x", "ANN", "\u{10ffff}"] {
        assert_eq!(found(nothing, None, 99).await, Vec::<String>::new(), "{nothing}");
    }
}
