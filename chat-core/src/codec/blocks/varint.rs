//! Numbers in as few bytes as they need (LEB128): seven bits a byte, the low ones first, the high
//! bit set on every byte but the last.

use crate::codec::DecodeError;

/// Appends `value`.
pub(super) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number from the beginning of `bytes`. Returns the number and the rest.
///
/// Every number has only one encoding: a zero as the last of several bytes is an error.
pub(super) fn read(bytes: &[u8]) -> Result<(u64, &[u8]), DecodeError> {
    let mut value = 0;
    let mut rest = bytes;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(DecodeError::Truncated)?;
        rest = tail;
        let digit = u64::from(byte & 0x7f);
        if digit << shift >> shift != digit {
            return Err(DecodeError::Corrupt);
        }
        value |= digit << shift;
        if byte < 0x80 {
            let overlong = byte == 0 && shift != 0;
            return if overlong { Err(DecodeError::Corrupt) } else { Ok((value, rest)) };
        }
    }
    Err(DecodeError::Corrupt)
}
