//! The `pid`: the signed string with which a client resumes its session.
//!
//! `socket.io-client` treats it as an opaque string. It contains the user, the time, the [epoch](chat_core::epoch) of
//! the log and the position at which the session began; the signature also covers the dialect. Because it is signed,
//! the server stores nothing: any node can resume a session, even after a restart.
//!
//! When the secret is rotated, pids that were signed with the old one stay valid for as long as it verifies tokens.
//! Otherwise all pages would reload at the same moment. Later such a pid is treated like one of another server, and its
//! session begins afresh, as after a long absence. The same holds for a pid of another epoch: a backup was restored,
//! and the changes that the session received may no longer exist.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::clock::Timestamp;
use chat_core::epoch::Epoch;
use chat_core::id::UserId;
use chat_core::model::Position;
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::auth::token::Fingerprint;
use crate::dialect::Dialect;
use crate::secret::Secret;

/// Signs and verifies pids.
pub(crate) struct Pids {
    key: Hmac<Sha256>,
    /// Keys that only verify.
    old: Vec<Hmac<Sha256>>,
    /// The current epoch. Pids of other epochs are invalid.
    epoch: Mutex<Epoch>,
}

/// Where a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Began {
    /// The session had received every change up to this position.
    pub(crate) position: Position,
    /// The offset that its client still had at that time from an earlier session, if that position is from a log that
    /// was lost. The client sends it until it receives another position. 0 if there is none.
    pub(crate) stale: Position,
}

/// How long a session can be resumed after its pid was issued. A page that is open for longer reloads once.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The first byte of every pid: its format version.
const FORM: u8 = 2;

/// Format, user, time in seconds, position, stale position, epoch, and a random part that makes each pid unique.
const CONTENT: usize = 1 + 12 + 8 + 8 + 8 + 8 + 6;

/// The format before epochs existed, without epoch and stale position. All such pids belong to the first epoch.
const FIRST_FORM: u8 = 1;
const FIRST_CONTENT: usize = 1 + 12 + 8 + 8 + 6;

/// The length of the truncated signature, in bytes: 128 bits cannot be guessed.
const SIGNATURE: usize = 16;

impl Pids {
    /// Signs with a key derived from the server's secret, which all nodes share.
    pub(crate) fn new(secret: &Secret, old: &[Secret], epoch: Epoch) -> Self {
        Self {
            key: signing_key(secret),
            old: old.iter().map(signing_key).collect(),
            epoch: Mutex::new(epoch),
        }
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        *self.epoch.lock()
    }

    /// Begins a new epoch. All pids that were issued before become invalid.
    pub(crate) fn begin_epoch(&self, epoch: Epoch) {
        *self.epoch.lock() = epoch;
    }

    /// Issues a pid for a session that begins now. The session does not receive changes up to its position.
    pub(crate) fn issue(&self, user: UserId, dialect: &dyn Dialect, began: Began, now: Timestamp) -> String {
        let mut pid = Vec::with_capacity(CONTENT + SIGNATURE);
        pid.push(FORM);
        pid.extend_from_slice(user.as_bytes());
        pid.extend_from_slice(&now.as_millis().div_euclid(1000).to_be_bytes());
        for number in [began.position.0, began.stale.0, self.epoch().id] {
            pid.extend_from_slice(&number.to_be_bytes());
        }
        pid.extend_from_slice(&rand::random::<[u8; 6]>());
        let signature = sign(&self.key, &pid, dialect).finalize().into_bytes();
        pid.extend_from_slice(&signature[..SIGNATURE]);
        BASE64_URL_SAFE_NO_PAD.encode(pid)
    }

    /// Where the session began, if the pid is valid, for this user and dialect, of the current epoch, and not too old.
    pub(crate) fn read(
        &self,
        pid: &str,
        user: UserId,
        dialect: &dyn Dialect,
        now: Timestamp,
    ) -> Option<Began> {
        let pid = BASE64_URL_SAFE_NO_PAD.decode(pid).ok()?;
        let (form, length) = match *pid.first()? {
            FORM => (FORM, CONTENT),
            FIRST_FORM => (FIRST_FORM, FIRST_CONTENT),
            _ => return None,
        };
        let (content, signature) = pid.split_at_checked(length)?;
        if signature.len() != SIGNATURE {
            return None;
        }
        let mut keys = std::iter::once(&self.key).chain(&self.old);
        if !keys.any(|key| sign(key, content, dialect).verify_truncated_left(signature).is_ok()) {
            return None;
        }
        let (whose, rest) = content.get(1..)?.split_first_chunk::<12>()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (position, rest) = rest.split_first_chunk()?;
        let position = Position(u64::from_be_bytes(*position));
        let issued_at = Timestamp::from_millis(i64::from_be_bytes(*issued_at).saturating_mul(1000));
        if whose != user.as_bytes() || now > issued_at.after(LIFE) {
            return None;
        }
        if form == FIRST_FORM {
            return (self.epoch().renewals == 0).then_some(Began { position, stale: Position(0) });
        }
        let (stale, rest) = rest.split_first_chunk()?;
        let (epoch, _) = rest.split_first_chunk()?;
        let began = Began { position, stale: Position(u64::from_be_bytes(*stale)) };
        (u64::from_be_bytes(*epoch) == self.epoch().id).then_some(began)
    }
}

/// The fingerprint under which a pid is stored. Each pid has only one encoding.
pub(super) fn key(pid: &str) -> Fingerprint {
    Sha256::digest(pid).into()
}

/// Each purpose has its own key, so a token can never be used as a pid or a pid as a token.
fn signing_key(secret: &Secret) -> Hmac<Sha256> {
    let mut derive = mac(secret.expose().as_bytes());
    derive.update(b"chat-server session recovery");
    mac(&derive.finalize().into_bytes())
}

fn sign(key: &Hmac<Sha256>, content: &[u8], dialect: &dyn Dialect) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(content);
    mac.update(dialect.name().as_bytes());
    mac
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests;
