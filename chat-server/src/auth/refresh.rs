//! Refresh tokens of login sessions.
//!
//! A refresh token names its session and holds two secrets: one that all refresh tokens of the session share, and one of
//! its own. Only their hashes are stored. So a token with the shared secret whose own secret is not the present one was
//! certainly issued for the session and has been used; a token without the shared secret proves nothing, and nothing
//! happens. For the rules see [`chat_core::store::UserStore::refresh_session`].
//!
//! **The successor.** The secret of the next token is an HMAC of a stored nonce, with the secret of the used token as the
//! key. So its holder can be given the same successor again, when the answer was lost, although the server does not store
//! it. The nonce alone, which the database holds, gives nothing away.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::chat::{FirstToken, TokenUse};
use chat_core::id::{LoginSessionId, UserId};
use chat_core::model::{TokenHash, TokenNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A refresh token. It has no `Debug`, so that it cannot get into a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// Whose session.
    pub(crate) user: UserId,
    /// Which session.
    pub(crate) session: LoginSessionId,
    /// The secret that all refresh tokens of the session share.
    family: [u8; 16],
    /// The secret of this token.
    secret: [u8; 32],
}

/// The secrets of the first refresh token of a session that has no id yet.
pub(crate) struct FirstSecrets {
    family: [u8; 16],
    secret: [u8; 32],
}

impl FirstSecrets {
    /// New random secrets.
    pub(crate) fn new() -> Self {
        Self { family: rand::random(), secret: rand::random() }
    }

    /// Their hashes.
    pub(crate) fn hashes(&self) -> FirstToken {
        FirstToken { family: hash(&self.family), token: hash(&self.secret) }
    }

    /// The token of this session.
    pub(crate) fn of(self, user: UserId, session: LoginSessionId) -> RefreshToken {
        let Self { family, secret } = self;
        RefreshToken { user, session, family, secret }
    }
}

impl RefreshToken {
    /// Decodes a token; `None` when it does not have the form of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 96 {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (user, rest) = bytes.split_first_chunk::<12>()?;
        let (session, rest) = rest.split_first_chunk::<12>()?;
        let (family, secret) = rest.split_first_chunk::<16>()?;
        Some(Self {
            user: UserId::from_bytes(*user),
            session: LoginSessionId::from_bytes(*session),
            family: *family,
            secret: secret.try_into().ok()?,
        })
    }

    /// The token in the form in which clients keep it.
    pub(crate) fn encode(&self) -> String {
        let bytes = [&self.user.as_bytes()[..], self.session.as_bytes(), &self.family, &self.secret].concat();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The hash of the secret that all refresh tokens of the session share.
    pub(crate) fn family(&self) -> TokenHash {
        hash(&self.family)
    }

    /// What is written down to replace this token with the successor that a new nonce gives.
    pub(crate) fn use_now(&self) -> (TokenUse, Self) {
        let nonce = TokenNonce(rand::random());
        let next = self.successor(nonce);
        let used = TokenUse {
            session: self.session,
            family: self.family(),
            token: hash(&self.secret),
            next: hash(&next.secret),
            nonce,
        };
        (used, next)
    }

    /// The token that has replaced this one with this nonce.
    pub(crate) fn successor(&self, nonce: TokenNonce) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret);
        let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(&nonce.0);
        Self { secret: mac.finalize().into_bytes().into(), ..self.clone() }
    }
}

fn hash(secret: &[u8]) -> TokenHash {
    TokenHash(Sha256::digest(secret).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> RefreshToken {
        FirstSecrets::new().of(UserId::from_bytes([1; 12]), LoginSessionId::from_bytes([2; 12]))
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = token();
        let text = token.encode();
        assert!(RefreshToken::parse(&text) == Some(token));
        let longer = format!("{text}A");
        for wrong in ["", "x.y.z", &text[1..], &longer, &text.replace(&text[..1], "!"), &"é".repeat(48)] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_the_holder_of_a_token_knows_its_successor() {
        let token = token();
        let (used, next) = token.use_now();
        assert!(token.successor(used.nonce) == next, "the same again");
        let (other, another) = token.use_now();
        assert!(next != another && used.next != other.next && used.token == other.token);
        let (of_next, _) = next.use_now();
        assert_eq!((of_next.token, of_next.family, of_next.session), (used.next, used.family, used.session));
        let stranger = RefreshToken { secret: [0; 32], ..token };
        assert!(stranger.successor(used.nonce) != next);
    }
}
