//! The encoding of code lengths in a frame.
//!
//! A row of 4-bit digits, the high half of each byte first, that covers the byte values from 0 to
//! 255 in order. A digit from 1 to 14 is the length for one value; a 0 and a digit `n` stand for
//! `n + 1` values without a code; 15 is reserved. If the row ends in the middle of a byte, its low
//! half is 0.

use super::code::{Lengths, MAX_LEN};
use crate::codec::DecodeError;

/// Reads lengths from the beginning of `bytes`. Returns them and the rest.
pub(in crate::codec) fn unpack(bytes: &[u8]) -> Result<(Lengths, &[u8]), DecodeError> {
    let mut digits = Digits { bytes, low: None };
    let mut lengths = [0; 256];
    let mut value = 0;
    while value < lengths.len() {
        match digits.next()? {
            0 => value += usize::from(digits.next()?) + 1,
            len if len > MAX_LEN => return Err(DecodeError::Corrupt),
            len => {
                lengths[value] = len;
                value += 1;
            }
        }
    }
    let fits = value == lengths.len();
    let clean = matches!(digits.low, None | Some(0));
    match Lengths::new(lengths) {
        Some(lengths) if fits && clean => Ok((lengths, digits.bytes)),
        _ => Err(DecodeError::Corrupt),
    }
}

struct Digits<'a> {
    bytes: &'a [u8],
    /// The low half of the last byte, if it was not taken yet.
    low: Option<u8>,
}

impl Digits<'_> {
    fn next(&mut self) -> Result<u8, DecodeError> {
        if let Some(low) = self.low.take() {
            return Ok(low);
        }
        let (&byte, rest) = self.bytes.split_first().ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        self.low = Some(byte & 0xf);
        Ok(byte >> 4)
    }
}
