//! The contract of a store.
//!
//! A [`Store`] holds users, conversations, messages, read marks, [keyed tables](keyed), the search index for messages,
//! and the log of changes. Each method has one atomic effect, in terms of the domain. All writes take one path: the
//! caller passes a [`Write`] to [`WriteStore::write`]. What the write does, and whether it is allowed, is decided
//! inside the transaction by code that all drivers share, over the rows that the driver provides ([`tx::Tx`]). Drivers
//! contain no policy, no clock and no compression: message bodies reach them as [`Blob`](crate::codec::Blob)s and must
//! come back bit-identical.
//!
//! # Guarantees every driver gives
//! - **Acknowledged means durable.** When a method that changes something returns `Ok`, the change survives the death
//!   of the process at that moment (and a power failure, unless the operator chose otherwise).
//! - **One log.** Every change listed in [`Change`] gets a [`Position`](crate::model::Position). Positions are 1, 2, 3,
//!   … in the order of commit, across all nodes. A reader never sees a position before all lower ones.
//! - **Gap-free conversations.** The messages of a conversation have [`Seq`](crate::model::Seq) 1, 2, 3, … in the order of commit.
//! - **Atomic.** A method that fails has changed nothing.
//! - **In order of asking.** A change is submitted by the first poll of its future, without waiting for anything
//!   before. Changes are committed in the order in which they were submitted. So a caller that polls several futures
//!   once each, in order, gets them committed together and in that order.
//! - Absence is `None`, never an error.
//! - **A damaged record is isolated.** Lists leave a damaged record out, continue after it, and are as long as without
//!   it. Only a request for that very record returns [`StoreError::Corrupt`]. Each damaged record is reported in the
//!   server log once.
//!
//! # Writing a driver
//! Implement [`tx::Tx`], then [`WriteStore::write`], which passes each write to [`Write::apply`] inside a transaction,
//! and the reads of the other traits. The write methods have default implementations on top of these. Then run the
//! contract tests: `chat_core::store::contract` (feature `contract`) has one function per guarantee, and the macro
//! [`store_contract!`](crate::store_contract) turns them into tests:
//! ```text
//! chat_core::store_contract!(async { Arc::new(MyStore::open_fresh().await) as Arc<dyn Store> });
//! ```
//! A driver that cannot run in a test environment must be reported as ignored with the reason, never as passed.

mod apply;
mod chats;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(all(feature = "sqlite", feature = "mongodb"))]
mod copy;
// Only persistent drivers can have damaged records.
#[cfg_attr(not(any(feature = "sqlite", feature = "mongodb")), allow(dead_code))]
pub mod inspect;
pub mod keyed;
mod log;
pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
mod query;
pub mod read_marks;
pub mod reindexing;
mod search;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod tx;
pub mod write;

pub(crate) use apply::{delete_member, settings_key};
pub use chats::{Activity, ChatListStore, ChatSummary, MEMBERS_SHOWN};
#[cfg(all(feature = "sqlite", feature = "mongodb"))]
pub use copy::{Copied, copy_to_mongodb};
pub(crate) use keyed::delivered_in;
pub use keyed::{Facets, KeyedStore, Row, Table};
pub use log::{ChangeLog, LoggedChange, NODE_LEASE, NodeNote, PersonalChanges};
pub use memory::MemoryStore;
#[cfg(feature = "mongodb")]
pub use mongodb::MongoStore;
pub use query::{
    Appended, CreatedUser, FINGERPRINT_WINDOW, FINGERPRINTS_KEPT, MessageRef, MessageStore, NewMessage,
    NewRoom, RoomStore, StoredMessage, UserStore,
};
pub use read_marks::{ReadMarkStore, UNREAD_LOOKED_AT, UNREAD_LOOKED_AT_IN_ALL, UNREAD_MOST, UnreadCount};
pub use search::{CHANGED, Lookup, Match, Matches, SearchIndex, SearchProgress};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use write::{
    AddMember, EditRows, EditedRows, EndSessions, EndedSession, RefreshSession, Refreshed, Relate, Related,
    RemoveMember, RoomChange, SetChatSettings, SetDeleted, SetRole, StartSession, WhichSessions, Write,
    WriteStore, Written,
};

pub use crate::change::Change;

/// A complete store. For how to write one, see the [module](self).
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
/// // All acknowledged changes are there when the file is opened again.
/// let chat = Chat::new(Arc::new(SqliteStore::open(&path, SqliteOptions::default())?));
/// assert!(chat.find_user(&UserKey::Username("ann".into())).await?.is_some());
/// # chat.store().close().await?;
/// # Ok(()) }
/// # main().unwrap();
/// # }
/// ```
pub trait Store:
    UserStore + RoomStore + MessageStore + ReadMarkStore + ChatListStore + KeyedStore + SearchIndex + ChangeLog
{
}

impl<T> Store for T where
    T: UserStore
        + RoomStore
        + MessageStore
        + ReadMarkStore
        + ChatListStore
        + KeyedStore
        + SearchIndex
        + ChangeLog
{
}

/// A failure of the store. It is the server's fault, never the client's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or cannot write at the moment. A later retry may succeed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// There is no room for the write: the disk is full or a quota is used up. Reads may still work. A retry succeeds
    /// once an operator has made room.
    #[error("there is no room: {0}")]
    Full(String),
    /// A stored record is damaged.
    #[error("corrupt {what} {id}")]
    Corrupt {
        /// The kind of record.
        what: &'static str,
        /// Its id, and the reason if known.
        id: String,
    },
    /// The store refuses this permanently (wrong version, read-only, misconfigured).
    #[error("refused: {0}")]
    Refused(String),
    /// A required database does not exist.
    #[error("there is no database: {0}")]
    Missing(String),
}

/// What a store found when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The database did not exist and was created.
    pub made_new: bool,
    /// The layout version before the upgrade.
    pub layout_before: u32,
    /// The layout version now.
    pub layout: u32,
}
