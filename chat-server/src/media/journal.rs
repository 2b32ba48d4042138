//! The journal of undecided images: one small file for each image. It is created before the image, and removed when it
//! is clear whether a message or profile references the image. After a crash these files are used to decide.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::Position;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::Purpose;

/// An image that may turn out to be unreferenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The URL that would reference it.
    pub(crate) url: String,
    /// The user whose quota it counts in.
    pub(crate) owner: UserId,
    /// The bytes that it counts in the quota.
    pub(crate) bytes: u64,
    /// The purpose of the image.
    pub(crate) purpose: Purpose,
    /// When it was stored.
    pub(crate) at: Timestamp,
    /// The log position at that time. A message that references it comes after it.
    pub(crate) position: Position,
    /// The profile picture at that time, if this image is to replace it.
    pub(crate) replaces: Option<String>,
}

/// The JSON form of an entry.
#[derive(Serialize, Deserialize)]
struct Line {
    url: String,
    owner: String,
    bytes: u64,
    profile: bool,
    at: i64,
    position: u64,
    replaces: Option<String>,
}

pub(super) struct Journal {
    dir: PathBuf,
}

impl Journal {
    /// Opens the journal. Blocks.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Writes an entry durably. Blocks.
    pub(super) fn note(&self, entry: &Entry) -> io::Result<()> {
        let line = Line {
            url: entry.url.clone(),
            owner: entry.owner.to_string(),
            bytes: entry.bytes,
            profile: entry.purpose == Purpose::ProfilePicture,
            at: entry.at.as_millis(),
            position: entry.position.0,
            replaces: entry.replaces.clone(),
        };
        let text = serde_json::to_vec(&line)?;
        let mut file = File::create_new(self.path(&entry.url))?;
        file.write_all(&text)?;
        file.sync_all()?;
        super::disk::sync_folder(&self.dir)
    }

    /// Removes the entry of a decided image. Returns true to only one of several concurrent callers, in any process.
    /// Blocks.
    pub(super) fn forget(&self, url: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(url)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All entries from `until` or before. An entry that cannot be parsed was cut short by a crash, so its image was never
    /// written; such an old entry is removed. Blocks.
    pub(super) fn until(&self, until: Timestamp) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            match fs::read(&path) {
                Ok(text) => match parse(&text) {
                    Some(entry) if entry.at <= until => entries.push(entry),
                    Some(_) => {}
                    // It may still be being written, perhaps by another server.
                    None if is_old(&path) => fs::remove_file(&path)?,
                    None => {}
                },
                // It was decided meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn path(&self, url: &str) -> PathBuf {
        self.dir.join(hex::encode(&Sha256::digest(url)[..16]))
    }
}

fn is_old(path: &std::path::Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().unwrap_or_default() > super::images::SETTLED_AFTER)
}

fn parse(text: &[u8]) -> Option<Entry> {
    let line: Line = serde_json::from_slice(text).ok()?;
    Some(Entry {
        url: line.url,
        owner: line.owner.parse().ok()?,
        bytes: line.bytes,
        purpose: if line.profile { Purpose::ProfilePicture } else { Purpose::MessageImage },
        at: Timestamp::from_millis(line.at),
        position: Position(line.position),
        replaces: line.replaces,
    })
}
