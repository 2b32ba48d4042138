mod filters;
mod ranking;

use std::sync::Arc;

use super::*;
use crate::chat::Registration;
use crate::codec::{Blob, BlobRef, Codec, HuffmanCodec, Kind, StoredCodec};
use crate::command::{
    Actor, AddMember, Answer, CreateRoom, DeleteMessage, Destination, RemoveMember, ReplyRef, Request,
    RestoreMessage, SendMessage, SetRole,
};
use crate::id::{ConversationId, MessageId};
use crate::model::{Content, PasswordHash, Role, UserKey, Visibility};
use crate::store::MemoryStore;

async fn person(chat: &Chat, name: &str) -> UserId {
    let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
    chat.register(registration).await.unwrap().user.id
}

async fn people<const N: usize>(chat: &Chat, names: [&str; N]) -> [UserId; N] {
    let mut people = Vec::new();
    for name in names {
        people.push(person(chat, name).await);
    }
    people.try_into().unwrap()
}

fn with(user: UserId) -> Destination {
    Destination::Person(UserKey::Id(user))
}

async fn execute<R: Request>(chat: &Chat, user: UserId, request: R) -> Result<R::Reply, Error> {
    chat.execute(&Actor { user }, request).await.map(|outcome| {
        let is_search = matches!(outcome.reply.as_reply(), ReplyRef::Found(_));
        assert!(outcome.deliveries.is_empty() || !is_search, "nobody is told");
        outcome.reply
    })
}

async fn say(chat: &Chat, from: UserId, to: Destination, content: Content) -> MessageId {
    let send = SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
    execute(chat, from, send).await.expect("it must be sent").message.id
}

async fn say_text(chat: &Chat, from: UserId, to: UserId, text: &str) -> MessageId {
    say(chat, from, with(to), Content::text(text)).await
}

async fn make_room(chat: &Chat, admin: UserId, members: Vec<UserId>) -> ConversationId {
    let create = CreateRoom { name: "Room".into(), visibility: Visibility::Private, members };
    execute(chat, admin, create).await.expect("it must be made").id
}

fn look_for(text: &str) -> Search {
    Search { text: text.into(), limit: 100, ..Search::default() }
}

async fn search(chat: &Chat, user: UserId, search: Search) -> Found {
    execute(chat, user, search).await.expect("a search must work")
}

async fn texts(chat: &Chat, user: UserId, text: &str) -> Vec<String> {
    let found = search(chat, user, look_for(text)).await;
    assert!(found.complete && found.next.is_none());
    found.messages.iter().map(|view| view.message.content.text.to_string()).collect()
}

#[tokio::test]
async fn messages_are_found_where_one_is_a_member_and_nowhere_else() {
    let chat = Chat::in_memory();
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    say_text(&chat, ann, bob, "The train leaves at six").await;
    say_text(&chat, bob, cid, "The train is late").await;
    say_text(&chat, ann, ann, "A note on trains").await;
    let room = make_room(&chat, bob, vec![cid]).await;
    say(&chat, cid, Destination::Conversation(room), Content::text("Which train?")).await;
    assert_eq!(texts(&chat, ann, "train").await, ["A note on trains", "The train leaves at six"]);
    assert_eq!(texts(&chat, ann, "train ").await, ["The train leaves at six"]);
    assert_eq!(
        texts(&chat, bob, "TRAIN").await,
        ["Which train?", "The train is late", "The train leaves at six"]
    );
    assert_eq!(texts(&chat, cid, "the train ").await, ["The train is late"]);

    let within = |within| Search { within: Some(within), ..look_for("train") };
    assert_eq!(search(&chat, bob, within(with(cid))).await.messages.len(), 1);
    assert_eq!(search(&chat, bob, within(Destination::Conversation(room))).await.messages.len(), 1);
    let nothing = search(&chat, ann, within(with(cid))).await;
    assert!(nothing.complete && nothing.messages.is_empty(), "they have never talked");
    for (foreign, expected) in [
        (Destination::Conversation(room), "conversation not found"),
        (Destination::Conversation(ConversationId::from_bytes([7; 12])), "conversation not found"),
        (Destination::Person(UserKey::Username("nobody".into())), "user not found"),
    ] {
        let refused = execute(&chat, ann, within(foreign)).await;
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }

    let add = AddMember { room, user: ann };
    execute(&chat, bob, add).await.unwrap();
    assert_eq!(texts(&chat, ann, "which").await, ["Which train?"], "what was said before is theirs to read");
    execute(&chat, bob, SetRole { room, user: ann, role: Role::Moderator }).await.unwrap();
    execute(&chat, bob, RemoveMember { room, user: ann }).await.unwrap();
    assert_eq!(texts(&chat, ann, "which").await, [""; 0]);
}

