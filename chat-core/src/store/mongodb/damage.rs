//! Damaged documents: they are skipped, and each is reported once.

use mongodb::Database;
use mongodb::bson::{RawBsonRef, RawDocument};

use crate::damage;
use crate::store::StoreError;

/// The value that was read from a document; none if the document is damaged, which is reported.
pub(super) fn skip<T>(
    db: &Database,
    collection: &str,
    doc: &RawDocument,
    read: Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Corrupt { .. }) => {
            damage::report(db.name(), collection, &name(doc), &error);
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Identifies a document in a report. Never a text, which may be content of a user.
pub(super) fn name(doc: &RawDocument) -> String {
    match doc.get("_id") {
        Ok(Some(RawBsonRef::ObjectId(id))) => id.to_hex(),
        Ok(Some(RawBsonRef::Int64(id))) => id.to_string(),
        Ok(Some(RawBsonRef::Document(id))) => {
            let part = |field| match id.get(field) {
                Ok(Some(RawBsonRef::ObjectId(id))) => id.to_hex(),
                _ => "?".into(),
            };
            format!("{} of {}", part("user"), part("conversation"))
        }
        Ok(Some(RawBsonRef::Binary(id))) => {
            id.bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect()
        }
        _ => "(unnamed)".into(),
    }
}
