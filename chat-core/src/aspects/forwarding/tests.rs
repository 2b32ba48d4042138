use super::*;
use crate::command::{DeleteMessage, Destination, SendMessage};
use crate::model::ClientId;
use crate::testing::{Scene, sending, with};

fn forward(message: MessageId, to: UserId) -> SendMessage {
    let mut send = sending(with(to), Content::text(""));
    send.client_id = ClientId::new(format!("forward {message}"));
    send.context.forward = Some(message);
    send
}

/// Ann's own room.
async fn own_room(scene: &Scene) -> Destination {
    let room = scene.room(scene.ann, &[]).await;
    Destination::Conversation(room)
}

#[tokio::test]
async fn a_copy_has_the_content_and_says_that_it_is_one() {
    let scene = Scene::new().await;
    let room = own_room(&scene).await;
    let file = Content { file_name: Some("a.txt".into()), ..Content::text("long ".repeat(1_000)) };
    let image = Content { image: Some("/media/a.png".into()), ..Content::text("") };
    for content in [Content::text("hello @bob"), file, image] {
        let original = scene.reply(scene.ann, sending(room.clone(), content.clone())).await.message;
        assert!(!original.annexes.forwarded);
        let outcome = scene.run(scene.ann, forward(original.id, scene.bob)).await;
        let copy = outcome.reply.message;
        assert!(copy.id != original.id && copy.conversation != original.conversation);
        assert_eq!((&copy.content, copy.sender), (&content, scene.ann));
        assert!(copy.annexes.forwarded && copy.annexes.mentions.is_empty());
        let live = outcome.deliveries[0].event.message().expect("a message");
        assert_eq!(live.message, copy);
        let history = scene.history(scene.bob, with(scene.ann)).await;
        assert_eq!(history.last().map(|view| &view.message), Some(&copy));
        // Sent again under the same client id, it is the same copy.
        let again = scene.run(scene.ann, forward(original.id, scene.bob)).await;
        assert_eq!((again.reply.message.id, again.deliveries.len()), (copy.id, 0));
        // A copy is copied, too, and nothing happens to it when the original is deleted.
        scene.run(scene.ann, DeleteMessage { message: original.id }).await;
        let back = scene.run(scene.bob, forward(copy.id, scene.ann)).await.reply.message;
        assert_eq!((&back.content, back.sender), (&content, scene.bob));
    }
}

/// What a person cannot read is not copied.
#[tokio::test]
async fn only_what_can_be_read_is_forwarded() {
    let scene = Scene::new().await;
    let room = own_room(&scene).await;
    let message = scene.say(scene.ann, room, "hidden").await.message.id;
    let stranger = scene.refused(scene.bob, forward(message, scene.ann)).await;
    assert!(matches!(stranger, Error::MessageNotFound));
    let missing = MessageId::from_bytes([7; 12]);
    assert!(matches!(scene.refused(scene.bob, forward(missing, scene.ann)).await, Error::MessageNotFound));
    scene.run(scene.ann, DeleteMessage { message }).await;
    assert!(matches!(scene.refused(scene.ann, forward(message, scene.bob)).await, Error::Forbidden(_)));
    assert!(scene.history(scene.bob, with(scene.ann)).await.is_empty());
}
