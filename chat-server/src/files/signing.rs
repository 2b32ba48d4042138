//! Signed links: a client with such a link may read one file without a login until the link expires.
//!
//! `<img>`, `<audio>` and `<a download>` send no `Authorization` header, and no cookie to another site. A link is
//! `/api/v1/files/ID?exp=SECONDS&sig=HEX`. The signature covers the id and the expiry time, with a key derived from the
//! server's secret for this purpose only. All nodes create the same links. Old secrets verify links for as long as they
//! verify tokens.

use std::time::Duration;

use chat_core::clock::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::id::FileId;
use crate::http::common::parameter;
use crate::secret::Secret;

/// The length of the truncated signature, in bytes: 128 bits cannot be guessed.
const SIGNATURE: usize = 16;

/// Signs and verifies links.
pub(crate) struct Signer {
    keys: Vec<Hmac<Sha256>>,
    life: Duration,
}

impl Signer {
    /// Creates links that are valid for at least `life`. The first secret signs.
    pub(crate) fn new(secret: &Secret, old: &[Secret], life: Duration) -> Self {
        Self { keys: std::iter::once(secret).chain(old).map(signing_key).collect(), life }
    }

    /// The query of a link to a file, and when it expires. Links that are created within the same quarter of their life
    /// are identical, so that a browser that gets a new link can use its cached picture.
    pub(crate) fn query(&self, id: FileId, now: Timestamp) -> (String, Timestamp) {
        let step = (self.life.as_secs() / 4).max(1);
        let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or(0) + self.life.as_secs();
        let seconds = (seconds / step + 1) * step;
        let signature = self.keys.first().map(|key| mac(key, id, seconds).finalize().into_bytes());
        let signature = hex::encode(&signature.unwrap_or_default()[..SIGNATURE]);
        let expires = Timestamp::default().after(Duration::from_secs(seconds));
        (format!("exp={seconds}&sig={signature}"), expires)
    }

    /// How long a link is still valid. `None` if it has expired, or is not a signed link.
    pub(crate) fn verify(&self, id: FileId, query: Option<&str>, now: Timestamp) -> Option<Duration> {
        let seconds: u64 = parameter(query, "exp")?.parse().ok()?;
        let signature = hex::decode(parameter(query, "sig")?.as_bytes()).ok()?;
        let left = i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_sub(now.as_millis())?;
        let is_good = signature.len() == SIGNATURE
            && self.keys.iter().any(|key| mac(key, id, seconds).verify_truncated_left(&signature).is_ok());
        // This needs no upper limit: the server never signs a link that is valid for longer.
        (is_good && left > 0).then_some(Duration::from_millis(left.unsigned_abs()))
    }
}

/// Each purpose has its own key.
fn signing_key(secret: &Secret) -> Hmac<Sha256> {
    let mut derive = keyed(secret.expose().as_bytes());
    derive.update(b"chat-server file links");
    keyed(&derive.finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"))
}

fn mac(key: &Hmac<Sha256>, id: FileId, seconds: u64) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(id.as_bytes());
    mac.update(&seconds.to_be_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_link_is_for_one_file_and_a_time() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (one, other) = (FileId::new(now, [1; 16]), FileId::new(now, [2; 16]));
        let signer = Signer::new(&secret("new"), &[secret("old")], HOUR);
        let (query, expires) = signer.query(one, now);
        assert!(expires >= now.after(HOUR) && expires <= now.after(HOUR + HOUR / 4));
        assert!(signer.verify(one, Some(&query), now).is_some_and(|left| left >= HOUR));
        let last = expires.before(Duration::from_millis(1));
        assert_eq!(signer.verify(one, Some(&query), last), Some(Duration::from_millis(1)));
        for (id, query, at) in [
            (one, query.clone(), expires),
            (other, query.clone(), now),
            (one, query.replace("exp=1", "exp=2"), now),
            (one, query.replace("sig=", "sig=0"), now),
            (one, query.split("&sig").next().unwrap().to_owned(), now),
            (one, format!("{}&sig=", query.split("&sig").next().unwrap()), now),
            (one, "exp=99999999999999999999&sig=00".to_owned(), now),
            (one, "exp=-1&sig=00".to_owned(), now),
            (one, String::new(), now),
        ] {
            assert_eq!(signer.verify(id, Some(&query), at), None, "{query}");
        }
        assert_eq!(signer.verify(one, None, now), None);
        let next = signer.query(one, now.after(Duration::from_secs(1)));
        assert_eq!(next.0, query, "a page that asks again has it still");
        let renewed = Signer::new(&secret("newer"), &[secret("new")], HOUR);
        assert!(renewed.verify(one, Some(&query), now).is_some());
        assert!(Signer::new(&secret("newer"), &[], HOUR).verify(one, Some(&query), now).is_none());
    }
}
