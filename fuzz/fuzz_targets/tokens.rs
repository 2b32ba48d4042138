//! Any text as a log-in token: nobody is let in by one that was not signed.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_server::auth::token::Tokens;
use chat_server::secret::Secret;
use libfuzzer_sys::fuzz_target;

static TOKENS: LazyLock<Tokens> =
    LazyLock::new(|| Tokens::new(&Secret::new("a secret that no input can know".into()), Duration::from_secs(60)));

fuzz_target!(|text: &str| {
    assert!(TOKENS.verify(text, Timestamp::from_millis(1_700_000_000_000)).is_none());
});
