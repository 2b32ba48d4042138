//! What searching costs: bringing messages into the index, and looking for words in 100,000 of them.
//!
//! ```text
//! cargo bench --bench search            # TMPDIR says which disk is measured
//! ```
//!
//! The messages have eight words of a vocabulary in which, as in languages, the n-th word is n times as rare as the first.
//! They lie in one room, in a thousand of one person, or in a hundred. *rare* is a word that few messages have, *frequent*
//! one that a fifth of them have, *two* both a frequent and a rarer one, *begun* the first letter of one. A *phrase* is made of two
//! frequent words, *best* puts the newest 1,000 of what is found into order, and *by author* looks for somebody who wrote nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::chat::{Chat, Registration};
use chat_core::command::{Actor, CreateRoom, Destination, Request, SendMessage};
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Content, PasswordHash, UserKey, Visibility};
use chat_core::search::{Order, Search, Terms};
use chat_core::store::sqlite::SqliteOptions;
use chat_core::store::{MemoryStore, SqliteStore, Store};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

const WORDS: usize = 20_000;
const WORDS_EACH: usize = 8;
/// Searches of each kind, of which the median is told.
const ROUNDS: usize = 40;

/// SplitMix64, so that all runs are about the same messages.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Zipf's law, nearly: evenly distributed on the scale of logarithms.
    fn word(&mut self) -> String {
        let even = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        word((WORDS as f64).powf(even) as usize)
    }

    fn message(&mut self) -> String {
        (0..WORDS_EACH).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

/// The n-th word, the most frequent first. Each begins with one of twenty letters.
fn word(n: usize) -> String {
    let letters = b"bcdfghjklmnpqrstvwxz";
    let (first, second) = (letters[n % 20] as char, letters[n / 20 % 20] as char);
    format!("{first}a{second}o{n}")
}

async fn execute<R: Request>(chat: &Chat, user: UserId, request: R) -> R::Reply {
    chat.execute(&Actor { user }, request).await.expect("the store works").reply
}

async fn rooms(chat: &Chat, user: UserId, count: usize) -> Vec<ConversationId> {
    let mut rooms = Vec::new();
    for n in 0..count {
        let create =
            CreateRoom { name: format!("Room {n}"), visibility: Visibility::Private, members: vec![] };
        let room = execute(chat, user, create).await;
        rooms.push(room.id);
    }
    rooms
}

async fn measure(name: &str, store: Arc<dyn Store>, rooms_count: usize, messages: usize) {
    let chat = Chat::new(store);
    let registration = Registration::named("ann", PasswordHash::new("…"));
    let ann = chat.register(registration).await.expect("a new person").user.id;
    let rooms = rooms(&chat, ann, rooms_count).await;
    let mut random = Random(1);
    let mut under_way = FuturesUnordered::new();
    let started = Instant::now();
    for n in 0..messages {
        if under_way.len() == 256 {
            under_way.next().await;
        }
        let to = Destination::Conversation(rooms[n % rooms.len()]);
        let content = Content::text(random.message());
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        under_way.push(execute(&chat, ann, send));
    }
    while under_way.next().await.is_some() {}
    drop(under_way);
    let sent = started.elapsed();

    let look_for = |text: &str, within: Option<ConversationId>| {
        let within = within.map(Destination::Conversation);
        Search { text: text.into(), within, limit: 20, ..Search::default() }
    };
    let search = async |search: Search| {
        let started = Instant::now();
        let found = execute(&chat, ann, search).await;
        (found, started.elapsed())
    };
    let (mut indexing, mut longest) = (Duration::ZERO, Duration::ZERO);
    loop {
        let (found, taken) = search(look_for("nothing ", None)).await;
        indexing += taken;
        longest = longest.max(taken);
        if found.complete {
            break;
        }
    }
    let each = |all: Duration| all.as_secs_f64() * 1e6 / messages as f64;
    println!(
        "{name}, {messages} messages in {rooms_count} rooms: {:.1} µs to send one, {:.1} µs to index one, \
         {:.2} s the longest search meanwhile",
        each(sent),
        each(indexing),
        longest.as_secs_f64()
    );
    let frequent = || word(1) + " ";
    let nobody = Registration::named("bob", PasswordHash::new("…"));
    let bob = chat.register(nobody).await.expect("a new person").user.id;
    for (kind, asked) in [
        ("rare", look_for(&(word(WORDS / 2) + " "), None)),
        ("frequent", look_for(&frequent(), None)),
        ("two", look_for(&(frequent() + &word(900) + " "), None)),
        ("begun", look_for(&word(1)[..1], None)),
        ("rare, in one room", look_for(&(word(WORDS / 2) + " "), Some(rooms[0]))),
        ("frequent, in one room", look_for(&frequent(), Some(rooms[0]))),
        ("without another", look_for(&(frequent() + "-" + &word(2)), None)),
        ("phrase", look_for(&format!("\"{} {}\"", word(1), word(2)), None)),
        ("frequent, best", Search { order: Order::Best(None), ..look_for(&frequent(), None) }),
        ("frequent, with snippets", Search { snippets: true, ..look_for(&frequent(), None) }),
        ("frequent, by author", Search { author: Some(UserKey::Id(bob)), ..look_for(&frequent(), None) }),
    ] {
        let mut times = Vec::new();
        let mut count = 0;
        for _ in 0..ROUNDS {
            let (found, taken) = search(asked.clone()).await;
            count = found.messages.len();
            times.push(taken);
        }
        times.sort_unstable();
        let micros = |at: usize| times[at].as_secs_f64() * 1e6;
        println!(
            "    {kind}: {:.0} µs, at most {:.0} µs ({count} messages{})",
            micros(ROUNDS / 2),
            micros(ROUNDS - 1),
            if count == 20 { " and more" } else { "" }
        );
    }
    chat.store().close().await.expect("the store closes");
}

fn terms() {
    let mut random = Random(2);
    let messages: Vec<String> = (0..20_000).map(|_| random.message()).collect();
    for (kind, messages) in [
        ("ASCII", messages.clone()),
        ("with accents", messages.iter().map(|text| text.replace('o', "ö")).collect()),
        ("Chinese", messages.iter().map(|text| text.chars().map(chinese).collect()).collect()),
    ] {
        let started = Instant::now();
        let count: usize = messages.iter().map(|text| Terms::of(text, None).len()).sum();
        let each = started.elapsed().as_secs_f64() * 1e6 / messages.len() as f64;
        println!("terms, {kind}: {each:.2} µs a message of {} terms", count / messages.len());
    }
}

fn chinese(c: char) -> char {
    char::from_u32(0x4e00 + u32::from(c) * 7).unwrap_or(c)
}

fn main() {
    // Asked by `cargo test --benches`: whether it runs is seen with little.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let messages = if is_test { 300 } else { 100_000 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    terms();
    for rooms in [1, 1_000.min(messages / 10)] {
        runtime.block_on(measure("memory", Arc::new(MemoryStore::new()), rooms, messages));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("chat.db");
        let sqlite = SqliteStore::open(&path, SqliteOptions::default()).expect("a new file");
        runtime.block_on(measure("sqlite", Arc::new(sqlite), rooms, messages));
        let bytes = std::fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
        println!("    the file has {:.1} MB", bytes as f64 / 1e6);
    }
}
