//! Pictures that users upload: told apart by their content, kept somewhere, given back by URL.
//!
//! A picture arrives as a data URL inside JSON ([`parse_data_url`]) or as plain bytes, becomes a [`Media`]
//! whose kind is what its first bytes say ([`sniff`]), and is handed to a [`MediaStore`]: [`DiskMedia`] (the
//! default, which also serves what it keeps, see [`routes`]) or [`CloudinaryMedia`].
//!
//! This module is deliberately not an image library. It decodes no pixels, makes no thumbnails and strips no
//! metadata: what was stored comes back byte for byte.

mod cloudinary;
mod data_url;
mod disk;
mod image;
mod images;
mod journal;
mod serve;
mod usage;

pub use cloudinary::{CloudinaryConfig, CloudinaryMedia, SignatureAlgorithm, WallClock};
pub use data_url::parse_data_url;
pub(crate) use disk::sync_folder;
pub use disk::{DiskMedia, RandomBytes, StoredMedia};
pub(crate) use image::sniff_head;
pub use image::{ImageKind, sniff};
pub use images::{ImageError, Images, MediaLimits};
pub(crate) use images::{NewImage, SETTLED_AFTER};
pub(crate) use journal::Entry;
pub use serve::routes;
pub(crate) use usage::{ByteRate, Ledger, counted};

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// A place that keeps pictures and names a URL for each.
///
/// # Guarantees
///
/// - When `store` answers with a URL, the picture is durable and that URL already works.
/// - The URL depends on nothing the client chose, and two calls never share one file name that the other can
///   replace.
/// - The bytes behind the URL never change, so they may be cached for ever.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Keeps `media` and returns what a browser can load: an absolute path on this server, or an absolute
    /// URL.
    ///
    /// # Errors
    ///
    /// [`MediaError::Refused`] when the service behind the store does not want this picture, and
    /// [`MediaError::Unavailable`] when it could not be kept for a reason the client has no part in.
    async fn store(&self, media: Media) -> Result<String, MediaError>;

    /// The URL that this will have, if the store knows it before it stores; then [`Self::store_reserved`] stores it there.
    fn reserve(&self, media: &Media) -> Option<String> {
        let _ = media;
        None
    }

    /// Keeps `media` under a URL that [`Self::reserve`] has named.
    ///
    /// # Errors
    ///
    /// Those of [`Self::store`]; also when the store reserves nothing.
    async fn store_reserved(&self, url: &str, media: Media) -> Result<(), MediaError> {
        let _ = (url, media);
        Err(MediaError::unavailable("this store reserves no names"))
    }

    /// Removes what was stored under this URL. There being nothing of that name is fine, and so is a URL that this store
    /// has not made: it is left alone.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unavailable`] when it may still be there.
    async fn remove(&self, url: &str) -> Result<(), MediaError>;
}

/// A picture on its way to a [`MediaStore`].
#[derive(Clone)]
pub struct Media {
    /// The file, exactly as it came.
    pub bytes: Bytes,
    /// What the file is, by its content.
    pub kind: ImageKind,
    /// What it is for.
    pub purpose: Purpose,
}

impl Media {
    /// Takes a whole file and finds out its kind.
    ///
    /// # Errors
    ///
    /// [`MediaError::UnsupportedType`] when the content is none of the accepted kinds.
    pub fn from_bytes(bytes: Bytes, purpose: Purpose) -> Result<Self, MediaError> {
        let kind = sniff(&bytes).ok_or(MediaError::UnsupportedType)?;
        Ok(Self { bytes, kind, purpose })
    }

    /// Takes a `data:` URL; `max_bytes` limits the decoded file.
    ///
    /// # Errors
    ///
    /// Those of [`parse_data_url`].
    pub fn from_data_url(url: &str, max_bytes: usize, purpose: Purpose) -> Result<Self, MediaError> {
        Self::from_bytes(parse_data_url(url, max_bytes)?, purpose)
    }
}

/// Shows the size instead of the content, so that a log line can never hold somebody's picture.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("len", &self.bytes.len())
            .field("kind", &self.kind)
            .field("purpose", &self.purpose)
            .finish()
    }
}

/// What a picture is for; a store may keep the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The picture a user shows beside their name.
    ProfilePicture,
    /// A picture sent within a conversation.
    MessageImage,
}

/// Why a picture was not stored. [`MediaError::is_client_error`] tells who has to act.
///
/// The texts of the client's errors are meant to be shown to the user.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The content is not one of the accepted kinds.
    #[error("Only PNG, JPEG, GIF, WebP, AVIF and HEIC images are accepted")]
    UnsupportedType,
    /// The file is larger than is allowed.
    #[error("The image is larger than {limit} bytes")]
    TooLarge {
        /// The greatest accepted size of the decoded file, in bytes.
        limit: usize,
    },
    /// The text is not a base64 `data:` URL; the reason is for the log and for developers.
    #[error("The image is not a valid data URL: {0}")]
    Malformed(&'static str),
    /// The service that keeps the pictures found this file unacceptable (damaged, or over its own limits).
    #[error("The image was refused")]
    Refused,
    /// The picture could not be kept for a reason that is ours: a disk, a network, an account.
    #[error("Images cannot be stored at the moment: {what}")]
    Unavailable {
        /// What was being done; for the log, never for the client.
        what: &'static str,
        /// The error beneath, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store cannot be set up as configured; only constructors return this.
    #[error("{0}")]
    Configuration(&'static str),
}

impl MediaError {
    /// Whether the client has to send something else (true), or we have to repair something (false).
    #[must_use]
    pub fn is_client_error(&self) -> bool {
        match self {
            Self::UnsupportedType | Self::TooLarge { .. } | Self::Malformed(_) | Self::Refused => true,
            Self::Unavailable { .. } | Self::Configuration(_) => false,
        }
    }

    fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, source: None }
    }

    fn caused(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { what, source: Some(source.into()) }
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod test_http;
