//! Receipts, from outside.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::chat::Registration;
use crate::clock::{ManualClock, Timestamp};
use crate::command::{
    Actor, AddMember, ChangeRelation, CreateRoom, DeleteMessage, Destination, MarkRead, ReadUpTo, Request,
    SendMessage,
};
use crate::id::{ConversationId, MessageId};
use crate::model::{Content, JoinOrder, PasswordHash, RelationAct, Visibility};

struct Scene {
    chat: Chat,
    clock: Arc<ManualClock>,
    people: Vec<UserId>,
    room: ConversationId,
}

impl Scene {
    /// A room of three; a fourth user is outside.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let chat = Chat::in_memory().with_clock(clock.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let members = people[1..3].to_vec();
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Public, members };
        let room = chat.execute(&Actor { user: people[0] }, create).await.unwrap().reply.id;
        Self { chat, clock, people, room }
    }

    async fn by<R: Request>(&self, actor: usize, request: R) -> Result<R::Reply, Error> {
        let actor = Actor { user: self.people[actor] };
        self.chat.execute(&actor, request).await.map(|outcome| outcome.reply)
    }

    async fn say(&self, by: usize) -> MessageId {
        let (to, content) = (Destination::Conversation(self.room), Content::text("x"));
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        self.by(by, send).await.unwrap().message.id
    }

    /// The receipts of a message as this person sees them, by the number of the member.
    async fn receipts(&self, by: usize, message: MessageId) -> Vec<(usize, Arrival)> {
        let mut all = Vec::new();
        for limit in [100, 1, 2] {
            let (mut seen, mut after) = (Vec::new(), JoinOrder(0));
            loop {
                let page = self.by(by, ReadReceipts { message, after, limit }).await.unwrap();
                let number = |user| self.people.iter().position(|known| *known == user).unwrap();
                seen.extend(page.receipts.into_iter().map(|(user, arrival)| (number(user), arrival)));
                let Some(next) = page.next else { break };
                after = next;
            }
            assert!(all.is_empty() || all == seen);
            all = seen;
        }
        all
    }

    async fn position(&self) -> Position {
        self.chat.store().last_position().await.unwrap()
    }
}

#[tokio::test]
async fn a_message_is_sent_then_delivered_then_read() {
    let scene = Scene::new().await;
    let first = scene.say(0).await;
    let position = scene.position().await;
    let second = scene.say(0).await;
    assert_eq!(scene.receipts(0, first).await, [(1, Arrival::Sent), (2, Arrival::Sent)]);
    scene.chat.note_delivered(scene.people[1], position);
    // The same before it is stored and after.
    for _ in 0..2 {
        assert_eq!(scene.receipts(0, first).await, [(1, Arrival::Delivered), (2, Arrival::Sent)]);
        assert_eq!(scene.receipts(0, second).await, [(1, Arrival::Sent), (2, Arrival::Sent)]);
        scene.chat.store_delivered().await.unwrap();
    }
    // A position never goes back.
    scene.chat.note_delivered(scene.people[1], Position(1));
    scene.chat.store_delivered().await.unwrap();
    assert_eq!(scene.receipts(2, first).await[0], (1, Arrival::Delivered), "other members see it too");
    let of = Destination::Conversation(scene.room);
    scene.by(2, MarkRead { of, up_to: ReadUpTo::Message(first) }).await.unwrap();
    assert_eq!(scene.receipts(0, first).await, [(1, Arrival::Delivered), (2, Arrival::Read)]);
    assert_eq!(scene.receipts(0, second).await, [(1, Arrival::Sent), (2, Arrival::Sent)]);
}

#[tokio::test]
async fn only_members_of_that_time_are_listed_and_only_members_may_ask() {
    let scene = Scene::new().await;
    let message = scene.say(1).await;
    let ask = ReadReceipts { message, after: JoinOrder(0), limit: 9 };
    assert!(matches!(scene.by(3, ask).await, Err(Error::MessageNotFound)));
    let unknown = ReadReceipts { message: MessageId::from_bytes([9; 12]), ..ask };
    assert!(matches!(scene.by(0, unknown).await, Err(Error::MessageNotFound)));
    scene.clock.advance(Duration::from_secs(1));
    scene.by(3, AddMember { room: scene.room, user: scene.people[3] }).await.unwrap();
    assert_eq!(scene.receipts(3, message).await, [(0, Arrival::Sent), (2, Arrival::Sent)]);
    scene.by(1, DeleteMessage { message }).await.unwrap();
    assert!(matches!(scene.by(0, ask).await, Err(Error::MessageNotFound)));
}

#[tokio::test]
async fn a_block_hides_what_the_other_one_has_received() {
    let scene = Scene::new().await;
    let message = scene.say(0).await;
    let of = || Destination::Conversation(scene.room);
    for who in [1, 2] {
        scene.by(who, MarkRead { of: of(), up_to: ReadUpTo::TheLast }).await.unwrap();
    }
    scene.by(1, ChangeRelation { with: scene.people[0], act: RelationAct::Block }).await.unwrap();
    assert_eq!(scene.receipts(0, message).await, [(1, Arrival::Sent), (2, Arrival::Read)]);
    assert_eq!(scene.receipts(2, message).await, [(1, Arrival::Read), (2, Arrival::Read)]);
}
