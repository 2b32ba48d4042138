//! Tests of the references from the log. The tests of the routes check who may read a file through them.

use chat_core::chat::Registration;
use chat_core::command::{Actor, Destination, SendMessage};
use chat_core::model::{Content, PasswordHash, UserKey};

use super::super::super::staging::tests::{counting, staged};
use super::super::super::{DiskFiles, Staging, store_contract};
use super::*;

struct Site {
    dir: tempfile::TempDir,
    chat: Arc<Chat>,
    files: Arc<dyn FileStore>,
    staging: Staging,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join(".tmp"), counting()).unwrap();
        let files = Arc::new(DiskFiles::open(dir.path().to_owned(), staging.clone()).unwrap());
        Self { dir, chat: Arc::new(Chat::in_memory()), files, staging }
    }

    fn references(&self) -> LogReferences {
        let codec = Arc::new(chat_core::codec::StoredCodec);
        let dir = self.dir.path().join(".references");
        LogReferences::open(dir, Position(0), self.chat.clone(), codec, self.files.clone()).unwrap()
    }

    async fn person(&self, name: &str) -> UserId {
        let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
        self.chat.register(registration).await.unwrap().user.id
    }

    async fn file(&self, n: u8, owner: UserId) -> FileId {
        let record = super::super::super::FileRecord { owner, ..store_contract::record(n, b"x") };
        self.files.put(&record, staged(&self.staging, b"x").await).await.unwrap();
        record.id
    }

    async fn say(&self, from: UserId, to: UserId, text: &str) {
        let to = Destination::Person(UserKey::Id(to));
        let content = Content::text(text);
        let message =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        self.chat.execute(&Actor { user: from }, message).await.unwrap();
    }
}

#[tokio::test]
async fn links_in_texts_are_found_and_kept() {
    let site = Site::new();
    let (ann, bob) = (site.person("ann").await, site.person("bob").await);
    let (one, two) = (site.file(1, ann).await, site.file(2, ann).await);
    let references = site.references();
    assert_eq!(references.of(one).await.unwrap(), []);
    site.say(ann, bob, &format!("see https://chat.example/api/v1/files/{one}?x=1, and /api/v1/files/{two}."))
        .await;
    site.say(ann, bob, &format!("/api/v1/files/{one}00 /api/v1/files/ /api/v1/files/{}", "z".repeat(24)))
        .await;
    let found = references.of(one).await.unwrap();
    assert_eq!(found.len(), 2, "once in each message");
    assert_eq!(references.of(two).await.unwrap().len(), 1);
    drop(references);
    let again = site.references();
    assert_eq!(again.of(one).await.unwrap(), found);
    fs::remove_file(site.dir.path().join(".references/read.json")).unwrap();
    assert_eq!(site.references().of(one).await.unwrap(), found, "none is noted twice");
    assert_eq!(again.known_since().await.unwrap(), Timestamp::default());
}

#[tokio::test]
async fn nobody_lets_themselves_in_by_writing_an_id_down() {
    let site = Site::new();
    let (ann, bob, eve) = (site.person("ann").await, site.person("bob").await, site.person("eve").await);
    let file = site.file(1, ann).await;
    let references = site.references();
    site.say(eve, eve, &format!("/api/v1/files/{file}")).await;
    site.say(bob, bob, &format!("/api/v1/files/{file}")).await;
    assert_eq!(references.of(file).await.unwrap(), []);
    site.say(ann, bob, &format!("/api/v1/files/{file}")).await;
    assert_eq!(references.of(file).await.unwrap().len(), 1);
    site.say(eve, bob, &format!("/api/v1/files/{file}")).await;
    assert_eq!(references.of(file).await.unwrap().len(), 1, "eve still cannot read it");
    site.say(bob, eve, &format!("/api/v1/files/{file}")).await;
    assert_eq!(references.of(file).await.unwrap().len(), 2, "bob passes on what he may read");
}

#[tokio::test]
async fn a_backup_that_was_put_back_is_seen() {
    let site = Site::new();
    let (ann, bob) = (site.person("ann").await, site.person("bob").await);
    let file = site.file(1, ann).await;
    site.say(ann, bob, &format!("/api/v1/files/{file}")).await;
    let dir = site.dir.path().join(".references");
    let codec = Arc::new(chat_core::codec::StoredCodec);
    let ahead =
        LogReferences::open(dir, Position(1_000), site.chat.clone(), codec, site.files.clone()).unwrap();
    assert_eq!(
        ahead.of(file).await.unwrap().len(),
        1,
        "the log is another one, and is read from its beginning"
    );
}
