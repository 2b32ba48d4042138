//! The format of one block.

use super::{MIN_CODED, STREAMS};
use crate::codec::DecodeError;

/// The kinds of blocks, which are their first bytes.
pub(super) const STORED: u8 = 0;
pub(super) const RUN: u8 = 1;
pub(super) const CODED: u8 = 2;

/// Bytes of a coded block before its table: kind, size of the table, sizes of the streams.
pub(super) const HEAD: usize = 2 + 2 * STREAMS;

/// A block. The size of its body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Block<'a> {
    /// The unencoded body.
    Stored(&'a [u8]),
    /// One byte repeated.
    Run(u8),
    /// Codes.
    Coded(Coded<'a>),
}

/// A block of codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Coded<'a> {
    /// The whole block.
    pub(super) bytes: &'a [u8],
    /// The table. It is empty if the block uses the table of the previous coded block.
    pub(super) table: &'a [u8],
    /// The sizes of the streams. The last stream ends at the end of the block.
    pub(super) sizes: [usize; STREAMS],
}

impl<'a> Block<'a> {
    /// Reads a block with `len` bytes of body from the beginning of `bytes`. Returns the block and the rest.
    ///
    /// It reads only the head, and checks that the block can contain `len` bytes.
    pub(super) fn read(bytes: &'a [u8], len: usize) -> Result<(Block<'a>, &'a [u8]), DecodeError> {
        let (&kind, rest) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        match kind {
            STORED => {
                let (body, rest) = rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
                Ok((Block::Stored(body), rest))
            }
            RUN => {
                let (&byte, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
                Ok((Block::Run(byte), rest))
            }
            CODED => Coded::read(bytes, len).map(|(coded, rest)| (Block::Coded(coded), rest)),
            _ => Err(DecodeError::Corrupt),
        }
    }
}

impl<'a> Coded<'a> {
    fn read(bytes: &'a [u8], len: usize) -> Result<(Coded<'a>, &'a [u8]), DecodeError> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(DecodeError::Truncated)?;
        let [_, table_size, jumps @ ..] = head;
        let (jumps, _) = jumps.as_chunks();
        let mut sizes = [0; STREAMS];
        for (size, jump) in sizes.iter_mut().zip(jumps) {
            *size = usize::from(u16::from_le_bytes(*jump));
        }
        let codes: usize = sizes.iter().sum();
        // Every code has at least one bit.
        if len < MIN_CODED || codes * 8 < len {
            return Err(DecodeError::Corrupt);
        }

        let table = rest.get(..usize::from(*table_size)).ok_or(DecodeError::Truncated)?;
        let (bytes, rest) =
            bytes.split_at_checked(HEAD + table.len() + codes).ok_or(DecodeError::Truncated)?;
        Ok((Coded { bytes, table, sizes }, rest))
    }

    /// Where the streams begin.
    pub(super) fn start(&self) -> usize {
        HEAD + self.table.len()
    }
}
