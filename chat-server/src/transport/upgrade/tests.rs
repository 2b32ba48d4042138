//! Tests for [`upgrade`](super).

use tokio::io::{AsyncWriteExt, DuplexStream};

use super::super::admission::Admissions;
use super::super::guard::{OnFailed, OnUpgraded, Takeover, Wires};
use super::super::unauthenticated::{Unauthenticated, UnauthenticatedLimits};
use super::*;

fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [9, 8, 7, 6];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [head, 0x80 | payload.len() as u8].into_iter().chain(mask).chain(masked).collect()
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

fn admission() -> Arc<Admission> {
    let unauthenticated = Unauthenticated::new(UnauthenticatedLimits::shared_by(8, 2));
    Admission::for_tests(unauthenticated.acquire(None, None).unwrap(), Weak::new())
}

/// An attempt, and the client's and the server's end of its websocket.
fn begin(admission: &Arc<Admission>) -> (Attempt, DuplexStream, Guarded<DuplexStream>, Arc<Wire>) {
    let wire = Arc::new(Wire::upgrade());
    let attempt = Attempt::begin(admission, &wire).unwrap();
    let (ours, theirs) = tokio::io::duplex(1024);
    let stream = Guarded::new(ours, Bytes::new(), wire.clone(), Duration::from_secs(8), admission.clone());
    (attempt, theirs, stream, wire)
}

#[test]
fn frames_are_told_apart_however_they_are_cut() {
    let all = [text("2probe"), frame(0x89, b"hi"), frame(0x8a, b""), text("5")].concat();
    for cut in 0..all.len() {
        let (mut read, mut frames) = (all[..cut].to_vec(), Vec::new());
        while let Some((frame, length)) = first_frame(&read).unwrap() {
            frames.push(frame);
            read.drain(..length);
            if frames.len() == 1 {
                read = [&read, &all[cut..]].concat();
            }
        }
        if cut >= text("2probe").len() {
            let expected = [
                Frame::Text(b"2probe".into()),
                Frame::Ping(b"hi".into()),
                Frame::Pong,
                Frame::Text(b"5".into()),
            ];
            assert_eq!(frames, expected, "{cut}");
        }
    }
    assert_eq!(first_frame(b"\x81\x062probe"), Err(Failed), "clients mask");
    assert_eq!(first_frame(b"\x81\xfe"), Err(Failed), "too long");
    assert_eq!(first_frame(&frame(0x88, b"")).unwrap().unwrap().0, Frame::Other, "a close");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_both_is_handed_over_with_what_followed() {
    let admission = admission();
    let (attempt, mut theirs, mut stream, wire) = begin(&admission);
    theirs.write_all(&[text("2probe"), frame(0x89, b"hi"), text("5"), text("40")].concat()).await.unwrap();
    let replayed = attempt.probe(&mut stream, &wire).await.unwrap();
    assert_eq!(replayed, [SAID, &text("40")].concat());
    drop((stream, attempt));
    let mut told = Vec::new();
    theirs.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, b"\x81\x063probe\x8a\x02hi");
}

