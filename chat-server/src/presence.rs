//! Who is online, and the roster that pages show of it.
//!
//! The original backends send the whole list to everybody at every connect: n² in the number of people. Here the
//! newcomer is sent it at once and everybody else at most every 100 ms, and less often when so many are online that the
//! lists would fill the network; after the last change everybody always gets the final list. A list takes the place of
//! one that has not been sent yet, so slow connections do not pile them up.

use std::sync::Arc;
use std::time::Duration;

use chat_core::id::UserId;
use chat_core::presence::{Roster, RosterChange, SessionId};
use tokio::sync::Notify;

use crate::dialect::{self, Dialect};
use crate::session::Session;
use crate::sessions::Sessions;

/// Shortest time between two lists to everybody.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Lists to everybody take at most so many bytes a second.
const BYTES_PER_SECOND: usize = 50 << 20;

/// The roster of this node, and the task that tells of it.
pub struct Presence {
    roster: Arc<Roster>,
    changed: Arc<Notify>,
    teller: tokio::task::JoinHandle<()>,
}

impl Presence {
    /// Starts the task.
    pub(crate) fn start(sessions: Arc<Sessions>) -> Self {
        let (roster, changed) = (Arc::new(Roster::default()), Arc::new(Notify::new()));
        let teller = tokio::spawn(tell(roster.clone(), changed.clone(), sessions));
        Self { roster, changed, teller }
    }

    /// Whether somebody is online.
    pub fn is_online(&self, user: UserId) -> bool {
        self.roster.is_online(user)
    }

    /// A connection has begun.
    pub(crate) fn connect(&self, session: &Session) {
        let change = self.roster.connect(session.user, session.id);
        if let Some(roster) = session.dialect.roster {
            session.deliver_latest(&roster(&self.roster.online()));
        }
        self.note(change);
    }

    /// A connection has ended.
    pub(crate) fn disconnect(&self, user: UserId, session: SessionId) -> RosterChange {
        let change = self.roster.disconnect(user, session);
        self.note(change);
        change
    }

    fn note(&self, change: RosterChange) {
        if change != RosterChange::Unchanged {
            self.changed.notify_one();
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

async fn tell(roster: Arc<Roster>, changed: Arc<Notify>, sessions: Arc<Sessions>) {
    loop {
        changed.notified().await;
        // Those who come together are told of together.
        tokio::time::sleep(SHORTEST_PAUSE / 10).await;
        let mut bytes = 0;
        for dialect in dialect::ALL {
            bytes += tell_dialect(dialect, &roster, &sessions);
        }
        let needed = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64);
        tokio::time::sleep(needed.max(SHORTEST_PAUSE)).await;
    }
}

fn tell_dialect(dialect: &'static Dialect, roster: &Roster, sessions: &Sessions) -> usize {
    let Some(encode) = dialect.roster else { return 0 };
    if sessions.count(dialect) == 0 {
        return 0;
    }
    let frame = encode(&roster.online());
    let mut bytes = 0;
    sessions.for_all(&mut |session| {
        if std::ptr::eq(session.dialect, dialect) {
            session.deliver_latest(&frame);
            bytes += frame.packet().len();
        }
    });
    bytes
}
