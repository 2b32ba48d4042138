//! Any bytes are decoded as a blob of each encoding: nothing may panic, and nothing may take more memory than the limit.
//!
//! The first three bytes of the input are the limit, least byte first, the rest is the blob.

#![no_main]

use std::sync::{Arc, LazyLock};

use chat_core::codec::{BlobRef, Encoding, OwnTables, decode, decode_with};
use libfuzzer_sys::fuzz_target;

/// The largest limit is 1 MiB, so that a blob which asks for all of it does not take the time of a thousand others.
const LIMITS: usize = 1 << 20;

static OWN: LazyLock<Arc<OwnTables>> = LazyLock::new(chat_fuzz::own_tables);

fuzz_target!(|input: &[u8]| {
    let Some((&[low, middle, high], bytes)) = input.split_first_chunk() else { return };
    let limit = u32::from_le_bytes([low, middle, high, 0]) as usize % (LIMITS + 1);
    for encoding in [Encoding::Stored, Encoding::Huffman] {
        let blob = BlobRef { encoding, bytes };
        let body = decode(blob, limit);
        let body_with = decode_with(blob, &OWN, limit);
        for body in [&body, &body_with].into_iter().flatten() {
            assert!(body.capacity() <= limit, "{} bytes were taken, {limit} allowed", body.capacity());
        }
        if let Ok(body) = body {
            assert!(body_with.as_ref() == Ok(&body), "an operator's tables have changed what others mean");
        }
    }
});
