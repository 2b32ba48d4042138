//! Replays missed changes from the log to sessions, until they are up to date.

use std::sync::Arc;
use std::time::Duration;

use chat_core::error::ErrorKind;
use chat_core::model::Position;

use super::replay_cache::{Read, ReplayCache};
use crate::app::App;
use crate::limits::MAX_DELAY;
use crate::session::Session;

/// The pause after a failure, doubled each time, and between two reads for a polling client.
const PAUSE: Duration = Duration::from_millis(50);

/// While more bytes than this wait for a client, no more is read for it.
const MAX_UNSENT_TO_CATCH_UP: usize = 256 << 10;

/// After a failure this many changes are read one by one, to find the one that is unreadable.
const SINGLY: usize = 32;

/// After this many failed reads of the log the connection is cut, so that its client tries again later.
const ATTEMPTS: u32 = 5;

/// Replays what a session has missed, and then lets it go live. The session must be in the registry already.
pub(crate) fn begin(app: &Arc<App>, session: &Arc<Session>) {
    if session.log_number != app.announcer.log_number() {
        // The session began at a position of a previous log. It was not in the registry yet when such sessions were
        // cut.
        return session.cut("the log is another one");
    }
    if session.go_live(&app.announcer).is_ok() {
        return;
    }
    let (app, session) = (app.clone(), session.clone());
    tokio::spawn(async move { catch_up(&app, &session).await });
}

/// Replays what a session missed because its client reads too slowly, as soon as there is room. Then the session goes
/// live again.
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
        let answering = session.room_to_answer(&app.sessions).await;
        // A user who is over the read budget is delayed here, not refused.
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
                // The error was logged when the change was read. Every session that catches up meets it.
                tracing::debug!(position = missing.after.0 + 1, %error, "a change cannot be read");
                // The change will never be readable, so it is skipped: the changes after it must still be delivered.
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
        // The read changes are dropped before the client takes them. They may be large, and some messages may be
        // deleted meanwhile.
        drop((read, answering));
        if !told {
            // With an empty queue a frame of any size has room.
            session.room(0).await;
            continue;
        }
        // If nothing was read although a change was announced, that change is unreadable and was skipped when it was
        // announced.
        session.pass(read_to.unwrap_or(missing.up_to));
        let told = bytes > 0;
        if told && !session.has_wire() {
            // A full queue would leave no room for answers, heartbeats and the upgrade to WebSocket.
            tokio::time::sleep(PAUSE).await;
        }
        if told {
            session.room(MAX_UNSENT_TO_CATCH_UP).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Sends the changes that were read to a session. Returns the number of bytes, and whether there was room for all of
/// them.
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
