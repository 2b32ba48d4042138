//! Copies a whole store into another one: from SQLite to MongoDB, for operators who need more than one machine.
//!
//! The copy is exact: ids, positions, places in conversations, read marks, client ids, deleted messages and the log
//! stay the same. So clients continue as if nothing had happened: sessions resume, repeated sends are detected, and
//! pages of histories stay the same. Texts keep their compressed form. Only the search index is not copied; it is built
//! again on the first search.

use super::keyed::{Row, Table};
use super::mongodb::MongoImport;
use super::sqlite::SqliteExport;
use super::{Change, MessageRef, MongoStore, StoreError, StoredMessage};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::model::{ClientId, Conversation, Fingerprint, NewUser, Position, Seq};

/// A record of a store, with all its data.
pub(super) enum Record {
    /// An account, and its place in the order of creation.
    User { account: NewUser, place: i64 },
    /// A revoked token.
    RevokedToken { fingerprint: [u8; 32], until: Timestamp },
    /// A conversation with its members in the order of joining.
    Conversation(CopiedConversation),
    /// A message.
    Message(Box<CopiedMessage>),
    /// A row of a keyed table.
    Row { table: Table, row: Row },
    /// A log entry that is not a sent message.
    LogEntry { position: Position, at: Timestamp, change: Change<MessageRef> },
}

pub(super) struct CopiedConversation {
    pub(super) conversation: Conversation,
    /// The read mark of each member, in the same order.
    pub(super) read: Vec<Seq>,
    /// Who of the two people in a direct conversation blocks the other one.
    pub(super) blockers: Vec<UserId>,
    /// The seq of the last message; 0 when there is none.
    pub(super) last_seq: Seq,
    /// The log position of the last message that is not deleted.
    pub(super) latest: Option<Position>,
}

pub(super) struct CopiedMessage {
    pub(super) message: StoredMessage,
    pub(super) position: Position,
    pub(super) client_id: Option<ClientId>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// The positions between which a log is complete.
#[derive(Clone, Copy)]
pub(super) struct LogEnds {
    pub(super) begin: Position,
    pub(super) last: Position,
}

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Accounts.
    pub users: u64,
    /// Conversations, direct ones and rooms.
    pub conversations: u64,
    /// Messages, including deleted ones.
    pub messages: u64,
    /// Rows of keyed tables: data that belongs to messages, conversations and people.
    pub rows: u64,
    /// Log entries that are not sent messages.
    pub log_entries: u64,
    /// Revoked tokens.
    pub revoked_tokens: u64,
}

impl Copied {
    fn count(&mut self, records: &[Record]) {
        for record in records {
            *match record {
                Record::User { .. } => &mut self.users,
                Record::RevokedToken { .. } => &mut self.revoked_tokens,
                Record::Conversation(_) => &mut self.conversations,
                Record::Message(_) => &mut self.messages,
                Record::Row { .. } => &mut self.rows,
                Record::LogEntry { .. } => &mut self.log_entries,
            } += 1;
        }
    }
}

/// Copies everything into an empty database and regularly reports to `progress` how much was copied so far. No server
/// may use that database meanwhile. If the copy fails half-way, the database stays marked and no store opens it: drop
/// its collections whose names begin with `chat_`, and copy again.
///
/// # Errors
/// [`StoreError::Refused`] when the database is not empty; otherwise any read or write error.
pub async fn copy_to_mongodb(
    mut from: SqliteExport,
    to: &MongoStore,
    mut progress: impl FnMut(&Copied),
) -> Result<Copied, StoreError> {
    let import = MongoImport::begin(to).await?;
    let mut copied = Copied::default();
    while let Some(records) = from.next()? {
        import.insert(&records).await?;
        copied.count(&records);
        progress(&copied);
    }
    import.finish(from.log_ends()?, from.epoch()?).await?;
    Ok(copied)
}
