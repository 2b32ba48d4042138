//! The index that searches go by.

use async_trait::async_trait;

use super::{StoreError, StoredMessage};
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::search::{Filter, Query, Terms, Wanted};

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

    /// The indexed messages of these conversations (each given once) that are looked for, are not deleted, and were sent
    /// before a position: the last `limit` of them, the newest first. A driver may end early, with more to come, though
    /// not before the first, when the bodies take more than 4 MiB; and it ends early when it has looked at as many as
    /// [`Lookup::max_looked_at`] says.
    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError>;

    /// How many indexed messages of these conversations (each given once) have each of these, deleted ones included, in
    /// their order. A driver need not count farther than `at_most`, and answers no more than that.
    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError>;
}

/// What is looked for. Phrases are not the store's affair: it has no texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Which terms a message must have and must not have. In a query for
    /// [everything](Query::everything) those count that are not in the index, too.
    pub query: Query,
    /// What else must be so.
    pub filter: Filter,
    /// When about so many messages were looked at that meet the query, those that the filter leaves out included, a
    /// driver ends early. In every conversation it looks at one at least, so that one can always go on.
    pub max_looked_at: usize,
}

impl Lookup {
    /// All that meets a query.
    pub fn new(query: Query) -> Self {
        Self { query, filter: Filter::default(), max_looked_at: usize::MAX }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// The messages, the newest first.
    pub found: Vec<Match>,
    /// Whether there are more, or may be.
    pub has_more: bool,
    /// Set when as many as [`Lookup::max_looked_at`] were looked at: what is before this position was not looked at, and
    /// what is not was. One goes on before it. Otherwise before the last one that was found.
    pub looked_at_from: Option<Position>,
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
