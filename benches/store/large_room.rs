//! What reactions, read marks and receipts cost in a room of 10,000, beside one of 100: what one member does must not depend on
//! how many others there are.
//!
//! - `reactions/DRIVER/N` is one reaction in a room of N, added and removed, with what `native` tells of it. All members have
//!   reacted to the message before.
//! - `read_marks/DRIVER/N` is one step of a member's read mark, with what `native` tells of it.
//! - `receipts/DRIVER/N` is a page of 100 of those who have received and read a message. Half of the members have read it.

use std::hint::black_box;
use std::time::Duration;

use chat_core::command::{
    Actor, Destination, MarkRead, ReadHistory, ReadReceipts, ReadUpTo, Request, SendMessage,
};
use chat_core::event::Delivery;
use chat_core::history::Window;
use chat_core::id::MessageId;
use chat_core::model::{Content, JoinOrder, Seq};
use chat_core::reactions::{Reacting, SetReaction};
use chat_server::dialect::native::Native;
use chat_server::dialect::{Dialect, EventPosition};
use criterion::{BatchSize, BenchmarkId, Criterion};
use futures_util::StreamExt;
use futures_util::stream;

use super::members::Scene;
use super::{Driver, runtime};

const SIZES: [usize; 2] = [100, 10_000];
/// Members who do something while the room is prepared, at once.
const AT_ONCE: usize = 50;
const EMOJI: &str = "👍";
/// Members on a page of receipts.
const PAGE: usize = 100;

/// A room in which all members have reacted to the first message, and half of them have read it.
struct Room {
    scene: Scene,
    message: MessageId,
}

impl Room {
    async fn new(driver: Driver, size: usize) -> Self {
        let room = Self::with_message(Scene::new(driver, size).await).await;
        let members = room.scene.members.iter().enumerate();
        let acts = members.map(|(n, member)| {
            let room = &room;
            async move {
                room.react(n, Reacting::Add).await;
                if n % 2 == 0 {
                    room.chat_as(*member, room.marking(Seq(1))).await;
                }
            }
        });
        stream::iter(acts).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        room
    }

    async fn with_message(scene: Scene) -> Self {
        let to = Destination::Conversation(scene.room);
        let content = Content::text("hello");
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        let sent = scene.chat.execute(&Actor { user: scene.admin }, send).await.expect("a message");
        Self { message: sent.reply.message.id, scene }
    }

    async fn chat_as<R: Request>(&self, user: chat_core::id::UserId, request: R) -> Vec<Delivery> {
        let done = self.scene.chat.execute(&Actor { user }, request).await.expect("it is done");
        for Delivery { event, position, .. } in &done.deliveries {
            assert!(!black_box(Native.outbound(event, EventPosition(*position))).is_empty());
        }
        done.deliveries
    }

    async fn react(&self, member: usize, reacting: Reacting) {
        let react = SetReaction { message: self.message, emoji: EMOJI.into(), reacting };
        let told = self.chat_as(self.scene.members[member], react).await;
        assert_eq!(told.len(), 1);
    }

    /// The last member takes the own reaction away, and reacts again.
    async fn react_again(&self) {
        let last = self.scene.members.len() - 1;
        self.react(last, Reacting::Remove).await;
        self.react(last, Reacting::Add).await;
    }

    fn marking(&self, seq: Seq) -> MarkRead {
        MarkRead { of: Destination::Conversation(self.scene.room), up_to: ReadUpTo::Seq(seq) }
    }

    /// One more message; returns its place.
    async fn say(&self) -> Seq {
        let to = Destination::Conversation(self.scene.room);
        let content = Content::text("hello");
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        let sent = self.scene.chat.execute(&Actor { user: self.scene.admin }, send).await;
        sent.expect("a message").reply.message.seq
    }

    async fn mark(&self, seq: Seq) {
        let last = self.scene.members.len() - 1;
        let told = self.chat_as(self.scene.members[last], self.marking(seq)).await;
        assert_eq!(told.len(), 1);
    }

    async fn receipts(&self) {
        let read = ReadReceipts { message: self.message, after: JoinOrder(0), limit: PAGE };
        let page = self.scene.chat.execute(&Actor { user: self.scene.admin }, read).await;
        let page = black_box(page.expect("a page").reply);
        assert!(page.receipts.len() >= PAGE - 1);
    }

    /// What stands on the message is shown whole.
    async fn check(&self) {
        let of = Destination::Conversation(self.scene.room);
        let read =
            ReadHistory { of, window: Window::After { seq: Seq(0), limit: 1 }, include_deleted: false };
        let history = self.scene.chat.execute(&Actor { user: self.scene.admin }, read).await;
        let message = &history.expect("a history").reply.messages[0].message;
        assert_eq!(message.annexes.reactions[0].count as usize, self.scene.members.len());
    }
}

pub(crate) fn large_room(c: &mut Criterion) {
    let runtime = runtime();
    for driver in Driver::all() {
        for size in SIZES {
            let room = runtime.block_on(Room::new(driver, size));
            runtime.block_on(room.check());
            let id = |what: &str| BenchmarkId::new(format!("{what}/{}", driver.name()), size);
            let mut group = c.benchmark_group("large_room");
            group.sample_size(10);
            group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
            group.bench_function(id("reactions"), |b| {
                b.iter(|| runtime.block_on(room.react_again()));
            });
            group.bench_function(id("read_marks"), |b| {
                b.iter_batched(
                    || runtime.block_on(room.say()),
                    |seq| runtime.block_on(room.mark(seq)),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(id("receipts"), |b| b.iter(|| runtime.block_on(room.receipts())));
            group.finish();
        }
    }
}
