//! Sessions that were ended on purpose: their clients do not go on with them.
//!
//! A page that calls `disconnect()`, or is sent away by the server, and calls `connect()` later on the same object loads what
//! it shows anew, as it has from its old backend; its client sends `pid` and `offset` all the same, since it forgets them
//! never. Were the session resumed, the page would show twice what it has loaded. A cut says nothing of the kind: only a
//! DISCONNECT packet (`41`), of either side, ends a session.
//!
//! What is remembered is a hash of the pid, among the tokens that are revoked: in the store, so that it is known after a
//! restart and in all nodes, and told to the other nodes at once. For [`REMEMBERED`], and for no more than
//! [`MAX_OF_PERSON`] sessions of a person in that time and [`MAX_KNOWN`] in all; what is beyond that is resumed as after a
//! cut.

use std::time::Duration;

use chat_core::id::UserId;

use crate::auth::limit::Limiter;

/// How long an end is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Most ends of one person that are remembered.
const MAX_OF_PERSON: u32 = 1_000;

/// While so many revoked tokens and ended sessions are known, no more ends are remembered.
pub(super) const MAX_KNOWN: usize = 200_000;

/// Counts what is remembered for each person.
pub(crate) struct EndedSessions(Limiter<UserId>);

impl Default for EndedSessions {
    fn default() -> Self {
        Self(Limiter::new(MAX_OF_PERSON, REMEMBERED))
    }
}

impl EndedSessions {
    /// Whether one more of this person is remembered, which counts.
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
