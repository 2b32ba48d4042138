//! What is told live, later, and by another process is the same, for every kind of change.

use std::collections::HashSet;

use super::*;
use crate::aspects::context::Context;
use crate::aspects::edits::EditMessage;
use crate::aspects::hiding::HideMessage;
use crate::aspects::pins::PinMessage;
use crate::aspects::threads::FollowThread;
use crate::change::ChangeKind;
use crate::chat::{FirstToken, Registration, SessionLives};
use crate::clock::{ManualClock, Timestamp};
use crate::command::{
    Actor, AddMember, ChangeRelation, Command, CreateRoom, DeleteMessage, Destination, EndSession,
    ListChatPartners, MarkRead, ReadHistory, ReadUpTo, RemoveMember, Request, RestoreMessage, SendMessage,
    SetChatSettings, SetRole, UpdateProfile,
};
use crate::event::Audience;
use crate::history::Window;
use crate::id::{LoginSessionId, MessageId};
use crate::model::{
    ChatSettingsPatch, Content, PasswordHash, ProfilePatch, RelationAct, Role, TokenHash, UserKey, Visibility,
};
use crate::reactions::{Reacting, SetReaction};
use crate::rooms::{Muting, SetBan, SetMute, UpdateRoom};
use crate::store::MemoryStore;

/// Two processes over one store, and people who use the first one.
struct Scene {
    here: Chat,
    there: Chat,
    ann: UserId,
    bob: UserId,
    cid: UserId,
}

