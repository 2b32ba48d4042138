//! What is on disk after images were accepted, refused, repeated and left undecided.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use chat_core::chat::Registration;
use chat_core::clock::{Clock, ManualClock};
use chat_core::command::{DeleteMessage, Destination, SendMessage, UpdateProfile};
use chat_core::error::ErrorKind;
use chat_core::model::{ClientId, Content, PasswordHash, ProfilePatch, UserKey};
use chat_core::prelude::Chat;
use clap::{CommandFactory, FromArgMatches};
use parking_lot::Mutex;

use super::*;
use crate::app::App;
use crate::config::{Config, Options};
use crate::media::samples;

struct World {
    app: Arc<App>,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
    ann: UserId,
    bob: UserId,
}

fn config(folder: &tempfile::TempDir, quota: u64, rate: u64) -> Config {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    options.data_dir = folder.path().to_owned();
    options.message_limit = 5;
    (options.media_quota, options.media_rate) = (quota, rate);
    Config::check(&options).unwrap()
}

impl World {
    async fn new(quota: u64, rate: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(chat_core::clock::SystemClock.now()));
        let chat = Chat::in_memory().with_clock(clock.clone());
        let app = App::from_chat(config(&folder, quota, rate), chat).await.unwrap();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
            people.push(app.chat.register(registration).await.unwrap().user.id);
        }
        Self { app, clock, folder, ann: people[0], bob: people[1] }
    }

    async fn send(&self, text: &str, client_id: Option<&str>, png: bool) -> Result<String, u16> {
        let to = Destination::Person(UserKey::Id(self.bob));
        let (text, client_id) = (text.to_owned(), client_id.and_then(ClientId::new));
        let file = if png { samples::png() } else { samples::gif() };
        let media = Media::from_bytes(file, Purpose::MessageImage).unwrap();
        let command = move |image| SendMessage {
            to,
            content: Content { image: Some(image), ..Content::text(text) },
            client_id,
            fingerprint: None,
            context: Default::default(),
        };
        match self.app.dispatch_with_image(self.ann, media, command).await {
            Ok(view) => Ok(view.message.content.image.unwrap()),
            Err(error) => Err(axum::response::IntoResponse::into_response(error).status().as_u16()),
        }
    }

    async fn set_picture(&self, full_name: Option<&str>) -> Result<String, u16> {
        let media = Media::from_bytes(samples::png(), Purpose::ProfilePicture).unwrap();
        let full_name = full_name.map(str::to_owned);
        let command = |picture| UpdateProfile { patch: ProfilePatch { full_name, picture: Some(picture) } };
        match self.app.dispatch_with_image(self.ann, media, command).await {
            Ok(user) => Ok(user.picture.clone()),
            Err(error) => Err(axum::response::IntoResponse::into_response(error).status().as_u16()),
        }
    }

    /// The links of all images on disk.
    fn stored(&self) -> BTreeSet<String> {
        let media = self.folder.path().join("media");
        let folders = std::fs::read_dir(media).unwrap().map(|entry| entry.unwrap().path());
        let shown = |path: &PathBuf| !path.file_name().unwrap().to_str().unwrap().starts_with('.');
        let files = folders.filter(shown).flat_map(|folder| std::fs::read_dir(folder).unwrap());
        files.map(|file| format!("/media/{}", file.unwrap().file_name().to_str().unwrap())).collect()
    }

    fn undecided(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("media/.pending")).unwrap().count()
    }

    fn used(&self) -> u64 {
        self.app.images.ledger.usage(self.ann).bytes
    }
}

fn set<const N: usize>(urls: [&String; N]) -> BTreeSet<String> {
    urls.into_iter().cloned().collect()
}

