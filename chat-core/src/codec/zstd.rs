//! Zstandard for all bodies: for operators who prefer a format that other programs can read.

use super::frame::{self, Format};
use super::{Blob, Codec, Encoding, Kind, files, foreign, is_compressible_size};

/// Compresses bodies with Zstandard (RFC 8878) at its level 3.
///
/// Bodies too small for [`is_compressible_size`] are stored unencoded. The others become a frame, which is at most one
/// byte longer than the body. Zstandard works well for files. For messages of about 100 bytes it saves almost nothing,
/// because each message is compressed separately.
#[derive(Clone, Copy, Default, Debug)]
pub struct ZstdCodec;

impl Codec for ZstdCodec {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        if !is_compressible_size(kind, body.len()) {
            return Blob { encoding: Encoding::Stored, bytes: body.to_vec() };
        }
        let mut bytes = vec![Format::Foreign.header(0)];
        if !foreign::append_zstd(body, files::LEVEL, &mut bytes) {
            bytes = frame::stored(body);
        }
        Blob { encoding: Encoding::Huffman, bytes }
    }
}
