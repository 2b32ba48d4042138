//! Where a session begins: afresh, or where an earlier one was cut; and how it ends for good.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chat_core::id::UserId;
use chat_core::model::Position;
use chat_core::store::StoreError;

use super::Start;
use super::ended::{MAX_KNOWN, REMEMBERED};
use super::pid::{self, Began};
use super::receipts::{Reached, Receipt};
use crate::app::App;
use crate::auth::Authenticated;
use crate::auth::token::Fingerprint;
use crate::dialect::Registered;
use crate::transport::{ConnectPayload, Field};

/// Decides whether a session goes on or begins afresh.
///
/// A pid that is forged, somebody else's, too old, of another [epoch](chat_core::epoch), or of a session that was ended on purpose, a position that does not exist yet, and more changes than are
/// replayed all lead to a fresh session, whose page loads what it shows as at the first time.
///
/// # Errors
/// When the store cannot tell at the moment how far the log goes.
pub(crate) async fn start(
    app: &App,
    payload: &ConnectPayload,
    caller: &Authenticated,
    dialect: &Registered,
) -> Result<Start, StoreError> {
    let now = app.chat.now();
    let person = app.limits.budgets.of(caller.user.id, now);
    let wait = person.connects(now);
    if !wait.is_zero() {
        tracing::debug!(user.id = %caller.user.id, "a connection is held up: there were too many");
        tokio::time::sleep(wait).await;
    }
    // First: whatever is found out now is good for this log or an earlier one.
    let log_number = app.announcer.log_number();
    let announced = app.announcer.position();
    let pid = payload.pid.text();
    let known = pid.and_then(|pid| Some((pid, app.pids.read(pid, caller.user.id, &**dialect, now)?)));
    // Whoever has chosen to leave has no session to go on with.
    let known = known.filter(|(pid, _)| !app.auth.is_revoked(&pid::key(pid)));
    let offset = match &payload.offset {
        Field::Text(offset) => offset.parse().ok().map(Position),
        Field::Missing | Field::Other => None,
    };
    if let Some((pid, Began { position: began_at, stale })) = known {
        // A client that was cut before its first event has no offset, and one whose page has begun afresh still has
        // that of its session before.
        let mut confirmed = None;
        let position = match &payload.offset {
            Field::Missing => match reached(app, caller.user.id, &pid::key(pid)) {
                Reached::Unknown => Some(began_at),
                Reached::Exactly(position) => {
                    confirmed = Some(position);
                    Some(began_at.max(position))
                }
                Reached::Between => None,
            },
            Field::Text(_) => match offset {
                Some(at) if at == stale && stale > Position(0) => {
                    // It was told nothing since, unless the log has come so far again and it was told just that.
                    let is_ambiguous = at <= announced || exists(app, at).await?;
                    (!is_ambiguous).then_some(began_at)
                }
                at => at.map(|at| began_at.max(at)),
            },
            Field::Other => None,
        };
        if let Some(position) = position
            && (position <= announced || exists(app, position).await?)
        {
            let is_kept = position.0 >= app.log_begin.load(Ordering::Relaxed);
            if is_kept && has_missed_little(app, caller.user.id, position, announced).await? {
                tracing::debug!(user.id = %caller.user.id, "a session goes on");
                let receipt = Receipt::of(confirmed);
                return Ok(Start { key: pid::key(pid), pid: pid.to_owned(), position, receipt, log_number });
            }
            tracing::debug!(user.id = %caller.user.id, "a session was away for too long to go on");
        }
    }
    // A position that is not there yet is of a future that was lost. The client keeps it until it is told another one.
    let stale = offset.filter(|at| *at > announced).unwrap_or_default();
    let pid = app.pids.issue(caller.user.id, &**dialect, Began { position: announced, stale }, now);
    Ok(Start { key: pid::key(&pid), pid, position: announced, receipt: Receipt::default(), log_number })
}

/// How far the client of a session was told, as far as this node knows.
fn reached(app: &App, user: UserId, key: &Fingerprint) -> Reached {
    let mut reached = app.receipts.reached(key);
    // The end of its last connection may not have been noticed.
    app.sessions.for_user(user, &mut |session| {
        if session.key == *key {
            reached = session.receipt.reached();
        }
    });
    reached
}

/// Whether a person has missed no more after `position` than is replayed.
async fn has_missed_little(
    app: &App,
    user: UserId,
    position: Position,
    announced: Position,
) -> Result<bool, StoreError> {
    let limit = app.config.recovery_limit;
    // Nobody is told of more than has happened.
    if announced.0.saturating_sub(position.0) <= limit {
        return Ok(true);
    }
    let missed = app.chat.store().count_changes_for(user, position, limit.saturating_add(1)).await?;
    Ok(missed.is_some_and(|missed| missed <= limit))
}

/// Whether there is a change at `position`, of which this node may not have heard yet.
async fn exists(app: &App, position: Position) -> Result<bool, StoreError> {
    Ok(position <= app.chat.store().last_position().await?)
}

/// The session with this [`key`](super::pid::key) was ended on purpose.
pub(crate) fn end_for_good(app: &Arc<App>, user: UserId, key: Fingerprint) {
    let now = app.chat.now();
    if app.auth.revoked_known() >= MAX_KNOWN || !app.ended.may_remember(user, now) {
        tracing::debug!(user.id = %user, "a session was ended on purpose, and too many were before");
        return;
    }
    let until = now.after(REMEMBERED);
    // From this moment on; the store takes longer.
    app.auth.note_ended(key, until);
    app.outbox(|outbox| outbox.ended(key, until));
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = app.chat.store().revoke_token(key, until).await {
            tracing::debug!(%error, "it could not be stored that a session was ended on purpose");
        }
    });
}
