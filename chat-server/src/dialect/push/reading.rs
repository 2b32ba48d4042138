//! Read receipts, with the event names and fields of the family's forks.
//!
//! ```text
//! bob > PUT /api/messages/read/ANN, markMessagesAsSeen {"senderId":"ANN"}, messageSeen {"messageId":"ID"}, …
//! ann < messagesSeen, messagesRead {"roomId":"…","chatId":"BOB","userId":"BOB","readerId":"BOB","by":"BOB","byUserId":"BOB",
//!                                   "receiverId":"BOB","seq":7,"messageIds":["ID",…]}
//! ann < messageStatusUpdated {"messageId":"ID","status":"read"}
//! bob < messagesRead {"roomId":"…","userId":"BOB","seq":7}
//! ```
//! Every field that names a person names the reader. A client compares it with the person whose chat is open or, for
//! `receiverId`, with the person to whom its messages were sent. There is no field that would match another chat, such
//! as the sender of the messages. `chatId` is the reader in a direct conversation, because for clients of this family a
//! chat is the other person; in a room it is the room. `messageIds` are the newest messages that the reader has now
//! seen, including those seen before. The reader's own connections receive only the new read position, for clients that
//! ask for it (see [`crate::dialect::native::read`]): what they show as seen by others has not changed.
//!
//! A change has one position, which comes with its last event. If the connection is lost before that event, all events
//! of the change are sent again. That does no harm, because each event states the current state.

use chat_core::command::{Command, Destination, MarkRead, ReadUpTo};
use chat_core::id::MessageId;
use chat_core::model::{Conversation, ConversationKind, Seq, User, UserKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::typing::id_of;
use crate::dialect::native::read;
use crate::dialect::payload::{Text, Texts};
use crate::dialect::{Call, DecodeError, EventPosition, Frames, To};

/// The most ids of one request that are used; of more only the newest.
const MAX_IDS: usize = 100;

/// A read receipt: all messages of a person or chat, or messages by their ids.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form<'a> {
    #[serde(borrow, default)]
    sender_id: Text<'a>,
    #[serde(borrow, default)]
    partner_id: Text<'a>,
    #[serde(borrow, default)]
    conversation_partner_id: Text<'a>,
    #[serde(borrow, default)]
    chat_id: Text<'a>,
    #[serde(borrow, default)]
    message_id: Text<'a>,
    #[serde(borrow, default)]
    message_ids: Texts<'a>,
}

/// Decodes an event, if it is a read receipt.
pub(super) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    match &*call.event {
        "markMessagesAsSeen"
        | "markMessagesAsRead"
        | "markSeen"
        | "markAsSeen"
        | "markAsRead"
        | "mark-seen"
        | "mark-messages-as-read"
        | "mark-messages-as-seen"
        | "messageSeen"
        | "messagesSeen"
        | "message_seen"
        | "messageRead"
        | "message_read"
        | "messages_read"
        | "messages:read"
        | "messages:seen" => {}
        _ => return Err(DecodeError::UnknownEvent),
    }
    // Some forks send only the id of a person.
    match call.text() {
        Some(id) => Ok(all_of(Destination::Chat(id_of("senderId", "a user's id", &id)?)).into()),
        None => Ok(command(call.object()?)?.into()),
    }
}

/// The command for a form.
pub(super) fn command(form: Form<'_>) -> Result<MarkRead, DecodeError> {
    let wrong = |field, expected| DecodeError::WrongType { field, expected };
    let mut ids = Vec::new();
    for id in form.message_ids.optional("messageIds")?.unwrap_or_default() {
        ids.push(id.parse().map_err(|_| wrong("messageIds", "a list of messages' ids"))?);
    }
    if let Some(id) = form.message_id.optional("messageId")?.filter(|id| !id.is_empty()) {
        ids.push(id.parse().map_err(|_| wrong("messageId", "a message's id"))?);
    }
    if let Some(command) = these(ids) {
        return Ok(command);
    }
    for (field, id) in [
        ("senderId", form.sender_id),
        ("partnerId", form.partner_id),
        ("conversationPartnerId", form.conversation_partner_id),
    ] {
        if let Some(id) = id.optional(field)?.filter(|id| !id.is_empty()) {
            let id = id.parse().map_err(|_| wrong(field, "a user's id"))?;
            return Ok(all_of(Destination::Person(UserKey::Id(id))));
        }
    }
    match form.chat_id.optional("chatId")?.filter(|id| !id.is_empty()) {
        Some(id) => Ok(all_of(Destination::Chat(id_of("chatId", "a chat's id", &id)?))),
        None => Err(DecodeError::Missing("senderId, messageId or messageIds")),
    }
}

/// Marks a whole conversation as read.
pub(super) fn all_of(of: Destination) -> MarkRead {
    MarkRead { of, up_to: ReadUpTo::TheLast }
}

/// Marks these messages and all earlier ones as read. `None` when the list is empty.
pub(super) fn these(mut ids: Vec<MessageId>) -> Option<MarkRead> {
    // An id begins with its creation time, so this sorts by time.
    ids.sort_unstable();
    ids.dedup();
    let ids = ids.split_off(ids.len().saturating_sub(MAX_IDS));
    let of = Destination::OfMessage(*ids.last()?);
    Some(MarkRead { of, up_to: ReadUpTo::Messages(ids) })
}

/// Who has seen what.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushSeen")]
pub(super) struct Seen<'a> {
    room_id: &'a str,
    chat_id: &'a str,
    user_id: &'a str,
    reader_id: &'a str,
    by: &'a str,
    by_user_id: &'a str,
    receiver_id: &'a str,
    seq: u32,
    message_ids: &'a [String],
}

/// What has become of a message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushStatusUpdated")]
pub(super) struct StatusUpdated<'a> {
    message_id: &'a str,
    #[schemars(extend("enum" = ["read"]))]
    status: &'static str,
}

/// What all members receive when a read mark moves.
pub(super) fn told(
    conversation: &Conversation,
    user: &User,
    seq: Seq,
    messages: &[MessageId],
    mark: EventPosition,
) -> Frames {
    let (reader, room) = (user.id.hex(), conversation.id.hex());
    let (reader, room) = (reader.as_str(), room.as_str());
    let message_ids: Vec<_> = messages.iter().map(MessageId::to_string).collect();
    let chat_id = match conversation.kind {
        ConversationKind::Direct { .. } => reader,
        ConversationKind::Room(_) => room,
    };
    let seen = Seen {
        room_id: room,
        chat_id,
        user_id: reader,
        reader_id: reader,
        by: reader,
        by_user_id: reader,
        receiver_id: reader,
        seq: seq.0,
        message_ids: &message_ids,
    };
    let others = To::Except(user.id);
    let mut frames = Frames::new();
    frames.push((others, EventPosition(None).frame("messagesSeen", &seen)));
    if let Some(newest) = message_ids.first() {
        let status = StatusUpdated { message_id: newest, status: "read" };
        frames.push((others, EventPosition(None).frame("messageStatusUpdated", &status)));
    }
    frames.push((others, mark.frame("messagesRead", &seen)));
    frames.extend(
        read::told(conversation, user, seq, mark).into_iter().map(|(_, frame)| (To::Only(user.id), frame)),
    );
    frames
}

#[cfg(test)]
mod tests;
