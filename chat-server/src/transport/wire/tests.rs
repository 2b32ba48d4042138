//! Tests for [`wire`](super).

use super::*;

fn frame(text: &str) -> Bytes {
    text_frame(text.len(), |bytes| bytes.extend_from_slice(text.as_bytes()))
}

fn wire_accepts(wire: &Wire, frames: &[u8]) -> bool {
    wire.accept(frames).is_ok()
}

fn sent(wire: &Wire) -> Vec<String> {
    let mut bytes = Vec::new();
    let everything = |some: &[u8]| {
        bytes.extend_from_slice(some);
        Ok(some.len())
    };
    wire.drain(everything).unwrap();
    let (mut rest, mut texts) = (bytes.as_slice(), Vec::new());
    while let Some((whole, payload)) = first_frame(rest) {
        texts.push(String::from_utf8(payload.to_vec()).unwrap());
        rest = &rest[whole.len()..];
    }
    assert!(rest.is_empty(), "only whole frames are sent");
    texts
}

#[test]
fn frames_have_the_heads_of_the_rfc() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let text = "x".repeat(length);
        let frame = frame(&text);
        let (whole, payload) = first_frame(&frame).unwrap();
        assert_eq!((whole.len(), payload), (frame.len(), text.as_bytes()), "{length}");
        assert_eq!(frame[0], 0x81);
    }
}

#[test]
fn events_wait_for_the_connect_answer() {
    let wire = Wire::new();
    assert!(wire_accepts(&wire, &frame("0{}")));
    wire.send(&frame("event 1"), MAX_UNSENT).unwrap();
    assert_eq!(sent(&wire), ["0{}"]);
    assert!(wire_accepts(&wire, &[frame("2"), frame(r#"40{"sid":"x"}"#), frame("later")].concat()));
    wire.send(&frame("event 2"), MAX_UNSENT).unwrap();
    assert_eq!(sent(&wire), ["2", r#"40{"sid":"x"}"#, "event 1", "later", "event 2"]);
}

#[test]
fn the_connect_answer_is_given_the_pid_once() {
    let wire = Wire::new();
    wire.set_pid("P-_1");
    let answer = frame(r#"40{"sid":"x"}"#);
    assert!(wire_accepts(&wire, &[frame("0{}"), answer.clone(), answer.clone()].concat()));
    assert_eq!(sent(&wire), ["0{}", r#"40{"sid":"x","pid":"P-_1"}"#, r#"40{"sid":"x"}"#]);

    let takeover = Wire::upgrade();
    takeover.set_pid("P");
    takeover.send(&frame("event 2"), MAX_UNSENT).unwrap();
    let marker = String::from_utf8(MARKER.to_vec()).unwrap();
    assert!(wire_accepts(&takeover, &[answer, frame("event 1"), frame(&marker)].concat()));
    assert_eq!(sent(&takeover), [r#"40{"sid":"x","pid":"P"}"#, "event 1", "event 2"]);
    for other in ["40", "41", "44{\"message\":\"no\"}", "42[\"40{\\\"sid\\\":\"]", "40{\"sid\":\"x"] {
        assert_eq!(with_pid(other.as_bytes(), "P"), None, "{other}");
    }
}

#[test]
fn nobody_is_sent_away_because_the_server_stops() {
    let stopped = frame(r#"44{"message":"Invalid namespace"}"#);
    for wire in [Wire::new(), Wire::upgrade()] {
        assert!(!wire_accepts(&wire, &[frame("0{}"), stopped.clone()].concat()));
        assert!(wire_accepts(&wire, &frame(r#"44{"message":"Authentication error"}"#)), "a true refusal");
    }
    let admitted = Wire::new();
    assert!(wire_accepts(&admitted, &[frame(r#"40{"sid":"x"}"#), stopped].concat()), "it says nothing later");
}

#[test]
fn the_marker_opens_the_lane_and_is_not_sent() {
    let wire = Wire::upgrade();
    wire.send(&frame("event 3"), MAX_UNSENT).unwrap();
    let marker = String::from_utf8(MARKER.to_vec()).unwrap();
    assert!(wire_accepts(&wire, &[frame("event 1"), frame("event 2"), frame(&marker)].concat()));
    assert!(wire_accepts(&wire, &frame("2")));
    assert_eq!(sent(&wire), ["event 1", "event 2", "event 3", "2"]);
}

#[test]
fn the_engines_answer_to_the_probe_is_not_sent() {
    let wire = Wire::upgrade();
    wire.put(&frame("3probe"));
    assert_eq!(wire.accept(&frame("queued")), Ok(false));
    assert_eq!(wire.accept(&frame("3probe")), Ok(true));
    assert_eq!(wire.accept(&frame("3probe")), Ok(false), "once");
    assert_eq!(sent(&wire), ["3probe", "queued", "3probe"]);
    let opened = Wire::new();
    assert_eq!(opened.accept(&frame("3probe")), Ok(false), "it took over from nothing");
    assert_eq!(sent(&opened), ["3probe"]);
}

#[test]
fn only_the_latest_waits() {
    let wire = Wire::new();
    wire.send_latest(&frame("roster 1"));
    assert!(wire_accepts(&wire, &frame("40")));
    wire.send(&frame("event"), MAX_UNSENT).unwrap();
    wire.send_latest(&frame("roster 2"));
    assert_eq!(sent(&wire), ["40", "event", "roster 2"]);
    assert!(sent(&wire).is_empty());
}

#[test]
fn what_waits_is_bounded_but_one_frame_has_room() {
    let wire = Wire::new();
    assert!(wire_accepts(&wire, &frame("40")));
    sent(&wire);
    let large = frame(&"x".repeat(MAX_UNSENT + 1));
    wire.send(&large, MAX_UNSENT).unwrap();
    assert_eq!(wire.send(&frame("more"), MAX_UNSENT), Err(Full));
    assert!(!wire_accepts(&wire, &frame("2")), "nor socketioxide's");
    sent(&wire);
    wire.send(&frame("more"), MAX_UNSENT).unwrap();
}

#[test]
fn a_frame_that_is_sent_in_pieces_stays_whole() {
    let wire = Wire::new();
    assert!(wire_accepts(&wire, &frame("40")));
    wire.send(&frame("event"), MAX_UNSENT).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..100 {
        let mut budget = 1;
        let one = |some: &[u8]| {
            let now = some.len().min(budget);
            budget -= now;
            bytes.extend_from_slice(&some[..now]);
            Ok(now)
        };
        if wire.drain(one).unwrap().all {
            break;
        }
    }
    assert_eq!(bytes, [frame("40"), frame("event")].concat());
}
