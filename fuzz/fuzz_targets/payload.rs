//! Any bytes as a payload of long polling, in each of its forms: nothing may panic, and what is handed on is within bounds.
//!
//! The first byte of the input chooses the form and the budget.

#![no_main]

use bytes::Bytes;
use chat_server::transport::payload::{Encoding, PacketBudget, as_v4};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let encoding = match choice % 3 {
        0 => Encoding::V4,
        1 => Encoding::V3Text,
        _ => Encoding::V3Binary,
    };
    let packets = u32::from(choice / 3);
    let before = PacketBudget { packets, connects: packets / 4, binaries: packets / 8 };
    let mut left = before;
    let Ok(payload) = as_v4(Bytes::copy_from_slice(body), encoding, &mut left) else { return };
    assert!(payload.len() <= 2 * body.len() + 1, "{} bytes of {}", payload.len(), body.len());
    // Read again as what it was turned into, it holds as many packets.
    let mut again = before;
    let unchanged = as_v4(payload.clone(), Encoding::V4, &mut again);
    assert_eq!(unchanged, Ok(payload.clone()));
    if !payload.is_empty() {
        assert_eq!(again, left);
    }
});
