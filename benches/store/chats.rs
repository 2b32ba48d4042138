//! What a chat list of 200 costs: direct conversations and rooms in equal parts, each with some unread messages. It must be
//! a few times what a list of 20 costs, and not more than ten times.
//!
//! - `chats/DRIVER/N` is one page of N conversations, as `chat.list` reads it.
//! - `unread/DRIVER/N` is what is unread in the latest N of 200, as `unread.list` reads it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chat_core::chat::Chat;
use chat_core::command::{Actor, ListChats, ListUnread};
use chat_core::id::{ConversationId, CountingIds, IdSource, MessageId, UserId};
use chat_core::model::{Member, Pair, Role, RoomInfo, Visibility};
use chat_core::store::{NewMessage, NewRoom};
use criterion::{BenchmarkId, Criterion};
use tempfile::TempDir;

use super::{Bed, Driver, NOW, person, runtime};

const CHATS: usize = 200;
/// Unread messages of each conversation.
const UNREAD: usize = 5;
const SIZES: [usize; 2] = [20, CHATS];

struct Scene {
    chat: Chat,
    reader: UserId,
    _folder: TempDir,
}

impl Scene {
    async fn new(driver: Driver) -> Self {
        let (store, folder) = driver.open().await;
        let (ids, body) = (CountingIds::default(), Bed::body());
        let new_person = async || {
            let id = UserId::from_bytes(ids.next(NOW));
            store.create_user(person(id)).await.expect("a new person");
            id
        };
        let reader = new_person().await;
        for n in 0..CHATS {
            let (id, other) = (ConversationId::from_bytes(ids.next(NOW)), new_person().await);
            if n % 2 == 0 {
                store.open_direct(Pair::new(reader, other), id, NOW).await.expect("a new conversation");
            } else {
                let member = |user| Member { user, role: Role::Member, joined_at: NOW };
                let members = [other, reader].into_iter().map(member).collect();
                let info = RoomInfo::new("r", Visibility::Public);
                let room = NewRoom { id, info, members, by: other, at: NOW };
                store.create_room(room).await.expect("a new room").expect("nobody is blocked");
            }
            for _ in 0..UNREAD {
                let message = NewMessage {
                    id: MessageId::from_bytes(ids.next(NOW)),
                    conversation: id,
                    sender: other,
                    body: body.clone(),
                    file_name: None,
                    image: None,
                    client_id: None,
                    fingerprint: None,
                    at: NOW,
                };
                store.append(message).await.expect("a message");
            }
        }
        Self { chat: Chat::new(Arc::clone(&store)), reader, _folder: folder }
    }

    async fn list(&self, limit: usize) {
        let list = ListChats { archived: None, after: None, limit };
        let listed = self.chat.execute(&Actor { user: self.reader }, list).await.expect("a list");
        let chats = black_box(listed.reply.chats);
        assert!(chats.len() == limit && chats.iter().all(|chat| chat.unread as usize == UNREAD));
    }

    async fn unread(&self, limit: usize) {
        let list = ListUnread { limit };
        let listed = self.chat.execute(&Actor { user: self.reader }, list).await.expect("a list");
        let unread = black_box(listed.reply);
        assert!(unread.len() == limit && unread.iter().all(|chat| chat.unread as usize == UNREAD));
    }
}

pub(crate) fn chats(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("chats");
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for driver in Driver::all() {
        let scene = runtime.block_on(Scene::new(driver));
        for size in SIZES {
            group.bench_with_input(BenchmarkId::new(driver.name(), size), &size, |b, size| {
                b.iter(|| runtime.block_on(scene.list(*size)));
            });
            group.bench_with_input(
                BenchmarkId::new(format!("unread/{}", driver.name()), size),
                &size,
                |b, size| {
                    b.iter(|| runtime.block_on(scene.unread(*size)));
                },
            );
        }
    }
    group.finish();
}
