//! Decides where a session begins: afresh, or where an earlier one was cut. Also ends sessions for good.

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

/// Decides whether a session is resumed or begins afresh.
///
/// A fresh session, whose page loads its content as on the first visit, is the result of: a pid that is forged, belongs
/// to another user, is too old, is from another [epoch](chat_core::epoch) or from a session that was ended explicitly;
/// a position that does not exist yet; or more missed changes than the server replays.
///
/// # Errors
/// When the store cannot say at the moment how far the log goes.
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
    // This is read first: whatever is read after it belongs to this log or to a newer one, and a session with an
    // outdated number is cut.
    let log_number = app.announcer.log_number();
    let announced = app.announcer.position();
    let pid = payload.pid.text();
    let known = pid.and_then(|pid| Some((pid, app.pids.read(pid, caller.user.id, &**dialect, now)?)));
    // A session that was ended explicitly cannot be resumed.
    let known = known.filter(|(pid, _)| !app.auth.is_revoked(&pid::key(pid)));
    let offset = match &payload.offset {
        Field::Text(offset) => offset.parse().ok().map(Position),
        Field::Missing | Field::Other => None,
    };
    if let Some((pid, Began { position: began_at, stale })) = known {
        // A client that was cut before its first event has no offset. A client whose page has begun afresh still has
        // the offset of its previous session.
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
                    // The client has received nothing since then. But if the log has reached this position again, the
                    // offset may also be from this session.
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
    // A position that does not exist yet is from a log that was lost. The client keeps it until it receives another one.
    let stale = offset.filter(|at| *at > announced).unwrap_or_default();
    let pid = app.pids.issue(caller.user.id, &**dialect, Began { position: announced, stale }, now);
    Ok(Start { key: pid::key(&pid), pid, position: announced, receipt: Receipt::default(), log_number })
}

/// How much the client of a session has received, as far as this node knows.
fn reached(app: &App, user: UserId, key: &Fingerprint) -> Reached {
    let mut reached = app.receipts.reached(key);
    // The session's last connection may still be open here, because its end was not noticed yet.
    app.sessions.for_user(user, &mut |session| {
        if session.key == *key {
            reached = session.receipt.reached();
        }
    });
    reached
}

/// Whether the number of missed changes after `position` is within the replay limit.
async fn has_missed_little(
    app: &App,
    user: UserId,
    position: Position,
    announced: Position,
) -> Result<bool, StoreError> {
    let limit = app.config.recovery_limit;
    // A user cannot have missed more changes than there were in all.
    if announced.0.saturating_sub(position.0) <= limit {
        return Ok(true);
    }
    let missed = app.chat.store().count_changes_for(user, position, limit.saturating_add(1)).await?;
    Ok(missed.is_some_and(|missed| missed <= limit))
}

/// Whether a change at `position` exists, even if this node has not seen it yet.
async fn exists(app: &App, position: Position) -> Result<bool, StoreError> {
    Ok(position <= app.chat.store().last_position().await?)
}

/// Marks the session with this [`key`](super::pid::key) as ended explicitly.
pub(crate) fn end_for_good(app: &Arc<App>, user: UserId, key: Fingerprint) {
    let now = app.chat.now();
    if app.auth.revoked_known() >= MAX_KNOWN || !app.ended.may_remember(user, now) {
        tracing::debug!(user.id = %user, "a session was ended on purpose, and too many were before");
        return;
    }
    let until = now.after(REMEMBERED);
    // Takes effect on this node at once. Writing to the store takes longer.
    app.auth.note_ended(key, until);
    app.outbox(|outbox| outbox.ended(key, until));
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = app.chat.store().revoke_token(key, until).await {
            tracing::debug!(%error, "it could not be stored that a session was ended on purpose");
        }
    });
}
