//! Reads and writes bits, from the high bit of each byte to the low one.

/// Writes codes into a frame.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    frame: &'a mut Vec<u8>,
    /// The low `held` bits are not written yet.
    buffer: u64,
    held: u32,
}

impl<'a> BitWriter<'a> {
    /// Creates a writer that appends to `frame`.
    pub(super) fn new(frame: &'a mut Vec<u8>) -> BitWriter<'a> {
        BitWriter { frame, buffer: 0, held: 0 }
    }

    /// Appends the low `len` (at most 32) bits of `code`. The bits above them must be 0.
    #[inline]
    pub(super) fn push(&mut self, code: u16, len: u32) {
        self.buffer = self.buffer << len | u64::from(code);
        self.held += len;
        if self.held >= 32 {
            self.held -= 32;
            let word = (self.buffer >> self.held) as u32;
            self.frame.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// Writes the held bits and fills the last byte with zeros.
    pub(super) fn finish(self) {
        if self.held == 0 {
            return;
        }
        let word = self.buffer << (64 - self.held);
        let bytes = self.held.div_ceil(8) as usize;
        self.frame.extend_from_slice(&word.to_be_bytes()[..bytes]);
    }
}

/// Reads codes.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, from the high end. Below the `held` bits there may already be some bits of the first byte of
    /// `rest`; adding that byte again does not change them.
    buffer: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(codes: &'a [u8]) -> BitReader<'a> {
        BitReader { rest: codes, buffer: 0, held: 0 }
    }

    /// The next bits, from the high end.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.buffer
    }

    /// The number of valid bits in [`peek`](Self::peek).
    #[inline]
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// The number of bits that were not skipped yet.
    pub(super) fn left(&self) -> u64 {
        u64::from(self.held) + 8 * self.rest.len() as u64
    }

    /// Takes whole bytes until at least 56 bits are held. The last byte of the codes is never taken, so none of these
    /// bits is padding. Returns `false` and does nothing when fewer than 8 bytes are left.
    #[inline]
    pub(super) fn refill(&mut self) -> bool {
        let Some(word) = self.rest.first_chunk() else { return false };
        self.buffer |= u64::from_be_bytes(*word) >> self.held;
        let taken = (63 - self.held) / 8;
        self.rest = &self.rest[taken as usize..];
        self.held += 8 * taken;
        true
    }

    /// Takes whole bytes until at least 56 bits are held or no byte is left.
    #[inline]
    pub(super) fn refill_to_end(&mut self) {
        while self.held < 56 {
            let Some((&byte, rest)) = self.rest.split_first() else { break };
            self.buffer |= u64::from(byte) << (56 - self.held);
            self.held += 8;
            self.rest = rest;
        }
    }

    #[inline]
    pub(super) fn skip(&mut self, len: u32) {
        self.buffer <<= len;
        self.held -= len;
    }
}

/// Whether the last `pad` bits of `codes` exist and are zero.
pub(super) fn is_padded(codes: &[u8], pad: u8) -> bool {
    codes.last().map_or(pad == 0, |last| last.trailing_zeros() >= u32::from(pad))
}
