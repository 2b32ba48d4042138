//! What a store must do, written as a contract.
//!
//! A [`Store`] is users, conversations, messages, read marks, the index by which messages are searched, and the log of
//! changes. One method is one atomic effect, named for the domain. Drivers hold no policy, no clock and no compression:
//! bodies reach them as [`Blob`]s and come back bit-identical; who may do what was decided before.
//!
//! # Guarantees every driver gives
//! - **Acknowledged means durable.** When a method that changes something returns `Ok`, the change survives the
//!   death of the process at that moment (and the loss of power, unless the operator chose otherwise).
//! - **One log.** Every change listed in [`Change`] gets a [`Position`]; positions are 1, 2, 3, … in the order
//!   of commit, on all nodes together, and a reader never sees a position before all lesser ones.
//! - **Gap-free conversations.** The messages of a conversation have [`Seq`] 1, 2, 3, … in the order of commit.
//! - **Atomic.** A method that fails has changed nothing.
//! - **In order of asking.** A change is handed over when its future is polled for the first time, without waiting
//!   for anything before; changes are committed in the order in which they were handed over. So somebody who polls
//!   several futures once each, in order, has them committed together and in that order.
//! - Absence is `None`, never an error.
//! - **A damaged record is alone.** Lists leave out what is not what was written, go on behind it, and are as long as without
//!   it; only whoever asks for that very record is told [`StoreError::Corrupt`]. It is named in the log once.
//!
//! # Writing a driver
//! Implement the five traits, then let the clauses judge: `chat_core::store::contract` (feature `contract`)
//! holds one function per guarantee, and the macro [`store_contract!`](crate::store_contract) turns them into
//! tests:
//! ```text
//! chat_core::store_contract!(async { Arc::new(MyStore::open_fresh().await) as Arc<dyn Store> });
//! ```
//! A driver that cannot run in a test must show as ignored with its reason, never as passed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::codec::Blob;
use crate::epoch::Epoch;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, Fingerprint, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Role,
    RoomInfo, Seq, Tombstone, User, UserKey,
};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(all(feature = "sqlite", feature = "mongodb"))]
mod copy;
// Only drivers that keep something outlive what damages it.
#[cfg_attr(not(any(feature = "sqlite", feature = "mongodb")), allow(dead_code))]
pub mod inspect;
pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
pub mod read_marks;
mod search;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(all(feature = "sqlite", feature = "mongodb"))]
pub use copy::{Copied, copy_to_mongodb};
pub use memory::MemoryStore;
#[cfg(feature = "mongodb")]
pub use mongodb::MongoStore;
pub use read_marks::{ReadMarkStore, UNREAD_LOOKED_AT, UNREAD_LOOKED_AT_IN_ALL, UNREAD_MOST, UnreadCount};
pub use search::{Match, SearchIndex, SearchProgress};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// A complete store. How to write one: see the [module](self).
///
/// # Example
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use std::sync::Arc;
///
/// use chat_core::prelude::*;
/// use chat_core::store::SqliteStore;
/// use chat_core::store::sqlite::SqliteOptions;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("chat.db");
/// let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteOptions::default())?);
/// let chat = Chat::new(store);
/// chat.register(Registration::named("ann", PasswordHash::new("$2b$…"))).await?;
/// chat.store().close().await?;
/// drop(chat); // it holds the file
///
/// // Whatever was acknowledged is there when it is opened again.
/// let chat = Chat::new(Arc::new(SqliteStore::open(&path, SqliteOptions::default())?));
/// assert!(chat.find_user(&UserKey::Username("ann".into())).await?.is_some());
/// # chat.store().close().await?;
/// # Ok(()) }
/// # main().unwrap();
/// # }
/// ```
pub trait Store: UserStore + RoomStore + MessageStore + ReadMarkStore + SearchIndex + ChangeLog {}

impl<T: UserStore + RoomStore + MessageStore + ReadMarkStore + SearchIndex + ChangeLog> Store for T {}

