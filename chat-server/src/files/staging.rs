//! Receives files on the local disk. They are hashed and counted while they arrive, and removed if they are not stored.
//!
//! A file is checked as a whole (its kind, its header, the virus scan) before a user can read it, and not every store
//! supports writing piece by piece. So every upload is first received here. The memory of one upload is: what the
//! connection has read (64 KiB), the current batch ([`BATCH`] and one frame), and the batch that is being written (the
//! same size).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::error::FileError;
use crate::media::RandomBytes;

/// The number of bytes in a batch, which is written at once.
const BATCH: usize = 64 << 10;

/// A file that was not written to for this long is abandoned.
const ABANDONED: Duration = Duration::from_hours(24);

/// The folder of files that are being received.
#[derive(Clone)]
pub struct Staging {
    dir: Arc<Path>,
    random: RandomBytes,
}

impl Staging {
    /// Opens the folder, and removes files that a crash left behind. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(dir: PathBuf, random: RandomBytes) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let staging = Self { dir: dir.into(), random };
        staging.sweep()?;
        Ok(staging)
    }

    /// Removes abandoned files. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // The file may be gone already.
            let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            if modified.elapsed().unwrap_or_default() >= ABANDONED {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Begins to receive a file.
    ///
    /// # Errors
    /// [`FileError::Full`] and [`FileError::Unavailable`].
    pub(super) async fn begin(&self) -> Result<Incoming, FileError> {
        let temporary = self.name();
        let path = temporary.path().to_owned();
        let file = blocking(move || File::create_new(path)).await?;
        Ok(Incoming { sink: Sink::new(file, 0, Some(Sha256::new())), temporary })
    }

    /// The name of a new temporary file, which is removed on drop.
    pub(super) fn name(&self) -> Temporary {
        Temporary { path: self.dir.join(hex::encode((self.random)())), is_ours: true }
    }
}

/// A file that is removed on drop.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    is_ours: bool,
}

