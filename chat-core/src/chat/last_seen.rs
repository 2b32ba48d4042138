//! When people were last seen: never earlier than their last message or connection, also after the process was killed.
//!
//! Recording this exactly would cost every message a second write, for its sender. Instead the store gets a time that
//! lies [`AHEAD`] in the future, and the person's activity until then needs no further write. The first message is
//! submitted directly after that write, so that no message is stored without it. The true time is kept here. It
//! replaces the stored time when the person's last connection has ended, or when they were inactive for that long. If
//! the process dies before, people appear to be seen up to [`AHEAD`] later than they really were, though never in the
//! future.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;

use super::Chat;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::UserId;
use crate::model::User;
use crate::store::{Store, StoreError};

/// How far ahead of a person's activity the stored time lies.
const AHEAD: Duration = Duration::from_secs(30);

/// The people who were active here, until the store has the true time.
#[derive(Debug, Default)]
pub(super) struct LastSeen(Mutex<HashMap<UserId, Seen>>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// The true time of the last activity.
    at: Timestamp,
    /// Until this moment nothing has to be written. `None` while it is unknown what the store has.
    covered: Option<Timestamp>,
}

/// A write that was submitted to the store.
pub(super) type Writing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

impl LastSeen {
    /// Records activity of `user`. If it has to be written, the write was submitted when this returns, so that a write
    /// which is submitted later is not stored without it.
    pub(super) async fn note(&self, store: &Arc<dyn Store>, user: UserId, at: Timestamp) -> Option<Writing> {
        poll_fn(|cx| {
            let mut known = self.0.lock();
            let seen = known.entry(user).or_default();
            seen.at = seen.at.max(at);
            if seen.covered.is_some_and(|covered| covered >= at) {
                return Poll::Ready(None);
            }
            seen.covered = Some(at.after(AHEAD));
            Poll::Ready(Some(hand_over(cx, store, user, at.after(AHEAD))))
        })
        .await
    }

    /// Submits the true time and returns it with the write. From then on it is unknown what the store has.
    async fn settle(&self, store: &Arc<dyn Store>, user: UserId, at: Timestamp) -> (Timestamp, Writing) {
        poll_fn(|cx| {
            let mut known = self.0.lock();
            let seen = known.entry(user).or_default();
            seen.at = seen.at.max(at);
            // The next activity is written again.
            seen.covered = None;
            Poll::Ready((seen.at, hand_over(cx, store, user, seen.at)))
        })
        .await
    }

    /// Records that a submitted write failed.
    pub(super) fn is_not_covered(&self, user: UserId) {
        if let Some(seen) = self.0.lock().get_mut(&user) {
            seen.covered = None;
        }
    }

    /// The true time was written. The entry is dropped if the person was not active since.
    fn settled(&self, user: UserId, at: Timestamp) {
        let mut known = self.0.lock();
        if known.get(&user).is_some_and(|seen| seen.at == at && seen.covered.is_none()) {
            known.remove(&user);
        }
    }

    /// The people who were inactive for so long that the store needs the true time; everybody if `now` is `None`.
    fn idle(&self, now: Option<Timestamp>) -> Vec<(UserId, Timestamp)> {
        let known = self.0.lock();
        let idle =
            known.iter().filter(|(_, seen)| now.is_none_or(|now| seen.covered.is_none_or(|end| end < now)));
        idle.map(|(user, seen)| (*user, seen.at)).collect()
    }

    /// The user to show to clients, with the true time as far as it is known here.
    pub(super) fn of(&self, user: Arc<User>, now: Timestamp) -> Arc<User> {
        let known = self.0.lock().get(&user.id).map(|seen| seen.at);
        // The stored time may lie ahead, written by a process that has died or by another node.
        let shown = known.or(user.last_seen.map(|at| at.min(now)));
        if shown == user.last_seen {
            return user;
        }
        Arc::new(User { last_seen: shown, ..User::clone(&user) })
    }
}

/// Submits a write by polling it once; see the guarantee "in order of asking" of stores. The caller holds the lock, so
/// that writes are submitted in the order in which they were decided.
fn hand_over(cx: &mut Context<'_>, store: &Arc<dyn Store>, user: UserId, at: Timestamp) -> Writing {
    let store = store.clone();
    let mut writing: Writing = Box::pin(async move { store.record_last_seen(user, at).await });
    match writing.as_mut().poll(cx) {
        Poll::Ready(done) => Box::pin(std::future::ready(done)),
        Poll::Pending => writing,
    }
}

impl Chat {
    /// Records that a person is active now: they connect or send a request. Sending a message records it by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_active(&self, user: UserId) -> Result<(), Error> {
        let writing = self.last_seen.note(&self.store, user, self.clock.now()).await;
        if let Some(writing) = writing
            && let Err(error) = writing.await
        {
            self.last_seen.is_not_covered(user);
            return Err(error.into());
        }
        Ok(())
    }

    /// Records when a person's last connection has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_last_seen(&self, user: UserId, at: Timestamp) -> Result<(), Error> {
        let (at, writing) = self.last_seen.settle(&self.store, user, at).await;
        writing.await?;
        self.last_seen.settled(user, at);
        self.directory.forget_user(user);
        Ok(())
    }

    /// Stores the true time for people who were inactive for a while and are not connected; `is_online` tells who is
    /// connected. Call it regularly, and with `at_end` before the store is closed: then it covers everybody.
    ///
    /// # Errors
    /// When the store fails. The next call tries again.
    pub async fn settle_last_seen(
        &self,
        is_online: impl Fn(UserId) -> bool,
        at_end: bool,
    ) -> Result<(), Error> {
        for (user, at) in self.last_seen.idle((!at_end).then(|| self.clock.now())) {
            if !is_online(user) {
                self.record_last_seen(user, at).await?;
            }
        }
        Ok(())
    }

    /// The user to show to clients; see [`LastSeen::of`].
    pub(crate) fn shown(&self, user: Arc<User>) -> Arc<User> {
        self.last_seen.of(user, self.clock.now())
    }
}

#[cfg(test)]
mod tests;
