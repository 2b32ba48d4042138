//! The file service: stores files whose content matches their metadata within the owner's quota, sends them to users
//! who may read them, and removes unreferenced ones.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::codec::Codec;
use chat_core::error::Error;
use chat_core::id::UserId;
use chat_core::model::Position;
use chat_core::prelude::Chat;

use super::declared::Declared;
use super::disk::DiskFiles;
use super::error::FileError;
use super::id::FileId;
use super::image;
use super::kind::{self, Group, HEAD_BYTES, Kind, Mismatch, TextCheck};
use super::name;
use super::quota::{Hold, Quota};
use super::record::FileRecord;
use super::references::{FileReferences, LogReferences};
use super::scan::{ScanConfig, Scanner};
use super::signing::Signer;
use super::sound;
use super::staging::blocking;
use super::staging::{Staged, Staging};
use super::store::FileStore;
use super::strip;
use super::uploads::Uploads;
use crate::config::AuthConfig;
use crate::config::files::FilesConfig;
use crate::limits::LongWork;
use crate::media::{MediaLimits, RandomBytes};
use crate::memory::Memory;

/// The file service and its parts.
pub struct Files {
    pub(super) store: Arc<dyn FileStore>,
    pub(super) uploads: Uploads,
    pub(super) staging: Staging,
    pub(super) quota: Arc<Quota>,
    #[cfg(feature = "images")]
    pub(super) variants: super::variants::Variants,
    pub(super) references: Arc<dyn FileReferences>,
    pub(super) signer: Signer,
    scanner: Option<Box<dyn Scanner>>,
    pub(super) config: FilesConfig,
    pub(super) random: RandomBytes,
    pub(super) chat: Arc<Chat>,
}

/// A file and the properties in its headers.
struct Inspected {
    file: Staged,
    facts: Option<image::Facts>,
    duration: Option<u64>,
}

impl Files {
    /// Opens the folder. It also contains the files unless there is another store. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of the server that it needs")]
    pub(crate) fn open(
        dir: &Path,
        config: &FilesConfig,
        auth: &AuthConfig,
        chat: &Arc<Chat>,
        codec: Arc<dyn Codec>,
        work: (&LongWork, &Arc<Memory>),
        store: Option<Arc<dyn FileStore>>,
        position: Position,
    ) -> io::Result<Arc<Self>> {
        // If the folder does not exist yet, no message before this log position can refer to a file in it.
        let is_new = store.is_none() && !dir.try_exists()?;
        let begin = if is_new { position } else { Position(0) };
        let random: RandomBytes = Arc::new(rand::random);
        // Only images need it.
        let _ = work;
        let staging = Staging::open(dir.join(".tmp"), random.clone())?;
        let store: Arc<dyn FileStore> = match store {
            Some(store) => store,
            None => Arc::new(DiskFiles::open(dir.to_owned(), staging.clone())?),
        };
        let references =
            LogReferences::open(dir.join(".references"), begin, chat.clone(), codec, store.clone())?;
        let limits = MediaLimits { quota: config.quota, rate: config.rate };
        let quota = Quota::open(dir.join(".usage"), limits)?;
        Ok(Arc::new(Self {
            uploads: Uploads::open(dir.join(".uploads"), &quota)?,
            quota,
            #[cfg(feature = "images")]
            variants: super::variants::Variants::open(dir.join(".variants"), work.0.clone(), work.1.clone())?,
            signer: Signer::new(&auth.secret, &auth.old_secrets, config.link_life),
            references: Arc::new(references),
            scanner: config.scan.as_ref().map(ScanConfig::scanner),
            config: config.clone(),
            chat: chat.clone(),
            store,
            staging,
            random,
        }))
    }

    /// Stores a file that was received within the reservation `hold`.
    ///
    /// # Errors
    /// When the file is not accepted or cannot be stored. In this case nothing of it remains.
    pub(super) async fn accept(
        &self,
        id: FileId,
        owner: UserId,
        file: Staged,
        declared: Declared,
        hold: &mut Hold,
    ) -> Result<FileRecord, FileError> {
        if file.size() == 0 {
            return Err(FileError::invalid("file", "it is empty"));
        }
        let (file, kind, name) = self.check(file, &declared).await?;
        if let Some(scanner) = &self.scanner {
            scanner.scan(file.path()).await?;
        }
        let content_type = kind.content_type(declared.content_type.as_deref().unwrap_or_default());
        let Inspected { file, facts, duration } =
            self.inspect(file, kind, content_type, declared.keep_exif).await?;
        #[cfg(feature = "images")]
        let (file, blurhash) = match (kind.image(), facts) {
            (Some(image), Some(facts)) => {
                self.variants.likeness(owner, file, image, (facts.width, facts.height)).await
            }
            _ => (file, None),
        };
        #[cfg(not(feature = "images"))]
        let blurhash = None;
        let now = self.chat.now();
        let record = FileRecord {
            id,
            owner,
            name,
            content_type: content_type.to_owned(),
            size: file.size(),
            sha256: hex::encode(file.sha256()),
            width: facts.map(|facts| facts.width),
            height: facts.map(|facts| facts.height),
            duration,
            blurhash,
            created_at: now.as_millis(),
        };
        let size = record.size;
        hold.settle(size).await?;
        if let Err(error) = self.store.put(&record, file).await {
            self.quota.release(owner, size).await?;
            return Err(error);
        }
        Ok(record)
    }