#[tokio::test]
async fn what_is_refused_or_repeated_leaves_no_image() {
    let world = World::new(0, 0).await;
    let first = world.send("one", Some("a"), true).await.unwrap();
    assert_eq!(world.stored(), set([&first]));
    // The existing message has another image.
    assert_eq!(world.send("one", Some("a"), false).await, Ok(first.clone()));
    assert_eq!(world.stored(), set([&first]));
    assert_eq!(world.send(&"x".repeat(1 << 20), None, true).await, Err(400), "the text is too long");
    assert_eq!(world.set_picture(Some(&"x".repeat(1_000))).await, Err(400), "the name is too long");
    assert_eq!(world.stored(), set([&first]));
    // Refused images count for the limit of five.
    for _ in 0..2 {
        world.send("more", None, true).await.unwrap();
    }
    let before = world.stored();
    for _ in 0..5 {
        let last = world.send("too often", None, true).await;
        assert_eq!(last, Err(429));
    }
    assert_eq!(world.stored(), before);
    assert_eq!(world.undecided(), 0, "everything is decided");
    assert_eq!((before.len(), world.used()), (3, 3 * 4096), "and nothing else counts");
}

#[tokio::test]
async fn a_profile_picture_goes_when_it_is_replaced() {
    let world = World::new(0, 0).await;
    let message = world.send("one", None, true).await.unwrap();
    let mut before = None;
    for _ in 0..3 {
        let picture = world.set_picture(None).await.unwrap();
        assert_eq!(world.stored(), set([&message, &picture]));
        assert_ne!(before.replace(picture.clone()), Some(picture));
    }
    assert_eq!((world.undecided(), world.used()), (0, 2 * 4096));
    // All run concurrently, and still only one remains: each change knows which picture it has replaced.
    let all = futures_util::future::join_all((0..8).map(|_| world.set_picture(None))).await;
    assert!(all.iter().all(Result::is_ok));
    let now = world.app.chat.store().user(&UserKey::Id(world.ann)).await.unwrap().unwrap();
    assert_eq!(world.stored(), set([&message, &now.picture]));
    assert_eq!((world.undecided(), world.used()), (0, 2 * 4096));
}

#[tokio::test]
async fn a_quota_holds_and_survives_a_restart() {
    let world = World::new(3 * 4096, 0).await;
    for _ in 0..3 {
        world.send("one", None, true).await.unwrap();
    }
    assert_eq!(world.send("one", None, true).await, Err(413));
    assert_eq!(world.stored().len(), 3);
    let World { folder, app, ann, bob, clock } = world;
    let (chat, store) = (Chat::new(app.chat.store().clone()), app.chat.store().clone());
    drop((app, store));
    let app = App::from_chat(config(&folder, 3 * 4096, 0), chat.with_clock(clock.clone())).await.unwrap();
    let world = World { folder, app, ann, bob, clock };
    assert_eq!(world.send("one", None, true).await, Err(413), "it is the total of always");
    assert_eq!(world.undecided(), 0);
}

#[tokio::test]
async fn a_rate_holds_and_gives_back() {
    let world = World::new(0, 2 * 4096).await;
    for _ in 0..2 {
        world.send("one", None, true).await.unwrap();
    }
    assert_eq!(world.send("one", None, true).await, Err(429));
    assert_eq!(world.stored().len(), 2);
    world.clock.advance(Duration::from_secs(30 * 60));
    world.send("one", None, true).await.unwrap();
    assert_eq!(world.send("one", None, true).await, Err(429));
}

/// The state that a crash leaves at any moment between storing an image and deciding it.
#[tokio::test]
async fn what_was_left_undecided_is_decided_by_what_names_it() {
    let world = World::new(0, 0).await;
    let app = &world.app;
    let new = |purpose| NewImage {
        owner: world.ann,
        media: Media::from_bytes(samples::png(), purpose).unwrap(),
        now: app.chat.now(),
        position: app.announcer.position(),
        replaces: None,
    };
    // The image was stored, and the process died before anything referenced it.
    let orphan = app.images.put(new(Purpose::MessageImage)).await.unwrap().url().to_owned();
    let never = app.images.put(new(Purpose::ProfilePicture)).await.unwrap().url().to_owned();
    // The image was stored and referenced, and the process died before that was recorded.
    let named = app.images.put(new(Purpose::MessageImage)).await.unwrap().url().to_owned();
    let to = Destination::Person(UserKey::Id(world.bob));
    let content = Content { image: Some(named.clone()), ..Content::text("") };
    let send = SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
    let view = app.dispatch(world.ann, send).await.unwrap();
    let picture = app.images.put(new(Purpose::ProfilePicture)).await.unwrap().url().to_owned();
    let patch = ProfilePatch { full_name: None, picture: Some(picture.clone()) };
    app.dispatch(world.ann, UpdateProfile { patch }).await.unwrap();
    assert_eq!((world.stored().len(), world.undecided()), (4, 4));

    app.sweep_images().await.unwrap();
    assert_eq!((world.stored().len(), world.undecided()), (4, 4), "somebody may still be at it");
    // A deleted message can be restored, so its image stays.
    app.dispatch(world.ann, DeleteMessage { message: view.message.id }).await.unwrap();
    world.clock.advance(SETTLED_AFTER);
    app.sweep_images().await.unwrap();
    assert_eq!(world.stored(), set([&named, &picture]));
    assert!(!world.stored().contains(&orphan) && !world.stored().contains(&never));
    assert_eq!((world.undecided(), world.used()), (0, 2 * 4096));
}

