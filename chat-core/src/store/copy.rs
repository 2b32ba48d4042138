//! Everything of one store into another: from SQLite to MongoDB, for those who have outgrown one machine.
//!
//! Nothing changes on the way. Ids, positions, places in conversations, read marks, client ids, deleted messages and the log are those
//! they were, so clients go on where they were as if nothing had happened: sessions resume, sends that are repeated are
//! known, pages of histories stay what they were. Texts stay as they were compressed. Only the
//! index that searches go by is left behind: it is made again when somebody searches.

use super::keyed::{Row, Table};
use super::mongodb::MongoImport;
use super::sqlite::SqliteExport;
use super::{Change, MessageRef, MongoStore, StoreError, StoredMessage};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::model::{ClientId, Conversation, Fingerprint, NewUser, Position, Seq};

/// Something that a store holds, with all that is known of it.
pub(super) enum Record {
    /// An account, and its place in the order of accounts.
    User { account: NewUser, place: i64 },
    /// A revoked token.
    RevokedToken { fingerprint: [u8; 32], until: Timestamp },
    /// A conversation with its members in the order of joining.
    Conversation(CopiedConversation),
    /// A message.
    Message(Box<CopiedMessage>),
    /// A row of a keyed table.
    Row { table: Table, row: Row },
    /// An entry of the log that is not the sending of a message.
    LogEntry { position: Position, at: Timestamp, change: Change<MessageRef> },
}

pub(super) struct CopiedConversation {
    pub(super) conversation: Conversation,
    /// How far each member has read, in the same order.
    pub(super) read: Vec<Seq>,
    /// Who of the two in a direct conversation blocks the other one.
    pub(super) blockers: Vec<UserId>,
    /// Of the last message; 0 when there is none.
    pub(super) last_seq: Seq,
    /// Where the last message that is not deleted stands in the log.
    pub(super) latest: Option<Position>,
}

pub(super) struct CopiedMessage {
    pub(super) message: StoredMessage,
    pub(super) position: Position,
    pub(super) client_id: Option<ClientId>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Where a log is complete, and where it ends.
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
    /// Messages, deleted ones too.
    pub messages: u64,
    /// Rows of keyed tables: what belongs to messages, conversations and people.
    pub rows: u64,
    /// Entries of the log other than the sending of messages.
    pub log_entries: u64,
    /// Void tokens.
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

/// Copies everything into a database that holds nothing of a chat yet, and tells `progress` from time to time how much was
/// copied so far. No server may be using that database meanwhile. If this fails half-way, the database is marked and no
/// store opens it any more: drop its collections whose names begin with `chat_`, and copy again.
///
/// # Errors
/// [`StoreError::Refused`] when the database is not empty; otherwise as its reads and writes fail.
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
