//! Uploads that are received in several requests, over up to a day and across restarts of the server.
//!
//! The received bytes are in a folder on this disk, with a note that contains the metadata: `<id>.part` and
//! `<id>.json`. The length of the `.part` file is the offset of the upload. Other nodes do not know the upload.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::body::Source;
use super::declared::Declared;
use super::error::FileError;
use super::id::FileId;
use super::quota::{Hold, Quota};
use super::record::user;
use super::staging::{Sink, Temporary, blocking};

/// An upload that is not complete after this time is removed.
pub(super) const KEPT_UNFINISHED: Duration = Duration::from_hours(24);
/// The maximum number of incomplete uploads of one user.
const MAX_OF_ONE: usize = 64;

/// All incomplete uploads.
pub(super) struct Uploads {
    dir: Arc<Path>,
    open: Mutex<HashMap<FileId, Arc<Upload>>>,
}

/// An incomplete upload.
pub(super) struct Upload {
    pub(super) note: Note,
    path: PathBuf,
    /// The number of received bytes. It is locked while a part is received or the upload is completed.
    offset: Arc<tokio::sync::Mutex<u64>>,
    hold: Mutex<Option<Hold>>,
}

/// The metadata of an upload.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: FileId,
    #[serde(with = "user")]
    pub(super) owner: UserId,
    pub(super) length: u64,
    /// The unchanged `Upload-Metadata`. It is parsed again when the upload is complete.
    pub(super) metadata: String,
    pub(super) created_at: i64,
}

impl Note {
    /// When the upload is removed unless it is complete.
    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at).after(KEPT_UNFINISHED)
    }
}

/// The checksum that the client declares for a part.
pub(super) enum Checksum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

enum Hasher {
    None,
    Sha1(Sha1),
    Sha256(Sha256),
}

/// Why a part was rejected.
pub(super) enum PartError {
    /// Another part is being received.
    Locked,
    /// It does not begin at the current offset.
    Offset,
    /// It does not match its checksum. Nothing of it was stored.
    Checksum,
    /// Another error.
    File(FileError),
}

impl From<FileError> for PartError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// The lock of an upload. Other requests for the upload wait or are refused until it is dropped.
pub(super) type Finished = tokio::sync::OwnedMutexGuard<u64>;

impl Uploads {
    /// Resumes the uploads that began before a restart. Blocks.
    pub(super) fn open(dir: PathBuf, quota: &Arc<Quota>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut open = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                // A note is created after its `.part` file, and removed before it.
                if !path.with_extension("json").try_exists()? {
                    fs::remove_file(path)?;
                }
                continue;
            }
            let note = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
            let part = path.with_extension("part");
            let (Some(note), Ok(metadata)) = (note, fs::metadata(&part)) else {
                fs::remove_file(path)?;
                continue;
            };
            let hold = quota.resume(note.owner, note.length);
            open.insert(note.id, Arc::new(Upload::new(note, part, metadata.len(), hold)));
        }
        Ok(Self { dir: dir.into(), open: Mutex::new(open) })
    }

    /// Begins an upload.
    pub(super) async fn begin(&self, note: Note, hold: Hold) -> Result<(), FileError> {
        let of_owner = self.open.lock().values().filter(|upload| upload.note.owner == note.owner).count();
        if of_owner >= MAX_OF_ONE {
            return Err(FileError::invalid("upload", format!("{MAX_OF_ONE} others are not finished")));
        }
        let part = self.dir.join(format!("{}.part", note.id));
        let (path, text) = (part.clone(), serde_json::to_vec(&note).unwrap_or_default());
        blocking(move || {
            let made = || {
                File::create_new(&path)?;
                fs::write(path.with_extension("new"), text)?;
                fs::rename(path.with_extension("new"), path.with_extension("json"))
            };
            made().inspect_err(|_| {
                for ending in ["new", "json", "part"] {
                    let _ = fs::remove_file(path.with_extension(ending));
                }
            })
        })
        .await?;
        self.open.lock().insert(note.id, Arc::new(Upload::new(note, part, 0, hold)));
        Ok(())
    }

    /// The upload with this id, if it belongs to this user.
    pub(super) fn find(&self, id: FileId, owner: UserId) -> Option<Arc<Upload>> {
        self.open.lock().get(&id).filter(|upload| upload.note.owner == owner).cloned()
    }

    /// Removes an upload that is complete or was cancelled. The caller holds its lock, `turn`.
    pub(super) async fn remove(&self, upload: &Upload, turn: Finished) -> Result<(), FileError> {
        let path = upload.path.clone();
        let removed = blocking(move || {
            let _turn = turn;
            for path in [path.with_extension("json"), path] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        });
        removed.await?;
        self.open.lock().remove(&upload.note.id);
        upload.hold.lock().take();
        Ok(())
    }

    /// Removes uploads that were not completed in time.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<(), FileError> {
        let is_old = |upload: &&Arc<Upload>| upload.note.expires_at() <= now;
        let old: Vec<_> = self.open.lock().values().filter(is_old).cloned().collect();
        for upload in old {
            // If a part is being received, the next sweep removes the upload.
            if let Ok(turn) = upload.turn() {
                self.remove(&upload, turn).await?;
            }
        }
        Ok(())
    }
}

