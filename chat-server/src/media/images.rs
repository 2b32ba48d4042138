//! The life cycle of images in messages and profiles: an image is stored within its owner's quota, kept when the
//! message or profile that references it is committed, and removed otherwise.
//!
//! 1. [`Images::put`] checks rate and quota, writes an entry to the journal and stores the image. The link must already
//!    work when the message is delivered.
//! 2. The message or profile is committed.
//! 3. [`Pending::keep`] if it references the image. [`Pending::discard`] if it was refused, or if it repeats a message
//!    with another image.
//!
//! If neither is called (the answer of the store was lost, or the process died), the journal entry remains. After
//! [`SETTLED_AFTER`] the server asks the store whether anything references the image; see `App::sweep_images`. Without
//! an answer the image stays: an image that may be in use is never removed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::Position;
use tokio::sync::{Mutex, MutexGuard};

use super::journal::{Entry, Journal};
use super::store::{Media, MediaError, MediaStore, Purpose};
use super::usage::{ByteRate, Ledger, counted};
use crate::limits::rate::RateLimit;

/// After this time no task can still be storing an image or the message that references it.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(15 * 60);

/// How much each user may store.
#[derive(Debug, Clone, Copy, Default)]
pub struct MediaLimits {
    /// Bytes in total; 0: no limit.
    pub quota: u64,
    /// Bytes in an hour; 0: no limit.
    pub rate: u64,
}

/// Stores images within the limits, and tracks their use.
pub struct Images {
    store: Arc<dyn MediaStore>,
    journal: Journal,
    ledger: Ledger,
    rate: ByteRate,
    limits: MediaLimits,
    /// Locks that serialize changes of one user's profile picture, so that each change knows which picture it replaces.
    turns: Vec<Mutex<()>>,
}

/// An image to be stored.
pub(crate) struct NewImage {
    /// The user whose quota it counts in.
    pub(crate) owner: UserId,
    /// The image.
    pub(crate) media: Media,
    /// The current time.
    pub(crate) now: Timestamp,
    /// The current log position. A change that references the image comes after it.
    pub(crate) position: Position,
    /// The current profile picture, if this image is to replace it.
    pub(crate) replaces: Option<String>,
}

/// Why an image was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image is invalid, or the media store failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The owner has used up their quota, in bytes.
    #[error("Your images take up all the space that you may use ({0} bytes)")]
    Quota(u64),
    /// The owner has stored too much in the last hour.
    #[error("Rate limit exceeded. Please try again later.")]
    Rate(RateLimit),
}

