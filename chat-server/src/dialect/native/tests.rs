//! The table: every command is there, and says what is wrong with what is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::command::{Command, CommandRef, Request as _};
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::{Conversation, ConversationKind, Member, Role, RoomInfo, Visibility};
use serde_json::{Value, json};

use super::row::Row;
use super::table::{decode, rows};
use super::*;
use crate::dialect::field::{Field, Kind, Rule};
use crate::dialect::{Call, DecodeError, Dialect, EventPosition, Inbound, To};

const ID: &str = "65a1b2c3d4e5f60718293a4b";

/// The row of each command of the core. A command that is new there is missed here by the compiler.
fn event_of(command: CommandRef<'_>) -> &'static [&'static str] {
    match command {
        CommandRef::SendMessage(_) => &["message.send", "message.forward"],
        CommandRef::DeleteMessage(_) => &["message.delete"],
        CommandRef::RestoreMessage(_) => &["message.restore"],
        CommandRef::EditMessage(_) => &["message.edit"],
        CommandRef::ReadEdits(_) => &["message.edits"],
        CommandRef::PinMessage(_) => &["message.pin", "message.unpin"],
        CommandRef::ListPins(_) => &["message.pins"],
        CommandRef::ReadThread(_) => &["thread.history"],
        CommandRef::ListThreads(_) => &["thread.list"],
        CommandRef::FollowThread(_) => &["thread.follow", "thread.unfollow"],
        CommandRef::HideMessage(_) => &["message.hide", "message.unhide"],
        CommandRef::SetReaction(_) => &["reaction.add", "reaction.remove"],
        CommandRef::ReadHistory(_) => &["message.list"],
        CommandRef::MarkRead(_) => &["read.mark"],
        CommandRef::ListUnread(_) => &["unread.list"],
        CommandRef::SearchUsers(_) => &["user.search"],
        CommandRef::ListUsers(_) => &["user.list"],
        CommandRef::ListChatPartners(_) => &["chat.partners"],
        CommandRef::CreateReport(_) => &["report.create"],
        CommandRef::ListReports(_) => &["report.list"],
        CommandRef::ResolveReport(_) => &["report.resolve"],
        CommandRef::ReadReceipts(_) => &["message.receipts"],
        CommandRef::ListChats(_) => &["chat.list"],
        CommandRef::ReadChanges(_) => &["log.sync"],
        CommandRef::Search(_) => &["message.search"],
        CommandRef::UpdateProfile(_) => &["profile.update"],
        CommandRef::SetTyping(_) => &["typing.set"],
        CommandRef::CreateRoom(_) => &["room.create"],
        CommandRef::AddMember(_) => &["member.add", "room.join"],
        CommandRef::RemoveMember(_) => &["member.remove", "room.leave"],
        CommandRef::ReadMembers(_) => &["member.list"],
        CommandRef::SetRole(_) => &["member.setRole"],
        CommandRef::UpdateRoom(_) => &["room.update"],
        CommandRef::SetBan(_) => &["ban.add", "ban.remove"],
        CommandRef::ListBans(_) => &["ban.list"],
        CommandRef::SetMute(_) => &["mute.add", "mute.remove"],
        CommandRef::ChangeRelation(_) => &[
            "user.block",
            "user.unblock",
            "friend.request",
            "friend.accept",
            "friend.decline",
            "friend.withdraw",
            "friend.remove",
        ],
        CommandRef::ListRelations(_) => &["block.list", "friend.list"],
        CommandRef::SetChatSettings(_) => &["chat.set"],
        CommandRef::ListChatSettings(_) => &["chat.settings"],
        CommandRef::ListSessions(_) => &["session.list"],
        CommandRef::EndSession(_) => &["session.end"],
        CommandRef::EndOtherSessions(_) => &["session.endOthers"],
    }
}

/// A value of a field that is good.
fn good(field: &Field) -> Value {
    match field.kind {
        Kind::Id(_) => json!(ID),
        Kind::Ids(_) => json!([ID]),
        Kind::Limit { .. } | Kind::Count | Kind::Moment => json!(3),
        Kind::Flag => json!(true),
        Kind::Choice(choices, _) => json!(choices[0]),
        Kind::Choices(choices, _) => json!(choices),
        Kind::Told(_) => json!("7"),
        Kind::Text { .. } | Kind::Image(_) => json!("text"),
        Kind::Commands { .. } => json!([]),
    }
}

/// The other fields of the rules in which a field is, which may exclude it.
fn excluded_by<'a>(row: &'a Row, field: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let fields = row.rules.iter().filter_map(|rule| match rule {
        Rule::One(fields) | Rule::AtMostOne(fields) => Some(*fields),
        Rule::Some(_) => None,
    });
    fields
        .filter(move |fields| fields.contains(&field))
        .flatten()
        .copied()
        .filter(move |other| *other != field)
}

