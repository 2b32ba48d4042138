//! Canonical Huffman codes: over phrases for messages, and the codes over bytes of the first release.

mod bits;
pub(super) mod bytes;
#[cfg(feature = "train")]
mod canonical;
pub(super) mod phrases;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::phrases::shipped;
#[cfg(feature = "train")]
pub(super) use self::phrases::train;
pub use self::phrases::{OwnTables, TableError};
use super::frame::{self, Format};
use super::{Blob, BlobRef, Codec, DecodeError, Encoding, Kind, decode_with, files, is_compressible_size};

/// Compresses messages with trained codes over phrases, and files with the format that is smallest.
///
/// Bodies too small for [`is_compressible_size`] are stored unencoded. The others become a frame, which is at most one
/// byte longer than the body.
#[derive(Clone, Default, Debug)]
pub struct HuffmanCodec {
    own: Arc<OwnTables>,
}

impl HuffmanCodec {
    /// A codec with the shipped tables only.
    pub fn new() -> HuffmanCodec {
        HuffmanCodec::default()
    }

    /// A codec with custom tables in addition to the shipped ones.
    pub fn with_tables(own: Arc<OwnTables>) -> HuffmanCodec {
        HuffmanCodec { own }
    }
}

impl Codec for HuffmanCodec {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        if !is_compressible_size(kind, body.len()) {
            return Blob { encoding: Encoding::Stored, bytes: body.to_vec() };
        }
        let bytes = match kind {
            Kind::Message => encode_message(body, &self.own),
            Kind::File => files::encode(body),
        };
        Blob { encoding: Encoding::Huffman, bytes }
    }

    fn decode(&self, blob: BlobRef<'_>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        decode_with(blob, &self.own, limit)
    }
}

/// From this size on, a message may contain so many repetitions that the formats for files are tried as well: long
/// pasted texts are often logs.
const LONG: usize = 2048;

/// The shortest frame among the candidates that the statistics of `body` suggest.
fn encode_message(body: &[u8], own: &OwnTables) -> Vec<u8> {
    let shipped = shipped::choose(body);
    let own_choice = own.choose(body).filter(|own| own.cost <= shipped.cost + shipped.cost / 16);

    let mut best: Option<Vec<u8>> = None;
    let offer = |best: &mut Option<Vec<u8>>, frame: Vec<u8>| {
        if frame.len() <= best.as_ref().map_or(body.len(), |best| best.len() - 1) {
            *best = Some(frame);
        }
    };
    for index in [Some(shipped.best), shipped.second].into_iter().flatten() {
        let mut frame = start(body);
        let bits = shipped::set(index).encode(body, &mut frame);
        frame[0] = Format::Phrases(index as u8).header(bits);
        offer(&mut best, frame);
    }
    for index in own_choice.into_iter().flat_map(|choice| [Some(choice.best), choice.second]).flatten() {
        let Some((fingerprint, set)) = own.get(index) else { continue };
        let mut frame = start(body);
        frame.extend_from_slice(&fingerprint.to_le_bytes());
        let bits = set.encode(body, &mut frame);
        frame[0] = Format::Own.header(bits);
        offer(&mut best, frame);
    }
    if body.len() >= LONG || is_unknown_script(body, best.as_deref()) {
        offer(&mut best, files::encode(body));
    }
    best.unwrap_or_else(|| frame::stored(body))
}

/// Whether a body is in a script that no set knows. Its characters begin with the same bytes again and again, which the
/// formats for files can use. For other texts that compress badly, such as numbers and keys, these formats are not
/// worth the time.
fn is_unknown_script(body: &[u8], best: Option<&[u8]>) -> bool {
    let badly = best.is_none_or(|best| best.len() > body.len() / 4 * 3);
    badly && body.iter().filter(|byte| !byte.is_ascii()).count() > body.len() / 2
}

/// A frame with room for a header, and for the usual size of the codes of `body`.
fn start(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() / 2 + 16);
    frame.push(0);
    frame
}
