//! Decodes the streams of a block.

use super::{
    BLOCK, STREAMS,
    code::{Lengths, MAX_LEN, SPACE, share},
    split_mut,
};
use crate::codec::DecodeError;

/// How many codes are read between two refills; see [`MAX_LEN`].
const STEP: usize = 5;

/// Decodes blocks of one code.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Indexed by the next [`MAX_LEN`] bits: the byte in the high half, and the length of the code in the low half.
    table: [u16; SPACE],
}

impl Decoder {
    pub(super) fn new(lengths: &Lengths) -> Decoder {
        let mut table = [0; SPACE];
        for (byte, (code, &len)) in (0..=u8::MAX).zip(lengths.codes().into_iter().zip(lengths.as_array())) {
            if len != 0 {
                table[code..code + share(len.into())].fill(u16::from(byte) << 8 | u16::from(len));
            }
        }
        Decoder { table }
    }

    /// Decodes the streams into `block`. They fill `bytes` from `start` on and are `sizes` long.
    ///
    /// At least one word of any content must precede the streams.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        start: usize,
        sizes: [usize; STREAMS],
        block: &mut [u8],
    ) -> Result<(), DecodeError> {
        let mut end = start;
        let mut readers = [BitReader::default(); STREAMS];
        for (reader, size) in readers.iter_mut().zip(sizes) {
            end += size;
            *reader = BitReader::new(bytes, end, size)?;
        }

        let readers = match block.try_into() {
            Ok(block) => self.decode_full(bytes, readers, block)?,
            Err(_) => self.decode_partial(bytes, readers, block)?,
        };

        let mut start = start;
        for (reader, size) in readers.iter().zip(sizes) {
            reader.finish(start)?;
            start += size;
        }
        Ok(())
    }

    /// Decodes a block of the usual size. With a known size the compiler places the parts at fixed distances, so there
    /// are enough registers for all readers.
    fn decode_full(
        &self,
        bytes: &[u8],
        readers: Readers,
        block: &mut [u8; BLOCK],
    ) -> Result<Readers, DecodeError> {
        const STEPS: usize = BLOCK / STREAMS / STEP;
        const { assert!(STEPS * STEP * STREAMS == BLOCK, "parts must be whole numbers of steps") };

        let (steps, _) = block.as_chunks_mut();
        let (parts, _) = steps.as_chunks_mut::<STEPS>();
        let mut parts = parts.iter_mut();
        let parts = std::array::from_fn(|_| parts.next().map_or(&mut [][..], |part| &mut part[..]));
        self.decode_steps(bytes, readers, parts, STEPS)
    }

    /// Decodes a block of any size.
    fn decode_partial(
        &self,
        bytes: &[u8],
        readers: Readers,
        block: &mut [u8],
    ) -> Result<Readers, DecodeError> {
        let parts = split_mut(block).map(|part| part.as_chunks_mut().0);
        let steps = parts.iter().map(|part| part.len()).min().unwrap_or_default();
        let mut readers = self.decode_steps(bytes, readers, parts, steps)?;
        for (reader, part) in readers.iter_mut().zip(split_mut(block)) {
            for step in part[steps * STEP..].chunks_mut(STEP) {
                reader.refill(bytes)?;
                for byte in step {
                    *byte = self.next(reader);
                }
            }
        }
        Ok(readers)
    }

    /// Decodes the first `steps` steps of each part.
    #[inline(always)]
    fn decode_steps(
        &self,
        bytes: &[u8],
        mut readers: Readers,
        mut parts: [&mut [[u8; STEP]]; STREAMS],
        steps: usize,
    ) -> Result<Readers, DecodeError> {
        for step in 0..steps {
            for reader in &mut readers {
                reader.refill(bytes)?;
            }
            let mut out = parts.each_mut().map(|part| &mut part[step]);
            for i in 0..STEP {
                for (out, reader) in out.iter_mut().zip(&mut readers) {
                    out[i] = self.next(reader);
                }
            }
        }
        Ok(readers)
    }

    #[inline(always)]
    fn next(&self, reader: &mut BitReader) -> u8 {
        let entry = self.table[(reader.buffer >> (u64::BITS as usize - MAX_LEN)) as usize];
        reader.buffer = reader.buffer.wrapping_shl(entry.into());
        (entry >> 8) as u8
    }
}

/// One reader for each stream.
type Readers = [BitReader; STREAMS];

/// Reads a stream from its end to its beginning.
#[derive(Clone, Copy, Default)]
struct BitReader {
    /// The next bits, from the high end. The lowest set bit is a marker for the end of the bits, so that their number
    /// need not be stored.
    buffer: u64,
    /// The position of the word in the buffer.
    at: u32,
}

impl BitReader {
    fn new(bytes: &[u8], end: usize, size: usize) -> Result<BitReader, DecodeError> {
        let last = bytes.get(..end).and_then(|bytes| bytes.last());
        let last = last.copied().filter(|&last| last != 0 && size != 0).ok_or(DecodeError::Corrupt)?;
        let at = end.checked_sub(size_of::<u64>()).ok_or(DecodeError::Corrupt)? as u32;
        let mut reader = BitReader { buffer: 0, at };
        reader.load(bytes, last.leading_zeros() + 1)?;
        Ok(reader)
    }

    /// Ensures that the buffer has at least 56 bits.
    #[inline(always)]
    fn refill(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let used = self.buffer.trailing_zeros();
        self.at = self.at.wrapping_sub(used / 8);
        self.load(bytes, used % 8)
    }

    #[inline(always)]
    fn load(&mut self, bytes: &[u8], used: u32) -> Result<(), DecodeError> {
        let at = self.at as usize;
        let word = bytes.get(at..at.wrapping_add(size_of::<u64>())).and_then(|word| word.first_chunk());
        let word = u64::from_le_bytes(*word.ok_or(DecodeError::Corrupt)?);
        self.buffer = (word | 1) << used;
        Ok(())
    }

    /// Checks that the bits that were taken begin exactly at `start`.
    fn finish(&self, start: usize) -> Result<(), DecodeError> {
        let left = u64::from(self.at) * 8 + 64 - u64::from(self.buffer.trailing_zeros());
        if left == start as u64 * 8 { Ok(()) } else { Err(DecodeError::Corrupt) }
    }
}
