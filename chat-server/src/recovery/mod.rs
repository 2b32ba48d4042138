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

mod cursor;
mod ended;
mod pid;
mod receipts;
mod replay_cache;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::error::ErrorKind;
use chat_core::id::UserId;
use chat_core::model::Position;
use chat_core::store::StoreError;

pub(crate) use self::cursor::{Cursor, Missing};
pub(crate) use self::ended::{EndedSessions, end_for_good};
use self::pid::Began;
pub(crate) use self::pid::Pids;
pub(crate) use self::receipts::{Reached, Receipt, Receipts};
use self::replay_cache::Read;
pub(crate) use self::replay_cache::ReplayCache;
use crate::app::App;
use crate::auth::Authenticated;
use crate::auth::token::Fingerprint;
use crate::dialect::Registered;
use crate::limits::MAX_DELAY;
use crate::session::Session;
use crate::transport::{ConnectPayload, Field};

/// Where a session begins.
pub(crate) struct Start {
    /// What the client is told to come back with.
    pub(crate) pid: String,
    /// It has been told everything up to here.
    pub(crate) position: Position,
    /// What is remembered when it is [ended on purpose](end_for_good).
    pub(crate) key: Fingerprint,
    /// What its client has certainly been told, for one that does not say it.
    pub(crate) receipt: Receipt,
    /// Which log all this is of; see [`Announcer::log_number`](crate::announce::Announcer::log_number).
    pub(crate) log_number: u64,
}

/// The pause after a failure, doubled each time, and between two reads for a client that polls.
const PAUSE: Duration = Duration::from_millis(50);

/// Most bytes that wait for a client before more is read for it.
const MAX_UNSENT_TO_CATCH_UP: usize = 256 << 10;

/// How often the log is shortened.
const SHORTEN_EVERY: Duration = Duration::from_secs(60 * 60);

/// So many changes are read one at a time after a failure, so that it is known which one cannot be read.
const SINGLY: usize = 32;

/// How often reading the log is tried before the connection is cut, which makes its client try again later.
const ATTEMPTS: u32 = 5;

/// Decides whether a session goes on or begins afresh.
///
/// A pid that is forged, somebody else's, too old, of another [epoch](chat_core::epoch), or of a session that was ended on purpose, a position that does not exist yet, and more changes than are
/// replayed all lead to a fresh session, whose page loads what it shows as at the first time.
///
/// # Errors
/// When the store cannot tell at the moment how far the log goes.
pub(crate) async fn start(
    app: &App,
    payload: &ConnectPayload,
    caller: &Authenticated,
    dialect: &Registered,
) -> Result<Start, StoreError> {
    let now = app.chat.now();
    let person = app.budgets.of(caller.user.id, now);
    let wait = person.connects(now);
    if !wait.is_zero() {
        tracing::debug!(user.id = %caller.user.id, "a connection is held up: there were too many");
        tokio::time::sleep(wait).await;
    }
    // First: whatever is found out now is good for this log or an earlier one.
    let log_number = app.announcer.log_number();
    let announced = app.announcer.position();
    let pid = payload.pid.text();
    let known = pid.and_then(|pid| Some((pid, app.pids.read(pid, caller.user.id, &**dialect, now)?)));
    // Whoever has chosen to leave has no session to go on with.
    let known = known.filter(|(pid, _)| !app.auth.is_revoked(&pid::key(pid)));
    let offset = match &payload.offset {
        Field::Text(offset) => offset.parse().ok().map(Position),
        Field::Missing | Field::Other => None,
    };
    if let Some((pid, Began { position: began_at, stale })) = known {
        // A client that was cut before its first event has no offset, and one whose page has begun afresh still has
        // that of its session before.
        let mut confirmed = None;
        let position = match &payload.offset {
            Field::Missing => match reached(app, caller.user.id, &pid::key(pid)) {
                Reached::Unknown => Some(began_at),
                Reached::Exactly(position) => {
                    confirmed = Some(position);
                    Some(began_at.max(position))
                }
                Reached::Between => None,
            },
            Field::Text(_) => match offset {
                Some(at) if at == stale && stale > Position(0) => {
                    // It was told nothing since, unless the log has come so far again and it was told just that.
                    let is_ambiguous = at <= announced || exists(app, at).await?;
                    (!is_ambiguous).then_some(began_at)
                }
                at => at.map(|at| began_at.max(at)),
            },
            Field::Other => None,
        };
        if let Some(position) = position
            && (position <= announced || exists(app, position).await?)
        {
            let is_kept = position.0 >= app.log_begin.load(Ordering::Relaxed);
            if is_kept && has_missed_little(app, caller.user.id, position, announced).await? {
                tracing::debug!(user.id = %caller.user.id, "a session goes on");
                let receipt = Receipt::of(confirmed);
                return Ok(Start { key: pid::key(pid), pid: pid.to_owned(), position, receipt, log_number });
            }
            tracing::debug!(user.id = %caller.user.id, "a session was away for too long to go on");
        }
    }
    // A position that is not there yet is of a future that was lost. The client keeps it until it is told another one.
    let stale = offset.filter(|at| *at > announced).unwrap_or_default();
    let pid = app.pids.issue(caller.user.id, &**dialect, Began { position: announced, stale }, now);
    Ok(Start { key: pid::key(&pid), pid, position: announced, receipt: Receipt::default(), log_number })
}

