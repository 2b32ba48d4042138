//! Login sessions: devices on which people are logged in.
//!
//! What a refresh token looks like, and that its secret parts are random, is known to those who issue tokens. Here are its
//! hashes.

use std::time::Duration;

use super::Chat;
use crate::command::{EndOtherSessions, EndSession, EndedSessions, ListSessions, Outcome, SessionList};
use crate::delivery::AtHand;
use crate::error::Error;
use crate::event::Delivery;
use crate::id::{LoginSessionId, UserId};
use crate::model::{LoginSession, SessionRecord, TokenHash, TokenNonce};
use crate::policy::{self, MAX_SESSIONS};
use crate::store::{self, Change, EndedSession, Refreshed, Table, WhichSessions};

/// How long the tokens of a login session are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLives {
    /// An access token.
    pub access: Duration,
    /// A refresh token, and so a session that is not used.
    pub refresh: Duration,
}

/// The hashes of a new login session's first refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstToken {
    /// Of the secret that all refresh tokens of the session share.
    pub family: TokenHash,
    /// Of its own secret.
    pub token: TokenHash,
}

/// The use of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUse {
    /// The session that the token names.
    pub session: LoginSessionId,
    /// The hash of the secret that all refresh tokens of the session share.
    pub family: TokenHash,
    /// The hash of the token's own secret.
    pub token: TokenHash,
    /// The hash of the secret of the token that is to replace it.
    pub next: TokenHash,
    /// From which the holder of the used token computes the next one.
    pub nonce: TokenNonce,
}

impl Chat {
    /// Starts a login session of a person whose password was verified. If the person has too many sessions, those end that
    /// were unused for the longest time, which the deliveries say.
    ///
    /// # Errors
    /// When the name of the device does not have the form of a display name, there is no such person, or the store fails.
    pub async fn start_session(
        &self,
        user: UserId,
        device: &str,
        FirstToken { family, token }: FirstToken,
        lives: SessionLives,
    ) -> Result<Outcome<LoginSession>, Error> {
        let device = policy::check_display_name("device", device)?.to_owned();
        let now = self.clock.now();
        let session = LoginSession {
            id: LoginSessionId::from_bytes(self.ids.next(now)),
            device,
            created_at: now,
            used_at: now,
            expires_at: now.after(lives.refresh),
        };
        let access_until = now.after(lives.access);
        let start = store::StartSession { user, session: session.clone(), family, token, access_until };
        let ended = self.store.start_session(start).await??;
        Ok(Outcome { reply: session, deliveries: self.ended(user, ended).await? })
    }

    /// Uses a refresh token of a login session, which replaces it; see
    /// [`UserStore::refresh_session`](crate::store::UserStore::refresh_session).
    ///
    /// # Errors
    /// [`Error::SessionNotFound`] when the token does not belong to a session that lasts, or the store fails.
    pub async fn refresh_session(
        &self,
        user: UserId,
        TokenUse { session, family, token, next, nonce }: TokenUse,
        lives: SessionLives,
    ) -> Result<Outcome<Refreshed>, Error> {
        let at = self.clock.now();
        let (expires_at, access_until) = (at.after(lives.refresh), at.after(lives.access));
        let refresh =
            store::RefreshSession { user, session, family, token, next, nonce, expires_at, access_until, at };
        let reply = self.store.refresh_session(refresh).await??;
        let deliveries = match reply {
            Refreshed::Reused(ended) => self.ended(user, vec![ended]).await?,
            Refreshed::Replaced | Refreshed::Repeated(_) => Vec::new(),
        };
        Ok(Outcome { reply, deliveries })
    }

    /// Whether a person has this login session, and the token with this hash of the shared secret belongs to it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_session(
        &self,
        user: UserId,
        session: LoginSessionId,
        family: TokenHash,
    ) -> Result<bool, Error> {
        let rows = self.store.rows(Table::Sessions, &session.key(user), None, 1).await?;
        let record = rows.first().and_then(|row| SessionRecord::decode(&row.key, &row.value));
        Ok(record.is_some_and(|record| record.family == family))
    }

    pub(crate) async fn list_sessions(
        &self,
        actor: UserId,
        command: ListSessions,
    ) -> Result<Outcome<SessionList>, Error> {
        let now = self.clock.now();
        let rows = self.store.rows(Table::Sessions, actor.as_bytes(), None, MAX_SESSIONS + 1).await?;
        let records = rows.iter().filter_map(|row| SessionRecord::decode(&row.key, &row.value));
        let mut sessions: Vec<_> =
            records.map(|record| record.session).filter(|session| session.expires_at > now).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.used_at, session.id)));
        Ok(Outcome::reply_only(SessionList { sessions, current: command.current }))
    }

    pub(crate) async fn end_session(
        &self,
        actor: UserId,
        command: EndSession,
    ) -> Result<Outcome<EndedSessions>, Error> {
        self.end_sessions(actor, WhichSessions::One(command.session)).await
    }

    pub(crate) async fn end_other_sessions(
        &self,
        actor: UserId,
        command: EndOtherSessions,
    ) -> Result<Outcome<EndedSessions>, Error> {
        self.end_sessions(actor, WhichSessions::AllBut(command.current)).await
    }

    async fn end_sessions(
        &self,
        user: UserId,
        which: WhichSessions,
    ) -> Result<Outcome<EndedSessions>, Error> {
        let end = store::EndSessions { user, which, at: self.clock.now() };
        let ended = self.store.end_sessions(end).await??;
        let reply = EndedSessions { count: ended.len() };
        Ok(Outcome { reply, deliveries: self.ended(user, ended).await? })
    }

    /// What is told of sessions that have ended.
    async fn ended(&self, user: UserId, ended: Vec<EndedSession>) -> Result<Vec<Delivery>, Error> {
        let mut deliveries = Vec::new();
        for EndedSession { id, until, position } in ended {
            let change = Change::SessionEnded { user, session: id, until };
            deliveries.extend(self.committed(Some(position), change, AtHand::default()).await?);
        }
        Ok(deliveries)
    }
}

#[cfg(test)]
mod tests;
