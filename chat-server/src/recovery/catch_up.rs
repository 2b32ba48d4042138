//! Tells sessions what they have missed, from the log, until nothing is missing.

use std::sync::Arc;
use std::time::Duration;

use chat_core::error::ErrorKind;
use chat_core::model::Position;

use super::replay_cache::{Read, ReplayCache};
use crate::app::App;
use crate::limits::MAX_DELAY;
use crate::session::Session;

/// The pause after a failure, doubled each time, and between two reads for a client that polls.
const PAUSE: Duration = Duration::from_millis(50);

/// Most bytes that wait for a client before more is read for it.
const MAX_UNSENT_TO_CATCH_UP: usize = 256 << 10;

/// So many changes are read one at a time after a failure, so that it is known which one cannot be read.
const SINGLY: usize = 32;

/// How often reading the log is tried before the connection is cut, which makes its client try again later.
const ATTEMPTS: u32 = 5;

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
        let answering = session.room_to_answer(&app.sessions).await;
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
