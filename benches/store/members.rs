//! What it costs that somebody comes into a room, gets another role and goes, in rooms of 10, of 1,000 and of 10,000: it must
//! not depend on who else is in. Printed behind them is how much dearer the largest room is than the smallest.
//!
//! `members/DRIVER/N` is one join, one change of a role and one leave in a room of N, each with what `native` tells of it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::chat::Chat;
use chat_core::command::{Actor, AddMember, RemoveMember, Request, SetRole};
use chat_core::event::Delivery;
use chat_core::id::{ConversationId, CountingIds, IdSource, UserId};
use chat_core::model::{Member, Role, RoomInfo, Visibility};
use chat_core::policy::Limits;
use chat_core::store::NewRoom;
use chat_server::dialect::native::Native;
use chat_server::dialect::{Dialect, EventPosition};
use criterion::{BenchmarkId, Criterion};
use futures_util::{StreamExt, stream};
use tempfile::TempDir;

use super::{Driver, NOW, person, runtime};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// People who are made at once.
const AT_ONCE: usize = 50;

/// A room with so many members, of whom the first one is its admin, and somebody who is not in it.
pub(crate) struct Scene {
    pub(crate) chat: Chat,
    pub(crate) room: ConversationId,
    pub(crate) admin: UserId,
    pub(crate) members: Vec<UserId>,
    guest: UserId,
    _folder: TempDir,
}

impl Scene {
    pub(crate) async fn new(driver: Driver, size: usize) -> Self {
        let (store, folder) = driver.open().await;
        let ids = CountingIds::default();
        let people: Vec<_> = (0..=size).map(|_| UserId::from_bytes(ids.next(NOW))).collect();
        // Not all at once, because those who wait too long for a database are refused.
        let created = stream::iter(people.iter().map(|id| store.create_user(person(*id))));
        let mut created = created.buffer_unordered(AT_ONCE);
        while let Some(created) = created.next().await {
            created.expect("a new person");
        }
        drop(created);
        let (guest, members) = people.split_last().expect("there are some");
        let role = |n| if n == 0 { Role::Admin } else { Role::Member };
        let member = |(n, user): (usize, &UserId)| Member { user: *user, role: role(n), joined_at: NOW };
        let room = NewRoom {
            id: ConversationId::from_bytes(ids.next(NOW)),
            info: RoomInfo::new("r", Visibility::Public),
            members: members.iter().enumerate().map(member).collect(),
            by: members[0],
            at: NOW,
        };
        let id = room.id;
        store.create_room(room).await.expect("a new room").expect("nobody is blocked");
        let limits = Limits { room_members: 2 * size, ..Limits::default() };
        let chat = Chat::new(Arc::clone(&store)).with_limits(limits);
        let (admin, members) = (members[0], members.to_vec());
        Self { chat, room: id, admin, members, guest: *guest, _folder: folder }
    }

    async fn change<R: Request>(&self, by: UserId, request: R) {
        let done = self.chat.execute(&Actor { user: by }, request).await.expect("it is changed");
        assert_eq!(done.deliveries.len(), 1);
        for Delivery { event, position, .. } in &done.deliveries {
            assert!(!black_box(Native.outbound(event, EventPosition(*position))).is_empty());
        }
    }

    async fn come_and_go(&self) {
        let (room, user) = (self.room, self.guest);
        self.change(user, AddMember { room, user }).await;
        self.change(self.admin, SetRole { room, user, role: Role::Moderator }).await;
        self.change(user, RemoveMember { room, user }).await;
    }
}

pub(crate) fn members(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("members");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut all = Vec::new();
    for driver in Driver::ALL {
        // The best of all samples, of each size.
        let mut best = BTreeMap::new();
        for size in SIZES {
            let scene = runtime.block_on(Scene::new(driver, size));
            group.bench_with_input(BenchmarkId::new(driver.name(), size), &size, |b, _| {
                b.iter_custom(|rounds| {
                    runtime.block_on(async {
                        let started = Instant::now();
                        for _ in 0..rounds {
                            scene.come_and_go().await;
                        }
                        let taken = started.elapsed();
                        let each = taken.as_secs_f64() / rounds as f64;
                        best.entry(size).and_modify(|best: &mut f64| *best = best.min(each)).or_insert(each);
                        taken
                    })
                });
            });
        }
        all.push((driver, best));
    }
    group.finish();
    for (driver, best) in all {
        // Empty when others were asked for on the command line.
        let (Some((least, small)), Some((most, large))) = (best.first_key_value(), best.last_key_value())
        else {
            continue;
        };
        let ratio = large / small;
        println!(
            "members/{}: in a room of {most} {ratio:.2} times as long as in one of {least}",
            driver.name()
        );
    }
}
