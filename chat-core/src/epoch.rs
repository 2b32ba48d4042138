//! Epochs: they say which log a position belongs to.
//!
//! Restoring a backup goes back in time: positions that clients have already received are assigned again, to other
//! changes. So a log has an [`Epoch`], which is renewed at a restore. A position that a client sends from another epoch
//! is recognized as invalid.

use std::fmt;
use std::str::FromStr;

use crate::model::Position;

/// The lifetime of a log: since its creation, or since the last restore of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// A random id, so that no two logs have the same one.
    pub id: u64,
    /// How often the epoch was renewed; 0 for the first epoch.
    pub renewals: u32,
}

impl Epoch {
    /// The first epoch of a new log.
    pub fn first() -> Self {
        Self { id: rand::random(), renewals: 0 }
    }

    /// The epoch that follows this one.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { id: rand::random(), renewals: self.renewals.saturating_add(1) }
    }

    /// A position of this epoch, in the form for clients.
    pub fn at(self, position: Position) -> LogPosition {
        LogPosition { tag: self.tag(), position }
    }

    /// The position, if it belongs to this epoch.
    pub fn own(self, at: LogPosition) -> Option<Position> {
        (at.tag == self.tag()).then_some(at.position)
    }

    /// The tag is 0 in the first epoch, whose positions are plain numbers.
    fn tag(self) -> u32 {
        if self.renewals == 0 { 0 } else { (self.id as u32).max(1) }
    }
}

/// A position with its epoch, in the form in which clients store it: `17` in the first epoch, as before epochs existed,
/// and `5f3a90c1-17` in later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogPosition {
    tag: u32,
    position: Position,
}

impl From<Position> for LogPosition {
    /// A position of the first epoch.
    fn from(position: Position) -> Self {
        Self { tag: 0, position }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            0 => write!(f, "{}", self.position.0),
            tag => write!(f, "{tag:08x}-{}", self.position.0),
        }
    }
}

/// The text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for LogPosition {
    type Err = NotAPosition;

    /// Each position has only one text, except for leading zeros.
    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (tag, digits) = match text.split_once('-') {
            Some((tag, digits)) => (read_tag(tag).ok_or(NotAPosition)?, digits),
            None => (0, text),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAPosition);
        }
        let position = digits.parse().map(Position).map_err(|_| NotAPosition)?;
        Ok(Self { tag, position })
    }
}

fn read_tag(text: &str) -> Option<u32> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 8 || !text.bytes().all(is_hex) {
        return None;
    }
    u32::from_str_radix(text, 16).ok().filter(|tag| *tag != 0)
}

#[cfg(test)]
mod tests;
