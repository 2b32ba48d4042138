//! Writes about login sessions.

use std::time::Duration;

use super::{Random, Timestamp, UserId};
use crate::id::LoginSessionId;
use crate::model::{LoginSession, TokenHash, TokenNonce};
use crate::store::write::{EndSessions, RefreshSession, StartSession, WhichSessions, Write};

impl Random {
    /// So few sessions and tokens that used ones are used again.
    pub(super) fn of_session(&mut self, user: UserId, at: Timestamp) -> Write {
        let id = LoginSessionId::from_bytes(self.id(3));
        let (family, hour) = (TokenHash([7; 32]), Duration::from_secs(3_600));
        let mut token = || TokenHash([self.below(3) as u8; 32]);
        let (token, next) = (token(), token());
        match self.below(3) {
            0 => {
                let session = LoginSession {
                    id,
                    device: String::new(),
                    created_at: at,
                    used_at: at,
                    expires_at: at.after(hour),
                };
                StartSession { user, session, family, token, access_until: at.after(hour) }.into()
            }
            1 => {
                let nonce = TokenNonce([1; 32]);
                let (expires_at, access_until) = (at.after(hour), at.after(hour));
                RefreshSession { user, session: id, family, token, next, nonce, expires_at, access_until, at }
                    .into()
            }
            _ => {
                let which = match self.below(3) {
                    0 => WhichSessions::AllBut(Some(id)),
                    _ => WhichSessions::One(id),
                };
                EndSessions { user, which, at }.into()
            }
        }
    }
}
