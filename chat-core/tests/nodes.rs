//! Two processes over one store: what one changes, the other one goes by as soon as it has read the log.

use std::sync::Arc;

use chat_core::command::{AddMember, CreateRoom, RemoveMember, SetTyping, UpdateProfile};
use chat_core::event::Ephemeral;
use chat_core::model::{ProfilePatch, Visibility};
use chat_core::prelude::*;
use chat_core::store::MemoryStore;

async fn registered(chat: &Chat, name: &str) -> UserId {
    chat.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap().user.id
}

async fn conversation(
    chat: &Chat,
    actor: UserId,
    request: impl Request<Reply = Arc<Conversation>>,
) -> Arc<Conversation> {
    chat.execute(&Actor { user: actor }, request).await.unwrap().reply
}

fn say(to: Destination, text: &str) -> SendMessage {
    SendMessage {
        to,
        content: Content::text(text),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    }
}

#[tokio::test]
async fn members_and_profiles_are_looked_up_again_after_a_change_elsewhere() {
    let store = Arc::new(MemoryStore::new());
    let (here, there) = (Chat::new(store.clone()), Chat::new(store));
    let (ann, bob) = (registered(&here, "ann").await, registered(&here, "bob").await);
    let create = CreateRoom { name: "room".into(), visibility: Visibility::Private, members: vec![] };
    let room = conversation(&here, ann, create).await.id;
    let to_room = || Destination::Conversation(room);

    // Now the other process knows the room, without Bob, and Bob, with his name.
    let refused = there.execute(&Actor { user: bob }, say(to_room(), "let me in")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(there.find_user(&UserKey::Id(bob)).await.unwrap().unwrap().full_name, "bob");
    let read = there.store().last_position().await.unwrap();

    conversation(&here, ann, AddMember { room, user: bob }).await;
    let patch = ProfilePatch { full_name: Some("Robert".into()), ..ProfilePatch::default() };
    here.execute(&Actor { user: bob }, UpdateProfile { patch }).await.unwrap();
    here.execute(&Actor { user: ann }, say(to_room(), "welcome")).await.unwrap();

    let deliveries = there.changes_after(read, 10).await.unwrap().unwrap();
    assert_eq!(deliveries.len(), 3);
    assert!(deliveries.iter().all(|delivery| delivery.audience.includes(bob)), "{deliveries:#?}");
    there.execute(&Actor { user: bob }, say(to_room(), "thank you")).await.unwrap();
    assert_eq!(there.find_user(&UserKey::Id(bob)).await.unwrap().unwrap().full_name, "Robert");

    let read = there.store().last_position().await.unwrap();
    conversation(&here, ann, RemoveMember { room, user: bob }).await;
    there.changes_for(ann, read, 10).await.unwrap();
    let refused = there.execute(&Actor { user: bob }, say(to_room(), "me again")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_in_no_log_can_be_told_of_elsewhere() {
    let store = Arc::new(MemoryStore::new());
    let (here, there) = (Chat::new(store.clone()), Chat::new(store));
    let (ann, bob, eve) =
        (registered(&here, "ann").await, registered(&here, "bob").await, registered(&here, "eve").await);
    let typing = SetTyping { to: Destination::Person(UserKey::Id(bob)), typing: true };
    let outcome = here.execute(&Actor { user: ann }, typing).await.unwrap();
    let ephemeral = outcome.deliveries[0].event.ephemeral().expect("typing is in no log");

    let delivery = there.ephemeral(ephemeral).await.unwrap().expect("it can be told of");
    assert_eq!(delivery.position, None);
    assert!(delivery.audience.includes(bob) && !delivery.audience.includes(ann));
    assert_eq!(delivery.event.ephemeral(), Some(ephemeral));

    let Ephemeral::Typing { conversation, .. } = ephemeral else { panic!("{ephemeral:?}") };
    let foreign = Ephemeral::Typing { conversation, user: eve, typing: true };
    assert!(there.ephemeral(foreign).await.unwrap().is_none(), "who is no member does not type");
    let nobody = Ephemeral::Registered { user: UserId::from_bytes([0; 12]) };
    assert!(there.ephemeral(nobody).await.unwrap().is_none());
    let registered = there.ephemeral(Ephemeral::Registered { user: eve }).await.unwrap().unwrap();
    assert!(matches!(registered.event, Event::UserRegistered(user) if user.id == eve));
}
