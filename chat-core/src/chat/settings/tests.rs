//! What a member sets for a conversation, from outside.

use super::*;
use crate::command::{AddMember, Destination, RemoveMember};
use crate::event::Event;
use crate::model::ChatSettingsPatch;
use crate::testing::{Scene, with};

async fn set(scene: &Scene, of: Destination, patch: ChatSettingsPatch) -> Outcome<ChatSet> {
    scene.run(scene.ann, SetChatSettings { of, patch }).await
}

async fn listed(scene: &Scene, of: UserId, after: Option<ConversationId>, limit: usize) -> ChatSetPage {
    scene.reply(of, ListChatSettings { after, limit }).await
}

fn draft(text: &str) -> ChatSettingsPatch {
    ChatSettingsPatch { draft: Some(text.into()), ..ChatSettingsPatch::default() }
}

#[tokio::test]
async fn only_the_own_devices_are_told_and_only_once() {
    let scene = Scene::new().await;
    let with_bob = || with(scene.bob);
    let told = set(&scene, with_bob(), draft("dear bob")).await;
    let [event] = &told.deliveries[..] else { panic!("it is told of once") };
    assert!(event.audience.includes(scene.ann) && !event.audience.includes(scene.bob));
    let Event::ChatSettingsChanged { conversation, settings, .. } = &event.event else { panic!("{event:?}") };
    assert_eq!((*conversation, settings), (told.reply.conversation, &told.reply.settings));
    assert_eq!(settings.draft, "dear bob");
    assert!(set(&scene, with_bob(), draft("dear bob")).await.deliveries.is_empty());
    assert_eq!(listed(&scene, scene.bob, None, 9).await, ChatSetPage::default(), "it is not his");
    set(&scene, with_bob(), draft("")).await;
    assert_eq!(listed(&scene, scene.ann, None, 9).await, ChatSetPage::default(), "nothing is left of it");
}

#[tokio::test]
async fn they_are_listed_in_pages() {
    let scene = Scene::new().await;
    let mut rooms = vec![
        scene.room(scene.ann, &[]).await,
        scene.room(scene.ann, &[]).await,
        scene.room(scene.ann, &[]).await,
    ];
    for room in &rooms {
        set(&scene, Destination::Conversation(*room), draft("x")).await;
    }
    rooms.sort_unstable();
    let first = listed(&scene, scene.ann, None, 2).await;
    let ids = |page: &ChatSetPage| page.chats.iter().map(|chat| chat.conversation).collect::<Vec<_>>();
    assert_eq!((ids(&first), first.next), (rooms[..2].to_vec(), Some(rooms[1])));
    let last = listed(&scene, scene.ann, first.next, 2).await;
    assert_eq!((ids(&last), last.next), (rooms[2..].to_vec(), None));
}

#[tokio::test]
async fn who_is_outside_sets_nothing_and_who_leaves_keeps_nothing() {
    let scene = Scene::new().await;
    let room = scene.room(scene.ann, &[]).await;
    let here = || Destination::Conversation(room);
    let set = SetChatSettings { of: here(), patch: draft("x") };
    let refused = scene.refused(scene.bob, set.clone()).await;
    assert!(matches!(refused, Error::ConversationNotFound), "{refused:?}");
    scene.run(scene.ann, AddMember { room, user: scene.bob }).await;
    scene.run(scene.bob, set).await;
    scene.run(scene.bob, RemoveMember { room, user: scene.bob }).await;
    assert_eq!(listed(&scene, scene.bob, None, 9).await, ChatSetPage::default());
    let long = draft(&"x".repeat(ChatSettings::MAX_DRAFT_BYTES + 1));
    let refused = scene.refused(scene.ann, SetChatSettings { of: here(), patch: long }).await;
    assert!(matches!(refused, Error::TooLarge { field: "draft", .. }), "{refused:?}");
}
