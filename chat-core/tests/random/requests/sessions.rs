//! Requests about login sessions.

use std::time::Duration;

use chat_core::id::LoginSessionId;
use chat_core::model::{LoginSession, TokenHash, TokenNonce};
use chat_core::store::{EndSessions, RefreshSession, StartSession, WhichSessions};

use super::Requests;
use crate::random::Request;

impl Requests {
    /// So few sessions and tokens that used ones are used again.
    pub(super) fn of_session(&mut self) -> Request {
        let (user, at) = (self.person(), self.moment());
        let id = LoginSessionId::from_bytes([self.below(4) as u8; 12]);
        let family = TokenHash([self.below(2) as u8; 32]);
        let (token, next) = (TokenHash([self.below(4) as u8; 32]), TokenHash([self.below(4) as u8; 32]));
        let (long, short) = (Duration::from_millis(self.below(300)), Duration::from_millis(self.below(100)));
        match self.below(5) {
            0 | 1 => {
                let session = LoginSession {
                    id,
                    device: self.text(),
                    created_at: at,
                    used_at: at,
                    expires_at: at.after(long),
                };
                let access_until = at.after(short);
                Request::StartSession(StartSession { user, session, family, token, access_until })
            }
            2 | 3 => Request::RefreshSession(RefreshSession {
                user,
                session: id,
                family,
                token,
                next,
                nonce: TokenNonce([self.below(250) as u8; 32]),
                expires_at: at.after(long),
                access_until: at.after(short),
                at,
            }),
            _ => {
                let which = match self.below(4) {
                    0 => WhichSessions::AllBut(None),
                    1 => WhichSessions::AllBut(Some(id)),
                    _ => WhichSessions::One(id),
                };
                Request::EndSessions(EndSessions { user, which, at })
            }
        }
    }
}
