//! Where files are, for requests.

/// Files.
pub(super) const FILES: &str = "/api/v1/files";
/// Uploads by tus.
pub(super) const UPLOADS: &str = "/api/v1/uploads";

/// Whether the bodies of requests for this path are streamed, so that what is held of them is not their length.
pub(crate) fn is_streamed(path: &str) -> bool {
    path == FILES || path.starts_with(UPLOADS)
}
