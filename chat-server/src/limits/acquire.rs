//! The one place where it is decided whether a command may be carried out now.
//!
//! [`Limits::acquire`] asks all limits one after the other, waits where it has to, and gives one [`Permit`] for all of it.
//! Until a command has passed every limit nothing counts for good: what was counted so far, on this node or on all together,
//! is taken back when a later limit refuses it, or when the one who asked gives up waiting. What is held (a place to read, the
//! person's turn to search, a core for long work) is held until the permit is dropped.

use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::command::{Class, CommandRef};
use chat_core::error::Error;
use chat_core::id::UserId;
use chat_core::prelude::Chat;
use chat_core::store::StoreError;

use super::cost::Cost;
use super::long_work::{LONG_BYTES, LongWork};
use super::rate::RateLimit;
use super::searching::{PersonsSearchPermit, SearchPermit, SearchSlots};
use super::shared::SharedAttempt;
use super::slots::{FairSlots, Full, SlotPermit};
use super::{Budgets, Person};
use crate::auth::limit::Limiter;
use crate::cluster::Cluster;

/// So many read at once, and so many of them for one person.
pub(crate) const READS_AT_ONCE: (usize, usize) = (8, 2);
/// Most requests that wait for their turn to read, and most of one person; more are told to come back.
pub(crate) const MAX_WAITING: (usize, usize) = (1_000, 256);
/// The time in which messages are counted.
const MESSAGES_WITHIN: Duration = Duration::from_secs(60);
/// The time in which searches are counted.
const SEARCHES_WITHIN: Duration = Duration::from_secs(60);

/// What everybody may still do.
pub(crate) struct Limits {
    chat: Arc<Chat>,
    /// What each person has left.
    pub(crate) budgets: Budgets,
    /// Where what takes long is computed.
    pub(crate) long_work: LongWork,
    /// Who may read.
    pub(crate) reads: FairSlots,
    /// Who may read of those who have read much lately, one at a time.
    pub(crate) greedy_reads: FairSlots,
    /// Who may search.
    pub(crate) searching: SearchSlots,
    messages: Arc<Limiter<UserId>>,
    searches: Arc<Limiter<UserId>>,
    /// Messages in [`MESSAGES_WITHIN`], and searches in [`SEARCHES_WITHIN`]; 0 is no limit.
    most: (u32, u32),
    /// The other nodes, if there may be any.
    cluster: Option<Arc<Cluster>>,
}

/// A command may be carried out, until this is dropped.
#[derive(Default)]
#[must_use]
pub(crate) struct Permit {
    _reads: Option<SlotPermit>,
    _greedy_reads: Option<SlotPermit>,
    _searches: Option<SearchPermit>,
    // Compressing a text comes before it is stored, and so while this is held.
    _long_work: Option<SlotPermit>,
}

/// Why a command may not be carried out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There were too many messages or searches.
    TooMany,
    /// It costs more than is left, or too many wait. Nothing was changed.
    OverBudget(Error),
}

impl Limits {
    /// At most so many messages and searches in a minute; 0 is no limit. They count on all nodes together.
    pub(crate) fn new(
        chat: Arc<Chat>,
        budgets: Budgets,
        long_work: LongWork,
        (messages, searches): (u32, u32),
        cluster: Option<Arc<Cluster>>,
    ) -> Self {
        Self {
            chat,
            budgets,
            long_work,
            reads: FairSlots::new(READS_AT_ONCE, MAX_WAITING),
            greedy_reads: FairSlots::new((1, 1), MAX_WAITING),
            searching: SearchSlots::default(),
            messages: Arc::new(Limiter::new(messages, MESSAGES_WITHIN)),
            searches: Arc::new(Limiter::new(searches, SEARCHES_WITHIN)),
            most: (messages, searches),
            cluster,
        }
    }

