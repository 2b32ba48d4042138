//! Stores pictures in a folder of this machine.
//!
//! Layout: `<dir>/ab/abcdef….png`. The name is 128 random bits in hexadecimal, and the folder is its first two digits,
//! so that no folder becomes large. `<dir>/.tmp` contains files that are being written. The name is the only access
//! control of a picture: it cannot be guessed and is never listed.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::image::ImageKind;
use super::store::{Media, MediaError, MediaStore};

/// The source of names: 128 bits that cannot be guessed.
pub type RandomBytes = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// A [`MediaStore`] that keeps pictures in a folder of this machine; [`routes`](super::routes) serves them.
pub struct DiskMedia {
    dir: PathBuf,
    public_prefix: String,
    random: RandomBytes,
    /// Held while a folder is created and synced, so that no other picture in it is acknowledged before.
    making_folder: Arc<Mutex<()>>,
}

impl DiskMedia {
    /// Opens the folder `dir`, creates it if necessary, and removes partial files that a crash left behind.
    ///
    /// `public_prefix` is the path under which the pictures are served, such as `/media`. This does blocking disk I/O;
    /// call it during startup.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a prefix that is not a plain absolute path; otherwise the error of the file system.
    pub fn new(dir: impl Into<PathBuf>, public_prefix: &str, random: RandomBytes) -> io::Result<Self> {
        let public_prefix = public_prefix.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
        if !public_prefix.starts_with('/')
            || public_prefix.contains("//")
            || !public_prefix.chars().all(plain)
        {
            let reason = "the path of the media must look like /media";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let dir = dir.into();
        fs::create_dir_all(temporary(&dir))?;
        remove_leftovers(&temporary(&dir))?;
        sync_folder(&dir)?;
        Ok(Self { dir, public_prefix: public_prefix.to_owned(), random, making_folder: Arc::default() })
    }

    /// The path under which the pictures are served, without a trailing slash.
    #[must_use]
    pub fn public_prefix(&self) -> &str {
        &self.public_prefix
    }

    /// Opens a stored picture by the last part of its URL. Returns `None` if no picture has this name.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unavailable`] when the disk cannot be read.
    pub async fn read(&self, name: &str) -> Result<Option<StoredMedia>, MediaError> {
        let Some((path, kind)) = self.locate(name) else { return Ok(None) };
        let opened: io::Result<StoredMedia> = async {
            let file = tokio::fs::File::open(path).await?;
            let metadata = file.metadata().await?;
            Ok(StoredMedia { file, kind, len: metadata.len(), modified: metadata.modified()? })
        }
        .await;
        match opened {
            Ok(media) => Ok(Some(media)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MediaError::caused("a stored picture could not be read", error)),
        }
    }

    fn new_url(&self, media: &Media) -> String {
        format!("{}/{}.{}", self.public_prefix, hex::encode((self.random)()), media.kind.extension())
    }

    /// The name in a URL of this store.
    fn name_in<'a>(&self, url: &'a str) -> Option<&'a str> {
        url.strip_prefix(&self.public_prefix)?.strip_prefix('/').filter(|name| self.locate(name).is_some())
    }

    /// The path of the picture with this name, if the name is one that [`MediaStore::store`] can create.
    ///
    /// Only 32 lower-case hexadecimal digits, a dot and a known extension are accepted. So no name can point outside
    /// the folder, and each picture has exactly one URL.
    pub(super) fn locate(&self, name: &str) -> Option<(PathBuf, ImageKind)> {
        let (digits, extension) = name.split_once('.')?;
        let kind = ImageKind::from_extension(extension)?;
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == 32 && digits.bytes().all(hex))
            .then(|| (self.dir.join(&digits[..2]).join(name), kind))
    }
}

#[async_trait]
impl MediaStore for DiskMedia {
    async fn store(&self, media: Media) -> Result<String, MediaError> {
        let url = self.new_url(&media);
        self.store_reserved(&url, media).await?;
        Ok(url)
    }

    fn reserve(&self, media: &Media) -> Option<String> {
        Some(self.new_url(media))
    }

    async fn store_reserved(&self, url: &str, media: Media) -> Result<(), MediaError> {
        let Some(name) = self.name_in(url).map(str::to_owned) else {
            return Err(MediaError::unavailable("a picture was to have a name that is not one of ours"));
        };
        let dir = self.dir.clone();
        let making_folder = Arc::clone(&self.making_folder);
        tokio::task::spawn_blocking(move || write(&dir, &making_folder, &name, &media.bytes))
            .await
            .map_err(|error| MediaError::caused("writing a picture was broken off", error))?
            .map_err(|error| MediaError::caused("a picture could not be written", error))
    }

    async fn remove(&self, url: &str) -> Result<(), MediaError> {
        let Some((path, _)) = self.name_in(url).and_then(|name| self.locate(name)) else { return Ok(()) };
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(MediaError::caused("a picture could not be removed", error))
            }
            _ => Ok(()),
        }
    }
}

/// A stored picture, open for reading.
#[derive(Debug)]
pub struct StoredMedia {
    /// The file, at its beginning.
    pub file: tokio::fs::File,
    /// The type of the picture.
    pub kind: ImageKind,
    /// Its length in bytes.
    pub len: u64,
    /// When it was stored.
    pub modified: SystemTime,
}

/// Writes a picture atomically and durably.
fn write(dir: &Path, making_folder: &Mutex<()>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = dir.join(&name[..2]);
    {
        let _alone = making_folder.lock().unwrap_or_else(PoisonError::into_inner);
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
            sync_folder(dir)?;
        }
    }
    // Creating the temporary file fails if it exists, and the rename removes it. So if two writers have the same name,
    // the second one finds either the temporary or the finished file. This can happen only with a broken random source,
    // but even then no user's picture may be replaced.
    let unfinished = temporary(dir).join(name);
    let file = File::create_new(&unfinished)?;
    let finished = folder.join(name);
    let written = fill(file, bytes).and_then(|()| place(&unfinished, &finished));
    if written.is_err() {
        // The first error is the one to report. A file that cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    sync_folder(&folder)
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

fn place(unfinished: &Path, finished: &Path) -> io::Result<()> {
    if finished.try_exists()? {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    fs::rename(unfinished, finished)
}

fn temporary(dir: &Path) -> PathBuf {
    dir.join(".tmp")
}

/// Removes old temporary files. Recent ones are kept, because another server that shares the folder may be writing
/// them.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    const ABANDONED: Duration = Duration::from_hours(1);

    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age >= ABANDONED {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the directory entries of a folder durable. Syncing the files does not do that.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// On other systems a folder cannot be opened as a file, and the journal of the file system protects its entries.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
