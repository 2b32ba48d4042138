//! The chat list: the conversations of a user, with what a client shows of each.
//!
//! It is read in two steps, each of which costs one look at the store, however many conversations the user has: first
//! the order ([`ChatListStore::activity`]), then the conversations of one page ([`ChatListStore::summaries`]).

use async_trait::async_trait;

use super::write::WriteStore;
use super::{StoreError, StoredMessage};
use crate::id::{ConversationId, UserId};
use crate::model::{ConversationKind, Member, Position, Seq};

/// The number of members that a summary shows.
pub const MEMBERS_SHOWN: usize = 5;

/// Reads for the chat list. Damaged records are left out.
#[async_trait]
pub trait ChatListStore: WriteStore {
    /// All conversations of a user, in no particular order.
    async fn activity(&self, user: UserId) -> Result<Vec<Activity>, StoreError>;

    /// Summaries of these conversations for a user, in the same order. Conversations of which the user is not a member
    /// are left out. A driver may end the list early, but not before the first summary, when the bodies of the last
    /// messages exceed 4 MiB.
    async fn summaries(
        &self,
        user: UserId,
        conversations: &[ConversationId],
    ) -> Result<Vec<ChatSummary>, StoreError>;
}

/// When something was last said in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activity {
    /// The position of the last message that is not deleted; 0 when there is none.
    pub latest: Position,
    /// The conversation.
    pub conversation: ConversationId,
    /// Whether it is a direct conversation.
    pub is_direct: bool,
}

/// What a chat list shows of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSummary {
    /// The conversation.
    pub conversation: ConversationId,
    /// Direct or room.
    pub kind: ConversationKind,
    /// The number of members.
    pub member_count: usize,
    /// The first members in the order of joining, at most [`MEMBERS_SHOWN`].
    pub first_members: Vec<Member>,
    /// The last message that is not deleted. `None` when there is none or when it is damaged.
    pub last: Option<StoredMessage>,
    /// The seq of the last message, deleted or not; 0 when there is none.
    pub last_seq: Seq,
    /// The user's read mark.
    pub read_seq: Seq,
    /// The number of unread messages, as [`ReadMarkStore::unread`](super::ReadMarkStore::unread) counts them. Where
    /// [`UNREAD_LOOKED_AT_IN_ALL`](super::UNREAD_LOOKED_AT_IN_ALL) messages have been examined for one list, the number
    /// of all messages after the mark, at most [`UNREAD_MOST`](super::UNREAD_MOST).
    pub unread: u32,
}