#[tokio::test]
async fn deleted_messages_are_left_out_until_they_are_restored() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let early = say_text(&chat, ann, bob, "deleted before anybody looks").await;
    execute(&chat, ann, DeleteMessage { message: early }).await.unwrap();
    let late = say_text(&chat, ann, bob, "deleted after somebody has looked").await;
    assert_eq!(texts(&chat, bob, "deleted").await, ["deleted after somebody has looked"]);
    execute(&chat, ann, DeleteMessage { message: late }).await.unwrap();
    assert_eq!(texts(&chat, bob, "deleted").await, [""; 0]);
    for message in [early, late] {
        execute(&chat, ann, RestoreMessage { message }).await.unwrap();
    }
    assert_eq!(texts(&chat, bob, "deleted").await.len(), 2);
}

#[tokio::test]
async fn names_of_files_are_found_and_addresses_of_images_are_not() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let file = Content { file_name: Some("Über-Uns.txt".into()), ..Content::text("text of it") };
    say(&chat, ann, with(bob), file).await;
    let image = Content { image: Some("https://example.com/uns.png".into()), ..Content::text("") };
    say(&chat, ann, with(bob), image).await;
    for asked in ["uber uns", "txt", "text of"] {
        assert_eq!(texts(&chat, bob, asked).await, ["text of it"], "{asked}");
    }
    assert_eq!(texts(&chat, bob, "example").await, [""; 0]);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    let mut sent = Vec::new();
    for n in 0..250 {
        sent.push(say_text(&chat, ann, if n % 3 == 0 { bob } else { cid }, "hello").await);
    }
    sent.reverse();
    for limit in [1, 7, 100, 5_000] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = search(&chat, ann, Search { before, limit, ..look_for("hello") }).await;
            assert!(page.messages.len() <= limit.min(Search::MAX));
            found.extend(page.messages.iter().map(|view| view.message.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, sent, "by {limit}");
    }
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let text: Arc<str> = "large    ".repeat((1 << 20) / 8).into();
    for _ in 0..12 {
        let file = Content { file_name: Some("large.txt".into()), ..Content::text(text.clone()) };
        say(&chat, ann, with(bob), file).await;
    }
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = search(&chat, ann, Search { before, ..look_for("large") }).await;
        pages.push(page.messages.len());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages, [chat.limits().answer_bytes / text.len(); 4]);
}

#[tokio::test]
async fn one_search_indexes_so_much_and_the_next_goes_on() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    for n in 0..MAX_INDEXED + 300 {
        say_text(&chat, ann, bob, if n == 0 { "the first of all" } else { "one of many" }).await;
    }
    say_text(&chat, ann, bob, "the last of all").await;
    say_text(&chat, ann, cid, "elsewhere at last").await;
    let found = search(&chat, ann, look_for("last")).await;
    assert!(!found.complete);
    let texts = |found: &Found| {
        found.messages.iter().map(|view| view.message.content.text.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&found), ["elsewhere at last"], "where something was said lately is looked at first");
    assert_eq!(texts(&search(&chat, bob, look_for("first")).await), ["the first of all"]);
    let found = search(&chat, ann, look_for("last")).await;
    assert!(found.complete);
    assert_eq!(texts(&found), ["elsewhere at last", "the last of all"]);

    // And so many bytes.
    let [dan, eve] = people(&chat, ["dan", "eve"]).await;
    let long = "word ".repeat(12_000);
    for _ in 0..MAX_BYTES_INDEXED / long.len() + 10 {
        say_text(&chat, dan, eve, &long).await;
    }
    assert!(!search(&chat, eve, look_for("other")).await.complete);
    assert!(search(&chat, eve, look_for("other")).await.complete);
}

#[tokio::test]
async fn one_search_makes_so_many_batches() {
    let chat = Chat::in_memory();
    let ann = person(&chat, "ann").await;
    let rooms = 2 * MAX_BATCHES + 10;
    for n in 0..rooms {
        let room = make_room(&chat, ann, vec![]).await;
        say(&chat, ann, Destination::Conversation(room), Content::text(format!("room r{n} "))).await;
    }
    // Where something was said lately is looked at first.
    for (known, complete) in [(MAX_BATCHES, false), (2 * MAX_BATCHES, false), (rooms, true)] {
        assert_eq!(search(&chat, ann, look_for(&format!("r{}", rooms - known))).await.complete, complete);
        let last = search_index(&chat, ann).await;
        assert_eq!(last, known);
    }
}

/// Few messages with many terms go into the index at once, but what was read for it is used up.
#[tokio::test]
async fn messages_with_many_terms_are_read_once() {
    let store = Arc::new(MemoryStore::new());
    let chat = Chat::new(store.clone());
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let sent = READ + READ / 2;
    let many = BATCH_TERMS / 100;
    for n in 0..sent {
        let text = (0..many).fold(String::new(), |text, word| text + &format!("{n}w{word} "));
        say_text(&chat, ann, bob, &text).await;
    }
    let found = search(&chat, ann, look_for(&format!("{}w1 ", sent - 1))).await;
    assert!(found.complete && found.messages.len() == 1);
    let reads = store.histories.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(reads, 2, "for {} batches", sent * many / BATCH_TERMS);
}

/// No executor waits for what is read.
#[test]
fn reading_for_the_index_is_a_long_read() {
    const { assert!(READ > crate::store::sqlite::LongReads::FROM) };
}

