//! The domain of a chat product, as a library: users, direct conversations, rooms with roles, messages with
//! history, soft delete and restore, read marks, presence, and compressed storage. It knows no JSON, no sockets, no HTTP and
//! starts no runtime; it reaches the world only through four small traits: [`store::Store`], [`clock::Clock`],
//! [`id::IdSource`] and [`codec::Codec`].
//!
//! ```text
//!            Command                                          Change
//! edge ──▶ Chat::execute ──▶ policy ──▶ codec ──▶ Store ──▶ (committed, has a position)
//! edge ◀── Outcome { reply, deliveries: [Delivery { position, audience, event }] } ◀──┘
//! ```
//!
//! # In reading order
//! [`model`] (the nouns), [`command`] (what can be asked), [`event`] (what others are told), [`policy`] (who may
//! do what), [`chat`] (one command from beginning to end), [`store`] (what a store must guarantee, and the
//! drivers), [`invalidation`] (what a change makes out of date), [`codec`] (how bodies are compressed), [`search`] (what
//! can be looked for in them), [`presence`] (who is connected), then the small ones: [`history`], [`id`], [`clock`],
//! [`error`], [`throttle`].
//!
//! **Invariant:** nothing is announced before it is stored. [`chat::Chat::execute`] returns what others are to be told; it
//! cannot tell them itself.
//!
//! **Invariant:** every change has a position in one log, and every message a gap-free place in its conversation.
//! What was missed can always be read again from the log, as the same events ([`chat::Chat::changes_after`]).
//!
//! **Invariant:** nothing here assumes that a conversation has two members. Direct conversations are those whose
//! identity is a pair.
//!
//! **Invariant:** time, ids and chance are parameters. With [`clock::ManualClock`] and [`id::CountingIds`] every output
//! is exact.
//!
//! # Example
//! ```
//! use chat_core::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat::in_memory();
//! let ann = chat.register(Registration::named("ann", PasswordHash::new("…")))
//!     .await?;
//! let bob = chat.register(Registration::named("bob", PasswordHash::new("…"))).await?;
//!
//! let outcome = chat
//!     .execute(
//!         &Actor { user: ann.user.id },
//!         SendMessage {
//!             to: Destination::Person(UserKey::Username("bob".into())),
//!             content: Content::text("hello"),
//!             client_id: None,
//!             fingerprint: None,
//!             context: Default::default(),
//!         },
//!     )
//!     .await?;
//! // The reply is the command's own: of a message that is sent it is the message.
//! assert_eq!(&*outcome.reply.message.content.text, "hello");
//! // One event, for both of them, at a position that either can resume from.
//! assert_eq!(outcome.deliveries.len(), 1);
//! assert!(outcome.deliveries[0].audience.includes(bob.user.id));
//! # Ok(()) }
//! ```

pub mod aspects;
pub mod change;
pub mod chat;
pub mod clock;
pub mod codec;
pub mod command;
mod damage;
mod delivery;
mod directory;
mod email;
pub mod epoch;
pub mod error;
pub mod event;
mod hashing;
pub mod history;
pub mod id;
pub mod invalidation;
mod members;
pub mod model;
mod names;
pub mod policy;
pub mod presence;
pub mod reactions;
pub mod reports;
pub mod rooms;
pub mod search;
pub mod store;
#[cfg(test)]
mod testing;
pub mod throttle;

/// What most users of the library need.
pub mod prelude {
    pub use crate::chat::{Chat, Registration};
    pub use crate::clock::{Clock, Timestamp};
    pub use crate::command::{
        Actor, Command, DeleteMessage, Destination, History, Outcome, ReadHistory, ReadUpTo, Reply, Request,
        RestoreMessage, SendMessage,
    };
    pub use crate::error::{Error, ErrorKind};
    pub use crate::event::{Audience, Delivery, Event};
    pub use crate::history::Window;
    pub use crate::id::{ConversationId, MessageId, UserId};
    pub use crate::model::{
        ClientId, Content, Conversation, Message, MessageView, PasswordHash, Position, Seq, User, UserKey,
    };
    pub use crate::search::{Found, Search};
    pub use crate::store::Store;
}
