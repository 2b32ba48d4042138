//! Commands about messages.

use super::Destination;
use crate::aspects::context::Context;
use crate::history::Window;
use crate::id::MessageId;
use crate::model::{ClientId, Content, Fingerprint, MessageView, Seq};

/// Sends a message.
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// The conversation.
    pub to: Destination,
    /// The content.
    pub content: Content,
    /// The client's own id for this send. A repeated send with the same id returns the first message.
    pub client_id: Option<ClientId>,
    /// Identifies a repeated send that has no client id. It returns the first message for as long as the store
    /// remembers the fingerprint ([`NewMessage::fingerprint`](crate::store::NewMessage::fingerprint)).
    pub fingerprint: Option<Fingerprint>,
    /// What it is sent with beside its content.
    pub context: Context,
}

/// Deletes a message so that it can be restored. Deleting a deleted message succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct DeleteMessage {
    /// The message.
    pub message: MessageId,
}

/// Restores a deleted message. Restoring a message that is not deleted succeeds and changes nothing.
#[derive(Debug, Clone)]
pub struct RestoreMessage {
    /// The message.
    pub message: MessageId,
}

/// Reads the history of a conversation.
#[derive(Debug, Clone)]
pub struct ReadHistory {
    /// The conversation. For a direct conversation that does not exist yet the answer is empty.
    pub of: Destination,
    /// The part of the history.
    pub window: Window,
    /// Whether deleted messages are included.
    pub include_deleted: bool,
}

/// Tells the other members that the user is typing or has stopped.
#[derive(Debug, Clone)]
pub struct SetTyping {
    /// The conversation.
    pub to: Destination,
    /// Whether the user is typing.
    pub typing: bool,
}

/// A part of a conversation's history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The messages, oldest first.
    pub messages: Vec<MessageView>,
    /// Whether there are more beyond the open end of the window.
    pub has_more: bool,
}

impl History {
    /// For a window at the end or before a place: the seq before which the next page ends; none if there is no next
    /// page.
    pub fn next_before(&self) -> Option<Seq> {
        self.messages.first().filter(|_| self.has_more).map(|view| view.message.seq)
    }
}
