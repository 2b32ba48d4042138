//! Attachments in blocks. Each block has its own prefix code if that makes it smaller.
//!
//! # The payload
//!
//! | what | bytes |
//! |---|---|
//! | size of the body | LEB128, in as few bytes as it needs |
//! | blocks | each of 130,560 bytes of body, the last one of what is left |
//! | CRC-32C of the body | 4, the low one first |
//!
//! The first byte of a block is its kind:
//!
//! | kind | what follows |
//! |---|---|
//! | 0 | the bytes of the body as they are |
//! | 1 | one byte, which the body repeats |
//! | 2 | size of the table (1 byte); sizes of the streams (2 bytes each, the low one first); the table (see `table`; nothing means that of the coded block before); the streams |
//!
//! # Streams
//!
//! The bytes of a coded block, at least 64, are split into six parts of equal size, except for a smaller last one. A
//! single stream can only be decoded as fast as the table look-ups follow each other. With independent streams the
//! processor decodes several at a time.
//!
//! A stream is written from the last byte of its part to the first, and read from its end. Codes fill the low bits of
//! each byte first. After the last code there is one set bit, and then zeros to the end of the byte. So both sides
//! process whole words in memory order. The extra bytes that a reader loads are those before the stream, where there
//! always is a head or another stream.

mod block;
mod code;
mod decoder;
mod encoder;
mod histogram;
mod plan;
mod table;
#[cfg(test)]
mod tests;
mod varint;

use self::{
    block::{Block, Coded},
    decoder::Decoder,
    encoder::Encoder,
    plan::{Plan, Planner},
};
use crate::codec::DecodeError;

/// The number of independent streams in a coded block.
///
/// Six streams fit into the registers of x86-64 together with everything else that decoding needs. Measured: 4 streams
/// are read at 1.40 GB/s, 5 at 1.68, 6 at 1.86, 7 at 1.75 and 8 at 1.62.
const STREAMS: usize = 6;

/// The number of body bytes in a block.
///
/// It is slightly less than 128 KiB, and each part is 340 cache lines. With distances near a power of two all parts
/// would use the same sets of a first-level cache and evict each other. A part is also a whole number of decoder steps
/// of five bytes.
const BLOCK: usize = STREAMS * 340 * 64;

/// The smallest block in bytes that may be coded. A smaller one could not give every stream a part.
const MIN_CODED: usize = 64;

/// The maximum number of bytes of a number.
const MAX_VARINT: usize = 10;

/// The number of bytes of the checksum.
const CHECKSUM: usize = 4;

/// Encodes `body`, or returns `None` when that would not make it smaller.
#[cfg(test)]
pub(super) fn encode(body: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    append(body, &mut payload).then_some(payload)
}

/// Appends the encoded `body` to `out`. Returns `false` and leaves `out` unchanged when the result would not be smaller
/// than the body.
///
/// Noise is detected by samples, so rejecting a body of noise takes a fraction of the time for copying it.
pub(super) fn append(body: &[u8], out: &mut Vec<u8>) -> bool {
    if is_noise(body) {
        return false;
    }
    let start = out.len();
    out.reserve(body.len());
    varint::write(body.len() as u64, out);
    let mut planner = Planner::default();
    let mut encoder = Encoder::without_codes();
    for block in body.chunks(BLOCK) {
        append_block(block, planner.plan(block), &mut encoder, out);
    }
    out.extend(crc32c::crc32c(body).to_le_bytes());

    let smaller = out.len() - start < body.len();
    if !smaller {
        out.truncate(start);
    }
    smaller
}

/// The size in bytes that [`append`] would add, or a few bytes per block more. At least the size of `body` when it
/// would add nothing.
///
/// It takes a third of the time, because nothing is written.
pub(super) fn size(body: &[u8]) -> usize {
    let bounds = MAX_VARINT + CHECKSUM;
    if is_noise(body) {
        return bounds + body.len();
    }
    let mut planner = Planner::default();
    bounds + body.chunks(BLOCK).map(|block| planner.plan(block).size(block.len())).sum::<usize>()
}

/// Approximately the minimum of [`size`], from samples. It takes a thirtieth of the time.
pub(super) fn sampled_size(body: &[u8]) -> usize {
    let bits = |block: &[u8]| histogram::sampled_entropy(block) * block.len() as f32;
    body.chunks(BLOCK).map(|block| (bits(block) / 8.0) as usize).sum()
}

