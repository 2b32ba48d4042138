//! Read marks and unread messages, for clients written for this server and for other pages that use them.
//!
//! ```text
//! POST /api/read {"roomId":"…"}                     {"roomId":"…","seq":7}
//! POST /api/read {"userId":"…","messageId":"…"}     the same; people also by {"username":"bob"}, places by {"seq":7}
//! GET /api/unread?limit=20                          {"unread":[{"roomId":"…","userId":"…","username":"bob","name":"Bob",
//!                                                     "lastSeq":9,"readSeq":7,"unread":2}]}
//! socket > read {"roomId":"…"} (ack)                {"ok":true,"success":true,"roomId":"…","seq":7}
//! socket > unread {"limit":20} (ack)                {"ok":true,"success":true,"unread":[…]}
//! ```
//! A read mark says up to which message a user has read; it only moves forward. `seq` in the answer is the current
//! mark. If there is no conversation with that user yet, `roomId` is null and `seq` is 0. For rooms, `unread` has the
//! room's name and no `userId` or `username`. All members of the conversation receive the event
//! `messagesRead {"roomId":"…","userId":"…","seq":7}` with its position, and find it in the log (see [`super::sync`]).
//! The pages of the families do not use read marks, and since they never move one, marks cost them nothing. This is
//! the same in every dialect.

use chat_core::command::{Command, ListUnread, MarkRead, ReadMark, ReadUpTo, Unread};
use chat_core::model::{Conversation, ConversationKind, Seq, User};
use schemars::JsonSchema;
use serde::Serialize;
use smallvec::smallvec;

use super::arguments::{Arguments, wrong};
use crate::dialect::{DecodeError, EventPosition, Frames, To};

/// The event that answers a read mark which was moved by an event of another dialect.
pub(super) const READ: &str = "read";
/// The command that moves a read mark.
pub(super) fn mark(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let of = arguments.required_place()?;
    let up_to = match (arguments.id("messageId")?, arguments.count("seq")?) {
        (Some(_), Some(_)) => return Err(wrong("seq", "left out where messageId is given")),
        (Some(message), None) => ReadUpTo::Message(message),
        (None, Some(seq)) => ReadUpTo::Seq(Seq(u32::try_from(seq).unwrap_or(u32::MAX))),
        (None, None) => ReadUpTo::TheLast,
    };
    Ok(MarkRead { of, up_to }.into())
}

/// The command that lists unread messages.
pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListUnread { limit: arguments.limit()? }.into())
}

/// The event that all members receive when a read mark has moved.
pub(crate) fn told(conversation: &Conversation, user: &User, seq: Seq, mark: EventPosition) -> Frames {
    smallvec![(To::All, mark.frame("messagesRead", &moved(conversation, user, seq)))]
}

/// The payload of a moved read mark.
pub(super) fn moved(conversation: &Conversation, user: &User, seq: Seq) -> Moved {
    Moved { room_id: conversation.id.to_string(), user_id: user.id.to_string(), seq: seq.0 }
}

/// The answer to a command that moves a read mark.
pub(super) fn marked(mark: Option<&ReadMark>) -> Marked {
    Marked {
        room_id: mark.map(|mark| mark.conversation.id.to_string()),
        seq: mark.map_or(0, |mark| mark.seq.0),
    }
}

/// The list of conversations with unread messages.
pub(super) fn listed(unread: &[Unread]) -> UnreadList<'_> {
    UnreadList { unread: unread.iter().map(object).collect() }
}

/// How far somebody has read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessagesRead")]
pub(crate) struct Moved {
    room_id: String,
    user_id: String,
    seq: u32,
}

/// Where the mark is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReadMark")]
pub(crate) struct Marked {
    room_id: Option<String>,
    seq: u32,
}

/// What is unread.
#[derive(Serialize, JsonSchema)]
pub(super) struct UnreadList<'a> {
    unread: Vec<UnreadObject<'a>>,
}

/// A conversation in which something is unread.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Unread")]
struct UnreadObject<'a> {
    room_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    name: &'a str,
    last_seq: u32,
    read_seq: u32,
    unread: u32,
    /// How many of them mention the user, at most 100. It is missing when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    mentions: Option<u32>,
}

fn object(unread: &Unread) -> UnreadObject<'_> {
    let other = unread.other.as_deref();
    UnreadObject {
        room_id: unread.conversation.id.to_string(),
        user_id: other.map(|other| other.id.to_string()),
        username: other.map(User::handle),
        name: match &unread.conversation.kind {
            ConversationKind::Direct { .. } => other.map_or("", |other| &other.full_name),
            ConversationKind::Room(room) => &room.name,
        },
        last_seq: unread.last_seq.0,
        read_seq: unread.read_seq.0,
        unread: unread.unread,
        mentions: Some(unread.mentions).filter(|count| *count > 0),
    }
}

