//! Tokens: JWT (RFC 7519) signed with HMAC-SHA-256, and no other algorithm is accepted.
//!
//! The ones we issue carry every claim a family of frontends reads, and the name of the dialect, so that a socket is
//! given the right dialect without the frontend saying anything. The ones an old backend has signed with the same
//! secret are good too, whichever of the claims names the user, with or without an expiry.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_core::clock::Timestamp;
use chat_core::model::{User, UserKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::dialect::{self, Dialect};
use crate::secret::Secret;

/// What tells one token from all others: its signature, decoded, so that no second spelling of it exists.
pub type Fingerprint = [u8; 32];

/// What a good token says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub user: UserKey,
    /// What their frontend speaks, if the token tells.
    pub dialect: Option<&'static Dialect>,
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
    verifying: DecodingKey,
    validation: Validation,
    life: Duration,
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

#[derive(Deserialize)]
struct Claims {
    id: Option<String>,
    #[serde(rename = "userId")]
    user_id: Option<String>,
    #[serde(rename = "_id")]
    mongo_id: Option<String>,
    sub: Option<String>,
    username: Option<String>,
    dialect: Option<String>,
    iat: Option<f64>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

impl Tokens {
    /// Tokens signed with this secret that are good for so long.
    pub fn new(secret: &Secret, life: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is checked below against the injected clock; old tokens may have no expiry and no audience.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let secret = secret.expose().as_bytes();
        Self {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation,
            life,
        }
    }

    /// How long an issued token is good.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// A new token.
    pub fn issue(&self, user: &User, dialect: &Dialect, now: Timestamp) -> String {
        let id = user.id.to_string();
        let claims = Issued {
            id: &id,
            user_id: &id,
            mongo_id: &id,
            sub: &id,
            username: &user.handle(),
            dialect: dialect.name,
            jti: hex::encode(rand::random::<[u8; 12]>()),
            iat: now.as_millis().div_euclid(1000),
            exp: now.after(self.life).as_millis().div_euclid(1000),
        };
        // Plain strings and numbers with an HMAC key: there is nothing in it that can fail.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).unwrap_or_default()
    }

    /// What a token says, if it is good now.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Identity> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation).ok()?.claims;
        let seconds = now.as_millis() as f64 / 1000.0;
        if claims.exp.is_some_and(|exp| exp <= seconds) || claims.nbf.is_some_and(|nbf| nbf > seconds) {
            return None;
        }
        let signature = token.rsplit('.').next()?;
        let fingerprint = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        let ids = [&claims.user_id, &claims.id, &claims.mongo_id, &claims.sub];
        let id = ids.into_iter().flatten().find_map(|id| id.parse().ok());
        let dialect = match &claims.dialect {
            Some(name) => dialect::find(name),
            // Of the old backends only this family names people in its tokens, and does nothing else.
            None if id.is_none() && claims.username.is_some() => dialect::find("camel"),
            None => None,
        };
        let user = match id {
            Some(id) => UserKey::Id(id),
            None => UserKey::Username(claims.username.or(claims.sub)?),
        };
        let moment = |seconds: f64| Timestamp::from_millis((seconds * 1000.0) as i64);
        let (issued_at, expires_at) = (claims.iat.map(moment), claims.exp.map(moment));
        Some(Identity { user, dialect, issued_at, expires_at, fingerprint })
    }
}

#[cfg(test)]
mod tests {
    use chat_core::id::UserId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&Secret::new(secret.into()), Duration::from_secs(60))
    }

    fn ann() -> User {
        User {
            id: UserId::from_bytes([7; 12]),
            username: Some("ann".into()),
            email: None,
            full_name: "Ann".into(),
            picture: String::new(),
            created_at: NOW,
            updated_at: NOW,
            last_seen: None,
        }
    }

    fn signed(claims: &serde_json::Value, header: &Header, secret: &str) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_issued_is_good_until_it_expires() {
        let tokens = tokens("s");
        let token = tokens.issue(&ann(), dialect::find("camel").unwrap(), NOW);
        let identity = tokens.verify(&token, NOW).unwrap();
        assert_eq!(identity.user, UserKey::Id(ann().id));
        assert_eq!(identity.dialect.unwrap().name, "camel");
        assert!(tokens.verify(&token, NOW.after(Duration::from_secs(59))).is_some());
        assert!(tokens.verify(&token, NOW.after(Duration::from_secs(60))).is_none());
        assert_ne!(token, tokens.issue(&ann(), dialect::find("camel").unwrap(), NOW));
    }

    #[test]
    fn tokens_of_the_old_backends_are_good() {
        let tokens = tokens("s");
        let id = ann().id.to_string();
        for claim in ["id", "userId", "_id", "sub"] {
            let token = signed(&serde_json::json!({claim: id, "iat": 1}), &Header::default(), "s");
            assert_eq!(tokens.verify(&token, NOW).unwrap().user, UserKey::Id(ann().id), "{claim}");
        }
        let token = signed(&serde_json::json!({"username": "ann"}), &Header::default(), "s");
        let identity = tokens.verify(&token, NOW).unwrap();
        assert_eq!(identity.user, UserKey::Username("ann".into()));
        assert_eq!(identity.dialect.unwrap().name, "camel");
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let tokens = tokens("s");
        let claims = serde_json::json!({"userId": ann().id.to_string()});
        let good = signed(&claims, &Header::default(), "s");
        let body = good.split('.').nth(1).unwrap();
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let cases = [
            signed(&claims, &Header::default(), "other"),
            signed(&claims, &Header::new(Algorithm::HS384), "s"),
            format!("{none}.{body}."),
            format!("{none}.{body}.{}", good.rsplit('.').next().unwrap()),
            signed(&serde_json::json!({}), &Header::default(), "s"),
            signed(&serde_json::json!({"userId": {"$gt": ""}}), &Header::default(), "s"),
            String::new(),
            "a.b.c".into(),
        ];
        for token in cases {
            assert!(tokens.verify(&token, NOW).is_none(), "{token}");
        }
    }
}
