//! Ids of files.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::ParseIdError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The unique id of a file: 24 hexadecimal digits, like all ids. The first 4 bytes are the second of its creation. The
/// others are random, so that clients can neither count files nor guess the next id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 12]);

impl FileId {
    /// Creates an id from the time and these random bytes.
    pub fn new(now: Timestamp, random: [u8; 16]) -> Self {
        let seconds = u32::try_from(now.as_millis() / 1000).unwrap_or(u32::MAX);
        let mut id = [0; 12];
        id[..4].copy_from_slice(&seconds.to_be_bytes());
        id[4..].copy_from_slice(&random[..8]);
        Self(id)
    }

    /// The time of its creation, in seconds precision.
    pub fn made_at(self) -> Timestamp {
        let [a, b, c, d, ..] = self.0;
        let seconds = u64::from(u32::from_be_bytes([a, b, c, d]));
        Timestamp::default().after(Duration::from_secs(seconds))
    }

    /// The shard of the file: one of 256, evenly distributed.
    pub fn shard(self) -> u8 {
        let [.., last] = self.0;
        last
    }

    pub(super) fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileId({self})")
    }
}

/// Accepts only lower-case digits, so that each file has one URL.
impl FromStr for FileId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut id = [0; 12];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ParseIdError);
        }
        hex::decode_to_slice(text, &mut id).map_err(|_| ParseIdError)?;
        Ok(Self(id))
    }
}

impl Serialize for FileId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_it_was_made_and_has_one_spelling() {
        let id = FileId::new(Timestamp::from_millis(1_700_000_000_999), [0xab; 16]);
        assert_eq!(id.to_string(), "6553f100abababababababab");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.made_at(), Timestamp::from_millis(1_700_000_000_000));
        assert_eq!(id.shard(), 0xab);
        for wrong in [
            "",
            "6553F100ABABABABABABABAB",
            "6553f100ababababababababab",
            "../../../../etc/passwd00",
            "6553f100ababababababab/",
        ] {
            assert!(wrong.parse::<FileId>().is_err(), "{wrong}");
        }
    }
}
