//! What can be asked besides words, and what ends at a bound.

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::model::Position;
use crate::search::ContentKind;

async fn found(chat: &Chat, user: UserId, asked: Search) -> Vec<String> {
    let found = search(chat, user, asked).await;
    assert!(found.complete && !found.bounded && found.next.is_none());
    found.messages.iter().map(|view| view.message.content.text.to_string()).collect()
}

/// All pages of this size.
async fn pages(chat: &Chat, user: UserId, asked: &Search, limit: usize) -> (Vec<u32>, usize) {
    let (mut all, mut before, mut bounded) = (Vec::new(), None, 0);
    loop {
        let page = search(chat, user, Search { before, limit, ..asked.clone() }).await;
        assert!(page.messages.len() <= limit && page.complete);
        assert!(!page.bounded || page.next.is_some(), "it goes on");
        assert!(page.next.is_none_or(|next| before.is_none_or(|before| next < before)));
        all.extend(page.messages.iter().map(|view| view.message.seq.0));
        bounded += usize::from(page.bounded);
        before = page.next;
        if before.is_none() {
            return (all, bounded);
        }
    }
}

#[tokio::test]
async fn phrases_and_what_is_left_out() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    for text in [
        "the train at six",
        "at the train",
        "the train at seven",
        "six at the train",
        "我在北京大学",
        "北京大 京大学",
    ] {
        say_text(&chat, ann, bob, text).await;
    }
    for (asked, expected) in [
        ("\"the train\"", vec!["six at the train", "the train at seven", "at the train", "the train at six"]),
        ("\"the train at\"", vec!["the train at seven", "the train at six"]),
        ("\"the train at s", vec!["the train at seven", "the train at six"]),
        ("\"the train at\" -seven", vec!["the train at six"]),
        ("train -\"train at\"", vec!["six at the train", "at the train"]),
        ("train -\"train at\" -six", vec!["at the train"]),
        ("\"train the\"", vec![]),
        ("\"北京大学\"", vec!["我在北京大学"]),
        ("北京大学", vec!["北京大 京大学", "我在北京大学"]),
        ("京大学 -北京大学", vec!["北京大 京大学"]),
    ] {
        assert_eq!(found(&chat, bob, look_for(asked)).await, expected, "{asked}");
    }
    let message = say_text(&chat, ann, bob, "the train at six, deleted").await;
    let asked = || look_for("\"the train at six\"");
    assert_eq!(found(&chat, bob, asked()).await.len(), 2);
    execute(&chat, ann, DeleteMessage { message }).await.unwrap();
    assert_eq!(found(&chat, bob, asked()).await, ["the train at six"]);
    execute(&chat, ann, RestoreMessage { message }).await.unwrap();
    assert_eq!(found(&chat, bob, asked()).await.len(), 2);
}

