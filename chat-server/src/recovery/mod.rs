//! Nothing missed, nothing twice: how a session goes on after a cut.
//!
//! ```text
//! client ▶ 40{"token":…}                        ◀ 40{"sid":…,"pid":P}
//!        ◀ 42["newMessage",{…},"17"]            every logged change ends with its position
//!    ── the connection is cut; 18 and 19 happen ──
//! client ▶ 40{"token":…,"pid":P,"offset":"17"}  ◀ 40{"sid":…,"pid":P}       the same pid: `recovered` is true
//!        ◀ 42["newMessage",{…},"18"]  ◀ 42[…,"19"]  and then live
//! ```
//!
//! The client does this by itself (`socket.io-client` from 4.6 on: "connection state recovery"). Here nothing is
//! remembered of a session: the [`pid`] is signed and says whose it is and where it began, the offset says how far the
//! client got, and what came after is read from the log. So it does not matter whether the server has noticed the cut,
//! was restarted, or is another one.
//!
//! **Without gap and overlap.** A session has a cursor, the position up to which it has been told everything. It begins
//! behind it, *held*: announced changes pass it by. Once it can be found by announcements it is caught up from the log
//! (`catch_up`), and goes live in one step with finding that the cursor has reached what was announced last. The
//! announcer counts a change as announced *before* it looks for sessions, so whatever a held session was passed by is
//! in what it then finds missing; a live session skips what is not behind its cursor. Every session begins like this,
//! also a fresh one: its pid names a position, and nothing may be missing after it.
//!
//! What a change means for somebody is decided in one place ([`announce::frames`]) for both ways.

mod cursor;
mod pid;

use std::sync::Arc;
use std::time::Duration;

use chat_core::error::{Error, ErrorKind};
use chat_core::model::Position;
use serde_json::Value as Json;

pub(crate) use self::cursor::{Cursor, Missing};
pub(crate) use self::pid::Pids;
use crate::announce;
use crate::app::App;
use crate::auth::Authenticated;
use crate::dialect::{Dialect, Frames};
use crate::session::Session;

/// Where a session begins.
pub(crate) struct Start {
    /// What the client is told to come back with.
    pub(crate) pid: String,
    /// It has been told everything up to here.
    pub(crate) position: Position,
}

/// Most changes read from the log at once.
const AT_ONCE: usize = 32;

/// How many sessions may read the log at the same time.
pub(crate) const READERS: usize = 4;

/// The pause after a failure, doubled each time, and between two reads for a client that polls.
const PAUSE: Duration = Duration::from_millis(50);

/// Most bytes that wait for a client before more is read for it.
const ENOUGH: usize = 256 << 10;

/// How long is waited before it is looked again whether a client has taken what waits for it. Replays are rare and
/// short, so they need no waking of their own.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How often reading the log is tried before the connection is cut, which makes its client try again later.
const ATTEMPTS: u32 = 5;

/// Decides whether a session goes on or begins afresh.
///
/// A pid that is forged, somebody else's or too old, a position that does not exist yet, and more changes than are
/// replayed all lead to a fresh session, whose page loads what it shows as at the first time.
pub(crate) async fn start(
    app: &App,
    auth: Option<&Json>,
    caller: &Authenticated,
    dialect: &'static Dialect,
) -> Start {
    let now = app.chat.now();
    let announced = app.announcer.position();
    let text = |name| auth.and_then(|auth| auth.get(name)).and_then(Json::as_str);
    let known = text("pid").and_then(|pid| Some((pid, app.pids.read(pid, caller.user.id, dialect, now)?)));
    if let Some((pid, began_at)) = known {
        // A client that was cut before its first event has no offset, and one whose page has begun afresh still has
        // that of its session before.
        let position = match auth.and_then(|auth| auth.get("offset")) {
            None | Some(Json::Null) => Some(began_at),
            Some(offset) => {
                offset.as_str().and_then(|offset| offset.parse().ok()).map(|at| began_at.max(Position(at)))
            }
        };
        if let Some(position) = position
            && (position <= announced || exists(app, position).await)
        {
            let missed = announced.0.saturating_sub(position.0);
            if missed <= app.config.recovery_limit {
                tracing::debug!(user.id = %caller.user.id, missed, "a session goes on");
                return Start { pid: pid.to_owned(), position };
            }
            tracing::debug!(user.id = %caller.user.id, missed, "a session was away for too long to go on");
        }
    }
    Start { pid: app.pids.issue(caller.user.id, dialect, announced, now), position: announced }
}

/// Whether there is a change at `position`, of which this node may not have heard yet.
async fn exists(app: &App, position: Position) -> bool {
    app.chat.store().last_position().await.is_ok_and(|last| position <= last)
}

/// Tells a session what it has missed, and lets it go live. It must be in the registry already.
pub(crate) fn begin(app: &Arc<App>, session: &Arc<Session>) {
    if session.go_live(&app.announcer).is_ok() {
        return;
    }
    let (app, session) = (app.clone(), session.clone());
    tokio::spawn(async move { catch_up(&app, &session).await });
}

async fn catch_up(app: &App, session: &Arc<Session>) {
    let mut failures = 0;
    // How many more changes are read one at a time, so that it is known which one cannot be read.
    let mut singly = 0;
    while let Err(missing) = session.go_live(&app.announcer) {
        if session.is_over() {
            return;
        }
        let limit = if singly > 0 { 1 } else { AT_ONCE };
        let (read_to, mine) = match read(app, session, missing.after, limit).await {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                failures += 1;
                tracing::warn!(%error, failures, "the log could not be read for a client that has come back");
                if failures >= ATTEMPTS {
                    return session.cut("what it missed cannot be read");
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
                continue;
            }
            Err(error) if limit == 1 => {
                tracing::error!(position = missing.after.0 + 1, %error, "a change cannot be read");
                // It will never be readable; those behind it must not wait for ever.
                session.pass(Position(missing.after.0 + 1));
                singly -= 1;
                continue;
            }
            Err(_) => {
                singly = AT_ONCE;
                continue;
            }
        };
        (failures, singly) = (0, singly.saturating_sub(1));
        for (position, frames) in mine {
            while !session.replay(position, &frames) {
                if session.is_over() {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        // Nothing to read although something was announced: it was passed over when it was announced, as unreadable.
        session.pass(read_to.unwrap_or(missing.up_to));
        if !session.has_wire() {
            // A full queue would leave no room for answers, heartbeats and the change to WebSocket.
            tokio::time::sleep(PAUSE).await;
        }
        while session.unsent() > ENOUGH && !session.is_over() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        tokio::task::yield_now().await;
    }
}

/// What a session is told of the changes after `position`, and how far they were read.
async fn read(app: &App, session: &Session, position: Position, limit: usize) -> Result<Read, Error> {
    // When everybody comes back at once, this keeps the others served, and bounds what is in memory: what is for somebody
    // else is dropped before the next one reads. Fails only if somebody closes it, which nobody does.
    let _turn = app.catching_up.acquire().await;
    let changes = app.chat.changes_after(position, limit).await?;
    let read_to = changes.last().and_then(|last| last.position);
    let mine = changes.iter().filter(|delivery| delivery.audience.includes(session.user));
    let mine =
        mine.map(|delivery| (delivery.position, announce::frames(session.dialect, delivery))).collect();
    Ok((read_to, mine))
}

type Read = (Option<Position>, Vec<(Option<Position>, Frames)>);
