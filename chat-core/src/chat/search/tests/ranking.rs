//! The most relevant first.

use super::*;
use crate::model::Position;
use crate::search::{Order, RankedCursor};

fn best(text: &str) -> Search {
    Search { order: Order::Best(None), ..look_for(text) }
}

fn behind(asked: &Search, cursor: Option<RankedCursor>, limit: usize) -> Search {
    Search { order: Order::Best(cursor), limit, ..asked.clone() }
}

async fn ranked(chat: &Chat, user: UserId, asked: Search) -> Vec<String> {
    let found = search(chat, user, asked).await;
    assert!(found.complete && !found.bounded && found.next_ranked.is_none() && found.next.is_none());
    found.messages.iter().map(|view| view.message.content.text.to_string()).collect()
}

/// All pages of this size, while something is done between them.
async fn pages(
    chat: &Chat,
    user: UserId,
    asked: &Search,
    limit: usize,
    mut between: impl AsyncFnMut(usize),
) -> Vec<MessageId> {
    let (mut all, mut cursor, mut count) = (Vec::new(), None, 0);
    loop {
        let page = search(chat, user, behind(asked, cursor, limit)).await;
        assert!(page.messages.len() <= limit && page.next.is_none());
        all.extend(page.messages.iter().map(|view| view.message.id));
        let Some(next) = page.next_ranked else { return all };
        // As a client has it.
        cursor = Some(next.to_string().parse().unwrap());
        between(count).await;
        count += 1;
    }
}

#[tokio::test]
async fn what_matters_most_comes_first() {
    let chat = Chat::in_memory();
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    let long = "train ".to_owned() + &"filling words that say nothing ".repeat(10);
    for text in ["the train and the tram", &long, "train train train", "train", "tram", "trains"] {
        say_text(&chat, ann, bob, text).await;
    }
    say_text(&chat, ann, cid, "train elsewhere").await;
    // How often, how long, and then the newest.
    let expected = ["train train train", "train", "train elsewhere", "the train and the tram", &long];
    assert_eq!(ranked(&chat, ann, best("train ")).await, expected);
    assert_eq!(ranked(&chat, bob, best("train ")).await.len(), 4, "and nothing of others");
    assert_eq!(ranked(&chat, ann, best("train -\"train train\" -elsewhere -tram -say")).await, ["train"]);
    assert_eq!(ranked(&chat, ann, best("\"train train\"")).await, ["train train train"]);
    // A beginning counts all that begin so.
    assert_eq!(ranked(&chat, ann, best("trai")).await[..2], ["train train train", "trains"]);
    // What is rare weighs more: of two equally long ones that which has it twice.
    for text in ["rare word word", "rare rare word", "word", "word"] {
        say_text(&chat, bob, ann, text).await;
    }
    let found = ranked(&chat, ann, best("word rare ")).await;
    assert_eq!(found, ["rare rare word", "rare word word"]);
    let by_bob = Search { author: Some(UserKey::Id(bob)), ..best("word ") };
    assert_eq!(ranked(&chat, ann, by_bob).await, ["word", "word", "rare word word", "rare rare word"]);
    assert_eq!(ranked(&chat, ann, best("nowhere")).await, [""; 0]);
}

#[tokio::test]
async fn file_names_count_with_the_text() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let named = |name: &str, text: &str| Content { file_name: Some(name.into()), ..Content::text(text) };
    say(&chat, ann, with(bob), named("report.txt", "the report of it")).await;
    say_text(&chat, ann, bob, "a report at last").await;
    assert_eq!(ranked(&chat, bob, best("report ")).await, ["the report of it", "a report at last"]);
}

/// Messages that differ in how often and in how long, among them many that are alike.
async fn many(chat: &Chat, from: UserId, to: [UserId; 2], count: usize) -> Vec<MessageId> {
    let mut sent = Vec::new();
    for n in 0..count {
        let text = "penguin ".repeat(1 + n % 3) + &"other ".repeat(n % 7);
        sent.push(say_text(chat, from, to[n % 2], &text).await);
    }
    sent
}

