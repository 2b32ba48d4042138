//! The index that searches go by.

use async_trait::async_trait;

use super::{StoreError, StoredMessage};
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::search::{Query, Terms};

/// Which messages have which terms.
///
/// A message is not in the index because it was appended: whoever wants to search reads what is not indexed yet, says
/// what terms it has ([`Self::index`]) and then asks ([`Self::search`]). So appending costs nothing for it, and messages
/// that are older than the index are as good as any.
///
/// # Guarantees
/// - In every conversation the messages with [`Seq`] 1 to [`SearchProgress::indexed`] are in the index, once each, and no
///   other: storing terms and moving that mark is one effect, however many tasks and nodes do it at once.
/// - Any text that is not empty is a term, compared byte by byte, whatever it may mean to the database.
/// - Deleted messages stay in the index and are not found; restored ones are found again. Neither needs a call here.
/// - Nothing here is a change: the log takes no notice.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// How far the index of a conversation goes; none when there is no such conversation.
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError>;

    /// The same of every conversation with a message of which this person is a member now. Those in which something was
    /// said lately come first, as far as the driver can tell cheaply; callers must not rely on that.
    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError>;

    /// Puts the messages after `after` into the index: the first of `terms` are those of the next message, and so on
    /// without a gap. Only if the index ends at `after`; otherwise (somebody else has gone on with it) nothing changes.
    /// Returns where the index ends now; none when there is no such conversation. [`StoreError::Refused`] when there are
    /// fewer messages than `terms`.
    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError>;

    /// The indexed messages of these conversations (each given once) that have all that the query asks for, are not
    /// deleted, and were sent before a position: the last `limit` of them, the newest first, and whether there are more.
    /// A driver may end early, with more to come, though not before the first, when the bodies take more than 4 MiB.
    async fn search(
        &self,
        conversations: &[ConversationId],
        query: &Query,
        before: Option<Position>,
        limit: usize,
    ) -> Result<(Vec<Match>, bool), StoreError>;
}

/// How far the index of a conversation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchProgress {
    /// Which.
    pub conversation: ConversationId,
    /// The last message that is in the index, 0 when there is none.
    pub indexed: Seq,
    /// The last message that there is, 0 when there is none.
    pub last: Seq,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Where the log says that it was sent, by which matches are ordered.
    pub position: Position,
    /// The message.
    pub message: StoredMessage,
}
