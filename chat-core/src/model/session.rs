//! Login sessions: the devices on which a person is logged in.

use std::fmt;

use crate::clock::Timestamp;
use crate::id::{LoginSessionId, UserId};

/// A device on which a person is logged in. It lasts as long as its refresh tokens are used in time: each of them is
/// replaced by the next one when it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// Its id.
    pub id: LoginSessionId,
    /// The name of the device, to show to its owner.
    pub device: String,
    /// When the person logged in.
    pub created_at: Timestamp,
    /// When a refresh token of it was last used, or the time of the login.
    pub used_at: Timestamp,
    /// When the present refresh token expires, and the session with it.
    pub expires_at: Timestamp,
}

/// The SHA-256 hash of a secret part of a refresh token. The secret itself is not stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// Random bytes from which the holder of a refresh token, and nobody else, can compute the token that has replaced it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenNonce(pub [u8; 32]);

impl fmt::Debug for TokenNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenNonce")
    }
}

impl LoginSessionId {
    /// What stands for the session in the list of revoked tokens once it has ended. An access token of the session is
    /// invalid if this is listed. The fingerprints of tokens are signatures, so none of them equals it.
    pub fn revocation(self, of: UserId) -> [u8; 32] {
        let mut revocation = *b"------------------------ session";
        revocation[..12].copy_from_slice(of.as_bytes());
        revocation[12..24].copy_from_slice(self.as_bytes());
        revocation
    }

    /// The key of the row that holds the session.
    pub(crate) fn key(self, of: UserId) -> Vec<u8> {
        [of.as_bytes().as_slice(), self.hex().as_str().as_bytes()].concat()
    }
}

/// All that is stored of a login session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// What its owner may see.
    pub(crate) session: LoginSession,
    /// When the last access token that was issued for it expires.
    pub(crate) access_until: Timestamp,
    /// The hash of the secret that all refresh tokens of the session share.
    pub(crate) family: TokenHash,
    /// The hash of the secret of the present refresh token.
    pub(crate) current: TokenHash,
    /// The token that was replaced by the present one.
    pub(crate) replaced: Option<Replaced>,
}

/// The refresh token before the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// The hash of its secret.
    pub(crate) token: TokenHash,
    /// When it was replaced.
    pub(crate) at: Timestamp,
    /// From which its holder computes the present token.
    pub(crate) nonce: TokenNonce,
}

/// The version of the format of records.
const FORMAT: u8 = 1;

impl SessionRecord {
    /// The value of its row.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let session = &self.session;
        let mut value = vec![FORMAT];
        for moment in [session.created_at, session.used_at, session.expires_at, self.access_until] {
            value.extend(moment.as_millis().to_be_bytes());
        }
        value.extend(self.family.0);
        value.extend(self.current.0);
        value.push(u8::from(self.replaced.is_some()));
        if let Some(Replaced { token, at, nonce }) = self.replaced {
            value.extend(token.0);
            value.extend(at.as_millis().to_be_bytes());
            value.extend(nonce.0);
        }
        value.extend(session.device.as_bytes());
        value
    }

    /// Decodes a row; `None` when it is not what was written.
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let id = std::str::from_utf8(key.get(12..)?).ok()?.parse().ok()?;
        let mut rest = Rest(value);
        if rest.take::<1>()? != [FORMAT] {
            return None;
        }
        let [created_at, used_at, expires_at, access_until] =
            [rest.moment()?, rest.moment()?, rest.moment()?, rest.moment()?];
        let (family, current) = (TokenHash(rest.take()?), TokenHash(rest.take()?));
        let replaced = match rest.take::<1>()? {
            [0] => None,
            [1] => Some(Replaced {
                token: TokenHash(rest.take()?),
                at: rest.moment()?,
                nonce: TokenNonce(rest.take()?),
            }),
            _ => return None,
        };
        let device = std::str::from_utf8(rest.0).ok()?.to_owned();
        let session = LoginSession { id, device, created_at, used_at, expires_at };
        Some(Self { session, access_until, family, current, replaced })
    }
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.take().map(|bytes| Timestamp::from_millis(i64::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let at = Timestamp::from_millis;
        let (user, id) = (UserId::from_bytes([1; 12]), LoginSessionId::from_bytes([2; 12]));
        let replaced = Replaced { token: TokenHash([5; 32]), at: at(-5), nonce: TokenNonce([6; 32]) };
        for (device, replaced) in [("", None), ("Ann’s phone", Some(replaced))] {
            let session = LoginSession {
                id,
                device: device.to_owned(),
                created_at: at(1),
                used_at: at(2),
                expires_at: at(i64::MAX),
            };
            let record = SessionRecord {
                session,
                access_until: at(4),
                family: TokenHash([3; 32]),
                current: TokenHash([4; 32]),
                replaced,
            };
            let (key, value) = (id.key(user), record.encode());
            assert_eq!(SessionRecord::decode(&key, &value), Some(record));
            for end in 0..value.len() - device.len() {
                assert_eq!(SessionRecord::decode(&key, &value[..end]), None, "{end}");
            }
            assert_eq!(SessionRecord::decode(&key[..30], &value), None);
            assert_eq!(SessionRecord::decode(&key, &[&[2], &value[1..]].concat()), None);
        }
    }

    #[test]
    fn a_revocation_names_the_session_and_its_person() {
        let of = |user, id| LoginSessionId::from_bytes([id; 12]).revocation(UserId::from_bytes([user; 12]));
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(2, 1) && of(1, 2) != of(1, 3) && of(1, 2).ends_with(b" session"));
    }
}