impl Upload {
    fn new(note: Note, path: PathBuf, offset: u64, hold: Hold) -> Self {
        let offset = Arc::new(tokio::sync::Mutex::new(offset));
        Self { note, path, offset, hold: Mutex::new(Some(hold)) }
    }

    /// Locks the upload for changes.
    pub(super) fn turn(&self) -> Result<Finished, PartError> {
        self.offset.clone().try_lock_owned().map_err(|_| PartError::Locked)
    }

    /// The number of received bytes. Waits until no part is being received.
    pub(super) async fn offset(&self) -> u64 {
        *self.offset.lock().await
    }

    /// Takes the reservation in the quota.
    pub(super) fn take_hold(&self) -> Option<Hold> {
        self.hold.lock().take()
    }

    /// Returns the reservation, because storing failed for a server-side reason and may be tried again.
    pub(super) fn return_hold(&self, hold: Hold) {
        *self.hold.lock() = Some(hold);
    }

    /// The received file, which stays at its path.
    pub(super) fn file(&self) -> Temporary {
        Temporary::lent(self.path.clone())
    }

    /// Receives a part. If it breaks off, the bytes that have arrived are kept, unless the part has a checksum.
    pub(super) async fn receive(
        &self,
        at: u64,
        source: &Source,
        checksum: Option<Checksum>,
    ) -> Result<Finished, PartError> {
        let mut offset = self.turn()?;
        if at != *offset {
            return Err(PartError::Offset);
        }
        let path = self.path.clone();
        let file = blocking(move || {
            use std::io::{Seek, SeekFrom};
            let mut file = File::options().write(true).open(path)?;
            // Bytes that a crash left behind were never acknowledged, so they are removed.
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            Ok(file)
        });
        let mut sink = Sink::new(file.await?, at, None);
        let mut hasher = checksum.as_ref().map_or(Hasher::None, Checksum::hasher);
        let mut len = at;
        let received: Result<(), PartError> = loop {
            let piece = match source.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            };
            len += piece.len() as u64;
            if len > self.note.length {
                break Err(
                    FileError::invalid("Upload-Offset", "the part is longer than what is missing").into()
                );
            }
            hasher.update(&piece);
            if let Err(error) = sink.write(piece).await {
                break Err(error.into());
            }
        };
        let is_kept = match (&received, &checksum) {
            (Ok(()), Some(checksum)) if !checksum.is(hasher) => false,
            (Ok(()), _) => true,
            (Err(PartError::File(FileError::Invalid { .. })), _) | (Err(_), Some(_)) => false,
            (Err(_), None) => true,
        };
        let written = sink.finish().await;
        match (is_kept, written) {
            (true, Ok((len, _))) => *offset = len,
            (is_kept, written) => {
                let path = self.path.clone();
                blocking(move || File::options().write(true).open(path)?.set_len(at)).await?;
                written?;
                if !is_kept && received.is_ok() {
                    return Err(PartError::Checksum);
                }
            }
        }
        received.map(|()| offset)
    }
}

impl Checksum {
    fn hasher(&self) -> Hasher {
        match self {
            Self::Sha1(_) => Hasher::Sha1(Sha1::new()),
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
        }
    }

    fn is(&self, hasher: Hasher) -> bool {
        match (self, hasher) {
            (Self::Sha1(expected), Hasher::Sha1(hasher)) => hasher.finalize()[..] == expected[..],
            (Self::Sha256(expected), Hasher::Sha256(hasher)) => hasher.finalize()[..] == expected[..],
            _ => false,
        }
    }
}

impl Hasher {
    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::None => {}
            Self::Sha1(hasher) => hasher.update(piece),
            Self::Sha256(hasher) => hasher.update(piece),
        }
    }
}

/// Parses the metadata of an upload: comma-separated pairs of a key and a base64 value.
pub(super) fn declared(metadata: &str) -> Result<Declared, FileError> {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    let mut declared = Declared::default();
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let wrong = |problem: &str| FileError::invalid("Upload-Metadata", format!("{key} {problem}"));
        let value = BASE64_STANDARD.decode(value.trim()).map_err(|_| wrong("is no base64"))?;
        let value = String::from_utf8(value).map_err(|_| wrong("is not UTF-8"))?;
        match key {
            "filename" | "name" => declared.name = Some(value),
            "filetype" | "type" => declared.content_type = Some(value),
            "keepExif" => declared.keep_exif = super::declared::switch("keepExif", &value)?,
            // Other keys are for the page itself.
            _ => {}
        }
    }
    Ok(declared)
}
