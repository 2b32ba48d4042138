//! Paths of the file routes.

/// The path of files.
pub(super) const FILES: &str = "/api/v1/files";
/// The path of tus uploads.
pub(super) const UPLOADS: &str = "/api/v1/uploads";

/// Whether request bodies at this path are streamed, so that their length does not count as memory.
pub(crate) fn is_streamed(path: &str) -> bool {
    path == FILES || path.starts_with(UPLOADS)
}
