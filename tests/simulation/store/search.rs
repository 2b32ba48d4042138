//! The index of searches, as a server sees it.

use async_trait::async_trait;
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Position, Seq};
use chat_core::search::{Terms, Wanted};
use chat_core::store::{Lookup, Matches, SearchIndex, SearchProgress, StoreError};

use super::{Driver, now, number};

#[async_trait]
impl SearchIndex for Driver {
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError> {
        let of = number(conversation.as_bytes());
        self.read("search_progress", of, self.disk.store.search_progress(conversation)).await
    }

    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError> {
        let of = number(user.as_bytes());
        self.read("search_progress_of", of, self.disk.store.search_progress_of(user)).await
    }

    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError> {
        let of = number(conversation.as_bytes());
        self.carry_out("index", of, move |disk| now(disk.index(conversation, after, terms))).await
    }

    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError> {
        self.read("search", 0, self.disk.store.search(conversations, lookup, before, limit)).await
    }

    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        self.read("count_terms", 0, self.disk.store.count_terms(conversations, terms, at_most)).await
    }
}
