//! Decodes codes.

use super::code::{Lengths, MAX_LEN};
use crate::codec::DecodeError;
use crate::codec::huffman::bits::{BitReader, is_padded};

/// Codes up to this many bits are decoded with one look-up. In chat text fewer than one code in a hundred is longer,
/// and with 11 bits the table takes 4 KiB, an eighth of a first-level cache.
const DIRECT: u32 = 11;

/// How many codes are read between two refills; see [`MAX_LEN`].
const STEP: usize = 4;
const _: () = assert!(STEP * MAX_LEN as usize <= 56, "a refill must last for a step");

/// Decodes bodies of one code.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    /// Indexed by the next [`DIRECT`] bits: `byte << 4 | length`, or 0 if the code is longer or invalid.
    direct: [u16; 1 << DIRECT],
    /// Indexed by the length of the code; used for codes longer than [`DIRECT`].
    classes: [Class; MAX_LEN as usize + 1],
    /// The byte values in canonical order.
    bytes: [u8; 256],
    /// Length of the shortest code.
    min_len: u8,
}

/// All codes of one length.
#[derive(Clone, Copy, Default, Debug)]
struct Class {
    /// The first code.
    first: u32,
    /// Number of codes.
    count: u32,
    /// The position of the first code's byte value in canonical order.
    position: u32,
}

impl Decoder {
    pub(in crate::codec) fn new(lengths: &Lengths) -> Decoder {
        let mut decoder = Decoder {
            direct: [0; 1 << DIRECT],
            classes: [Class::default(); MAX_LEN as usize + 1],
            bytes: [0; 256],
            min_len: MAX_LEN,
        };
        for (position, (byte, code, len)) in lengths.codes().enumerate() {
            decoder.bytes[position] = byte;
            decoder.min_len = decoder.min_len.min(len);

            let class = &mut decoder.classes[usize::from(len)];
            if class.count == 0 {
                class.first = code.into();
                class.position = position as u32;
            }
            class.count += 1;

            if let Some(free) = DIRECT.checked_sub(len.into()) {
                let first = usize::from(code) << free;
                decoder.direct[first..first + (1 << free)].fill(u16::from(byte) << 4 | u16::from(len));
            }
        }
        decoder
    }

    /// Decodes all of `codes` except the last `pad` (at most 7) bits into at most `limit` bytes.
    pub(in crate::codec) fn decode(
        &self,
        codes: &[u8],
        pad: u8,
        limit: usize,
    ) -> Result<Vec<u8>, DecodeError> {
        if !is_padded(codes, pad) {
            return Err(DecodeError::Corrupt);
        }
        // No body of this many bits is longer, so memory is allocated only once.
        let bound = (codes.len() as u64 * 8 - u64::from(pad)) / u64::from(self.min_len);
        let room = usize::try_from(bound).map_or(limit, |bound| bound.min(limit));
        let mut body = vec![0; room];
        let mut bits = BitReader::new(codes);
        let mut done = 0;

        let mut steps = body.chunks_exact_mut(STEP);
        while bits.refill() {
            let Some(step) = steps.next() else { break };
            for byte in step {
                let (found, len) = self.peek(bits.peek()).ok_or(DecodeError::Corrupt)?;
                *byte = found;
                bits.skip(len);
            }
            done += STEP;
        }

        loop {
            bits.refill_to_end();
            let left = bits.left() - u64::from(pad);
            if left == 0 {
                break;
            }
            if left < u64::from(self.min_len) {
                return Err(DecodeError::Truncated);
            }
            let (found, len) = self.peek(bits.peek()).ok_or(DecodeError::Corrupt)?;
            if u64::from(len) > left {
                return Err(DecodeError::Truncated);
            }
            *body.get_mut(done).ok_or(DecodeError::TooLarge { limit })? = found;
            bits.skip(len);
            done += 1;
        }
        body.truncate(done);
        Ok(body)
    }

    /// The byte of the code at the high end of `buffer`, and the length of that code.
    #[inline]
    fn peek(&self, buffer: u64) -> Option<(u8, u32)> {
        let entry = self.direct[(buffer >> (64 - DIRECT)) as usize];
        if entry == 0 {
            return self.peek_long(buffer);
        }
        Some(((entry >> 4) as u8, u32::from(entry & 0xf)))
    }

    #[cold]
    fn peek_long(&self, buffer: u64) -> Option<(u8, u32)> {
        (DIRECT + 1..=MAX_LEN.into()).find_map(|len| {
            let class = self.classes[len as usize];
            let code = (buffer >> (64 - len)) as u32;
            let offset = code.checked_sub(class.first).filter(|&offset| offset < class.count)?;
            Some((self.bytes[(class.position + offset) as usize], len))
        })
    }
}
