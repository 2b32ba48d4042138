//! What one person may do and read, over all their connections and requests of this node.
//!
//! Everything a person does is paid from a few buckets that fill over time ([`bucket`]): what is read, by its bytes; what is
//! changed or told (deleting, typing, reading marks, rooms), by its number; changes of the profile, which everybody is told,
//! by their number; what is said, by its bytes; what cannot be carried out, by both; connections, by their number. Whoever has spent what they had is first
//! *slowed*: their next command waits, for two seconds at most, which a page hardly notices. Whoever goes on faster than
//! that is *refused* with `rate_limited` and told when to try again. The sizes are such that no page meets them.
//!
//! Besides, nobody reads more than two things at once ([`slots`]), and what waits in memory for one person is bounded over
//! all their connections: [`Person::hold`] for what came in, [`Person::answering`] for what goes out.

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

/// Longest time by which somebody's command is held up; who would have to wait for longer is refused.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(2);
/// Longest time by which a connection is held up that comes behind too many others of the same person.
pub(crate) const MAX_CONNECT_DELAY: Duration = Duration::from_secs(5);
/// Most bytes of events of one person, over all their connections, that wait or are being stored; one always has room.
pub(crate) const MAX_INBOX_BYTES: usize = 96 << 20;
/// While more bytes than this wait for one person, over all their connections, nothing more is read for them.
pub(crate) const MAX_UNSENT_BYTES: usize = 32 << 20;
/// Answers that are read and queued for one person at the same time.
const ANSWERS_AT_ONCE: usize = 2;

/// Changes of a profile: everybody is told of each.
const PROFILES: Rate = Rate { burst: 20, per_minute: 2 };
/// Events that cannot be carried out: an event is one, and one more for each [`MISTAKE_BYTES`] that were read for nothing.
const MISTAKES: Rate = Rate { burst: 2_000, per_minute: 2_000 };
/// Whoever has less left to read than so many hundredths reads much: with the usual limits that is after 60 MB.
const MODEST: i64 = 75;
/// See [`MISTAKES`].
const MISTAKE_BYTES: u64 = 4 << 10;
/// Connections: each is authenticated, and changes who is online.
const CONNECTIONS: Rate = Rate { burst: 600, per_minute: 120 };

/// How fast each bucket fills.
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
    /// By what is configured: megabytes read, changes, and megabytes sent in a minute. 0 is no limit.
    pub(crate) fn new(read_megabytes: u32, changes: u32, send_megabytes: u32) -> Self {
        // A page may want as much at once as is read in some minutes.
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

/// When so many people are known, those who have gone quiet are dropped.
const SWEEP_AT: usize = 10_000;

/// What everybody has left.
pub(crate) struct Budgets {
    rates: Rates,
    memory: Arc<Memory>,
    people: Mutex<People>,
}

struct People {
    known: HashMap<UserId, Arc<Person>>,
    sweep_at: usize,
}

/// What one person has left, and what waits for them.
pub(crate) struct Person {
    rates: Rates,
    buckets: Mutex<Buckets>,
    inbox: Mutex<Inbox>,
    answers: Semaphore,
}

/// Events that wait or are being stored, of all connections of one person.
struct Inbox {
    owner: Owner,
    memory: Arc<Memory>,
    bytes: usize,
    /// The server's memory for them, while they are many.
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

/// Bytes of an event that wait or are being stored, until it is dropped.
pub(crate) struct Held {
    person: Arc<Person>,
    bytes: usize,
}

impl Budgets {
    pub(crate) fn new(rates: Rates, memory: Arc<Memory>) -> Self {
        let people = People { known: HashMap::new(), sweep_at: SWEEP_AT };
        Self { rates, memory, people: Mutex::new(people) }
    }

    /// What this person has left. Whoever has done nothing lately has all of it.
    pub(crate) fn of(&self, user: UserId, now: Timestamp) -> Arc<Person> {
        let mut people = self.people.lock();
        if let Some(person) = people.known.get(&user) {
            return person.clone();
        }
        if people.known.len() >= people.sweep_at {
            // Nobody else can get hold of one meanwhile: the lock is held.
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

    /// Whether nothing is known of them that a new one would not know.
    fn is_quiet(&self, now: Timestamp) -> bool {
        let (mut buckets, rates) = (self.buckets.lock(), &self.rates);
        buckets.reads.is_full(rates.reads, now)
            && buckets.changes.is_full(rates.changes, now)
            && buckets.profiles.is_full(rates.profiles, now)
            && buckets.mistakes.is_full(rates.mistakes, now)
            && buckets.sends.is_full(rates.sends, now)
            && buckets.connections.is_full(rates.connections, now)
    }

    /// Takes what a command costs, as far as that is known before, and says for how long it has to wait.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when that is too long; then nothing was taken.
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

    /// Whether somebody who was admitted, and then waited for their turn, has spent too much meanwhile.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn may_read_on(&self, now: Timestamp) -> Result<(), Error> {
        match self.wait_to_read(now) {
            wait if wait > MAX_DELAY => Err(Error::OverBudget { retry_after: wait }),
            _ => Ok(()),
        }
    }

    /// How long until something is left to be read.
    pub(crate) fn wait_to_read(&self, now: Timestamp) -> Duration {
        self.buckets.lock().reads.wait(self.rates.reads, now)
    }

    /// Whether they have read so much lately that their reading has to make way for that of others.
    pub(crate) fn reads_much(&self, now: Timestamp) -> bool {
        !self.buckets.lock().reads.has_left(self.rates.reads, now, MODEST)
    }

    /// Charges what was read.
    pub(crate) fn has_read(&self, bytes: u64, now: Timestamp) {
        self.buckets.lock().reads.spend(self.rates.reads, now, bytes);
    }

    /// Charges what others were told.
    pub(crate) fn has_told(&self, cost: u64, now: Timestamp) {
        self.buckets.lock().changes.spend(self.rates.changes, now, cost);
    }

    /// Charges an event that could not be carried out, or of which so many bytes were read for nothing.
    pub(crate) fn was_mistaken(&self, bytes: usize, now: Timestamp) {
        let price = 1 + bytes as u64 / MISTAKE_BYTES;
        self.buckets.lock().mistakes.spend(self.rates.mistakes, now, price);
    }

    /// How long the next event has to wait, since there were too many that could not be carried out.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when that is too long.
    pub(crate) fn may_say_more(&self, now: Timestamp) -> Result<Duration, Error> {
        match self.buckets.lock().mistakes.wait(self.rates.mistakes, now) {
            wait if wait > MAX_DELAY => Err(Error::OverBudget { retry_after: wait }),
            wait => Ok(wait),
        }
    }

    /// Charges a connection, and says for how long it has to wait.
    pub(crate) fn connects(&self, now: Timestamp) -> Duration {
        let (mut buckets, rate) = (self.buckets.lock(), self.rates.connections);
        let wait = buckets.connections.wait(rate, now);
        buckets.connections.spend(rate, now, 1);
        wait.min(MAX_CONNECT_DELAY)
    }

    /// Counts an event that waits; none when there is no room for it, here or in the server's memory.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        self.inbox.lock().grow(bytes).then(|| Held { person: self.clone(), bytes })
    }

    /// A permit to read and queue an answer.
    pub(crate) async fn answering(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only if somebody closes it, which nobody does.
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
                    // One that was cut would never hold anything again.
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
            // Less is always possible.
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
