//! Metadata that a client declares for its file.

use super::error::FileError;

/// Metadata that a client declares for its file. None of it is trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    /// Its name.
    pub(crate) name: Option<String>,
    /// Its media type.
    pub(crate) content_type: Option<String>,
    /// Whether the metadata of cameras (Exif) stays in the file.
    pub(crate) keep_exif: bool,
}

/// Parses a field that is `true` or `false`.
pub(super) fn switch(field: &'static str, text: &str) -> Result<bool, FileError> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(FileError::invalid(field, "it must be true or false")),
    }
}
