//! What the family's pages send, and what they are told.

use axum::http::StatusCode;
use chat_core::command::{Command, Destination, ReadHistory, Reply, SendMessage};
use chat_core::event::{Event, MessageChanged};
use chat_core::history::Window;
use chat_core::model::{Content, ConversationKind, Fingerprint, Seq, UserKey};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use smallvec::smallvec;

use super::shapes::{MessageFields, MessageList, MessageObject};
use super::{Camel, routes};
use crate::dialect::described::{Events, Heard, Told};
use crate::dialect::field::{Field, Kind, shown};
use crate::dialect::native::Native;
use crate::dialect::payload::{Count, Flag, Text, client_id};
use crate::dialect::{
    Answer, Asked, Auth, Call, DecodeError, Dialect, EventPosition, Frame, Frames, HttpFailure, Inbound,
    Limits, NamedBy, Route, To, Unauthenticated, raw,
};

impl Dialect for Camel {
    fn name(&self) -> &str {
        "camel"
    }

    fn auth(&self) -> Auth {
        Auth { named_by: NamedBy::Username, ..Auth::default() }
    }

    fn limits(&self) -> Limits {
        Limits { password_min: 6, ..Limits::default() }
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        &["privateMessage", "getMessageHistory"]
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        match &*call.event {
            "privateMessage" => private_message(call).map(Inbound::from),
            "getMessageHistory" => message_history(call).map(Inbound::from),
            _ => Err(DecodeError::UnknownEvent),
        }
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        match event {
            // The pages of this family know of two people only. Whoever is in a room has a client that knows native's words.
            Event::MessageSent(view) if view.recipient.is_some() => {
                smallvec![(To::All, mark.frame("privateMessage", &MessageObject(view)))]
            }
            Event::MessageSent(_) => Native.outbound(event, mark),
            Event::MessageDeleted(view) | Event::MessageRestored(view) if view.recipient.is_none() => {
                Native.outbound(event, mark)
            }
            Event::MessageChanged(MessageChanged { conversation, .. })
                if matches!(conversation.kind, ConversationKind::Room(_)) =>
            {
                Native.outbound(event, mark)
            }
            Event::MessagesRead { .. }
            | Event::RoomCreated { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::RoleChanged { .. }
            | Event::RoomChanged { .. } => Native.outbound(event, mark),
            Event::MessageDeleted(_)
            | Event::MessageRestored(_)
            | Event::MessageChanged(_)
            | Event::ProfileUpdated(_)
            | Event::RelationChanged { .. }
            | Event::ChatSettingsChanged { .. }
            | Event::SessionEnded { .. }
            | Event::UserRegistered(_)
            | Event::TypingChanged { .. } => Frames::new(),
        }
    }

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        match reply {
            Reply::Messages(history) => {
                let messages = MessageList(&history.messages);
                let next_before = history.next_before().map(|seq| seq.0);
                let fields = Listed { messages, has_more: history.has_more, next_before };
                Answer::done().with_event(Frame::new("messageHistory", &messages)).with_ack(asked, &fields)
            }
            Reply::Message(view) => Answer::done().with_ack(asked, &Sent { message: MessageObject(view) }),
            Reply::Read(_)
            | Reply::Unread(_)
            | Reply::Changes(_)
            | Reply::Related(_)
            | Reply::RelatedPage(_)
            | Reply::UserPage(_)
            | Reply::Receipts(_)
            | Reply::Report(_)
            | Reply::ReportPage(_)
            | Reply::Chats(_)
            | Reply::Thread(_)
            | Reply::Threads(_)
            | Reply::ChatSet(_)
            | Reply::ChatSetPage(_)
            | Reply::Found(_)
            | Reply::Sessions(_)
            | Reply::EndedSessions(_) => Native.reply(asked, reply),
            Reply::Done
            | Reply::Users(_)
            | Reply::User(_)
            | Reply::Conversation(_)
            | Reply::Members(_)
            | Reply::Bans(_) => Answer::done(),
        }
    }

    fn error(&self, error: &HttpFailure<'_>) -> (StatusCode, Box<RawValue>) {
        let Some(why) = error.unauthenticated else { return error.as_message() };
        let (status, message) = match why {
            Unauthenticated::Missing => (StatusCode::UNAUTHORIZED, "No token provided"),
            Unauthenticated::Invalid => (StatusCode::FORBIDDEN, "Invalid or expired token"),
            Unauthenticated::UserNotFound => (StatusCode::UNAUTHORIZED, "User not found"),
        };
        (status, raw(&NotValid { valid: false, message }))
    }
}

const CLIENT_ID: Field =
    Field::new("clientId", Kind::Text { least: 1, most: 128 }, "The client's own name for this message.")
        .optional();

