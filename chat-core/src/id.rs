//! Identifiers: 12-byte values shown as 24 hexadecimal digits, as MongoDB's ObjectId does,
//! because the frontends we serve treat every id as one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::Timestamp;

/// A string that is not 24 hexadecimal digits was read as an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 24 hexadecimal digits")]
pub struct ParseIdError;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 12]);

        impl $name {
            /// The id made of these 12 bytes.
            pub const fn from_bytes(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }

            /// The 12 bytes, for stores.
            pub const fn as_bytes(&self) -> &[u8; 12] {
                &self.0
            }

            /// The 24 digits without an allocation.
            pub fn hex(&self) -> HexId {
                HexId::new(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.hex().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse(text).map(Self)
            }
        }
    };
}

id_type!(
    /// Names a user, for ever.
    UserId
);
id_type!(
    /// Names a conversation, direct or room.
    ConversationId
);
id_type!(
    /// Names a message.
    MessageId
);
id_type!(
    /// Names a report.
    ReportId
);
id_type!(
    /// Names a login session, together with the person whose it is.
    LoginSessionId
);

/// The 24 hexadecimal digits of an id, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexId([u8; 24]);

impl HexId {
    fn new(bytes: &[u8; 12]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 24];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits were written, so this never takes the empty branch.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn parse(text: &str) -> Result<[u8; 12], ParseIdError> {
    let text = text.as_bytes();
    if text.len() != 24 {
        return Err(ParseIdError);
    }
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8).ok_or(ParseIdError);
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

/// Where new ids come from. Injected, so that tests know every id beforehand.
pub trait IdSource: Send + Sync {
    /// Twelve bytes that no other call, process or node returns.
    fn next(&self, now: Timestamp) -> [u8; 12];
}

/// Ids laid out as the BSON specification does: 4 bytes of seconds, 5 random bytes of this process,
/// 3 bytes of a counter.
#[derive(Debug)]
pub struct ObjectIds {
    process: [u8; 5],
    counter: AtomicU32,
}

impl ObjectIds {
    /// A source with fresh random process bytes and counter.
    pub fn new() -> Self {
        Self { process: rand::random(), counter: AtomicU32::new(rand::random()) }
    }
}

impl Default for ObjectIds {
    fn default() -> Self {
        Self::new()
    }
}

impl IdSource for ObjectIds {
    fn next(&self, now: Timestamp) -> [u8; 12] {
        let seconds = u32::try_from(now.as_millis() / 1000).unwrap_or(u32::MAX);
        let count = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut id = [0; 12];
        id[..4].copy_from_slice(&seconds.to_be_bytes());
        id[4..9].copy_from_slice(&self.process);
        id[9..].copy_from_slice(&count[1..]);
        id
    }
}

/// Ids that count from one, for tests and simulations.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self, _now: Timestamp) -> [u8; 12] {
        let mut id = [0; 12];
        id[4..].copy_from_slice(&(self.0.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes());
        id
    }
}

#[cfg(test)]
mod tests;
