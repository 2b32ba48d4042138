//! How much each user has stored in total, and in the last hour.
//!
//! The total is one small file per user in a folder beside the images. So it survives restarts, and all servers that
//! share the images share it: each change is made under a lock on that file. The rate is in the memory of this node.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use parking_lot::Mutex;

use crate::limits::rate::RateLimit;

/// The minimum size that an image counts as: the smallest image takes this much of a disk.
const MIN_COUNTED_BYTES: u64 = 4096;

/// The size that an image of this many bytes counts as.
pub(crate) fn counted(bytes: u64) -> u64 {
    bytes.max(MIN_COUNTED_BYTES)
}

/// The total size of each user's images.
pub(crate) struct Ledger {
    dir: PathBuf,
    quota: u64,
}

/// One user's total. The numbers have a fixed width, so that one write replaces the content and no partial state
/// remains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// The bytes of all images.
    pub(super) bytes: u64,
    /// The part of it that is the profile picture.
    pub(super) picture: u64,
}

impl Usage {
    fn parse(text: &str) -> Option<Self> {
        let (bytes, picture) = text.trim_end().split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, picture: picture.parse().ok()? })
    }

    fn written(self) -> String {
        format!("{:020} {:020}\n", self.bytes, self.picture)
    }
}

impl Ledger {
    /// Opens the ledger with a limit of `quota` bytes for each user; 0 means no limit. Blocks.
    pub(crate) fn open(dir: PathBuf, quota: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, quota })
    }

    /// Counts an image that is about to be stored, if the quota allows it. Blocks.
    pub(crate) fn acquire(&self, owner: UserId, bytes: u64) -> io::Result<bool> {
        self.change(owner, |usage| {
            let total = usage.bytes.saturating_add(bytes);
            if self.quota > 0 && total > self.quota {
                return false;
            }
            usage.bytes = total;
            true
        })
    }

    /// Subtracts an image again. Blocks.
    pub(crate) fn release(&self, owner: UserId, bytes: u64) -> io::Result<()> {
        self.change(owner, |usage| usage.bytes = usage.bytes.saturating_sub(bytes))
    }

    /// Records that a counted image has replaced the profile picture. Blocks.
    pub(super) fn replace_picture(&self, owner: UserId, bytes: u64) -> io::Result<()> {
        self.change(owner, |usage| {
            usage.bytes = usage.bytes.saturating_sub(usage.picture);
            usage.picture = bytes;
        })
    }

    /// The total of a user. Blocks.
    pub(crate) fn total(&self, owner: UserId) -> io::Result<u64> {
        self.change(owner, |usage| usage.bytes)
    }

    /// Whether this server has stored the profile picture of a user. Blocks.
    pub(super) fn has_picture(&self, owner: UserId) -> io::Result<bool> {
        self.change(owner, |usage| usage.picture > 0)
    }

    fn change<T>(&self, owner: UserId, change: impl FnOnce(&mut Usage) -> T) -> io::Result<T> {
        let mut file = self.file(owner)?;
        // The lock is released when the file is closed. Another process may share the folder.
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let known = Usage::parse(&text);
        if known.is_none() && !text.is_empty() {
            chat_core::log_throttled!(
                warn, user.id = %owner, "how much this person has stored cannot be read and begins at 0"
            );
        }
        let before = known.unwrap_or_default();
        let mut usage = before;
        let changed = change(&mut usage);
        if usage != before || known.is_none() {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(usage.written().as_bytes())?;
            file.set_len(usage.written().len() as u64)?;
        }
        Ok(changed)
    }

    fn file(&self, owner: UserId) -> io::Result<File> {
        let name = owner.to_string();
        // The last digits of an id vary most.
        let folder = self.dir.join(&name[name.len() - 2..]);
        fs::create_dir_all(&folder)?;
        File::options().create(true).truncate(false).read(true).write(true).open(folder.join(name))
    }

    #[cfg(test)]
    pub(super) fn usage(&self, owner: UserId) -> Usage {
        self.change(owner, |usage| *usage).unwrap()
    }
}

/// Limits how many bytes each user stores in an hour. The budget refills evenly over time.
pub(crate) struct ByteRate {
    bytes: u64,
    used: Mutex<HashMap<UserId, (u64, Timestamp)>>,
}

/// When this many users are tracked, those with a full budget are removed.
const SWEEP_AT: usize = 10_000;
const HOUR_MILLIS: u128 = 60 * 60 * 1000;

impl ByteRate {
    /// At most `bytes` in an hour; 0 means no limit.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, used: Mutex::default() }
    }

    /// Counts these bytes, if the budget allows it now. An image that is larger than the whole budget is accepted when
    /// the budget is full.
    ///
    /// # Errors
    /// The state of the limit, and when there is room again.
    pub(crate) fn acquire(&self, owner: UserId, bytes: u64, now: Timestamp) -> Result<(), RateLimit> {
        if self.bytes == 0 {
            return Ok(());
        }
        let mut used = self.used.lock();
        if used.len() >= SWEEP_AT {
            used.retain(|_, (used, at)| self.left(*used, *at, now) > 0);
        }
        // A time in the future is from a clock that was set back.
        let known = used.get_mut(&owner).map(|(used, at)| {
            *at = (*at).min(now);
            (*used, *at)
        });
        let (before, at) = known.unwrap_or((0, now));
        let before = self.left(before, at, now);
        let after = before.saturating_add(bytes);
        if before > 0 && after > self.bytes {
            let too_much = after.min(before + self.bytes) - self.bytes;
            let remaining = self.bytes.saturating_sub(before);
            return Err(RateLimit { limit: self.bytes, remaining, reset: self.time_for(too_much) });
        }
        used.insert(owner, (after, now));
        Ok(())
    }

    /// Returns bytes that were counted but could not be stored.
    pub(crate) fn release(&self, owner: UserId, bytes: u64) {
        if let Some((used, _)) = self.used.lock().get_mut(&owner) {
            *used = used.saturating_sub(bytes);
        }
    }

    fn left(&self, used: u64, at: Timestamp, now: Timestamp) -> u64 {
        let passed = now.as_millis().saturating_sub(at.as_millis()).max(0).unsigned_abs();
        let back = u128::from(self.bytes) * u128::from(passed) / HOUR_MILLIS;
        used.saturating_sub(u64::try_from(back).unwrap_or(u64::MAX))
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let millis = (u128::from(bytes) * HOUR_MILLIS).div_ceil(u128::from(self.bytes));
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
