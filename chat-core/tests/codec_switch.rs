//! The codec may be changed over a store that has messages in it.
#![cfg(feature = "sqlite")]

use std::path::Path;
use std::sync::Arc;

use chat_core::codec::{
    Blob, BlobFormat, BlobRef, Codec, CodecCounts, DecodeError, Decoded, HuffmanCodec, Kind, Metered,
    OwnTables, Reading, StoredCodec,
};
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
        let command = SendMessage {
            to: bob(),
            content,
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        chat.execute(ann, command).await.expect("it must be stored");
    }
}

fn read() -> ReadHistory {
    ReadHistory { of: bob(), window: Window::Latest { limit: 50 }, include_deleted: false }
}

/// Reads everything back, with the codec that is in use now.
async fn texts(chat: &Chat, ann: &Actor) -> Vec<String> {
    let history = chat.execute(ann, read()).await.expect("a page").reply;
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

/// Writes every message with an operator's tables, those of a shipped set. The codec itself would choose the shipped
/// set, which is as good and need not be named in the frame.
struct Own(Arc<OwnTables>);

impl Own {
    fn new() -> Own {
        let file = include_bytes!("../src/codec/huffman/phrases/tables/english.cht");
        Own(Arc::new(OwnTables::new([file]).expect("a shipped file is sound")))
    }

    fn fingerprint(&self) -> u16 {
        self.0.sets().next().expect("it was loaded").1
    }
}

impl Codec for Own {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        let mut blob = HuffmanCodec::new().encode(kind, body);
        if blob.format() == BlobFormat::Frame(1) {
            blob.bytes[0] = (19 << 3) | (blob.bytes[0] & 7);
            blob.bytes.splice(1..1, self.fingerprint().to_le_bytes());
        }
        blob
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        Reading::new(StoredCodec, self.0.clone()).decode(blob, limit)
    }
}

#[tokio::test]
async fn what_was_written_with_tables_waits_for_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("chat.db");
    let (own, expected) = (Own::new(), [SHORT, LONG, &LONG.repeat(50)]);
    let (tables, fingerprint) = (own.0.clone(), own.fingerprint());
    let wrote = with_codec(&path, own, async |chat, ann| send(chat, ann).await).await;
    assert!(wrote.encoded.iter().any(|row| row.format == BlobFormat::Frame(19)));

    // Whoever has not listed them is told which ones are missing.
    let read_without = async |chat: &Chat, ann: &Actor| {
        let error = chat.execute(ann, read()).await.expect_err("they are not loaded").to_string();
        let reason = format!(": the tables with the fingerprint {fingerprint:#06x} are not loaded");
        assert!(error.contains("corrupt message body") && error.ends_with(&reason), "{error}");
    };
    with_codec(&path, HuffmanCodec::new(), read_without).await;
    let read_with = async |chat: &Chat, ann: &Actor| assert_eq!(texts(chat, ann).await, expected);
    with_codec(&path, HuffmanCodec::with_tables(tables.clone()), read_with).await;
    with_codec(&path, Reading::new(StoredCodec, tables), read_with).await;
}
