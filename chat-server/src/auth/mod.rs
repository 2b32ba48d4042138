//! Who somebody is: tokens, passwords, and how often one may guess.

mod claims;
pub(crate) mod error;
mod fair_queue;
mod hmac_sha256;
pub mod limit;
pub mod password;
pub mod password_rules;
pub mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::model::{User, UserKey};
use chat_core::prelude::{Chat, Error};
use chat_core::store::StoreError;
use parking_lot::RwLock;

pub use self::error::AuthError;
use self::token::{Fingerprint, Identity, Tokens};
use crate::dialect::Registered;

/// Somebody whose token was checked.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The person.
    pub user: Arc<User>,
    /// What the token says beyond that.
    pub identity: Identity,
}

/// Checks tokens against the secret, the revocations and the users.
pub struct Authenticator {
    chat: Arc<Chat>,
    tokens: Tokens,
    revoked: RwLock<Revoked>,
}

/// Void tokens, and when each would have expired.
#[derive(Default)]
struct Revoked {
    /// Those that are in the store, or are being put there by this node.
    stored: HashMap<Fingerprint, Timestamp>,
    /// Those that other nodes have spoken of and that were not read from the store yet.
    heard: HashMap<Fingerprint, Timestamp>,
}

/// The most tokens that are known to be revoked by hearsay alone.
const MAX_HEARD: usize = 10_000;

impl Authenticator {
    /// Loads what was revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(chat: Arc<Chat>, tokens: Tokens) -> Result<Self, StoreError> {
        let stored = chat.store().revoked_tokens(chat.now()).await?.into_iter().collect();
        Ok(Self { chat, tokens, revoked: RwLock::new(Revoked { stored, ..Revoked::default() }) })
    }

    /// A token for somebody who has just logged in with this dialect.
    pub fn issue(&self, user: &User, dialect: &Registered) -> String {
        self.tokens.issue(user, dialect, self.chat.now())
    }

    /// How long an issued token is good.
    pub fn token_life(&self) -> Duration {
        self.tokens.life()
    }

    /// Who a token speaks of.
    ///
    /// # Errors
    /// When it is no good or the store fails.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated, AuthError> {
        let identity = self.tokens.verify(token, self.chat.now()).ok_or(AuthError::Invalid)?;
        if self.is_revoked(&identity.fingerprint) {
            return Err(AuthError::Invalid);
        }
        let user = self.chat.find_user(&identity.user).await?.ok_or(AuthError::UserNotFound)?;
        if let (UserKey::Username(_), Some(issued_at)) = (&identity.user, identity.issued_at) {
            // A token that gives nothing but a name speaks of whoever had the name then. Tokens tell whole seconds.
            if issued_at.after(Duration::from_secs(1)) <= user.created_at {
                return Err(AuthError::Invalid);
            }
        }
        // A request's connection counts as somebody's from now on; see `transport::Connection`.
        crate::transport::connections::Connection::set_current_known(user.id);
        crate::http::accounted::Caller::is(user.id);
        Ok(Authenticated { user, identity })
    }

    /// What a token says, if it is good; whether the person exists is not looked up.
    pub(crate) fn read(&self, token: &str) -> Option<Identity> {
        let identity = self.tokens.verify(token, self.chat.now())?;
        (!self.is_revoked(&identity.fingerprint)).then_some(identity)
    }

    /// Whether a token has been revoked.
    pub fn is_revoked(&self, fingerprint: &Fingerprint) -> bool {
        let revoked = self.revoked.read();
        revoked.stored.contains_key(fingerprint) || revoked.heard.contains_key(fingerprint)
    }

    /// How many are known to be revoked.
    pub(crate) fn revoked_known(&self) -> usize {
        let revoked = self.revoked.read();
        revoked.stored.len() + revoked.heard.len()
    }

    /// A session was ended on purpose at this node, which stores that: it counts as revoked; see [`crate::recovery`].
    pub(crate) fn note_ended(&self, session: Fingerprint, until: Timestamp) {
        self.revoked.write().stored.insert(session, until);
    }

    /// A token was revoked elsewhere. Answers false when there is no place left to remember it: then the store has to be
    /// asked, by [`Self::reload_revoked`].
    #[must_use]
    pub(crate) fn note_revoked(&self, fingerprint: Fingerprint, until: Timestamp) -> bool {
        let now = self.chat.now();
        let mut revoked = self.revoked.write();
        if until <= now || revoked.stored.contains_key(&fingerprint) {
            return true;
        }
        if revoked.heard.len() >= MAX_HEARD {
            revoked.heard.retain(|_, until| *until > now);
        }
        if revoked.heard.len() >= MAX_HEARD && !revoked.heard.contains_key(&fingerprint) {
            return false;
        }
        revoked.heard.insert(fingerprint, until);
        true
    }

    /// Looks what was revoked elsewhere, and answers what was not known of it.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn reload_revoked(&self) -> Result<Vec<Fingerprint>, StoreError> {
        let now = self.chat.now();
        let stored = self.chat.store().revoked_tokens(now).await?;
        let mut revoked = self.revoked.write();
        let Revoked { stored: known, heard } = &mut *revoked;
        known.retain(|_, until| *until > now);
        heard.retain(|_, until| *until > now);
        let mut new = Vec::new();
        for (token, until) in stored {
            let was_heard = heard.remove(&token).is_some();
            if known.insert(token, until).is_none() && !was_heard {
                new.push(token);
            }
        }
        Ok(new)
    }

    /// Revokes a token, for ever. Returns its fingerprint and when it would have expired, or none when it was no good
    /// anyway.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, token: &str) -> Result<Option<(Fingerprint, Timestamp)>, AuthError> {
        let now = self.chat.now();
        let Some(identity) = self.tokens.verify(token, now) else { return Ok(None) };
        let never = Timestamp::from_millis(i64::MAX);
        let until = identity.expires_at.unwrap_or(never);
        let fingerprint = identity.fingerprint;
        {
            // From this moment on, whatever becomes of this request.
            let mut revoked = self.revoked.write();
            revoked.stored.retain(|_, until| *until > now);
            revoked.stored.insert(fingerprint, until);
        }
        self.chat.store().revoke_token(fingerprint, until).await.map_err(Error::from)?;
        Ok(Some((fingerprint, until)))
    }
}

#[cfg(test)]
mod tests;