/// How far the client of a session was told, as far as this node knows.
fn reached(app: &App, user: UserId, key: &Fingerprint) -> Reached {
    let mut reached = app.receipts.reached(key);
    // The end of its last connection may not have been noticed.
    app.sessions.for_user(user, &mut |session| {
        if session.key == *key {
            reached = session.receipt.reached();
        }
    });
    reached
}

/// Keeps the log as short as is configured, for as long as the server runs.
pub(crate) async fn shorten_log(app: Weak<App>) {
    loop {
        {
            let Some(app) = app.upgrade() else { return };
            let Some(kept) = app.config.log_kept else { return };
            let since = app.chat.now().before(kept);
            match app.chat.store().forget_before(since).await {
                Ok(begin) => app.log_begin.store(begin.0, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the log could not be shortened"),
            }
        }
        tokio::time::sleep(SHORTEN_EVERY).await;
    }
}

/// Whether a person has missed no more after `position` than is replayed.
async fn has_missed_little(
    app: &App,
    user: UserId,
    position: Position,
    announced: Position,
) -> Result<bool, StoreError> {
    let limit = app.config.recovery_limit;
    // Nobody is told of more than has happened.
    if announced.0.saturating_sub(position.0) <= limit {
        return Ok(true);
    }
    let missed = app.chat.store().count_changes_for(user, position, limit.saturating_add(1)).await?;
    Ok(missed.is_some_and(|missed| missed <= limit))
}

/// Whether there is a change at `position`, of which this node may not have heard yet.
async fn exists(app: &App, position: Position) -> Result<bool, StoreError> {
    Ok(position <= app.chat.store().last_position().await?)
}

/// Tells a session what it has missed, and lets it go live. It must be in the registry already.
pub(crate) fn begin(app: &Arc<App>, session: &Arc<Session>) {
    if session.log_number != app.announcer.log_number() {
        // It has begun at a position of a log that is no more, and could not be found when all such sessions were cut.
        return session.cut("the log is another one");
    }
    if session.go_live(&app.announcer).is_ok() {
        return;
    }
    let (app, session) = (app.clone(), session.clone());
    tokio::spawn(async move { catch_up(&app, &session).await });
}

/// Tells a session what it could not be told when it was announced, since its client takes too little, as soon as there
/// is room; then lets it go live again.
pub(crate) fn resume(app: &Arc<App>, session: &Arc<Session>) {
    tracing::debug!(user.id = %session.user, session = session.id.0, "a connection lags");
    let (app, session) = (app.clone(), session.clone());
    tokio::spawn(async move {
        session.room(MAX_UNSENT_TO_CATCH_UP).await;
        catch_up(&app, &session).await;
    });
}

async fn catch_up(app: &App, session: &Arc<Session>) {
    let mut failures = 0;
    let mut singly = 0;
    while let Err(missing) = session.go_live(&app.announcer) {
        if session.is_over() {
            return;
        }
        let answering = session.room_to_answer(app).await;
        // Whoever has read too much lately is not refused here, but has to be patient.
        let wait = session.person().wait_to_read(app.chat.now()).min(MAX_DELAY);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let read = match singly {
            0 if ReplayCache::is_far(missing) => app.replay_cache.long_after(missing, session.user).await,
            0 => app.replay_cache.after(missing).await,
            _ => app.replay_cache.one_after(missing).await,
        };
        let read = match read {
            Ok(Some(read)) => read,
            Ok(None) => {
                app.log_was_shortened().await;
                return session.cut("what it missed has been forgotten");
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                failures += 1;
                chat_core::log_throttled!(
                    warn, %error, failures, "the log could not be read for a client that has come back"
                );
                if failures >= ATTEMPTS {
                    return session.cut("what it missed cannot be read");
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
                continue;
            }
            Err(error) if singly > 0 => {
                // It was named when it was read; every session that comes back meets it.
                tracing::debug!(position = missing.after.0 + 1, %error, "a change cannot be read");
                // It will never be readable; those behind it must not wait for ever.
                session.pass(Position(missing.after.0 + 1));
                singly -= 1;
                continue;
            }
            Err(_) => {
                singly = SINGLY;
                continue;
            }
        };
        (failures, singly) = (0, singly.saturating_sub(1));
        let (bytes, told) = tell(session, &read);
        session.person().has_read(bytes, app.chat.now());
        let read_to = read.to();
        // What was read is not held while its client takes it: it may be much, and some of it may be deleted by then.
        drop((read, answering));
        if !told {
            // Whatever the next one's size, it has room when nothing else waits.
            session.room(0).await;
            continue;
        }
        // Nothing to read although something was announced: it was passed over when it was announced, as unreadable.
        session.pass(read_to.unwrap_or(missing.up_to));
        let told = bytes > 0;
        if told && !session.has_wire() {
            // A full queue would leave no room for answers, heartbeats and the change to WebSocket.
            tokio::time::sleep(PAUSE).await;
        }
        if told {
            session.room(MAX_UNSENT_TO_CATCH_UP).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Tells a session what was read. Answers with how many bytes that was, and whether there was room for all of it.
fn tell(session: &Session, read: &Read) -> (u64, bool) {
    let mut bytes = 0;
    for (position, frames) in read.of_user(session.user, &session.dialect, session.base().clone()) {
        if !session.replay(position, &frames) {
            return (bytes, false);
        }
        let mine = frames.iter().filter(|(to, _)| to.includes(session.user));
        bytes += mine.map(|(_, frame)| frame.packet().len() as u64).sum::<u64>();
    }
    (bytes, true)
}
