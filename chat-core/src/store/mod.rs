//! What a store must do, written as a contract.
//!
//! A [`Store`] is users, conversations, messages, read marks, [keyed tables](keyed), the index by which messages are searched,
//! and the log of changes. One method is one atomic effect, named for the domain. All writes go one way: a [`Write`] is handed to
//! [`WriteStore::write`], and what it does and whether it may be done is decided inside the transaction, once for all
//! drivers, over the rows that a driver gives ([`tx::Tx`]). Drivers hold no policy, no clock and no compression: bodies reach
//! them as [`Blob`](crate::codec::Blob)s and come back bit-identical.
//!
//! # Guarantees every driver gives
//! - **Acknowledged means durable.** When a method that changes something returns `Ok`, the change survives the
//!   death of the process at that moment (and the loss of power, unless the operator chose otherwise).
//! - **One log.** Every change listed in [`Change`] gets a [`Position`](crate::model::Position); positions are 1, 2, 3, … in the order
//!   of commit, on all nodes together, and a reader never sees a position before all lesser ones.
//! - **Gap-free conversations.** The messages of a conversation have [`Seq`](crate::model::Seq) 1, 2, 3, … in the order of commit.
//! - **Atomic.** A method that fails has changed nothing.
//! - **In order of asking.** A change is handed over when its future is polled for the first time, without waiting
//!   for anything before; changes are committed in the order in which they were handed over. So somebody who polls
//!   several futures once each, in order, has them committed together and in that order.
//! - Absence is `None`, never an error.
//! - **A damaged record is alone.** Lists leave out what is not what was written, go on behind it, and are as long as without
//!   it; only whoever asks for that very record is told [`StoreError::Corrupt`]. It is named in the log once.
//!
//! # Writing a driver
//! Implement [`tx::Tx`], [`WriteStore::write`], which gives each write to [`Write::apply`] inside a transaction, and the reads
//! of the other traits; the methods that write are made of these. Then let the clauses judge: `chat_core::store::contract`
//! (feature `contract`) holds one function per guarantee, and the macro [`store_contract!`](crate::store_contract) turns
//! them into tests:
//! ```text
//! chat_core::store_contract!(async { Arc::new(MyStore::open_fresh().await) as Arc<dyn Store> });
//! ```
//! A driver that cannot run in a test must show as ignored with its reason, never as passed.

mod apply;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(all(feature = "sqlite", feature = "mongodb"))]
mod copy;
// Only drivers that keep something outlive what damages it.
#[cfg_attr(not(any(feature = "sqlite", feature = "mongodb")), allow(dead_code))]
pub mod inspect;
pub mod keyed;
mod log;
pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
mod query;
pub mod read_marks;
mod search;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod tx;
pub mod write;

#[cfg(all(feature = "sqlite", feature = "mongodb"))]
pub use copy::{Copied, copy_to_mongodb};
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
pub use search::{Lookup, Match, Matches, SearchIndex, SearchProgress};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use write::{
    AddMember, EditRows, EditedRows, Relate, Related, RemoveMember, RoomChange, SetDeleted, SetRole, Write,
    WriteStore, Written,
};

pub use crate::change::Change;

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
pub trait Store:
    UserStore + RoomStore + MessageStore + ReadMarkStore + KeyedStore + SearchIndex + ChangeLog
{
}

impl<T> Store for T where
    T: UserStore + RoomStore + MessageStore + ReadMarkStore + KeyedStore + SearchIndex + ChangeLog
{
}

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
