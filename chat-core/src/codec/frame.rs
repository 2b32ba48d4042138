//! The frame: the self-describing format of an encoded body.
//!
//! The first byte is `id << 3 | pad`; `id` says what follows:
//!
//! | id | what follows |
//! |---|---|
//! | 0 | the body as it is |
//! | 1–16 | codes of the shipped set of phrases `id - 1` (see `huffman::phrases`) |
//! | 17–18 | free |
//! | 19 | two bytes, the fingerprint of an operator's set of phrases, then its codes |
//! | 20–27 | codes of the static table over bytes `id - 20` (see `huffman::bytes`); no longer written |
//! | 28 | blocks of codes over bytes (see `blocks`) |
//! | 29 | code lengths over bytes, then codes of that table; no longer written |
//! | 30 | another's format, which the next byte names (see `foreign`) |
//! | 31 | reserved, for when the ids run out |
//!
//! Codes are written from the high bit of each byte to the low one. `pad` is the number of unused bits in the last
//! byte, which are zero. With it the size of the frame says where the body ends, so neither a length nor an end symbol
//! is needed. For 0, 28 and 30 it is 0.
//!
//! The meaning of an id never changes.

use super::huffman::bytes::{self, StaticTable, lengths};
use super::huffman::phrases::{OwnTables, shipped};
use super::{DecodeError, blocks, copy_within, foreign};

/// The content after the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// The unencoded body.
    Stored,
    /// Codes of the shipped set of phrases with this index.
    Phrases(u8),
    /// The fingerprint of an operator's set, then its codes.
    Own,
    /// Codes of a table over bytes that every release knows.
    Static(StaticTable),
    /// Blocks of codes over bytes, each with a table (see `blocks`).
    Blocks,
    /// A table over bytes, then its codes.
    Dynamic,
    /// A format of another project (see `foreign`).
    Foreign,
}

const STORED: u8 = 0;
const PHRASES: std::ops::RangeInclusive<u8> = 1..=shipped::COUNT as u8;
const OWN: u8 = 19;
const STATIC: std::ops::RangeInclusive<u8> = 20..=27;
const BLOCKS: u8 = 28;
const DYNAMIC: u8 = 29;
const FOREIGN: u8 = 30;

impl Format {
    fn id(self) -> u8 {
        match self {
            Format::Stored => STORED,
            Format::Phrases(index) => PHRASES.start() + index,
            Format::Own => OWN,
            Format::Static(table) => STATIC.start() + table.index(),
            Format::Blocks => BLOCKS,
            Format::Dynamic => DYNAMIC,
            Format::Foreign => FOREIGN,
        }
    }

    fn from_id(id: u8) -> Option<Format> {
        match id {
            STORED => Some(Format::Stored),
            OWN => Some(Format::Own),
            BLOCKS => Some(Format::Blocks),
            DYNAMIC => Some(Format::Dynamic),
            FOREIGN => Some(Format::Foreign),
            _ if PHRASES.contains(&id) => Some(Format::Phrases(id - PHRASES.start())),
            _ => StaticTable::from_index(id.checked_sub(*STATIC.start())?).map(Format::Static),
        }
    }

    /// The first byte of a frame that ends with `bits` bits of codes.
    pub(super) fn header(self, bits: u64) -> u8 {
        let used = (bits % 8) as u8;
        (self.id() << 3) | ((8 - used) % 8)
    }
}

/// A frame with the unencoded body.
pub(super) fn stored(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + body.len());
    frame.push(Format::Stored.header(0));
    frame.extend_from_slice(body);
    frame
}

/// Decodes a frame into at most `limit` bytes; `own` are the operator's tables.
pub(super) fn decode(frame: &[u8], own: &OwnTables, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let (&first, rest) = frame.split_first().ok_or(DecodeError::Truncated)?;
    let (id, pad) = (first >> 3, first & 7);
    let format = Format::from_id(id).ok_or(DecodeError::UnknownFrame { id })?;
    match format {
        Format::Stored | Format::Blocks | Format::Foreign if pad != 0 => Err(DecodeError::Corrupt),
        Format::Stored => copy_within(rest, limit),
        Format::Phrases(index) => shipped::set(index.into()).decode(rest, pad, limit),
        Format::Own => {
            let (fingerprint, codes) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
            let fingerprint = u16::from_le_bytes(*fingerprint);
            let set = own.find(fingerprint).ok_or(DecodeError::UnknownTables { fingerprint })?;
            set.decode(codes, pad, limit)
        }
        Format::Static(table) => table.decoder().decode(rest, pad, limit),
        Format::Blocks => blocks::decode(rest, limit),
        Format::Foreign => foreign::decode(rest, limit),
        Format::Dynamic => {
            let (lengths, codes) = lengths::unpack(rest)?;
            bytes::Decoder::new(&lengths).decode(codes, pad, limit)
        }
    }
}
