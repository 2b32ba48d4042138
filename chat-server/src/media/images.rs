//! Images on their way into messages and profiles: stored within what their owner may store, kept when what names them
//! is committed, and removed when it is not.
//!
//! 1. [`Images::put`] checks rate and quota, notes the image in the journal and stores it: the message needs a link that
//!    already works when others are told of it.
//! 2. The message or profile is committed.
//! 3. [`Pending::keep`], when it names the image; [`Pending::discard`], when it was refused or turned out to repeat one
//!    that has another image.
//!
//! Where neither is said (the store's answer was lost, the process died), the journal says so, and after
//! [`SETTLED_AFTER`] the store is asked whether anything names the image; see `App::sweep_images`. Without an answer the
//! image stays: what somebody may look at is never removed.

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

/// After so long nobody is still storing an image or what names it.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(15 * 60);

/// How much each person may store.
#[derive(Debug, Clone, Copy, Default)]
pub struct MediaLimits {
    /// Bytes in total; 0: no limit.
    pub quota: u64,
    /// Bytes in an hour; 0: no limit.
    pub rate: u64,
}

/// Images, and what is known of those who store them.
pub struct Images {
    store: Arc<dyn MediaStore>,
    journal: Journal,
    ledger: Ledger,
    rate: ByteRate,
    limits: MediaLimits,
    /// Changes of one person's picture follow each other, so that each knows which one it replaces.
    turns: Vec<Mutex<()>>,
}

/// An image to be stored.
pub(crate) struct NewImage {
    /// Whose.
    pub(crate) owner: UserId,
    /// What.
    pub(crate) media: Media,
    /// When.
    pub(crate) now: Timestamp,
    /// What names it comes after this in the log.
    pub(crate) position: Position,
    /// The profile picture of this moment, if this is to be one.
    pub(crate) replaces: Option<String>,
}

/// Why an image was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image itself, or what keeps it.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Its owner has stored as much as they may.
    #[error("Your images take up all the space that you may use ({0} bytes)")]
    Quota(u64),
    /// Its owner has stored as much lately as they may.
    #[error("Rate limit exceeded. Please try again later.")]
    Rate(RateLimit),
}

impl Images {
    /// Over this store. `dir` is a folder for the journal and what everybody has stored; whoever shares the images shares
    /// it. Blocks.
    ///
    /// # Errors
    /// What the file system says.
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

    /// Stores an image. Say afterwards what became of it.
    ///
    /// # Errors
    /// When it is more than its owner may store, or cannot be stored.
    pub(crate) async fn put(self: &Arc<Self>, new: NewImage) -> Result<Pending, ImageError> {
        let (owner, bytes) = (new.owner, counted(new.media.bytes.len() as u64));
        self.rate.acquire(owner, bytes, new.now).map_err(ImageError::Rate)?;
        let stored = self.store(new, bytes).await;
        if stored.is_err() {
            // What is not stored takes nothing of what may be.
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

    /// Waits until nobody else changes this person's picture here.
    pub(crate) async fn turn(&self, owner: UserId) -> MutexGuard<'_, ()> {
        let [.., last] = *owner.as_bytes();
        self.turns[usize::from(last) % self.turns.len()].lock().await
    }

    /// What was put before `SETTLED_AFTER` and is not decided.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn undecided(&self, now: Timestamp) -> io::Result<Vec<Entry>> {
        self.journal.until(now.before(SETTLED_AFTER))
    }

    /// The same as it was put, to be decided.
    pub(crate) fn pending(self: &Arc<Self>, entry: Entry) -> Pending {
        Pending { images: self.clone(), entry }
    }

    /// Removes an image that nothing names any more. That it fails is logged; nothing else depends on it.
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

/// An image that is stored, of which it is not known yet whether anything names it. Dropped, it stays undecided.
#[must_use]
pub(crate) struct Pending {
    images: Arc<Images>,
    entry: Entry,
}

impl Pending {
    /// What is to name it.
    pub(crate) fn url(&self) -> &str {
        &self.entry.url
    }

    /// It is named. The picture that it replaced goes, if this server has stored it.
    pub(crate) async fn keep(self, replaced: Option<&str>) {
        let Self { images, entry } = self;
        if let Some(replaced) = replaced.filter(|replaced| *replaced != entry.url) {
            // One that was here before this server, an old backend's default for instance, may be many people's.
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

    /// Nothing names it.
    pub(crate) async fn discard(self) {
        let Self { images, entry } = self;
        if !images.remove(&entry.url).await {
            // It stays undecided and is tried again.
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
