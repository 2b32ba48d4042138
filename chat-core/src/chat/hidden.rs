//! Messages that a person has hidden for themselves. They are left out of that person's histories, searches and unread
//! counts, and the person is told of no change of them, live or later. Everybody else sees them as before.
//!
//! A message knows by a facet whether some person has hidden it. So a message that nobody has hidden costs nothing here.

use std::collections::{HashMap, HashSet};

use super::Chat;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::Seq;
use crate::store::read_marks::counted_after;
use crate::store::{Row, StoreError, StoredMessage, Table, UNREAD_LOOKED_AT, UNREAD_MOST, UnreadCount};

/// The number of rows that are read at once.
const AT_ONCE: usize = 256;
/// The number of messages before a hidden one that are read at once, and how often.
const NEAREST: usize = 20;
const PAGES: usize = 5;

/// The key of the row that says that a person has hidden a message.
pub(crate) fn key(message: MessageId, user: UserId) -> Vec<u8> {
    [message.as_bytes(), &user.as_bytes()[..]].concat()
}

/// The key of the row by which a person's hidden messages of a conversation are found, the last one first. Its value is the
/// message.
pub(crate) fn own_key(user: UserId, conversation: ConversationId, seq: Seq) -> Vec<u8> {
    let place = format!("{:08x}", u32::MAX - seq.0);
    [user.as_bytes(), &conversation.as_bytes()[..], place.as_bytes()].concat()
}

/// The place of the message in such a key.
fn seq_in(key: &[u8]) -> Option<Seq> {
    let digits = std::str::from_utf8(key.get(24..)?).ok()?;
    Some(Seq(u32::MAX - u32::from_str_radix(digits, 16).ok()?))
}

/// Whether some person has hidden a message.
pub(crate) fn may_be_hidden(message: &StoredMessage) -> bool {
    message.facets.contains(Table::Hidden)
}

impl Chat {
    /// Those of these messages that a person has hidden.
    pub(crate) async fn hidden_from(
        &self,
        user: UserId,
        messages: &[StoredMessage],
    ) -> Result<HashSet<MessageId>, StoreError> {
        let ids: Vec<_> =
            messages.iter().filter(|message| may_be_hidden(message)).map(|message| message.id).collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let keys: Vec<_> = ids.iter().map(|id| key(*id, user)).collect();
        let rows = self.store.rows_of(Table::Hidden, &keys, 1).await?;
        Ok(ids.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()).map(|(id, _)| id).collect())
    }

    /// The people who have hidden a message.
    pub(crate) async fn hiders(&self, message: MessageId) -> Result<HashSet<UserId>, StoreError> {
        let (mut hiders, mut after) = (HashSet::new(), None::<Vec<u8>>);
        loop {
            let rows = self.store.rows(Table::Hidden, message.as_bytes(), after.as_deref(), AT_ONCE).await?;
            let is_last = rows.len() < AT_ONCE;
            let user = |row: &Row| row.key.get(12..)?.try_into().ok().map(UserId::from_bytes);
            hiders.extend(rows.iter().filter_map(user));
            after = rows.into_iter().last().map(|row| row.key);
            if is_last {
                return Ok(hiders);
            }
        }
    }

    /// The last message before a place that a person is shown; none when the nearest ones are all hidden.
    pub(super) async fn last_shown(
        &self,
        user: UserId,
        conversation: ConversationId,
        before: Seq,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let mut window = Window::Before { seq: before, limit: NEAREST };
        for _ in 0..PAGES {
            let (messages, has_more) = self.store.history(conversation, window, false).await?;
            let hidden = self.hidden_from(user, &messages).await?;
            let first = messages.first().map(|message| message.seq);
            let shown = messages.into_iter().rev().find(|message| !hidden.contains(&message.id));
            let Some(first) = first.filter(|_| has_more && shown.is_none()) else { return Ok(shown) };
            window = Window::Before { seq: first, limit: NEAREST };
        }
        Ok(None)
    }

    /// How many of the messages that the store counts as unread a person has hidden, for each of these conversations with any.
    pub(super) async fn hidden_unread(
        &self,
        user: UserId,
        counts: &[UnreadCount],
    ) -> Result<HashMap<ConversationId, u32>, StoreError> {
        // Most people have hidden nothing.
        if counts.is_empty() || self.store.rows(Table::HiddenBy, user.as_bytes(), None, 1).await?.is_empty() {
            return Ok(HashMap::new());
        }
        // A count that means "or more" stays.
        let counts: Vec<_> = counts.iter().filter(|count| count.unread < UNREAD_MOST).collect();
        let prefix = |count: &&UnreadCount| [user.as_bytes(), &count.conversation.as_bytes()[..]].concat();
        let prefixes: Vec<_> = counts.iter().map(prefix).collect();
        let rows = self.store.rows_of(Table::HiddenBy, &prefixes, UNREAD_LOOKED_AT as usize).await?;
        let mut hidden = HashMap::new();
        for (count, rows) in counts.into_iter().zip(rows) {
            let after = counted_after(count.read_seq, count.last_seq);
            let is_counted =
                |row: &&Row| seq_in(&row.key).is_some_and(|seq| seq > after && seq <= count.last_seq);
            let ids = rows.iter().take_while(is_counted).filter_map(|row| row.value[..].try_into().ok());
            let ids: Vec<_> = ids.map(MessageId::from_bytes).collect();
            for ids in ids.chunks(AT_ONCE) {
                let messages = self.store.messages(ids).await?;
                // The store counts neither deleted messages nor the person's own.
                let counted =
                    messages.iter().filter(|message| message.deleted.is_none() && message.sender != user);
                *hidden.entry(count.conversation).or_default() += counted.count() as u32;
            }
        }
        Ok(hidden)
    }
}

#[cfg(test)]
mod tests;
