//! The `pid`: what a client gives back to go on with its session.
//!
//! `socket.io-client` treats it as an opaque text. Ours says whose session it was, in which dialect, since when, and at
//! which position it began, and is signed, so nothing has to be remembered: any node can take a session up, also after
//! a restart.
//!
//! When the secret is changed, pids that were signed with the old one stay good for as long as it verifies tokens:
//! otherwise all pages would load afresh at the same moment. Afterwards such a pid is one of another server, and its
//! session begins afresh, as after being away for too long.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::Position;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::auth::token::Fingerprint;
use crate::dialect::Dialect;
use crate::secret::Secret;

/// Signs and verifies.
pub(crate) struct Pids {
    key: Hmac<Sha256>,
    /// These verify only.
    old: Vec<Hmac<Sha256>>,
}

/// How long after it was issued a session can be taken up. A page that is open for longer loads afresh once.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The first byte of every pid: the form of what follows.
const FORM: u8 = 1;

/// Form, user, time in seconds, position, and something that no two have in common.
const CONTENT: usize = 1 + 12 + 8 + 8 + 6;

/// As much of the signature as is kept: 128 bits cannot be guessed.
const SIGNATURE: usize = 16;

impl Pids {
    /// Signs with a key made of the server's secret, which all nodes share.
    pub(crate) fn new(secret: &Secret, old: &[Secret]) -> Self {
        Self { key: signing_key(secret), old: old.iter().map(signing_key).collect() }
    }

    /// A pid for a session that begins now: everything up to `position` is not its business.
    pub(crate) fn issue(
        &self,
        user: UserId,
        dialect: &Dialect,
        position: Position,
        now: Timestamp,
    ) -> String {
        let mut pid = Vec::with_capacity(CONTENT + SIGNATURE);
        pid.push(FORM);
        pid.extend_from_slice(user.as_bytes());
        pid.extend_from_slice(&now.as_millis().div_euclid(1000).to_be_bytes());
        pid.extend_from_slice(&position.0.to_be_bytes());
        pid.extend_from_slice(&rand::random::<[u8; 6]>());
        let signature = sign(&self.key, &pid, dialect).finalize().into_bytes();
        pid.extend_from_slice(&signature[..SIGNATURE]);
        BASE64_URL_SAFE_NO_PAD.encode(pid)
    }

    /// Where the session began, if the pid is one of ours, for this person and dialect, and not too old.
    pub(crate) fn read(
        &self,
        pid: &str,
        user: UserId,
        dialect: &Dialect,
        now: Timestamp,
    ) -> Option<Position> {
        let pid = BASE64_URL_SAFE_NO_PAD.decode(pid).ok()?;
        let (content, signature) = pid.split_at_checked(CONTENT)?;
        if signature.len() != SIGNATURE {
            return None;
        }
        let mut keys = std::iter::once(&self.key).chain(&self.old);
        if !keys.any(|key| sign(key, content, dialect).verify_truncated_left(signature).is_ok()) {
            return None;
        }
        let (&form, rest) = content.split_first()?;
        let (whose, rest) = rest.split_first_chunk::<12>()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (position, _) = rest.split_first_chunk()?;
        let issued_at = Timestamp::from_millis(i64::from_be_bytes(*issued_at).saturating_mul(1000));
        let fits = form == FORM && whose == user.as_bytes() && now <= issued_at.after(LIFE);
        fits.then(|| Position(u64::from_be_bytes(*position)))
    }
}

/// What a pid is remembered by. There is one way to write each of them.
pub(super) fn key(pid: &str) -> Fingerprint {
    Sha256::digest(pid).into()
}

/// Another purpose, another key: a token can never be passed off as a pid or the other way round.
fn signing_key(secret: &Secret) -> Hmac<Sha256> {
    let mut derive = mac(secret.expose().as_bytes());
    derive.update(b"chat-server session recovery");
    mac(&derive.finalize().into_bytes())
}

fn sign(key: &Hmac<Sha256>, content: &[u8], dialect: &Dialect) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(content);
    mac.update(dialect.name.as_bytes());
    mac
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const ANN: UserId = UserId::from_bytes([7; 12]);

    fn pids(secret: &str) -> Pids {
        Pids::new(&Secret::new(secret.into()), &[])
    }

    #[test]
    fn a_pid_outlives_the_secret_it_was_made_with() {
        let camel = dialect::ALL[0];
        let pid = pids("old").issue(ANN, camel, Position(42), NOW);
        let rotated = Pids::new(&Secret::new("new".into()), &[Secret::new("old".into())]);
        assert_eq!(rotated.read(&pid, ANN, camel, NOW), Some(Position(42)));
        let pid = rotated.issue(ANN, camel, Position(42), NOW);
        assert_eq!(pids("old").read(&pid, ANN, camel, NOW), None, "it does not sign");
        assert_eq!(pids("new").read(&pid, ANN, camel, NOW), Some(Position(42)));
    }

    #[test]
    fn a_pid_tells_where_its_session_began() {
        let (camel, push) = (dialect::ALL[0], dialect::ALL[1]);
        let pids = pids("s");
        let pid = pids.issue(ANN, camel, Position(42), NOW);
        assert_eq!(pids.read(&pid, ANN, camel, NOW), Some(Position(42)));
        assert_eq!(pids.read(&pid, ANN, camel, NOW.after(LIFE)), Some(Position(42)));
        assert_ne!(pid, pids.issue(ANN, camel, Position(42), NOW), "no two sessions have the same");

        assert_eq!(pids.read(&pid, ANN, camel, NOW.after(LIFE + Duration::from_secs(1))), None, "too old");
        assert_eq!(pids.read(&pid, ANN, push, NOW), None, "another dialect's");
        assert_eq!(pids.read(&pid, UserId::from_bytes([8; 12]), camel, NOW), None, "another person's");
        assert_eq!(self::pids("t").read(&pid, ANN, camel, NOW), None, "another server's");
    }

    #[test]
    fn a_forged_pid_is_none() {
        let camel = dialect::ALL[0];
        let pids = pids("s");
        let pid = pids.issue(ANN, camel, Position(42), NOW);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&pid).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(pids.read(&BASE64_URL_SAFE_NO_PAD.encode(forged), ANN, camel, NOW), None, "byte {at}");
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert_eq!(pids.read(&cut, ANN, camel, NOW), None, "{at} bytes");
        }
        for text in ["", "x", "ä", "AAAA", &format!("{pid}AAAA"), &"A".repeat(100_000)] {
            assert_eq!(pids.read(text, ANN, camel, NOW), None);
        }
    }
}
