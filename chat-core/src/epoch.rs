//! Which log a position belongs to.
//!
//! Whoever puts a backup back in the place of what was there goes back in time: positions that clients have been told are given
//! again, to other changes. So a log has an [`Epoch`], which is renewed then, and what a client brings of another epoch is
//! known to mean nothing any more.

use std::fmt;
use std::str::FromStr;

use crate::model::Position;

/// The life of a log: from its beginning, or from the last time a backup was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// By chance, so that no two logs have the same.
    pub id: u64,
    /// How often the log was given a new id; 0 in its first epoch.
    pub renewals: u32,
}

impl Epoch {
    /// The first epoch of a new log.
    pub fn first() -> Self {
        Self { id: rand::random(), renewals: 0 }
    }

    /// The epoch that begins when this one ends.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { id: rand::random(), renewals: self.renewals.saturating_add(1) }
    }

    /// A position of this epoch, as clients are told it.
    pub fn at(self, position: Position) -> LogPosition {
        LogPosition { tag: self.tag(), position }
    }

    /// The position, if it is one of this epoch.
    pub fn own(self, at: LogPosition) -> Option<Position> {
        (at.tag == self.tag()).then_some(at.position)
    }

    /// 0 in the first epoch, whose positions are plain numbers.
    fn tag(self) -> u32 {
        if self.renewals == 0 { 0 } else { (self.id as u32).max(1) }
    }
}

/// A position and the epoch it is of, in the form in which clients keep it: `17` in the first epoch, as ever, and later with
/// the epoch before it, `5f3a90c1-17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogPosition {
    tag: u32,
    position: Position,
}

impl From<Position> for LogPosition {
    /// Of the first epoch.
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

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl FromStr for LogPosition {
    type Err = NotAPosition;

    /// There is one way to write each of them, but for zeros before a number.
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