impl Scene {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let here = Chat::new(store.clone()).with_clock(clock.clone());
        let there = Chat::new(store).with_clock(clock);
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(here.register(registration).await.unwrap().user.id);
        }
        Self { here, there, ann: people[0], bob: people[1], cid: people[2] }
    }

    fn with_bob(&self) -> Destination {
        Destination::Person(UserKey::Id(self.bob))
    }

    async fn room(&self) -> ConversationId {
        let members = vec![self.bob];
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members };
        self.here.execute(&Actor { user: self.ann }, create).await.unwrap().reply.id
    }

    async fn message(&self, to: Destination) -> MessageId {
        self.send(to, None).await
    }

    async fn send(&self, to: Destination, thread: Option<MessageId>) -> MessageId {
        let context = Context { thread, ..Context::default() };
        let content = Content::text("hello");
        let send = SendMessage { to, content, client_id: None, fingerprint: None, context };
        self.here.execute(&Actor { user: self.ann }, send).await.unwrap().reply.message.id
    }

    async fn session(&self) -> LoginSessionId {
        let hour = std::time::Duration::from_secs(3_600);
        let (first, lives) = (TokenHash([1; 32]), SessionLives { access: hour, refresh: hour });
        let first = FirstToken { family: first, token: first };
        self.here.start_session(self.ann, "phone", first, lives).await.unwrap().reply.id
    }

    /// A command of Ann for every kind of change, and the room that most of them are about.
    async fn commands(&self) -> (ConversationId, Vec<Command>) {
        let room = self.room().await;
        let in_room = || Destination::Conversation(room);
        let (message, deleted) = (self.message(in_room()).await, self.message(self.with_bob()).await);
        let hidden = self.message(in_room()).await;
        let reply = self.send(in_room(), Some(message)).await;
        self.here.execute(&Actor { user: self.ann }, DeleteMessage { message: deleted }).await.unwrap();
        let send = |to| SendMessage {
            to,
            content: Content::text("hello"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let patch = ProfilePatch { full_name: Some("Anna".into()), picture: None };
        let pin = ChatSettingsPatch { pinned: Some(true), ..ChatSettingsPatch::default() };
        let commands = vec![
            send(self.with_bob()).into(),
            send(in_room()).into(),
            SetReaction { message, emoji: "👍".into(), reacting: Reacting::Toggle }.into(),
            EditMessage { message, text: "hello again".into() }.into(),
            HideMessage { message: hidden, hidden: true }.into(),
            PinMessage { message, pinned: true }.into(),
            DeleteMessage { message: reply }.into(),
            RestoreMessage { message: reply }.into(),
            FollowThread { root: message, following: false }.into(),
            DeleteMessage { message }.into(),
            RestoreMessage { message: deleted }.into(),
            CreateRoom { name: "new".into(), visibility: Visibility::Public, members: vec![self.bob] }.into(),
            AddMember { room, user: self.cid }.into(),
            send(in_room()).into(),
            SetRole { room, user: self.bob, role: Role::Moderator }.into(),
            SetMute { room, user: self.cid, muting: Muting::ForEver }.into(),
            UpdateRoom { room, slow_mode: Some(30) }.into(),
            MarkRead { of: in_room(), up_to: ReadUpTo::TheLast }.into(),
            UpdateProfile { patch }.into(),
            ChangeRelation { with: self.cid, act: RelationAct::Block }.into(),
            ChangeRelation { with: self.cid, act: RelationAct::Unblock }.into(),
            SetChatSettings { of: in_room(), patch: pin }.into(),
            send(in_room()).into(),
            EndSession { session: self.session().await }.into(),
            RemoveMember { room, user: self.cid }.into(),
            SetBan { room, user: self.cid, is_banned: true }.into(),
            send(in_room()).into(),
        ];
        (room, commands)
    }

    /// Has a process look up all that changes, so that it remembers it.
    async fn remember(&self, chat: &Chat, rooms: &[ConversationId]) {
        for user in [self.ann, self.bob, self.cid] {
            chat.find_user(&UserKey::Id(user)).await.unwrap();
            chat.execute(&Actor { user }, ListChatPartners { limit: 9 }).await.unwrap();
            for room in rooms {
                let of = Destination::Conversation(*room);
                let window = Window::Latest { limit: 9 };
                let read = ReadHistory { of, window, include_deleted: true };
                // Refused when they are not in it, which is remembered all the same.
                let _ = chat.execute(&Actor { user }, read).await;
            }
        }
    }
}

/// A delivery without what is not of the change: when people were last seen.
fn plain(mut delivery: Delivery) -> String {
    let seen = |user: &mut Arc<User>| Arc::make_mut(user).last_seen = None;
    match &mut delivery.event {
        Event::MessageSent(view) | Event::MessageDeleted(view) | Event::MessageRestored(view) => {
            seen(&mut view.sender);
            view.recipient.iter_mut().for_each(seen);
        }
        Event::ProfileUpdated(user)
        | Event::UserRegistered(user)
        | Event::MessagesRead { user, .. }
        | Event::RelationChanged { with: user, .. }
        | Event::TypingChanged { user, .. } => seen(user),
        Event::MessageChanged(changed) => {
            if let Some(view) = &mut changed.view {
                seen(&mut view.sender);
                view.recipient.iter_mut().for_each(seen);
            }
        }
        Event::RoomCreated { .. }
        | Event::ChatSettingsChanged { .. }
        | Event::MemberAdded { .. }
        | Event::MemberRemoved { .. }
        | Event::RoleChanged { .. }
        | Event::RoomChanged { .. }
        | Event::SessionEnded { .. } => {}
    }
    format!("{delivery:#?}")
}

/// The kind of change that an event tells of. All of them have to be made by [`Scene::commands`].
fn kind(event: &Event) -> Option<ChangeKind> {
    Some(match event {
        Event::MessageSent(_) => ChangeKind::MessageSent,
        Event::MessageDeleted(_) => ChangeKind::MessageDeleted,
        Event::MessageRestored(_) => ChangeKind::MessageRestored,
        Event::MessageChanged(changed) => ChangeKind::MessageChanged(changed.what.aspect()),
        Event::RoomCreated { .. } => ChangeKind::RoomCreated,
        Event::MemberAdded { .. } => ChangeKind::MemberAdded,
        Event::MemberRemoved { .. } => ChangeKind::MemberRemoved,
        Event::RoleChanged { .. } => ChangeKind::RoleChanged,
        Event::RoomChanged { .. } => ChangeKind::RoomChanged,
        Event::MessagesRead { .. } => ChangeKind::ReadMarked,
        Event::ProfileUpdated(_) => ChangeKind::ProfileUpdated,
        Event::RelationChanged { .. } => ChangeKind::RelationChanged,
        Event::ChatSettingsChanged { .. } => ChangeKind::ChatSettingsChanged,
        Event::SessionEnded { .. } => ChangeKind::SessionEnded,
        Event::UserRegistered(_) | Event::TypingChanged { .. } => return None,
    })
}

#[tokio::test]
async fn what_is_told_live_is_told_later_and_elsewhere() {
    let scene = Scene::new().await;
    let mut tried = HashSet::new();
    let (room, commands) = scene.commands().await;
    let mut rooms = vec![room];
    for command in commands {
        scene.remember(&scene.there, &rooms).await;
        let name = command.as_command().name();
        let outcome = scene.here.execute(&Actor { user: scene.ann }, command).await.unwrap();
        assert!(!outcome.deliveries.is_empty(), "{name} is told of");
        for live in &outcome.deliveries {
            let Position(position) = live.position.expect("it is in the log");
            tried.extend(kind(&live.event));
            let before = Position(position - 1);
            let read = scene.here.changes_after(before, 1).await.unwrap().unwrap().remove(0);
            assert_eq!(plain(read), plain(live.clone()), "{name}, read from the log");
            let reader = if live.audience.includes(scene.bob) { scene.bob } else { scene.ann };
            let (mut mine, _) = scene.here.changes_for(reader, before, 1).await.unwrap().unwrap();
            assert_eq!(plain(mine.remove(0)), plain(live.clone()), "{name}, read for one who is told");
            // This one remembers what was so before the change.
            let heard = scene.there.changes_after(before, 1).await.unwrap().unwrap().remove(0);
            assert_eq!(plain(heard), plain(live.clone()), "{name}, read by another process");
            if let Event::RoomCreated { room, .. } = &live.event {
                rooms.push(room.id);
            }
        }
    }
    assert_eq!(tried, ChangeKind::all().collect(), "every kind of change was made");
}

/// The same when it is read much later: messages, rooms and people are as they are now, who is told and of what is not changed.
#[tokio::test]
async fn a_change_is_told_with_what_is_so_now() {
    let scene = Scene::new().await;
    let ann = Actor { user: scene.ann };
    let message = scene.message(scene.with_bob()).await;
    scene.here.execute(&ann, DeleteMessage { message }).await.unwrap();
    let patch = ProfilePatch { full_name: Some("Anna".into()), picture: None };
    scene.here.execute(&ann, UpdateProfile { patch }).await.unwrap();
    let read = scene.here.changes_after(Position(0), 9).await.unwrap().unwrap();
    let Event::MessageSent(view) = &read[0].event else { panic!("it was sent first: {:?}", read[0]) };
    assert!(view.message.deleted.is_some() && view.sender.full_name == "Anna");
    assert!(matches!(&read[0].audience, Audience::Members(members) if members.id == view.conversation.id));
}

/// A role that was changed elsewhere is known here as soon as that was read, though nothing was asked of it since.
#[tokio::test]
async fn what_is_heard_of_is_not_remembered_as_it_was() {
    let scene = Scene::new().await;
    let room = scene.room().await;
    scene.remember(&scene.there, &[room]).await;
    let before = scene.there.store().last_position().await.unwrap();
    let bob = Actor { user: scene.bob };
    let add = AddMember { room, user: scene.cid };
    assert!(scene.there.execute(&bob, add.clone()).await.is_err(), "he is no moderator yet");
    let promote = SetRole { room, user: scene.bob, role: Role::Moderator };
    scene.here.execute(&Actor { user: scene.ann }, promote).await.unwrap();
    scene.there.changes_after(before, 9).await.unwrap();
    scene.there.execute(&bob, add).await.unwrap();
}
