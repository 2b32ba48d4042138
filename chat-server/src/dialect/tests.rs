//! What holds for every dialect.

use chat_core::command::{Actor, Destination, SendMessage, SetTyping};
use chat_core::id::LoginSessionId;
use chat_core::model::{Content, Position, UserKey};
use chat_core::prelude::Chat;
use serde_json::Value as Json;

use super::*;

/// One event of every kind.
async fn events() -> Vec<Event> {
    use chat_core::chat::Registration;
    use chat_core::model::{ChatSettings, PasswordHash, Relation, Role, RoomAspect, Seq};

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
    let send =
        SendMessage { to: to(), content, client_id: None, fingerprint: None, context: Default::default() };
    let mut events: Vec<Event> = chat
        .execute(&actor, send)
        .await
        .unwrap()
        .deliveries
        .into_iter()
        .map(|delivery| delivery.event)
        .collect();
    let typing = SetTyping { to: to(), typing: true };
    events.extend(
        chat.execute(&actor, typing).await.unwrap().deliveries.into_iter().map(|delivery| delivery.event),
    );
    let Event::MessageSent(view) = &events[0] else { panic!("a message was sent") };
    let view = view.clone();
    let Event::TypingChanged { conversation, .. } = &events[1] else { panic!("somebody types") };
    let (room, message) = (conversation.clone(), view.message.id);
    let relation = Relation { blocks: true, ..Relation::default() };
    events.extend([
        Event::MessageDeleted(view.clone()),
        Event::MessageRestored(view),
        Event::RoomCreated { room: room.clone(), by: ann.id },
        Event::MemberAdded { room: room.clone(), user: bob.id },
        Event::MemberRemoved { room: room.clone(), user: bob.id },
        Event::RoleChanged { room: room.clone(), user: bob.id, role: Role::Member },
        Event::RoomChanged { room: room.clone(), by: bob.id, aspect: RoomAspect::Updated },
        Event::RoomChanged { room: room.clone(), by: bob.id, aspect: RoomAspect::Banned(bob.id) },
        Event::RelationChanged { user: ann.id, with: bob.clone(), relation },
        Event::ChatSettingsChanged { user: ann.id, conversation: room.id, settings: ChatSettings::default() },
        Event::SessionEnded {
            user: ann.id,
            session: LoginSessionId::from_bytes([1; 12]),
            until: Timestamp::from_millis(1),
        },
        Event::MessagesRead { conversation: room, user: bob, seq: Seq(1), messages: vec![message] },
        Event::ProfileUpdated(ann.clone()),
        Event::UserRegistered(ann),
    ]);
    events
}

/// The packets of a frame, each as its JSON array.
fn packets(frame: &Frame) -> Vec<Json> {
    let (mut rest, mut packets) = (&frame.packet()[..], Vec::new());
    while let [0x81, length, ..] = *rest {
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(rest[2..4].try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(rest[2..10].try_into().unwrap()) as usize),
            short => (2, usize::from(short)),
        };
        let array = rest[head..head + length].strip_prefix(b"42").expect("an EVENT packet");
        packets.push(serde_json::from_slice(array).expect("a JSON array"));
        rest = &rest[head + length..];
    }
    assert!(rest.is_empty(), "whole frames");
    packets
}

/// The arguments of an event as they are in its packet.
fn arguments(frame: &Frame) -> Vec<Json> {
    let packets = packets(frame);
    assert_eq!(packets[0][0], frame.event);
    assert_eq!(serde_json::to_value(frame.array()).unwrap(), packets[0]);
    assert_eq!(serde_json::to_string(&frame.array()).unwrap().len(), frame.array_length());
    packets[0].as_array().unwrap()[1..].to_vec()
}

/// What follows an event.
fn behind(frame: &Frame) -> Vec<Json> {
    packets(frame)[1..].to_vec()
}

