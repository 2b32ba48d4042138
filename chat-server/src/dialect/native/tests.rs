//! The table: every command is there, and says what is wrong with what is sent.

use std::collections::BTreeSet;

use chat_core::command::{Command, CommandRef, Request as _};
use serde_json::{Value, json};

use super::arguments::FIELDS;
use super::table::{Row, TABLE, decode};
use super::*;
use crate::dialect::{Call, DecodeError, Dialect, Inbound};

const ID: &str = "65a1b2c3d4e5f60718293a4b";

/// The row of each command of the core. A command that is new there is missed here by the compiler.
fn event_of(command: CommandRef<'_>) -> &'static [&'static str] {
    match command {
        CommandRef::SendMessage(_) => &["message.send"],
        CommandRef::DeleteMessage(_) => &["message.delete"],
        CommandRef::RestoreMessage(_) => &["message.restore"],
        CommandRef::SetReaction(_) => &["reaction.add", "reaction.remove"],
        CommandRef::ReadHistory(_) => &["message.list"],
        CommandRef::MarkRead(_) => &["read.mark"],
        CommandRef::ListUnread(_) => &["unread.list"],
        CommandRef::ListUsers(_) => &["user.list"],
        CommandRef::ListChatPartners(_) => &["chat.list"],
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
    }
}

/// A value of a field that is good.
fn good(field: &str) -> Value {
    match field {
        "userId" | "roomId" | "messageId" | "senderId" | "afterId" => json!(ID),
        "members" => json!([ID]),
        "limit" | "seq" | "after" | "from" | "until" | "slowMode" => json!(3),
        "deleted" | "typing" | "snippets" => json!(true),
        "visibility" => json!("public"),
        "role" => json!("moderator"),
        "types" => json!(["image"]),
        "order" => json!("newest"),
        "since" => json!("7"),
        "emoji" => json!("👍"),
        _ => json!("text"),
    }
}

/// The fields of a good packet of a row: one of those that stand for each other, and none that excludes another.
fn example(row: &Row) -> Vec<&'static str> {
    let fields = row.fields.iter().copied();
    let is_place = row.fields.contains(&"username");
    fields
        .filter(|field| !(is_place && matches!(*field, "userId" | "username")))
        .filter(|field| !matches!(*field, "image" | "avatar" | "seq" | "before" | "senderUsername"))
        .collect()
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
    for row in TABLE {
        let fields: Vec<_> = example(row).into_iter().map(|field| (field, good(field))).collect();
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
        for part in row.path.split('/').filter_map(|part| part.strip_prefix(':')) {
            assert!(row.fields.contains(&part), "{}: {part}", row.path);
        }
    }
    assert!(events.len() > TABLE.len() && !TABLE.is_empty());
    let fields: BTreeSet<_> = TABLE.iter().flat_map(|row| row.fields.iter().copied()).collect();
    assert_eq!(fields, FIELDS.iter().copied().collect(), "the list has every field and no other");
    let said: BTreeSet<_> = Native.events().iter().copied().collect();
    events.insert(batch::EVENT);
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
    for row in TABLE {
        for field in row.fields {
            for strange in &strange {
                let mut fields: Vec<_> = example(row).into_iter().map(|field| (field, good(field))).collect();
                fields.retain(|(name, _)| {
                    name != field
                        && !(row.fields.contains(&"username") && *name == "roomId")
                        && !(*field == "senderUsername" && *name == "senderId")
                });
                let is_place = matches!(*field, "roomId" | "userId" | "username");
                if row.fields.contains(&"username") && !is_place {
                    fields.push(("username", json!("bob")));
                }
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

/// What is there twice, deep or absent.
#[test]
fn what_cannot_be_read_is_refused() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for row in TABLE {
        let field = row.fields[0];
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
