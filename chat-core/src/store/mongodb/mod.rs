//! The store in MongoDB, for several nodes and for operators who already run MongoDB. It needs a replica set (one
//! server is enough) or a sharded cluster, version 6 or later, and a tokio runtime.
//!
//! # Durability
//! Changes are committed with `w: majority, j: true` and acknowledged after that, so they survive the loss of any
//! minority of the servers. All reads go to the primary with the read concern `majority`, so data that was read once
//! is never rolled back. Changes that arrive while a transaction commits go into the next transaction together.
//!
//! # Failures
//! While the database is not reachable, every call fails with [`StoreError::Unavailable`] within five seconds. Calls
//! work again when the database is back. A change that failed in this way may or may not have been committed: after a
//! broken connection the client of the database cannot know. Messages with a client id can be sent again safely.
//!
//! # Collections
//! The names of the collections begin with `chat_`, so the store can share a database with another backend: it
//! neither reads nor changes the other collections.
//!
//! Ids are ObjectIds. Times are dates (outside the years 1 to 9999, which other tools cannot show, they are numbers
//! of milliseconds). Other numbers are 64-bit integers.
//!
//! | collection | field | |
//! |---|---|---|
//! | `chat_users` | `_id` | |
//! | | `place` | the order of the accounts |
//! | | `username`, `username_folded` | as given, and in lower case; missing when there is none |
//! | | `email`, `email_folded` | the same |
//! | | `name_key` | the key that makes similar names collide; unique; missing when another account already had the key, as in databases from before there were such keys |
//! | | `full_name`, `picture`, `password_hash` | |
//! | | `created_at`, `updated_at`, `last_seen` | |
//! | | `profile_position` | position of the last change of the profile; missing when there was none |
//! | `chat_conversations` | `_id`, `created_at` | |
//! | | `pair` | direct conversations: both user ids, the lower one first, as 24 bytes |
//! | | `name`, `visibility` | rooms; `public` or `private` |
//! | | `last_seq` | seq of the last message; 0 when there is none |
//! | | `member_count` | the number of members; missing in older documents until a member joins or leaves |
//! | | `latest` | position of the last message that is not deleted; missing when there is none |
//! | `chat_members` | `_id` | `conversation` and `user` |
//! | | `role` | `member`, `moderator`, `admin` |
//! | | `joined_at`, `place` | the time and the order of joining |
//! | | `read_seq` | the last message that the member has read; missing for members from before there were read marks: see `read_up_to` |
//! | `chat_messages` | `_id`, `conversation`, `seq`, `sender` | |
//! | | `position` | of its sending in the log: a message is its own entry there |
//! | | `encoding`, `body` | the encoded text |
//! | | `file_name`, `image` | missing when there is none |
//! | | `send_key` | the sender's id and the client id as bytes; missing without a client id |
//! | | `fingerprint` | missing when there is none |
//! | | `created_at`, `updated_at` | the latter is missing until it changes |
//! | | `deleted_at`, `deleted_by` | missing unless it is deleted |
//! | | `facets` | bits that say which keyed tables have rows for the message; missing when none has |
//! | `chat_terms` | `_id`, `conversation`, `position` | those of an indexed message that has terms |
//! | | `terms` | its terms, for [`SearchIndex`](super::SearchIndex) |
//! | `chat_indexed` | `_id` | a conversation with indexed messages |
//! | | `seq` | seq of the last indexed message |
//! | `chat_log` | `_id` | the position of a change that is not the sending of a message |
//! | | `at`, `kind`, `message`, `room`, `user`, `role`, `seq`, `detail` | when, and what happened to what; `room` is any conversation, and missing in older entries about messages |
//! | `chat_rows` | `_id` | a row of a keyed table: the table's name, a slash, and the key in hexadecimal digits |
//! | | `value` | what it holds, as bytes |
//! | `chat_revoked_tokens` | `_id` | the fingerprint |
//! | | `until`, `until_millis` | when the token expires: as a date, by which the server deletes the document, and exactly |
//! | `chat_counters` | `_id` | `log` |
//! | | `position` | the last one |
//! | | `read_up_to` | the position up to which members without a `read_seq` have read everything |
//! | | `begin` | the position after which the log is complete; messages before it are no entries any more |
//! | | `batches` | how many transactions were committed |
//! | | `writers` | for each open store: its `session`, the number of its last `batch`, and `at`, the time of that batch |
//! | | `profiles_noted` | set once `profile_position` has been filled in |
//! | | `version` | of this layout |
//! | | `importing` | set while data is copied from another store; missing otherwise |
//! | `chat_nodes` | `_id` | each node that is running, or was in the last hour: a name that is unique to one start of a node |
//! | | `at`, `settled`, `facts` | when the node last renewed its note, whether it stays, and what it publishes about itself: no secret |
//! | `chat_counters` | `_id` | `names`, only in databases that have accounts: the `place` up to which accounts were given their `name_key` when a store was opened |
//!
//! # Databases from before there were read marks
//! The first node that supports read marks stores the log position at its start (`read_up_to`) and rewrites nothing
//! else. For members without a mark of their own, all messages up to that position count as read. The layout version
//! stays the same, since the meaning of every field stays the same.
//!
//! Stop nodes that do not support read marks before you start a newer node. Such an old node fails on a log entry of
//! an unknown kind, and with it the whole batch that it was reading, so its clients would lose messages. From this
//! version on a node skips an entry of an unknown kind, and only that one, and logs an error. (For a member who was
//! added to a room by an older node, the mark is the position at which the first newer node started, as for all
//! members without a mark.)
//!
//! # Databases from before the position of the last profile change was stored
//! The first node that supports it scans the log once and stores the position for each user (`profile_position`,
//! `profiles_noted`). The layout version stays the same. Stop older nodes first: they do not store the position, so
//! clients that reconnect would not receive those profile changes.
//!
//! # Databases from before members were counted
//! The first membership change in a room counts its members once (`member_count`). The layout version stays the same.
//! Stop older nodes first: they do not update the count when members join or leave.

