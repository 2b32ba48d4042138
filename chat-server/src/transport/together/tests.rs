//! Tests for [`together`](super).

use super::*;
use crate::dialect::{EventPosition, PositionStyle};

/// The packet as socketioxide encodes it.
fn packet(together: &Together<'_>) -> String {
    let name = serde_json::to_string(EVENT).unwrap();
    let arguments = serde_json::to_string(together).unwrap();
    format!("42[{name},{}", &arguments[1..])
}

fn texts(packets: &[Bytes]) -> Vec<String> {
    let mut texts = Vec::new();
    let bytes = packets.concat();
    let mut rest = &bytes[..];
    while let [0x81, length @ 0..126, ..] = rest {
        let (payload, more) = rest[2..].split_at(usize::from(*length));
        texts.push(String::from_utf8(payload.to_vec()).unwrap());
        rest = more;
    }
    assert!(rest.is_empty());
    texts
}

fn apart(answer: &str) -> Option<String> {
    taken_apart(answer.as_bytes()).map(|apart| String::from_utf8(apart).unwrap())
}

const TOLD: Position = Position(7);

#[test]
fn a_position_follows_its_event_in_the_same_packet() {
    let logged = EventPosition(Some(Position(17))).frame("newMessage", &[("te\u{1e}xt", "\"é]")]);
    let frames = [&logged];
    let together = Together::new(&frames, TOLD, true);
    let event = r#"42["newMessage",[["te\u001ext","\"é]"]]]"#;
    let position = r#"42["\u0001position","17"]"#;
    assert_eq!(texts(&together.packets()), [event, position]);
    assert_eq!(together.packets()[0].as_ptr(), logged.packet().as_ptr(), "encoded once");
    let queued = packet(&together);
    assert_eq!(apart(&queued).unwrap(), format!("{event}\u{1e}{position}"));
    assert_eq!(
        apart(&format!("2\u{1e}{queued}\u{1e}{queued}\u{1e}430[{{}}]")).unwrap(),
        format!("2\u{1e}{event}\u{1e}{position}\u{1e}{event}\u{1e}{position}\u{1e}430[{{}}]")
    );
    assert_eq!(texts(&Together::new(&frames, TOLD, false).packets()), [event], "who does not come back");
}

#[test]
fn what_is_taken_for_a_position_is_followed_by_the_last_one() {
    for (frame, expected) in [
        (Frame::new("deleteMessage", &"id"), r#"42["deleteMessage","id"]"#),
        (Frame::without_argument("connected"), r#"42["connected"]"#),
    ] {
        let frames = [&frame];
        let together = Together::new(&frames, TOLD, true);
        assert_eq!(texts(&together.packets()), [expected, r#"42["\u0001position","7"]"#]);
        let apart = apart(&packet(&together)).unwrap();
        assert_eq!(apart, format!("{expected}\u{1e}42[\"\\u0001position\",\"7\"]"));
        assert_eq!(texts(&Together::new(&frames, TOLD, false).packets()), [expected]);
    }
    for frame in [Frame::new("a", &["id"]), Frame::new("a", &()), Frame::new("a", &1)] {
        let frames = [&frame];
        let together = Together::new(&frames, TOLD, true);
        assert_eq!((together.position, together.packets().len()), (None, 1));
        assert_eq!(together.packets()[0], frame.packet());
    }
}

/// A cut in the middle would lose the packets behind the position.
#[test]
fn of_several_events_of_a_change_the_last_is_followed_by_the_position() {
    let mark = EventPosition(Some(Position(17)));
    let (one, other) = (mark.frame("messagesRead", &[1]), mark.frame("messagesSeen", &"x"));
    let frames = [&one, &other];
    let together = Together::new(&frames, TOLD, true);
    let expected = [r#"42["messagesRead",[1]]"#, r#"42["messagesSeen","x"]"#, r#"42["\u0001position","17"]"#];
    assert_eq!(texts(&together.packets()), expected);
    assert_eq!(apart(&packet(&together)).unwrap(), expected.join("\u{1e}"));
    // Even without a position they are one packet in the queue.
    let together = Together::new(&frames, TOLD, false);
    assert_eq!(texts(&together.packets()), expected[..2]);
}

#[test]
fn a_position_may_be_an_argument() {
    let frame =
        EventPosition(Some(Position(17))).frame("newMessage", &"text").in_style(PositionStyle::Argument);
    let frames = [&frame];
    let together = Together::new(&frames, TOLD, true);
    assert_eq!(texts(&together.packets()), [r#"42["newMessage","text","17"]"#]);
    assert_eq!(serde_json::to_string(&frame.arguments()).unwrap(), r#"["text","17"]"#);
    let back = frame.in_style(PositionStyle::Event);
    assert_eq!(
        texts(&[back.packet().clone()]),
        [r#"42["newMessage","text"]"#, r#"42["\u0001position","17"]"#]
    );
}

#[test]
fn other_answers_stay_as_they_are() {
    for answer in
        ["", "2", "40{\"sid\":\"x\"}", r#"42["\u0001"]"#, r#"42["a",{"b":"42[\"\\u0001together\",["}]"#]
    {
        assert_eq!(apart(answer), None, "{answer}");
    }
    for broken in [
        r#"42["\u0001together",["#,
        r#"42["\u0001together",[]]"#,
        r#"42["\u0001together",[6],["a"]]"#,
        r#"42["\u0001together",[3],["a"]]"#,
        r#"42["\u0001together",[99999999999999999999],["a"]]"#,
    ] {
        assert_eq!(arrays(broken.as_bytes()), None, "{broken}");
        assert_eq!(apart(broken).unwrap(), broken);
    }
}
