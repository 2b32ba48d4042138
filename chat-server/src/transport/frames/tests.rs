//! Tests for [`frames`](super).

use super::*;

/// A frame as a client sends it.
pub(in super::super) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[test]
fn frames_are_found_however_they_are_cut() {
    let payloads: [&[u8]; 7] =
        [b"40{}", b"", b"3", &[b'x'; 125], &[b'y'; 126], &[b'z'; 70_000], b"42[\"event\"]"];
    let stream: Vec<u8> = payloads.iter().flat_map(|payload| masked(1, payload)).collect();
    for piece in [1, 2, 3, 5, 7, 64, 1_000, stream.len()] {
        let (mut scanner, mut found) = (FrameScanner::default(), Vec::new());
        for bytes in stream.chunks(piece) {
            scanner
                .scan(bytes, |seen| {
                    match seen {
                        Seen::Begin { length, .. } => found.push((length, Vec::new())),
                        Seen::Payload { head, available, .. } => {
                            found.last_mut().unwrap().1.extend(&head[..available]);
                        }
                    }
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        let expected: Vec<_> = payloads
            .iter()
            .map(|payload| (payload.len() as u64, payload[..payload.len().min(2)].to_vec()))
            .collect();
        assert_eq!(found, expected, "in pieces of {piece}");
    }
}

#[test]
fn kinds_are_told_and_errors_end_it() {
    let stream = [masked(2, b"\x01\x02"), masked(9, b""), masked(0, b"more")].concat();
    let mut kinds = Vec::new();
    let ended = FrameScanner::default().scan(&stream, |seen| {
        if let Seen::Payload { kind, .. } = seen {
            kinds.push(kind);
        }
        if kinds.len() == 3 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((kinds, ended), (vec![Kind::Binary, Kind::Control, Kind::More], Err("enough")));
}

#[test]
fn a_message_in_pieces_is_told_by_its_begin_and_its_sum() {
    let open = |opcode, payload: &[u8]| {
        let mut frame = masked(opcode, payload);
        frame[0] &= 0x7f;
        frame
    };
    // An empty fragment, then `4`, a ping in between, then `0{}` and the end.
    let stream = [open(1, b""), open(0, b"4"), masked(9, b""), masked(0, b"0{}"), masked(1, b"3")].concat();
    let (mut scanner, mut told, mut sums) = (FrameScanner::default(), Vec::new(), Vec::new());
    for byte in stream.chunks(1) {
        scanner
            .scan(byte, |seen| {
                match seen {
                    Seen::Begin { message, .. } => sums.push(message),
                    Seen::Payload { kind, head, available } => {
                        told.push((kind, head[..available].to_vec()));
                    }
                }
                Ok::<_, ()>(())
            })
            .unwrap();
    }
    assert_eq!(sums, [0, 1, 0, 4, 1]);
    let expected: [(Kind, &[u8]); 5] = [
        (Kind::More, b""),
        (Kind::More, b"4"),
        (Kind::Control, b""),
        (Kind::Text, b"40"),
        (Kind::Text, b"3"),
    ];
    assert_eq!(told, expected.map(|(kind, head)| (kind, head.to_vec())));
    assert!(!scanner.is_inside());
}

#[test]
fn a_length_is_told_before_anything_of_the_payload_has_come() {
    let frame = masked(1, &[b'4'; 1_000_000]);
    let (mut scanner, mut told) = (FrameScanner::default(), None);
    for end in 0..=10 {
        assert_eq!(told, None, "{end} bytes");
        scanner
            .scan(&frame[end.max(1) - 1..end], |seen| {
                told = Some(seen);
                Ok::<_, ()>(())
            })
            .unwrap();
    }
    assert_eq!(told, Some(Seen::Begin { length: 1_000_000, message: 1_000_000 }));
    assert!(scanner.is_inside());
}