    /// Waits until this person may have a command carried out. A search that meets another one of the same person waits for
    /// it; see [`Self::acquire_search`].
    ///
    /// # Errors
    /// When they may not; then nothing has counted.
    pub(crate) async fn acquire(
        &self,
        user: UserId,
        person: &Person,
        command: CommandRef<'_>,
    ) -> Result<Permit, Refused> {
        match command {
            CommandRef::SendMessage(send) => {
                let counted = self.messages.acquire(user, self.now()).map_err(|_| Refused::TooMany)?;
                self.pay(person, command).await?;
                let is_long = send.content.text.len() > LONG_BYTES;
                let long_work = if is_long { self.long_work.turn(user).await } else { None };
                counted.count();
                if let Some(cluster) = self.cluster.as_ref().filter(|_| self.most.0 > 0) {
                    cluster.outbox().sent(user);
                }
                Ok(Permit { _long_work: long_work, ..Permit::default() })
            }
            CommandRef::Search(_) => {
                let turn = self.searching.of(user).await;
                self.acquire_search(turn, user, person, command).await
            }
            _ if command.class() == Class::Reads => {
                self.pay(person, command).await?;
                // All those who read much do so one at a time. Nobody who reads waits for this, so it ends.
                let greedy_reads = match person.reads_much(self.now()) {
                    true => Some(self.greedy_reads.acquire(user).await.map_err(|full| busy(full, user))?),
                    false => None,
                };
                let reads = self.reads.acquire(user).await.map_err(|full| busy(full, user))?;
                person.may_read_on(self.now()).map_err(Refused::OverBudget)?;
                Ok(Permit { _reads: Some(reads), _greedy_reads: greedy_reads, ..Permit::default() })
            }
            _ => {
                self.pay(person, command).await?;
                Ok(Permit::default())
            }
        }
    }

    /// The same for a search of a person whose turn it is.
    ///
    /// # Errors
    /// When they may not; then nothing has counted.
    pub(crate) async fn acquire_search(
        &self,
        turn: PersonsSearchPermit,
        user: UserId,
        person: &Person,
        command: CommandRef<'_>,
    ) -> Result<Permit, Refused> {
        let counted = self.searches.acquire(user, self.now()).map_err(|_| Refused::TooMany)?;
        let mut shared = SharedAttempt::new(self.cluster.clone());
        let limit = (self.most.1, SEARCHES_WITHIN);
        shared.count_as("searches", user.to_string(), limit).await.map_err(|_| Refused::TooMany)?;
        let searches = self.searching.among_all(turn).await;
        self.pay(person, command).await?;
        counted.count();
        shared.count();
        Ok(Permit { _searches: Some(searches), ..Permit::default() })
    }

    /// The turn of a person to search, unless they search already.
    pub(crate) fn try_search(&self, user: UserId) -> Option<PersonsSearchPermit> {
        self.searching.try_of(user)
    }

    /// Counts messages that somebody has sent by other nodes.
    pub(crate) fn count_messages(&self, user: UserId, messages: u32) {
        let now = self.now();
        for _ in 0..messages.min(self.most.0) {
            self.messages.count(user, now);
        }
    }

    /// How the limit of messages of a person stands on this node.
    pub(crate) fn message_rate(&self, user: UserId) -> Option<RateLimit> {
        self.messages.rate(&user, self.now())
    }

    /// How the limit of searches of a person stands on this node.
    pub(crate) fn search_rate(&self, user: UserId) -> Option<RateLimit> {
        self.searches.rate(&user, self.now())
    }

    /// Takes what a command costs, as far as that is known before, and waits where there is too little left.
    async fn pay(&self, person: &Person, command: CommandRef<'_>) -> Result<(), Refused> {
        let wait = person.admit(Cost::of(command), self.now()).map_err(Refused::OverBudget)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.chat.now()
    }
}

/// Too many wait to read.
fn busy(full: Full, user: UserId) -> Refused {
    Refused::OverBudget(match full {
        Full::OfPerson => Error::OverBudget { retry_after: Duration::from_secs(1) },
        Full::OfAll => {
            chat_core::log_throttled!(warn, user.id = %user, "too many wait to read: one was refused");
            Error::Store(StoreError::Unavailable("too many wait for their turn to read".into()))
        }
    })
}

#[cfg(test)]
mod tests;
