//! Conversations and their members, for readers.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::long_reads::LongReads;
use super::{SqliteStore, members, rows};
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, JoinOrder, Member, Pair};
use crate::store::{RoomStore, StoreError};

#[async_trait]
impl RoomStore for SqliteStore {
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        self.read(|db| rows::direct(db, pair)).map(|found| found.map(Arc::new))
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError> {
        self.read(|db| rows::conversation(db, id)).map(|found| found.map(Arc::new))
    }

    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        let read = move |db: &Connection| {
            let key = rows::conversation_key(db, id)?;
            key.map_or(Ok(Vec::new()), |key| members::after(db, key, after, limit))
        };
        if limit > LongReads::FROM {
            return self.read_long(read).await;
        }
        self.read(read)
    }

    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        self.read(|db| {
            let Some(key) = rows::conversation_key(db, id)? else { return Ok(Vec::new()) };
            let mut found = Vec::with_capacity(users.len());
            for user in users {
                found.extend(members::one(db, key, *user)?);
            }
            Ok(found)
        })
    }

    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read_long(move |db| rows::chat_partners(db, user, limit)).await
    }
}