#[tokio::test]
async fn pages_of_any_size_come_to_the_same() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    let sent = many(&chat, ann, [bob, cid], 90).await;
    let asked = best("penguin");
    let whole = pages(&chat, ann, &asked, 100, async |_| {}).await;
    assert_eq!(whole.len(), sent.len());
    for limit in [1, 4, 30, 89, 90] {
        assert_eq!(pages(&chat, ann, &asked, limit, async |_| {}).await, whole, "by {limit}");
    }
    // While messages arrive that are better and that change how rare the word is; they are not among them.
    let arriving = async |n: usize| {
        say_text(&chat, bob, ann, "penguin penguin penguin penguin").await;
        say_text(&chat, bob, ann, &"nothing of it ".repeat(n + 1)).await;
    };
    assert_eq!(pages(&chat, ann, &asked, 7, arriving).await, whole);
    // While messages are deleted and restored: the others stay where they are.
    let again = pages(&chat, ann, &asked, 100, async |_| {}).await;
    let deleted: Vec<MessageId> = again.iter().skip(9).step_by(10).copied().collect();
    let deleting = async |n: usize| {
        if let Some(message) = deleted.get(n).copied().filter(|message| sent.contains(message)) {
            execute(&chat, ann, DeleteMessage { message }).await.unwrap();
        }
    };
    let found = pages(&chat, ann, &asked, 8, deleting).await;
    let kept: Vec<_> = again.iter().filter(|message| found.contains(message)).copied().collect();
    assert_eq!(found, kept, "nothing twice, and in the same order");
    assert!(again.iter().filter(|message| !found.contains(message)).all(|message| deleted.contains(message)));
}

#[tokio::test]
async fn only_the_newest_are_put_into_order() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let first = say_text(&chat, ann, bob, "penguin penguin penguin").await;
    for _ in 0..Found::MAX_READ {
        say_text(&chat, ann, bob, "penguin").await;
    }
    let page = search(&chat, bob, Search { limit: 3, ..best("penguin") }).await;
    assert!(page.bounded && page.messages.iter().all(|view| view.message.id != first));
    let all = pages(&chat, bob, &best("penguin"), 100, async |_| {}).await;
    assert_eq!(all.len(), Found::MAX_READ);
    // What is deleted meanwhile makes no room for what was out of reach.
    let mut left = Some(all[500]);
    let deleting = async |_| {
        if let Some(message) = left.take() {
            execute(&chat, ann, DeleteMessage { message }).await.unwrap();
        }
    };
    let found = pages(&chat, bob, &best("penguin"), 100, deleting).await;
    assert!(found.len() == Found::MAX_READ - 1 && !found.contains(&first));
    // Before a place there are others.
    let before = Some(Position(500));
    let older = search(&chat, bob, Search { before, limit: 1, ..best("penguin") }).await;
    assert_eq!((older.messages[0].message.id, older.bounded), (first, false));
}

#[tokio::test]
async fn who_left_finds_nothing_on_the_next_page() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let room = make_room(&chat, ann, vec![bob]).await;
    for _ in 0..10 {
        say(&chat, ann, Destination::Conversation(room), Content::text("penguin")).await;
    }
    say_text(&chat, ann, bob, "penguin, and much besides").await;
    let asked = best("penguin");
    let page = search(&chat, bob, behind(&asked, None, 4)).await;
    execute(&chat, ann, RemoveMember { room, user: bob }).await.unwrap();
    let rest = search(&chat, bob, behind(&asked, page.next_ranked.clone(), 100)).await;
    assert_eq!(rest.messages.len(), 1);
    let within =
        Search { within: Some(Destination::Conversation(room)), ..behind(&asked, page.next_ranked, 4) };
    let refused = execute(&chat, bob, within).await;
    assert_eq!(refused.unwrap_err().to_string(), "conversation not found");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_search() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    many(&chat, ann, [bob, bob], 9).await;
    let cursor = search(&chat, bob, behind(&best("penguin"), None, 2)).await.next_ranked;
    assert!(cursor.is_some());
    for (asked, expected) in [
        (
            behind(&best("penguin other"), cursor, 2),
            "before must be the place where a page of this search ended",
        ),
        (Search { author: Some(UserKey::Id(ann)), ..best("") }, "query must have a word to rank messages by"),
    ] {
        assert_eq!(execute(&chat, bob, asked).await.unwrap_err().to_string(), expected);
    }
    // One that nobody was told gives an answer as good as any.
    for text in [
        "0.0.0.0.0.0",
        "18446744073709551615.0.18446744073709551615.18446744073709551615.1.4294967295",
        "5.9.1.1.1.1",
    ] {
        let made_up = Some(text.parse().unwrap());
        assert!(
            search(&chat, bob, behind(&best("penguin"), made_up, 100)).await.messages.len() <= 9,
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_has_no_rank() {
    let store: Arc<dyn crate::store::Store> = Arc::new(MemoryStore::new());
    let before = Chat::new(store.clone()).with_codec(Arc::new(HuffmanCodec::new()));
    let [ann, bob] = people(&before, ["ann", "bob"]).await;
    for text in ["word", "! word word", "word word word"] {
        say_text(&before, ann, bob, text).await;
    }
    assert_eq!(ranked(&before, ann, best("word ")).await.len(), 3);
    let damaged = Forgetful { inner: HuffmanCodec::new(), error: DecodeError::Corrupt };
    let chat = Chat::new(store).with_codec(Arc::new(damaged));
    assert_eq!(ranked(&chat, ann, best("word ")).await, ["word word word", "word"]);
}
