//! What a class promises holds for every command of the list.

use std::collections::BTreeSet;

use super::*;
use crate::aspects::edits::{EditMessage, ReadEdits};
use crate::aspects::hiding::HideMessage;
use crate::aspects::pins::{ListPins, PinMessage};
use crate::aspects::threads::{FollowThread, ListThreads, ReadThread};
use crate::chat::{FirstToken, Registration, SessionLives};
use crate::history::Window;
use crate::id::LoginSessionId;
use crate::model::{
    ChatSettingsPatch, Content, JoinOrder, PasswordHash, Position, ProfilePatch, RelationAct, Role,
    TokenHash, Visibility,
};
use crate::reactions::{Reacting, SetReaction};
use crate::reports::{CreateReport, ListReports, Queue, Reported, ReportedAs, Resolution, ResolveReport};
use crate::rooms::{ListBans, Muting, SetBan, SetMute, UpdateRoom};

struct Scene {
    chat: Chat,
    ann: Actor,
    bob: UserId,
}

impl Scene {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid", "dan"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, ann: Actor { user: people[0] }, bob: people[1] }
    }

    fn with_bob(&self) -> Destination {
        Destination::Person(UserKey::Id(self.bob))
    }

    async fn message(&self, from: Actor, to: UserId) -> MessageId {
        let to = Destination::Person(UserKey::Id(to));
        let send = SendMessage {
            to,
            content: Content::text("hello"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        self.chat.execute(&from, send).await.unwrap().reply.message.id
    }

    async fn room(&self) -> ConversationId {
        let create =
            CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![self.bob] };
        self.chat.execute(&self.ann, create).await.unwrap().reply.id
    }

    async fn session(&self, n: u8) -> LoginSessionId {
        let first = FirstToken { family: TokenHash([n; 32]), token: TokenHash([n; 32]) };
        let hour = std::time::Duration::from_secs(3600);
        let lives = SessionLives { access: hour, refresh: hour };
        self.chat.start_session(self.ann.user, "laptop", first, lives).await.unwrap().reply.id
    }

    /// Every command, so that it has something to read, change or tell.
    async fn commands(&self) -> Vec<Command> {
        let deleted = self.message(self.ann, self.bob).await;
        self.chat.execute(&self.ann, DeleteMessage { message: deleted }).await.unwrap();
        self.message(Actor { user: self.bob }, self.ann.user).await;
        let (one, another, third) = (self.room().await, self.room().await, self.room().await);
        let named = async |name: &str| {
            let key = UserKey::Username(name.into());
            self.chat.find_user(&key).await.unwrap().unwrap().id
        };
        let (cid, dan) = (named("cid").await, named("dan").await);
        let to = Destination::Conversation(third);
        let send = SendMessage {
            to,
            content: Content::text("x"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let said = self.chat.execute(&Actor { user: self.bob }, send).await.unwrap().reply.message.id;
        let (about, text) = (Reported::Message(said), String::new());
        let create = CreateReport { about, reason: ReportedAs::Abuse, text };
        let report = self.chat.execute(&self.ann, create).await.unwrap().reply.id;
        self.session(3).await;
        vec![
            SendMessage {
                to: self.with_bob(),
                content: Content::text("hello"),
                client_id: None,
                fingerprint: None,
                context: Default::default(),
            }
            .into(),
            DeleteMessage { message: self.message(self.ann, self.bob).await }.into(),
            RestoreMessage { message: deleted }.into(),
            ReadReceipts { message: self.message(self.ann, self.bob).await, after: JoinOrder(0), limit: 9 }
                .into(),
            CreateReport { about: Reported::User(self.bob), reason: ReportedAs::Spam, text: String::new() }
                .into(),
            ListReports { of: Queue::Room(one), resolved: false, after: None, limit: 9 }.into(),
            ResolveReport { of: Queue::Room(third), report, action: Resolution::Acted }.into(),
            EditMessage { message: self.message(self.ann, self.bob).await, text: "hello again".into() }
                .into(),
            ReadEdits { message: self.message(self.ann, self.bob).await }.into(),
            PinMessage { message: self.message(self.ann, self.bob).await, pinned: true }.into(),
            ListPins { of: self.with_bob() }.into(),
            ReadThread { root: self.message(self.ann, self.bob).await, before: None, limit: 9 }.into(),
            ListThreads { after: None, limit: 9 }.into(),
            FollowThread { root: self.message(self.ann, self.bob).await, following: true }.into(),
            HideMessage { message: self.message(self.ann, self.bob).await, hidden: true }.into(),
            SetReaction {
                message: self.message(self.ann, self.bob).await,
                emoji: "👍".into(),
                reacting: Reacting::Add,
            }
            .into(),
            ReadHistory { of: self.with_bob(), window: Window::Latest { limit: 9 }, include_deleted: true }
                .into(),
            MarkRead { of: self.with_bob(), up_to: ReadUpTo::TheLast }.into(),
            ListUnread { limit: 9 }.into(),
            ListUsers { limit: 9 }.into(),
            SearchUsers { prefix: "an".into(), after: None, limit: 9 }.into(),
            ListChatPartners { limit: 9 }.into(),
            ReadChanges { since: Some(Position(0).into()), limit: 9 }.into(),
            Search { text: "hello".into(), limit: 9, ..Search::default() }.into(),
            UpdateProfile {
                patch: ProfilePatch { full_name: Some("Ann".into()), ..ProfilePatch::default() },
            }
            .into(),
            ChangeRelation { with: cid, act: RelationAct::Block }.into(),
            ListRelations { kind: RelationKind::Blocked, after: None, limit: 9 }.into(),
            SetChatSettings {
                of: self.with_bob(),
                patch: ChatSettingsPatch { archived: Some(true), ..ChatSettingsPatch::default() },
            }
            .into(),
            ListChats { archived: None, after: None, limit: 9 }.into(),
            ListChatSettings { after: None, limit: 9 }.into(),
            SetTyping { to: self.with_bob(), typing: true }.into(),
            CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![] }.into(),
            AddMember { room: one, user: dan }.into(),
            RemoveMember { room: another, user: self.bob }.into(),
            SetRole { room: third, user: self.bob, role: Role::Moderator }.into(),
            UpdateRoom { room: one, slow_mode: Some(30) }.into(),
            SetBan { room: another, user: cid, is_banned: true }.into(),
            ListBans { room: another, after: None, limit: 9 }.into(),
            SetMute { room: third, user: self.bob, muting: Muting::ForEver }.into(),
            ReadMembers { of: third, after: JoinOrder(0), limit: 9 }.into(),
            ListSessions { current: None }.into(),
            EndSession { session: self.session(1).await }.into(),
            EndOtherSessions { current: Some(self.session(2).await) }.into(),
        ]
    }
}

#[tokio::test]
async fn every_command_does_what_its_class_says() {
    let scene = Scene::new().await;
    let mut tried = BTreeSet::new();
    for command in scene.commands().await {
        let (name, class) = (command.as_command().name(), command.class());
        tried.insert(name);
        let before = scene.chat.store().last_position().await.unwrap();
        let outcome = scene.chat.execute(&scene.ann, command).await.unwrap();
        let after = scene.chat.store().last_position().await.unwrap();
        let told: Vec<_> = outcome.deliveries.iter().map(|delivery| delivery.position).collect();
        match class {
            Class::Reads => {
                assert_eq!((told, after), (vec![], before), "{name} changes nothing, and tells nobody");
            }
            // Nobody is notified of reports.
            Class::Writes if ["CreateReport", "ResolveReport"].contains(&name) => {
                assert_eq!((told, after), (vec![], before), "{name} is in no log");
            }
            Class::Writes => {
                assert_eq!(after, Position(before.0 + 1), "{name} is in the log");
                assert_eq!(told, [Some(after)], "{name} is told of with its position");
            }
            Class::Ephemeral => {
                assert_eq!((told, after), (vec![None], before), "{name} is told of and in no log");
            }
        }
    }
    assert_eq!(tried, NAMES.iter().copied().collect(), "every command is tried");
}

#[tokio::test]
async fn a_reply_is_the_same_whether_its_command_is_known_or_not() {
    let scene = Scene::new().await;
    scene.message(scene.ann, scene.bob).await;
    let read =
        ReadHistory { of: scene.with_bob(), window: Window::Latest { limit: 9 }, include_deleted: false };
    let typed = scene.chat.execute(&scene.ann, read.clone()).await.unwrap().reply;
    let any = scene.chat.execute(&scene.ann, Command::from(read)).await.unwrap().reply;
    assert_eq!(typed.messages.len(), 1);
    assert_eq!(format!("{:?}", typed.as_reply()), format!("{:?}", any.as_reply()));
}
