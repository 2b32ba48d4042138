//! A picture, and the trait of media stores.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::data_url::parse_data_url;
use super::image::{ImageKind, sniff};

/// Stores pictures and returns a URL for each.
///
/// # Guarantees
///
/// - When `store` returns a URL, the picture is durable and the URL already works.
/// - The URL does not depend on client input, and no call can replace the file of another call.
/// - The bytes at the URL never change, so they may be cached for ever.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Stores `media` and returns a URL that a browser can load: an absolute path on this server, or an absolute URL.
    ///
    /// # Errors
    ///
    /// [`MediaError::Refused`] when the service behind the store rejects this picture, and [`MediaError::Unavailable`]
    /// when storing failed for a reason that is not the client's fault.
    async fn store(&self, media: Media) -> Result<String, MediaError>;

    /// The URL of this picture, if the store knows it before storing. [`Self::store_reserved`] then stores it there.
    fn reserve(&self, media: &Media) -> Option<String> {
        let _ = media;
        None
    }

    /// Stores `media` at a URL that [`Self::reserve`] has returned.
    ///
    /// # Errors
    ///
    /// Those of [`Self::store`]; also when the store does not support reservations.
    async fn store_reserved(&self, url: &str, media: Media) -> Result<(), MediaError> {
        let _ = (url, media);
        Err(MediaError::unavailable("this store reserves no names"))
    }

    /// Removes the picture at this URL. It is not an error if there is none, or if the URL does not belong to this
    /// store.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unavailable`] when the picture may still be there.
    async fn remove(&self, url: &str) -> Result<(), MediaError>;
}

/// A picture to be stored in a [`MediaStore`].
#[derive(Clone)]
pub struct Media {
    /// The file, unchanged.
    pub bytes: Bytes,
    /// The type of the file, detected by its content.
    pub kind: ImageKind,
    /// The purpose of the picture.
    pub purpose: Purpose,
}

impl Media {
    /// Takes a complete file and detects its kind.
    ///
    /// # Errors
    ///
    /// [`MediaError::UnsupportedType`] when the content is not an accepted kind.
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

/// Prints the size instead of the content, so that no picture gets into the log.
impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("len", &self.bytes.len())
            .field("kind", &self.kind)
            .field("purpose", &self.purpose)
            .finish()
    }
}

/// The purpose of a picture. A store may separate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A user's profile picture.
    ProfilePicture,
    /// A picture in a message.
    MessageImage,
}

/// Why a picture was not stored. [`MediaError::is_client_error`] says whether the client can fix it.
///
/// The messages of client errors are for users.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The content is not one of the accepted kinds.
    #[error("Only PNG, JPEG, GIF, WebP, AVIF and HEIC images are accepted")]
    UnsupportedType,
    /// The file is too large.
    #[error("The image is larger than {limit} bytes")]
    TooLarge {
        /// The maximum size of the decoded file, in bytes.
        limit: usize,
    },
    /// The text is not a base64 `data:` URL; the reason is for the log and for developers.
    #[error("The image is not a valid data URL: {0}")]
    Malformed(&'static str),
    /// The service that stores the pictures rejected this file (damaged, or over its own limits).
    #[error("The image was refused")]
    Refused,
    /// The picture could not be stored for a server-side reason: a disk, a network, an account.
    #[error("Images cannot be stored at the moment: {what}")]
    Unavailable {
        /// The failed operation; for the log, never for the client.
        what: &'static str,
        /// The underlying error, if any.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The configuration of the store is invalid; only constructors return this.
    #[error("{0}")]
    Configuration(&'static str),
}

impl MediaError {
    /// Whether the client must send something else (true), or the operator must repair something (false).
    #[must_use]
    pub fn is_client_error(&self) -> bool {
        match self {
            Self::UnsupportedType | Self::TooLarge { .. } | Self::Malformed(_) | Self::Refused => true,
            Self::Unavailable { .. } | Self::Configuration(_) => false,
        }
    }

    pub(super) fn unavailable(what: &'static str) -> Self {
        Self::Unavailable { what, source: None }
    }

    pub(super) fn caused(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { what, source: Some(source.into()) }
    }
}