impl Images {
    /// Opens the images in this store. `dir` is a folder for the journal and the quotas; servers that share the images
    /// must share it. Blocks.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(store: Arc<dyn MediaStore>, dir: &Path, limits: MediaLimits) -> io::Result<Self> {
        Ok(Self {
            store,
            journal: Journal::open(dir.join(".pending"))?,
            ledger: Ledger::open(dir.join(".usage"), limits.quota)?,
            rate: ByteRate::new(limits.rate),
            limits,
            turns: std::iter::repeat_with(Mutex::default).take(64).collect(),
        })
    }

    /// Stores an image. The caller must then call [`Pending::keep`] or [`Pending::discard`].
    ///
    /// # Errors
    /// When a limit is exceeded, or the image cannot be stored.
    pub(crate) async fn put(self: &Arc<Self>, new: NewImage) -> Result<Pending, ImageError> {
        let (owner, bytes) = (new.owner, counted(new.media.bytes.len() as u64));
        self.rate.acquire(owner, bytes, new.now).map_err(ImageError::Rate)?;
        let stored = self.store(new, bytes).await;
        if stored.is_err() {
            // An image that was not stored does not count towards the rate.
            self.rate.release(owner, bytes);
        }
        stored
    }

    async fn store(self: &Arc<Self>, new: NewImage, bytes: u64) -> Result<Pending, ImageError> {
        let NewImage { owner, media, now, position, replaces } = new;
        let entry = |url| Entry { url, owner, bytes, purpose: media.purpose, at: now, position, replaces };
        let reserved = self.store.reserve(&media);
        let noted = reserved.clone().map(entry.clone());
        let has_room = self
            .blocking(move |images| {
                let has_room = images.ledger.acquire(owner, bytes)?;
                if let Some(entry) = noted.filter(|_| has_room)
                    && let Err(error) = images.journal.note(&entry)
                {
                    images.ledger.release(owner, bytes)?;
                    return Err(error);
                }
                Ok(has_room)
            })
            .await?;
        if !has_room {
            return Err(ImageError::Quota(self.limits.quota));
        }
        let pending = |url| Pending { images: self.clone(), entry: entry.clone()(url) };
        match reserved {
            Some(url) => {
                let pending = pending(url.clone());
                if let Err(error) = self.store.store_reserved(&url, media.clone()).await {
                    pending.discard().await;
                    return Err(error.into());
                }
                Ok(pending)
            }
            None => match self.store.store(media.clone()).await {
                Ok(url) => {
                    let pending = pending(url.clone());
                    let noted = pending.entry.clone();
                    if let Err(error) = self.blocking(move |images| images.journal.note(&noted)).await {
                        self.remove(&url).await;
                        self.blocking(move |images| images.ledger.release(owner, bytes)).await?;
                        return Err(error.into());
                    }
                    Ok(pending)
                }
                Err(error) => {
                    self.blocking(move |images| images.ledger.release(owner, bytes)).await?;
                    Err(error.into())
                }
            },
        }
    }

    /// Waits until no other task on this node changes this user's profile picture.
    pub(crate) async fn turn(&self, owner: UserId) -> MutexGuard<'_, ()> {
        let [.., last] = *owner.as_bytes();
        self.turns[usize::from(last) % self.turns.len()].lock().await
    }

    /// The images that were stored more than `SETTLED_AFTER` ago and are still undecided.
    ///
    /// # Errors
    /// The error of the file system.
    pub(crate) fn undecided(&self, now: Timestamp) -> io::Result<Vec<Entry>> {
        self.journal.until(now.before(SETTLED_AFTER))
    }

    /// The handle of such an image, to decide it.
    pub(crate) fn pending(self: &Arc<Self>, entry: Entry) -> Pending {
        Pending { images: self.clone(), entry }
    }

    /// Removes an image that nothing references. A failure is logged and has no other effect.
    pub(crate) async fn remove(&self, url: &str) -> bool {
        let removed = self.store.remove(url).await;
        if let Err(error) = &removed {
            chat_core::log_throttled!(warn, %error, "an image that nothing names could not be removed");
        }
        removed.is_ok()
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, MediaError> {
        let images = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&images)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| {
            MediaError::caused("the journal or the totals of images cannot be written", error)
        })
    }
}

/// A stored image that may or may not be referenced. If the handle is dropped, the image stays undecided.
#[must_use]
pub(crate) struct Pending {
    images: Arc<Images>,
    entry: Entry,
}

impl Pending {
    /// The URL that references it.
    pub(crate) fn url(&self) -> &str {
        &self.entry.url
    }

    /// Keeps the image, because it is referenced. The profile picture that it replaced is removed, if this server has
    /// stored that.
    pub(crate) async fn keep(self, replaced: Option<&str>) {
        let Self { images, entry } = self;
        if let Some(replaced) = replaced.filter(|replaced| *replaced != entry.url) {
            // A picture from before this server, such as the default of an old backend, may belong to many users.
            let owner = entry.owner;
            if images.blocking(move |images| images.ledger.has_picture(owner)).await.unwrap_or(false) {
                images.remove(replaced).await;
            }
        }
        let kept = images.blocking(move |images| {
            let is_mine = images.journal.forget(&entry.url)?;
            if is_mine && entry.purpose == Purpose::ProfilePicture {
                images.ledger.replace_picture(entry.owner, entry.bytes)?;
            }
            Ok(())
        });
        if let Err(error) = kept.await {
            chat_core::log_throttled!(warn, %error, "it could not be noted that an image is kept");
        }
    }

    /// Removes the image, because nothing references it.
    pub(crate) async fn discard(self) {
        let Self { images, entry } = self;
        if !images.remove(&entry.url).await {
            // The image stays undecided, and a later sweep tries again.
            return;
        }
        let discarded = images.blocking(move |images| {
            if images.journal.forget(&entry.url)? {
                images.ledger.release(entry.owner, entry.bytes)?;
            }
            Ok(())
        });
        if let Err(error) = discarded.await {
            chat_core::log_throttled!(warn, %error, "it could not be noted that an image is gone");
        }
    }
}

#[cfg(test)]
mod tests;
