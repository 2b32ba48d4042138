//! Doors for the fuzz targets in `fuzz/` to what is private otherwise. Not for anybody else, and not stable.

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::secret::Secret;
use crate::transport::FrameFuzz;

/// Bytes of a websocket, read whole and in pieces of `piece` bytes: what is told must be the same.
///
/// # Panics
/// When it is not.
pub fn frames(bytes: &[u8], piece: usize) {
    assert_eq!(FrameFuzz::scan(bytes, bytes.len()), FrameFuzz::scan(bytes, piece));
}

/// The payload of a CONNECT packet: read by type, the texts in it must be those of the whole tree.
///
/// # Panics
/// When they are not.
pub fn connect_payload(text: &str) {
    let Ok(payload) = serde_json::from_str::<crate::transport::ConnectPayload>(text) else { return };
    let Ok(serde_json::Value::Object(tree)) = serde_json::from_str(text) else { return };
    for (name, field) in [("token", &payload.token), ("pid", &payload.pid), ("offset", &payload.offset)] {
        assert_eq!(field.text(), tree.get(name).and_then(|value| value.as_str()), "{name}");
    }
}

/// A `pid` that a client has made up: it is nobody's.
///
/// # Panics
/// When it is somebody's.
pub fn pid(text: &str) {
    let pids = crate::recovery::Pids::new(
        &Secret::new("a secret that no input can know".into()),
        &[],
        chat_core::epoch::Epoch { id: 1, renewals: 0 },
    );
    let user = UserId::from_bytes([7; 12]);
    let dialects = crate::dialect::Dialects::built_in();
    let dialect = &**dialects.default();
    assert!(pids.read(text, user, dialect, Timestamp::from_millis(1_700_000_000_000)).is_none());
}

/// A connection on which a client says these bytes and then no more. Answers what it was answered.
pub async fn connection(router: axum::Router, bytes: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        router.clone().oneshot(request.map(|body| axum::body::Body::new(body.boxed_unsync())))
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades();
    let serving = tokio::spawn(serving);
    let mut answered = Vec::new();
    // What is said after an answer that ends the connection finds nobody.
    let _ = client.write_all(bytes).await;
    let _ = client.shutdown().await;
    let _ = client.read_to_end(&mut answered).await;
    if let Err(error) = serving.await {
        assert!(!error.is_panic(), "a connection panicked");
    }
    answered
}
