use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chat::{Chat, Registration};
use crate::codec::{Blob, BlobRef, Codec, DecodeError, HuffmanCodec, Kind};
use crate::command::{Actor, Destination, History, ReadChanges, ReadHistory, Request, SendMessage};
use crate::history::Window;
use crate::id::UserId;
use crate::model::{Content, PasswordHash, Position, Seq, UserKey};
use crate::search::Search;

/// A codec that counts the bytes that come out of it.
#[derive(Default)]
struct Counting {
    codec: HuffmanCodec,
    decoded: AtomicUsize,
}

impl Codec for Counting {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        self.codec.encode(kind, body)
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        let decoded = self.codec.decode(blob, limit);
        let bytes = decoded.as_ref().map_or(0, Vec::len);
        self.decoded.fetch_add(bytes, Ordering::Relaxed);
        decoded
    }
}

/// So large are the files of one letter, which are stored in a few hundred bytes.
const LARGE: usize = 9_900_000;
const FILES: u32 = 30;

struct World {
    chat: Chat,
    codec: Arc<Counting>,
    ann: UserId,
    bob: UserId,
}

impl World {
    async fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let codec = Arc::<Counting>::default();
        let chat = Chat::in_memory().with_codec(codec.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registered = chat.register(Registration::named(name, PasswordHash::new("x"))).await;
            people.push(registered.unwrap().user.id);
        }
        let (ann, bob) = (people[0], people[1]);
        for size in sizes {
            let text = format!("found {}", "a".repeat(size));
            let content = Content { file_name: Some("a.txt".into()), ..Content::text(text) };
            let to = Destination::Person(UserKey::Id(bob));
            let send =
                SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
            chat.execute(&Actor { user: ann }, send).await.unwrap();
        }
        Self { chat, codec, ann, bob }
    }

    async fn ask<R: Request>(&self, request: R) -> R::Reply {
        self.codec.decoded.store(0, Ordering::Relaxed);
        self.chat.execute(&Actor { user: self.bob }, request).await.unwrap().reply
    }

    fn decoded(&self) -> usize {
        self.codec.decoded.load(Ordering::Relaxed)
    }

    async fn history(&self, window: Window) -> History {
        let of = Destination::Person(UserKey::Id(self.ann));
        self.ask(ReadHistory { of, window, include_deleted: false }).await
    }
}

fn seqs(history: &History) -> Vec<u32> {
    history.messages.iter().map(|view| view.message.seq.0).collect()
}

#[tokio::test]
async fn large_files_of_one_letter_come_one_at_a_time_whatever_is_asked() {
    let world = World::new((0..FILES).map(|_| LARGE)).await;
    let most = Window::MAX_LIMIT;
    let last = world.history(Window::Latest { limit: most }).await;
    assert_eq!((seqs(&last), last.has_more), (vec![FILES], true), "the newest one, and it says so");
    assert_eq!(world.decoded(), LARGE + 6, "nothing is decoded that is not told");

    let (mut window, mut seen) = (Window::Latest { limit: most }, Vec::new());
    loop {
        let page = world.history(window).await;
        assert!(world.decoded() <= LARGE + 6, "{window:?}");
        seen.splice(0..0, seqs(&page));
        if !page.has_more {
            break;
        }
        window = Window::Before { seq: Seq(seen[0]), limit: most };
    }
    assert_eq!(seen, (1..=FILES).collect::<Vec<_>>(), "pages lead through all of them");

    let (mut at, mut seen) = (Seq(0), Vec::new());
    loop {
        let page = world.history(Window::After { seq: at, limit: most }).await;
        seen.extend(seqs(&page));
        at = Seq(seen[seen.len() - 1]);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, (1..=FILES).collect::<Vec<_>>(), "from the other end too");
}

