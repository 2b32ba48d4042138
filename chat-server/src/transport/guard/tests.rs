//! Tests for [`guard`](super).

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::unauthenticated::{Unauthenticated, UnauthenticatedLimits};
use super::*;

fn guarded(capacity: usize) -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Wire>) {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let wire = Arc::new(Wire::new());
    let early = bytes::Bytes::from_static(b"early");
    let unauthenticated = Unauthenticated::new(UnauthenticatedLimits::shared_by(8, 2));
    let permit = unauthenticated.acquire(None, None).unwrap();
    let admission = Admission::for_tests(permit, Arc::downgrade(&wire));
    (Guarded::new(ours, early, wire.clone(), Duration::from_secs(8), admission), theirs, wire)
}

#[tokio::test]
async fn what_was_read_with_the_request_comes_first() {
    let (mut ours, mut theirs, _) = guarded(64);
    theirs.write_all(b" late").await.unwrap();
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "early late");
}

/// A client sends a disconnect and closes its stream, while the server is about to send something.
#[tokio::test]
async fn the_last_words_of_a_peer_are_read_although_nothing_can_be_sent_to_it() {
    let (mut ours, mut theirs, _) = guarded(64);
    ours.read_exact(&mut [0; 5]).await.unwrap();
    theirs.write_all(b"41").await.unwrap();
    drop(theirs);
    ours.write_all(b"an event").await.unwrap();
    let mut words = [0; 2];
    ours.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"41");
    assert_eq!(ours.read(&mut words).await.unwrap(), 0, "and then it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let (mut ours, _theirs, wire) = guarded(4);
    ours.read_exact(&mut [0; 5]).await.unwrap();
    ours.write_all(b"more than fits").await.unwrap();
    let started = Instant::now();
    let error = ours.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 8);
    assert!(wire.check().is_err(), "writing ends too");
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_not_given_up() {
    let (mut ours, mut theirs, _) = guarded(4);
    ours.read_exact(&mut [0; 5]).await.unwrap();
    ours.write_all(&[7; 40]).await.unwrap();
    let reading = tokio::spawn(async move { ours.read_u8().await });
    let mut four = [0; 4];
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        theirs.read_exact(&mut four).await.unwrap();
    }
    theirs.write_u8(9).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 9);
}

#[tokio::test(start_paused = true)]
async fn the_switch_wakes_who_waits() {
    let (mut ours, _theirs, wire) = guarded(4);
    ours.read_exact(&mut [0; 5]).await.unwrap();
    let reader = tokio::spawn(async move { ours.read_u8().await });
    tokio::task::yield_now().await;
    wire.kill();
    assert_eq!(reader.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn what_is_sent_on_the_lane_leaves_by_itself() {
    let (mut ours, mut theirs, wire) = guarded(64);
    ours.read_exact(&mut [0; 5]).await.unwrap();
    let connect = super::super::text_frame::text_frame(2, |bytes| bytes.extend_from_slice(b"40"));
    ours.write_all(&connect).await.unwrap();
    let reader = tokio::spawn(async move { ours.read_u8().await });
    tokio::task::yield_now().await;
    wire.send(&super::super::text_frame::text_frame(1, |bytes| bytes.push(b'x')), 1).unwrap();
    let mut frames = [0; 7];
    theirs.read_exact(&mut frames).await.unwrap();
    assert_eq!(&frames, b"\x81\x0240\x81\x01x");
    drop(theirs);
    assert!(reader.await.unwrap().is_err());
}

#[tokio::test]
async fn a_large_event_is_kept_and_what_follows_on_it_is_read() {
    use super::super::frames::client_frame;
    let (mut ours, mut theirs, _) = guarded(1_000);
    ours.early.clear();
    let admission = ours.admission.clone();
    admission.set_known(chat_core::id::UserId::from_bytes([1; 12]));
    let event = format!(r#"["x","{}"]"#, "a".repeat(200_000));
    let (large, small) = (client_frame(format!("42{event}").as_bytes()), client_frame(b"42[\"small\"]"));
    let sending = async {
        theirs.write_all(&[&*large, &*small].concat()).await.unwrap();
        drop(theirs);
    };
    let mut read = Vec::new();
    let (_, end) = tokio::join!(sending, ours.read_to_end(&mut read));
    end.unwrap();
    assert_eq!(read, [client_frame(br#"42["chat-server:large",0]"#), small].concat());
    assert_eq!(admission.large.text_of(0).unwrap(), event);
}
