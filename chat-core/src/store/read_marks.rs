//! How far everybody has read, and what is unread.
//!
//! A read mark is one number per member: the seq up to which they have read a conversation. Nothing is written for a
//! message that is unread, so sending costs the same however many are to read it.

use async_trait::async_trait;

use super::StoreError;
use super::write::{MarkRead, WriteStore, make};
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};

/// Unread messages of a conversation are counted up to so many: "1,000 or more".
pub const UNREAD_MOST: u32 = 1_000;

/// Only so many of the last messages of a conversation are looked at when the unread ones are counted. So an answer has
/// its cost bounded also for somebody who says much and never reads: what is passed over is their own or deleted.
pub const UNREAD_LOOKED_AT: u32 = 2_000;

/// So many messages in all are looked at for one list of what is unread; a driver may end the list where they are spent.
/// Without this, a thousand conversations that somebody has never read would keep a database busy for seconds.
pub const UNREAD_LOOKED_AT_IN_ALL: u32 = 50_000;

/// Read marks.
///
/// # Guarantees
/// - A member's mark only moves forward, and never beyond the last message.
/// - Those who are in a conversation from its beginning begin at 0. Whoever joins later begins at the last message there
///   is then, also when they were a member before.
/// - Another role leaves the mark where it is. Whoever is taken out has none.
/// - Appending a message moves no mark, not even its sender's.
#[async_trait]
pub trait ReadMarkStore: WriteStore {
    /// Moves a member's mark to `up_to`, or to the last message when there are fewer or none is named, and logs
    /// [`Change::ReadMarked`](super::Change::ReadMarked). Answers where the mark is now; without a position when it was
    /// there, or farther, before. None when there is no such conversation or they are no member of it.
    async fn mark_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        up_to: Option<Seq>,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, Seq)>, StoreError> {
        make(self, MarkRead { conversation, user, up_to, at }).await
    }

    /// The conversations of a person in which something is unread, the one with the latest message that is not deleted
    /// first, at most `limit`.
    ///
    /// Unread are the messages of others after the mark that are not deleted; a restored one is unread again. (The
    /// distance from the mark to the last message would count one's own and deleted ones.) At most [`UNREAD_MOST`] are
    /// counted, among the last [`UNREAD_LOOKED_AT`] messages of each conversation. Notes to oneself are never unread. A
    /// driver may end the list early when [`UNREAD_LOOKED_AT_IN_ALL`] messages have been looked at, also where nothing was
    /// found in them.
    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError>;
}

/// What is unread in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadCount {
    /// Where.
    pub conversation: ConversationId,
    /// Of the last message.
    pub last_seq: Seq,
    /// How far it is read.
    pub read_seq: Seq,
    /// How many messages are unread, from 1 to [`UNREAD_MOST`]. Records that are not what was written do not count.
    pub unread: u32,
}

/// After which seq messages are counted, given the mark and the last message.
pub(crate) fn counted_after(read: Seq, last: Seq) -> Seq {
    read.max(Seq(last.0.saturating_sub(UNREAD_LOOKED_AT)))
}

/// How many messages may still be looked at for one list.
#[cfg(any(feature = "sqlite", feature = "mongodb"))]
pub(super) struct LookingAt {
    left: u32,
}

#[cfg(any(feature = "sqlite", feature = "mongodb"))]
impl LookingAt {
    pub(super) fn new() -> Self {
        Self { left: UNREAD_LOOKED_AT_IN_ALL }
    }

    /// Whether those of this conversation may be looked at; then they count.
    pub(super) fn may(&mut self, read: Seq, last: Seq) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left = self.left.saturating_sub(last.0.saturating_sub(counted_after(read, last).0));
        true
    }
}
