//! What holds for every dialect.

use chat_core::command::{Actor, Command, Destination};
use chat_core::model::{Content, UserKey};
use chat_core::prelude::Chat;
use serde_json::Value as Json;

use super::*;

/// One event of every kind.
async fn events() -> Vec<Event> {
    use chat_core::chat::Registration;
    use chat_core::model::{PasswordHash, Role, Seq};

    let chat = Chat::in_memory();
    let mut users = Vec::new();
    for name in ["ann", "bob"] {
        let registration = Registration::named(name.to_owned(), PasswordHash::new("x".to_owned()));
        users.push(chat.register(registration).await.unwrap().user);
    }
    let (ann, bob) = (users[0].clone(), users[1].clone());
    let actor = Actor { user: ann.id };
    let to = || Destination::Person(UserKey::Id(bob.id));
    let content = Content { text: "hello".into(), file_name: None, image: None };
    let send = Command::Send { to: to(), content, client_id: None, fingerprint: None };
    let mut events: Vec<Event> = chat
        .execute(&actor, send)
        .await
        .unwrap()
        .deliveries
        .into_iter()
        .map(|delivery| delivery.event)
        .collect();
    let typing = Command::SetTyping { to: to(), typing: true };
    events.extend(
        chat.execute(&actor, typing).await.unwrap().deliveries.into_iter().map(|delivery| delivery.event),
    );
    let Event::MessageSent(view) = &events[0] else { panic!("a message was sent") };
    let view = view.clone();
    let Event::TypingChanged { conversation, .. } = &events[1] else { panic!("somebody types") };
    let (room, message) = (conversation.clone(), view.message.id);
    events.extend([
        Event::MessageDeleted(view.clone()),
        Event::MessageRestored(view),
        Event::RoomCreated { room: room.clone(), by: ann.id },
        Event::MemberAdded { room: room.clone(), user: bob.id },
        Event::MemberRemoved { room: room.clone(), user: bob.id },
        Event::RoleChanged { room: room.clone(), user: bob.id, role: Role::Member },
        Event::MessagesRead { conversation: room, user: bob, seq: Seq(1), messages: vec![message] },
        Event::ProfileUpdated(ann.clone()),
        Event::UserRegistered(ann),
    ]);
    events
}

/// The arguments of an event as they are in its packet.
fn arguments(frame: &Frame) -> Vec<Json> {
    let packet = frame.packet();
    let start = packet.windows(3).position(|part| part == b"42[").expect("an EVENT packet") + 2;
    let array: Vec<Json> = serde_json::from_slice(&packet[start..]).expect("a JSON array");
    assert_eq!(array[0], frame.event);
    assert_eq!(array[1], serde_json::from_str::<Json>(frame.data().get()).unwrap());
    array[1..].to_vec()
}

/// A client takes a text at the end of any event for the position it has reached.
#[tokio::test]
async fn only_positions_end_an_event_as_a_text() {
    let (position, failure) = (Position(41), Failure::new("invalid", "text is missing"));
    for dialect in ALL {
        for event in &events().await {
            let frames = (dialect.outbound)(event, Mark(Some(position)));
            let named = frames.iter().filter_map(|(to, _)| match to {
                To::Only(person) | To::Except(person) => Some(*person),
                To::All => None,
            });
            for person in named.chain([UserId::from_bytes([1; 12])]) {
                let mut theirs =
                    frames.iter().filter(|(to, _)| to.includes(person)).map(|(_, frame)| frame).rev();
                // Of several events that tell of one change the last one has its position: then all of it has been told.
                let Some(frame) = theirs.next() else { continue };
                assert_eq!(arguments(frame)[1..], [Json::from("41")], "{}: {event:?}", dialect.name);
                assert_eq!(frame.mark().as_deref(), Some("41"));
                let is_logged = !matches!(event, Event::TypingChanged { .. });
                for frame in theirs.filter(|_| is_logged) {
                    assert_eq!(
                        (arguments(frame).len(), frame.mark()),
                        (1, None),
                        "{}: {event:?}",
                        dialect.name
                    );
                }
            }
            for (_, frame) in (dialect.outbound)(event, Mark(None)) {
                assert!(!arguments(&frame)[..].last().unwrap().is_string(), "{}: {event:?}", dialect.name);
                assert_eq!((arguments(&frame).len(), frame.mark()), (1, None));
            }
        }
        let others = [
            Some((dialect.failure)(&failure)),
            dialect.roster.map(|roster| roster(&[])),
            (dialect.reply)(&Reply::Done),
        ];
        for frame in others.into_iter().flatten() {
            assert!(!arguments(&frame).last().unwrap().is_string(), "{}: {}", dialect.name, frame.event);
        }
    }
}

#[test]
fn a_frame_of_any_size_holds_its_argument() {
    for length in [0, 90, 100, 110, 125, 126, 1_000, 65_500, 65_536, 70_000] {
        let text = "x".repeat(length);
        for position in [None, Some(Position(0)), Some(Position(u64::MAX))] {
            let frame = Mark(position).frame("event", &[&text]);
            let arguments = arguments(&frame);
            assert_eq!(arguments[0], serde_json::json!([text]));
            assert_eq!(arguments.get(1).and_then(Json::as_str), frame.mark().as_deref());
        }
    }
}