#[cfg(test)]
mod tests {
    use chat_core::command::Destination;
    use chat_core::model::UserKey;

    use super::*;
    use crate::dialect::Call;
    use crate::dialect::native::table::decode;

    const UNREAD: &str = "unread";
    const ID: &str = "65a1b2c3d4e5f60718293a4b";

    fn decoded(event: &str, argument: &str) -> Result<Command, String> {
        let packet = format!("[\"{event}\",{argument}]");
        let decoded = decode(&Call::parse(&packet).unwrap()).map_err(|error| error.to_string())?;
        Ok(decoded.0)
    }

    #[test]
    fn a_place_and_a_message_are_named_in_every_way() {
        let id = format!("\"{ID}\"");
        let (room, person) =
            (Destination::Conversation(ID.parse().unwrap()), UserKey::Id(ID.parse().unwrap()));
        let bob = UserKey::Username("bob".to_owned());
        for (place, expected) in [
            (format!("\"roomId\":{id}"), room),
            (format!("\"userId\":{id}"), Destination::Person(person)),
            ("\"username\":\"bob\"".to_owned(), Destination::Person(bob)),
        ] {
            for (far, how_far) in [
                (String::new(), ReadUpTo::TheLast),
                (",\"messageId\":null,\"seq\":null".to_owned(), ReadUpTo::TheLast),
                (format!(",\"messageId\":{id}"), ReadUpTo::Message(ID.parse().unwrap())),
                (",\"seq\":0".to_owned(), ReadUpTo::Seq(Seq(0))),
                (",\"seq\":18446744073709551615".to_owned(), ReadUpTo::Seq(Seq(u32::MAX))),
            ] {
                match decoded(READ, &format!("{{{place}{far}}}")) {
                    Ok(Command::MarkRead(MarkRead { of, up_to })) => {
                        assert_eq!((of, up_to), (expected.clone(), how_far));
                    }
                    other => panic!("{place}{far}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (argument, error) in [
            ("{}".to_owned(), "roomId, userId or username is missing"),
            (
                format!("{{\"roomId\":\"{ID}\",\"username\":\"bob\"}}"),
                "one of roomId, userId and username must be",
            ),
            (format!("{{\"roomId\":\"{ID}\",\"messageId\":\"{ID}\",\"seq\":1}}"), "seq must be left out"),
            ("7".to_owned(), "the payload must be an object"),
        ] {
            let refused = decoded(READ, &argument).unwrap_err();
            assert!(refused.starts_with(error), "{argument}: {refused}");
        }
        for field in ["roomId", "userId", "username", "messageId", "seq"] {
            for wrong in ["{\"$gt\":\"\"}", "[]", "true", "-1", "1.5"] {
                let place = if ["messageId", "seq"].contains(&field) { "\"username\":\"bob\"," } else { "" };
                let refused = decoded(READ, &format!("{{{place}\"{field}\":{wrong}}}")).unwrap_err();
                assert!(refused.starts_with(&format!("{field} must be a")), "{field} {wrong}: {refused}");
            }
        }
        for field in ["roomId", "userId", "messageId"] {
            let place = if field == "messageId" { "\"username\":\"bob\"," } else { "" };
            let refused = decoded(READ, &format!("{{{place}\"{field}\":\"nonsense\"}}")).unwrap_err();
            assert!(refused.starts_with(&format!("{field} must be a")), "{field}: {refused}");
        }
    }

    #[test]
    fn limits_are_not_guessed() {
        for (argument, expected) in
            [("null", 100), ("{}", 100), ("{\"limit\":5}", 5), ("{\"limit\":5000}", 1_000)]
        {
            let Ok(Command::ListUnread(ListUnread { limit })) = decoded(UNREAD, argument) else {
                panic!("{argument}")
            };
            assert_eq!(limit, expected, "{argument}");
        }
        for wrong in ["0", "-1", "\"5\"", "1.5", "{\"$gt\":\"\"}"] {
            let refused = decoded(UNREAD, &format!("{{\"limit\":{wrong}}}")).unwrap_err();
            assert!(refused.starts_with("limit must be a whole number"), "{wrong}: {refused}");
        }
        assert_eq!(decoded("other", "{}").unwrap_err(), "unknown event");
    }
}
