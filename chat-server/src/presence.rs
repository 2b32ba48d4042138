//! Who is online, and the roster that pages show of it.
//!
//! The original backends send the whole list to everybody at every connect: n² in the number of people. Here the
//! newcomer is sent it at once and everybody else at most every 100 ms, and less often when so many are online that the
//! lists would fill the network; after the last change everybody always gets the final list. A list takes the place of
//! one that has not been sent yet, so slow connections do not pile them up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::presence::{Roster, RosterChange, SessionId};
use parking_lot::Mutex;
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
    /// Who went offline when, until that is stored.
    leaving: Mutex<HashMap<UserId, Timestamp>>,
}

impl Presence {
    /// Starts the task.
    pub(crate) fn start(sessions: Arc<Sessions>) -> Self {
        let (roster, changed) = (Arc::new(Roster::default()), Arc::new(Notify::new()));
        let teller = tokio::spawn(tell(roster.clone(), changed.clone(), sessions));
        Self { roster, changed, teller, leaving: Mutex::default() }
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

    /// When somebody who is offline was last online, as far as it is not stored yet.
    pub fn left_at(&self, user: UserId) -> Option<Timestamp> {
        self.leaving.lock().get(&user).copied()
    }

    /// A connection has ended. If it was the person's last one, returns true, and [`Self::left_at`] answers until
    /// [`Self::stored`].
    pub(crate) fn disconnect(&self, user: UserId, session: SessionId, now: Timestamp) -> bool {
        let mut leaving = self.leaving.lock();
        let change = self.roster.disconnect(user, session);
        let went = change == RosterChange::WentOffline;
        if went {
            leaving.insert(user, now);
        }
        drop(leaving);
        self.note(change);
        went
    }

    /// What [`Self::left_at`] says is stored now.
    pub(crate) fn stored(&self, user: UserId, at: Timestamp) {
        let mut leaving = self.leaving.lock();
        if leaving.get(&user) == Some(&at) {
            leaving.remove(&user);
        }
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
