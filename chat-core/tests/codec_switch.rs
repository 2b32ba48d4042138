//! The codec may be changed over a store that has messages in it.
#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use chat_core::codec::{BlobFormat, Codec, CodecCounts, Decoded, HuffmanCodec, Metered, StoredCodec};
use chat_core::prelude::*;
use chat_core::store::SqliteStore;
use chat_core::store::sqlite::SqliteOptions;

const SHORT: &str = "hi";
const LONG: &str = "Shall we meet at the station at half past six? I can bring the tickets. 🙂 Bis später!";

/// Opens the store with this codec, does something, closes it, and says what the codec has done.
async fn with_codec(
    path: &Path,
    codec: impl Codec + 'static,
    work: impl AsyncFnOnce(&Chat, &Actor),
) -> CodecCounts {
    let store = SqliteStore::open(path, SqliteOptions::default()).expect("the store must open");
    let codec = Arc::new(Metered::new(codec));
    let chat = Chat::new(Arc::new(store)).with_codec(codec.clone());
    let ann = chat.find_user(&UserKey::Username("ann".into())).await.expect("a look");
    let ann = match ann {
        Some(ann) => ann,
        None => {
            for name in ["bob", "ann"] {
                let registration = Registration::named(name, PasswordHash::new("…"));
                chat.register(registration).await.expect("a new person");
            }
            chat.find_user(&UserKey::Username("ann".into())).await.expect("a look").expect("she was made")
        }
    };
    work(&chat, &Actor { user: ann.id }).await;
    chat.store().close().await.expect("the store must close");
    codec.snapshot()
}

fn bob() -> Destination {
    Destination::Person(UserKey::Username("bob".into()))
}

async fn send(chat: &Chat, ann: &Actor) {
    for content in [
        Content::text(SHORT),
        Content::text(LONG),
        Content { file_name: Some("notes.txt".into()), ..Content::text(&*LONG.repeat(50)) },
    ] {
        let command = Command::Send { to: bob(), content, client_id: None };
        chat.execute(ann, command).await.expect("it must be stored");
    }
}

/// Reads everything back, with the codec that is in use now.
async fn texts(chat: &Chat, ann: &Actor) -> Vec<String> {
    let command =
        Command::History { of: bob(), window: Window::Latest { limit: 50 }, include_deleted: false };
    let Reply::Messages(history) = chat.execute(ann, command).await.expect("a page").reply else {
        panic!("a history answers with messages")
    };
    history.messages.iter().map(|view| view.message.content.text.to_string()).collect()
}

/// Whether every blob counted is the body as it is.
fn all_plain(counts: &CodecCounts) -> bool {
    counts.encoded.iter().all(|row| row.format == BlobFormat::Plain)
}

async fn written_by_one_read_by_the_other(
    first: impl Codec + 'static,
    second: impl Codec + 'static,
    first_compresses: bool,
) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("chat.db");
    let wrote = with_codec(&path, first, async |chat, ann| send(chat, ann).await).await;
    assert_eq!(all_plain(&wrote), !first_compresses);

    let both = with_codec(&path, second, async |chat, ann| {
        let expected = [SHORT, LONG, &LONG.repeat(50)];
        assert_eq!(texts(chat, ann).await, expected);
        // Both kinds of blobs, side by side in one conversation.
        send(chat, ann).await;
        assert_eq!(texts(chat, ann).await, [expected, expected].concat());
    })
    .await;
    assert_eq!(all_plain(&both), first_compresses);
    let total = |count: fn(&Decoded) -> u64| both.decoded.iter().map(count).sum::<u64>();
    assert_eq!((total(|row| row.blobs), total(|row| row.errors)), (9, 0));
    assert!(both.decoded.iter().any(|row| row.format != BlobFormat::Plain), "something compressed was read");
}

#[tokio::test]
async fn what_was_compressed_is_read_without_a_codec() {
    written_by_one_read_by_the_other(HuffmanCodec::new(), StoredCodec, true).await;
}

#[tokio::test]
async fn what_was_stored_plain_is_read_with_a_codec() {
    written_by_one_read_by_the_other(StoredCodec, HuffmanCodec::new(), false).await;
}
