//! Session recovery: how a session resumes after a cut, without lost or duplicated events.
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
//! The client does this by itself (`socket.io-client` from 4.6 on: "connection state recovery"). The server keeps no
//! state for a session that is cut. The [`pid`] is signed and says whose session it is and where it began, the offset
//! says how far the client got, and the changes after it are read from the log. So resuming works even if the server
//! has not noticed the cut, was restarted, or is another node.
//!
//! **The position.** The client remembers the last argument of the last event if it is a string, even if the page has
//! no listener for the event. The position goes in an event of its own ([`crate::dialect::Frame`]), so that page code
//! sees the same arguments as from the old backend. Both leave in one write and count as one packet
//! ([`crate::transport::together`]). Only a cut between the two frames of that write causes a duplicate, and no cut
//! causes a loss. An event that ends in a string would overwrite the remembered position, and so would an event without
//! arguments, because the client then takes its name. So the session's position follows such an event too. Clients of
//! Engine.IO 3 cannot resume and receive no positions.
//!
//! **Explicit ends** are not cuts: see [`ended`]. **Clients without offsets**, where a library has replaced the
//! function that remembers them: see [`receipts`].
//!
//! **No gap, no overlap.** A session has a cursor: the position up to which it has received every change. It begins
//! *held*: announced changes are not sent to it. Once it is in the registry, where announcements find it, it catches up
//! from the log (`catch_up`). It goes live in one atomic step with the check that its cursor has reached the last
//! announced position. The announcer counts a change as announced *before* it looks for sessions, so a change that a
//! held session did not receive is in what that session then finds missing. A live session skips changes that are not
//! after its cursor. Every session begins like this, even a fresh one: its pid names a position, and no change after it
//! may be missing.
//!
//! **Lag.** When the client of a live session reads too slowly, the session becomes held again at the first change for
//! which its queue has no room. It catches up in the same way as soon as there is room. So the queue of a slow client
//! is bounded, and the client loses nothing.
//!
//! [`announce::frames`] decides for both ways what a change means for a user.
//!
//! **What counts towards the limit.** Only the changes that a user may see count towards the recovery limit and are
//! read, so activity of other users does not end anyone's session. Of several changes to one profile only the last is
//! sent, because it shows the result of all of them.

pub(crate) mod catch_up;
mod cursor;
pub(crate) mod delivered;
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
    /// The pid that the client sends when it reconnects.
    pub(crate) pid: String,
    /// The session has received every change up to this position.
    pub(crate) position: Position,
    /// What is stored when it is [ended explicitly](start::end_for_good).
    pub(crate) key: Fingerprint,
    /// What its client has certainly received, for clients that do not send an offset.
    pub(crate) receipt: Receipt,
    /// The log that this position belongs to; see [`Announcer::log_number`](crate::announce::Announcer::log_number).
    pub(crate) log_number: u64,
}
