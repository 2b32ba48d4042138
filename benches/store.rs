//! What the stores cost: appending messages, one at a time and many in flight, reading a page of 50, a chat list, what is unread,
//! changing who is in a room, and what the members of a large room do.
//!
//! ```text
//! cargo bench --bench store             # TMPDIR says which disk is measured
//! cargo bench --bench store -- --quick
//! MONGO_TEST_URI=mongodb://127.0.0.1:27017 cargo bench --bench store -- 'mongodb'
//! ```
//!
//! `append/DRIVER/N` is N messages of 100 bytes over 100 conversations with always N in flight: *time* is that of all N,
//! *thrpt* is messages a second. `sqlite_full` waits for the disk at every commit, so one at a time is the disk's own
//! latency, and many in flight show what group commit makes of it.

#[path = "store/chats.rs"]
mod chats;
#[path = "store/large_room.rs"]
mod large_room;
#[path = "store/members.rs"]
mod members;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::clock::Timestamp;
use chat_core::codec::{Blob, Codec, HuffmanCodec, Kind};
use chat_core::history::Window;
use chat_core::id::{ConversationId, CountingIds, IdSource, MessageId, UserId};
use chat_core::model::{NewUser, Pair, PasswordHash, User};
use chat_core::store::sqlite::{SqliteOptions, Synchronous};
use chat_core::store::{Appended, MemoryStore, MongoStore, NewMessage, SqliteStore, Store};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CONVERSATIONS: usize = 100;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const TEXT: &str =
    "Shall we meet at the station at half past six? I can bring the tickets, if you take the sandwiches!!";

#[derive(Debug, Clone, Copy)]
enum Driver {
    Memory,
    SqliteNormal,
    SqliteFull,
    /// In a database of its own on the server of `MONGO_TEST_URI`, which stays there.
    MongoDb,
}

impl Driver {
    const ALL: [Self; 3] = [Self::Memory, Self::SqliteNormal, Self::SqliteFull];

    /// Those that there are on this machine.
    fn all() -> impl Iterator<Item = Self> {
        let mongodb = std::env::var_os("MONGO_TEST_URI").map(|_| Self::MongoDb);
        Self::ALL.into_iter().chain(mongodb)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::SqliteNormal => "sqlite_normal",
            Self::SqliteFull => "sqlite_full",
            Self::MongoDb => "mongodb",
        }
    }

    /// An empty store, and the folder that it is in.
    async fn open(self) -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sqlite = |synchronous| {
            let options = SqliteOptions { synchronous, ..SqliteOptions::default() };
            SqliteStore::open(&folder.path().join("chat.db"), options).expect("a new file")
        };
        let store: Arc<dyn Store> = match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::SqliteNormal => Arc::new(sqlite(Synchronous::Normal)),
            Self::SqliteFull => Arc::new(sqlite(Synchronous::Full)),
            Self::MongoDb => {
                let server = std::env::var("MONGO_TEST_URI").expect("the URI of a server");
                let name = format!("chat_bench_{:x}", rand::random::<u64>());
                let uri = format!("{}/{name}", server.trim_end_matches('/'));
                Arc::new(MongoStore::open(&uri).await.expect("a new database"))
            }
        };
        (store, folder)
    }
}

/// A store with people and conversations, and where each message of the run goes.
struct Bed {
    store: Arc<dyn Store>,
    conversations: Vec<(ConversationId, UserId)>,
    ids: CountingIds,
    body: Blob,
    _folder: TempDir,
}

impl Bed {
    async fn open(driver: Driver) -> Self {
        let (store, folder) = driver.open().await;
        let ids = CountingIds::default();
        let people: Vec<_> = (0..2 * CONVERSATIONS).map(|_| UserId::from_bytes(ids.next(NOW))).collect();
        for created in join_all(people.iter().map(|id| store.create_user(person(*id)))).await {
            created.expect("a new person");
        }
        let opened = people.chunks_exact(2).map(|pair| {
            let id = ConversationId::from_bytes(ids.next(NOW));
            store.open_direct(Pair::new(pair[0], pair[1]), id, NOW)
        });
        let opened = join_all(opened).await.into_iter().map(|opened| opened.expect("a new conversation").id);
        let conversations = opened.zip(people.iter().copied().step_by(2)).collect();
        Self { store, conversations, ids, body: Self::body(), _folder: folder }
    }

    /// The body of each message.
    fn body() -> Blob {
        HuffmanCodec::new().encode(Kind::Message, TEXT.as_bytes())
    }

    async fn append(&self, n: usize) {
        let (conversation, sender) = self.conversations[n % CONVERSATIONS];
        let message = NewMessage {
            id: MessageId::from_bytes(self.ids.next(NOW)),
            conversation,
            sender,
            body: self.body.clone(),
            file_name: None,
            image: None,
            client_id: None,
            fingerprint: None,
            at: NOW,
        };
        let appended = self.store.append(message).await.expect("the store works");
        assert!(matches!(black_box(appended), Appended::New { .. }));
    }

    /// Appends `count` messages, always `in_flight` of them at once.
    async fn append_many(&self, count: usize, in_flight: usize) {
        let mut under_way = FuturesUnordered::new();
        for n in 0..count {
            if under_way.len() == in_flight {
                under_way.next().await;
            }
            under_way.push(self.append(n));
        }
        while under_way.next().await.is_some() {}
    }
}

fn person(id: UserId) -> NewUser {
    let user = User {
        id,
        username: Some(format!("u{id}")),
        email: None,
        full_name: "Somebody".into(),
        picture: String::new(),
        created_at: NOW,
        updated_at: NOW,
        last_seen: None,
    };
    NewUser::new(user, PasswordHash::new("$2b$…"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn append(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("append");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for driver in Driver::ALL {
        for in_flight in [1, 64, 400] {
            group.throughput(Throughput::Elements(in_flight as u64));
            group.bench_with_input(
                BenchmarkId::new(driver.name(), in_flight),
                &in_flight,
                |b, &in_flight| {
                    b.iter_custom(|rounds| {
                        runtime.block_on(async {
                            // Every sample begins on an empty store, so that memory does not fill up.
                            let bed = Bed::open(driver).await;
                            let started = Instant::now();
                            bed.append_many(rounds as usize * in_flight, in_flight).await;
                            let taken = started.elapsed();
                            bed.store.close().await.expect("the store closes");
                            taken
                        })
                    });
                },
            );
        }
    }
    group.finish();
}

fn page(c: &mut Criterion) {
    const MESSAGES_EACH: usize = 500;
    let runtime = runtime();
    let mut group = c.benchmark_group("page_of_50");
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for driver in [Driver::Memory, Driver::SqliteFull] {
        let bed = runtime.block_on(async {
            let bed = Bed::open(driver).await;
            bed.append_many(MESSAGES_EACH * CONVERSATIONS, 400).await;
            bed
        });
        let name = if matches!(driver, Driver::Memory) { "memory" } else { "sqlite" };
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                runtime.block_on(async {
                    let started = Instant::now();
                    for n in 0..rounds as usize {
                        let (conversation, _) = bed.conversations[n % CONVERSATIONS];
                        let window = Window::Latest { limit: 50 };
                        let (messages, has_more) =
                            bed.store.history(conversation, window, false).await.expect("the store works");
                        assert!(black_box(&messages).len() == 50 && has_more);
                    }
                    started.elapsed()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, page, chats::chats, members::members, large_room::large_room);
criterion_main!(benches);
