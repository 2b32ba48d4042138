//! The contract of [`FileStore`], as tests that run for every store.

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::staging::tests::staged;
use super::{FileId, FileRecord, FileStore, Listed, Staging};

/// The record of a file with this content.
pub(super) fn record(n: u8, content: &[u8]) -> FileRecord {
    let now = Timestamp::from_millis(1_700_000_000_000);
    FileRecord {
        id: FileId::new(now, [n; 16]),
        owner: UserId::from_bytes([1; 12]),
        name: "ä file \"of\" mine.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: content.len() as u64,
        sha256: hex::encode(Sha256::digest(content)),
        width: None,
        height: Some(7),
        duration: None,
        blurhash: None,
        created_at: now.as_millis(),
    }
}

async fn read(store: &dyn FileStore, id: FileId, range: std::ops::Range<u64>) -> Option<Vec<u8>> {
    let stream = store.read(id, range).await.unwrap()?;
    let parts: Vec<_> = stream.try_collect().await.unwrap();
    Some(parts.concat())
}

/// Runs all tests.
pub(super) async fn all(store: &dyn FileStore, staging: &Staging) {
    comes_back_whole_and_in_parts(store, staging).await;
    what_is_missing_is_none(store).await;
    what_is_removed_is_gone(store, staging).await;
    files_are_listed_by_shard(store, staging).await;
    an_id_is_never_given_twice(store, staging).await;
}

async fn comes_back_whole_and_in_parts(store: &dyn FileStore, staging: &Staging) {
    for (n, len) in [(1, 0), (2, 1), (3, 65_536), (4, 300_001)] {
        let content: Vec<u8> = (0..=250).cycle().take(len).collect();
        let record = record(n, &content);
        store.put(&record, staged(staging, &content).await).await.unwrap();
        assert_eq!(store.record(record.id).await.unwrap(), Some(record.clone()));
        let len = len as u64;
        for range in [0..len, 0..len / 2, len / 3..len, len / 2..len / 2, len..len] {
            let expected = &content[range.start as usize..range.end as usize];
            assert_eq!(read(store, record.id, range.clone()).await.as_deref(), Some(expected), "{range:?}");
        }
    }
}

async fn what_is_missing_is_none(store: &dyn FileStore) {
    let id = record(99, b"").id;
    assert_eq!(store.record(id).await.unwrap(), None);
    assert_eq!(read(store, id, 0..1).await, None);
    assert_eq!(store.list(99).await.unwrap(), []);
    store.remove(id).await.unwrap();
}

async fn what_is_removed_is_gone(store: &dyn FileStore, staging: &Staging) {
    let record = record(20, b"gone");
    store.put(&record, staged(staging, b"gone").await).await.unwrap();
    store.remove(record.id).await.unwrap();
    assert_eq!(store.record(record.id).await.unwrap(), None);
    assert_eq!(read(store, record.id, 0..4).await, None);
    assert_eq!(store.list(20).await.unwrap(), []);
    store.remove(record.id).await.unwrap();
}

async fn files_are_listed_by_shard(store: &dyn FileStore, staging: &Staging) {
    let (one, other) = (record(30, b"1"), record(31, b"2"));
    for (record, content) in [(&one, b"1"), (&other, b"2")] {
        store.put(record, staged(staging, content).await).await.unwrap();
    }
    assert_eq!(store.list(30).await.unwrap(), [Listed { id: one.id, is_complete: true }]);
    assert_eq!(store.list(31).await.unwrap(), [Listed { id: other.id, is_complete: true }]);
}

async fn an_id_is_never_given_twice(store: &dyn FileStore, staging: &Staging) {
    let first = record(40, b"first");
    store.put(&first, staged(staging, b"first").await).await.unwrap();
    assert!(store.put(&record(40, b"other"), staged(staging, b"other").await).await.is_err());
    assert_eq!(read(store, first.id, 0..5).await.as_deref(), Some(&b"first"[..]));
}
