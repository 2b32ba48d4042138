//! Tests against a local server that checks every signature and every body hash, as S3 does.

use std::sync::atomic::Ordering;

use futures_util::TryStreamExt;

use super::super::staging::Staging;
use super::super::staging::tests::{counting, staged};
use super::super::store_contract;
use super::*;

mod server;

use server::{Bucket, KEY_ID, SECRET};

struct Site {
    dir: tempfile::TempDir,
    staging: Staging,
    bucket: Arc<Bucket>,
    store: S3Files,
}

impl Site {
    async fn new(secret: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().to_owned(), counting()).unwrap();
        let (bucket, endpoint) = Bucket::serve().await;
        let config = S3Config {
            bucket: "bucket".to_owned(),
            endpoint: Some(endpoint),
            region: "eu-central-1".to_owned(),
            key_id: KEY_ID.to_owned(),
            secret: Secret::new(secret.to_owned()),
            prefix: "chat/files".to_owned(),
        };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let store = S3Files::new(&config, client).unwrap();
        Self { dir, staging, bucket, store }
    }
}

fn with_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test]
async fn the_contract_holds_and_every_request_is_signed() {
    with_provider();
    let site = Site::new(SECRET).await;
    store_contract::all(&site.store, &site.staging).await;
    assert_eq!(site.bucket.refused.load(Ordering::Relaxed), 0);
    assert!(site.bucket.objects.lock().keys().all(|name| name.starts_with("chat/files/")));
    assert_eq!(std::fs::read_dir(site.dir.path()).unwrap().count(), 0, "nothing stays on this disk");
}

#[tokio::test]
async fn a_large_file_goes_in_parts() {
    with_provider();
    let site = Site::new(SECRET).await;
    let content: Vec<u8> = (0..=250).cycle().take(2 * PART + 12_345).collect();
    let record = store_contract::record(7, &content);
    site.store.put(&record, staged(&site.staging, &content).await).await.unwrap();
    assert_eq!(site.bucket.parts.load(Ordering::Relaxed), 3);
    let start = PART as u64 - 10;
    let read = site.store.read(record.id, start..start + 20).await.unwrap().unwrap();
    let read: Vec<_> = read.try_collect().await.unwrap();
    assert_eq!(read.concat(), &content[start as usize..start as usize + 20]);
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_nothing_is_left_behind() {
    with_provider();
    let site = Site::new(SECRET).await;
    let content: Vec<u8> = vec![7; 2 * PART];
    let record = store_contract::record(7, &content);
    site.bucket.fails_at_part.store(2, Ordering::Relaxed);
    let put = site.store.put(&record, staged(&site.staging, &content).await).await;
    assert!(matches!(put, Err(FileError::Unavailable { .. })));
    assert!(site.bucket.objects.lock().is_empty(), "neither record nor bytes");
    assert!(site.bucket.uploads.lock().is_empty(), "the upload was given up");
    assert_eq!(std::fs::read_dir(site.dir.path()).unwrap().count(), 0);
    site.bucket.fails_at_part.store(0, Ordering::Relaxed);
    site.store.put(&record, staged(&site.staging, &content).await).await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_is_refused_by_the_store_and_named_nowhere() {
    with_provider();
    let site = Site::new("another secret").await;
    let record = store_contract::record(7, b"x");
    let error = site.store.put(&record, staged(&site.staging, b"x").await).await.unwrap_err();
    assert!(!format!("{error:?}").contains("another secret"));
    assert!(site.bucket.refused.load(Ordering::Relaxed) > 0);
    assert!(site.bucket.objects.lock().is_empty());
}
