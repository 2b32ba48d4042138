//! Stores files in a folder of this machine.
//!
//! Layout: `<dir>/ab/<id>` contains the bytes and `<dir>/ab/<id>.json` the record, where the folder is the
//! [shard](FileId::shard). Both are written elsewhere on the same file system, synced, and then renamed, so that no
//! partial file is ever visible.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::error::FileError;
use super::id::FileId;
use super::record::FileRecord;
use super::staging::blocking;
use super::staging::{Staged, Staging};
use super::store::{ByteStream, FileStore, Listed};
use crate::media::sync_folder;

/// The number of bytes per read.
const PIECE: usize = 64 << 10;

/// A [`FileStore`] that keeps files in a folder of this machine.
pub struct DiskFiles {
    dir: Arc<Path>,
    staging: Staging,
}

impl DiskFiles {
    /// Opens the folder and creates it if necessary. The staging folder must be on the same file system. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(dir: PathBuf, staging: Staging) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        sync_folder(&dir)?;
        Ok(Self { dir: dir.into(), staging })
    }
}

fn folder(dir: &Path, shard: u8) -> PathBuf {
    dir.join(hex::encode([shard]))
}

fn bytes_path(dir: &Path, id: FileId) -> PathBuf {
    folder(dir, id.shard()).join(id.to_string())
}

fn record_path(dir: &Path, id: FileId) -> PathBuf {
    bytes_path(dir, id).with_extension("json")
}

#[async_trait]
impl FileStore for DiskFiles {
    async fn put(&self, record: &FileRecord, file: Staged) -> Result<(), FileError> {
        let (dir, id, temporary) = (self.dir.clone(), record.id, self.staging.name());
        let text = serde_json::to_vec(record)
            .map_err(|error| FileError::caused("a record could not be written", error))?;
        blocking(move || {
            let folder = folder(&dir, id.shard());
            if !folder.is_dir() {
                fs::create_dir_all(&folder)?;
                sync_folder(&dir)?;
            }
            let place = || {
                let mut written = File::create_new(temporary.path())?;
                written.write_all(&text)?;
                written.sync_all()?;
                drop(written);
                // An id occurs twice only with a broken random source, but even then it must not replace another user's
                // file.
                if bytes_path(&dir, id).try_exists()? || record_path(&dir, id).try_exists()? {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(temporary.path(), record_path(&dir, id))?;
                temporary.keep();
                let moved = file.move_to(&bytes_path(&dir, id)).and_then(|()| sync_folder(&folder));
                if moved.is_err() {
                    let _ = fs::remove_file(bytes_path(&dir, id));
                    let _ = fs::remove_file(record_path(&dir, id));
                }
                moved
            };
            place()
        })
        .await
    }

    async fn record(&self, id: FileId) -> Result<Option<FileRecord>, FileError> {
        let path = record_path(&self.dir, id);
        let Some(text) = blocking(move || unless_missing(fs::read(path))).await? else { return Ok(None) };
        let record = serde_json::from_slice(&text);
        record.map(Some).map_err(|error| FileError::caused("a record could not be read", error))
    }

    async fn read(&self, id: FileId, range: Range<u64>) -> Result<Option<ByteStream>, FileError> {
        read_range(bytes_path(&self.dir, id), range).await
    }

    async fn remove(&self, id: FileId) -> Result<(), FileError> {
        let (bytes, record) = (bytes_path(&self.dir, id), record_path(&self.dir, id));
        blocking(move || {
            unless_missing(fs::remove_file(bytes))?;
            unless_missing(fs::remove_file(record)).map(drop)
        })
        .await
    }

    async fn list(&self, shard: u8) -> Result<Vec<Listed>, FileError> {
        let folder = folder(&self.dir, shard);
        blocking(move || {
            let mut found: Vec<(FileId, u8)> = Vec::new();
            let Some(entries) = unless_missing(fs::read_dir(folder))? else { return Ok(Vec::new()) };
            for entry in entries {
                let name = entry?.file_name();
                let Some(name) = name.to_str() else { continue };
                let (id, part) = name.strip_suffix(".json").map_or((name, 1), |id| (id, 2));
                // Files with other names do not belong to this store.
                if let Ok(id) = id.parse() {
                    found.push((id, part));
                }
            }
            Ok(super::store::listed(found))
        })
        .await
    }
}

/// These bytes of a file on this disk, or `None` if it does not exist.
pub(super) async fn read_range(path: PathBuf, range: Range<u64>) -> Result<Option<ByteStream>, FileError> {
    let opened = blocking(move || {
        unless_missing(File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(range.start))?;
            Ok(file.take(range.end - range.start))
        }))
    });
    Ok(opened.await?.map(pieces))
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The rest of a file as a stream. Each piece is read on a blocking thread, after the previous one was consumed.
fn pieces(file: io::Take<File>) -> ByteStream {
    stream::try_unfold(file, |mut file| async move {
        let read = blocking(move || {
            let mut piece = vec![0; PIECE.min(usize::try_from(file.limit()).unwrap_or(PIECE))];
            let mut len = 0;
            while len < piece.len() {
                match file.read(&mut piece[len..])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => len += read,
                }
            }
            Ok((Bytes::from(piece), file))
        });
        let (piece, file) = read.await?;
        Ok((!piece.is_empty()).then_some((piece, file)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::super::staging::tests::{counting, staged};
    use super::super::store_contract;
    use super::*;

    fn open(dir: &Path) -> (DiskFiles, Staging) {
        let staging = Staging::open(dir.join(".tmp"), counting()).unwrap();
        (DiskFiles::open(dir.to_owned(), staging.clone()).unwrap(), staging)
    }

    #[tokio::test]
    async fn the_contract_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (store, staging) = open(dir.path());
        store_contract::all(&store, &staging).await;
        assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn what_cannot_be_placed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (store, staging) = open(dir.path());
        let record = store_contract::record(9, b"x");
        // Something lies where the folder should be.
        fs::write(folder(dir.path(), record.id.shard()), "in the way").unwrap();
        let file = staged(&staging, b"x").await;
        assert!(store.put(&record, file).await.is_err());
        assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
        assert!(store.record(record.id).await.is_err() || store.record(record.id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_crash_between_record_and_bytes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (store, staging) = open(dir.path());
        let record = store_contract::record(9, b"x");
        store.put(&record, staged(&staging, b"x").await).await.unwrap();
        fs::remove_file(bytes_path(dir.path(), record.id)).unwrap();
        fs::write(folder(dir.path(), record.id.shard()).join("notes.txt"), "not ours").unwrap();
        let listed = store.list(record.id.shard()).await.unwrap();
        assert_eq!(listed, [Listed { id: record.id, is_complete: false }]);
        assert!(store.read(record.id, 0..1).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_that_was_cut_short_breaks_off_and_is_not_made_up() {
        let dir = tempfile::tempdir().unwrap();
        let (store, staging) = open(dir.path());
        let record = store_contract::record(9, b"12345");
        store.put(&record, staged(&staging, b"12345").await).await.unwrap();
        File::options().write(true).open(bytes_path(dir.path(), record.id)).unwrap().set_len(3).unwrap();
        let read = store.read(record.id, 0..5).await.unwrap().unwrap();
        assert!(read.try_collect::<Vec<_>>().await.is_err());
    }
}