/// The store failed. Ours to mend, never the client's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or cannot write at the moment; trying again later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// There is no room for what is to be written: the disk is full, or a quota is used up. Reading may go on. Trying again
    /// helps once somebody has made room.
    #[error("there is no room: {0}")]
    Full(String),
    /// A record is not what was written.
    #[error("corrupt {what} {id}")]
    Corrupt {
        /// What kind of record.
        what: &'static str,
        /// Which one, and why if that is known.
        id: String,
    },
    /// The store will not do this, now or later (wrong version, read-only, misconfigured).
    #[error("refused: {0}")]
    Refused(String),
    /// There is no database where one must be.
    #[error("there is no database: {0}")]
    Missing(String),
}

/// What was found when a store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// There was nothing: it was made.
    pub made_new: bool,
    /// The number of the layout that it had.
    pub layout_before: u32,
    /// The number of the layout that it has now.
    pub layout: u32,
}

/// Accounts and log-in tokens.
///
/// # Guarantees
/// User names and e-mail addresses are unique as [`UserKey::folded`] compares them, and together: where people are named
/// by name, an account without one is known by its address, so nobody's user name is another's address. A
/// [`NewUser::name_key`] is unique among those who have one. All of it is decided in one step with making the account.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Makes an account, unless its id, name, address or key is taken.
    async fn create_user(&self, new: NewUser) -> Result<CreatedUser, StoreError>;

    /// Looks a person up.
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError>;

    /// Looks a person up together with the hash of their password.
    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError>;

    /// Everybody, in the order of accounts made, at most `limit`.
    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError>;

    /// Changes a profile and logs [`Change::ProfileUpdated`]; none when there is no such person.
    async fn update_profile(
        &self,
        user: UserId,
        patch: ProfilePatch,
        at: Timestamp,
    ) -> Result<Option<(Position, Arc<User>)>, StoreError>;

    /// Puts another hash in the place of this one, if it is still there; answers whether it was. Not logged.
    async fn set_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, StoreError>;

    /// Notes when a person was last connected. Not logged; unknown people are passed over.
    async fn record_last_seen(&self, user: UserId, at: Timestamp) -> Result<(), StoreError>;

    /// Notes that the token with this fingerprint is void; the note may be dropped once `until` has passed.
    async fn revoke_token(&self, fingerprint: [u8; 32], until: Timestamp) -> Result<(), StoreError>;

    /// The fingerprints of all tokens that are void and would otherwise be valid after `now`.
    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError>;
}

/// What came of [`UserStore::create_user`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedUser {
    /// The account exists now.
    Created(Arc<User>),
    /// Somebody has this user name, for a name or an address, or one with the same key (or, never in practice, this id).
    UsernameTaken,
    /// Somebody has this e-mail address, for an address or a name, or, without a user name, one with the same key.
    EmailTaken,
}

impl CreatedUser {
    /// What is answered when somebody has the key of a person's name.
    fn key_taken(user: &User) -> Self {
        if user.username.is_some() { Self::UsernameTaken } else { Self::EmailTaken }
    }
}

/// Conversations and who is in them.
#[async_trait]
pub trait RoomStore: Send + Sync {
    /// The direct conversation of a pair; made, with `id`, if there is none. Not logged: it is no news until
    /// somebody speaks in it. Both are members with the role [`Role::Member`].
    async fn open_direct(
        &self,
        pair: Pair,
        id: ConversationId,
        at: Timestamp,
    ) -> Result<Arc<Conversation>, StoreError>;

    /// The direct conversation of a pair, if there is one.
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError>;

    /// Makes a room with these members and logs [`Change::RoomCreated`].
    async fn create_room(&self, room: NewRoom) -> Result<(Position, Arc<Conversation>), StoreError>;

    /// Looks a conversation up.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError>;

    /// Makes somebody a member with a role, or gives a member another one. Logs [`Change::MemberAdded`] or
    /// [`Change::RoleChanged`]; a member who has the role already is left alone, without a position. None when
    /// there is no such conversation.
    async fn set_member(
        &self,
        conversation: ConversationId,
        member: Member,
    ) -> Result<Option<(Option<Position>, Arc<Conversation>)>, StoreError>;

