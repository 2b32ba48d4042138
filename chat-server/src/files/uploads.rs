//! Uploads that are received in several requests, over a day if need be, and over restarts of the server.
//!
//! What has come lies in a folder of this disk, beside a note of what it is to become: `<id>.part` and `<id>.json`. The
//! length of the first is how far the upload has come. Other nodes do not know of it.

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

/// An upload that is not finished by then is removed.
pub(super) const KEPT_UNFINISHED: Duration = Duration::from_hours(24);
/// Most uploads of one person that are not finished.
const MAX_OF_ONE: usize = 64;

/// All uploads that are not finished.
pub(super) struct Uploads {
    dir: Arc<Path>,
    open: Mutex<HashMap<FileId, Arc<Upload>>>,
}

/// An upload that is not finished.
pub(super) struct Upload {
    pub(super) note: Note,
    path: PathBuf,
    /// How far it has come. Held while something is received or it is finished.
    offset: Arc<tokio::sync::Mutex<u64>>,
    hold: Mutex<Option<Hold>>,
}

/// What an upload is to become.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: FileId,
    #[serde(with = "user")]
    pub(super) owner: UserId,
    pub(super) length: u64,
    /// As it was sent; what it says is read again when the upload is finished.
    pub(super) metadata: String,
    pub(super) created_at: i64,
}

impl Note {
    /// When it is removed unless it is finished.
    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at).after(KEPT_UNFINISHED)
    }
}

/// What a part must be, as its sender says.
pub(super) enum Checksum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

enum Hasher {
    None,
    Sha1(Sha1),
    Sha256(Sha256),
}

/// Why a part was not taken.
pub(super) enum PartError {
    /// Another one is being received.
    Locked,
    /// It does not begin where the upload has come to.
    Offset,
    /// It is not what its checksum says; nothing of it was kept.
    Checksum,
    /// Something else.
    File(FileError),
}

impl From<FileError> for PartError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// The whole of an upload has come. Others wait until this is dropped.
pub(super) type Finished = tokio::sync::OwnedMutexGuard<u64>;

impl Uploads {
    /// Goes on with what was begun before a restart. Blocks.
    pub(super) fn open(dir: PathBuf, quota: &Arc<Quota>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut open = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                // A note is written after its file, and removed before it.
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

    /// The upload of this id, if it is this person's.
    pub(super) fn find(&self, id: FileId, owner: UserId) -> Option<Arc<Upload>> {
        self.open.lock().get(&id).filter(|upload| upload.note.owner == owner).cloned()
    }

    /// It is finished or given up, by whoever holds `turn`.
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

    /// Removes what was not finished in time.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<(), FileError> {
        let is_old = |upload: &&Arc<Upload>| upload.note.expires_at() <= now;
        let old: Vec<_> = self.open.lock().values().filter(is_old).cloned().collect();
        for upload in old {
            // One of which something is just being received is removed the next time.
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

    /// To change it alone.
    pub(super) fn turn(&self) -> Result<Finished, PartError> {
        self.offset.clone().try_lock_owned().map_err(|_| PartError::Locked)
    }

    /// How far it has come, once nothing is received any more.
    pub(super) async fn offset(&self) -> u64 {
        *self.offset.lock().await
    }

    /// Room that was held for it.
    pub(super) fn take_hold(&self) -> Option<Hold> {
        self.hold.lock().take()
    }

    /// It could not be stored by our own fault, and may be once more.
    pub(super) fn return_hold(&self, hold: Hold) {
        *self.hold.lock() = Some(hold);
    }

    /// The file, which stays where it is.
    pub(super) fn file(&self) -> Temporary {
        Temporary::lent(self.path.clone())
    }

    /// Receives a part. What has come of one that breaks off is kept, unless it has a checksum.
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
            // What a crash has left behind was told to nobody.
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

/// What the metadata of an upload says of the file: pairs of a key and a value in base64, with commas between them.
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
            // What the page wants to know itself.
            _ => {}
        }
    }
    Ok(declared)
}
