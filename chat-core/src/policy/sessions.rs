//! Rules for login sessions: which refresh tokens are accepted, how many sessions a person may have, and names of devices.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::LoginSessionId;
use crate::model::{LoginSession, Replaced, SessionRecord, TokenHash, TokenNonce};

/// The maximum number of login sessions of a person. Another login ends the one that was unused for the longest time.
pub const MAX_SESSIONS: usize = 50;

/// How long a refresh token that was replaced is still answered with its successor, if the successor is unused. A client
/// whose answer was lost retries within this time.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// What a refresh token that belongs to a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The present token. It is replaced now.
    Current,
    /// The token before the present one, which is unused, within [`REFRESH_GRACE`].
    Repeated(TokenNonce),
    /// A token that was used before. Somebody else may have it, so its session ends.
    Used,
}

/// What a refresh token with these hashes is; `None` when it does not belong to the session, or the session has expired.
pub(crate) fn presented(
    record: &SessionRecord,
    family: TokenHash,
    token: TokenHash,
    at: Timestamp,
) -> Option<Presented> {
    if record.family != family || record.session.expires_at <= at {
        return None;
    }
    if record.current == token {
        return Some(Presented::Current);
    }
    Some(match record.replaced {
        Some(Replaced { token: replaced, at: since, nonce })
            if replaced == token && at <= since.after(REFRESH_GRACE) =>
        {
            Presented::Repeated(nonce)
        }
        _ => Presented::Used,
    })
}

/// The sessions that a new one takes the place of: those that have expired and, of more than [`MAX_SESSIONS`], those that
/// were unused for the longest time.
pub(crate) fn superseded(sessions: &[LoginSession], at: Timestamp) -> Vec<LoginSessionId> {
    let (expired, mut rest): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session.expires_at <= at);
    rest.sort_by_key(|session| (session.used_at, session.id));
    let too_many = (rest.len() + 1).saturating_sub(MAX_SESSIONS);
    expired.into_iter().chain(rest.into_iter().take(too_many)).map(|session| session.id).collect()
}

/// The name of a device whose client gives none: the `User-Agent` of its login, at most 100 characters, without control
/// characters and repeated spaces.
pub fn device_name(user_agent: &str) -> String {
    let is_shown =
        |c: &char| !c.is_control() && crate::names::problem_in_display_name(&c.to_string()).is_none();
    let words: Vec<String> = user_agent
        .split_whitespace()
        .map(|word| word.chars().filter(is_shown).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    let name: String = words.join(" ").chars().take(100).collect();
    match name.trim() {
        "" => "Unknown device".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn session(n: u8, used: i64, expires: i64) -> LoginSession {
        LoginSession {
            id: LoginSessionId::from_bytes([n; 12]),
            device: String::new(),
            created_at: at(0),
            used_at: at(used),
            expires_at: at(expires),
        }
    }

    #[test]
    fn a_used_token_is_answered_once_more_for_some_seconds() {
        let hash = |n| TokenHash([n; 32]);
        let grace = i64::try_from(REFRESH_GRACE.as_millis()).unwrap();
        let replaced = Replaced { token: hash(2), at: at(100), nonce: TokenNonce([9; 32]) };
        let record = SessionRecord {
            session: session(1, 100, 1_000_000),
            access_until: at(0),
            family: hash(1),
            current: hash(3),
            replaced: Some(replaced),
        };
        let of = |family, token, millis| presented(&record, hash(family), hash(token), at(millis));
        assert_eq!(of(1, 3, 100), Some(Presented::Current));
        assert_eq!(of(1, 2, 100), Some(Presented::Repeated(replaced.nonce)));
        assert_eq!(of(1, 2, 100 + grace), Some(Presented::Repeated(replaced.nonce)));
        assert_eq!(of(1, 2, 101 + grace), Some(Presented::Used));
        assert_eq!(of(1, 8, 100), Some(Presented::Used), "it is older");
        assert_eq!(of(7, 3, 100), None, "the token of another session");
        assert_eq!(of(1, 3, 999_999), Some(Presented::Current));
        assert_eq!(of(1, 3, 1_000_000), None, "it has expired");
        assert_eq!(of(1, 2, 1_000_000), None);
    }

    #[test]
    fn the_session_that_is_used_least_makes_room() {
        let most = u8::try_from(MAX_SESSIONS).unwrap();
        let mut sessions: Vec<_> = (1..most).map(|n| session(n, i64::from(100 - n), 900)).collect();
        assert_eq!(superseded(&sessions, at(500)), []);
        sessions.push(session(200, 99, 500));
        assert_eq!(superseded(&sessions, at(500)), [sessions[usize::from(most) - 1].id], "it has expired");
        sessions.push(session(most, 1_000, 900));
        let first = sessions[usize::from(most) - 2].id;
        assert_eq!(superseded(&sessions, at(400)), [first, sessions[usize::from(most) - 3].id]);
    }

    #[test]
    fn the_name_of_a_device_is_short_and_plain() {
        assert_eq!(device_name("  curl/8.5.0 \t x\u{7}y "), "curl/8.5.0 xy");
        assert_eq!(device_name(" \u{202e}\n"), "Unknown device");
        assert_eq!(device_name(&"é".repeat(5_000)).chars().count(), 100);
        assert_eq!(device_name(&format!("{} x", "a".repeat(99))), "a".repeat(99));
    }
}