    /// Takes a member out and logs [`Change::MemberRemoved`]; without a position when they were not in. None
    /// when there is no such conversation.
    async fn remove_member(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, Arc<Conversation>)>, StoreError>;

    /// The people with whom somebody has a direct conversation with at least one message that is not deleted,
    /// the latest such message first, at most `limit`. Notes to oneself are left out.
    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError>;
}

/// A room to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its id.
    pub id: ConversationId,
    /// Name and visibility.
    pub info: RoomInfo,
    /// Its members, each once.
    pub members: Vec<Member>,
    /// Who makes it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// How long a fingerprint tells a repeated send from a new one.
pub const FINGERPRINT_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The fingerprints of so many of the newest changes are remembered at least.
pub const FINGERPRINTS_KEPT: usize = 1 << 18;

/// What was said.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Appends a message to its conversation and logs [`Change::MessageSent`]. When the sender has used the
    /// client id before, nothing changes and the first message is returned. The same goes for a fingerprint that the
    /// sender has used in this conversation less than [`FINGERPRINT_WINDOW`] before, by the times of the messages; a
    /// driver may forget it when there were [`FINGERPRINTS_KEPT`] changes since, or when the log was forgotten
    /// ([`ChangeLog::forget_before`]). The conversation exists.
    async fn append(&self, new: NewMessage) -> Result<Appended, StoreError>;

    /// Looks a message up, deleted or not.
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError>;

    /// Deletes a message softly, or restores it, and logs [`Change::MessageDeleted`] or
    /// [`Change::MessageRestored`]; without a position when it is as wanted already. `at` becomes `updated_at`.
    /// None when there is no such message.
    async fn set_deleted(
        &self,
        id: MessageId,
        deleted: Option<Tombstone>,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, StoredMessage)>, StoreError>;

    /// A window on a conversation's messages, the oldest first, and whether there are more beyond its open end
    /// (older ones; newer ones for [`Window::After`]). Deleted messages do not count when they are left out. A driver may
    /// end a window early, with more to come, when its bodies take more than 4 MiB.
    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError>;
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// The client's own name for this send.
    pub client_id: Option<ClientId>,
    /// What a repeated send is known by when it has no name: see [`MessageStore::append`].
    pub fingerprint: Option<Fingerprint>,
    /// When.
    pub at: Timestamp,
}

/// What came of [`MessageStore::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It was stored at this place.
    New {
        /// In the log.
        position: Position,
        /// In the conversation.
        seq: Seq,
    },
    /// The sender had sent it before; this is the first one.
    Repeated(Box<StoredMessage>),
}

/// A message as stores keep it: the text encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// The encoded text.
    pub body: Blob,
    /// The file's name when the text is a file's.
    pub file_name: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while it is deleted.
    pub deleted: Option<Tombstone>,
}

/// The log of all changes.
#[async_trait]
pub trait ChangeLog: Send + Sync {
    /// The position of the last change, 0 when there is none.
    async fn last_position(&self) -> Result<Position, StoreError>;

    /// The position after which the log is complete: 0 until something is forgotten.
    async fn log_begin(&self) -> Result<Position, StoreError>;

    /// The changes after a position in the order of positions, at most `limit`; none when some of them have been
    /// forgotten. Messages, rooms and users come as they are now, not as they were. A driver may end early, though not
    /// before the first change, when the bodies take more than 4 MiB.
    ///
    /// The list ends before a change that cannot be read, because it is damaged or of a kind that only a newer version
    /// knows. Only the very first one is an error, so that whoever passes over it loses nothing else.
    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError>;

    /// The changes after a position of which this person is told, in the order of positions, at most `limit`; none when
    /// some of the log after the position was forgotten. That is what happened to messages and read marks in the
    /// conversations of which they are a member now, to rooms of which they are a member now, that they were taken out
    /// of a room, and of each person's changes of their profile the last one: all of them come as they are now.
    ///
    /// A driver must not pass over the changes that are for others one by one: somebody who was away for long asks for a
    /// few changes out of millions. It may end early as [`Self::changes_after`] does, also before a change that cannot be
    /// read; only when that is the very next one of the log it is an error.
    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError>;

