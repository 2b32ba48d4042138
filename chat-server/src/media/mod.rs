//! Pictures that users upload: detected by content, stored, and served by URL.
//!
//! A picture arrives as a data URL inside JSON ([`parse_data_url`]) or as plain bytes. It becomes a [`Media`], whose
//! kind is detected from its first bytes ([`sniff`]). A [`MediaStore`] stores it: [`DiskMedia`] (the default, which
//! also serves the pictures, see [`routes`]) or [`CloudinaryMedia`].
//!
//! This module is intentionally not an image library. It does not decode pixels, create thumbnails or strip metadata: a
//! stored picture is returned byte for byte.

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
