//! Any bytes as the frames of a websocket: what is told of them does not depend on how they are cut.
//!
//! The first byte of the input is the size of the pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    chat_server::fuzz::frames(bytes, usize::from(piece));
});
