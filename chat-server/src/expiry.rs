//! When the tokens of connections expire.
//!
//! A token is checked when a connection begins, and the connection outlives it otherwise: it would go on being told
//! everything for as long as it stays silent. One task ends connections when their tokens do, whatever they do. It goes
//! by the chat's clock, and looks at it every second, since that clock may be set, or be one of a test's own. What is kept
//! are a moment, a number and a pointer for each connection whose token expires at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::presence::SessionId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::session::Session;

/// How long a clock that was set may go unnoticed.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The connections whose tokens expire, the first to expire first.
#[derive(Default)]
pub(crate) struct Expiries {
    due: Mutex<BTreeMap<(Timestamp, SessionId), Weak<Session>>>,
    /// There is one to wait for, or one before those that are waited for.
    sooner: Notify,
}

impl Expiries {
    /// Has a connection ended when its token expires. Take it back with [`Self::remove`].
    pub(crate) fn add(&self, session: &Arc<Session>) {
        let Some(at) = session.expires_at() else { return };
        let is_first = {
            let mut due = self.due.lock();
            due.insert((at, session.id), Arc::downgrade(session));
            due.first_key_value().is_some_and(|(first, _)| *first == (at, session.id))
        };
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// A connection has ended.
    pub(crate) fn remove(&self, session: &Session) {
        let mut due = self.due.lock();
        if let Some(at) = session.expires_at() {
            due.remove(&(at, session.id));
        }
    }

    /// Has a connection go on until a later token of its login session expires. Answers when that is, or none when the
    /// connection has expired or ended already.
    pub(crate) fn renew(&self, session: &Session, until: Timestamp) -> Option<Timestamp> {
        let mut due = self.due.lock();
        let at = session.expires_at()?;
        let waiting = due.remove(&(at, session.id))?;
        let until = until.max(at);
        session.set_expires_at(until);
        due.insert((until, session.id), waiting);
        Some(until)
    }

    /// How many are waited for.
    pub(crate) fn len(&self) -> usize {
        self.due.lock().len()
    }

    /// Takes out what has expired by now.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<Weak<Session>> {
        let mut due = self.due.lock();
        let later = due.split_off(&(now.after(Duration::from_millis(1)), SessionId(0)));
        std::mem::replace(&mut *due, later).into_values().collect()
    }

    /// Waits that long, or until something expires sooner.
    pub(crate) async fn next(&self, pause: Option<Duration>) {
        match pause {
            Some(pause) => drop(tokio::time::timeout(pause, self.sooner.notified()).await),
            None => self.sooner.notified().await,
        }
    }

    /// How long to wait at most before looking again; none when there is nothing to wait for.
    pub(crate) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let due = self.due.lock();
        let ((at, _), _) = due.first_key_value()?;
        let millis = at.as_millis().saturating_sub(now.as_millis());
        // Moments are whole milliseconds, and so are the timer's.
        Some(Duration::from_millis(millis.unsigned_abs().max(1)).min(MAX_PAUSE))
    }
}