impl Temporary {
    /// A file that its owner removes.
    pub(super) fn lent(path: PathBuf) -> Self {
        Self { path, is_ours: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file was moved, so it must not be removed.
    pub(super) fn keep(mut self) {
        self.is_ours = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_ours {
            // If the file cannot be removed now, the sweep removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that is being received.
pub(super) struct Incoming {
    // This field comes before the file's name, so that the file is closed before it is removed.
    sink: Sink,
    temporary: Temporary,
}

impl Incoming {
    /// The number of received bytes.
    pub(super) fn len(&self) -> u64 {
        self.sink.len
    }

    /// Appends received bytes.
    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), FileError> {
        self.sink.write(data).await
    }

    /// Completes the file: it is durable, and no longer written to.
    pub(super) async fn finish(self) -> Result<Staged, FileError> {
        let Self { sink, temporary } = self;
        let (size, hasher) = sink.finish().await?;
        let sha256 = hasher.map(|hasher| hasher.finalize().into()).unwrap_or_default();
        Ok(Staged { temporary, size, sha256 })
    }
}

/// A file that was received, hashed and counted. It is removed on drop.
#[derive(Debug)]
pub struct Staged {
    temporary: Temporary,
    size: u64,
    sha256: [u8; 32],
}

impl Staged {
    /// Takes over a file that is in the folder already. Blocks, because the file is read and synced.
    pub(super) fn of(temporary: Temporary) -> io::Result<Self> {
        let mut file = File::open(temporary.path())?;
        let mut hasher = Sha256::new();
        let size = io::copy(&mut file, &mut hasher)?;
        file.sync_all()?;
        Ok(Self { temporary, size, sha256: hasher.finalize().into() })
    }

    /// Hashes and counts the file again after it was changed in place. Blocks.
    pub(super) fn changed(self) -> io::Result<Self> {
        Self::of(self.temporary)
    }

    /// The path of the file, for reading.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The SHA-256 of its bytes.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Moves the file to another path on the same file system, where no file exists. Blocks.
    ///
    /// # Errors
    /// The error of the file system. In this case the file is removed.
    pub fn move_to(self, place: &Path) -> io::Result<()> {
        fs::rename(self.temporary.path(), place)?;
        self.temporary.keep();
        Ok(())
    }
}

/// Writes a file on blocking threads, one batch at a time, while the next batch is collected.
pub(super) struct Sink {
    /// `None` while a batch is being written.
    writer: Option<Writer>,
    writing: Option<JoinHandle<io::Result<Writer>>>,
    gathered: Vec<Bytes>,
    gathered_len: usize,
    len: u64,
}

struct Writer {
    file: File,
    hasher: Option<Sha256>,
}

impl Writer {
    fn write(mut self, batch: &[Bytes]) -> io::Result<Self> {
        for data in batch {
            self.file.write_all(data)?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(data);
            }
        }
        Ok(self)
    }
}

impl Sink {
    /// Continues at the position of `file`, which has `len` bytes already.
    pub(super) fn new(file: File, len: u64, hasher: Option<Sha256>) -> Self {
        let writer = Some(Writer { file, hasher });
        Self { writer, writing: None, gathered: Vec::new(), gathered_len: 0, len }
    }

    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), FileError> {
        self.len += data.len() as u64;
        self.gathered_len += data.len();
        self.gathered.push(data);
        if self.gathered_len >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Begins to write the current batch, once the previous one is written.
    async fn flush(&mut self) -> Result<(), FileError> {
        let writer = self.writer().await?;
        let batch = std::mem::take(&mut self.gathered);
        self.gathered_len = 0;
        self.writing = Some(tokio::task::spawn_blocking(move || writer.write(&batch)));
        Ok(())
    }

    async fn writer(&mut self) -> Result<Writer, FileError> {
        if let Some(writing) = self.writing.take() {
            let written = writing.await.map_err(io::Error::other).flatten();
            self.writer =
                Some(written.map_err(|error| FileError::disk("a file could not be written", error))?);
        }
        self.writer.take().ok_or_else(|| FileError::unavailable("a file was written on after it had failed"))
    }

    /// Writes the rest and syncs the file.
    pub(super) async fn finish(mut self) -> Result<(u64, Option<Sha256>), FileError> {
        self.flush().await?;
        let writer = self.writer().await?;
        let Writer { file, hasher } = writer;
        blocking(move || file.sync_all()).await?;
        Ok((self.len, hasher))
    }
}

/// Runs disk I/O on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten().map_err(|error| FileError::disk("the disk of the files", error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Consecutive numbers instead of random bytes.
    pub(crate) fn counting() -> RandomBytes {
        let next = std::sync::atomic::AtomicU64::new(1);
        Arc::new(move || {
            let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            bytes
        })
    }

    /// A file that was received.
    pub(crate) async fn staged(staging: &Staging, content: &[u8]) -> Staged {
        let mut incoming = staging.begin().await.unwrap();
        for part in content.chunks(10_000) {
            incoming.write(Bytes::copy_from_slice(part)).await.unwrap();
        }
        incoming.finish().await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_is_written_hashed_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join("tmp"), counting()).unwrap();
        for content in [vec![], vec![7; 1], (0..=255).cycle().take(1_000_003).collect::<Vec<u8>>()] {
            let staged = staged(&staging, &content).await;
            assert_eq!(staged.size(), content.len() as u64);
            assert_eq!(staged.sha256(), <[u8; 32]>::from(Sha256::digest(&content)));
            assert_eq!(fs::read(staged.path()).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn what_nothing_comes_of_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join("tmp"), counting()).unwrap();
        let count = || fs::read_dir(dir.path().join("tmp")).unwrap().count();
        let mut incoming = staging.begin().await.unwrap();
        incoming.write(Bytes::from(vec![7; 300_000])).await.unwrap();
        assert_eq!(count(), 1);
        drop(incoming);
        assert_eq!(count(), 0);
        drop(staged(&staging, b"whole").await);
        assert_eq!(count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut sink = Sink::new(file, 0, None);
        sink.write(Bytes::from(vec![7; BATCH])).await.unwrap();
        assert!(matches!(sink.finish().await, Err(FileError::Full)));
    }

    #[test]
    fn what_a_crash_left_is_removed_once_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        for path in [&old, &new] {
            fs::write(path, "half").unwrap();
        }
        let file = File::options().write(true).open(&old).unwrap();
        let long_ago = file.metadata().unwrap().modified().unwrap() - 2 * ABANDONED;
        file.set_modified(long_ago).unwrap();
        Staging::open(dir.path().to_owned(), counting()).unwrap();
        assert!(!old.exists() && new.exists());
    }
}
