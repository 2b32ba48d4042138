//! Canonical Huffman codes over bytes, with tables made for chat and one made for the body.
//!
//! # The frame
//!
//! The first byte is `id << 3 | pad`; `id` says what follows:
//!
//! | id | what follows |
//! |---|---|
//! | 0 | the body as it is; `pad` is 0 |
//! | 1–10 | reserved for tables over phrases of messages |
//! | 11–19 | free |
//! | 20–27 | codes of the static table `id - 20` (see `tables`) |
//! | 28 | reserved |
//! | 29 | code lengths (see `lengths`), then codes of that table |
//! | 30–31 | reserved |
//!
//! Codes are written from the high bit of each byte to the low one. `pad` is the number of bits
//! left over in the last byte, which are zero: with it the frame's own size tells where the body
//! ends, and neither a length nor an end symbol is needed.

mod code;
mod decoder;
mod encoder;
mod frame;
mod lengths;
mod tables;
#[cfg(test)]
mod tests;

use self::{
    code::Lengths,
    encoder::Encoder,
    frame::{Format, Header},
    tables::StaticTable,
};
use super::{Blob, Codec, Encoding, Kind, is_compressible_size};

pub(super) use self::frame::decode;

/// Compresses bodies with the cheapest of several Huffman tables.
///
/// Bodies too small for [`is_compressible_size`] are stored as they are. The others become a
/// frame, which is never more than one byte longer than the body.
#[derive(Clone, Copy, Default, Debug)]
pub struct HuffmanCodec;

impl Codec for HuffmanCodec {
    fn encode(&self, kind: Kind, body: &[u8]) -> Blob {
        if !is_compressible_size(kind, body.len()) {
            return Blob { encoding: Encoding::Stored, bytes: body.to_vec() };
        }
        let bytes = if body.len() <= MAX_WITHOUT_OWN_TABLE { encode_short(body) } else { encode_long(body) };
        Blob { encoding: Encoding::Huffman, bytes }
    }
}

/// Largest body in bytes for which a table of its own is not considered: a table takes some 50
/// bytes for text, and making one takes longer than encoding a whole message.
const MAX_WITHOUT_OWN_TABLE: usize = 1024;

/// A frame with the cheapest static table.
fn encode_short(body: &[u8]) -> Vec<u8> {
    let (table, bits) = StaticTable::cheapest(body);
    if bytes_for(bits) >= len(body) {
        return frame::stored(body);
    }
    encode_static(table, bits, body)
}

/// A frame with the cheapest static table or, if it earns its place, with the body's own.
fn encode_long(body: &[u8]) -> Vec<u8> {
    let counts = count(body);
    let (table, bits) = StaticTable::cheapest_for(&counts);
    let own = Lengths::for_counts(&counts).and_then(|lengths| {
        let bits = lengths.cost(&counts)?;
        Some((lengths::pack(&lengths), lengths, bits))
    });

    let static_size = bytes_for(bits);
    if let Some((packed, lengths, bits)) = own {
        let size = len(&packed) + bytes_for(bits);
        if size < static_size.min(len(body)) {
            let mut frame = Header::new(Format::Dynamic, bits).start();
            frame.extend_from_slice(&packed);
            Encoder::new(&lengths).append(body, bits, &mut frame);
            return frame;
        }
    }
    if static_size >= len(body) {
        return frame::stored(body);
    }
    encode_static(table, bits, body)
}

fn encode_static(table: StaticTable, bits: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = Header::new(Format::Static(table), bits).start();
    table.encoder().append(body, bits, &mut frame);
    frame
}

/// How often each byte value occurs.
fn count(body: &[u8]) -> [u64; 256] {
    // Two sets of counters, so that a run of one value does not wait for its own last increment.
    let (mut even, mut odd) = ([0_u64; 256], [0_u64; 256]);
    let mut pairs = body.chunks_exact(2);
    for pair in &mut pairs {
        even[usize::from(pair[0])] += 1;
        odd[usize::from(pair[1])] += 1;
    }
    for &byte in pairs.remainder() {
        even[usize::from(byte)] += 1;
    }
    even.iter_mut().zip(odd).for_each(|(even, odd)| *even += odd);
    even
}

fn bytes_for(bits: u64) -> u64 {
    bits.div_ceil(8)
}

/// The length of `bytes` as the type in which sizes of frames are compared.
fn len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}
