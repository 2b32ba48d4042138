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
mod store;
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
pub use store::{Media, MediaError, MediaStore, Purpose};
pub(crate) use usage::{ByteRate, Ledger, counted};

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod test_http;
