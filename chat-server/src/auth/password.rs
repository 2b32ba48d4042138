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
mod tests {
    use super::*;
    use crate::auth::password_rules::PasswordRules;

    const HERE: Address = Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    async fn hashed(passwords: &Passwords, password: &str) -> PasswordHash {
        let rules = PasswordRules { min: None, check_common: false };
        let turn = passwords.turn(HERE).await.unwrap();
        passwords.hash(turn, rules.check(password.into(), 1).unwrap()).await.unwrap()
    }

    async fn verified(passwords: &Passwords, password: &str, hash: Option<&PasswordHash>) -> Verified {
        let turn = passwords.turn(HERE).await.unwrap();
        passwords.verify(turn, password.into(), hash.cloned()).await.unwrap()
    }

    #[tokio::test]
    async fn passwords_are_verified() {
        let passwords = Passwords::new(4, 2);
        let hash = hashed(&passwords, "correct horse").await;
        assert!(verified(&passwords, "correct horse", Some(&hash)).await.is_good);
        assert!(!verified(&passwords, "Correct horse", Some(&hash)).await.is_good);
        assert!(!verified(&passwords, "nobody", None).await.is_good);
    }

    #[tokio::test]
    async fn hashes_of_bcryptjs_are_good() {
        let hash = bcrypt::hash("secret123", 4).unwrap().replacen("$2b$", "$2a$", 1);
        let passwords = Passwords::new(4, 1);
        assert!(verified(&passwords, "secret123", Some(&PasswordHash::new(hash))).await.is_good);
    }

    #[tokio::test]
    async fn long_passwords_and_broken_hashes_let_nobody_in_by_accident() {
        let passwords = Passwords::new(4, 1);
        let long = "x".repeat(500);
        let hash = hashed(&passwords, &long).await;
        assert!(verified(&passwords, &long, Some(&hash)).await.is_good);
        let cut = &hash.expose()[..40];
        for broken in ["", "plain", "$2b$04$short", "$2b$99$", "$2b$04$", cut] {
            let broken = Some(PasswordHash::new(broken));
            assert!(!verified(&passwords, "plain", broken.as_ref()).await.is_good);
            assert!(!verified(&passwords, "", broken.as_ref()).await.is_good);
        }
    }

    #[tokio::test]
    async fn nothing_and_what_holds_a_nul_is_nobodys_password() {
        let passwords = Passwords::new(4, 1);
        // As bcryptjs would have made them: of what stands before the NUL.
        for (kept, given) in [("secret", "secret\0"), ("secret", "secret\0anything"), ("-", "\0"), ("-", "")]
        {
            let hash = PasswordHash::new(bcrypt::hash(kept, 4).unwrap());
            assert!(!verified(&passwords, given, Some(&hash)).await.is_good, "{given:?}");
        }
    }

    #[tokio::test]
    async fn a_cheap_hash_is_renewed_by_a_good_password_alone() {
        let passwords = Passwords::new(6, 1);
        for (cost, renewed) in [(4, true), (5, true), (6, false), (7, false)] {
            let hash = PasswordHash::new(bcrypt::hash("secret", cost).unwrap());
            assert!(verified(&passwords, "wrong", Some(&hash)).await.renewed.is_none());
            let new = verified(&passwords, "secret", Some(&hash)).await.renewed;
            assert_eq!(new.is_some(), renewed, "cost {cost}");
            if let Some(new) = new {
                assert_eq!(cost_of(new.expose()), Some(6));
                assert!(verified(&passwords, "secret", Some(&new)).await.is_good);
            }
        }
    }

    #[test]
    fn what_is_spent_is_the_same_for_everybody() {
        // In rounds, of which a hash takes two to the power of its cost.
        let cost = |spent: Option<u32>, to: u32| {
            let first: u64 = spent.map_or(0, |spent| 1 << spent);
            first + missing(spent, to).map(|step| 1_u64 << step).sum::<u64>()
        };
        for spent in [None, Some(4), Some(10), Some(11), Some(12)] {
            assert_eq!(cost(spent, 12), 1 << 12, "{spent:?}");
        }
        // A dearer hash that is in use makes nobody's look-up dearer too, within reason.
        let usual = AtomicU32::new(4);
        let dear = PasswordHash::new(bcrypt::hash("secret", 6).unwrap());
        verify("wrong", Some(&dear), 4, &usual);
        assert_eq!(usual.load(Ordering::Relaxed), 6);
        let broken = PasswordHash::new("$2b$31$broken");
        verify("wrong", Some(&broken), 4, &usual);
        assert_eq!(usual.load(Ordering::Relaxed), 6, "a broken one does not");
    }

    #[tokio::test]
    async fn a_core_is_left_free_and_networks_take_turns() {
        for (cores, turns) in [(0, 1), (1, 1), (2, 1), (4, 3)] {
            let passwords = Passwords::new(4, cores);
            let mut held = Vec::new();
            for n in 0..turns {
                held.push(passwords.turn(Address([10, 0, 0, n].into())).await.unwrap());
            }
            let mut waiting = Box::pin(passwords.turn(HERE));
            assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "{cores} cores");
            held.pop();
            assert!(waiting.await.is_ok());
        }
        let v6 = |text: &str| network(text.parse().unwrap());
        assert_eq!(v6("2001:db8:1:2::"), v6("2001:db8:1:ffff::"));
        assert_ne!(v6("2001:db8:1::"), v6("2001:db8:2::"));
        assert_ne!(v6("10.0.0.1"), v6("10.0.0.2"));
    }

    #[tokio::test]
    async fn so_many_of_one_address_wait() {
        let passwords = Passwords::new(4, 1);
        let _held = passwords.turn(HERE).await.unwrap();
        let mut waiting: Vec<_> =
            (0..MAX_WAITING_OF_ADDRESS).map(|_| Box::pin(passwords.turn(HERE))).collect();
        for turn in &mut waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
        }
        assert_eq!(passwords.turn(HERE).await.err(), Some(Busy::TooManyOfOne));
        let mut other = Box::pin(passwords.turn(Address([10, 0, 0, 1].into())));
        assert!(futures_util::poll!(other.as_mut()).is_pending(), "others have their place");
    }
}
