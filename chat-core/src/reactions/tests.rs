use super::*;
use crate::chat::Registration;
use crate::command::{
    Actor, DeleteMessage, Destination, ReadChanges, ReadHistory, Request, RestoreMessage, SendMessage,
};
use crate::event::Event;
use crate::history::Window;
use crate::model::{Content, PasswordHash, UserKey};

#[test]
fn any_emoji_of_unicode_is_one() {
    for (text, form) in [
        ("👍", "👍"),
        ("👍\u{fe0f}", "👍"),
        ("❤", "❤️"),
        ("❤️", "❤️"),
        ("👍🏽", "👍🏽"),
        ("☝️🏽", "☝🏽"),
        ("☝", "☝️"),
        ("©", "©️"),
        ("🇩🇪", "🇩🇪"),
        ("1⃣", "1️⃣"),
        ("#️⃣", "#️⃣"),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
        ("🏴‍☠", "🏴‍☠️"),
        ("🏳‍🌈", "🏳️‍🌈"),
        ("👩‍❤️‍💋‍👨", "👩‍❤️‍💋‍👨"),
        ("👩🏻‍❤️‍💋‍👨🏿", "👩🏻‍❤️‍💋‍👨🏿"),
        ("👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"),
        ("🧑🏻‍🤝‍🧑🏿", "🧑🏻‍🤝‍🧑🏿"),
        ("🤷🏽‍♂", "🤷🏽‍♂️"),
    ] {
        let emoji = Emoji::parse(text).unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(emoji.as_str(), form);
        assert_eq!(Emoji::parse(form), Some(emoji), "the form is its own");
        assert_eq!(Emoji::from_stored(form.as_bytes()), Some(emoji));
    }
}

#[test]
fn nothing_else_is_one() {
    let many = ["👍"; 12].join("\u{200d}");
    for text in [
        "",
        " ",
        "a",
        "1",
        "#",
        "1️",
        "⃣",
        "a⃣",
        "👍👍",
        "👍 ",
        " 👍",
        "👍x",
        "\u{fe0f}",
        "\u{200d}",
        "👍\u{200d}",
        "\u{200d}👍",
        "👍\u{200d}\u{200d}👍",
        "👍\u{200d}a",
        "❤\u{fe0e}",
        "❤️️",
        "🏽",
        "👍🏽🏽",
        "🌈🏽",
        "🇩",
        "🇩🇪🇩",
        "🇩🇪\u{200d}🇩🇪",
        "🏴󠁧󠁢",
        "👍󠁧󠁢󠁿",
        "\u{e007f}",
        "é",
        "👍\u{301}",
        "\0",
        &many,
        &"👍".repeat(100_000),
    ] {
        assert_eq!(Emoji::parse(text), None, "{text:?}");
    }
}

#[test]
fn an_emoji_stays_out_of_logs() {
    assert_eq!(format!("{:?}", Emoji::parse("👍").unwrap()), "Emoji(4 bytes)");
}

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    message: MessageId,
}

impl World {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let [ann, bob, _] = people[..] else { unreachable!() };
        let to = Destination::Person(UserKey::Id(bob));
        let send = SendMessage {
            to,
            content: Content::text("hello"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let message = chat.execute(&Actor { user: ann }, send).await.unwrap().reply.message.id;
        Self { chat, ann, bob, message }
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    fn reacting(&self, emoji: &str, reacting: Reacting) -> SetReaction {
        SetReaction { message: self.message, emoji: emoji.into(), reacting }
    }

    /// The reactions of the message, in the history of a user.
    async fn shown(&self, user: UserId, other: UserId) -> Vec<Reaction> {
        let of = Destination::Person(UserKey::Id(other));
        let read = ReadHistory { of, window: Window::Latest { limit: 9 }, include_deleted: true };
        self.run(user, read).await.reply.messages.remove(0).message.annexes.reactions
    }
}

/// Live deliveries, deliveries from the log and views all show the same reactions.
#[tokio::test]
async fn everybody_is_told_what_stands_on_a_message() {
    let world = World::new().await;
    let mut told = Vec::new();
    for (user, emoji) in [(world.bob, "👍"), (world.ann, "👍"), (world.bob, "❤")] {
        let outcome = world.run(user, world.reacting(emoji, Reacting::Toggle)).await;
        assert_eq!(outcome.reply.message.annexes.reactions, world.shown(world.ann, world.bob).await);
        told.extend(outcome.deliveries);
    }
    let again = world.run(world.bob, world.reacting("❤️", Reacting::Add)).await;
    assert!(again.deliveries.is_empty(), "nobody is told of what was so before");
    let Event::MessageChanged(changed) = &told[2].event else { panic!("{:?}", told[2].event) };
    let heart = Emoji::parse("❤").unwrap();
    assert_eq!((changed.by, changed.message.id), (world.bob, world.message));
    assert_eq!(changed.what, ReactionChange { emoji: heart, is_there: true }.into());
    let reactions = &changed.annexes.reactions;
    assert_eq!(*reactions, world.shown(world.bob, world.ann).await);
    let heart = Reaction { emoji: heart, count: 1, users: vec![world.bob] };
    let thumbs =
        Reaction { emoji: Emoji::parse("👍").unwrap(), count: 2, users: vec![world.bob, world.ann] };
    assert_eq!(*reactions, [heart, thumbs]);

    let since = Some(Position(1).into());
    let log = world.run(world.ann, ReadChanges { since, limit: 9 }).await.reply.deliveries;
    assert_eq!(log.len(), 3);
    for (later, live) in log.iter().zip(&told) {
        assert_eq!(later.position, live.position);
        let Event::MessageChanged(now) = &later.event else { panic!() };
        assert_eq!(&now.annexes.reactions, reactions, "the log shows what stands there now");
    }
}

#[tokio::test]
async fn a_deleted_message_shows_none_until_it_is_restored() {
    let world = World::new().await;
    world.run(world.bob, world.reacting("👍", Reacting::Add)).await;
    let deleted = world.run(world.ann, DeleteMessage { message: world.message }).await;
    assert_eq!(deleted.reply.message.annexes.reactions, []);
    assert_eq!(world.shown(world.bob, world.ann).await, []);
    let react = world.reacting("👍", Reacting::Toggle);
    let refused = world.chat.execute(&Actor { user: world.bob }, react).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
    let restored = world.run(world.ann, RestoreMessage { message: world.message }).await;
    assert_eq!(restored.reply.message.annexes.reactions.len(), 1);
    assert_eq!(world.shown(world.bob, world.ann).await, restored.reply.message.annexes.reactions);
}

#[tokio::test]
async fn strangers_and_others_than_emojis_are_refused() {
    let world = World::new().await;
    let eve = world.chat.find_user(&UserKey::Username("eve".into())).await.unwrap().unwrap().id;
    for message in [world.message, MessageId::from_bytes([9; 12])] {
        let react = SetReaction { message, ..world.reacting("👍", Reacting::Add) };
        let refused = world.chat.execute(&Actor { user: eve }, react).await.unwrap_err();
        assert!(matches!(refused, Error::MessageNotFound), "{refused}");
    }
    let refused = world.chat.execute(&Actor { user: world.bob }, world.reacting("lol", Reacting::Add)).await;
    assert_eq!(refused.unwrap_err().to_string(), "emoji is not one emoji");
    assert_eq!(world.shown(world.bob, world.ann).await, []);
}
