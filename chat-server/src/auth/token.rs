//! Tokens: JWT (RFC 7519) signed with HMAC-SHA-256, and no other algorithm is accepted.
//!
//! The ones we issue carry every claim a family of frontends reads, and the name of the dialect, so that a socket is
//! given the right dialect without the frontend saying anything. The ones an old backend has signed with the same
//! secret are good too, whichever of the claims names the user, with or without an expiry, as far as they were made to
//! log in; see `auth/claims.rs`.
//!
//! **Keys.** One secret signs, any number of old ones verify. Our tokens name their key (`kid`) by a keyed hash of a
//! fixed text, which says no more of the secret than the signature does; others are tried with every key.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::clock::Timestamp;
use chat_core::model::{User, UserKey};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use sha2::Sha256;

use super::claims::{self, Claims};
use super::hmac_sha256;
use crate::dialect::{Dialects, Registered};
use crate::secret::Secret;

/// The most bytes of a token that is looked at. Cookies have no room for more than half of it.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The type of the tokens that we issue (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// What tells one token from all others: its signature, decoded, so that no second spelling of it exists.
pub type Fingerprint = [u8; 32];

/// What a good token says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub user: UserKey,
    /// The name of what their frontend speaks, if the token tells.
    pub dialect: Option<String>,
    /// It names the person by their user name and by nothing else.
    pub is_named_alone: bool,
    /// When it was issued, if it tells.
    pub issued_at: Option<Timestamp>,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// Which token it is.
    pub fingerprint: Fingerprint,
}

/// Signs and verifies tokens. The keys are prepared once.
pub struct Tokens {
    signing: EncodingKey,
    /// What verifies; the first belongs to the key that signs.
    keys: Vec<Key>,
    validation: Validation,
    life: Duration,
    /// The names of the dialects that a token may tell.
    dialects: Vec<String>,
}

/// A key that verifies, and its name.
struct Key {
    id: String,
    verifying: DecodingKey,
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        let named = Hmac::<Sha256>::new_from_slice(secret);
        let mut named = named.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        named.update(b"chat-server token key");
        let id = hex::encode(&named.finalize().into_bytes()[..8]);
        Self { id, verifying: DecodingKey::from_secret(secret) }
    }
}

#[derive(Serialize)]
struct Issued<'a> {
    id: &'a str,
    #[serde(rename = "userId")]
    user_id: &'a str,
    #[serde(rename = "_id")]
    mongo_id: &'a str,
    sub: &'a str,
    username: &'a str,
    dialect: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Tokens signed with this secret that are good for so long.
    pub fn new(secret: &Secret, life: Duration) -> Self {
        hmac_sha256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is checked below against the injected clock; old tokens may have no expiry and no audience.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let signing = EncodingKey::from_secret(secret.expose().as_bytes());
        let keys = vec![Key::new(secret)];
        Self { signing, keys, validation, life, dialects: Vec::new() }.with_dialects(&Dialects::built_in())
    }

    /// Takes tokens that tell one of these dialects. Without this it is those that this crate brings along.
    #[must_use]
    pub fn with_dialects(self, dialects: &Dialects) -> Self {
        let dialects = dialects.known().iter().map(|dialect| dialect.name().to_owned()).collect();
        Self { dialects, ..self }
    }

    /// Takes tokens that were signed with these secrets, too.
    #[must_use]
    pub fn with_old(mut self, secrets: &[Secret]) -> Self {
        self.keys.extend(secrets.iter().map(Key::new));
        self
    }

    /// How long an issued token is good.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// A new token.
    pub fn issue(&self, user: &User, dialect: &Registered, now: Timestamp) -> String {
        let id = user.id.to_string();
        let claims = Issued {
            id: &id,
            user_id: &id,
            mongo_id: &id,
            sub: &id,
            username: &user.handle(),
            dialect: dialect.name(),
            jti: hex::encode(rand::random::<[u8; 12]>()),
            iat: now.as_millis().div_euclid(1000),
            exp: now.after(self.life).as_millis().div_euclid(1000),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = self.keys.first().map(|key| key.id.clone());
        // Plain strings and numbers with an HMAC key: there is nothing in it that can fail.
        jsonwebtoken::encode(&header, &claims, &self.signing).unwrap_or_default()
    }

    /// What a token says, if it is good now and was made to log in.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Identity> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.crit.is_some() {
            // It asks for something that must be understood (RFC 7515, section 4.1.11).
            return None;
        }
        let named = self.keys.iter().find(|key| header.kid.as_ref() == Some(&key.id));
        let claims = match named {
            Some(key) => self.claims(token, key)?,
            None => self.keys.iter().find_map(|key| self.claims(token, key))?,
        };
        let is_ours = named.is_some() && header.typ.as_deref() == Some(TYPE);
        if !is_ours && !claims::is_log_in(header.typ.as_deref(), &claims, &self.dialects) {
            return None;
        }
        let signature = token.rsplit('.').next()?;
        let fingerprint = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        identity(&claims, fingerprint, now)
    }

    fn claims(&self, token: &str, key: &Key) -> Option<Claims> {
        Some(jsonwebtoken::decode(token, &key.verifying, &self.validation).ok()?.claims)
    }
}

fn identity(claims: &Claims, fingerprint: Fingerprint, now: Timestamp) -> Option<Identity> {
    let (exp, nbf, iat) = (number(claims, "exp")?, number(claims, "nbf")?, number(claims, "iat")?);
    let seconds = now.as_millis() as f64 / 1000.0;
    if exp.is_some_and(|exp| exp <= seconds) || nbf.is_some_and(|nbf| nbf > seconds) {
        return None;
    }
    let mut id = None;
    for name in ["userId", "id", "_id", "sub"] {
        let Some(named) = text(claims, name)?.and_then(|named| named.parse().ok()) else { continue };
        if *id.get_or_insert(named) != named {
            // One of them is the id of something else, and nobody knows which.
            return None;
        }
    }
    let username = text(claims, "username")?;
    let dialect = text(claims, "dialect")?.map(str::to_owned);
    let is_named_alone = id.is_none() && username.is_some();
    let user = match id {
        Some(id) => UserKey::Id(id),
        // An address as the subject is the mail's.
        None => {
            UserKey::Username(username.or(text(claims, "sub")?.filter(|sub| !sub.contains('@')))?.to_owned())
        }
    };
    let moment = |seconds: f64| Timestamp::from_millis((seconds * 1000.0) as i64);
    let (issued_at, expires_at) = (iat.map(moment), exp.map(moment));
    Some(Identity { user, dialect, is_named_alone, issued_at, expires_at, fingerprint })
}

/// A claim that is a text, if it is there; none at all when it is something else.
fn text<'a>(claims: &'a Claims, name: &str) -> Option<Option<&'a str>> {
    match claims.get(name) {
        None | Some(serde_json::Value::Null) => Some(None),
        Some(value) => value.as_str().map(Some),
    }
}

/// The same of a number.
fn number(claims: &Claims, name: &str) -> Option<Option<f64>> {
    match claims.get(name) {
        None | Some(serde_json::Value::Null) => Some(None),
        Some(value) => value.as_f64().map(Some),
    }
}

#[cfg(test)]
mod tests;