/// The stream withholds the head of a frame until it is complete, so one read may return more than was sent last.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_in_the_handover_however_it_is_cut() {
    let (probe, events) =
        (text("2probe"), ["42[\"one\"]", "42[\"two\",2]", "42[\"three\"]"].map(text).concat());
    let said = [probe.clone(), text("5"), events.repeat(3)].concat();
    for cut in probe.len()..probe.len() + text("5").len() {
        let admission = admission();
        let (attempt, mut theirs, mut stream, wire) = begin(&admission);
        let (first, second) = said.split_at(cut);
        theirs.write_all(first).await.unwrap();
        let talk = async {
            // Once this comes, everything that was written has been read.
            theirs.read_exact(&mut [0; 8]).await.unwrap();
            theirs.write_all(second).await.unwrap();
            theirs.shutdown().await.unwrap();
        };
        let (replayed, ()) = tokio::join!(attempt.probe(&mut stream, &wire), talk);
        let then: (OnUpgraded, OnFailed) = (Box::new(|_| ()), Box::new(|| ()));
        let takeover = Takeover::new(&Wires::default(), "a session".to_owned(), &wire, attempt, then);
        stream.take_over(takeover.unwrap(), replayed.unwrap());
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [SAID, &events.repeat(3)].concat(), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_silent_says_something_else_or_goes_leaves_the_session_polling() {
    let admission = admission();
    let started = Instant::now();
    let (attempt, theirs, mut stream, wire) = begin(&admission);
    assert!(Attempt::begin(&admission, &wire).is_none(), "one at a time");
    assert_eq!(attempt.probe(&mut stream, &wire).await, Err(Failed));
    assert_eq!(started.elapsed(), UPGRADE_TIMEOUT);
    assert!(admission.upgrades.released().now_or_never().is_none(), "no poll is released");
    drop((attempt, theirs, stream));

    let (attempt, mut theirs, mut stream, wire) = begin(&admission);
    theirs.write_all(&text("5")).await.unwrap();
    assert_eq!(attempt.probe(&mut stream, &wire).await, Err(Failed), "it was not probed");
    drop((attempt, stream));
    let mut told = Vec::new();
    theirs.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, b"\x88\0");

    let (attempt, theirs, mut stream, wire) = begin(&admission);
    drop(theirs);
    assert_eq!(attempt.probe(&mut stream, &wire).await, Err(Failed));
    drop((attempt, stream));
    assert!(Attempt::begin(&admission, &wire).is_none(), "three have failed");
    assert!(admission.upgrades.poll().is_some());
}

#[tokio::test(start_paused = true)]
async fn polls_are_released_now_and_then_once_it_is_probed() {
    let admission = admission();
    let (attempt, mut theirs, mut stream, wire) = begin(&admission);
    let probing = tokio::spawn(async move {
        let probed = attempt.probe(&mut stream, &wire).await;
        (probed, attempt)
    });
    let poll = admission.upgrades.poll().unwrap();
    let released = tokio::spawn({
        let admission = admission.clone();
        async move { admission.upgrades.released().await }
    });
    tokio::task::yield_now().await;
    assert!(!released.is_finished());
    theirs.write_all(&text("2probe")).await.unwrap();
    released.await.unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        admission.upgrades.released().await;
    }
    assert_eq!(started.elapsed(), 3 * RELEASE_INTERVAL);

    theirs.write_all(&text("5")).await.unwrap();
    tokio::time::sleep(RELEASE_INTERVAL).await;
    assert!(admission.upgrades.poll().is_none(), "the engine is not asked any more");
    assert!(!probing.is_finished(), "it waits for the last poll");
    drop(poll);
    let (probed, attempt) = probing.await.unwrap();
    assert_eq!(probed.unwrap(), SAID);
    attempt.set_upgraded();
    drop(attempt);
    assert!(Attempt::begin(&admission, &Arc::new(Wire::upgrade())).is_none(), "once");
    assert!(admission.upgrades.poll().is_some(), "the engine refuses it by itself");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_with_its_session_and_with_the_server() {
    let admission = admission();
    let (attempt, _theirs, mut stream, wire) = begin(&admission);
    let started = Instant::now();
    admission.set_ended();
    assert_eq!(attempt.probe(&mut stream, &wire).await, Err(Failed));

    let (admission, admissions) = (self::admission(), Arc::<Admissions>::default());
    admissions.register("sid", &admission);
    let (attempt, _theirs, mut stream, wire) = begin(&admission);
    admissions.cancel_upgrades();
    assert_eq!(attempt.probe(&mut stream, &wire).await, Err(Failed), "the server stops");
    assert_eq!(started.elapsed(), Duration::ZERO);
}
