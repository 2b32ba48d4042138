//! The cursor: how far a session has been told, and whether it receives announced changes at once.

use chat_core::model::Position;

/// See [`super`], "No gap, no overlap".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    /// Every change up to this position was sent.
    told: Position,
    /// Announced changes are sent at once. Otherwise they are read from the log later.
    live: bool,
    /// The session was live, and its queue had no room for a change.
    lags: bool,
}

/// Changes that a session has not received yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The session has received every change up to this position.
    pub(crate) after: Position,
    /// Every change up to this position was announced.
    pub(crate) up_to: Position,
}

impl Cursor {
    /// A held session that has received every change up to `told`.
    pub(crate) fn held(told: Position) -> Self {
        Self { told, live: false, lags: false }
    }

    /// The position up to which every change was sent.
    pub(crate) fn told(&self) -> Position {
        self.told
    }

    /// Whether it waits for room in its queue before it can catch up.
    pub(crate) fn lags(&self) -> bool {
        self.lags
    }

    /// Whether an announced change must be sent now. Then the caller must either [pass](Self::pass) it or
    /// [hold](Self::hold) the session.
    pub(crate) fn is_due(&self, position: Position) -> bool {
        self.live && position > self.told
    }

    /// A due change could not be sent. It and the changes after it will be read from the log.
    pub(crate) fn hold(&mut self) {
        self.live = false;
        self.lags = true;
    }

    /// Every change up to `position` was sent, or does not concern this session.
    pub(crate) fn pass(&mut self, position: Position) {
        self.told = self.told.max(position);
    }

    /// Goes live if no announced change is missing.
    pub(crate) fn go_live(&mut self, announced: Position) -> Result<(), Missing> {
        self.live = self.told >= announced;
        self.lags &= !self.live;
        if self.live { Ok(()) } else { Err(Missing { after: self.told, up_to: announced }) }
    }
}

#[cfg(test)]
mod tests;
