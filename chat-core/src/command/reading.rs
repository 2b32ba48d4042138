//! Commands about what was read and what was not.

use std::sync::Arc;

use super::Destination;
use crate::id::MessageId;
use crate::model::{Conversation, Seq, User};

/// Note how far one has read. The mark only moves forward: if it is there already or farther, this succeeds and changes
/// nothing. Only members have a mark. Answered with none when nobody has talked there yet.
#[derive(Debug, Clone)]
pub struct MarkRead {
    /// Where. With a person nobody has talked to yet there is nothing to note.
    pub of: Destination,
    /// How far.
    pub up_to: ReadUpTo,
}

/// How far something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadUpTo {
    /// Up to the last message there is.
    TheLast,
    /// Up to this place. Beyond the last message it means that one.
    Seq(Seq),
    /// Up to this message, which must be of that conversation; it may be deleted.
    Message(MessageId),
    /// Up to the last of these that is of that conversation; one must be.
    Messages(Vec<MessageId>),
}

/// The conversations in which something is unread, the one with the latest message first.
#[derive(Debug, Clone)]
pub struct ListUnread {
    /// At most so many.
    pub limit: usize,
}

/// How far somebody has read a conversation.
#[derive(Debug, Clone)]
pub struct ReadMark {
    /// Which.
    pub conversation: Arc<Conversation>,
    /// The last message that they have read; 0 when they have read none.
    pub seq: Seq,
}

/// A conversation in which something is unread.
#[derive(Debug, Clone)]
pub struct Unread {
    /// Which.
    pub conversation: Arc<Conversation>,
    /// In a direct conversation the other one; none in rooms.
    pub other: Option<Arc<User>>,
    /// Of the last message.
    pub last_seq: Seq,
    /// How far it is read.
    pub read_seq: Seq,
    /// How many messages of others after that are not deleted, counted up to
    /// [`UNREAD_MOST`](crate::store::UNREAD_MOST). This is not the distance between the two: that would count one's own
    /// messages and deleted ones.
    pub unread: u32,
}
