//! Decodes with an operator's tables, whichever codec encodes.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Blob, BlobRef, Codec, DecodeError, Kind, OwnTables, decode_with};

/// A codec that also decodes blobs of an operator's tables.
///
/// The inner codec encodes bodies. [`decode_with`] decodes them, not the inner codec's [`decode`](Codec::decode). So an
/// operator can change to another codec and still read what
/// [`HuffmanCodec::with_tables`](super::HuffmanCodec::with_tables) has written.
#[derive(Clone, Debug)]
pub struct Reading<C> {
    codec: C,
    own: Arc<OwnTables>,
}

impl<C: Codec> Reading<C> {
    /// Encodes with `codec`, and decodes with the shipped tables and with `own`.
    pub fn new(codec: C, own: Arc<OwnTables>) -> Reading<C> {
        Reading { codec, own }
    }
}

impl<C: Codec> Codec for Reading<C> {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        self.codec.encode(kind, body)
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        decode_with(blob, &self.own, limit)
    }
}
