//! Tokens: JWT (RFC 7519) signed with HMAC-SHA-256. No other algorithm is accepted.
//!
//! A token that we issue carries every claim that some family of frontends reads. It also names the dialect, so that a
//! socket uses the right dialect without a hint from the frontend. Tokens that an old backend has signed with the same
//! secret are valid, too, if they were made to log in. It does not matter which claim names the user, or whether they
//! expire; see `auth/claims.rs`.
//!
//! **Keys.** One secret signs, and any number of old secrets verify. Our tokens name their key (`kid`) by a keyed hash
//! of a fixed text, which reveals no more about the secret than the signature does. Other tokens are tried with every
//! key.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::clock::Timestamp;
use chat_core::id::LoginSessionId;
use chat_core::model::{User, UserKey};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use sha2::Sha256;

use super::claims::{self, Claims};
use super::hmac_sha256;
use crate::dialect::{Dialects, Registered};
use crate::secret::Secret;

/// Maximum size of a token in bytes. Cookies have room for only half of it.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The type of the tokens that we issue (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// Identifies a token: its decoded signature. The decoded form is unique, while its encoding may not be.
pub type Fingerprint = [u8; 32];

/// The content of a valid token.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The account.
    pub user: UserKey,
    /// The name of the frontend's dialect, if the token names one.
    pub dialect: Option<String>,
    /// The token names the account only by its username.
    pub is_named_alone: bool,
    /// The login session that the token belongs to, if any.
    pub session: Option<LoginSessionId>,
    /// When the token was issued, if it says so.
    pub issued_at: Option<Timestamp>,
    /// When the token expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// Identifies the token.
    pub fingerprint: Fingerprint,
}

impl Identity {
    /// What is listed among the revoked tokens once the token's login session has ended; none without a session.
    pub(crate) fn session_revocation(&self) -> Option<Fingerprint> {
        match (&self.user, self.session) {
            (UserKey::Id(user), Some(session)) => Some(session.revocation(*user)),
            _ => None,
        }
    }
}

/// How long an access token of a login session is valid by default.
const ACCESS_LIFE: Duration = Duration::from_secs(15 * 60);

/// Signs and verifies tokens. The keys are prepared only once.
pub struct Tokens {
    signing: EncodingKey,
    /// The keys that verify. The first one belongs to the signing key.
    keys: Vec<Key>,
    validation: Validation,
    life: Duration,
    /// See [`Self::with_access_life`].
    access_life: Duration,
    /// The names of the dialects that a token may name.
    dialects: Vec<String>,
}

/// A verifying key and its name.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Creates tokens that are signed with this secret and valid for `life`.
    pub fn new(secret: &Secret, life: Duration) -> Self {
        hmac_sha256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below against the injected clock. Old tokens may have no expiry and no audience.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let signing = EncodingKey::from_secret(secret.expose().as_bytes());
        let keys = vec![Key::new(secret)];
        let access_life = ACCESS_LIFE;
        let tokens = Self { signing, keys, validation, life, access_life, dialects: Vec::new() };
        tokens.with_dialects(&Dialects::built_in())
    }

    /// Accepts tokens that name one of these dialects. The default is the built-in dialects.
    #[must_use]
    pub fn with_dialects(self, dialects: &Dialects) -> Self {
        let dialects = dialects.known().iter().map(|dialect| dialect.name().to_owned()).collect();
        Self { dialects, ..self }
    }

    /// Sets how long an access token of a login session is valid. The default is 15 minutes.
    #[must_use]
    pub fn with_access_life(self, access_life: Duration) -> Self {
        Self { access_life, ..self }
    }

    /// Also accepts tokens that were signed with these secrets.
    #[must_use]
    pub fn with_old(mut self, secrets: &[Secret]) -> Self {
        self.keys.extend(secrets.iter().map(Key::new));
        self
    }

    /// How long an issued token is valid.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Issues a new token.
    pub fn issue(&self, user: &User, dialect: &Registered, now: Timestamp) -> String {
        self.sign(user, dialect, None, (now, self.life))
    }

    /// Issues a new access token of a login session. It is valid for a short time, and ends with its session.
    pub fn issue_in_session(
        &self,
        user: &User,
        dialect: &Registered,
        session: LoginSessionId,
        now: Timestamp,
    ) -> String {
        self.sign(user, dialect, Some(session), (now, self.access_life))
    }

    fn sign(
        &self,
        user: &User,
        dialect: &Registered,
        session: Option<LoginSessionId>,
        (now, life): (Timestamp, Duration),
    ) -> String {
        let id = user.id.to_string();
        let claims = Issued {
            id: &id,
            user_id: &id,
            mongo_id: &id,
            sub: &id,
            username: &user.handle(),
            dialect: dialect.name(),
            sid: session.map(|session| session.to_string()),
            jti: hex::encode(rand::random::<[u8; 12]>()),
            iat: now.as_millis().div_euclid(1000),
            exp: now.after(life).as_millis().div_euclid(1000),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = self.keys.first().map(|key| key.id.clone());
        // Encoding strings and numbers with an HMAC key cannot fail.
        jsonwebtoken::encode(&header, &claims, &self.signing).unwrap_or_default()
    }

    /// The content of a token, if it is valid now and was made to log in.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Identity> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.crit.is_some() {
            // The token requires an extension that we do not understand (RFC 7515, section 4.1.11).
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
        let mut identity = identity(&claims, fingerprint, now)?;
        if is_ours && let Some(session) = text(&claims, "sid")? {
            // The sessions of other backends are unknown here.
            identity.session = Some(session.parse().ok()?);
        }
        Some(identity)
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
            // The ids differ, and it is unknown which of them is the account's.
            return None;
        }
    }
    let username = text(claims, "username")?;
    let dialect = text(claims, "dialect")?.map(str::to_owned);
    let is_named_alone = id.is_none() && username.is_some();
    let user = match id {
        Some(id) => UserKey::Id(id),
        // A subject with an `@` is a mail address, not a username.
        None => {
            UserKey::Username(username.or(text(claims, "sub")?.filter(|sub| !sub.contains('@')))?.to_owned())
        }
    };
    let moment = |seconds: f64| Timestamp::from_millis((seconds * 1000.0) as i64);
    let (issued_at, expires_at) = (iat.map(moment), exp.map(moment));
    Some(Identity { user, dialect, is_named_alone, session: None, issued_at, expires_at, fingerprint })
}

/// A text claim: `Some(None)` if it is absent, `None` if it has another type.
fn text<'a>(claims: &'a Claims, name: &str) -> Option<Option<&'a str>> {
    match claims.get(name) {
        None | Some(serde_json::Value::Null) => Some(None),
        Some(value) => value.as_str().map(Some),
    }
}

/// The same for a number.
fn number(claims: &Claims, name: &str) -> Option<Option<f64>> {
    match claims.get(name) {
        None | Some(serde_json::Value::Null) => Some(None),
        Some(value) => value.as_f64().map(Some),
    }
}

#[cfg(test)]
mod tests;
