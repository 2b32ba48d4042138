//! Budgets of one account, over all its connections and requests on this node.
//!
//! Everything an account does is charged to a few buckets that refill over time ([`bucket`]):
//!
//! - data that is read, by its bytes;
//! - changes and notifications (deletions, typing, read marks, rooms), by their number;
//! - profile changes, which are broadcast to all users, by their number;
//! - messages, by their bytes;
//! - events that cannot be processed, by their number and bytes;
//! - connections, by their number.
//!
//! An account with an empty bucket is first *slowed*: its next command waits, for at most two seconds, which a page
//! hardly notices. If it continues faster than that, it is *refused* with `rate_limited` and the time to retry. The
//! sizes are so large that no normal page reaches them.
//!
//! In addition, an account runs at most two reads at once ([`slots`]), and the memory for its waiting data is limited
//! over all its connections: [`Person::hold`] for incoming events, [`Person::answering`] for outgoing answers.

pub(crate) mod acquire;
mod bucket;
pub(crate) mod cost;
mod long_work;
pub(crate) mod rate;
mod searching;
pub(crate) mod shared;
mod slots;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::error::Error;
use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use self::bucket::{Bucket, Rate};
pub(crate) use self::cost::Cost;
pub(crate) use self::long_work::{LONG_BYTES, LongWork, lower_priority};
pub(crate) use self::rate::RATE_HEADERS;
pub use self::rate::RateLimit;
use crate::memory::{MIN_ACCOUNTED, Memory, Owner, Reservation};

/// Maximum time by which a command is delayed. A command that would have to wait longer is refused.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(2);
/// Maximum time by which a connection is delayed that follows too many others of the same account.
pub(crate) const MAX_CONNECT_DELAY: Duration = Duration::from_secs(5);
/// Maximum size in bytes of one account's events, over all its connections, that wait or are being stored. A single
/// event always has room.
pub(crate) const MAX_INBOX_BYTES: usize = 96 << 20;
/// While more bytes than this wait for one account, over all its connections, no more answers are read for it.
pub(crate) const MAX_UNSENT_BYTES: usize = 32 << 20;
/// Answers that are read and queued for one account at the same time.
const ANSWERS_AT_ONCE: usize = 2;

/// Profile changes. Each is broadcast to all users.
const PROFILES: Rate = Rate { burst: 20, per_minute: 2 };
/// Events that cannot be processed. An event counts once, and once more for each [`MISTAKE_BYTES`] that were parsed in
/// vain.
const MISTAKES: Rate = Rate { burst: 2_000, per_minute: 2_000 };
/// An account with less than this percentage of its read budget reads much. With the default limits that is after 60
/// MB.
const MODEST: i64 = 75;
/// See [`MISTAKES`].
const MISTAKE_BYTES: u64 = 4 << 10;
/// Connections. Each is authenticated and changes the presence of its account.
const CONNECTIONS: Rate = Rate { burst: 600, per_minute: 120 };

/// The rates of all buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    reads: Rate,
    changes: Rate,
    profiles: Rate,
    mistakes: Rate,
    sends: Rate,
    connections: Rate,
}

impl Rates {
    /// Creates the rates from the configuration: megabytes read, changes, and megabytes sent per minute. 0 means no
    /// limit.
    pub(crate) fn new(read_megabytes: u32, changes: u32, send_megabytes: u32) -> Self {
        // A page may need the budget of several minutes at once.
        let bytes = |megabytes: u32, minutes: u32| {
            let per_minute = megabytes.saturating_mul(1_000_000);
            Rate { burst: per_minute.saturating_mul(minutes), per_minute }
        };
        let unless_off = |limit: u32, rate: Rate| match limit {
            0 => Rate { burst: 0, per_minute: 0 },
            _ => rate,
        };
        Self {
            reads: bytes(read_megabytes, 4),
            changes: Rate { burst: changes, per_minute: changes },
            profiles: unless_off(changes, PROFILES),
            mistakes: unless_off(changes, MISTAKES),
            sends: bytes(send_megabytes, 2),
            connections: unless_off(changes, CONNECTIONS),
        }
    }
}

