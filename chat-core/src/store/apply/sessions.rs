//! Login sessions: their start, the replacement of their refresh tokens, and their end.

use super::super::keyed::Table;
use super::super::tx::{Abort, Reads, Tx};
use super::super::write::{
    Effect, EndSessions, EndedSession, RefreshSession, Refreshed, StartSession, WhichSessions,
};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{LoginSessionId, UserId};
use crate::model::{Replaced, SessionRecord};
use crate::policy::{self, MAX_SESSIONS, Presented, Refusal};

/// The maximum number of rows of a person that are read: those of [`MAX_SESSIONS`] sessions, and one more.
const MAX_ROWS: usize = MAX_SESSIONS + 1;

impl Effect for StartSession {
    fn reads(&self, reads: &mut Reads) {
        reads.users.insert(self.user);
        reads.rows.insert((Table::Sessions, self.session.id.key(self.user)));
        reads.ranges.push((Table::Sessions, self.user.as_bytes().to_vec(), MAX_ROWS));
    }

    fn most_logged(&self) -> u64 {
        MAX_ROWS as u64
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { user, session, family, token, access_until } = self;
        if tx.user(*user)?.is_none() {
            return Ok(Err(Refusal::UserNotFound));
        }
        let at = session.created_at;
        let records = records(tx, *user)?;
        let sessions: Vec<_> = records.iter().map(|record| record.session.clone()).collect();
        let superseded = policy::superseded(&sessions, at);
        let ended = records.iter().filter(|record| superseded.contains(&record.session.id));
        let ended = end(tx, *user, ended, at)?;
        let record = SessionRecord {
            session: session.clone(),
            access_until: *access_until,
            family: *family,
            current: *token,
            replaced: None,
        };
        tx.put_row(Table::Sessions, &session.id.key(*user), &record.encode())?;
        Ok(Ok(ended))
    }
}

impl Effect for RefreshSession {
    fn reads(&self, reads: &mut Reads) {
        reads.rows.insert((Table::Sessions, self.session.key(self.user)));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { user, session, family, token, next, nonce, expires_at, access_until, at } = *self;
        let Some(mut record) = record(tx, user, session)? else { return Ok(Err(Refusal::SessionNotFound)) };
        let refreshed = match policy::presented(&record, family, token, at) {
            None => return Ok(Err(Refusal::SessionNotFound)),
            Some(Presented::Used) => {
                let ended = end(tx, user, [&record].into_iter(), at)?;
                // The session has not expired, so it has ended now.
                let ended = ended.first().copied().ok_or(Refusal::SessionNotFound);
                return Ok(ended.map(Refreshed::Reused));
            }
            Some(Presented::Repeated(nonce)) => Refreshed::Repeated(nonce),
            Some(Presented::Current) => {
                record.current = next;
                record.replaced = Some(Replaced { token, at, nonce });
                record.session.expires_at = expires_at;
                Refreshed::Replaced
            }
        };
        record.session.used_at = at;
        record.access_until = record.access_until.max(access_until);
        tx.put_row(Table::Sessions, &session.key(user), &record.encode())?;
        Ok(Ok(refreshed))
    }
}

impl Effect for EndSessions {
    fn reads(&self, reads: &mut Reads) {
        match self.which {
            WhichSessions::One(id) => {
                reads.rows.insert((Table::Sessions, id.key(self.user)));
            }
            WhichSessions::AllBut(_) => {
                reads.ranges.push((Table::Sessions, self.user.as_bytes().to_vec(), MAX_ROWS));
            }
        }
    }

    fn most_logged(&self) -> u64 {
        match self.which {
            WhichSessions::One(_) => 1,
            WhichSessions::AllBut(_) => MAX_ROWS as u64,
        }
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { user, which, at } = *self;
        match which {
            WhichSessions::One(id) => match record(tx, user, id)? {
                Some(record) if record.session.expires_at > at => {
                    Ok(Ok(end(tx, user, [&record].into_iter(), at)?))
                }
                _ => Ok(Err(Refusal::SessionNotFound)),
            },
            WhichSessions::AllBut(kept) => {
                let records = records(tx, user)?;
                let others = records.iter().filter(|record| Some(record.session.id) != kept);
                Ok(Ok(end(tx, user, others, at)?))
            }
        }
    }
}

/// A session of a person. A row that is not what was written counts as absent.
fn record<T: Tx>(tx: &mut T, user: UserId, id: LoginSessionId) -> Result<Option<SessionRecord>, T::Error> {
    let key = id.key(user);
    let value = tx.row(Table::Sessions, &key)?;
    Ok(value.and_then(|value| SessionRecord::decode(&key, &value)))
}

/// All sessions of a person.
fn records<T: Tx>(tx: &mut T, user: UserId) -> Result<Vec<SessionRecord>, T::Error> {
    let rows = tx.rows(Table::Sessions, user.as_bytes(), MAX_ROWS)?;
    Ok(rows.iter().filter_map(|row| SessionRecord::decode(&row.key, &row.value)).collect())
}

/// Deletes sessions, and revokes and logs those that have not expired.
fn end<'a, T: Tx>(
    tx: &mut T,
    user: UserId,
    records: impl Iterator<Item = &'a SessionRecord>,
    at: Timestamp,
) -> Result<Vec<EndedSession>, T::Error> {
    let mut ended = Vec::new();
    for SessionRecord { session, access_until: until, .. } in records {
        let (id, until) = (session.id, *until);
        tx.delete_row(Table::Sessions, &id.key(user))?;
        if until > at {
            tx.extend_revocation(&id.revocation(user), until)?;
        }
        if session.expires_at > at {
            let position = tx.log(at, Change::SessionEnded { user, session: id, until })?;
            ended.push(EndedSession { id, until, position });
        }
    }
    Ok(ended)
}
