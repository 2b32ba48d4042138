//! What a client says of a file that it sends.

use super::error::FileError;

/// What a client says of a file that it sends. None of it is believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    /// Its name.
    pub(crate) name: Option<String>,
    /// Its media type.
    pub(crate) content_type: Option<String>,
    /// What a camera has noted in it stays in it.
    pub(crate) keep_exif: bool,
}

/// A field that is `true` or `false`.
pub(super) fn switch(field: &'static str, text: &str) -> Result<bool, FileError> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(FileError::invalid(field, "it must be true or false")),
    }
}
