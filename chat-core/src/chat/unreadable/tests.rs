//! What holds for [`unreadable`](super).

use super::*;
use crate::chat::Registration;
use crate::codec::{Blob, Encoding};
use crate::command::{Actor, Destination, ListUnread, ReadHistory, Request, SendMessage};
use crate::history::Window;
use crate::model::{Content, Member, PasswordHash, Role, RoomInfo, UserKey, Visibility};
use crate::store::{MemoryStore, MessageStore, NewMessage, NewRoom, ReadMarkStore, RoomStore};

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 12])
}

#[test]
fn only_so_many_are_remembered() {
    let unreadable = Unreadable::default();
    let [there, elsewhere] = [1, 2].map(|n| ConversationId::from_bytes([n; 12]));
    for _ in 0..2 {
        for seq in 1..=MAX_KNOWN as u32 {
            unreadable.note(there, Seq(seq), id(1));
        }
    }
    unreadable.note(elsewhere, Seq(1), id(2));
    let count = |conversation| UnreadCount {
        conversation,
        last_seq: Seq(MAX_KNOWN as u32),
        read_seq: Seq(MAX_KNOWN as u32 - 3),
        unread: 3,
    };
    assert_eq!(unreadable.among(&count(there), 9).len(), 3);
    assert_eq!(unreadable.among(&count(elsewhere), 9), []);
    unreadable.forget(there, Seq(MAX_KNOWN as u32));
    unreadable.forget(there, Seq(MAX_KNOWN as u32));
    assert_eq!(unreadable.among(&count(there), 9).len(), 2);
    unreadable.note(elsewhere, Seq(MAX_KNOWN as u32), id(2));
    assert_eq!(unreadable.among(&count(elsewhere), 9).len(), 1);
}

struct World {
    chat: Chat,
    store: Arc<MemoryStore>,
    ann: UserId,
    bob: UserId,
    conversation: ConversationId,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let chat = Chat::new(store.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let (ann, bob) = (people[0], people[1]);
        let to = Destination::Person(UserKey::Id(bob));
        let content = Content::text("hello");
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        let view = chat.execute(&Actor { user: ann }, send).await.unwrap().reply;
        Self { chat, store, ann, bob, conversation: view.message.conversation }
    }

    /// A message that nobody can decode.
    async fn damaged(&self, n: u8, sender: UserId) {
        let body = Blob { encoding: Encoding::Huffman, bytes: vec![] };
        self.append(n, sender, body).await;
    }

    async fn append(&self, n: u8, sender: UserId, body: Blob) {
        let (id, at) = (id(n), self.chat.now());
        let new = NewMessage {
            id,
            conversation: self.conversation,
            sender,
            body,
            file_name: None,
            image: None,
            client_id: None,
            fingerprint: None,
            at,
        };
        self.store.append(new).await.unwrap();
    }

    async fn run<R: Request>(&self, request: R) -> R::Reply {
        self.chat.execute(&Actor { user: self.bob }, request).await.unwrap().reply
    }

    async fn read(&self) {
        let of = Destination::Conversation(self.conversation);
        let window = Window::Latest { limit: 50 };
        self.run(ReadHistory { of, window, include_deleted: false }).await;
    }

    async fn unread(&self) -> Vec<u32> {
        let unread = self.run(ListUnread { limit: 9 }).await;
        unread.iter().map(|count| count.unread).collect()
    }
}

#[tokio::test]
async fn what_cannot_be_shown_is_not_unread_once_it_was_met() {
    let mut world = World::new().await;
    let now = world.chat.now();
    world.store.mark_read(world.conversation, world.bob, None, now).await.unwrap();
    // One of the room has no account.
    let nobody = UserId::from_bytes([9; 12]);
    let member = |user| Member { user, role: Role::Member, joined_at: now };
    let members = [world.ann, world.bob, nobody].map(member).into();
    let info = RoomInfo::new("r", Visibility::Private);
    let room = NewRoom { id: ConversationId::from_bytes([7; 12]), info, members, by: world.ann, at: now };
    world.conversation = world.store.create_room(room).await.unwrap().unwrap().1.id;
    let text = Blob { encoding: Encoding::Stored, bytes: b"x".to_vec() };
    world.append(0, world.ann, text.clone()).await;
    world.damaged(1, world.ann).await;
    world.append(2, nobody, text).await;
    world.damaged(3, world.bob).await;
    world.damaged(4, world.ann).await;
    assert_eq!(world.unread().await, [4], "nobody has met them");
    world.read().await;
    assert_eq!(world.unread().await, [1]);

    // One that is deleted is not counted by the store either.
    let (message, conversation, at) = (id(4), world.conversation, world.chat.now());
    let deletion = crate::store::SetDeleted { message, conversation, by: world.ann, delete: true, at };
    world.store.set_deleted(deletion).await.unwrap().unwrap();
    assert_eq!(world.unread().await, [1]);
    world.store.mark_read(world.conversation, world.bob, Some(Seq(1)), world.chat.now()).await.unwrap();
    assert_eq!(world.unread().await, [0; 0], "what remains is nothing");
}

/// A list that becomes shorter since nothing of a conversation can be shown is filled up with others.
#[tokio::test]
async fn a_conversation_of_which_nothing_can_be_shown_takes_nobodys_place() {
    let world = World::new().await;
    let registration = Registration::named("cid", PasswordHash::new("x"));
    let cid = world.chat.register(registration).await.unwrap().user.id;
    let send = |text: &str| SendMessage {
        to: Destination::Person(UserKey::Id(world.bob)),
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    world.chat.execute(&Actor { user: cid }, send("hello")).await.unwrap();
    world.store.mark_read(world.conversation, world.bob, Some(Seq(1)), world.chat.now()).await.unwrap();
    world.damaged(1, world.ann).await;
    world.read().await;
    let unread = world.run(ListUnread { limit: 1 }).await;
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0].other.as_ref().map(|user| user.id), Some(cid));
}