#[tokio::test]
async fn by_author_kind_and_date() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(2_000)));
    let chat = Chat::in_memory().with_clock(clock.clone());
    let [ann, bob, cid] = people(&chat, ["ann", "bob", "cid"]).await;
    let room = make_room(&chat, ann, vec![bob, cid]).await;
    let named = |name: &str| Content { file_name: Some(name.into()), ..Content::text("word in a file") };
    let image = |text: &str| Content { image: Some("/a.png".into()), ..Content::text(text) };
    for (from, to, content) in [
        (ann, with(bob), Content::text("word one")),
        (bob, with(ann), Content::text("word two")),
        (ann, Destination::Conversation(room), image("word three")),
        (cid, Destination::Conversation(room), named("a.txt")),
        (bob, Destination::Conversation(room), image("")),
        (ann, with(cid), Content::text("word four")),
    ] {
        say(&chat, from, to, content).await;
        clock.advance(std::time::Duration::from_millis(10));
    }
    let word = || look_for("word");
    let by = |user| Some(UserKey::Id(user));
    let at = |millis| Some(Timestamp::from_millis(millis));
    let all = || Search { text: String::new(), ..word() };
    let (text, picture, file) = (ContentKind::Text, ContentKind::Image, ContentKind::File);
    let inside = Some(Destination::Conversation(room));
    for (asked, expected) in [
        (Search { author: by(ann), ..word() }, vec!["word four", "word three", "word one"]),
        (Search { author: Some(UserKey::Username("BOB".into())), ..word() }, vec!["word two"]),
        (Search { author: by(ann), within: inside.clone(), ..word() }, vec!["word three"]),
        (Search { author: by(ann), within: Some(with(bob)), ..word() }, vec!["word one"]),
        (Search { kinds: vec![picture], ..word() }, vec!["word three"]),
        (Search { kinds: vec![picture, file], ..word() }, vec!["word in a file", "word three"]),
        (Search { kinds: vec![text], ..word() }, vec!["word four", "word two", "word one"]),
        (Search { from: at(2_030), ..word() }, vec!["word four", "word in a file"]),
        (Search { until: at(2_020), ..word() }, vec!["word two", "word one"]),
        (Search { from: at(2_010), until: at(2_050), kinds: vec![text], ..word() }, vec!["word two"]),
        (Search { author: by(ann), ..look_for("word -three") }, vec!["word four", "word one"]),
        (Search { kinds: vec![file], ..look_for("\"in a file\"") }, vec!["word in a file"]),
        // Without words.
        (Search { kinds: vec![picture], ..all() }, vec!["", "word three"]),
        (Search { kinds: vec![picture], within: Some(with(bob)), ..all() }, vec![]),
        (Search { author: by(bob), text: "  ".into(), ..word() }, vec!["", "word two"]),
        (Search { until: at(2_010), ..all() }, vec!["word one"]),
    ] {
        assert_eq!(found(&chat, ann, asked.clone()).await, expected, "{asked:?}");
    }
    // What somebody else cannot read they do not find so, either.
    assert_eq!(found(&chat, cid, Search { author: by(bob), ..all() }).await, [""]);
    assert_eq!(found(&chat, bob, Search { author: by(ann), ..all() }).await, ["word three", "word one"]);
    execute(&chat, ann, RemoveMember { room, user: bob }).await.unwrap();
    assert_eq!(found(&chat, bob, Search { author: by(ann), ..all() }).await, ["word one"]);
    for (asked, expected) in [
        (all(), "query must have a letter or a digit"),
        (Search { text: "?".into(), author: by(ann), ..all() }, "query must have a letter or a digit"),
        (Search { author: Some(UserKey::Username("nobody".into())), ..word() }, "user not found"),
        (Search { from: at(5), until: at(5), ..word() }, "until must be later than from"),
        (Search { within: inside, ..word() }, "conversation not found"),
        (look_for("-word"), "query must have a word that is looked for, besides those that are left out"),
    ] {
        let refused = execute(&chat, bob, asked).await;
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn snippets_are_made_when_they_are_asked_for() {
    let chat = Chat::in_memory();
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    for text in ["👍 the Train", "no tram", "train at six"] {
        say_text(&chat, ann, bob, text).await;
    }
    let asked = |text: &str| Search { snippets: true, ..look_for(text) };
    assert!(search(&chat, bob, look_for("train")).await.snippets.is_empty());
    for order in [crate::search::Order::Newest, crate::search::Order::Best(None)] {
        let found = search(&chat, bob, Search { order, ..asked("train") }).await;
        let mark = |one: &crate::search::Snippet| (one.marks[0].clone(), one.marks.len());
        let shown: Vec<_> = found.snippets.iter().map(|one| (&*one.text, mark(one))).collect();
        // A pair of surrogates counts twice.
        assert_eq!(shown.len(), 2);
        for expected in [("train at six", (0..5, 1)), ("👍 the Train", (7..12, 1))] {
            assert!(shown.contains(&expected), "{shown:?}");
        }
    }
    // Without words there is nothing to mark.
    let by_ann = Search { author: Some(UserKey::Id(ann)), ..asked("") };
    assert!(
        search(&chat, bob, by_ann)
            .await
            .snippets
            .iter()
            .all(|one| one.marks.is_empty() && !one.text.is_empty())
    );
}

/// A search that no word bounds looks at so many messages, and the next page goes on.
#[tokio::test]
async fn a_filter_looks_at_so_many() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    say_text(&chat, bob, ann, "first of bob").await;
    for _ in 0..Found::MAX_LOOKED_AT + 5 {
        say_text(&chat, ann, bob, "word").await;
    }
    let by_bob = || Search { author: Some(UserKey::Id(bob)), text: String::new(), ..look_for("") };
    let page = search(&chat, ann, by_bob()).await;
    assert!(page.bounded && page.messages.is_empty());
    let page = search(&chat, ann, Search { before: page.next, ..by_bob() }).await;
    assert!(!page.bounded && page.messages.len() == 1 && page.next.is_none());
    // A word that few messages have bounds it.
    let page = search(&chat, ann, Search { text: "first".into(), ..by_bob() }).await;
    assert!(page.messages.len() == 1 && !page.bounded);
}

