//! Commands about the own login sessions.

use crate::id::LoginSessionId;
use crate::model::LoginSession;

/// Lists the actor's login sessions, the one that was used last first.
#[derive(Debug, Clone, Copy)]
pub struct ListSessions {
    /// The session of the caller, if it has one.
    pub current: Option<LoginSessionId>,
}

/// Ends one of the actor's login sessions at once.
#[derive(Debug, Clone, Copy)]
pub struct EndSession {
    /// The session.
    pub session: LoginSessionId,
}

/// Ends all login sessions of the actor but one.
#[derive(Debug, Clone, Copy)]
pub struct EndOtherSessions {
    /// The session of the caller, which goes on; if it has none, all sessions end.
    pub current: Option<LoginSessionId>,
}

/// The login sessions of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionList {
    /// The sessions.
    pub sessions: Vec<LoginSession>,
    /// The session of the caller.
    pub current: Option<LoginSessionId>,
}

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSessions {
    /// The number of sessions.
    pub count: usize,
}
