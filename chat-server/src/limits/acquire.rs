//! The only place that decides whether a command may run now.
//!
//! [`Limits::acquire`] checks all limits one after the other, waits where necessary, and returns one [`Permit`] for all
//! of them. Nothing is charged permanently until a command has passed every limit: if a later limit refuses it, or the
//! caller stops waiting, all earlier counts are refunded, on this node and on all others. Everything that is held (a
//! read slot, the account's search slot, a core for long work) is held until the permit is dropped.

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

/// Maximum number of concurrent reads: in total, and of one account.
pub(crate) const READS_AT_ONCE: (usize, usize) = (8, 2);
/// Maximum number of requests that wait for a read slot: in total, and of one account. Further ones must retry.
pub(crate) const MAX_WAITING: (usize, usize) = (1_000, 256);
/// The window in which messages are counted.
const MESSAGES_WITHIN: Duration = Duration::from_secs(60);
/// The window in which searches are counted.
const SEARCHES_WITHIN: Duration = Duration::from_secs(60);

/// The limits of all accounts.
pub(crate) struct Limits {
    chat: Arc<Chat>,
    /// The remaining budget of each account.
    pub(crate) budgets: Budgets,
    /// Runs long computations.
    pub(crate) long_work: LongWork,
    /// The slots for reads.
    pub(crate) reads: FairSlots,
    /// The slot for accounts that have read much lately; only one of them reads at a time.
    pub(crate) greedy_reads: FairSlots,
    /// The slots for searches.
    pub(crate) searching: SearchSlots,
    messages: Arc<Limiter<UserId>>,
    searches: Arc<Limiter<UserId>>,
    /// Maximum number of messages in [`MESSAGES_WITHIN`], and of searches in [`SEARCHES_WITHIN`]; 0 means no limit.
    most: (u32, u32),
    /// The other nodes, if the server runs in a cluster.
    cluster: Option<Arc<Cluster>>,
}

/// Allows a command to run, until this is dropped.
#[derive(Default)]
#[must_use]
pub(crate) struct Permit {
    _reads: Option<SlotPermit>,
    _greedy_reads: Option<SlotPermit>,
    _searches: Option<SearchPermit>,
    // A text is compressed before it is stored, and so while this is held.
    _long_work: Option<SlotPermit>,
}

/// Why a command may not run.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There were too many messages or searches.
    TooMany,
    /// The command costs more than the remaining budget, or too many requests wait. Nothing was changed.
    OverBudget(Error),
}

impl Limits {
    /// Allows `messages` and `searches` per minute; 0 means no limit. They are counted over all nodes.
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

    /// Waits until this account may run a command. A search waits for a running search of the same account; see
    /// [`Self::acquire_search`].
    ///
    /// # Errors
    /// When the command is refused. Nothing is charged then.
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
                // All accounts that read much share one slot. A holder of a read slot never waits for this slot, so
                // there is no deadlock.
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

    /// The same for a search whose account already holds its search slot.
    ///
    /// # Errors
    /// When the command is refused. Nothing is charged then.
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

    /// The search slot of an account, unless it is in use.
    pub(crate) fn try_search(&self, user: UserId) -> Option<PersonsSearchPermit> {
        self.searching.try_of(user)
    }

    /// Counts messages that the account has sent on other nodes.
    pub(crate) fn count_messages(&self, user: UserId, messages: u32) {
        let now = self.now();
        for _ in 0..messages.min(self.most.0) {
            self.messages.count(user, now);
        }
    }

    /// The state of an account's message limit on this node.
    pub(crate) fn message_rate(&self, user: UserId) -> Option<RateLimit> {
        self.messages.rate(&user, self.now())
    }

    /// The state of an account's search limit on this node.
    pub(crate) fn search_rate(&self, user: UserId) -> Option<RateLimit> {
        self.searches.rate(&user, self.now())
    }

    /// Charges the part of a command's cost that is known in advance. Waits if the remaining budget is too small.
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

/// Too many requests are waiting to read.
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
