//! Reading by an operator's tables, whatever writes.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Blob, BlobRef, Codec, DecodeError, Kind, OwnTables, decode_with};

/// A codec that also reads what was written with an operator's tables.
///
/// Bodies are written by the codec within, and read by [`decode_with`]: by its own
/// [`decode`](Codec::decode) they are not. So an operator may turn to another codec without losing
/// what [`HuffmanCodec::with_tables`](super::HuffmanCodec::with_tables) has written.
#[derive(Clone, Debug)]
pub struct Reading<C> {
    codec: C,
    own: Arc<OwnTables>,
}

impl<C: Codec> Reading<C> {
    /// Writes by `codec` and reads by the shipped tables and by `own`.
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