#[tokio::test]
async fn an_answer_that_was_lost_keeps_the_image_until_it_is_known() {
    let world = World::new(0, 0).await;
    world.app.chat.store().close().await.unwrap();
    // The user is cached, so the store is not needed to authenticate.
    let failed = world.send("one", None, true).await;
    assert_eq!(failed, Err(503));
    assert_eq!((world.stored().len(), world.undecided()), (1, 1));
    world.clock.advance(SETTLED_AFTER);
    assert_eq!(world.app.sweep_images().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((world.stored().len(), world.undecided()), (1, 1), "nobody can say, so it stays");
}

#[tokio::test]
async fn an_image_stays_when_the_log_is_forgotten() {
    let world = World::new(0, 0).await;
    let media = Media::from_bytes(samples::png(), Purpose::MessageImage).unwrap();
    let position = world.app.announcer.position();
    let new = NewImage { owner: world.ann, media, now: world.app.chat.now(), position, replaces: None };
    drop(world.app.images.put(new).await.unwrap());
    for _ in 0..2 {
        world.send("one", None, true).await.unwrap();
    }
    world.clock.advance(SETTLED_AFTER);
    world.app.chat.store().forget_before(world.app.chat.now()).await.unwrap();
    world.app.sweep_images().await.unwrap();
    assert_eq!((world.stored().len(), world.undecided()), (3, 0));
}

/// A store that knows the URL of an image only after storing it, as Cloudinary does.
#[derive(Default)]
struct Elsewhere {
    files: Mutex<BTreeSet<String>>,
    fails: bool,
}

#[async_trait]
impl MediaStore for Elsewhere {
    async fn store(&self, _: Media) -> Result<String, MediaError> {
        if self.fails {
            return Err(MediaError::Refused);
        }
        let mut files = self.files.lock();
        let url = format!("https://elsewhere.example/{}.png", files.len());
        files.insert(url.clone());
        Ok(url)
    }

    async fn remove(&self, url: &str) -> Result<(), MediaError> {
        self.files.lock().remove(url);
        Ok(())
    }
}

#[tokio::test]
async fn a_store_that_reserves_nothing_is_kept_clean_too() {
    let folder = tempfile::tempdir().unwrap();
    let owner = UserId::from_bytes([1; 12]);
    for fails in [false, true] {
        let store = Arc::new(Elsewhere { fails, ..Elsewhere::default() });
        let limits = MediaLimits { quota: 4096, rate: 0 };
        let images = Arc::new(Images::open(store.clone(), folder.path(), limits).unwrap());
        let new = || NewImage {
            owner,
            media: Media::from_bytes(samples::png(), Purpose::MessageImage).unwrap(),
            now: Timestamp::from_millis(0),
            position: Position(0),
            replaces: None,
        };
        if fails {
            assert!(matches!(images.put(new()).await, Err(ImageError::Media(MediaError::Refused))));
        } else {
            let pending = images.put(new()).await.unwrap();
            assert!(matches!(images.put(new()).await, Err(ImageError::Quota(4096))));
            assert_eq!(images.undecided(Timestamp::from_millis(i64::MAX)).unwrap().len(), 1);
            pending.discard().await;
        }
        assert!(store.files.lock().is_empty());
        assert_eq!(images.ledger.usage(owner).bytes, 0);
        assert!(images.undecided(Timestamp::from_millis(i64::MAX)).unwrap().is_empty());
    }
}
