//! Documents that cannot be read: left out, and named once.

use mongodb::Database;
use mongodb::bson::{RawBsonRef, RawDocument};

use crate::damage;
use crate::store::StoreError;

/// What was read of a document; none when it is damaged, which is said.
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

/// What a document is known by. Never a text, which may be somebody's.
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
