//! Encodes the streams of a block.

use super::{STREAMS, code::Lengths, split};

/// The number of bytes whose codes are joined between two writes; see [`MAX_LEN`](super::code::MAX_LEN).
const STEP: usize = 5;

/// Encodes blocks with one code.
#[derive(Debug)]
pub(super) struct Encoder {
    /// For each byte value, its code in the high bits and the length of the code in the low six bits.
    codes: [u64; 256],
}

/// The bits of an entry that contain the length.
const LEN: u64 = 0x3f;

/// A single set bit as an entry: it ends a stream.
const MARK: u64 = 1 << 63 | 1;

impl Encoder {
    /// An encoder without codes, until there is something to write.
    pub(super) fn without_codes() -> Encoder {
        Encoder { codes: [0; 256] }
    }

    pub(super) fn new(lengths: &Lengths) -> Encoder {
        let codes = lengths.codes();
        let lengths = lengths.as_array();
        Encoder {
            codes: std::array::from_fn(|byte| {
                (codes[byte] as u64) << (u64::BITS as usize - super::code::MAX_LEN) | u64::from(lengths[byte])
            }),
        }
    }

    /// Appends the streams of `block`, whose codes have `bits` bits in total. Returns their sizes in bytes.
    ///
    /// Every byte of `block` must have a code.
    pub(super) fn append(&self, block: &[u8], bits: usize, out: &mut Vec<u8>) -> [usize; STREAMS] {
        let start = out.len();
        // Every stream ends with a mark and may leave bits of its last byte unused. The writer always stores whole
        // words, so it needs room for one after the end.
        out.resize(start + bits / 8 + 2 * STREAMS + size_of::<u64>(), 0);
        let mut room = &mut out[start..];
        let mut end = start;
        let sizes = split(block).map(|part| {
            let size = self.write(part, room);
            room = std::mem::take(&mut room).get_mut(size..).unwrap_or_default();
            end += size;
            size
        });
        out.truncate(end);
        sizes
    }

    /// Writes one stream to the beginning of `out` and returns its size.
    fn write(&self, part: &[u8], out: &mut [u8]) -> usize {
        let mut writer = BitWriter { out, at: 0, buffer: 0, held: 0 };
        let (rest, steps) = part.as_rchunks::<STEP>();
        for step in steps.iter().rev() {
            writer.push(step.each_ref().map(|&byte| self.codes[usize::from(byte)]));
        }
        for &byte in rest.iter().rev() {
            writer.push([self.codes[usize::from(byte)]]);
        }
        writer.push([MARK]);
        (writer.at + writer.held.div_ceil(8)) as usize
    }
}

struct BitWriter<'a> {
    out: &'a mut [u8],
    /// The position in `out` of the next whole word.
    at: u32,
    /// The high `held` bits are not written yet. The bits below them are.
    buffer: u64,
    held: u32,
}

impl BitWriter<'_> {
    /// Adds the codes of `entries`, the last one first, and writes all held bits. Bits that do not fill a byte are kept
    /// and written again.
    #[inline(always)]
    fn push<const N: usize>(&mut self, entries: [u64; N]) {
        // The codes are joined outside the buffer, so that the buffer depends on two operations per step instead of two
        // per code. The lengths stay in the entries while codes are joined: they are in bits that no code reaches, and
        // are cleared at the end.
        let mut codes = 0_u64;
        let mut bits = 0_u64;
        for entry in entries.into_iter().rev() {
            codes = codes.wrapping_shr(entry as u32) | entry;
            bits = bits.wrapping_add(entry);
        }
        self.buffer = self.buffer.wrapping_shr(bits as u32) | (codes & !LEN);
        self.held += (bits & LEN) as u32;

        let word = self.buffer.wrapping_shr(0_u32.wrapping_sub(self.held));
        let at = self.at as usize;
        if let Some(room) = self.out.get_mut(at..at + size_of::<u64>()) {
            room.copy_from_slice(&word.to_le_bytes());
        }
        self.at += self.held / 8;
        self.held %= 8;
    }
}
