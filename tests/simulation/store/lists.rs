//! Chat lists, and how far people have read.

use async_trait::async_trait;
use chat_core::id::{ConversationId, MessageId, UserId};
use chat_core::model::{JoinOrder, Member, Position, Seq};
use chat_core::store::{Activity, ChatListStore, ChatSummary, ReadMarkStore, StoreError, UnreadCount};

use super::{Driver, number};

#[async_trait]
impl ChatListStore for Driver {
    async fn activity(&self, user: UserId) -> Result<Vec<Activity>, StoreError> {
        self.read("activity", number(user.as_bytes()), self.disk.store.activity(user)).await
    }

    async fn summaries(
        &self,
        user: UserId,
        conversations: &[ConversationId],
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let read = self.disk.store.summaries(user, conversations);
        self.read("summaries", number(user.as_bytes()), read).await
    }
}

#[async_trait]
impl ReadMarkStore for Driver {
    async fn marks(
        &self,
        conversation: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member, Seq)>, StoreError> {
        let read = self.disk.store.marks(conversation, after, limit);
        self.read("marks", number(conversation.as_bytes()), read).await
    }

    async fn sent_at(&self, message: MessageId) -> Result<Option<Position>, StoreError> {
        self.read("sent_at", number(message.as_bytes()), self.disk.store.sent_at(message)).await
    }

    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError> {
        self.read("unread", number(user.as_bytes()), self.disk.store.unread(user, limit)).await
    }
}