/// Pages of the old backends count the arguments or hand on all of them, so there is nothing of ours among them.
#[tokio::test]
async fn an_event_has_the_arguments_of_the_old_backend() {
    let position = Position(41);
    for dialect in Dialects::built_in().known() {
        for event in &events().await {
            let logged = dialect.outbound(event, EventPosition(Some(position)));
            let unlogged = dialect.outbound(event, EventPosition(None));
            assert_eq!(logged.len(), unlogged.len());
            for ((_, logged), (_, unlogged)) in logged.iter().zip(&unlogged) {
                assert_eq!(arguments(logged).len(), 1, "{}: {event:?}", dialect.name());
                let alone = logged.event_packet();
                assert!(logged.packet().starts_with(&alone) && alone.ends_with(b"]"));
                assert_eq!(unlogged.packet(), &alone, "to the byte");
                assert!(behind(unlogged).is_empty());
            }
            let named = logged.iter().filter_map(|(to, _)| match to {
                To::Only(person) | To::Except(person) => Some(*person),
                To::All => None,
            });
            for person in named.chain([UserId::from_bytes([1; 12])]) {
                let theirs = logged.iter().filter(|(to, _)| to.includes(person)).map(|(_, frame)| frame);
                // Of several events that tell of one change the last one has its position: then all of it has been told.
                let mut theirs = theirs.rev();
                let Some(last) = theirs.next() else { continue };
                assert_eq!(behind(last), [serde_json::json!([POSITION_EVENT, "41"])], "{event:?}");
                // What is in no log has no position anyway.
                if !matches!(event, Event::TypingChanged { .. }) {
                    assert!(theirs.all(|frame| behind(frame).is_empty()), "{}: {event:?}", dialect.name());
                }
            }
            for (_, frame) in logged {
                let has_position = !behind(&frame).is_empty();
                let argument = frame.in_style(PositionStyle::Argument);
                let added = has_position.then(|| Json::from("41"));
                assert_eq!(arguments(&argument)[1..], Vec::from_iter(added), "where that is asked for");
                assert!(behind(&argument).is_empty() && !argument.is_taken_for_position());
            }
        }
    }
}

/// Whatever is told is described: each dialect's own words, and those of `native` for what it has none for.
#[tokio::test]
async fn every_event_that_is_told_is_described() {
    let dialects = Dialects::built_in();
    let described: Json = serde_json::from_str(&crate::describe::Document::AsyncApi.text(&dialects)).unwrap();
    let names = |dialect: &str| -> Vec<String> {
        let messages = described["channels"][dialect]["messages"].as_object().unwrap().values();
        let told = messages.filter(|message| message.get("x-acknowledgement").is_none());
        told.map(|message| message["name"].as_str().unwrap().to_owned()).collect()
    };
    let change = PresenceChange {
        user: UserId::from_bytes([1; 12]),
        online: true,
        at: chat_core::clock::Timestamp::from_millis(1),
    };
    for dialect in dialects.known() {
        let known = [names(dialect.name()), names("native")].concat();
        let mut frames: Vec<Frame> =
            dialect.online(&[]).into_iter().chain(dialect.presence(&change)).collect();
        for event in &events().await {
            frames.extend(dialect.outbound(event, EventPosition(None)).into_iter().map(|(_, frame)| frame));
        }
        assert!(frames.len() > 3, "{}", dialect.name());
        for frame in frames {
            assert!(known.iter().any(|name| name == frame.event), "{} {}", dialect.name(), frame.event);
        }
    }
}

/// A client takes a text at the end of any event for the position it has reached.
#[test]
fn it_is_known_what_is_taken_for_a_position() {
    for (frame, is_taken) in [
        (Frame::without_argument("connected"), true),
        (Frame::new("deleteMessage", &"id"), true),
        (Frame::new("deleteMessage", &""), true),
        (Frame::new("deleteMessage", &["id"]), false),
        (Frame::new("deleteMessage", &None::<&str>), false),
        (Frame::new("deleteMessage", &serde_json::json!({ "id": "id" })), false),
        (EventPosition(Some(Position(1))).frame("deleteMessage", &"id"), false),
        (EventPosition(None).frame("deleteMessage", &"id"), true),
    ] {
        assert_eq!(frame.is_taken_for_position(), is_taken, "{frame:?}");
    }
}

#[test]
fn a_frame_of_any_size_holds_its_argument() {
    for length in [0, 90, 100, 110, 125, 126, 1_000, 65_500, 65_536, 70_000] {
        let text = "x".repeat(length);
        for position in [None, Some(Position(0)), Some(Position(u64::MAX))] {
            let frame = EventPosition(position).frame("event", &[&text]);
            assert_eq!(arguments(&frame), [serde_json::json!([text])]);
            let told = position.map(|position| serde_json::json!([POSITION_EVENT, position.0.to_string()]));
            assert_eq!(behind(&frame), Vec::from_iter(told));
            let argument = frame.clone().in_style(PositionStyle::Argument);
            let mark = position.map(|position| Json::from(position.0.to_string()));
            assert_eq!(arguments(&argument)[1..], Vec::from_iter(mark));
            assert_eq!(argument.in_style(PositionStyle::Event).packet(), frame.packet());
        }
    }
}