/// From this number of accounts on, inactive ones are removed.
const SWEEP_AT: usize = 10_000;

/// The remaining budgets of all accounts.
pub(crate) struct Budgets {
    rates: Rates,
    memory: Arc<Memory>,
    people: Mutex<People>,
}

struct People {
    known: HashMap<UserId, Arc<Person>>,
    sweep_at: usize,
}

/// The remaining budget of one account, and its waiting data.
pub(crate) struct Person {
    rates: Rates,
    buckets: Mutex<Buckets>,
    inbox: Mutex<Inbox>,
    answers: Semaphore,
}

/// Events of all connections of one account that wait or are being stored.
struct Inbox {
    owner: Owner,
    memory: Arc<Memory>,
    bytes: usize,
    /// Memory for these events, if they are large.
    reservation: Option<Reservation>,
}

struct Buckets {
    reads: Bucket,
    changes: Bucket,
    profiles: Bucket,
    mistakes: Bucket,
    sends: Bucket,
    connections: Bucket,
}

/// The bytes of an event that waits or is being stored, until this is dropped.
pub(crate) struct Held {
    person: Arc<Person>,
    bytes: usize,
}

impl Budgets {
    pub(crate) fn new(rates: Rates, memory: Arc<Memory>) -> Self {
        let people = People { known: HashMap::new(), sweep_at: SWEEP_AT };
        Self { rates, memory, people: Mutex::new(people) }
    }

    /// The budget of this account. An account that was inactive has a full budget.
    pub(crate) fn of(&self, user: UserId, now: Timestamp) -> Arc<Person> {
        let mut people = self.people.lock();
        if let Some(person) = people.known.get(&user) {
            return person.clone();
        }
        if people.known.len() >= people.sweep_at {
            // The lock is held, so no other task can obtain a reference meanwhile.
            people.known.retain(|_, person| Arc::strong_count(person) > 1 || !person.is_quiet(now));
            people.sweep_at = (2 * people.known.len()).max(SWEEP_AT);
        }
        let person = Arc::new(Person::new(self.rates, user, self.memory.clone(), now));
        people.known.insert(user, person.clone());
        person
    }
}

impl Person {
    fn new(rates: Rates, user: UserId, memory: Arc<Memory>, now: Timestamp) -> Self {
        let buckets = Buckets {
            reads: Bucket::full(rates.reads, now),
            changes: Bucket::full(rates.changes, now),
            profiles: Bucket::full(rates.profiles, now),
            mistakes: Bucket::full(rates.mistakes, now),
            sends: Bucket::full(rates.sends, now),
            connections: Bucket::full(rates.connections, now),
        };
        Self {
            rates,
            buckets: Mutex::new(buckets),
            inbox: Mutex::new(Inbox { owner: Owner::User(user), memory, bytes: 0, reservation: None }),
            answers: Semaphore::new(ANSWERS_AT_ONCE),
        }
    }

    /// Whether the state equals that of a new account.
    fn is_quiet(&self, now: Timestamp) -> bool {
        let (mut buckets, rates) = (self.buckets.lock(), &self.rates);
        buckets.reads.is_full(rates.reads, now)
            && buckets.changes.is_full(rates.changes, now)
            && buckets.profiles.is_full(rates.profiles, now)
            && buckets.mistakes.is_full(rates.mistakes, now)
            && buckets.sends.is_full(rates.sends, now)
            && buckets.connections.is_full(rates.connections, now)
    }

    /// Charges the part of a command's cost that is known in advance, and returns how long the command must wait.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when that is too long. Nothing is charged then.
    pub(crate) fn admit(&self, cost: Cost, now: Timestamp) -> Result<Duration, Error> {
        let (mut buckets, rates) = (self.buckets.lock(), &self.rates);
        let (bucket, rate, price) = match cost {
            Cost::Read => (&mut buckets.reads, rates.reads, cost::READ),
            Cost::Send(bytes) => (&mut buckets.sends, rates.sends, bytes),
            Cost::Change(times) => (&mut buckets.changes, rates.changes, times),
            Cost::Profile => (&mut buckets.profiles, rates.profiles, 1),
        };
        let wait = bucket.wait(rate, now);
        if wait > MAX_DELAY {
            return Err(Error::OverBudget { retry_after: wait });
        }
        bucket.spend(rate, now, price);
        Ok(wait)
    }

