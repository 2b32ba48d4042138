//! When which time is stored. A second chat over the same store shows what would remain if the process were killed.

use std::sync::Arc;
use std::time::Duration;

use super::AHEAD;
use crate::chat::{Chat, Registration};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::command::{Actor, Destination, ListChatPartners, ListUsers, SendMessage};
use crate::id::UserId;
use crate::model::{Content, PasswordHash, UserKey};
use crate::store::{ChangeLog, MemoryStore, UserStore};

const BEGIN: Timestamp = Timestamp::from_millis(1_000_000);

struct Scene {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    chat: Chat,
    ann: UserId,
    bob: UserId,
}

impl Scene {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let store = Arc::new(MemoryStore::new());
        let chat = Chat::new(store.clone()).with_clock(clock.clone());
        let [ann, bob] = ["ann", "bob"].map(|name| Registration::named(name, PasswordHash::new("x")));
        let ann = chat.register(ann).await.unwrap().user.id;
        let bob = chat.register(bob).await.unwrap().user.id;
        Self { clock, store, chat, ann, bob }
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn say(&self) {
        let content = Content { text: "hello".into(), file_name: None, image: None };
        let to = Destination::Person(UserKey::Id(self.bob));
        let command =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        self.chat.execute(&Actor { user: self.ann }, command).await.unwrap();
    }

    /// The time that Bob sees.
    async fn shown_by(&self, chat: &Chat) -> Option<Timestamp> {
        let found = chat.find_user(&UserKey::Id(self.ann)).await.unwrap().unwrap().last_seen;
        let bob = Actor { user: self.bob };
        let users = chat.execute(&bob, ListUsers { limit: 9 }).await.unwrap().reply;
        let partners = chat.execute(&bob, ListChatPartners { limit: 9 }).await.unwrap().reply;
        for user in users.iter().chain(&partners).filter(|user| user.id == self.ann) {
            assert_eq!(user.last_seen, found, "the same everywhere");
        }
        found
    }

    async fn shown(&self) -> Option<Timestamp> {
        self.shown_by(&self.chat).await
    }

    /// The time that a new process would show if this process were killed now.
    async fn shown_after_a_kill(&self) -> Option<Timestamp> {
        self.shown_by(&Chat::new(self.store.clone()).with_clock(self.clock.clone())).await
    }

    async fn stored(&self) -> Option<Timestamp> {
        self.store.user(&UserKey::Id(self.ann)).await.unwrap().unwrap().last_seen
    }
}

#[tokio::test]
async fn nobody_is_seen_before_their_last_message_or_connection_also_after_a_kill() {
    let scene = Scene::new().await;
    assert_eq!(scene.shown().await, None);
    scene.chat.record_active(scene.ann).await.unwrap();
    assert_eq!(scene.shown_after_a_kill().await, Some(BEGIN), "and not in the future");
    for step in [1, 20, 29, 30, 31, 1, 45, 3_600] {
        scene.pass(Duration::from_secs(step));
        let now = scene.clock.now();
        scene.say().await;
        assert_eq!(scene.shown().await, Some(now));
        assert_eq!(scene.shown_after_a_kill().await, Some(now));
        scene.pass(Duration::from_secs(3_600));
        assert_eq!(scene.shown().await, Some(now), "the true moment, however late it is");
        let seen = scene.shown_after_a_kill().await.unwrap();
        assert!(now <= seen && seen <= now.after(AHEAD), "{seen} is not long after {now}");
    }
}

#[tokio::test]
async fn a_message_costs_no_write_of_its_own() {
    let scene = Scene::new().await;
    scene.say().await;
    let stored = scene.stored().await;
    assert_eq!(stored, Some(BEGIN.after(AHEAD)));
    for _ in 0..30 {
        scene.say().await;
        scene.chat.record_active(scene.ann).await.unwrap();
        assert_eq!(scene.stored().await, stored);
        scene.pass(Duration::from_secs(1));
    }
    scene.pass(Duration::from_millis(1));
    scene.say().await;
    assert_eq!(scene.stored().await, Some(scene.clock.now().after(AHEAD)));
}

#[tokio::test]
async fn the_true_moment_is_stored_in_the_end() {
    let scene = Scene::new().await;
    // A user who is connected, and disconnects.
    scene.say().await;
    scene.pass(Duration::from_secs(1));
    scene.chat.record_last_seen(scene.ann, scene.clock.now()).await.unwrap();
    assert_eq!(scene.stored().await, Some(scene.clock.now()));
    // A time before the last message does not replace it, and a later message is stored again.
    scene.pass(Duration::from_secs(1));
    let said = scene.clock.now();
    scene.say().await;
    scene.chat.record_last_seen(scene.ann, BEGIN).await.unwrap();
    assert_eq!(scene.stored().await, Some(said));
    scene.say().await;
    assert_eq!(scene.stored().await, Some(said.after(AHEAD)));
    // A user who is not connected and sends no more messages.
    let settle = async |online: bool, at_end| {
        scene.chat.settle_last_seen(|user| user == scene.ann && online, at_end).await.unwrap();
        scene.stored().await
    };
    assert_eq!(settle(false, false).await, Some(said.after(AHEAD)), "they may go on");
    scene.pass(AHEAD + Duration::from_millis(1));
    assert_eq!(settle(true, false).await, Some(said.after(AHEAD)), "they are connected");
    assert_eq!(settle(false, false).await, Some(said));
    assert_eq!(scene.shown().await, Some(said));
    // The server stops.
    scene.say().await;
    assert_eq!(settle(false, true).await, Some(scene.clock.now()));
}

#[tokio::test]
async fn a_write_that_failed_is_made_again() {
    let scene = Scene::new().await;
    scene.chat.record_active(scene.ann).await.unwrap();
    scene.chat.last_seen.is_not_covered(scene.ann);
    scene.store.record_last_seen(scene.ann, BEGIN).await.unwrap();
    scene.pass(Duration::from_secs(1));
    scene.say().await;
    assert_eq!(scene.stored().await, Some(scene.clock.now().after(AHEAD)));
    scene.store.close().await.unwrap();
    scene.pass(AHEAD * 2);
    assert!(scene.chat.record_active(scene.ann).await.is_err());
    assert_eq!(scene.chat.last_seen.0.lock()[&scene.ann].covered, None);
}
