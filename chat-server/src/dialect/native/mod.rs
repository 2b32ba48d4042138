//! Our own dialect, for people who write their own client, and what all other dialects fall back to.
//!
//! **Commands** are called `noun.verb` (`message.send`, `member.setRole`): families call their events by a word or two with
//! spaces, dashes or colons between them, so a point is what none of theirs has, and any of them can be used in every dialect.
//! Each is an event and a route with the same fields and the same answer, since both are made from one table
//! (`table.rs`; `GET /api/v1/messages` is `message.list`). `sync`, `read`, `unread` and `search` are older than it, and
//! stay beside `log.sync`, `read.mark`, `unread.list` and `message.search`.
//!
//! **Answers.** A command is answered by its callback, and without one by an event of its own name. Over HTTP the body is the
//! same object:
//! ```text
//! {"ok":true,"success":true,…}
//! {"ok":false,"success":false,"error":{"code":"invalid","message":"limit must be a whole number","field":"limit"}}
//! ```
//! `retryAfter` in an error are seconds to wait; over HTTP `message` stands beside `error` too. Several commands in one packet are a
//! `batch` (`batch.rs`). In the dialects of families refusals have no `field`, which their pages do not
//! know.
//!
//! **Events** are called by what has happened, a noun and a participle (`messageSent`), and have the objects of `sync`:
//! ```text
//! ann < messageSent {"message":{"messageId":"…","roomId":"…","senderId":"…","seq":7,"content":"hello","type":"text",…}}
//! ann < messageDeleted, messageRestored {"message":{…}}
//! ann < roomCreated, memberAdded, memberRemoved {"room":{…},"userId":"…"}      roleChanged has "role" too
//! ann < messagesRead {"roomId":"…","userId":"…","seq":7}
//! ann < profileUpdated, userRegistered {"user":{"userId":"…","username":"…","fullName":"…","avatar":"…"}}
//! ann < relationChanged {"user":{…},"blocked":false,"friendship":"received"}
//! ann < chatSettingsChanged {"roomId":"…","mutedUntil":null,"archived":false,"pinned":true,"draft":"dear bob"}
//! ann < sessionEnded {"sessionId":"…"}
//! ann < typingChanged {"roomId":"…","userId":"…","typing":true}
//! ann < presence {"userId":"…","status":"online","lastSeen":1700000000000}
//! ```
//! A connection speaks it if its token says so (`"dialect":"native"`, which that of its own log-in does: `accounts.rs`), or nothing
//! and it is the default, as far as it is named in `CHAT_DIALECTS`. Its routes are served in any case.

mod accounts;
mod annexes;
mod arguments;
pub(crate) mod batch;
mod changed;
mod chats;
pub(crate) mod described;
mod events;
mod fields;
mod messages;
mod moderation;
mod people;
pub(crate) mod read;
mod receipts;
mod relations;
pub(crate) mod renew;
mod reports;
mod rooms;
mod routes;
mod row;
mod search;
mod search_options;
mod sessions;
mod settings;
mod shapes;
mod sync;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod told;

use std::sync::LazyLock;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Native;

/// The events that clients may send, in every dialect.
pub(crate) fn events() -> &'static [&'static str] {
    static EVENTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        table::rows().flat_map(row::Row::events).chain([batch::EVENT, renew::EVENT]).collect()
    });
    &EVENTS
}
