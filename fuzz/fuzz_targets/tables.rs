//! Any bytes are read as a table file: faulty ones must be refused, and what is taken must write and read anything.
//!
//! The input is a file without its checksum. The target adds the right one, since a fuzzer would not find it in its
//! lifetime, and all faults would hide behind it.

#![no_main]

use std::sync::Arc;

use chat_core::codec::{Codec, HuffmanCodec, Kind, OwnTables};
use libfuzzer_sys::fuzz_target;

/// Text and bytes that no text has.
const BODIES: [&[u8]; 3] = [
    "where are you? Où es-tu ? Где ты? 你在哪里 🙂 and once more: where are you?".as_bytes(),
    &[0xff; 200],
    &{
        let mut all = [0; 256];
        let mut byte = 0;
        while byte < all.len() {
            all[byte] = byte as u8;
            byte += 1;
        }
        all
    },
];

fuzz_target!(|input: &[u8]| {
    let _ = OwnTables::new([input]);
    let file = [input, &fnv_1a(input).to_le_bytes()].concat();
    let Ok(own) = OwnTables::new([file]) else { return };
    let codec = HuffmanCodec::with_tables(Arc::new(own));
    for body in BODIES.into_iter().chain([input]) {
        let blob = codec.encode(Kind::Message, body);
        assert!(blob.bytes.len() <= body.len() + 1);
        assert!(
            codec.decode((&blob).into(), body.len()).as_deref() == Ok(body),
            "{} bytes changed",
            body.len()
        );
    }
});

fn fnv_1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
