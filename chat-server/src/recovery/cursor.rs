//! How far a session has been told, and whether it is told of announcements at once.

use chat_core::model::Position;

/// See [`super`], "Without gap and overlap".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    /// Every change up to here has been told.
    told: Position,
    /// Announced changes are told at once; otherwise they are read from the log later.
    live: bool,
    /// It was live and could not be told everything.
    lags: bool,
}

/// Changes that a session has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    /// It has been told everything up to here.
    pub(crate) after: Position,
    /// Everything up to here was announced.
    pub(crate) up_to: Position,
}

impl Cursor {
    /// A session that is held and has been told everything up to `told`.
    pub(crate) fn held(told: Position) -> Self {
        Self { told, live: false, lags: false }
    }

    /// It has been told every change up to here.
    pub(crate) fn told(&self) -> Position {
        self.told
    }

    /// Whether it waits for room to be told what it has missed.
    pub(crate) fn lags(&self) -> bool {
        self.lags
    }

    /// Whether a change that is announced now must be told now. Then it is [passed](Self::pass), or the session is
    /// [held back](Self::hold).
    pub(crate) fn is_due(&self, position: Position) -> bool {
        self.live && position > self.told
    }

    /// A change that was due could not be told: it and what comes after it will be read from the log.
    pub(crate) fn hold(&mut self) {
        self.live = false;
        self.lags = true;
    }

    /// Everything up to `position` was told, or concerns others.
    pub(crate) fn pass(&mut self, position: Position) {
        self.told = self.told.max(position);
    }

    /// Goes live if nothing is missing of what was announced.
    pub(crate) fn go_live(&mut self, announced: Position) -> Result<(), Missing> {
        self.live = self.told >= announced;
        self.lags &= !self.live;
        if self.live { Ok(()) } else { Err(Missing { after: self.told, up_to: announced }) }
    }
}

#[cfg(test)]
mod tests;
