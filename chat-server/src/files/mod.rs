//! Files that users upload, of any accepted kind: received as a stream, stored, and sent to users who may read them.
//!
//! ```text
//! POST /api/v1/files ──▶ staging (hashed, counted, on this disk) ──▶ kind by content and name ──▶ FileStore ──▶ record
//! PATCH /api/v1/uploads/:id (tus) ──┘
//! GET /api/v1/files/:id ──▶ signed link, or log-in and permission ──▶ FileStore, a range of it
//! ```
//!
//! It is separate from [`media`](crate::media), which handles images in JSON bodies: those are small, are known before
//! they are stored, and anyone with the link can read them. A file is never completely in memory, its plain link grants
//! nothing, and the permission is checked at every request.
//!
//! A file *exists* when its [record](FileRecord) and its bytes exist. The record is written first, so a crash leaves at
//! most a record without bytes, which the sweep removes. No client input becomes a path: files are named by their
//! [`FileId`].

mod body;
mod declared;
mod disk;
mod download;
mod error;
mod id;
mod image;
pub mod kind;
mod multipart;
mod name;
pub(crate) mod paths;
mod quota;
mod record;
pub mod references;
pub(crate) mod routes;
#[cfg(feature = "s3")]
pub(crate) mod s3;
pub mod scan;
mod service;
mod signing;
mod sound;
mod staging;
mod store;
#[cfg(test)]
mod store_contract;
mod strip;
mod sweep;
mod tus;
mod uploads;
#[cfg(feature = "images")]
mod variants;

pub use self::disk::DiskFiles;
pub use self::error::FileError;
pub use self::id::FileId;
pub use self::record::FileRecord;
#[cfg(feature = "s3")]
pub use self::s3::{S3Config, S3Files};
pub use self::service::Files;
pub use self::staging::{Staged, Staging};
pub use self::store::{ByteStream, FileStore, Listed};