mod changes;
mod chats;
mod collections;
mod commit;
mod connect;
mod damage;
mod documents;
mod epoch;
mod faults;
mod fields;
#[cfg(feature = "sqlite")]
mod import;
mod inspect;
mod keyed;
mod name_keys;
mod nodes;
mod people;
mod personal;
mod reads;
mod rooms;
mod search;
mod transaction;
mod tx;
mod unread;
mod writer;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::{Client, Database};
use tokio::time::timeout;

use self::commit::Committer;
use self::faults::Fault;
#[cfg(feature = "sqlite")]
pub(super) use self::import::MongoImport;
pub use self::inspect::MongoInspector;
use self::writer::Writer;
use super::keyed::{KeyedStore, Row, Table};
use super::{
    Activity, ChangeLog, ChatListStore, ChatSummary, LoggedChange, MessageStore, NodeNote, Opened,
    PersonalChanges, ReadMarkStore, RoomStore, StoreError, StoredMessage, UnreadCount, UserStore, Write,
    WriteStore, Written,
};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, JoinOrder, Member, Pair, PasswordHash, Position, Seq, User, UserKey};

/// How long a call waits for the database before it fails.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(4_500);

/// A store in a MongoDB database.
pub struct MongoStore {
    client: Client,
    db: Database,
    writer: Writer,
    closed: AtomicBool,
    opened: Opened,
}

impl MongoStore {
    /// Connects to the database that the URI names (`mongodb://` or `mongodb+srv://`; `chat` if its path is empty)
    /// and creates missing collections and indexes. Pool sizes and timeouts come from the URI; if the URI does not
    /// set `serverSelectionTimeoutMS`, it is 3 seconds. Read preference, read concern and write concern are fixed,
    /// because the guarantees depend on them.
    ///
    /// Call this inside a tokio runtime: a task commits the changes as long as the store lives.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the URI is not valid, the log-in fails, the server does not support transactions,
    /// or the database was made by a newer version; [`StoreError::Unavailable`] when the server cannot be reached. No
    /// error contains the URI's password.
    pub async fn open(uri: &str) -> Result<Self, StoreError> {
        Self::connect(uri, true).await
    }

    /// The same for a database that a chat-server has used before. It creates nothing in a database that has no chat
    /// data.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the database has no chat data; otherwise those of [`Self::open`].
    pub async fn open_existing(uri: &str) -> Result<Self, StoreError> {
        Self::connect(uri, false).await
    }

    async fn connect(uri: &str, may_make_new: bool) -> Result<Self, StoreError> {
        let connect::Connected { client, db, session, me, opened } =
            connect::connect(uri, may_make_new).await?;
        let committer = Committer::new(client.clone(), db.clone(), session, me);
        Ok(Self { client, db, writer: Writer::start(committer), closed: AtomicBool::new(false), opened })
    }

    /// What the store found in the database when it was opened.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Runs a read with a timeout.
    async fn read<T>(&self, read: impl Future<Output = Result<T, Fault>>) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(writer::closed());
        }
        timeout(OPERATION_TIMEOUT, read)
            .await
            .unwrap_or(Err(Fault::TimedOut))
            .map_err(Fault::into_store_error)
    }
}

#[async_trait]
impl WriteStore for MongoStore {
    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.writer.write(write).await
    }
}

