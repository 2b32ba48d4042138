//! Room on the disk: a reserve that is given up when the disk is full, so that what was written can be put in order and the
//! store goes on for a while, and a smaller one with which it can still be opened afterwards.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Written to find out whether there is room: more than SQLite writes at once.
const PROBE_BYTES: u64 = 64 << 10;

/// Files beside the database that do nothing but take up room.
pub(super) struct Reserve {
    running: Room,
    starting: Room,
}

/// One of them.
struct Room {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// For a database; `bytes` of 0 are no reserve.
    pub(super) fn of(database: &Path, bytes: u64) -> Self {
        let room = |ending: &str, bytes| {
            let mut path = database.as_os_str().to_owned();
            path.push(ending);
            Room { path: path.into(), bytes }
        };
        let starting = bytes / 8;
        Self { running: room(".reserve", bytes - starting), starting: room(".reserve-start", starting) }
    }

    /// Takes the room if it is free, and three times as much besides: it must not be the reserve that fills the disk.
    pub(super) fn fill(&self) {
        self.starting.fill();
        self.running.fill();
    }

    /// Gives up what is for a running store. Returns whether there was some.
    pub(super) fn release(&self) -> bool {
        self.running.release()
    }

    /// Gives all of it up, so that the database can be opened. Returns whether there was some.
    pub(super) fn release_to_start(&self) -> bool {
        self.running.release() | self.starting.release()
    }
}

impl Room {
    fn fill(&self) {
        if self.bytes == 0 || self.path.metadata().is_ok_and(|file| file.len() >= self.bytes) {
            return;
        }
        if available_bytes(&self.path).is_some_and(|available| available < 4 * self.bytes) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::debug!(%error, "there is no room for the reserve");
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        let part = [0; 64 << 10];
        let mut left = self.bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(part.len()).min(part.len());
            file.write_all(&part[..size])?;
            left -= size as u64;
        }
        // Where blocks are given out late, or far away, this is when it is known that there are none.
        file.sync_data()
    }

    fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

/// Whether nothing more can be written beside this file, be it that the disk is full or that a quota is used up. Finds out by
/// writing a little, which is removed at once.
pub(super) fn is_used_up(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(".room");
    let room = Room { path: name.into(), bytes: PROBE_BYTES };
    let written = room.write();
    room.release();
    let is_used_up =
        |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    written.is_err_and(|error| is_used_up(&error))
}

/// How many bytes may still be written where this file is, or is to be; none where that cannot be told.
pub(super) fn available_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_once_and_given_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("chat.db");
        let reserve = Reserve::of(&database, 100_000);
        assert!(!reserve.release());
        reserve.fill();
        reserve.fill();
        let file = folder.path().join("chat.db.reserve");
        assert_eq!(file.metadata().unwrap().len(), 87_500);
        assert!(reserve.release());
        assert!(!file.exists() && !reserve.release());
        assert!(reserve.release_to_start() && !reserve.release_to_start());
    }

    #[test]
    fn it_does_not_fill_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let available = available_bytes(&folder.path().join("x"));
        let reserve = Reserve::of(&folder.path().join("chat.db"), available.unwrap_or(u64::MAX / 8) / 2);
        reserve.fill();
        assert!(!reserve.release());
    }

    #[test]
    fn none_is_none() {
        let folder = tempfile::tempdir().unwrap();
        Reserve::of(&folder.path().join("chat.db"), 0).fill();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
