//! Zstandard for everything: for those who would rather have a format that others read too.

use super::frame::{self, Format};
use super::{Blob, Codec, Encoding, Kind, files, foreign, is_compressible_size};

/// Compresses bodies with Zstandard (RFC 8878) at its level 3.
///
/// Bodies too small for [`is_compressible_size`] are stored as they are. The others become a frame,
/// which is never more than one byte longer than the body. It does well with files; of messages of
/// some 100 bytes it saves next to nothing, because each stands for itself.
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
