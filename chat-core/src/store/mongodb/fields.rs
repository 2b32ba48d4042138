//! The fields of documents, one by one.

use mongodb::bson::{RawBsonRef, RawDocument};

use crate::clock::Timestamp;
use crate::model::Seq;
use crate::store::StoreError;

/// A document that is being read: missing and foreign fields are named in the error.
pub(super) struct Reading<'a> {
    what: &'static str,
    doc: &'a RawDocument,
}

impl<'a> Reading<'a> {
    pub(super) fn new(what: &'static str, doc: &'a RawDocument) -> Self {
        Self { what, doc }
    }

    pub(super) fn corrupt(&self, field: &str) -> StoreError {
        let id = match self.doc.get("_id") {
            Ok(Some(RawBsonRef::ObjectId(id))) => id.to_hex(),
            Ok(Some(RawBsonRef::Int64(id))) => id.to_string(),
            _ => String::new(),
        };
        StoreError::Corrupt { what: self.what, id: format!("{id} (field {field})") }
    }

    pub(super) fn field<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(RawBsonRef<'a>) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.doc.get(name) {
            Ok(None) => Ok(None),
            Ok(Some(value)) => read(value).map(Some).ok_or_else(|| self.corrupt(name)),
            Err(_) => Err(self.corrupt(name)),
        }
    }

    pub(super) fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(RawBsonRef<'a>) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.field(name, read)?.ok_or_else(|| self.corrupt(name))
    }

    pub(super) fn int(&self, name: &'static str) -> Result<i64, StoreError> {
        self.required(name, as_int)
    }

    pub(super) fn id(&self, name: &'static str) -> Result<[u8; 12], StoreError> {
        self.required(name, as_id)
    }

    pub(super) fn document(&self, name: &'static str) -> Result<&'a RawDocument, StoreError> {
        self.required(name, |value| value.as_document())
    }

    pub(super) fn text(&self, name: &'static str) -> Result<String, StoreError> {
        self.required(name, as_text)
    }

    pub(super) fn moment(&self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.required(name, as_moment)
    }
}

pub(super) fn as_int(value: RawBsonRef<'_>) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

pub(super) fn as_id(value: RawBsonRef<'_>) -> Option<[u8; 12]> {
    value.as_object_id().map(|id| id.bytes())
}

pub(super) fn as_seq(value: RawBsonRef<'_>) -> Option<Seq> {
    as_int(value).and_then(|seq| u32::try_from(seq).ok()).map(Seq)
}

pub(super) fn as_text(value: RawBsonRef<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn as_moment(value: RawBsonRef<'_>) -> Option<Timestamp> {
    let millis = value.as_datetime().map(|date| date.timestamp_millis());
    millis.or_else(|| as_int(value)).map(Timestamp::from_millis)
}

pub(super) fn as_bytes(value: RawBsonRef<'_>) -> Option<&[u8]> {
    value.as_binary().map(|binary| binary.bytes)
}
