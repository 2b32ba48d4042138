//! Bodies in formats of other projects.
//!
//! The first byte of the payload is the format, and exactly one frame of that format follows:
//!
//! | first byte | format |
//! |---|---|
//! | 1 | Zstandard (RFC 8878), with the size of the content and its checksum, without a dictionary |

use std::io::Cursor;

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use crate::codec::DecodeError;

/// The first byte of a payload with a Zstandard frame.
const ZSTD: u8 = 1;

/// Encodes `body` with Zstandard at `level`, or returns `None` when that would not make it smaller.
#[cfg(test)]
pub(super) fn encode_zstd(body: &[u8], level: i32) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    append_zstd(body, level, &mut payload).then_some(payload)
}

/// Appends the encoded `body` to `out`. Returns `false` and leaves `out` unchanged when the result would not be smaller
/// than the body.
///
/// Zstandard itself detects noise and gives up at several GB/s.
pub(super) fn append_zstd(body: &[u8], level: i32, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.reserve(body.len());
    out.push(ZSTD);
    let smaller = compress(body, level, out).is_ok() && out.len() - start < body.len();
    if !smaller {
        out.truncate(start);
    }
    smaller
}

/// Appends a frame to `out` unless it has no room for it.
///
/// Contexts are not reused: creating one takes 8 µs, or 30 µs for a body of a mebibyte whose compression takes about 4
/// ms, and a context that has compressed such a body keeps more than a megabyte.
fn compress(body: &[u8], level: i32, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    let mut room = Cursor::new(out);
    room.set_position(room.get_ref().len() as u64);
    compressor.compress_to_buffer(body, &mut room)?;
    Ok(())
}

/// Decodes a payload into at most `limit` bytes.
///
/// The memory for the body never exceeds `limit` bytes, the size that the frame states, or 128 KiB for each of its
/// blocks; in addition Zstandard itself takes 94 KiB. The window of the frame needs no memory of its own, because a
/// body is decoded as a whole.
///
/// # Errors
///
/// Every variant of [`DecodeError`] but [`DecodeError::UnknownFrame`].
pub(super) fn decode(payload: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let (&format, frame) = payload.split_first().ok_or(DecodeError::Truncated)?;
    if format != ZSTD {
        return Err(DecodeError::Corrupt);
    }
    let (size, blocks) = read_header(frame)?;
    let size =
        usize::try_from(size).ok().filter(|&size| size <= limit).ok_or(DecodeError::TooLarge { limit })?;
    if check_blocks(blocks)? < size {
        return Err(DecodeError::Corrupt);
    }

    let mut body = Vec::new();
    body.try_reserve_exact(size).map_err(|_| DecodeError::TooLarge { limit })?;
    let mut decompressor = Decompressor::new().map_err(|_| DecodeError::Corrupt)?;
    decompressor.decompress_to_buffer(frame, &mut body).map_err(|_| DecodeError::Corrupt)?;
    if body.len() != size {
        return Err(DecodeError::Corrupt);
    }
    Ok(body)
}

/// The beginning of a Zstandard frame.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// The maximum number of bytes to which a block of a Zstandard frame decodes.
const MAX_BLOCK: usize = 128 << 10;

/// Reads the header of a Zstandard frame. Returns the size of its content and the bytes after the header.
///
/// It accepts only headers like those of this module, with a size, a checksum and no dictionary.
fn read_header(frame: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    let (&magic, rest) = frame.split_first_chunk().ok_or(DecodeError::Truncated)?;
    let (&descriptor, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
    let single_segment = descriptor & 0x20 != 0;
    let checksum = descriptor & 0x04 != 0;
    let dictionary = descriptor & 0x03 != 0;
    if magic != MAGIC || !checksum || dictionary {
        return Err(DecodeError::Corrupt);
    }

    let window_len = usize::from(!single_segment);
    let size_len = match descriptor >> 6 {
        0 if !single_segment => return Err(DecodeError::Corrupt),
        log => 1 << log,
    };
    let size = rest.get(window_len..window_len + size_len).ok_or(DecodeError::Truncated)?;
    let size = size.iter().rev().fold(0, |size, &byte| size << 8 | u64::from(byte));
    // Two-byte sizes start after the largest one-byte size.
    let size = if size_len == 2 { size + 0x100 } else { size };
    Ok((size, &rest[window_len + size_len..]))
}

/// Checks the blocks of a Zstandard frame, which must end with them and a checksum. Returns the maximum number of bytes
/// to which they can decode.
fn check_blocks(blocks: &[u8]) -> Result<usize, DecodeError> {
    let mut rest = blocks;
    let mut bound = 0_usize;
    loop {
        let (&[low, middle, high], tail) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let size = (header >> 3) as usize;
        let (taken, content) = match header >> 1 & 3 {
            0 => (size, size),
            1 => (1, size),
            2 => (size, MAX_BLOCK),
            _ => return Err(DecodeError::Corrupt),
        };
        if size > MAX_BLOCK {
            return Err(DecodeError::Corrupt);
        }
        rest = tail.get(taken..).ok_or(DecodeError::Truncated)?;
        bound = bound.saturating_add(content);
        if header & 1 != 0 {
            break;
        }
    }
    match rest.len() {
        0..4 => Err(DecodeError::Truncated),
        4 => Ok(bound),
        _ => Err(DecodeError::Corrupt),
    }
}

#[cfg(test)]
mod tests;
