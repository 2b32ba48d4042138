//! Any text as the payload of a CONNECT packet, and as the `pid` in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    chat_server::fuzz::connect_payload(text);
    chat_server::fuzz::pid(text);
});
