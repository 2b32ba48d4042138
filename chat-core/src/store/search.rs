//! The search index.

use async_trait::async_trait;

use super::{StoreError, StoredMessage};
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::search::{Filter, Query, Terms, Wanted};

/// The term of messages whose texts have changed since they were indexed; no text contains it. The index has the terms
/// of all their texts, so the caller must read such a message before it counts as found, and a term that a query
/// excludes does not exclude such a message.
pub const CHANGED: &str = "\u{1}";

/// The terms of messages.
///
/// Appending a message does not add it to the index. Before a search, the caller reads the messages that are not
/// indexed yet, computes their terms and adds them ([`Self::index`]); then it queries the index ([`Self::search`]).
/// So the index adds no cost to appending, and messages that are older than the index can be found too.
///
/// # Guarantees
/// - In every conversation the index contains each of the messages with [`Seq`] 1 to [`SearchProgress::indexed`]
///   once, and no other: storing terms and moving that mark is one atomic effect, however many tasks and nodes do it
///   at once.
/// - Any text that is not empty is a term. Terms are compared byte by byte, whatever the text may mean to the
///   database.
/// - Deleted messages stay in the index and are not found; restored ones are found again. Neither needs a call here.
/// - A message can be found by a term of an earlier text: see [`CHANGED`].
/// - Indexing is not a change, so it does not appear in the log.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// How far the index of a conversation goes; none if the conversation does not exist.
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError>;

    /// The same for every conversation that has a message and of which the user is a member now. Recently active
    /// conversations come first, as far as the driver can find out cheaply; callers must not rely on that order.
    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError>;

    /// Adds the messages after `after` to the index. The first of `terms` belong to the next message, and so on
    /// without a gap. This happens only if the index ends at `after`; otherwise another task has extended it, and
    /// nothing changes. Returns where the index ends now; none if the conversation does not exist.
    /// [`StoreError::Refused`] if there are fewer messages than `terms`.
    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError>;

    /// Finds indexed messages of these conversations (each given once) that match the lookup, are not deleted, and
    /// were sent before a position: the last `limit` of them, newest first. A driver may return fewer, but at least
    /// one, when the bodies take more than 4 MiB, although there are more. It also ends early when it has examined
    /// [`Lookup::max_looked_at`] messages.
    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError>;

    /// Counts the indexed messages of these conversations (each given once) for each term, deleted messages included.
    /// The counts are in the order of the terms. A driver need not count farther than `at_most`, and returns no more
    /// than that.
    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError>;
}

/// What to find. Phrases are not checked by the store: it has no texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Which terms a message must have and must not have. A query for [everything](Query::everything) also finds
    /// messages that are not in the index.
    pub query: Query,
    /// Conditions other than terms.
    pub filter: Filter,
    /// A driver ends early when it has examined about this many messages that match the query, including those that
    /// the filter excludes. It examines at least one message, so that the next page always makes progress.
    pub max_looked_at: usize,
}

impl Lookup {
    /// Finds everything that matches a query.
    pub fn new(query: Query) -> Self {
        Self { query, filter: Filter::default(), max_looked_at: usize::MAX }
    }
}

/// The result of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// The messages, newest first.
    pub found: Vec<Match>,
    /// Whether there are more, or may be.
    pub has_more: bool,
    /// Set if the search ended because [`Lookup::max_looked_at`] was reached: messages before this position were not
    /// examined, all others were. The next page begins before this position; if it is none, before the last message
    /// found.
    pub looked_at_from: Option<Position>,
}

/// How far the index of a conversation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchProgress {
    /// The conversation.
    pub conversation: ConversationId,
    /// The last message in the index, 0 if there is none.
    pub indexed: Seq,
    /// The last message of the conversation, 0 if there is none.
    pub last: Seq,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The log position of its sending, by which matches are ordered.
    pub position: Position,
    /// The message.
    pub message: StoredMessage,
}
