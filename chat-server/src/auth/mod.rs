//! Authentication: tokens, passwords, and rate limits for guessing.

mod claims;
pub(crate) mod error;
mod fair_queue;
mod hmac_sha256;
pub mod limit;
pub mod password;
pub mod password_rules;
pub(crate) mod refresh;
pub mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::LoginSessionId;
use chat_core::model::{User, UserKey};
use chat_core::prelude::{Chat, Error};
use chat_core::store::StoreError;
use parking_lot::RwLock;

pub use self::error::AuthError;
use self::token::{Fingerprint, Identity, Tokens};
use crate::dialect::Registered;

/// An account whose token was verified.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The account.
    pub user: Arc<User>,
    /// The content of the token.
    pub identity: Identity,
}

/// Verifies tokens against the secret, the revocations and the accounts.
pub struct Authenticator {
    chat: Arc<Chat>,
    tokens: Tokens,
    revoked: RwLock<Revoked>,
}

/// Revoked tokens, and when each would have expired.
#[derive(Default)]
struct Revoked {
    /// Tokens that are in the store, or are being written there by this node.
    stored: HashMap<Fingerprint, Timestamp>,
    /// Tokens that other nodes have announced, and that were not read from the store yet.
    heard: HashMap<Fingerprint, Timestamp>,
}

/// Maximum number of revoked tokens that are known only from announcements of other nodes.
const MAX_HEARD: usize = 10_000;

impl Authenticator {
    /// Loads the revoked tokens from the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(chat: Arc<Chat>, tokens: Tokens) -> Result<Self, StoreError> {
        let stored = chat.store().revoked_tokens(chat.now()).await?.into_iter().collect();
        Ok(Self { chat, tokens, revoked: RwLock::new(Revoked { stored, ..Revoked::default() }) })
    }

    /// Issues a token for an account that has just logged in with this dialect.
    pub fn issue(&self, user: &User, dialect: &Registered) -> String {
        self.tokens.issue(user, dialect, self.chat.now())
    }

    /// Issues an access token of a login session.
    pub(crate) fn issue_in_session(
        &self,
        user: &User,
        dialect: &Registered,
        session: LoginSessionId,
    ) -> String {
        self.tokens.issue_in_session(user, dialect, session, self.chat.now())
    }

    /// How long an issued token is valid.
    pub fn token_life(&self) -> Duration {
        self.tokens.life()
    }

    /// Authenticates the account of a token.
    ///
    /// # Errors
    /// When the token is invalid, its account does not exist, or the store fails.
    pub async fn authenticate(&self, token: &str) -> Result<Authenticated, AuthError> {
        let identity = self.tokens.verify(token, self.chat.now()).ok_or(AuthError::Invalid)?;
        if self.is_void(&identity) {
            return Err(AuthError::Invalid);
        }
        let user = self.chat.find_user(&identity.user).await?.ok_or(AuthError::UserNotFound)?;
        if let (UserKey::Username(_), Some(issued_at)) = (&identity.user, identity.issued_at) {
            // A token with only a username belongs to the account that had the name when the token was issued. The
            // times in tokens are whole seconds.
            if issued_at.after(Duration::from_secs(1)) <= user.created_at {
                return Err(AuthError::Invalid);
            }
        }
        // The TCP connection of the request counts as authenticated from now on; see `transport::Connection`.
        crate::transport::connections::Connection::set_current_known(user.id);
        crate::http::accounted::Caller::is(user.id);
        Ok(Authenticated { user, identity })
    }

    /// The content of a token, if it is valid. Does not check that the account exists.
    pub(crate) fn read(&self, token: &str) -> Option<Identity> {
        let identity = self.tokens.verify(token, self.chat.now())?;
        (!self.is_void(&identity)).then_some(identity)
    }

    /// Whether a token was revoked, or its login session has ended.
    fn is_void(&self, identity: &Identity) -> bool {
        let session = identity.session_revocation();
        self.is_revoked(&identity.fingerprint) || session.is_some_and(|session| self.is_revoked(&session))
    }

    /// Whether a token was revoked.
    pub fn is_revoked(&self, fingerprint: &Fingerprint) -> bool {
        let revoked = self.revoked.read();
        revoked.stored.contains_key(fingerprint) || revoked.heard.contains_key(fingerprint)
    }

    /// The number of tokens that are known to be revoked.
    pub(crate) fn revoked_known(&self) -> usize {
        let revoked = self.revoked.read();
        revoked.stored.len() + revoked.heard.len()
    }

    /// Marks a session as revoked because this node has ended it for good, and stores that; see [`crate::recovery`].
    pub(crate) fn note_ended(&self, session: Fingerprint, until: Timestamp) {
        self.revoked.write().stored.insert(session, until);
    }

    /// Marks the tokens of a login session as revoked. The session has ended, and the store has it already.
    pub(crate) fn note_session_ended(&self, revocation: Fingerprint, until: Timestamp) {
        let now = self.chat.now();
        let mut revoked = self.revoked.write();
        revoked.stored.retain(|_, until| *until > now);
        if until > now {
            revoked.stored.insert(revocation, until);
        }
    }

    /// Notes that another node has revoked a token. Returns false when there is no room to remember it; the caller must
    /// then read the store with [`Self::reload_revoked`].
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

    /// Reads from the store which tokens were revoked, and returns those that were not known yet.
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

    /// Revokes a token permanently. Returns its fingerprint and its expiry, or `None` if the token was invalid anyway.
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
            // The revocation takes effect now, even if this request is cancelled later.
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
