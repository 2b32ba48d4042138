//! Mentions: `@username` of a member in the text of a message.
//!
//! Who is mentioned is decided when the message is sent, and stays so if it is edited. The message has a row of
//! [`Table::Mentioned`], by which it shows the people, and each of them one of [`Table::Mentions`], by which their unread
//! mentions are counted.

use std::collections::HashMap;

use super::context::Notes;
use crate::chat::Chat;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, UserKey};
use crate::store::{EditRows, Row, StoreError, Table, UnreadCount};

/// The maximum number of people that one message mentions.
pub const MAX_MENTIONED: usize = 50;
/// The maximum that is counted as unread mentions in a conversation; a client shows "100 or more".
pub const MAX_COUNTED: usize = 100;
/// The maximum number of names that are looked up for one message. An `@` may stand before anything.
const MAX_LOOKED_UP: usize = 100;
/// The maximum number of characters of a name.
const MAX_NAME: usize = 64;

/// The names that a text may mention, each once, in the order of the text: what follows an `@` that does not follow a letter
/// or digit (as in an e-mail address), up to white space; and the same without punctuation at its end.
fn names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices('@') {
        let is_inside = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let behind = &text[at + 1..];
        let end =
            behind.char_indices().find(|(count, c)| c.is_whitespace() || *c == '@' || *count > 4 * MAX_NAME);
        let name = &behind[..end.map_or(behind.len(), |(end, _)| end)];
        let plain = name.trim_end_matches(|c: char| !c.is_alphanumeric());
        for name in [name, plain] {
            if !is_inside && !name.is_empty() && name.chars().count() <= MAX_NAME && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() >= MAX_LOOKED_UP {
            names.truncate(MAX_LOOKED_UP);
            break;
        }
    }
    names
}

/// The key of the row by which a person's mentions in a conversation are found, about the last one first. Its value is the
/// message.
fn key(user: UserId, conversation: ConversationId, message: MessageId) -> Vec<u8> {
    let place: String = message.as_bytes().iter().map(|byte| format!("{:02x}", !byte)).collect();
    [user.as_bytes(), &conversation.as_bytes()[..], place.as_bytes()].concat()
}

/// The people whom each of these messages mentions.
pub(crate) async fn of_all(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Vec<UserId>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows = chat.store.rows_of(Table::Mentioned, &prefixes, 1).await?;
    let users = |rows: &Vec<Row>| {
        let (users, _) = rows.first().map(|row| row.value.as_chunks()).unwrap_or_default();
        users.iter().copied().map(UserId::from_bytes).collect()
    };
    Ok(rows.iter().map(users).collect())
}

impl Chat {
    /// Adds to a new message whom its text mentions: other members of the conversation, unless one of the two blocks the other.
    pub(crate) async fn note_mentions(
        &self,
        id: MessageId,
        (sender, conversation): (UserId, &Conversation),
        text: &str,
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let mut users = Vec::new();
        for name in names(text) {
            let user = self.directory.find_user(&UserKey::Username(name.to_owned())).await?;
            let Some(user) = user.map(|user| user.id).filter(|user| *user != sender) else { continue };
            if conversation.member(user).is_some() && !users.contains(&user) {
                users.push(user);
            }
        }
        if users.is_empty() {
            return Ok(());
        }
        let cut_off = self.directory.cut_off(sender).await?;
        users.retain(|user| !cut_off.contains(user));
        users.truncate(MAX_MENTIONED);
        if users.is_empty() {
            return Ok(());
        }
        let value = users.iter().flat_map(UserId::as_bytes).copied().collect();
        notes.rows.push((Table::Mentioned, Row { key: id.as_bytes().to_vec(), value }));
        for user in &users {
            let row = Row { key: key(*user, conversation.id, id), value: id.as_bytes().to_vec() };
            notes.rows.push((Table::Mentions, row));
        }
        notes.annexes.mentions = users;
        Ok(())
    }

    /// How many unread messages mention a person, for each of these conversations with any: those that count as unread.
    pub(crate) async fn unread_mentions(
        &self,
        user: UserId,
        counts: &[UnreadCount],
    ) -> Result<HashMap<ConversationId, u32>, Error> {
        let mut mentions = HashMap::new();
        // Most people are mentioned nowhere.
        if counts.is_empty() || self.store.rows(Table::Mentions, user.as_bytes(), None, 1).await?.is_empty() {
            return Ok(mentions);
        }
        let prefix = |count: &UnreadCount| [user.as_bytes(), &count.conversation.as_bytes()[..]].concat();
        let prefixes: Vec<_> = counts.iter().map(prefix).collect();
        let rows = self.store.rows_of(Table::Mentions, &prefixes, MAX_COUNTED).await?;
        let mut read = Vec::new();
        for (count, rows) in counts.iter().zip(rows) {
            let ids: Vec<_> = rows
                .iter()
                .filter_map(|row| row.value[..].try_into().ok())
                .map(MessageId::from_bytes)
                .collect();
            if ids.is_empty() {
                continue;
            }
            let messages = self.store.messages(&ids).await?;
            let hidden = self.hidden_from(user, &messages).await?;
            let mut unread = 0;
            for message in messages {
                if message.seq <= count.read_seq {
                    read.push((key(user, count.conversation, message.id), None));
                } else if message.deleted.is_none() && !hidden.contains(&message.id) {
                    unread += 1;
                }
            }
            mentions.insert(count.conversation, unread);
        }
        self.forget_read_mentions(read).await?;
        Ok(mentions)
    }

    /// Deletes the rows of mentions that were read. A read mark never moves back, so they would not count again.
    async fn forget_read_mentions(&self, edits: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Error> {
        if edits.is_empty() {
            return Ok(());
        }
        match self.store.edit_rows(EditRows { table: Table::Mentions, edits, then: None }).await {
            // They are looked at again the next time. That the store cannot write now need not stop a read.
            Ok(_) | Err(StoreError::Unavailable(_) | StoreError::Full(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