    /// Checks again, after a wait for a slot, that the account has not exceeded its read budget meanwhile.
    ///
    /// # Errors
    /// The same as [`Self::admit`].
    pub(crate) fn may_read_on(&self, now: Timestamp) -> Result<(), Error> {
        match self.wait_to_read(now) {
            wait if wait > MAX_DELAY => Err(Error::OverBudget { retry_after: wait }),
            _ => Ok(()),
        }
    }

    /// Time until the read budget is not empty.
    pub(crate) fn wait_to_read(&self, now: Timestamp) -> Duration {
        self.buckets.lock().reads.wait(self.rates.reads, now)
    }

    /// Whether the account has read so much lately that other accounts take precedence.
    pub(crate) fn reads_much(&self, now: Timestamp) -> bool {
        !self.buckets.lock().reads.has_left(self.rates.reads, now, MODEST)
    }

    /// Charges bytes that were read.
    pub(crate) fn has_read(&self, bytes: u64, now: Timestamp) {
        self.buckets.lock().reads.spend(self.rates.reads, now, bytes);
    }

    /// Charges notifications of others.
    pub(crate) fn has_told(&self, cost: u64, now: Timestamp) {
        self.buckets.lock().changes.spend(self.rates.changes, now, cost);
    }

    /// Charges an event that could not be processed, or of which this many bytes were parsed in vain.
    pub(crate) fn was_mistaken(&self, bytes: usize, now: Timestamp) {
        let price = 1 + bytes as u64 / MISTAKE_BYTES;
        self.buckets.lock().mistakes.spend(self.rates.mistakes, now, price);
    }

    /// How long the next event must wait because too many could not be processed.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when that is too long.
    pub(crate) fn may_say_more(&self, now: Timestamp) -> Result<Duration, Error> {
        match self.buckets.lock().mistakes.wait(self.rates.mistakes, now) {
            wait if wait > MAX_DELAY => Err(Error::OverBudget { retry_after: wait }),
            wait => Ok(wait),
        }
    }

    /// Charges a connection, and returns how long it must wait.
    pub(crate) fn connects(&self, now: Timestamp) -> Duration {
        let (mut buckets, rate) = (self.buckets.lock(), self.rates.connections);
        let wait = buckets.connections.wait(rate, now);
        buckets.connections.spend(rate, now, 1);
        wait.min(MAX_CONNECT_DELAY)
    }

    /// Counts a waiting event. `None` when there is no room for it, either in the inbox or in the server's memory
    /// budget.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        self.inbox.lock().grow(bytes).then(|| Held { person: self.clone(), bytes })
    }

    /// Waits for a permit to read and queue an answer.
    pub(crate) async fn answering(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only if the semaphore is closed, which never happens.
        self.answers.acquire().await.ok()
    }
}

impl Inbox {
    fn grow(&mut self, bytes: usize) -> bool {
        let wanted = self.bytes + bytes;
        if self.bytes > 0 && wanted > MAX_INBOX_BYTES {
            return false;
        }
        if wanted >= MIN_ACCOUNTED {
            let reservation = self.reservation.get_or_insert_with(|| self.memory.begin(self.owner));
            if reservation.set(wanted).is_err() {
                if self.bytes == 0 {
                    // A reservation that was cut could never hold anything again.
                    self.reservation = None;
                }
                return false;
            }
        }
        self.bytes = wanted;
        true
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if self.bytes < MIN_ACCOUNTED {
            self.reservation = None;
        } else if let Some(reservation) = &mut self.reservation {
            // Shrinking always succeeds.
            let _ = reservation.set(self.bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.person.inbox.lock().shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests;