    /// Detects the kind of a file, and checks that its metadata matches.
    async fn check(
        &self,
        file: Staged,
        declared: &Declared,
    ) -> Result<(Staged, &'static Kind, String), FileError> {
        let (head, file) = blocking(move || Ok((head(file.path())?, file))).await?;
        let mut kinds = kind::by_content(&head, file.size());
        if kinds.is_empty() {
            return Err(FileError::unsupported("file", "files of this kind are not taken"));
        }
        let given = declared.name.as_deref().and_then(name::clean);
        let ending = given.as_deref().map_or("", name::extension);
        let content_type = declared.content_type.as_deref().unwrap_or_default();
        let kind = kind::meant(&kinds, ending, content_type).map_err(|mismatch| match mismatch {
            Mismatch::Name => FileError::unsupported("name", "its ending is not one of what the file holds"),
            Mismatch::Type => FileError::unsupported("type", "it is not the type of what the file holds"),
        })?;
        kinds.retain(|kind| self.config.allows(kind));
        if !kinds.contains(&kind) {
            return Err(FileError::unsupported("file", "files of this kind are not taken here"));
        }
        let file = match kind.is_text() {
            true => all_text(file).await?,
            false => file,
        };
        let extension = kind.extensions.first().copied().unwrap_or("bin");
        let name = match given {
            Some(name) if ending.is_empty() => format!("{}.{extension}", name.trim_end_matches('.')),
            Some(name) => name,
            None => format!("file.{extension}"),
        };
        // The extension may have made the name too long.
        let name = name::clean(&name).unwrap_or_else(|| format!("file.{extension}"));
        Ok((file, kind, name))
    }

    /// Reads the headers of a file, and removes camera metadata unless it should stay.
    async fn inspect(
        &self,
        file: Staged,
        kind: &'static Kind,
        content_type: &'static str,
        keep_exif: bool,
    ) -> Result<Inspected, FileError> {
        let temporary = self.staging.name();
        let inspected = tokio::task::spawn_blocking(move || {
            let Some(image) = kind.image() else {
                let duration = match kind.group {
                    Group::Audio | Group::Video => sound::duration(file.path(), content_type),
                    _ => None,
                };
                return Ok(Inspected { file, facts: None, duration });
            };
            let facts = image::read(file.path(), image)?;
            if keep_exif {
                return Ok(Inspected { file, facts, duration: None });
            }
            let copied = strip::copy_without_notes(file.path(), temporary.path(), image);
            let file = match copied {
                Ok(true) => Staged::of(temporary),
                Ok(false) => file.changed(),
                Err(error) => Err(error),
            };
            let file = file.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    FileError::unsupported("file", "the image is damaged")
                }
                _ => FileError::disk("an image could not be copied", error),
            })?;
            Ok(Inspected { file, facts, duration: None })
        });
        inspected.await.map_err(|error| FileError::caused("looking at a file was broken off", error))?
    }

    /// The metadata of a file, for a user who may read it.
    ///
    /// # Errors
    /// [`FileError::NotFound`] also for users who may not read it, so that they do not learn that it exists.
    pub(super) async fn find(&self, id: FileId, reader: UserId) -> Result<FileRecord, FileError> {
        let record = self.store.record(id).await?.ok_or(FileError::NotFound)?;
        if record.owner == reader || self.is_shown_to(id, reader).await? {
            return Ok(record);
        }
        Err(FileError::NotFound)
    }

    /// Whether the user is a member of a conversation with a message that refers to the file and is not deleted.
    async fn is_shown_to(&self, id: FileId, reader: UserId) -> Result<bool, FileError> {
        let store = self.chat.store();
        let unreadable = |error| FileError::Http(Box::new(Error::from(error).into()));
        for reference in self.references.of(id).await? {
            let conversation = store.conversation(reference.conversation).await.map_err(unreadable)?;
            if conversation.is_none_or(|conversation| conversation.member(reader).is_none()) {
                continue;
            }
            let message = store.message(reference.message).await.map_err(unreadable)?;
            if message.is_some_and(|message| message.deleted.is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a file of this user.
    ///
    /// # Errors
    /// [`FileError::NotFound`] when the user has no such file.
    pub(super) async fn remove(&self, id: FileId, owner: UserId) -> Result<(), FileError> {
        let record = self.store.record(id).await?.filter(|record| record.owner == owner);
        self.discard(&record.ok_or(FileError::NotFound)?).await
    }

    /// Removes a file and subtracts it from the quota.
    pub(super) async fn discard(&self, record: &FileRecord) -> Result<(), FileError> {
        self.store.remove(record.id).await?;
        #[cfg(feature = "images")]
        self.variants.forget(record.id).await?;
        self.quota.release(record.owner, record.size).await
    }

    pub(super) fn now(&self) -> Timestamp {
        self.chat.now()
    }
}

/// Reads the beginning of a file. Blocks.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Returns the file, if all of it is text.
async fn all_text(file: Staged) -> Result<Staged, FileError> {
    let checked = blocking(move || {
        let (mut check, mut reader) = (TextCheck::default(), File::open(file.path())?);
        let mut piece = vec![0; HEAD_BYTES];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(check.is_whole().then_some(file)),
                read if check.take(&piece[..read]) => {}
                _ => return Ok(None),
            }
        }
    });
    checked.await?.ok_or_else(|| FileError::unsupported("file", "it is no plain text in UTF-8"))
}
