//! Typing events, with the names of the family's forks.
//!
//! ```text
//! ann > typing {"receiverId":"BOB"}
//! bob < typing, userTyping {"userId":"ANN","senderId":"ANN","chatId":"ANN","groupId":null,"isGroup":false,"isTyping":true,"typing":true}
//! ann > stopTyping {"receiverId":"BOB"}
//! bob < stopTyping, userStopTyping, userStoppedTyping {the same with false}
//! ```
//! A page takes `userTyping` as "is typing", whatever its fields say. So this event is never sent when typing ends.
//! For pages of this family a chat is the other user: between two users `chatId` is the id of the user who types; in
//! rooms it is the id of the room. Between two users `groupId` is null: if it were missing, it would equal the
//! undefined group of a page that has no group open. [`crate::typing`] describes when typing ends by itself.

use chat_core::command::{Command, Destination, SetTyping};
use chat_core::model::{Conversation, ConversationKind, User, UserKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::payload::{Flag, Text};
use crate::dialect::{Call, DecodeError, EventPosition, Frames, To};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Typing<'a> {
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    receiver_id: Text<'a>,
    #[serde(borrow, default)]
    recipient_id: Text<'a>,
    #[serde(borrow, default)]
    chat_id: Text<'a>,
    #[serde(borrow, default)]
    group_id: Text<'a>,
    #[serde(default)]
    is_typing: OptionalFlag,
    #[serde(default)]
    typing: OptionalFlag,
}

/// Unlike a [`Flag`], this distinguishes an absent value from true and false.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct OptionalFlag(Flag);

impl OptionalFlag {
    fn get(&self, field: &'static str) -> Result<Option<bool>, DecodeError> {
        match self.0 {
            Flag::Absent => Ok(None),
            flag => flag.get(field).map(Some),
        }
    }
}

/// Decodes the event, if it is one of this module.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    let begins = match &*call.event {
        "typing" | "startTyping" | "start-typing" | "typing:start" => true,
        "stopTyping" | "stop-typing" | "stop typing" | "typing:stop" => false,
        _ => return Err(DecodeError::UnknownEvent),
    };
    // Some pages send only the id.
    if let Some(id) = call.text() {
        let to = Destination::Chat(id_of("to", "a user's id", &id)?);
        return Ok(Command::SetTyping(SetTyping { to, typing: begins }));
    }
    let form: Typing<'_> = call.object()?;
    let says = form.is_typing.get("isTyping")?.or(form.typing.get("typing")?);
    let person = |field, id: Text<'_>| {
        let id = id.optional(field)?.filter(|id| !id.is_empty());
        let id =
            id.map(|id| id.parse().map_err(|_| DecodeError::WrongType { field, expected: "a user's id" }));
        Ok::<_, DecodeError>(id.transpose()?.map(|id| Destination::Person(UserKey::Id(id))))
    };
    let people = [
        person("to", form.to)?,
        person("receiverId", form.receiver_id)?,
        person("recipientId", form.recipient_id)?,
    ];
    let chat = form.chat_id.optional("chatId")?.filter(|id| !id.is_empty());
    let chat = chat.map(|id| id_of("chatId", "a chat's id", &id).map(Destination::Chat)).transpose()?;
    let group = form.group_id.optional("groupId")?.filter(|id| !id.is_empty()).map(|id| {
        id.parse()
            .map(Destination::Conversation)
            .map_err(|_| DecodeError::WrongType { field: "groupId", expected: "a group's id" })
    });
    let to = group.transpose()?.into_iter().chain(people.into_iter().flatten()).chain(chat).next();
    let to = to.ok_or(DecodeError::Missing("to"))?;
    Ok(Command::SetTyping(SetTyping { to, typing: begins && says != Some(false) }))
}

/// Parses an id that may name a user or a room.
pub(super) fn id_of(field: &'static str, expected: &'static str, id: &str) -> Result<[u8; 12], DecodeError> {
    let id = id.parse::<chat_core::id::UserId>();
    id.map(|id| *id.as_bytes()).map_err(|_| DecodeError::WrongType { field, expected })
}

