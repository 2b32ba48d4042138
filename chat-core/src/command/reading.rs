//! Commands about read marks and unread messages.

use std::sync::Arc;

use super::Destination;
use crate::id::MessageId;
use crate::model::{Conversation, Seq, User};

/// Moves the user's read mark. The mark only moves forward: if it is there already or farther, this succeeds and
/// changes nothing. Only members have a mark. The answer is none when the conversation does not exist yet.
#[derive(Debug, Clone)]
pub struct MarkRead {
    /// The conversation. A direct conversation that does not exist yet has no mark.
    pub of: Destination,
    /// The new mark.
    pub up_to: ReadUpTo,
}

/// The message up to which a conversation is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadUpTo {
    /// The last message of the conversation.
    TheLast,
    /// This place; a place beyond the last message means the last message.
    Seq(Seq),
    /// This message, which must be in the conversation; it may be deleted.
    Message(MessageId),
    /// The last of these messages that is in the conversation; at least one must be.
    Messages(Vec<MessageId>),
}

/// Lists the conversations with unread messages, the one with the latest message first.
#[derive(Debug, Clone)]
pub struct ListUnread {
    /// The maximum number of conversations.
    pub limit: usize,
}

/// How far a user has read a conversation.
#[derive(Debug, Clone)]
pub struct ReadMark {
    /// The conversation.
    pub conversation: Arc<Conversation>,
    /// The last message that the user has read; 0 if there is none.
    pub seq: Seq,
}

/// A conversation with unread messages.
#[derive(Debug, Clone)]
pub struct Unread {
    /// The conversation.
    pub conversation: Arc<Conversation>,
    /// The other user of a direct conversation; none for rooms.
    pub other: Option<Arc<User>>,
    /// The seq of the last message.
    pub last_seq: Seq,
    /// The user's read mark.
    pub read_seq: Seq,
    /// The number of messages of other users after the mark that are not deleted, counted up to
    /// [`UNREAD_MOST`](crate::store::UNREAD_MOST). This is not the difference of the two numbers above: that would
    /// count the user's own messages and deleted ones.
    pub unread: u32,
    /// How many of them mention the user, counted up to [`MAX_COUNTED`](crate::aspects::mentions::MAX_COUNTED).
    pub mentions: u32,
}
