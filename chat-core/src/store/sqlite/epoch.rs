//! The log's epoch in the file, and beside it how far the log had come, so that an older file is known for one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::rows;
use crate::epoch::Epoch;
use crate::model::Position;

/// How far the log has come is noted at most so often while much is written.
const NOTE_EVERY: Duration = Duration::from_secs(1);

pub(super) fn read(db: &Connection) -> rusqlite::Result<Epoch> {
    let mut select = db.prepare_cached("SELECT id, renewals FROM epoch")?;
    select.query_row([], |row| Ok(Epoch { id: row.get::<_, i64>(0)?.cast_unsigned(), renewals: row.get(1)? }))
}

pub(super) fn renew(db: &Connection) -> rusqlite::Result<Epoch> {
    let renewed = read(db)?.renewed();
    let mut update = db.prepare_cached("UPDATE epoch SET id = ?, renewals = ?")?;
    update.execute(params![renewed.id.cast_signed(), renewed.renewals])?;
    Ok(renewed)
}

/// A note of the epoch and the last position of the log, kept in the lock file: who copies an older database over the one
/// that was there does not copy this one. It may lag behind by a moment when the process is killed.
pub(super) struct HighWater {
    file: File,
    noted_at: Option<Instant>,
}

impl HighWater {
    pub(super) fn of(file: File) -> Self {
        Self { file, noted_at: None }
    }

    /// Whether the log had come farther in the same epoch than it has now: then the database is an older one, or some of it was
    /// lost, and what clients were told since will be told of other changes.
    pub(super) fn is_ahead_of(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        let Some((id, position)) = self.noted().ok().flatten() else { return Ok(false) };
        Ok(id == read(db)?.id && position > rows::last_position(db)?)
    }

    /// Notes where the log is now.
    pub(super) fn note(&mut self, db: &Connection) {
        let noted = || -> Result<(), Box<dyn std::error::Error>> {
            let (Epoch { id, .. }, Position(last)) = (read(db)?, rows::last_position(db)?);
            let mut file = &self.file;
            file.seek(SeekFrom::Start(0))?;
            // Always as long, so that one write replaces it.
            file.write_all(format!("{id:016x} {last:020}\n").as_bytes())?;
            Ok(())
        };
        if let Err(error) = noted() {
            tracing::debug!(%error, "how far the log has come could not be noted");
        }
        self.noted_at = Some(Instant::now());
    }

    /// The same, unless it was done a moment ago.
    pub(super) fn note_now_and_then(&mut self, db: &Connection) {
        if self.noted_at.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
            self.note(db);
        }
    }

    fn noted(&mut self) -> io::Result<Option<(u64, Position)>> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        Read::by_ref(&mut self.file).take(64).read_to_string(&mut text)?;
        let parse = || {
            let (id, position) = text.strip_suffix('\n')?.split_once(' ')?;
            Some((u64::from_str_radix(id, 16).ok()?, Position(position.parse().ok()?)))
        };
        Ok(parse())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::clock::Timestamp;
    use crate::id::{ConversationId, UserId};
    use crate::model::{Position, RoomInfo, Visibility};
    use crate::store::sqlite::{SqliteOptions, SqliteStore};
    use crate::store::{ChangeLog, NewRoom, RoomStore};

    fn open(path: &Path) -> SqliteStore {
        SqliteStore::open(path, SqliteOptions::default()).unwrap()
    }

    async fn change(store: &SqliteStore, n: u8) {
        let by = UserId::from_bytes([7; 12]);
        let info = RoomInfo::new("room", Visibility::Public);
        let at = Timestamp::from_millis(1);
        let room = NewRoom { id: ConversationId::from_bytes([n; 12]), info, members: vec![], by, at };
        store.create_room(room).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_older_file_that_somebody_has_put_back_begins_another_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("chat.db"), folder.path().join("kept.db"));
        let store = open(&path);
        let epoch = store.epoch().await.unwrap();
        change(&store, 1).await;
        store.close().await.unwrap();
        drop(store);
        std::fs::copy(&path, &kept).unwrap();
        // As it is, or the very same file again: nothing was lost.
        for _ in 0..2 {
            assert_eq!(open(&path).epoch().await.unwrap(), epoch);
            std::fs::copy(&kept, &path).unwrap();
        }
        let store = open(&path);
        change(&store, 2).await;
        store.close().await.unwrap();
        drop(store);
        std::fs::copy(&kept, &path).unwrap();
        let store = open(&path);
        assert_eq!(store.last_position().await.unwrap(), Position(1));
        let renewed = store.epoch().await.unwrap();
        assert_ne!(renewed.id, epoch.id);
        assert_eq!(renewed.renewals, 1);
        drop(store);
        assert_eq!(open(&path).epoch().await.unwrap(), renewed, "once");
    }

    #[tokio::test]
    async fn a_store_that_was_dropped_has_noted_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) = (folder.path().join("chat.db"), folder.path().join("kept.db"));
        let store = open(&path);
        store.close().await.unwrap();
        drop(store);
        std::fs::copy(&path, &kept).unwrap();
        let store = open(&path);
        let epoch = store.epoch().await.unwrap();
        change(&store, 1).await;
        drop(store);
        std::fs::copy(&kept, &path).unwrap();
        assert_ne!(open(&path).epoch().await.unwrap(), epoch);
    }
}