#[async_trait]
impl UserStore for MongoStore {
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        let found = self.read(reads::user(&self.db, key)).await?;
        Ok(found.map(|(user, _)| user.into()))
    }

    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError> {
        let found = self.read(reads::user(&self.db, key)).await?;
        Ok(found.map(|(user, hash)| (user.into(), hash)))
    }

    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        let users = self.read(reads::users(&self.db, limit)).await?;
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn users_by_id(&self, ids: &[UserId]) -> Result<Vec<Arc<User>>, StoreError> {
        let users = self.read(people::users_by_id(&self.db, ids)).await?;
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn users_named(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError> {
        let users = self.read(people::users_named(&self.db, prefix, after, limit)).await?;
        Ok(users.into_iter().map(Arc::new).collect())
    }

    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError> {
        self.read(reads::revoked_tokens(&self.db, now)).await
    }
}

#[async_trait]
impl RoomStore for MongoStore {
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        self.read(reads::direct(&self.db, pair)).await.map(|found| found.map(Arc::new))
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError> {
        self.read(reads::conversation(&self.db, id)).await.map(|found| found.map(Arc::new))
    }

    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        self.read(reads::members(&self.db, id, after, limit)).await
    }

    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        self.read(reads::members_of(&self.db, id, users)).await
    }

    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read(reads::chat_partners(&self.db, user, limit)).await
    }
}

#[async_trait]
impl MessageStore for MongoStore {
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.read(reads::message(&self.db, id)).await
    }

    async fn messages(&self, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
        self.read(reads::messages(&self.db, ids)).await
    }

    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError> {
        self.read(reads::history(&self.db, conversation, window, include_deleted)).await
    }
}

#[async_trait]
impl ReadMarkStore for MongoStore {
    async fn marks(
        &self,
        conversation: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member, Seq)>, StoreError> {
        self.read(unread::marks(&self.db, conversation, after, limit)).await
    }

    async fn sent_at(&self, message: MessageId) -> Result<Option<Position>, StoreError> {
        self.read(reads::sent_at(&self.db, message)).await
    }

    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError> {
        self.read(unread::unread(&self.db, user, limit)).await
    }
}

#[async_trait]
impl ChatListStore for MongoStore {
    async fn activity(&self, user: UserId) -> Result<Vec<Activity>, StoreError> {
        self.read(chats::activity(&self.db, user)).await
    }

    async fn summaries(
        &self,
        user: UserId,
        conversations: &[ConversationId],
    ) -> Result<Vec<ChatSummary>, StoreError> {
        self.read(chats::summaries(&self.db, user, conversations)).await
    }
}

#[async_trait]
impl KeyedStore for MongoStore {
    async fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(keyed::rows(&self.db, table, prefix, after, limit)).await
    }

    async fn rows_of(
        &self,
        table: Table,
        prefixes: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read(keyed::rows_of(&self.db, table, prefixes, limit)).await
    }

    async fn values(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.read(keyed::values(&self.db, table, keys)).await
    }
}

#[async_trait]
impl ChangeLog for MongoStore {
    async fn last_position(&self) -> Result<Position, StoreError> {
        self.read(reads::last_position(&self.db)).await
    }

    async fn log_begin(&self) -> Result<Position, StoreError> {
        self.read(reads::log_begin(&self.db)).await
    }

    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError> {
        self.read(reads::changes_after(&self.db, position, limit)).await
    }

    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError> {
        self.read(personal::changes_for(&self.db, user, position, limit)).await
    }

    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError> {
        self.read(personal::count(&self.db, user, position, limit)).await
    }

    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError> {
        // In steps, so that each read is short.
        while let Some(begin) = self.read(reads::next_log_begin(&self.db, at)).await? {
            self.writer.write(changes::ForgetLog(begin)).await?;
            // These entries are before `log_begin`, so no reader needs them.
            self.read(reads::delete_log(&self.db, begin)).await?;
        }
        self.log_begin().await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.read(epoch::read(&self.db)).await
    }

    async fn renew_epoch(&self) -> Result<Epoch, StoreError> {
        self.read(epoch::renew(&self.db)).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn meet_nodes(&self, note: &NodeNote) -> Result<Vec<NodeNote>, StoreError> {
        self.read(nodes::meet(&self.db, note)).await
    }

    async fn leave_nodes(&self, id: &str) -> Result<(), StoreError> {
        self.read(nodes::leave(&self.db, id)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Relaxed);
        self.writer.close().await;
        self.client.clone().shutdown().immediate(true).await;
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read(reads::check(&self.db)).await?;
        self.writer.write(changes::Nothing).await
    }

    fn place(&self) -> String {
        format!("MongoDB database {}", self.db.name())
    }
}
