//! Passwords: bcrypt (Provos and Mazières 1999), as in the old backends, so that their hashes remain valid.
//!
//! As in these backends, a hash uses only the first 72 bytes of a password. Hashing takes a large part of a second of
//! one core on purpose, so it never runs on the threads that serve connections. One core is kept free of it, and the
//! turns are shared fairly among client addresses: see `auth/fair_queue.rs`.
//!
//! **Constant time.** Verifying always takes as long as the most expensive hash in use, whether the account exists or
//! not, whatever its hash costs, and even if the hash is corrupt. The time that a cheaper hash saves is spent on
//! purpose.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chat_core::model::PasswordHash;

pub use super::fair_queue::Busy;
use super::fair_queue::{FairQueue, Permit, QueueLimits};
use super::password_rules::NewPassword;
use crate::address::Address;
use crate::limits::lower_priority;

/// Maximum number of logins and sign-ups of one address that wait for a turn; further ones must retry. A school behind
/// one address can log in within minutes, and its turns alternate with those of other addresses.
pub const MAX_WAITING_OF_ADDRESS: usize = 300;

/// Maximum number of logins and sign-ups that wait in total; further ones must retry.
pub const MAX_WAITING: usize = 1_000;

/// Limits how expensive old hashes can make other logins. A hash whose cost exceeds that of new ones by more steps
/// counts only up to this number when time is spent for other logins.
const MAX_DEARER: u32 = 3;

/// The number of bytes of a password that bcrypt uses.
const BYTES_TAKEN: usize = 72;

/// Hashes and verifies passwords.
pub struct Passwords {
    cost: u32,
    /// The greatest known cost of a hash in use.
    usual: Arc<AtomicU32>,
    queue: FairQueue<IpAddr>,
}

/// The right to hash once.
pub struct PasswordPermit(Permit<IpAddr>);

/// The result of verifying.
pub struct Verified {
    /// Whether the password is correct.
    pub is_good: bool,
    /// A new hash of the password, if it is correct and its old hash costs less than new ones.
    pub renewed: Option<PasswordHash>,
}

/// The password could not be hashed because of a server error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a password could not be hashed")]
pub struct NotHashed;

impl Passwords {
    /// Creates new hashes with this cost. One of the `cores` is kept free, if there is more than one.
    pub fn new(cost: u32, cores: usize) -> Self {
        let limits = QueueLimits {
            turns: cores.saturating_sub(1).max(1),
            waiting_of_one: MAX_WAITING_OF_ADDRESS,
            waiting: MAX_WAITING,
        };
        Self { cost, usual: Arc::new(AtomicU32::new(cost)), queue: FairQueue::new(limits) }
    }

    /// Waits for a turn for this address.
    ///
    /// # Errors
    /// When too many requests are waiting.
    pub async fn turn(&self, address: Address) -> Result<PasswordPermit, Busy> {
        self.queue.turn(network(address.0)).await.map(PasswordPermit)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// When hashing fails because of a server error.
    pub async fn hash(&self, turn: PasswordPermit, password: NewPassword) -> Result<PasswordHash, NotHashed> {
        let cost = self.cost;
        run(turn, move || hash(password.expose(), cost)).await?
    }

    /// Checks a password against a hash. Without a hash (the account does not exist) the result is negative, after the
    /// same time.
    ///
    /// # Errors
    /// When hashing fails because of a server error.
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
    // The turn ends with the work, not with the request: a cancelled request does not free a core.
    let work = tokio::task::spawn_blocking(move || {
        lower_priority();
        let done = work();
        drop(turn.0);
        done
    });
    work.await.map_err(|_| NotHashed)
}

/// The network that shares its turns. The owner of an IPv6 /48 has 65,536 addresses in the sense of the other limits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
        IpAddr::V4(_) => address,
    }
}

fn verify(password: &str, hash: Option<&PasswordHash>, cost: u32, usual: &AtomicU32) -> Verified {
    // Both are invalid: bcryptjs stops reading at a NUL, so a password with anything behind the NUL would match.
    let is_possible = !password.is_empty() && !password.contains('\0');
    let bytes = if is_possible { taken(password) } else { b"-" };
    let stored = hash.and_then(|hash| Some((hash.expose(), cost_of(hash.expose())?)));
    let matched = stored.and_then(|(hash, _)| bcrypt::verify(bytes, hash).ok());
    let is_good = is_possible && matched == Some(true);
    let spent = match (stored, matched) {
        (Some((_, spent)), Some(_)) => Some(spent),
        // There is no account, or its hash is corrupt.
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

/// The costs that must still be spent to reach `cost`. Each step doubles the time: `2^n + (2^n + … + 2^(m-1)) = 2^m`.
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

/// The cost of a bcrypt hash, `$2b$12$…`; `None` for other texts.
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
