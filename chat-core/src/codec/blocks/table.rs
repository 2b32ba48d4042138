//! The encoding of code lengths in a block.
//!
//! A row of 4-bit digits, the high half of each byte first, that covers the byte values from 0 to
//! 255 in order. A digit from 1 to 11 is the length for one value; a 0 and a digit `n` stand for
//! `n + 1` values without a code; 12 to 15 are reserved. If the row ends in the middle of a byte,
//! its low half is 0.

use super::code::Lengths;
use crate::codec::DecodeError;

/// The longest run of values without a code that one pair of digits can stand for.
const MAX_RUN: usize = 16;

/// The maximum size of a table in bytes, which occurs when every other value has a code.
pub(super) const MAX_SIZE: usize = 192;

/// Encodes `lengths`.
pub(super) fn pack(lengths: &Lengths) -> Vec<u8> {
    let mut digits = Vec::with_capacity(2 * MAX_SIZE);
    for run in lengths.as_array().chunk_by(|a, b| *a == 0 && *b == 0) {
        if run[0] != 0 {
            digits.push(run[0]);
            continue;
        }
        for part in run.chunks(MAX_RUN) {
            digits.push(0);
            digits.push((part.len() - 1) as u8);
        }
    }
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect()
}

/// Decodes the output of [`pack`].
pub(super) fn unpack(bytes: &[u8]) -> Result<Lengths, DecodeError> {
    let mut digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let mut lengths = [0; 256];
    let mut value = 0;
    while value < lengths.len() {
        match digits.next().ok_or(DecodeError::Corrupt)? {
            0 => value += usize::from(digits.next().ok_or(DecodeError::Corrupt)?) + 1,
            len => {
                lengths[value] = len;
                value += 1;
            }
        }
    }
    let rest: Vec<u8> = digits.collect();
    let clean = value == lengths.len() && matches!(*rest, [] | [0]) && bytes.len() * 2 > rest.len();
    Lengths::new(lengths).filter(|_| clean).ok_or(DecodeError::Corrupt)
}
