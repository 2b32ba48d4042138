//! Any text as a `Cookie` header: nothing may panic, and every value that is found stands in it.

#![no_main]

use chat_server::http::cookie::in_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for value in in_header(text) {
        assert!(text.contains(value));
    }
});
