//! The devices on which one is logged in.
//!
//! ```text
//! ann > session.list (ack)
//!     {"ok":true,"success":true,"sessions":[{"sessionId":"…","device":"Ann's phone","createdAt":…,"lastUsedAt":…,"expiresAt":…,"current":true}]}
//! ann > session.end {"sessionId":"…"} (ack)      {"ok":true,"success":true,"ended":1}
//! ann > session.endOthers (ack)      the same; all but the session of the connection, or of the token
//! ann < sessionEnded {"sessionId":"…"}
//! ```
//! A session that ends is over at once: its connections close, and neither its access tokens nor its refresh token are good
//! any more. The one that was used last is listed first. For the tokens of a session see `accounts.rs`.

use chat_core::command::{Command, EndOtherSessions, EndSession, EndedSessions, ListSessions, SessionList};
use chat_core::id::LoginSessionId;
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use crate::dialect::DecodeError;

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(ListSessions { current: arguments.session }.into())
}

pub(super) fn end(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(EndSession { session: arguments.required_id("sessionId")? }.into())
}

pub(super) fn end_others(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(EndOtherSessions { current: arguments.session }.into())
}

/// The devices on which one is logged in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionList")]
pub(super) struct Listed<'a> {
    sessions: Vec<SessionObject<'a>>,
}

/// A device on which one is logged in. Times are milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Session")]
pub(super) struct SessionObject<'a> {
    session_id: String,
    /// Its name: what its log-in has said, or else what its program calls itself.
    device: &'a str,
    created_at: i64,
    /// When its tokens were refreshed last.
    last_used_at: i64,
    /// When it ends if its tokens are not refreshed.
    expires_at: i64,
    /// Whether it is the one that asks.
    current: bool,
}

pub(super) fn listed(list: &SessionList) -> Listed<'_> {
    let sessions = list.sessions.iter().map(|session| SessionObject {
        session_id: session.id.to_string(),
        device: &session.device,
        created_at: session.created_at.as_millis(),
        last_used_at: session.used_at.as_millis(),
        expires_at: session.expires_at.as_millis(),
        current: list.current == Some(session.id),
    });
    Listed { sessions: sessions.collect() }
}

/// How many sessions have ended.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedSessions")]
pub(super) struct EndedObject {
    ended: usize,
}

pub(super) fn ended(ended: EndedSessions) -> EndedObject {
    EndedObject { ended: ended.count }
}

/// A session that has ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfSession {
    session_id: String,
}

pub(super) fn of(session: LoginSessionId) -> OfSession {
    OfSession { session_id: session.to_string() }
}
