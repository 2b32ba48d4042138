use super::*;
use crate::clock::Timestamp;
use crate::store::sqlite::{SqliteOptions, SqliteStore, connect, rows, schema};
use crate::store::tx::Tx as _;
use crate::store::{ChangeLog as _, UserStore as _};

fn writer(path: &std::path::Path, max_pages: Option<i64>) -> Writer {
    let options = SqliteOptions::default();
    let mut db = connect(path, &options).unwrap();
    schema::migrate(&mut db, true).unwrap();
    if let Some(most) = max_pages {
        db.pragma_update(None, "max_page_count", most).unwrap();
    }
    let checkpointer = connect(path, &options).unwrap();
    let beside = path.with_extension("lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(beside);
    let kept = (Reserve::of(path, 0), HighWater::of(file.unwrap()));
    Writer::start(db, checkpointer, kept, AnswerOn::default()).unwrap()
}

/// The end of a task beside, which nothing tells of.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_copy_of_the_file_alone_has_everything_once_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let options = SqliteOptions { reserve_bytes: 10_000, ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).unwrap();
    let now = Timestamp::from_millis(1);
    for round in 1..=2_u8 {
        store.revoke_token([round; 32], now).await.unwrap();
        let log = folder.path().join("chat.db-wal");
        assert!(log.metadata().unwrap().len() > 0);
        until("the log file is emptied", || log.metadata().unwrap().len() == 0);
        let copy = folder.path().join(format!("copy {round}"));
        std::fs::copy(&path, &copy).unwrap();
        let copy = connect(&copy, &SqliteOptions::default()).unwrap();
        let revoked = rows::revoked_tokens(&copy, Timestamp::from_millis(0)).unwrap();
        assert_eq!(revoked.len(), usize::from(round));
    }
    until("the reserve is there", || folder.path().join("chat.db.reserve").exists());
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_full_is_not_well_until_something_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder.path().join("chat.db"), Some(1));
    // As many as fit into the pages that the tables have.
    let fill = |n: u64| {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&n.to_le_bytes());
        writer.write(move |writing| writing.extend_revocation(&token, Timestamp::from_millis(1)))
    };
    let mut written = 0;
    let error = loop {
        match fill(written).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000);
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(matches!(writer.health().check(), Err(StoreError::Full(_))));
    assert!(writer.health().is_unwritable() && writer.health().check().is_err());
    writer.write(|_| Ok(())).await.unwrap();
    assert!(writer.health().is_unwritable(), "nothing was written by that");
    writer.write(|writing| writing.touch()).await.unwrap();
    writer.health().check().unwrap();
}
