//! The metadata of a file.

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use serde::{Deserialize, Serialize};

use super::id::FileId;

/// The metadata of a file. It is stored beside the file as JSON, and never changes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its id.
    pub id: FileId,
    /// The user who has uploaded it, and in whose quota it counts.
    #[serde(with = "user")]
    pub owner: UserId,
    /// Its name, without paths and invisible characters.
    pub name: String,
    /// Its media type, detected by its content.
    #[serde(rename = "type")]
    pub content_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The width in pixels, for images whose header contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// The duration in milliseconds, for audio and video whose header contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// A blurred preview of an image, in the format of <https://blurha.sh>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blurhash: Option<String>,
    /// When it was stored, in milliseconds since 1970.
    pub created_at: i64,
}

impl FileRecord {
    /// When it was stored.
    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at)
    }
}

/// The name is omitted, because it can be as confidential as a message.
impl std::fmt::Debug for FileRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRecord")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("type", &self.content_type)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

pub(super) mod user {
    use chat_core::id::UserId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(user: &UserId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(user)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UserId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
