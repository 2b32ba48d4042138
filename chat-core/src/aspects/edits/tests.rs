use super::*;
use crate::clock::ManualClock;
use crate::command::{DeleteMessage, RestoreMessage};
use crate::event::Event;
use crate::policy::Limits;
use crate::search::Search;
use crate::testing::{Scene, with};

struct World {
    scene: Scene,
    clock: Arc<ManualClock>,
    message: MessageId,
}

impl World {
    /// Ann has sent Bob a message.
    async fn new(limits: Limits) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let scene = Scene::of(Chat::in_memory().with_clock(clock.clone()).with_limits(limits)).await;
        let message = scene.say(scene.ann, with(scene.bob), "old words").await.message.id;
        Self { scene, clock, message }
    }

    fn edit(&self, text: &str) -> EditMessage {
        EditMessage { message: self.message, text: text.into() }
    }

    async fn found(&self, words: &str) -> Vec<String> {
        let search = Search { text: words.into(), limit: 9, ..Search::default() };
        let found = self.scene.reply(self.scene.bob, search).await;
        assert!(found.complete);
        found.messages.iter().map(|view| view.message.content.text.to_string()).collect()
    }
}

/// Histories, the log and searches have the new text; what is told live is what the log tells.
#[tokio::test]
async fn a_message_says_its_new_text_everywhere() {
    let world = World::new(Limits::default()).await;
    let scene = &world.scene;
    assert_eq!(world.found("words").await, ["old words"]);
    world.clock.advance(Duration::from_secs(5));
    let outcome = scene.run(scene.ann, world.edit("new thoughts")).await;
    let [live] = &outcome.deliveries[..] else { panic!("it is told of once") };
    let edited = Edited { count: 1, at: scene.chat.now() };
    assert_eq!(outcome.reply.message.annexes.edited, Some(edited));
    assert_eq!(&*outcome.reply.message.content.text, "new thoughts");
    assert_eq!(outcome.reply.message.updated_at, scene.chat.now());
    let Event::MessageChanged(changed) = &live.event else { panic!("{:?}", live.event) };
    assert_eq!(changed.view.as_deref(), Some(&outcome.reply));
    assert!(live.audience.includes(scene.bob) && live.invalidates.message == Some(world.message));

    assert_eq!(scene.history(scene.bob, with(scene.ann)).await[0].message, outcome.reply.message);
    let log = scene.log(scene.bob, 0).await;
    assert_eq!(log.len(), 2);
    for delivery in &log {
        let shown = delivery.event.message().expect("a message");
        assert_eq!(shown.message, outcome.reply.message, "replays show what it says now");
    }
    for _ in 0..2 {
        assert_eq!(world.found("thoughts").await, ["new thoughts"]);
        assert_eq!(world.found("old").await, [""; 0]);
        assert_eq!(world.found("\"old words\"").await, [""; 0]);
        assert_eq!(world.found("new -words").await, ["new thoughts"]);
        assert_eq!(world.found("new -thoughts").await, [""; 0]);
    }
    assert!(scene.run(scene.ann, world.edit("new thoughts")).await.deliveries.is_empty(), "nothing is new");
    scene.run(scene.ann, world.edit("old words")).await;
    assert_eq!(world.found("words").await, ["old words"]);
    assert_eq!(world.found("thoughts").await, [""; 0]);
}

/// A message that is not in the index yet gets there with its new text.
#[tokio::test]
async fn a_message_is_edited_before_anybody_searches() {
    let world = World::new(Limits::default()).await;
    let scene = &world.scene;
    scene.run(scene.ann, world.edit("new thoughts")).await;
    assert_eq!(world.found("thoughts").await, ["new thoughts"]);
    assert_eq!(world.found("words").await, [""; 0]);
}

#[tokio::test]
async fn what_was_said_before_is_kept_for_its_sender() {
    let world = World::new(Limits::default()).await;
    let scene = &world.scene;
    let texts = |history: History| -> Vec<(String, i64)> {
        let one =
            |view: &MessageView| (view.message.content.text.to_string(), view.message.updated_at.as_millis());
        history.messages.iter().map(one).collect()
    };
    let edits = || ReadEdits { message: world.message };
    assert_eq!(texts(scene.run(scene.ann, edits()).await.reply), []);
    for text in ["two", "three"] {
        world.clock.advance(Duration::from_secs(1));
        scene.run(scene.ann, world.edit(text)).await;
    }
    let kept = texts(scene.run(scene.ann, edits()).await.reply);
    assert_eq!(kept, [("old words".to_owned(), 1_000), ("two".to_owned(), 2_000)]);
    assert!(matches!(scene.refused(scene.bob, edits()).await, Error::Forbidden(_)));
    assert!(matches!(scene.refused(scene.eve, edits()).await, Error::MessageNotFound));
    scene.run(scene.ann, DeleteMessage { message: world.message }).await;
    assert!(matches!(scene.refused(scene.ann, edits()).await, Error::Forbidden(_)));
    scene.run(scene.ann, RestoreMessage { message: world.message }).await;
    assert_eq!(texts(scene.run(scene.ann, edits()).await.reply).len(), 2);

    let world = World::new(Limits { keeps_edits: false, ..Limits::default() }).await;
    let scene = &world.scene;
    scene.run(scene.ann, world.edit("two")).await;
    let nothing = scene.run(scene.ann, ReadEdits { message: world.message }).await.reply;
    assert_eq!(texts(nothing), []);
}

#[tokio::test]
async fn others_and_bad_texts_and_old_messages_are_refused() {
    let window = Some(Duration::from_secs(60));
    let world = World::new(Limits { edit_window: window, text_bytes: 20, ..Limits::default() }).await;
    let scene = &world.scene;
    assert!(matches!(scene.refused(scene.eve, world.edit("x")).await, Error::MessageNotFound));
    assert!(matches!(scene.refused(scene.bob, world.edit("x")).await, Error::Forbidden(_)));
    assert!(matches!(scene.refused(scene.ann, world.edit(" ")).await, Error::EmptyMessage));
    let long = world.edit(&"x".repeat(21));
    assert!(matches!(scene.refused(scene.ann, long).await, Error::TooLarge { field: "text", .. }));
    world.clock.advance(Duration::from_secs(60));
    scene.run(scene.ann, world.edit("just in time")).await;
    world.clock.advance(Duration::from_millis(1));
    assert!(matches!(scene.refused(scene.ann, world.edit("too late")).await, Error::Forbidden(_)));
}
