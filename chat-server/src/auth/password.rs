//! Passwords: bcrypt (Provos and Mazières 1999), as the old backends keep them, so their hashes are good here.
//!
//! Like theirs, a hash takes the first 72 bytes of a password and ignores the rest. Hashing takes a large part of a
//! second of a core on purpose, so it never runs on the threads that serve connections, and only as many at once as
//! there are cores.

use std::sync::Arc;

use chat_core::model::PasswordHash;
use tokio::sync::Semaphore;

/// Most log-ins and sign-ups that wait for their turn; more are told to come back.
const MOST_WAITING: usize = 1_000;

/// Hashes and verifies passwords.
pub struct Passwords {
    cost: u32,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Compared with when there is no such user, so that the answer takes as long.
    decoy: PasswordHash,
}

/// Too many others wait.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many log-ins at once")]
pub struct Busy;

impl Passwords {
    /// New hashes get this cost.
    pub fn new(cost: u32, at_once: usize) -> Self {
        let decoy = hash("decoy", cost);
        Self {
            cost,
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            decoy,
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn hash(&self, password: String) -> Result<PasswordHash, Busy> {
        let cost = self.cost;
        self.run(move || hash(&password, cost)).await
    }

    /// Whether a password is the one that was hashed. Without a hash (there is no such user) it is not, after the
    /// same time.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn verify(&self, password: String, hash: Option<PasswordHash>) -> Result<bool, Busy> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        self.run(move || bcrypt::verify(truncated(&password), hash.expose()).unwrap_or(false) && known).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Busy)?;
        // The turn ends with the work, not with the request: a caller that gives up frees no core.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((place, turn));
            done
        });
        work.await.map_err(|_| Busy)
    }
}

fn hash(password: &str, cost: u32) -> PasswordHash {
    // Fails only for a cost out of range, which the configuration has checked, and for no password we let through;
    // an empty hash lets nobody in.
    PasswordHash::new(bcrypt::hash(truncated(password), cost).unwrap_or_default())
}

/// What bcryptjs takes of a password: up to 72 bytes, and up to a NUL.
fn truncated(password: &str) -> &[u8] {
    let bytes = &password.as_bytes()[..password.len().min(72)];
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_verified() {
        let passwords = Passwords::new(4, 2);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("Correct horse".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("decoy".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_bcryptjs_are_good() {
        let hash = bcrypt::hash("secret123", 4).unwrap().replacen("$2b$", "$2a$", 1);
        let passwords = Passwords::new(4, 1);
        assert!(passwords.verify("secret123".into(), Some(PasswordHash::new(hash))).await.unwrap());
    }

    #[tokio::test]
    async fn long_passwords_and_broken_hashes_let_nobody_in_by_accident() {
        let passwords = Passwords::new(4, 1);
        let long = "x".repeat(500);
        let hash = passwords.hash(long.clone()).await.unwrap();
        assert!(passwords.verify(long, Some(hash)).await.unwrap());
        for broken in ["", "plain", "$2b$04$short"] {
            let broken = Some(PasswordHash::new(broken));
            assert!(!passwords.verify("plain".into(), broken).await.unwrap());
        }
    }
}
