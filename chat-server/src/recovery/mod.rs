//! Nothing missed, nothing twice: how a session goes on after a cut.
//!
//! ```text
//! client ▶ 40{"token":…}                        ◀ 40{"sid":…,"pid":P}
//!        ◀ 42["newMessage",{…}]                 the old backend's event, to the byte,
//!        ◀ 42["\u0001position","17"]            and right behind every logged change its position
//!    ── the connection is cut; 18 and 19 happen ──
//! client ▶ 40{"token":…,"pid":P,"offset":"17"}  ◀ 40{"sid":…,"pid":P}       the same pid: `recovered` is true
//!        ◀ 42["newMessage",{…}]  ◀ 42["\u0001position","18"]  ◀ …  and then live
//! ```
//!
//! The client does this by itself (`socket.io-client` from 4.6 on: "connection state recovery"). Here nothing is
//! remembered of a session: the [`pid`] is signed and says whose it is and where it began, the offset says how far the
//! client got, and what came after is read from the log. So it does not matter whether the server has noticed the cut,
//! was restarted, or is another one.
//!
//! **The position.** The client remembers the last argument of the last event if that is a text, whether anybody listens or
//! not. It goes in an event of its own ([`crate::dialect::Frame`]), so that page code sees the old backend's arguments. Both leave in one
//! write and count as one packet ([`crate::transport::together`]); only a cut that falls between the two frames of that one
//! write has the event told twice, and none has it lost. An event that ends in a text, or has no argument, so that the client
//! takes its name, would overwrite what is remembered: the session's position follows behind it too. Clients of Engine.IO 3
//! cannot go on, and are not told positions.
//!
//! **Chosen ends** are no cuts: see [`ended`]. **Clients without offsets**, where a library has replaced the function that
//! remembers them: see [`receipts`].
//!
//! **Without gap and overlap.** A session has a cursor, the position up to which it has been told everything. It begins
//! behind it, *held*: announced changes pass it by. Once it can be found by announcements it is caught up from the log
//! (`catch_up`), and goes live in one step with finding that the cursor has reached what was announced last. The
//! announcer counts a change as announced *before* it looks for sessions, so whatever a held session was passed by is
//! in what it then finds missing; a live session skips what is not behind its cursor. Every session begins like this,
//! also a fresh one: its pid names a position, and nothing may be missing after it.
//!
//! **Lag.** When a live session's client takes too little, its session is held again at the first change that finds no
//! room, and caught up in the same way as soon as there is. So what waits for a slow client is bounded, and nothing is
//! lost for it.
//!
//! What a change means for somebody is decided in one place ([`announce::frames`]) for both ways.
//!
//! **Whose changes count.** What others do among themselves pushes nobody's session out: only what the person is told counts
//! towards the limit, and is read. Of the changes of one profile only the last is told, as it shows what all of them led to.

pub(crate) mod catch_up;
mod cursor;
mod ended;
mod pid;
pub(crate) mod receipts;
mod replay_cache;
pub(crate) mod start;

use chat_core::model::Position;

pub(crate) use self::cursor::{Cursor, Missing};
pub(crate) use self::ended::EndedSessions;
pub(crate) use self::pid::Pids;
pub(crate) use self::receipts::{Receipt, Receipts};
pub(crate) use self::replay_cache::ReplayCache;
use crate::auth::token::Fingerprint;

/// Where a session begins.
pub(crate) struct Start {
    /// What the client is told to come back with.
    pub(crate) pid: String,
    /// It has been told everything up to here.
    pub(crate) position: Position,
    /// What is remembered when it is [ended on purpose](start::end_for_good).
    pub(crate) key: Fingerprint,
    /// What its client has certainly been told, for one that does not say it.
    pub(crate) receipt: Receipt,
    /// Which log all this is of; see [`Announcer::log_number`](crate::announce::Announcer::log_number).
    pub(crate) log_number: u64,
}
