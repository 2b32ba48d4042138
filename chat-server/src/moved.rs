//! The mark beside a SQLite file whose content has been moved to MongoDB, so that a forgotten setting does not serve the old
//! file again: what people have written since would be missing, and what they write then would be lost to the others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use chat_core::clock::Timestamp;

/// Most bytes of a mark.
const MAX_BYTES: u64 = 256;

/// Where the mark of a file is.
pub fn mark_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".moved");
    PathBuf::from(name)
}

/// Notes that the content of this file was moved.
///
/// # Errors
/// When the mark cannot be written.
pub fn mark(database: &Path, at: Timestamp) -> io::Result<()> {
    let mut file = File::create(mark_of(database))?;
    writeln!(file, "moved to MongoDB at {at}")?;
    file.sync_all()
}

/// What is noted about a file, if its content was moved.
pub fn noted(database: &Path) -> Option<String> {
    let mut noted = String::new();
    let read = File::open(mark_of(database)).map(|file| file.take(MAX_BYTES).read_to_string(&mut noted));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // A mark that cannot be read is one.
        _ => Some(noted.lines().next().unwrap_or_default().trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_when_and_stays_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("chat.db");
        assert_eq!(noted(&database), None);
        mark(&database, Timestamp::from_millis(0)).unwrap();
        assert_eq!(noted(&database).unwrap(), "moved to MongoDB at 1970-01-01T00:00:00.000Z");
        std::fs::write(mark_of(&database), b"\xff").unwrap();
        assert!(noted(&database).is_some());
        std::fs::remove_file(mark_of(&database)).unwrap();
        assert_eq!(noted(&database), None);
    }
}