/// Whether somebody types.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushTyping")]
pub(super) struct UserTyping<'a> {
    user_id: &'a str,
    sender_id: &'a str,
    chat_id: &'a str,
    group_id: Option<&'a str>,
    is_group: bool,
    is_typing: bool,
    typing: bool,
}

/// The events that the other users receive.
pub(super) fn told(conversation: &Conversation, user: &User, typing: bool, mark: EventPosition) -> Frames {
    let (id, room) = (user.id.hex(), conversation.id.hex());
    let group_id = match conversation.kind {
        ConversationKind::Direct { .. } => None,
        ConversationKind::Room(_) => Some(room.as_str()),
    };
    let told = UserTyping {
        user_id: id.as_str(),
        sender_id: id.as_str(),
        chat_id: group_id.unwrap_or(id.as_str()),
        group_id,
        is_group: group_id.is_some(),
        is_typing: typing,
        typing,
    };
    let names: &[_] = match typing {
        true => &["typing", "userTyping"],
        false => &["stopTyping", "userStopTyping", "userStoppedTyping"],
    };
    names.iter().map(|name| (To::All, mark.frame(name, &told))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "65a1b2c3d4e5f60718293a4b";

    fn decoded(event: &str, argument: &str) -> Result<(Destination, bool), String> {
        let packet = format!("[\"{event}\"{argument}]");
        match decode(&Call::parse(&packet).unwrap()) {
            Ok(Command::SetTyping(SetTyping { to, typing })) => Ok((to, typing)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_spelling_is_understood() {
        let person = Destination::Person(UserKey::Id(ID.parse().unwrap()));
        let chat = Destination::Chat(id_of("", "", ID).unwrap());
        let group = Destination::Conversation(ID.parse().unwrap());
        for (event, begins) in
            [("typing", true), ("startTyping", true), ("stopTyping", false), ("stop-typing", false)]
        {
            for (fields, to) in [
                (format!("{{\"to\":\"{ID}\"}}"), &person),
                (format!("{{\"receiverId\":\"{ID}\",\"senderId\":\"x\"}}"), &person),
                (format!("{{\"recipientId\":\"{ID}\",\"groupId\":null}}"), &person),
                (format!("{{\"chatId\":\"{ID}\",\"userId\":7}}"), &chat),
                (format!("{{\"groupId\":\"{ID}\",\"receiverId\":\"\"}}"), &group),
                (format!("\"{ID}\""), &chat),
            ] {
                assert_eq!(
                    decoded(event, &format!(",{fields}")),
                    Ok((to.clone(), begins)),
                    "{event} {fields}"
                );
            }
            for flag in ["isTyping", "typing"] {
                for (value, typing) in [("false", false), ("true", begins), ("null", begins)] {
                    let argument = format!(",{{\"to\":\"{ID}\",\"{flag}\":{value}}}");
                    assert_eq!(decoded(event, &argument), Ok((person.clone(), typing)), "{event} {argument}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (argument, error) in [
            ("", "the payload must be an object"),
            (",{}", "to is missing"),
            (",{\"to\":7}", "to must be a string"),
            (",{\"to\":\"nobody\"}", "to must be a user's id"),
            (",{\"receiverId\":\"nobody\"}", "receiverId must be a user's id"),
            (",{\"recipientId\":[]}", "recipientId must be a string"),
            (",{\"chatId\":\"x\"}", "chatId must be a chat's id"),
            (",{\"groupId\":{}}", "groupId must be a string"),
            (",\"x\"", "to must be a user's id"),
        ] {
            assert_eq!(decoded("typing", argument).unwrap_err(), error, "{argument}");
        }
        let odd = format!(",{{\"to\":\"{ID}\",\"isTyping\":1}}");
        assert_eq!(decoded("typing", &odd).unwrap_err(), "isTyping must be true or false");
        assert_eq!(decoded("newMessage", "").unwrap_err(), "unknown event");
    }
}
