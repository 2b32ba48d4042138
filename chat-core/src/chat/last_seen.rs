//! When people were last seen: never earlier than their last message or connection, also after the process was killed.
//!
//! A message would then cost a second write, of its sender. Instead the store is told a moment that lies [`AHEAD`]: what its
//! person does until then needs no further write. The first message is handed over right behind it, so that no message is
//! stored without it. The true moment is kept here and takes the place of the other one when the person's last connection
//! has ended, or when they have done nothing for that long; if the process dies before, they were seen up to [`AHEAD`] later
//! than they really were, though never in the future.

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

/// How far ahead of somebody's doings the store is told.
const AHEAD: Duration = Duration::from_secs(30);

/// Who was seen here, until the store has the true moment.
#[derive(Debug, Default)]
pub(super) struct LastSeen(Mutex<HashMap<UserId, Seen>>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// When they were last seen really.
    at: Timestamp,
    /// Up to when nothing has to be written; none while it is not known what the store has.
    covered: Option<Timestamp>,
}

/// A write that has been handed to the store.
pub(super) type Writing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

impl LastSeen {
    /// Somebody does something. If that has to be written, the write has been handed over when this returns, so that what is
    /// handed over later is not stored without it.
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

    /// Has the true moment written, which is answered too: nothing more is known of them for the time being.
    async fn settle(&self, store: &Arc<dyn Store>, user: UserId, at: Timestamp) -> (Timestamp, Writing) {
        poll_fn(|cx| {
            let mut known = self.0.lock();
            let seen = known.entry(user).or_default();
            seen.at = seen.at.max(at);
            // What they do from now on is written again.
            seen.covered = None;
            Poll::Ready((seen.at, hand_over(cx, store, user, seen.at)))
        })
        .await
    }

    /// What was handed over was not written.
    pub(super) fn is_not_covered(&self, user: UserId) {
        if let Some(seen) = self.0.lock().get_mut(&user) {
            seen.covered = None;
        }
    }

    /// The true moment has been written; nothing has to be kept of somebody who has done nothing since.
    fn settled(&self, user: UserId, at: Timestamp) {
        let mut known = self.0.lock();
        if known.get(&user).is_some_and(|seen| seen.at == at && seen.covered.is_none()) {
            known.remove(&user);
        }
    }

    /// Those who have done nothing for so long that the store has to be told the true moment.
    fn idle(&self, now: Option<Timestamp>) -> Vec<(UserId, Timestamp)> {
        let known = self.0.lock();
        let idle =
            known.iter().filter(|(_, seen)| now.is_none_or(|now| seen.covered.is_none_or(|end| end < now)));
        idle.map(|(user, seen)| (*user, seen.at)).collect()
    }

    /// A person as they are to be shown: with the true moment, as far as it is known here.
    pub(super) fn of(&self, user: Arc<User>, now: Timestamp) -> Arc<User> {
        let known = self.0.lock().get(&user.id).map(|seen| seen.at);
        // What was written ahead, by a process that has died or by another node.
        let shown = known.or(user.last_seen.map(|at| at.min(now)));
        if shown == user.last_seen {
            return user;
        }
        Arc::new(User { last_seen: shown, ..User::clone(&user) })
    }
}

/// Hands a write over by its first poll; see the guarantee "in order of asking" of stores. Under the lock, so that what is
/// handed over here stays in the order in which it was decided.
fn hand_over(cx: &mut Context<'_>, store: &Arc<dyn Store>, user: UserId, at: Timestamp) -> Writing {
    let store = store.clone();
    let mut writing: Writing = Box::pin(async move { store.record_last_seen(user, at).await });
    match writing.as_mut().poll(cx) {
        Poll::Ready(done) => Box::pin(std::future::ready(done)),
        Poll::Pending => writing,
    }
}

impl Chat {
    /// Notes that a person is there now: they have connected, or do something. A message of theirs notes it by itself.
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

    /// Notes when a person's last connection has ended.
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

    /// Stores when those were last seen who have done nothing for a while and are not connected; `is_online` says who is. To
    /// be called now and then, and with `at_end` before the store is closed: then of everybody.
    ///
    /// # Errors
    /// When the store fails: it is done again at the next time.
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

    /// A person as they are to be shown; see [`LastSeen::of`].
    pub(crate) fn shown(&self, user: Arc<User>) -> Arc<User> {
        self.last_seen.of(user, self.clock.now())
    }
}

#[cfg(test)]
mod tests;
