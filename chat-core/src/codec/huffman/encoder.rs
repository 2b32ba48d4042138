//! Writing codes.

use super::code::{Lengths, MAX_LEN};

/// Bodies are written in steps of this many bytes: their codes and the bits left over from the
/// step before fit the buffer of [`BitWriter`].
const STEP: usize = 4;
const _: () = assert!(STEP * MAX_LEN as usize + 7 < 64, "a shift by 64 would overflow");

/// Writes bodies with one code.
#[derive(Debug)]
pub(super) struct Encoder {
    /// For each byte value `code << 4 | length`; 0 for values without a code.
    codes: [u32; 256],
}

impl Encoder {
    pub(super) fn new(lengths: &Lengths) -> Encoder {
        let mut codes = [0; 256];
        for (byte, code, len) in lengths.codes() {
            codes[usize::from(byte)] = u32::from(code) << 4 | u32::from(len);
        }
        Encoder { codes }
    }

    /// Appends the codes of `body`, which come to `bits` bits in all.
    ///
    /// Every byte of `body` must have a code.
    pub(super) fn append(&self, body: &[u8], bits: u64, frame: &mut Vec<u8>) {
        let start = frame.len();
        let size = bits.div_ceil(8) as usize;
        // The writer always stores whole words, so it needs room for one behind the end.
        frame.resize(start + size + size_of::<u64>(), 0);

        let mut writer = BitWriter { out: &mut frame[start..], buffer: 0, held: 0 };
        let mut steps = body.chunks_exact(STEP);
        for step in &mut steps {
            for &byte in step {
                writer.push(self.codes[usize::from(byte)]);
            }
            writer.flush();
        }
        for &byte in steps.remainder() {
            writer.push(self.codes[usize::from(byte)]);
        }
        writer.flush();
        frame.truncate(start + size);
    }
}

struct BitWriter<'a> {
    /// Where the next bits go.
    out: &'a mut [u8],
    /// The low `held` bits wait to be written; what is above them has been.
    buffer: u64,
    held: u32,
}

impl BitWriter<'_> {
    #[inline]
    fn push(&mut self, code: u32) {
        let len = code & 0xf;
        self.buffer = self.buffer << len | u64::from(code >> 4);
        self.held += len;
    }

    /// Writes all bits held; those that do not fill a byte are kept and written again.
    #[inline]
    fn flush(&mut self) {
        if self.held == 0 {
            return;
        }
        let word = self.buffer << (64 - self.held);
        let out = std::mem::take(&mut self.out);
        if let Some(room) = out.first_chunk_mut() {
            *room = word.to_be_bytes();
        }
        let whole = (self.held / 8) as usize;
        self.out = out.get_mut(whole..).unwrap_or_default();
        self.held %= 8;
    }
}