/// The fields of a good packet of a row: one of those that exclude each other, and no image.
fn example(row: &Row) -> Vec<&'static Field> {
    let mut fields: Vec<&Field> = Vec::new();
    for field in row.fields {
        let is_excluded =
            excluded_by(row, field.name).any(|other| fields.iter().any(|field| field.name == other));
        if !is_excluded && !matches!(field.kind, Kind::Image(_)) {
            fields.push(field);
        }
    }
    fields
}

fn with_good_values(fields: &[&'static Field]) -> Vec<(&'static str, Value)> {
    fields.iter().map(|field| (field.name, good(field))).collect()
}

fn packet(event: &str, fields: &[(&str, Value)]) -> String {
    let object: serde_json::Map<_, _> =
        fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect();
    json!([event, object]).to_string()
}

fn decoded(packet: &str) -> Result<Command, String> {
    let call = Call::parse(packet).unwrap().by(ID.parse().unwrap());
    decode(&call).map(|decoded| decoded.0).map_err(|error| error.to_string())
}

#[test]
fn every_command_is_an_event_and_a_route() {
    let (mut events, mut routes) = (BTreeSet::new(), BTreeSet::new());
    for row in rows() {
        let fields = with_good_values(&example(row));
        for event in row.events() {
            let command = decoded(&packet(event, &fields)).unwrap_or_else(|error| panic!("{event}: {error}"));
            assert!(event_of(command.as_command()).contains(&row.event), "{event}: {command:?}");
            assert!(events.insert(event), "{event} is there twice");
        }
        let (noun, verb) = row.event.split_once('.').expect("a noun and a verb");
        assert!(
            [noun, verb].iter().all(|word| word.bytes().all(|c| c.is_ascii_alphabetic())),
            "{}",
            row.event
        );
        assert!(row.path.starts_with("/api/v1/"), "{}", row.path);
        assert!(routes.insert(format!("{} {}", row.method, row.path)), "{} is there twice", row.path);
        for part in row.in_path() {
            let field = row.fields.iter().find(|field| field.name == part);
            assert!(field.is_some_and(|field| field.is_required), "{}: {part}", row.path);
        }
    }
    assert!(events.len() > rows().count());
    let said: BTreeSet<_> = Native.events().iter().copied().collect();
    events.extend([batch::EVENT, renew::EVENT]);
    assert_eq!(said, events);
    let served: BTreeSet<_> = Native.routes().iter().map(|route| format!("{route:?}")).collect();
    assert!(routes.iter().all(|route| served.contains(route)), "{served:?}");
}

/// Each field of each command, with values of all other types.
#[test]
fn a_field_of_another_type_is_named() {
    let strange =
        [json!({ "$gt": "" }), json!([[]]), json!(true), json!(-1), json!(1.5), json!("\u{0}?"), json!([7])];
    let mut refused = 0;
    for row in rows() {
        for field in row.fields {
            for strange in &strange {
                let mut fields = with_good_values(&example(row));
                fields.retain(|(name, _)| {
                    *name != field.name && excluded_by(row, field.name).all(|other| other != *name)
                });
                let field = field.name;
                fields.push((field, strange.clone()));
                match decoded(&packet(row.event, &fields)) {
                    // It is of the right type, though it makes no sense: the core has a say in that.
                    Ok(_) => assert!(
                        strange.is_string() || strange.is_boolean(),
                        "{} {field} {strange}",
                        row.event
                    ),
                    Err(error) => {
                        refused += 1;
                        assert!(
                            error.starts_with(&format!("{field} ")),
                            "{} {field} {strange}: {error}",
                            row.event
                        );
                    }
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

/// A field is what its row says: what must be there is missed by its name, and nothing else is.
#[test]
fn rows_say_what_must_be_there() {
    let is_refused = |row: &Row, fields: &[(&str, Value)]| decoded(&packet(row.event, fields)).err();
    for row in rows() {
        assert!(row.about.ends_with('.') && row.about.len() > 10, "{}", row.event);
        let whole = with_good_values(&example(row));
        for field in row.fields {
            assert!(field.about.ends_with('.'), "{} {}", row.event, field.name);
            if let Kind::Choice(choices, said) | Kind::Choices(choices, said) = field.kind {
                assert!(choices.iter().all(|choice| said.contains(choice)), "{} {said}", row.event);
                let mut fields = whole.clone();
                let other = fields.iter_mut().find(|(name, _)| *name == field.name);
                other.expect("it is in the example").1 = if matches!(field.kind, Kind::Choice(..)) {
                    json!("nonsense")
                } else {
                    json!(["nonsense"])
                };
                let expected = format!("{} must be {said}", field.name);
                assert_eq!(is_refused(row, &fields), Some(expected), "{}", row.event);
            }
            let without: Vec<_> = whole.iter().filter(|(name, _)| *name != field.name).cloned().collect();
            let is_ruled = row.rules.iter().any(|rule| match rule {
                Rule::One(fields) | Rule::Some(fields) => fields.contains(&field.name),
                Rule::AtMostOne(_) => false,
            });
            let missing = is_refused(row, &without);
            match field.is_required {
                true => assert_eq!(missing, Some(format!("{} is missing", field.name)), "{}", row.event),
                false if !is_ruled => assert_eq!(missing, None, "{} {}", row.event, field.name),
                false => {}
            }
        }
        for rule in row.rules {
            let (Rule::One(ruled) | Rule::AtMostOne(ruled) | Rule::Some(ruled)) = *rule;
            let none: Vec<_> = whole.iter().filter(|(name, _)| !ruled.contains(name)).cloned().collect();
            let is_missed = is_refused(row, &none).is_some_and(|error| error.ends_with(" is missing"));
            assert_eq!(is_missed, !matches!(rule, Rule::AtMostOne(_)), "{} {rule:?}", row.event);
            if !matches!(rule, Rule::Some(_)) {
                let all = row.fields.iter().filter(|field| ruled.contains(&field.name));
                let two: Vec<_> =
                    none.into_iter().chain(all.map(|field| (field.name, good(field)))).collect();
                assert!(is_refused(row, &two).is_some(), "{} {rule:?}", row.event);
            }
        }
    }
}

/// What is there twice, deep or absent.
#[test]
fn what_cannot_be_read_is_refused() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for row in rows() {
        let Some(field) = row.fields.first().map(|field| field.name) else { continue };
        let twice = format!("[\"{}\",{{\"{field}\":null,\"{field}\":null}}]", row.event);
        assert_eq!(decoded(&twice).unwrap_err(), "the payload is malformed", "{}", row.event);
        assert!(decoded(&format!("[\"{}\",{{\"{field}\":{deep}}}]", row.event)).is_err(), "{}", row.event);
        for argument in ["7", "\"x\"", "[{}]", "true"] {
            let error = decoded(&format!("[\"{}\",{argument}]", row.event)).unwrap_err();
            assert_eq!(error, "the payload must be an object", "{}", row.event);
        }
        let empty = decoded(&format!("[\"{}\",{{\"other\":{deep}}}]", row.event));
        let nothing = decoded(&format!("[\"{}\"]", row.event));
        match row.is_optional() {
            true => assert!(empty.is_ok() && nothing.is_ok(), "{}", row.event),
            false => {
                assert!(empty.unwrap_err().ends_with(" is missing"), "{}", row.event);
                assert_eq!(nothing.unwrap_err(), "the payload must be an object", "{}", row.event);
            }
        }
    }
}

#[test]
fn images_are_taken_over_http_only() {
    let image = |event, field| {
        let fields =
            [("username", json!("bob")), ("content", json!("x")), (field, json!("data:image/png;base64,"))];
        decoded(&packet(event, &fields)).unwrap_err()
    };
    assert_eq!(image("message.send", "image"), "image must be sent over HTTP, by POST /api/v1/messages");
    assert_eq!(image("profile.update", "avatar"), "avatar must be sent over HTTP, by PATCH /api/v1/profile");
}

#[test]
fn nobody_joins_a_room_before_they_have_said_who_they_are() {
    let packet = packet("room.join", &[("roomId", json!(ID))]);
    let error = decode(&Call::parse(&packet).unwrap()).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.field()), ("who asks is missing", None));
}

#[test]
fn a_batch_is_read_command_by_command() {
    let read = |argument: &str| {
        let packet = format!("[\"batch\",{argument}]");
        match Native.decode(&Call::parse(&packet).unwrap().by(ID.parse().unwrap())) {
            Ok(Inbound::Batch(commands)) => Ok(commands
                .into_iter()
                .map(|one| one.map(|(command, request)| (command.as_command().name(), request.event)))
                .collect::<Vec<_>>()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let commands = format!(
        "{{\"commands\":[{{\"event\":\"sync\"}},{{\"event\":\"room.join\",\"data\":{{\"roomId\":\"{ID}\"}}}},{{\"event\":\"batch\",\"data\":{{}}}},7,{{}}]}}"
    );
    assert_eq!(
        read(&commands).unwrap(),
        [
            Ok(("ReadChanges", "sync")),
            Ok(("AddMember", "room.join")),
            Err(DecodeError::UnknownEvent),
            Err(DecodeError::NoObject),
            Err(DecodeError::Missing("event")),
        ]
    );
    let twenty = |count| format!("{{\"commands\":[{}]}}", vec!["{\"event\":\"sync\"}"; count].join(","));
    assert_eq!(read(&twenty(20)).unwrap().len(), 20);
    for (argument, error) in [
        (twenty(21), "commands must be a list of 1 to 20 commands"),
        (twenty(100_000), "commands must be a list of 1 to 20 commands"),
        ("{\"commands\":[]}".to_owned(), "commands must be a list of 1 to 20 commands"),
        ("{\"commands\":{\"$gt\":\"\"}}".to_owned(), "commands must be a list of 1 to 20 commands"),
        ("{\"commands\":null}".to_owned(), "commands is missing"),
        ("{}".to_owned(), "commands is missing"),
        ("[]".to_owned(), "the payload must be an object"),
    ] {
        assert_eq!(read(&argument).unwrap_err(), error, "{}", &argument[..argument.len().min(60)]);
    }
}

/// What all members of a large room are told when one comes does not name all the others.
#[test]
fn what_is_told_of_a_room_does_not_grow_with_it() {
    let user = |n: u32| {
        let mut id = [0; 12];
        id[8..].copy_from_slice(&n.to_be_bytes());
        UserId::from_bytes(id)
    };
    let at = Timestamp::from_millis(1);
    let told = |count: u32| {
        let member = |n| Member { user: user(n), role: Role::Member, joined_at: at };
        let room = Arc::new(Conversation {
            id: ID.parse().unwrap(),
            kind: ConversationKind::Room(RoomInfo::new("r", Visibility::Public)),
            members: (0..count).map(member).collect(),
            created_at: at,
        });
        let frames = Native.outbound(&Event::MemberAdded { room, user: user(0) }, EventPosition(None));
        let [(To::All, frame)] = &frames[..] else { panic!("all are told the same") };
        // Before it stands what WebSockets want.
        let packet = String::from_utf8_lossy(&frame.event_packet()).into_owned();
        let (_, event) = packet.split_at(packet.find("[\"memberAdded").unwrap());
        serde_json::from_str::<Value>(event).unwrap()[1]["room"].take()
    };
    for (count, is_shown) in [(1, true), (100, true), (101, false), (10_000, false)] {
        let room = told(count);
        let shown = room["members"].as_array().map(Vec::len);
        assert_eq!(shown, is_shown.then_some(count as usize), "of {count}");
        assert_eq!(room["memberCount"].as_u64(), (!is_shown).then_some(count.into()), "of {count}");
    }
    let [small, large] = [101, 10_000].map(|count| told(count).to_string().len());
    assert_eq!(large, small + 2, "by the digits of the count alone");
}
