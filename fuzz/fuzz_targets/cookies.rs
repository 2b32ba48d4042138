//! Any bytes as a `Cookie` header: nothing may panic, and every value that is found stands in it.

#![no_main]

use chat_server::http::cookie::in_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (name, value) in in_header(bytes, &["jwt", "sid"]) {
        assert!(name == "jwt" || name == "sid");
        assert!(value.is_empty() || bytes.windows(value.len()).any(|window| window == value.as_bytes()));
    }
});
