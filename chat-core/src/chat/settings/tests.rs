//! What a member sets for a conversation, from outside.

use super::*;
use crate::chat::Registration;
use crate::command::{Actor, AddMember, CreateRoom, Destination, RemoveMember, Request};
use crate::event::Event;
use crate::model::{ChatSettingsPatch, PasswordHash, UserKey, Visibility};

struct Scene {
    chat: Chat,
    ann: UserId,
    bob: UserId,
}

impl Scene {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, ann: people[0], bob: people[1] }
    }

    async fn by<R: Request>(&self, actor: UserId, request: R) -> Result<Outcome<R::Reply>, Error> {
        self.chat.execute(&Actor { user: actor }, request).await
    }

    async fn set(&self, of: Destination, patch: ChatSettingsPatch) -> Result<Outcome<ChatSet>, Error> {
        self.by(self.ann, SetChatSettings { of, patch }).await
    }

    async fn listed(&self, of: UserId, after: Option<ConversationId>, limit: usize) -> ChatSetPage {
        self.by(of, ListChatSettings { after, limit }).await.unwrap().reply
    }

    async fn room(&self) -> ConversationId {
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![] };
        self.by(self.ann, create).await.unwrap().reply.id
    }
}

fn draft(text: &str) -> ChatSettingsPatch {
    ChatSettingsPatch { draft: Some(text.into()), ..ChatSettingsPatch::default() }
}

#[tokio::test]
async fn only_the_own_devices_are_told_and_only_once() {
    let scene = Scene::new().await;
    let with_bob = || Destination::Person(UserKey::Id(scene.bob));
    let set = scene.set(with_bob(), draft("dear bob")).await.unwrap();
    let [told] = &set.deliveries[..] else { panic!("it is told of once") };
    assert!(told.audience.includes(scene.ann) && !told.audience.includes(scene.bob));
    let Event::ChatSettingsChanged { conversation, settings, .. } = &told.event else { panic!("{told:?}") };
    assert_eq!((*conversation, settings), (set.reply.conversation, &set.reply.settings));
    assert_eq!(settings.draft, "dear bob");
    assert!(scene.set(with_bob(), draft("dear bob")).await.unwrap().deliveries.is_empty());
    assert_eq!(scene.listed(scene.bob, None, 9).await, ChatSetPage::default(), "it is not his");
    scene.set(with_bob(), draft("")).await.unwrap();
    assert_eq!(scene.listed(scene.ann, None, 9).await, ChatSetPage::default(), "nothing is left of it");
}

#[tokio::test]
async fn they_are_listed_in_pages() {
    let scene = Scene::new().await;
    let mut rooms = vec![scene.room().await, scene.room().await, scene.room().await];
    for room in &rooms {
        scene.set(Destination::Conversation(*room), draft("x")).await.unwrap();
    }
    rooms.sort_unstable();
    let first = scene.listed(scene.ann, None, 2).await;
    let ids = |page: &ChatSetPage| page.chats.iter().map(|chat| chat.conversation).collect::<Vec<_>>();
    assert_eq!((ids(&first), first.next), (rooms[..2].to_vec(), Some(rooms[1])));
    let last = scene.listed(scene.ann, first.next, 2).await;
    assert_eq!((ids(&last), last.next), (rooms[2..].to_vec(), None));
}

#[tokio::test]
async fn who_is_outside_sets_nothing_and_who_leaves_keeps_nothing() {
    let scene = Scene::new().await;
    let room = scene.room().await;
    let here = || Destination::Conversation(room);
    let set = SetChatSettings { of: here(), patch: draft("x") };
    let refused = scene.by(scene.bob, set.clone()).await;
    assert!(matches!(refused, Err(Error::ConversationNotFound)), "{refused:?}");
    scene.by(scene.ann, AddMember { room, user: scene.bob }).await.unwrap();
    scene.by(scene.bob, set).await.unwrap();
    scene.by(scene.bob, RemoveMember { room, user: scene.bob }).await.unwrap();
    assert_eq!(scene.listed(scene.bob, None, 9).await, ChatSetPage::default());
    let long = draft(&"x".repeat(ChatSettings::MAX_DRAFT_BYTES + 1));
    let refused = scene.set(here(), long).await;
    assert!(matches!(refused, Err(Error::TooLarge { field: "draft", .. })), "{refused:?}");
}
