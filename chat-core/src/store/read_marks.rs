//! Read marks and unread messages.
//!
//! A read mark is one number per member: the seq up to which the member has read a conversation. Nothing is written
//! for an unread message, so the cost of sending does not depend on the number of readers.

use async_trait::async_trait;

use super::StoreError;
use super::write::{MarkRead, NoteDelivered, WriteStore, make};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{JoinOrder, Member, Position, Seq};

/// The maximum that is counted as unread in a conversation; a client shows "1,000 or more".
pub const UNREAD_MOST: u32 = 1_000;

/// The number of last messages of a conversation that are examined when unread messages are counted. This limits the
/// cost also for a user who sends many messages and never reads: their own and deleted messages are examined but not
/// counted.
pub const UNREAD_LOOKED_AT: u32 = 2_000;

/// The number of messages that are examined in all for one list of unread conversations; a driver may end the list
/// when it reaches this number. Without it, a thousand conversations that a user has never read would keep a database
/// busy for seconds.
pub const UNREAD_LOOKED_AT_IN_ALL: u32 = 50_000;

/// The store of read marks.
///
/// # Guarantees
/// - A member's mark only moves forward, and never beyond the last message.
/// - The mark of a member who was added when the conversation was created begins at 0. For a user who joins later it
///   begins at the last message of that time, also if the user was a member before.
/// - A change of role does not move the mark. Removing a member removes the mark.
/// - Appending a message moves no mark, not even its sender's.
#[async_trait]
pub trait ReadMarkStore: WriteStore {
    /// Moves a member's mark to `up_to`, or to the last message if `up_to` is beyond it or none, and logs
    /// [`Change::ReadMarked`](super::Change::ReadMarked). Returns the current mark, without a position if the mark
    /// already was there or farther. Returns none if the conversation does not exist or the user is not a member.
    async fn mark_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        up_to: Option<Seq>,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, Seq)>, StoreError> {
        make(self, MarkRead { conversation, user, up_to, at }).await
    }

    /// A page of a conversation's members with their read marks, in the order of joining: the members after the place
    /// `after`, at most `limit`. Empty when the conversation does not exist. A driver must not scan the other members.
    async fn marks(
        &self,
        conversation: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member, Seq)>, StoreError>;

    /// The position of the change that appended a message.
    async fn sent_at(&self, message: MessageId) -> Result<Option<Position>, StoreError>;

    /// Moves the delivered positions of users forward: everything in the log up to there that concerns the user has
    /// arrived on one of the user's devices. A position that is stored already or farther stays. Not logged. The
    /// positions are rows of [`Table::Delivered`](super::Table::Delivered).
    async fn note_delivered(&self, positions: Vec<(UserId, Position)>) -> Result<(), StoreError> {
        make(self, NoteDelivered(positions)).await
    }

    /// The conversations of a user with unread messages, at most `limit`. The conversation with the latest message
    /// that is not deleted comes first.
    ///
    /// Unread are messages of other users after the mark that are not deleted; a restored message is unread again.
    /// (The distance from the mark to the last message would count the user's own messages and deleted ones.) At most
    /// [`UNREAD_MOST`] are counted, among the last [`UNREAD_LOOKED_AT`] messages of each conversation. Notes to
    /// oneself are never unread. A driver may end the list early when it has examined [`UNREAD_LOOKED_AT_IN_ALL`]
    /// messages, even if none of them was unread.
    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError>;
}

/// The unread messages of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadCount {
    /// The conversation.
    pub conversation: ConversationId,
    /// The seq of its last message.
    pub last_seq: Seq,
    /// The user's read mark.
    pub read_seq: Seq,
    /// The number of unread messages, from 1 to [`UNREAD_MOST`]. Damaged records do not count.
    pub unread: u32,
}

/// The seq after which messages are counted, given the mark and the last message.
pub(crate) fn counted_after(read: Seq, last: Seq) -> Seq {
    read.max(Seq(last.0.saturating_sub(UNREAD_LOOKED_AT)))
}

/// The number of unread messages of a conversation that may not be examined: all messages after the mark.
#[cfg(any(feature = "sqlite", feature = "mongodb"))]
pub(super) fn not_examined(read: Seq, last: Seq) -> u32 {
    last.0.saturating_sub(read.0).min(UNREAD_MOST)
}

/// The number of messages that may still be examined for one list.
#[cfg(any(feature = "sqlite", feature = "mongodb"))]
pub(super) struct LookingAt {
    left: u32,
}

#[cfg(any(feature = "sqlite", feature = "mongodb"))]
impl LookingAt {
    pub(super) fn new() -> Self {
        Self { left: UNREAD_LOOKED_AT_IN_ALL }
    }

    /// Whether the messages of this conversation may be examined; if so, they are subtracted.
    pub(super) fn may(&mut self, read: Seq, last: Seq) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left = self.left.saturating_sub(last.0.saturating_sub(counted_after(read, last).0));
        true
    }
}
