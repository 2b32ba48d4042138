//! The `pid`: what a client gives back to go on with its session.
//!
//! `socket.io-client` treats it as an opaque text. Ours says whose session it was, in which dialect, since when, in which
//! [epoch](chat_core::epoch) of the log and at which position it began, and is signed, so nothing has to be remembered: any node can take a session up, also after
//! a restart.
//!
//! When the secret is changed, pids that were signed with the old one stay good for as long as it verifies tokens:
//! otherwise all pages would load afresh at the same moment. Afterwards such a pid is one of another server, and its
//! session begins afresh, as after being away for too long. So is one of another epoch: somebody has put back a backup, and
//! what its session was told may never have been.

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

/// Signs and verifies.
pub(crate) struct Pids {
    key: Hmac<Sha256>,
    /// These verify only.
    old: Vec<Hmac<Sha256>>,
    /// Those of other epochs are none of ours.
    epoch: Mutex<Epoch>,
}

/// Where a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Began {
    /// It had been told everything up to here.
    pub(crate) position: Position,
    /// What its client remembered then from a session before, of a future that was lost: a client gives that back until it is
    /// told another position. 0 when there is none.
    pub(crate) stale: Position,
}

/// How long after it was issued a session can be taken up. A page that is open for longer loads afresh once.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The first byte of every pid: the form of what follows.
const FORM: u8 = 2;

/// Form, user, time in seconds, position, stale position, epoch, and something that no two have in common.
const CONTENT: usize = 1 + 12 + 8 + 8 + 8 + 8 + 6;

/// The form from before there were epochs, without one and without a stale position. All of them are of the first epoch.
const FIRST_FORM: u8 = 1;
const FIRST_CONTENT: usize = 1 + 12 + 8 + 8 + 6;

/// As much of the signature as is kept: 128 bits cannot be guessed.
const SIGNATURE: usize = 16;

impl Pids {
    /// Signs with a key made of the server's secret, which all nodes share.
    pub(crate) fn new(secret: &Secret, old: &[Secret], epoch: Epoch) -> Self {
        Self {
            key: signing_key(secret),
            old: old.iter().map(signing_key).collect(),
            epoch: Mutex::new(epoch),
        }
    }

    /// The epoch that pids are of.
    pub(crate) fn epoch(&self) -> Epoch {
        *self.epoch.lock()
    }

    /// Those that were issued until now are none of ours any more.
    pub(crate) fn begin_epoch(&self, epoch: Epoch) {
        *self.epoch.lock() = epoch;
    }

    /// A pid for a session that begins now: everything up to its position is not its business.
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

    /// Where the session began, if the pid is one of ours, for this person and dialect, of this epoch, and not too old.
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
