use super::*;
use crate::command::{DeleteMessage, RestoreMessage};
use crate::event::Event;
use crate::testing::{Scene, with};

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

/// A message of Ann to Bob.
async fn scene_with_message() -> (Scene, MessageId) {
    let scene = Scene::new().await;
    let message = scene.say(scene.ann, with(scene.bob), "hello").await.message.id;
    (scene, message)
}

fn set(message: MessageId, emoji: &str, reacting: Reacting) -> SetReaction {
    SetReaction { message, emoji: emoji.into(), reacting }
}

/// The reactions of the message, in the history of a user.
async fn shown(scene: &Scene, user: UserId, other: UserId) -> Vec<Reaction> {
    scene.history(user, with(other)).await.remove(0).message.annexes.reactions
}

/// Live deliveries, deliveries from the log and views all show the same reactions.
#[tokio::test]
async fn everybody_is_told_what_stands_on_a_message() {
    let (scene, message) = scene_with_message().await;
    let mut told = Vec::new();
    for (user, emoji) in [(scene.bob, "👍"), (scene.ann, "👍"), (scene.bob, "❤")] {
        let outcome = scene.run(user, set(message, emoji, Reacting::Toggle)).await;
        assert_eq!(outcome.reply.message.annexes.reactions, shown(&scene, scene.ann, scene.bob).await);
        told.extend(outcome.deliveries);
    }
    let again = scene.run(scene.bob, set(message, "❤️", Reacting::Add)).await;
    assert!(again.deliveries.is_empty(), "nobody is told of what was so before");
    let Event::MessageChanged(changed) = &told[2].event else { panic!("{:?}", told[2].event) };
    let heart = Emoji::parse("❤").unwrap();
    assert_eq!((changed.by, changed.message.id), (scene.bob, message));
    assert_eq!(changed.what, ReactionChange { emoji: heart, is_there: true }.into());
    let reactions = &changed.annexes.reactions;
    assert_eq!(*reactions, shown(&scene, scene.bob, scene.ann).await);
    let heart = Reaction { emoji: heart, count: 1, users: vec![scene.bob] };
    let thumbs =
        Reaction { emoji: Emoji::parse("👍").unwrap(), count: 2, users: vec![scene.bob, scene.ann] };
    assert_eq!(*reactions, [heart, thumbs]);

    let log = scene.log(scene.ann, 1).await;
    assert_eq!(log.len(), 3);
    for (later, live) in log.iter().zip(&told) {
        assert_eq!(later.position, live.position);
        let Event::MessageChanged(now) = &later.event else { panic!() };
        assert_eq!(&now.annexes.reactions, reactions, "the log shows what stands there now");
    }
}

#[tokio::test]
async fn a_deleted_message_shows_none_until_it_is_restored() {
    let (scene, message) = scene_with_message().await;
    scene.run(scene.bob, set(message, "👍", Reacting::Add)).await;
    let deleted = scene.run(scene.ann, DeleteMessage { message }).await;
    assert_eq!(deleted.reply.message.annexes.reactions, []);
    assert_eq!(shown(&scene, scene.bob, scene.ann).await, []);
    let react = set(message, "👍", Reacting::Toggle);
    let refused = scene.refused(scene.bob, react).await;
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
    let restored = scene.run(scene.ann, RestoreMessage { message }).await;
    assert_eq!(restored.reply.message.annexes.reactions.len(), 1);
    assert_eq!(shown(&scene, scene.bob, scene.ann).await, restored.reply.message.annexes.reactions);
}

#[tokio::test]
async fn strangers_and_others_than_emojis_are_refused() {
    let (scene, message) = scene_with_message().await;
    for message in [message, MessageId::from_bytes([9; 12])] {
        let refused = scene.refused(scene.eve, set(message, "👍", Reacting::Add)).await;
        assert!(matches!(refused, Error::MessageNotFound), "{refused}");
    }
    let refused = scene.refused(scene.bob, set(message, "lol", Reacting::Add)).await;
    assert_eq!(refused.to_string(), "emoji is not one emoji");
    assert_eq!(shown(&scene, scene.bob, scene.ann).await, []);
}
