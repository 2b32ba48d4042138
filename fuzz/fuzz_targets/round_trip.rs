//! Any bytes are encoded as a message and as a file by every codec: they must come back, at most one byte longer in between.

#![no_main]

use std::sync::LazyLock;

use chat_core::codec::{Codec, DecodeError, HuffmanCodec, Kind, ZstdCodec};
use libfuzzer_sys::fuzz_target;

static CODECS: LazyLock<[Box<dyn Codec>; 3]> = LazyLock::new(|| {
    let own = HuffmanCodec::with_tables(chat_fuzz::own_tables());
    [Box::new(HuffmanCodec::new()), Box::new(own), Box::new(ZstdCodec)]
});

fuzz_target!(|body: &[u8]| {
    for codec in &*CODECS {
        for kind in [Kind::Message, Kind::File] {
            let blob = codec.encode(kind, body);
            let (before, after) = (body.len(), blob.bytes.len());
            assert!(after <= before + 1, "{before} bytes became {after}");
            assert!(codec.decode((&blob).into(), before).as_deref() == Ok(body), "{before} bytes changed");
            if let Some(limit) = before.checked_sub(1) {
                assert!(codec.decode((&blob).into(), limit) == Err(DecodeError::TooLarge { limit }));
            }
        }
    }
});
