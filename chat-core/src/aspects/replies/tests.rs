use super::*;
use crate::aspects::edits::EditMessage;
use crate::command::{DeleteMessage, Destination, RestoreMessage, SendMessage};
use crate::model::{ClientId, Content, MessageView};
use crate::testing::{Scene, sending, with};

async fn say(scene: &Scene, content: Content) -> MessageView {
    scene.reply(scene.ann, sending(with(scene.bob), content)).await
}

async fn answer(scene: &Scene, to: MessageId) -> MessageView {
    scene.reply(scene.ann, answering(with(scene.bob), to)).await
}

fn answering(to: Destination, message: MessageId) -> SendMessage {
    let mut send = sending(to, Content::text("yes"));
    send.context.reply_to = Some(message);
    send
}

/// What an answer quotes for those who read the history, and for those who read the log.
async fn quoted(scene: &Scene, answer: MessageId) -> Quote {
    let history = scene.history(scene.ann, with(scene.bob)).await;
    let log = scene.log(scene.ann, 0).await;
    let of_log = log.iter().filter_map(|delivery| delivery.event.message());
    let mut quotes: Vec<_> = history
        .iter()
        .chain(of_log)
        .filter(|view| view.message.id == answer)
        .map(|view| view.message.annexes.reply_to.clone().expect("a quote"))
        .collect();
    assert!(quotes.len() > 1);
    quotes.dedup();
    assert_eq!(quotes.len(), 1, "all show the same: {quotes:?}");
    quotes.remove(0)
}

/// What an answer quotes is what the other message is now: edited, deleted, restored.
#[tokio::test]
async fn a_quote_follows_its_message() {
    let scene = Scene::new().await;
    let first = say(&scene, Content::text("shall we?")).await;
    let message = first.message.id;
    let outcome = scene.run(scene.bob, answering(with(scene.ann), message)).await;
    let answer = outcome.reply.message;
    let quote = answer.annexes.reply_to.clone().expect("a quote");
    assert_eq!((quote.message, quote.seq, quote.sender), (message, Seq(1), scene.ann));
    assert_eq!((quote.text.as_deref(), quote.deleted), (Some("shall we?"), false));
    let live = outcome.deliveries[0].event.message().expect("a message");
    assert_eq!(live.message, answer, "it is told with the quote");
    assert_eq!(quoted(&scene, answer.id).await, quote);

    scene.run(scene.ann, EditMessage { message, text: "shall we not?".into() }).await;
    assert_eq!(quoted(&scene, answer.id).await.text.as_deref(), Some("shall we not?"));
    scene.run(scene.ann, DeleteMessage { message }).await;
    assert_eq!(quoted(&scene, answer.id).await, quote.clone().into_deleted());
    assert_eq!(quote.into_deleted().text, None);
    scene.run(scene.ann, RestoreMessage { message }).await;
    assert_eq!(quoted(&scene, answer.id).await.text.as_deref(), Some("shall we not?"));
}

#[tokio::test]
async fn a_quote_is_short() {
    let scene = Scene::new().await;
    let long = say(&scene, Content::text("ä".repeat(MAX_QUOTED + 1))).await.message.id;
    let to_long = answer(&scene, long).await.message;
    assert_eq!(to_long.annexes.reply_to.unwrap().text.as_deref(), Some(&*"ä".repeat(MAX_QUOTED)));
    let exact = say(&scene, Content::text("ä".repeat(MAX_QUOTED))).await.message;
    let to_exact = answer(&scene, exact.id).await.message;
    assert_eq!(to_exact.annexes.reply_to.unwrap().text, Some(exact.content.text));
    let file = Content { file_name: Some("a.txt".into()), ..Content::text("long") };
    let file = say(&scene, file).await.message.id;
    let quote = answer(&scene, file).await.message.annexes.reply_to.unwrap();
    assert_eq!((quote.text, quote.file_name.as_deref()), (None, Some("a.txt")));
    let image = Content { image: Some("/a.png".into()), ..Content::text("") };
    let image = say(&scene, image).await.message.id;
    let quote = answer(&scene, image).await.message.annexes.reply_to.unwrap();
    assert_eq!((quote.text.as_deref(), quote.has_image), (Some(""), true));
}

/// The texts that a page quotes count together. Messages whose quotes have no room any more are there without them.
#[tokio::test]
async fn a_page_quotes_no_more_than_an_answer_holds() {
    let scene = Scene::new().await;
    let limits = crate::policy::Limits { answer_bytes: 250, ..*scene.chat.limits() };
    let scene = scene.with_limits(limits);
    let mut answers = Vec::new();
    for _ in 0..4 {
        let message = say(&scene, Content::text("x".repeat(100))).await.message.id;
        answers.push(answer(&scene, message).await.message.id);
    }
    let quotes = of_all(&scene.chat, &answers).await.unwrap();
    let with_text = quotes.iter().flatten().filter(|quote| quote.text.is_some()).count();
    assert_eq!((quotes.len(), with_text), (4, 2), "{quotes:?}");
    assert!(quotes.iter().flatten().all(|quote| !quote.deleted));
}

/// Messages of other conversations are refused like those that do not exist, and nothing is stored.
#[tokio::test]
async fn only_messages_of_the_same_conversation_are_answered() {
    let scene = Scene::new().await;
    let room = scene.room(scene.ann, &[]).await;
    let elsewhere = scene.say(scene.ann, Destination::Conversation(room), "hidden").await.message.id;
    let here = say(&scene, Content::text("hello")).await.message.id;
    for wrong in [elsewhere, MessageId::from_bytes([7; 12])] {
        let error = scene.refused(scene.ann, answering(with(scene.bob), wrong)).await;
        assert!(matches!(error, Error::Invalid { field: "reply_to", .. }), "{error:?}");
    }
    assert_eq!(scene.history(scene.ann, with(scene.bob)).await.len(), 1);
    // What was sent under a client id can be sent again, whatever has become of the other message.
    let again = SendMessage { client_id: ClientId::new("once"), ..answering(with(scene.bob), here) };
    let first = scene.run(scene.ann, again.clone()).await.reply.message.id;
    scene.run(scene.ann, DeleteMessage { message: here }).await;
    let repeated = scene.run(scene.ann, again).await;
    assert_eq!(repeated.reply.message.id, first);
    assert!(repeated.deliveries.is_empty());
    assert!(repeated.reply.message.annexes.reply_to.unwrap().deleted);
}