/// How many conversations of somebody are indexed to their end.
async fn search_index(chat: &Chat, user: UserId) -> usize {
    let progress = chat.store().search_progress_of(user).await.unwrap();
    progress.into_iter().filter(|progress| progress.indexed == progress.last).count()
}

#[tokio::test]
async fn many_searches_at_once_index_everything_once() {
    let chat = Arc::new(Chat::in_memory());
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let sent = 3 * BATCH + 7;
    for n in 0..sent {
        say_text(&chat, ann, bob, &format!("word number{n} {}", "filling ".repeat(100))).await;
    }
    let searches = (0..8).map(|n| {
        let chat = chat.clone();
        tokio::spawn(async move { search(&chat, [ann, bob][n % 2], look_for("word")).await.complete })
    });
    for searched in searches.collect::<Vec<_>>() {
        assert!(searched.await.unwrap());
    }
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = search(&chat, ann, Search { before, ..look_for("word") }).await;
        found.extend(page.messages.iter().map(|view| view.message.seq.0 as usize));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert!(found.into_iter().eq((1..=sent).rev()));
}

/// Cannot read what has a certain first byte, as if tables were missing or it was damaged.
struct Forgetful {
    inner: HuffmanCodec,
    error: DecodeError,
}

impl Codec for Forgetful {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        self.inner.encode(kind, body)
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        let text = self.inner.decode(blob, limit)?;
        if text.starts_with(b"!") { Err(self.error) } else { Ok(text) }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_in_the_way_and_what_will_be_is_found_then() {
    for (error, complete) in
        [(DecodeError::Corrupt, true), (DecodeError::UnknownTables { fingerprint: 7 }, false)]
    {
        let store: Arc<dyn crate::store::Store> = Arc::new(MemoryStore::new());
        let codec = || HuffmanCodec::new();
        let chat = Chat::new(store.clone()).with_codec(Arc::new(Forgetful { inner: codec(), error }));
        let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
        say_text(&chat, ann, bob, "before").await;
        say_text(&chat, ann, bob, "! unreadable").await;
        say_text(&chat, ann, bob, "after").await;
        say_text(&chat, ann, cid, "elsewhere").await;
        let count = async |chat: &Chat, text: &str| search(chat, ann, look_for(text)).await.messages.len();
        assert_eq!(search(&chat, ann, look_for("before")).await.complete, complete);
        assert_eq!((count(&chat, "before").await, count(&chat, "elsewhere").await), (1, 1));
        assert_eq!(count(&chat, "after").await, usize::from(complete));
        let with_tables = Chat::new(store).with_codec(Arc::new(codec()));
        assert!(search(&with_tables, ann, look_for("x")).await.complete);
        assert_eq!(count(&with_tables, "after").await, 1);
        assert_eq!(count(&with_tables, "unreadable").await, usize::from(!complete));
    }
}

/// What was indexed and cannot be read any more is passed over, also where a page has nothing else.
#[tokio::test]
async fn what_is_found_and_cannot_be_read_hides_nothing() {
    let store: Arc<dyn crate::store::Store> = Arc::new(MemoryStore::new());
    let before = Chat::new(store.clone()).with_codec(Arc::new(HuffmanCodec::new()));
    let [ann, bob] = people(&before, ["ann", "bob"]).await;
    let named = |text: &str| Content { file_name: Some("word.txt".into()), ..Content::text(text) };
    for text in ["word 1", "! word 2", "word 3", "! word 4", "! word 5"] {
        say(&before, ann, with(bob), named(text)).await;
    }
    let all = ["! word 5", "! word 4", "word 3", "! word 2", "word 1"];
    assert_eq!(texts(&before, ann, "word").await, all);
    let damaged = Forgetful { inner: HuffmanCodec::new(), error: DecodeError::Corrupt };
    let chat = Chat::new(store).with_codec(Arc::new(damaged));
    assert_eq!(texts(&chat, ann, "word").await, ["word 3", "word 1"]);
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = search(&chat, ann, Search { before, limit: 2, ..look_for("word") }).await;
        pages.push(page.messages.iter().map(|view| view.message.seq.0).collect::<Vec<_>>());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![], vec![3], vec![1]]);
    // What was damaged before it was indexed has no terms, not even its file's name.
    say(&chat, ann, with(bob), named("! word 6")).await;
    assert_eq!(texts(&chat, ann, "txt").await, ["word 3", "word 1"]);
}

#[tokio::test]
async fn wrong_queries_are_named() {
    let chat = Chat::in_memory();
    let [ann] = people(&chat, ["ann"]).await;
    for (text, expected) in [
        ("", "query must have a letter or a digit".to_owned()),
        ("?!", "query must have a letter or a digit".to_owned()),
        (&"x".repeat(257), "query is larger than 256 bytes".to_owned()),
        (&"x y z ".repeat(42), String::new()),
    ] {
        let answer = execute(&chat, ann, look_for(text)).await;
        assert_eq!(answer.err().map(|error| error.to_string()).unwrap_or_default(), expected, "{text}");
    }
}
