//! Settings of members for conversations.

use super::super::keyed::Table;
use super::super::tx::{Abort, Reads, Tx};
use super::super::write::{Effect, SetChatSettings};
use crate::change::Change;
use crate::id::{ConversationId, UserId};
use crate::model::ChatSettings;
use crate::policy::Refusal;

impl Effect for SetChatSettings {
    fn reads(&self, reads: &mut Reads) {
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.user));
        reads.rows.insert(settings_key(self.user, self.conversation));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn size(&self) -> usize {
        (1 << 10) + self.patch.draft.as_ref().map_or(0, String::len)
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { user, conversation, patch, at } = self;
        if tx.role(*conversation, *user)?.is_none() {
            return Ok(Err(Refusal::ConversationNotFound));
        }
        let (table, key) = settings_key(*user, *conversation);
        let before = tx.row(table, &key)?.as_deref().and_then(ChatSettings::from_value).unwrap_or_default();
        let now = before.with(patch, *at);
        if now == before {
            return Ok(Ok((None, now)));
        }
        match now == ChatSettings::default() {
            true => tx.delete_row(table, &key)?,
            false => tx.put_row(table, &key, &now.to_value())?,
        }
        let change = Change::ChatSettingsChanged { user: *user, conversation: *conversation };
        let position = tx.log(*at, change)?;
        Ok(Ok((Some(position), now)))
    }
}

/// Removes a member from a room, with the settings. [`settings_key`] must be among what is read.
///
/// # Errors
/// Those of the transaction.
pub(crate) fn delete_member<T: Tx>(tx: &mut T, room: ConversationId, user: UserId) -> Result<(), T::Error> {
    tx.delete_member(room, user)?;
    let (table, key) = settings_key(user, room);
    match tx.row(table, &key)? {
        Some(_) => tx.delete_row(table, &key),
        None => Ok(()),
    }
}

/// The row with the settings of a member for a conversation.
pub(crate) fn settings_key(of: UserId, conversation: ConversationId) -> (Table, Vec<u8>) {
    (Table::ChatSettings, ChatSettings::key(of, conversation))
}
