//! The frame's first byte, and reading a frame by it.

use super::{decoder::Decoder, lengths, tables::StaticTable};
use crate::codec::{DecodeError, copy_within};

/// What follows the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// The body as it is.
    Stored,
    /// Codes of a table known to every release.
    Static(StaticTable),
    /// A table, then its codes.
    Dynamic,
}

const STORED: u8 = 0;
const STATIC: std::ops::RangeInclusive<u8> = 20..=27;
const DYNAMIC: u8 = 29;

impl Format {
    fn id(self) -> u8 {
        match self {
            Format::Stored => STORED,
            Format::Static(table) => STATIC.start() + table.index(),
            Format::Dynamic => DYNAMIC,
        }
    }

    fn from_id(id: u8) -> Option<Format> {
        match id {
            STORED => Some(Format::Stored),
            DYNAMIC => Some(Format::Dynamic),
            _ => {
                let index = id.checked_sub(*STATIC.start())?;
                StaticTable::from_index(index).map(Format::Static)
            }
        }
    }
}

/// The frame's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    format: Format,
    /// Bits left over in the last byte, 0 to 7.
    pad: u8,
}

impl Header {
    /// The header of a frame that ends with `bits` bits of codes.
    pub(super) fn new(format: Format, bits: u64) -> Header {
        let used = (bits % 8) as u8;
        Header { format, pad: (8 - used) % 8 }
    }

    /// A frame that has only this header yet.
    pub(super) fn start(self) -> Vec<u8> {
        vec![self.format.id() << 3 | self.pad]
    }

    fn parse(byte: u8) -> Result<Header, DecodeError> {
        let id = byte >> 3;
        let format = Format::from_id(id).ok_or(DecodeError::UnknownFrame { id })?;
        Ok(Header { format, pad: byte & 7 })
    }
}

/// A frame that holds the body as it is.
pub(super) fn stored(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + body.len());
    frame.extend(Header::new(Format::Stored, 0).start());
    frame.extend_from_slice(body);
    frame
}

/// Decodes a frame into at most `limit` bytes.
pub(in crate::codec) fn decode(frame: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let (&first, rest) = frame.split_first().ok_or(DecodeError::Truncated)?;
    let Header { format, pad } = Header::parse(first)?;
    match format {
        Format::Stored if pad != 0 => Err(DecodeError::Corrupt),
        Format::Stored => copy_within(rest, limit),
        Format::Static(table) => table.decoder().decode(rest, pad, limit),
        Format::Dynamic => {
            let (lengths, codes) = lengths::unpack(rest)?;
            Decoder::new(&lengths).decode(codes, pad, limit)
        }
    }
}
