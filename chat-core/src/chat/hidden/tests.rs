use super::*;
use crate::chat::Registration;
use crate::command::{
    Actor, DeleteMessage, Destination, ListChats, ListUnread, MarkRead, ReadChanges, ReadHistory, ReadUpTo,
    Request, RestoreMessage, SendMessage,
};
use crate::history::Window;
use crate::model::{Content, MessageView, PasswordHash, Position, UserKey};
use crate::search::Search;
use crate::store::EditRows;

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    messages: Vec<MessageView>,
}

impl World {
    /// Ann has told Bob a few numbers.
    async fn new(count: u32) -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let mut world = Self { chat, ann: people[0], bob: people[1], messages: Vec::new() };
        for n in 1..=count {
            let to = Destination::Person(UserKey::Id(world.bob));
            let content = Content::text(format!("number {n}"));
            let send =
                SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
            world.messages.push(world.run(world.ann, send).await);
        }
        world
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> R::Reply {
        self.chat.execute(&Actor { user }, request).await.unwrap().reply
    }

    async fn hide(&self, user: UserId, n: usize) {
        let message = &self.messages[n - 1].message;
        for (table, key, value) in [
            (Table::Hidden, key(message.id, user), Vec::new()),
            (
                Table::HiddenBy,
                own_key(user, message.conversation, message.seq),
                message.id.as_bytes().to_vec(),
            ),
        ] {
            let edits = vec![(key, Some(value))];
            self.chat.store.edit_rows(EditRows { table, edits, then: None }).await.unwrap();
        }
    }

    fn with(&self, user: UserId) -> Destination {
        Destination::Person(UserKey::Id(if user == self.ann { self.bob } else { self.ann }))
    }

    async fn page(&self, user: UserId, window: Window) -> (Vec<u32>, bool) {
        let read = ReadHistory { of: self.with(user), window, include_deleted: true };
        let history = self.run(user, read).await;
        (history.messages.iter().map(|view| view.message.seq.0).collect(), history.has_more)
    }

    async fn found(&self, user: UserId) -> Vec<u32> {
        let search = Search { text: "number".into(), limit: 99, ..Search::default() };
        self.run(user, search).await.messages.iter().map(|view| view.message.seq.0).collect()
    }

    async fn synced(&self, user: UserId) -> Vec<u32> {
        let since = Some(Position(0).into());
        let changes = self.run(user, ReadChanges { since, limit: 99 }).await.deliveries;
        changes.iter().filter_map(|told| Some(told.event.message()?.message.seq.0)).collect()
    }

    /// The last message that the chat list shows, and how many are unread there.
    async fn listed(&self, user: UserId) -> (Option<u32>, u32) {
        let list = ListChats { archived: None, after: None, limit: 9 };
        let chats = self.run(user, list).await.chats;
        (chats[0].last.as_ref().map(|last| last.seq.0), chats[0].unread)
    }

    async fn unread(&self, user: UserId) -> Vec<u32> {
        self.run(user, ListUnread { limit: 9 }).await.iter().map(|unread| unread.unread).collect()
    }
}

#[tokio::test]
async fn a_hidden_message_is_left_out_for_its_hider_alone() {
    let world = World::new(4).await;
    world.hide(world.bob, 2).await;
    let all = Window::Latest { limit: 9 };
    assert_eq!(world.page(world.bob, all).await, (vec![1, 3, 4], false));
    assert_eq!(world.page(world.ann, all).await, (vec![1, 2, 3, 4], false));
    assert_eq!(world.found(world.bob).await, [4, 3, 1]);
    assert_eq!(world.found(world.ann).await, [4, 3, 2, 1]);
    assert_eq!(world.synced(world.bob).await, [1, 3, 4]);
    assert_eq!(world.synced(world.ann).await, [1, 2, 3, 4]);
    assert_eq!(world.unread(world.bob).await, [3]);
}

/// Pages are full in spite of what is hidden, and end where the history ends.
#[tokio::test]
async fn pages_are_full() {
    let world = World::new(7).await;
    for n in [2, 3, 6] {
        world.hide(world.bob, n).await;
    }
    assert_eq!(world.page(world.bob, Window::Latest { limit: 2 }).await, (vec![5, 7], true));
    assert_eq!(world.page(world.bob, Window::Before { seq: Seq(5), limit: 2 }).await, (vec![1, 4], false));
    assert_eq!(world.page(world.bob, Window::After { seq: Seq(1), limit: 3 }).await, (vec![4, 5, 7], false));
    for n in [1, 4, 5, 7] {
        world.hide(world.bob, n).await;
    }
    assert_eq!(world.page(world.bob, Window::Latest { limit: 2 }).await, (vec![], false));
    assert_eq!(world.unread(world.bob).await, [0; 0]);
}

/// Of a hidden message its hider is not told, live or later.
#[tokio::test]
async fn nothing_is_told_of_it() {
    let world = World::new(2).await;
    world.hide(world.bob, 2).await;
    let message = world.messages[1].message.id;
    let outcome = world.chat.execute(&Actor { user: world.ann }, DeleteMessage { message }).await.unwrap();
    let audience = &outcome.deliveries[0].audience;
    assert!(audience.includes(world.ann) && !audience.includes(world.bob));
    world.run(world.ann, RestoreMessage { message }).await;
    assert_eq!(world.synced(world.bob).await, [1]);
    assert_eq!(world.synced(world.ann).await, [1, 2, 2, 2]);
}

/// Only what the store counts is subtracted: messages of others behind the read mark that are not deleted.
#[tokio::test]
async fn unread_counts_leave_it_out_once() {
    let world = World::new(5).await;
    for n in [1, 4, 5] {
        world.hide(world.bob, n).await;
    }
    assert_eq!(world.unread(world.bob).await, [2]);
    world.run(world.ann, DeleteMessage { message: world.messages[4].message.id }).await;
    assert_eq!(world.unread(world.bob).await, [2]);
    let mark = |seq| MarkRead { of: world.with(world.bob), up_to: ReadUpTo::Seq(Seq(seq)) };
    world.run(world.bob, mark(2)).await;
    assert_eq!(world.unread(world.bob).await, [1], "number 3");
    world.run(world.bob, mark(3)).await;
    assert_eq!(world.unread(world.bob).await, [0; 0]);
}

/// The chat list shows the last message that its reader has not hidden.
#[tokio::test]
async fn the_chat_list_shows_another_message() {
    let world = World::new(3).await;
    assert_eq!(world.listed(world.bob).await, (Some(3), 3));
    world.hide(world.bob, 3).await;
    assert_eq!(world.listed(world.bob).await, (Some(2), 2));
    assert_eq!(world.listed(world.ann).await, (Some(3), 0));
    for n in [1, 2] {
        world.hide(world.bob, n).await;
    }
    assert_eq!(world.listed(world.bob).await, (None, 0));
}
