//! The chat list, from outside.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::command::{Destination, SetChatSettings};
use crate::model::{ChatSettingsPatch, Role};
use crate::reactions::{Reacting, SetReaction};
use crate::store::MemoryStore;
use crate::testing::{Scene, with};

async fn room(scene: &Scene) -> ConversationId {
    scene.room(scene.ann, &[scene.bob]).await
}

async fn set(scene: &Scene, of: ConversationId, patch: ChatSettingsPatch) {
    scene.run(scene.ann, SetChatSettings { of: Destination::Conversation(of), patch }).await;
}

async fn list(scene: &Scene, archived: Option<bool>) -> Vec<ConversationId> {
    let mut all = Vec::new();
    // Pages of every size show the same.
    for limit in [100, 1, 2, 3] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = scene.reply(scene.ann, ListChats { archived, after, limit }).await;
            assert!(page.chats.len() <= limit);
            seen.extend(page.chats.into_iter().map(|chat| chat.conversation));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(all.is_empty() || all == seen, "{limit}");
        all = seen;
    }
    all
}

fn to(conversation: ConversationId) -> Destination {
    Destination::Conversation(conversation)
}

#[tokio::test]
async fn pinned_comes_first_and_then_what_was_said_last() {
    let scene = Scene::new().await;
    let mut rooms = Vec::new();
    for _ in 0..4 {
        rooms.push(room(&scene).await);
    }
    let [a, b, c, d] = rooms[..] else { panic!("four") };
    for room in [c, a, b] {
        scene.say(scene.ann, to(room), "x").await;
    }
    assert_eq!(list(&scene, None).await, [b, a, c, d], "the empty one comes last");
    let pinned = ChatSettingsPatch { pinned: Some(true), ..ChatSettingsPatch::default() };
    let archived = ChatSettingsPatch { archived: Some(true), ..ChatSettingsPatch::default() };
    for room in [c, d] {
        set(&scene, room, pinned.clone()).await;
    }
    set(&scene, a, archived).await;
    assert_eq!(list(&scene, None).await, [c, d, b, a]);
    assert_eq!(list(&scene, Some(false)).await, [c, d, b]);
    assert_eq!(list(&scene, Some(true)).await, [a]);
}

#[tokio::test]
async fn a_conversation_is_shown_with_all_that_a_list_needs() {
    let scene = Scene::new().await;
    let first = scene.say(scene.bob, with(scene.ann), "hello").await.message;
    let room = room(&scene).await;
    let said = scene.say(scene.bob, to(room), "x").await.message;
    scene
        .reply(scene.ann, SetReaction { message: said.id, emoji: "👍".into(), reacting: Reacting::Add })
        .await;
    let draft = ChatSettingsPatch { draft: Some("dear bob".into()), ..ChatSettingsPatch::default() };
    set(&scene, first.conversation, draft).await;
    let list = ListChats { archived: None, after: None, limit: 9 };
    let page = scene.reply(scene.ann, list).await;
    let [club, direct] = &page.chats[..] else { panic!("{page:?}") };
    assert_eq!((page.next, club.conversation, direct.conversation), (None, room, first.conversation));
    let members: Vec<_> = club.first_members.iter().map(|(user, role)| (user.id, *role)).collect();
    assert_eq!(members, [(scene.ann, Role::Admin), (scene.bob, Role::Member)]);
    let last = club.last.as_ref().unwrap();
    assert_eq!((last.id, last.annexes.reactions.len()), (said.id, 1));
    assert_eq!((club.unread, club.member_count, &club.other), (1, 2, &None));
    assert_eq!(direct.other.as_ref().map(|user| user.id), Some(scene.bob));
    assert!(direct.first_members.is_empty());
    assert_eq!((direct.settings.draft.as_str(), direct.unread), ("dear bob", 1));
    assert_eq!(direct.last.as_ref().unwrap().content.text.as_ref(), "hello");
    // An empty direct conversation is nobody's business until there are settings.
    let eve = || with(scene.eve);
    let pin = ChatSettingsPatch { pinned: Some(true), ..ChatSettingsPatch::default() };
    let set = scene.reply(scene.ann, SetChatSettings { of: eve(), patch: pin }).await;
    assert_eq!(scene.reply(scene.ann, list).await.chats[0].conversation, set.conversation);
    let unpin = ChatSettingsPatch { pinned: Some(false), ..ChatSettingsPatch::default() };
    scene.reply(scene.ann, SetChatSettings { of: eve(), patch: unpin }).await;
    assert_eq!(scene.reply(scene.ann, list).await.chats.len(), 2);
}

#[tokio::test]
async fn long_messages_end_a_page() {
    let scene = Scene::new().await;
    let limits = crate::policy::Limits { answer_bytes: 100, ..crate::policy::Limits::default() };
    let scene = scene.with_limits(limits);
    let long = "x".repeat(80);
    for _ in 0..3 {
        let room = room(&scene).await;
        scene.say(scene.ann, to(room), &long).await;
    }
    let all = list(&scene, None).await;
    assert_eq!(all.len(), 3);
    let page = scene.reply(scene.ann, ListChats { archived: None, after: None, limit: 9 }).await;
    assert!(page.chats.len() < 3 && page.next.is_some());
}

#[tokio::test]
async fn drafts_are_whole_however_many_there_are() {
    let scene = Scene::new().await;
    let draft = "y".repeat(ChatSettings::MAX_DRAFT_BYTES);
    for _ in 0..=MAX_DRAFTS / ChatSettings::MAX_DRAFT_BYTES {
        let room = room(&scene).await;
        set(&scene, room, ChatSettingsPatch { draft: Some(draft.clone()), ..ChatSettingsPatch::default() })
            .await;
    }
    let page = scene.reply(scene.ann, ListChats { archived: None, after: None, limit: 200 }).await;
    assert!(page.chats.len() > MAX_DRAFTS / draft.len() && page.next.is_none());
    assert!(page.chats.iter().all(|chat| chat.settings.draft == draft));
}

/// The list costs the same few calls of the store, however many conversations it shows.
#[tokio::test]
async fn a_list_of_200_costs_as_many_calls_as_a_list_of_2() {
    let calls = async |count: usize| {
        let store = Arc::new(MemoryStore::new());
        let scene = Scene::of(Chat::new(store.clone())).await;
        for _ in 0..count {
            let room = room(&scene).await;
            scene.say(scene.bob, to(room), "x").await;
        }
        // Another process, which has nothing in memory.
        let scene = Scene { chat: Chat::new(store.clone()), ..scene };
        let before = store.calls.load(Ordering::Relaxed);
        let list = ListChats { archived: None, after: None, limit: 200 };
        assert_eq!(scene.reply(scene.ann, list).await.chats.len(), count);
        store.calls.load(Ordering::Relaxed) - before
    };
    let (few, many) = (calls(2).await, calls(200).await);
    assert_eq!(few, many);
    // Two of them find out whether the person has hidden anything, and is mentioned anywhere.
    assert!(few <= 6, "{few}");
}
