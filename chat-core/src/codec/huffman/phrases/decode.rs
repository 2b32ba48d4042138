//! Decodes phrases.

use super::model::{ESCAPE, MAX_LEN, MAX_PHRASE};
use super::set::TableSet;
use crate::codec::DecodeError;
use crate::codec::huffman::bits::{BitReader, is_padded};

/// The maximum number of bits of one phrase: an escape and a shared code.
const MAX_BITS: u32 = 2 * MAX_LEN as u32;

impl TableSet {
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
        let mut bits = BitReader::new(codes);
        let mut body = Body::new(codes.len(), limit);
        let mut context = self.start;
        while bits.refill() {
            while bits.held() >= MAX_BITS {
                self.step(&mut bits, &mut body, &mut context)?;
            }
        }
        loop {
            bits.refill_to_end();
            let left = bits.left() - u64::from(pad);
            if left == 0 {
                return Ok(body.finish());
            }
            let len = self.peek(bits.peek(), context).1;
            if u64::from(len) > left {
                return Err(DecodeError::Truncated);
            }
            self.step(&mut bits, &mut body, &mut context)?;
        }
    }

    #[inline]
    fn step(&self, bits: &mut BitReader<'_>, body: &mut Body, context: &mut u8) -> Result<(), DecodeError> {
        let (symbol, len) = self.peek(bits.peek(), *context);
        bits.skip(len);
        let phrase = self.phrase(symbol);
        body.append(self.text(phrase), phrase.len())?;
        *context = phrase.after;
        Ok(())
    }

    /// The phrase of the code at the high end of `buffer`, and the number of its bits.
    #[inline]
    fn peek(&self, buffer: u64, context: u8) -> (u16, u32) {
        let (symbol, len) = self.context(context).row.read(buffer);
        if symbol != ESCAPE {
            return (symbol, len);
        }
        let (symbol, more) = self.shared.read(buffer << len);
        (symbol, len + more)
    }
}

/// The decoded part of a body.
struct Body {
    /// The first `len` bytes are decoded. The others are spare room.
    bytes: Vec<u8>,
    len: usize,
    limit: usize,
}

impl Body {
    /// Reserves room for the usual size of a body with `codes` bytes of codes.
    fn new(codes: usize, limit: usize) -> Body {
        let room = codes.saturating_mul(4).saturating_add(2 * MAX_PHRASE).min(limit);
        Body { bytes: vec![0; room], len: 0, limit }
    }

    /// Appends the first `len` bytes of `text`.
    #[inline]
    fn append(&mut self, text: &[u8; MAX_PHRASE], len: usize) -> Result<(), DecodeError> {
        // Copying a fixed number of bytes is faster than copying only `len` bytes.
        match self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            Some(room) => *room = *text,
            None => self.append_at_end(&text[..len])?,
        }
        self.len += len;
        Ok(())
    }

    #[cold]
    fn append_at_end(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        let end = self.len + text.len();
        if end > self.limit {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        if end > self.bytes.len() {
            let room = (2 * end).min(self.limit);
            self.bytes.reserve_exact(room - self.bytes.len());
            self.bytes.resize(room, 0);
        }
        self.bytes[self.len..end].copy_from_slice(text);
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }
}