/// Whether no block of `body` is worth encoding.
fn is_noise(body: &[u8]) -> bool {
    body.chunks(BLOCK).all(histogram::looks_like_noise)
}

/// Appends `block` as planned. `encoder` belongs to the last coded block, and is replaced if this block has its own
/// code.
fn append_block(block: &[u8], plan: Plan, encoder: &mut Encoder, out: &mut Vec<u8>) {
    match plan {
        Plan::Stored => {
            out.push(block::STORED);
            out.extend_from_slice(block);
        }
        Plan::Run(byte) => out.extend([block::RUN, byte]),
        Plan::Coded { own, table, bits } => {
            if let Some(own) = own {
                *encoder = Encoder::new(&own);
            }
            let head = out.len();
            out.extend([block::CODED, table.len() as u8]);
            out.extend([0; 2 * STREAMS]);
            out.extend(table);
            let sizes = encoder.append(block, bits, out);
            let (jumps, _) = out[head + 2..].as_chunks_mut();
            for (jump, size) in jumps.iter_mut().zip(sizes) {
                *jump = (size as u16).to_le_bytes();
            }
        }
    }
}

/// Decodes a payload into at most `limit` bytes.
///
/// The memory for the body never exceeds `limit` bytes or the size that the payload states; in addition there are 4 KiB
/// of working tables. A payload whose blocks do not match the stated size is rejected before memory is allocated.
///
/// # Errors
///
/// Every variant of [`DecodeError`] but [`DecodeError::UnknownFrame`].
pub(super) fn decode(payload: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let (len, blocks) = varint::read(payload)?;
    let len = usize::try_from(len).ok().filter(|&len| len <= limit).ok_or(DecodeError::TooLarge { limit })?;
    let checksum = check_sizes(blocks, len)?;

    let mut body = Vec::new();
    body.try_reserve_exact(len).map_err(|_| DecodeError::TooLarge { limit })?;
    let mut rest = blocks;
    let mut decoder = None;
    while body.len() < len {
        let start = body.len();
        let size = BLOCK.min(len - start);
        let (block, tail) = Block::read(rest, size)?;
        rest = tail;
        match block {
            Block::Stored(bytes) => body.extend_from_slice(bytes),
            Block::Run(byte) => body.resize(start + size, byte),
            Block::Coded(coded) => {
                body.resize(start + size, 0);
                decode_coded(coded, &mut decoder, &mut body[start..])?;
            }
        }
    }
    if crc32c::crc32c(&body) != checksum {
        return Err(DecodeError::Corrupt);
    }
    Ok(body)
}

/// Checks that `blocks` are the blocks of a body of `len` bytes. Returns the checksum after them.
fn check_sizes(blocks: &[u8], len: usize) -> Result<u32, DecodeError> {
    let mut rest = blocks;
    let mut left = len;
    while left > 0 {
        let size = BLOCK.min(left);
        (_, rest) = Block::read(rest, size)?;
        left -= size;
    }
    let (checksum, rest) = rest.split_first_chunk::<CHECKSUM>().ok_or(DecodeError::Truncated)?;
    if !rest.is_empty() {
        return Err(DecodeError::Corrupt);
    }
    Ok(u32::from_le_bytes(*checksum))
}

fn decode_coded(
    coded: Coded<'_>,
    decoder: &mut Option<Decoder>,
    block: &mut [u8],
) -> Result<(), DecodeError> {
    if !coded.table.is_empty() {
        *decoder = Some(Decoder::new(&table::unpack(coded.table)?));
    }
    let decoder = decoder.as_ref().ok_or(DecodeError::Corrupt)?;
    decoder.decode(coded.bytes, coded.start(), coded.sizes, block)
}

/// The parts of a block of at least [`MIN_CODED`] bytes.
fn split(block: &[u8]) -> [&[u8]; STREAMS] {
    let mut parts = block.chunks(block.len().div_ceil(STREAMS));
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// Like [`split`], for mutable slices.
fn split_mut(block: &mut [u8]) -> [&mut [u8]; STREAMS] {
    let mut parts = block.chunks_mut(block.len().div_ceil(STREAMS));
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
