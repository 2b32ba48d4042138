//! Uploads as forms (`multipart/form-data`, RFC 7578): a part `file`, and optionally `name` and `keepExif`.

use futures_util::StreamExt;
use multer::{Constraints, Multipart, SizeLimit};

use super::body::Source;
use super::declared::Declared;
use super::error::FileError;
use super::staging::{Incoming, Staging};

/// The name of the part with the file.
pub(super) const FILE: &str = "file";
/// The maximum size of each other part, in bytes.
const MAX_FIELD_BYTES: u64 = 1024;
/// The maximum size of the form without the file, in bytes.
pub(super) const MAX_FORM_BYTES: u64 = 64 << 10;

/// Receives the file of a form.
pub(super) async fn receive(
    source: &Source,
    boundary: String,
    staging: &Staging,
    max_bytes: u64,
) -> Result<(Incoming, Declared), FileError> {
    let sizes = SizeLimit::new()
        .whole_stream(max_bytes.saturating_add(MAX_FORM_BYTES))
        .per_field(MAX_FIELD_BYTES)
        .for_field(FILE, max_bytes);
    let constraints = Constraints::new().size_limit(sizes);
    let pieces = source.stream().map(|piece| piece.map_err(Box::new));
    let mut form = Multipart::with_constraints(pieces, boundary, constraints);
    let mut received: Option<(Incoming, Declared)> = None;
    let (mut name, mut keep_exif) = (None, false);
    while let Some(mut part) = form.next_field().await.map_err(|error| refused(error, max_bytes))? {
        source.claim();
        match part.name().unwrap_or_default() {
            FILE => {
                if received.is_some() {
                    return Err(FileError::invalid(FILE, "there must be one, and there are several"));
                }
                let declared = Declared {
                    name: part.file_name().map(str::to_owned),
                    content_type: part.content_type().map(ToString::to_string),
                    keep_exif: false,
                };
                let mut incoming = staging.begin().await?;
                while let Some(piece) = part.chunk().await.map_err(|error| refused(error, max_bytes))? {
                    source.claim();
                    incoming.write(piece).await?;
                }
                received = Some((incoming, declared));
            }
            "name" => {
                let mut text = Vec::new();
                while let Some(piece) = part.chunk().await.map_err(|error| refused(error, max_bytes))? {
                    text.extend_from_slice(&piece);
                }
                let text =
                    String::from_utf8(text).map_err(|_| FileError::invalid("name", "it is not UTF-8"))?;
                name = Some(text);
            }
            "keepExif" => {
                let mut text = Vec::new();
                while let Some(piece) = part.chunk().await.map_err(|error| refused(error, max_bytes))? {
                    text.extend_from_slice(&piece);
                }
                keep_exif = super::declared::switch("keepExif", &String::from_utf8_lossy(&text))?;
            }
            // A page may send other fields, such as the room. They are skipped.
            _ => while part.chunk().await.map_err(|error| refused(error, max_bytes))?.is_some() {},
        }
    }
    let (incoming, declared) = received.ok_or_else(|| FileError::invalid(FILE, "it is missing"))?;
    Ok((incoming, Declared { name: name.or(declared.name), keep_exif, ..declared }))
}

fn refused(error: multer::Error, max_bytes: u64) -> FileError {
    match error {
        multer::Error::FieldSizeExceeded { field_name, .. } if field_name.as_deref() == Some(FILE) => {
            FileError::TooLarge { limit: max_bytes }
        }
        multer::Error::StreamSizeExceeded { .. } => FileError::TooLarge { limit: max_bytes },
        multer::Error::FieldSizeExceeded { .. } => {
            FileError::invalid("body", format!("a field of the form is longer than {MAX_FIELD_BYTES} bytes"))
        }
        multer::Error::StreamReadFailed(error) => {
            error.downcast::<Box<FileError>>().map_or(FileError::Broken, |error| **error)
        }
        _ => FileError::invalid("body", "it is no whole form (multipart/form-data)"),
    }
}
