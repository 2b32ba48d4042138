//! Passwords: bcrypt (Provos and Mazières 1999), as the old backends keep them, so their hashes are good here.
//!
//! Like theirs, a hash takes the first 72 bytes of a password and ignores the rest. Hashing takes a large part of a
//! second of a core on purpose, so it never runs on the threads that serve connections. One core is left free of it, and
//! the turns are shared fairly among the addresses that ask: see `auth/fair_queue.rs`.
//!
//! **Time tells nothing.** Verifying takes as long as the dearest of the hashes that are in use, whether the person
//! exists, whatever their hash had cost, and also when it is broken: what a cheaper one saves is spent as well.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chat_core::model::PasswordHash;

pub use super::fair_queue::Busy;
use super::fair_queue::{FairQueue, Permit, QueueLimits};
use super::password_rules::NewPassword;
use crate::address::Address;
use crate::limits::lower_priority;

/// Most log-ins and sign-ups of one address that wait for their turn; more are told to come back. A school behind one address
/// logs in within minutes, and the others take turns with it however many wait.
pub const MAX_WAITING_OF_ADDRESS: usize = 300;

/// Most log-ins and sign-ups that wait for their turn in all; more are told to come back.
pub const MAX_WAITING: usize = 1_000;

/// Hashes that cost more than new ones do by more steps than this are not waited for when there is nobody: they would
/// make every log-in as dear as they are.
const MAX_DEARER: u32 = 3;

/// What bcrypt takes of a password.
const BYTES_TAKEN: usize = 72;

/// Hashes and verifies passwords.
pub struct Passwords {
    cost: u32,
    /// The greatest cost of a hash that is in use, as far as is known.
    usual: Arc<AtomicU32>,
    queue: FairQueue<IpAddr>,
}

/// The right to one hashing.
pub struct PasswordPermit(Permit<IpAddr>);

/// What came of verifying.
pub struct Verified {
    /// Whether it is the password.
    pub is_good: bool,
    /// The password hashed anew, if it is good and its hash has cost less than new ones do.
    pub renewed: Option<PasswordHash>,
}

/// It could not be hashed: a fault of ours.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a password could not be hashed")]
pub struct NotHashed;

impl Passwords {
    /// New hashes get this cost. Of so many cores one is left free, if there is more than one.
    pub fn new(cost: u32, cores: usize) -> Self {
        let limits = QueueLimits {
            turns: cores.saturating_sub(1).max(1),
            waiting_of_one: MAX_WAITING_OF_ADDRESS,
            waiting: MAX_WAITING,
        };
        Self { cost, usual: Arc::new(AtomicU32::new(cost)), queue: FairQueue::new(limits) }
    }

    /// A turn for somebody at this address, when it has come.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn turn(&self, address: Address) -> Result<PasswordPermit, Busy> {
        self.queue.turn(network(address.0)).await.map(PasswordPermit)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// When that is not possible, for no fault of the caller's.
    pub async fn hash(&self, turn: PasswordPermit, password: NewPassword) -> Result<PasswordHash, NotHashed> {
        let cost = self.cost;
        run(turn, move || hash(password.expose(), cost)).await?
    }

    /// Whether a password is the one that was hashed. Without a hash (there is no such user) it is not, after the
    /// same time.
    ///
    /// # Errors
    /// When that is not possible, for no fault of the caller's.
    pub async fn verify(
        &self,
        turn: PasswordPermit,
        password: String,
        hash: Option<PasswordHash>,
    ) -> Result<Verified, NotHashed> {
        let (cost, usual) = (self.cost, self.usual.clone());
        run(turn, move || verify(&password, hash.as_ref(), cost, &usual)).await
    }
}

async fn run<T: Send + 'static>(
    turn: PasswordPermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotHashed> {
    // The turn ends with the work, not with the request: a caller that gives up frees no core.
    let work = tokio::task::spawn_blocking(move || {
        lower_priority();
        let done = work();
        drop(turn.0);
        done
    });
    work.await.map_err(|_| NotHashed)
}

/// Who shares their turns. Those who have a /48 of IPv6 have 65,536 addresses in the sense of the other limits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
        IpAddr::V4(_) => address,
    }
}

fn verify(password: &str, hash: Option<&PasswordHash>, cost: u32, usual: &AtomicU32) -> Verified {
    // Neither is anybody's; bcryptjs stops reading at a NUL, so that one would be good with anything behind it.
    let is_possible = !password.is_empty() && !password.contains('\0');
    let bytes = if is_possible { taken(password) } else { b"-" };
    let stored = hash.and_then(|hash| Some((hash.expose(), cost_of(hash.expose())?)));
    let matched = stored.and_then(|(hash, _)| bcrypt::verify(bytes, hash).ok());
    let is_good = is_possible && matched == Some(true);
    let spent = match (stored, matched) {
        (Some((_, spent)), Some(_)) => Some(spent),
        // There is nobody, or nothing that could be compared with.
        _ => None,
    };
    if let Some(spent) = spent {
        usual.fetch_max(spent.min(cost + MAX_DEARER), Ordering::Relaxed);
    }
    if is_good {
        let is_cheap = spent.is_some_and(|spent| spent < cost);
        let renewed = is_cheap.then(|| self::hash(password, cost).ok()).flatten();
        return Verified { is_good, renewed };
    }
    spend(spent, usual.load(Ordering::Relaxed));
    Verified { is_good, renewed: None }
}

/// What is missing to this cost. Each step is twice as dear as the one before: `2^n + (2^n + … + 2^(m-1)) = 2^m`.
fn missing(spent: Option<u32>, cost: u32) -> std::ops::Range<u32> {
    match spent {
        Some(spent) => spent..cost,
        None => cost..cost + 1,
    }
}

fn spend(spent: Option<u32>, cost: u32) {
    for step in missing(spent, cost) {
        std::hint::black_box(bcrypt::bcrypt(step, [0x5a; 16], std::hint::black_box(b"nobody")));
    }
}

/// The cost of a hash, `$2b$12$…`, if it is one.
fn cost_of(hash: &str) -> Option<u32> {
    let mut parts = hash.split('$');
    let is_known = parts.next() == Some("") && matches!(parts.next(), Some("2" | "2a" | "2b" | "2x" | "2y"));
    let cost = parts.next().filter(|cost| is_known && cost.len() == 2)?.parse().ok()?;
    (4..=31).contains(&cost).then_some(cost)
}

fn hash(password: &str, cost: u32) -> Result<PasswordHash, NotHashed> {
    bcrypt::hash(taken(password), cost).map(PasswordHash::new).map_err(|_| NotHashed)
}

fn taken(password: &str) -> &[u8] {
    &password.as_bytes()[..password.len().min(BYTES_TAKEN)]
}

#[cfg(test)]
mod tests;
