//! Settings of members for conversations.

use super::Chat;
use crate::command::{ChatSet, ChatSetPage, ListChatSettings, Outcome, SetChatSettings};
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::model::ChatSettings;
use crate::policy;
use crate::store::{self, Change, Table};

/// The number of rows that are read at once.
const AT_ONCE: usize = 200;

impl Chat {
    pub(crate) async fn set_chat_settings(
        &self,
        actor: UserId,
        command: SetChatSettings,
    ) -> Result<Outcome<ChatSet>, Error> {
        let SetChatSettings { of, patch } = command;
        let limit = ChatSettings::MAX_DRAFT_BYTES;
        if patch.draft.as_ref().is_some_and(|draft| draft.len() > limit) {
            return Err(Error::TooLarge { field: "draft", limit, unit: "bytes" });
        }
        let conversation = self.open(actor, &of).await?;
        policy::must_be_member(actor, &conversation)?;
        let (id, at) = (conversation.id, self.clock.now());
        let set = store::SetChatSettings { user: actor, conversation: id, patch, at };
        let (position, settings) = match self.store.set_chat_settings(set).await? {
            Ok(changed) => changed,
            Err(refusal) => {
                // The actor has left the conversation since it was looked up.
                self.directory.refresh_members(id, &[actor]).await;
                return Err(refusal.into());
            }
        };
        let change = Change::ChatSettingsChanged { user: actor, conversation: id };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: ChatSet { conversation: id, settings }, deliveries })
    }

    pub(crate) async fn list_chat_settings(
        &self,
        actor: UserId,
        command: ListChatSettings,
    ) -> Result<Outcome<ChatSetPage>, Error> {
        let ListChatSettings { after, limit } = command;
        let (mut page, mut bytes) = (ChatSetPage::default(), 0);
        let mut after = after.map(|conversation| ChatSettings::key(actor, conversation));
        loop {
            let prefix = actor.as_bytes();
            let rows = self.store.rows(Table::ChatSettings, prefix, after.as_deref(), AT_ONCE).await?;
            for row in &rows {
                let Some((conversation, settings)) = ChatSettings::of_row(row) else { continue };
                bytes += settings.draft.len();
                // Drafts are long, so the bytes are limited too; one conversation always has room.
                let is_full = bytes > self.limits.answer_bytes && !page.chats.is_empty();
                if page.chats.len() == limit || is_full {
                    page.next = page.chats.last().map(|last| last.conversation);
                    return Ok(Outcome::reply_only(page));
                }
                page.chats.push(ChatSet { conversation, settings });
            }
            match rows.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(Outcome::reply_only(page)),
            }
        }
    }

    /// Reads the settings of a user for a conversation from the store.
    pub(crate) async fn chat_settings(
        &self,
        of: UserId,
        conversation: ConversationId,
    ) -> Result<ChatSettings, Error> {
        let key = ChatSettings::key(of, conversation);
        let rows = self.store.rows(Table::ChatSettings, &key, None, 1).await?;
        Ok(rows.first().and_then(|row| ChatSettings::from_value(&row.value)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
