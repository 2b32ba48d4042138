//! Commands about what is said.

use super::Destination;
use crate::history::Window;
use crate::id::MessageId;
use crate::model::{ClientId, Content, Fingerprint, MessageView, Seq};

/// Say something.
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// Where.
    pub to: Destination,
    /// What.
    pub content: Content,
    /// The client's own name for this send; a repeated one answers the first message again.
    pub client_id: Option<ClientId>,
    /// What a repeated send is known by when it has no name: the first message is answered again, as long as it is
    /// remembered ([`NewMessage::fingerprint`](crate::store::NewMessage::fingerprint)).
    pub fingerprint: Option<Fingerprint>,
}

/// Delete a message so that it can be restored. Deleting a deleted one succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct DeleteMessage {
    /// Which.
    pub message: MessageId,
}

/// Undo a deletion. Restoring what is not deleted succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct RestoreMessage {
    /// Which.
    pub message: MessageId,
}

/// Read what was said.
#[derive(Debug, Clone)]
pub struct ReadHistory {
    /// Where. With a person nobody has talked to yet the answer is empty.
    pub of: Destination,
    /// Which part.
    pub window: Window,
    /// Whether deleted messages are part of it.
    pub include_deleted: bool,
}

/// Tell the others that one is typing, or has stopped.
#[derive(Debug, Clone)]
pub struct SetTyping {
    /// Where.
    pub to: Destination,
    /// Typing or not.
    pub typing: bool,
}

/// A part of a conversation's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The messages, the oldest first.
    pub messages: Vec<MessageView>,
    /// Whether there are more beyond the window's open end.
    pub has_more: bool,
}

impl History {
    /// Of a window at the end or before a place: before what the next page is; none when there is none.
    pub fn next_before(&self) -> Option<Seq> {
        self.messages.first().filter(|_| self.has_more).map(|view| view.message.seq)
    }
}
