//! What the tests share: a real server in this process, and clients that speak to it over real sockets.
//!
//! [`TestServer`] is the server as its binary runs it; [`MountedServer`] the same in an axum app, for tests that look
//! inside, and for several of them that hear each other by a [`Network`]. Each has a runtime of its own, so that the end of a test can assert that nothing of the server survived.
//! [`Http`] and [`Socket`] are clients, [`Polling`] is one that begins with long polling. [`transcript`] runs the
//! conversations in `tests/transcripts`. [`log::captured`] is what the server has logged.
//!
//! Nothing here waits for a time to pass: everything waits for an event, within [`TEST_TIMEOUT`].

pub mod http;
pub mod log;
pub mod network;
pub mod polling;
pub mod server;
pub mod socket;
pub mod transcript;
pub mod websocket;

use std::future::Future;
use std::time::Duration;

pub use self::http::{Answer, Http};
pub use self::network::{Faults, Network};
pub use self::polling::Polling;
pub use self::server::{MountedServer, TestServer};
pub use self::socket::{Packet, Socket};
pub use self::websocket::WebSocket;

/// How long something that must happen may take. Generous, since only failures wait so long.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
///
/// # Panics
/// When it does not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TEST_TIMEOUT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {TEST_TIMEOUT:?}"),
    }
}

/// Waits until something is so that tells nobody when it becomes so.
///
/// # Panics
/// When it does not become so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    within(what, async {
        while !is_so() {
            looks.tick().await;
        }
    })
    .await;
}

/// The code in the documents is tested as the examples of this.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
pub struct DocumentedExamples;