#[tokio::test]
async fn a_phrase_reads_so_many_texts() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let phrase = |seq: usize| seq.is_multiple_of(700) || seq == 3;
    let sent = 2 * Found::MAX_READ + 400;
    for seq in 1..=sent {
        say_text(&chat, ann, bob, if phrase(seq) { "a long word" } else { "word long a" }).await;
    }
    let asked = look_for("\"long word\"");
    let expected: Vec<u32> = (1..=sent).rev().filter(|seq| phrase(*seq)).map(|seq| seq as u32).collect();
    for limit in [1, 2, 3, 100] {
        let (found, bounded) = pages(&chat, bob, &asked, limit).await;
        assert_eq!(found, expected, "by {limit}");
        assert_eq!(bounded > 0, limit > 1, "by {limit}");
    }
    // Together with a filter, each has its bound.
    let (found, _) = pages(&chat, bob, &Search { author: Some(UserKey::Id(ann)), ..asked.clone() }, 2).await;
    assert_eq!(found, expected);
    let nothing = Search { before: Some(Position(1)), ..asked };
    assert!(search(&chat, bob, nothing).await.messages.is_empty());
}

#[tokio::test]
async fn a_phrase_reads_so_many_bytes() {
    let chat = Chat::in_memory().with_codec(Arc::new(StoredCodec));
    let [ann, bob] = people(&chat, ["ann", "bob"]).await;
    let text: Arc<str> = "large    ".repeat((1 << 20) / 8).into();
    for n in 0..20 {
        let text = if n == 0 { "the only one".into() } else { text.clone() };
        let file = Content { file_name: Some("large only the.txt".into()), ..Content::text(text) };
        say(&chat, ann, with(bob), file).await;
    }
    let (found, bounded) = pages(&chat, bob, &look_for("\"the only\""), 9).await;
    assert_eq!((found, bounded), (vec![1], 2));
}

/// What cannot be read does not end a search for a phrase, and is not taken for the phrase.
#[tokio::test]
async fn what_cannot_be_read_has_no_phrase() {
    let store: Arc<dyn crate::store::Store> = Arc::new(MemoryStore::new());
    let before = Chat::new(store.clone()).with_codec(Arc::new(HuffmanCodec::new()));
    let [ann, bob] = people(&before, ["ann", "bob"]).await;
    for text in ["two words", "! two words", "two words more"] {
        say_text(&before, ann, bob, text).await;
    }
    assert_eq!(found(&before, ann, look_for("\"two words\"")).await.len(), 3);
    let damaged = Forgetful { inner: HuffmanCodec::new(), error: DecodeError::Corrupt };
    let chat = Chat::new(store).with_codec(Arc::new(damaged));
    for asked in ["\"two words\"", "two -\"other words\""] {
        assert_eq!(found(&chat, ann, look_for(asked)).await, ["two words more", "two words"]);
    }
}

/// A membership that ended between the index and the message is no membership.
#[test]
fn only_members_may_find_what_is_not_deleted() {
    use super::super::visibility::may_find;
    use crate::model::{Conversation, ConversationKind, Member, Pair, Tombstone};
    let [ann, bob] = [1, 2].map(|n| UserId::from_bytes([n; 12]));
    let moment = Timestamp::from_millis(1);
    let member = |user| Member { user, role: Role::Member, joined_at: moment };
    let conversation = Conversation {
        id: ConversationId::from_bytes([3; 12]),
        kind: ConversationKind::Direct { pair: Pair::new(ann, ann) },
        members: [member(ann)].into(),
        created_at: moment,
    };
    let message = StoredMessage {
        id: MessageId::from_bytes([4; 12]),
        conversation: conversation.id,
        seq: Seq(1),
        sender: bob,
        body: Blob { encoding: crate::codec::Encoding::Stored, bytes: Vec::new() },
        file_name: None,
        image: None,
        created_at: moment,
        updated_at: moment,
        deleted: None,
        facets: crate::store::Facets::default(),
    };
    assert!(may_find(ann, &message, &conversation) && !may_find(bob, &message, &conversation));
    let deleted = StoredMessage { deleted: Some(Tombstone { at: moment, by: ann }), ..message };
    assert!(!may_find(ann, &deleted, &conversation));
}