/// The family's events.
pub(crate) static EVENTS: Events = Events {
    heard: &[
        Heard {
            name: "privateMessage",
            about: "Says something to somebody.",
            fields: &[
                text("text", "The text, or that of a text file."),
                text("receiver", "To whom, by their user name."),
                Field::new("isFile", Kind::Flag, "Whether it is a text file.").optional(),
                text("fileName", "The name of the file.").optional(),
                text("timestamp", "When it was sent, by the clock of the page.").optional(),
                CLIENT_ID,
            ],
            rules: &[],
            answer: shown::<Sent<'_>>,
        },
        Heard {
            name: "getMessageHistory",
            about: "Reads what was said with somebody; answered by `messageHistory` too.",
            fields: &[
                text("otherUser", "With whom, by their user name."),
                Field::new("limit", Kind::Count, "How many are wanted at most.").optional(),
                Field::new("before", Kind::Count, "The `nextBefore` of the page before.").optional(),
            ],
            rules: &[],
            answer: shown::<Listed<'_>>,
        },
    ],
    told: &[
        Told {
            name: "privateMessage",
            about: "Somebody has said something, on whichever device.",
            argument: shown::<MessageFields<'_>>,
        },
        Told {
            name: "messageHistory",
            about: "What was asked for by `getMessageHistory`, the oldest message first.",
            argument: shown::<Vec<MessageFields<'_>>>,
        },
    ],
};

const fn text(name: &'static str, about: &'static str) -> Field {
    Field::new(name, Kind::Text { least: 0, most: 0 }, about)
}

/// What is answered to a message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CamelSent")]
struct Sent<'a> {
    #[schemars(with = "MessageFields<'a>")]
    message: MessageObject<'a>,
}

/// A part of a history.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CamelHistory")]
struct Listed<'a> {
    #[schemars(with = "Vec<MessageFields<'a>>")]
    messages: MessageList<'a>,
    has_more: bool,
    next_before: Option<u32>,
}

/// Why a token is not taken.
#[derive(Serialize)]
struct NotValid {
    valid: bool,
    message: &'static str,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivateMessage<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    receiver: Text<'a>,
    #[serde(default)]
    is_file: Flag,
    #[serde(borrow, default)]
    file_name: Text<'a>,
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    client_id: Text<'a>,
}

fn private_message(call: &Call<'_>) -> Result<Command, DecodeError> {
    let form: PrivateMessage<'_> = call.object()?;
    let receiver = form.receiver.required("receiver")?.into_owned();
    let text = form.text.required("text")?;
    let file_name = form.file_name.optional("fileName")?;
    let file_name =
        form.is_file.get("isFile")?.then(|| file_name.map_or_else(|| "file.txt".to_owned(), Into::into));
    let client_id = client_id(form.client_id)?;
    let fingerprint = match form.timestamp {
        // Whoever gives a name means that one.
        Text::Text(timestamp) if client_id.is_none() && is_to_the_millisecond(&timestamp) => {
            Some(fingerprint(&receiver, &timestamp, &text, file_name.as_deref()))
        }
        _ => None,
    };
    Ok(Command::SendMessage(SendMessage {
        to: Destination::Person(UserKey::Username(receiver)),
        content: Content { text: text.into(), file_name, image: None },
        client_id,
        fingerprint,
        context: Default::default(),
    }))
}

/// Whether this is a moment as `Date.toISOString()` writes it. Anything coarser, or made up, could be the same in two
/// messages that are both meant.
fn is_to_the_millisecond(timestamp: &str) -> bool {
    let form = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    timestamp.len() == 24 && timestamp.bytes().zip(*b"0000-00-00T00:00:00.000Z").all(form)
}

/// What a packet that a client sends again is known by: these pages give their messages no id, but what is sent again
/// is the same to the last letter, the time on the client's clock included. SHA-256, so that it is the same on every
/// node and after every restart; each part with its length, so that no two divisions of a text look alike.
fn fingerprint(receiver: &str, timestamp: &str, text: &str, file_name: Option<&str>) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [receiver, timestamp, text, file_name.unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update([u8::from(file_name.is_some())]);
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    Fingerprint(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetMessageHistory<'a> {
    #[serde(borrow, default)]
    other_user: Text<'a>,
    #[serde(default)]
    limit: Count,
    #[serde(default)]
    before: Count,
}

fn message_history(call: &Call<'_>) -> Result<Command, DecodeError> {
    let form: GetMessageHistory<'_> = call.object()?;
    let other = form.other_user.required("otherUser")?.into_owned();
    let limit = form.limit.optional("limit")?.and_then(|limit| limit.try_into().ok());
    let before = form.before.optional("before")?.map(|seq| Seq(u32::try_from(seq).unwrap_or(u32::MAX)));
    Ok(Command::ReadHistory(ReadHistory {
        of: Destination::Person(UserKey::Username(other)),
        window: Window::before(before, limit.unwrap_or(Window::MAX_LIMIT)),
        include_deleted: false,
    }))
}