#[tokio::test]
async fn a_page_ends_before_what_has_no_room() {
    // From the oldest: the large one is between small ones.
    let world = World::new([10, 10, LARGE, 1 << 20, 1 << 20, 10]).await;
    let first = world.history(Window::Latest { limit: 100 }).await;
    assert_eq!((seqs(&first), first.has_more), (vec![4, 5, 6], true));
    assert!(world.decoded() <= world.chat.limits().answer_bytes);
    let second = world.history(Window::Before { seq: Seq(4), limit: 100 }).await;
    assert_eq!((seqs(&second), second.has_more), (vec![3], true));
    let third = world.history(Window::Before { seq: Seq(3), limit: 100 }).await;
    assert_eq!((seqs(&third), third.has_more), (vec![1, 2], false));
    let forward = world.history(Window::After { seq: Seq(0), limit: 100 }).await;
    assert_eq!((seqs(&forward), forward.has_more), (vec![1, 2], true));
}

#[tokio::test]
async fn the_log_a_sync_and_a_search_are_bounded_in_the_same_way() {
    let world = World::new((0..FILES).map(|_| LARGE)).await;
    world.codec.decoded.store(0, Ordering::Relaxed);
    for after in [0, 7] {
        let deliveries = world.chat.changes_after(Position(after), 64).await.unwrap().unwrap();
        assert_eq!(deliveries.len(), 1);
        let (mine, read_to) = world.chat.changes_for(world.bob, Position(after), 64).await.unwrap().unwrap();
        assert_eq!((mine.len(), read_to), (1, Position(after + 1)));
    }
    assert_eq!(world.decoded(), 4 * (LARGE + 6));

    let (mut since, mut told) = (Position(0), 0);
    loop {
        let sync = ReadChanges { since: Some(since.into()), limit: 1_000 };
        let changes = world.ask(sync).await;
        assert!(world.decoded() <= LARGE + 6);
        told += changes.deliveries.len();
        since = changes.next;
        if !changes.more {
            break;
        }
    }
    assert_eq!(told, FILES as usize);

    let search = async |before| {
        let search = Search { text: "found".into(), before, limit: Search::MAX, ..Search::default() };
        world.ask(search).await
    };
    // What is not indexed yet is decoded too, once.
    while !search(None).await.complete {}
    let (mut before, mut found) = (None, 0);
    loop {
        let page = search(before).await;
        assert_eq!((page.messages.len(), world.decoded()), (1, LARGE + 6));
        found += page.messages.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, FILES as usize);
}

#[tokio::test]
async fn long_bodies_are_decoded_in_the_background() {
    let World { chat, ann, bob, .. } = World::new([10, 2_000, 100_000]).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let chat = chat.with_background(move |work| {
        counted.fetch_add(1, Ordering::Relaxed);
        drop(tokio::task::spawn_blocking(work));
    });
    let of = Destination::Person(UserKey::Id(ann));
    let history = ReadHistory { of, window: Window::Latest { limit: 9 }, include_deleted: false };
    let history = chat.execute(&Actor { user: bob }, history).await.unwrap().reply;
    let lengths: Vec<_> = history.messages.iter().map(|view| view.message.content.text.len()).collect();
    assert_eq!(lengths, [16, 2_006, 100_006]);
    assert_eq!(runs.load(Ordering::Relaxed), 2, "the small one is not worth it");
}

#[tokio::test]
async fn long_texts_are_encoded_in_the_background() {
    let World { chat, ann, bob, .. } = World::new([]).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let chat = chat.with_background(move |work| {
        counted.fetch_add(1, Ordering::Relaxed);
        drop(tokio::task::spawn_blocking(work));
    });
    for (length, expected) in [(65_536, 0), (65_537, 1), (1_000_000, 2)] {
        let text = "a".repeat(length);
        let content = Content { file_name: Some("a.txt".into()), ..Content::text(text.as_str()) };
        let send = SendMessage {
            to: Destination::Person(UserKey::Id(bob)),
            content,
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let sent = chat.execute(&Actor { user: ann }, send).await.unwrap().reply;
        assert_eq!(*sent.message.content.text, *text);
        assert_eq!(runs.load(Ordering::Relaxed), expected);
    }
}