    /// How many changes [`Self::changes_for`] tells of in all after a position, counted up to `limit`; none when some of
    /// the log after the position was forgotten. A driver may count some too many.
    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError>;

    /// Forgets the changes before the first one that was made at `at` or later, but never the last of all, and returns
    /// the new [`Self::log_begin`]. What changed stays as it is; only the log gets shorter.
    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError>;

    /// The epoch of the log: the same for as long as nobody has put a backup in its place.
    async fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Begins another epoch, and returns it: from now on nothing counts that was told of positions before. It is durable. For
    /// those who have put back a backup, before anybody is served.
    async fn renew_epoch(&self) -> Result<Epoch, StoreError>;

    /// Whether several nodes can use it at once. Then they learn of each other by [`Self::meet_nodes`].
    fn is_shared(&self) -> bool {
        false
    }

    /// Notes what a node tells the others of itself, or that it is still there, and answers what all others have noted in the
    /// last [`NODE_LEASE`]. A store that only one node can use has nobody to tell of.
    async fn meet_nodes(&self, note: &NodeNote) -> Result<Vec<NodeNote>, StoreError> {
        let _ = note;
        Ok(Vec::new())
    }

    /// Takes a node's note away.
    async fn leave_nodes(&self, id: &str) -> Result<(), StoreError> {
        let _ = id;
        Ok(())
    }

    /// Makes sure that all that was acknowledged is on disk and closes what needs closing; later calls fail
    /// with [`StoreError::Unavailable`]. Closing twice is fine.
    async fn close(&self) -> Result<(), StoreError>;

    /// Whether reading and writing work at this moment.
    async fn check(&self) -> Result<(), StoreError>;

    /// Where everything is kept, as whoever looks after it knows it: a file, the name of a database. Holds no secret.
    fn place(&self) -> String {
        "memory".into()
    }
}

/// A node that has not noted for so long that it is there is taken for dead.
pub const NODE_LEASE: Duration = Duration::from_secs(20);

/// What a node tells the others of itself, see [`ChangeLog::meet_nodes`]. Nothing in it may be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNote {
    /// A name that no other start has.
    pub id: String,
    /// Whether it has compared itself with the others and stays.
    pub is_settled: bool,
    /// What it tells, by name.
    pub facts: BTreeMap<String, String>,
    /// When it was noted, in milliseconds by the clock of the store. Set by the store.
    pub noted: i64,
}

/// A change and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// Where.
    pub position: Position,
    /// What.
    pub change: Change,
}

/// See [`ChangeLog::changes_for`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalChanges {
    /// The changes, in order.
    pub changes: Vec<LoggedChange>,
    /// Up to here there are no others for this person: where to go on. Never before the position that was asked for.
    pub read_to: Position,
}

/// What changed. Messages are stored ones in the log, and [views](crate::model::MessageView) where they were decoded already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<M = StoredMessage> {
    /// A message was appended.
    MessageSent(M),
    /// A message was deleted.
    MessageDeleted(M),
    /// A message was restored.
    MessageRestored(M),
    /// A room was made.
    RoomCreated {
        /// The room.
        room: ConversationId,
        /// Who made it.
        by: UserId,
    },
    /// Somebody became a member.
    MemberAdded {
        /// Where.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody is no member any more.
    MemberRemoved {
        /// Where.
        room: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody's role changed.
    RoleChanged {
        /// Where.
        room: ConversationId,
        /// Whose.
        user: UserId,
        /// To what.
        role: Role,
    },
    /// Somebody's read mark moved forward.
    ReadMarked {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// To where it moved then; it may be farther by now.
        seq: Seq,
    },
    /// A profile changed.
    ProfileUpdated {
        /// Whose.
        user: UserId,
    },
}
