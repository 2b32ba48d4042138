//! Sessions that were ended explicitly. Their clients do not resume them.
//!
//! A page that calls `disconnect()`, or that the server disconnects, and calls `connect()` later on the same object
//! loads its content afresh, as with its old backend. But its client still sends `pid` and `offset`, because it never
//! forgets them. If the session were resumed, the page would show the loaded messages twice. A cut does not end a
//! session: only a DISCONNECT packet (`41`), from either side, does.
//!
//! What is stored is a hash of the pid, among the revoked tokens: in the store, so that all nodes know it and it
//! survives a restart, and published to the other nodes at once. It is stored for [`REMEMBERED`], for at most
//! [`MAX_OF_PERSON`] sessions of a user in that time, and at most [`MAX_KNOWN`] in all. A session beyond these limits
//! is resumed as after a cut.

use std::time::Duration;

use chat_core::id::UserId;

use crate::auth::limit::Limiter;

/// How long an explicit end is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum number of remembered ends of one user.
const MAX_OF_PERSON: u32 = 1_000;

/// When this many revoked tokens and ended sessions are known, no more ends are remembered.
pub(super) const MAX_KNOWN: usize = 200_000;

/// Counts the remembered ends of each user.
pub(crate) struct EndedSessions(Limiter<UserId>);

impl Default for EndedSessions {
    fn default() -> Self {
        Self(Limiter::new(MAX_OF_PERSON, REMEMBERED))
    }
}

impl EndedSessions {
    /// Whether one more end of this user may be remembered. If so, it is counted.
    pub(super) fn may_remember(&self, user: UserId, now: chat_core::clock::Timestamp) -> bool {
        let is_free = self.0.check(&user, now).is_ok();
        if is_free {
            self.0.count(user, now);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use chat_core::clock::Timestamp;

    use super::*;

    #[test]
    fn of_one_person_so_many_are_remembered_in_a_day() {
        let (ended, now) = (EndedSessions::default(), Timestamp::from_millis(0));
        let (ann, bob) = (UserId::from_bytes([1; 12]), UserId::from_bytes([2; 12]));
        assert!((0..MAX_OF_PERSON).all(|_| ended.may_remember(ann, now)));
        assert!(!ended.may_remember(ann, now));
        assert!(ended.may_remember(bob, now));
        assert!(ended.may_remember(ann, now.after(REMEMBERED)));
    }
}
