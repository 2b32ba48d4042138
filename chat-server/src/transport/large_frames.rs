//! Extracts large events from the frames of a websocket (RFC 6455, section 5.2); see [`crate::session::large_events`].
//!
//! A text message that is large or fragmented is collected here. When it is complete, it is passed on as one frame, or
//! a stand-in is passed on in its place. All other frames pass unchanged.

use std::io;
use std::task::Poll;

use tokio::io::ReadBuf;

use super::frames::{FrameHead, client_frame};
use crate::limits::LONG_BYTES;
use crate::memory::{OutOfMemory, Reservation};
use crate::session::large_events::LargeEvents;

/// Maximum number of bytes that one read adds to a collected message.
const READ_AT_ONCE: usize = 64 << 10;

/// The state of one websocket.
#[derive(Default)]
pub(super) struct LargeFrames {
    /// The begin of an incomplete frame head.
    held: Vec<u8>,
    /// Remaining bytes of a frame that passes unchanged.
    passing: u64,
    collected: Option<Collected>,
}

/// A message that is being collected.
#[derive(Default)]
struct Collected {
    text: Vec<u8>,
    /// Remaining bytes of its current frame.
    left: u64,
    mask: [u8; 4],
    /// The index of the next mask byte.
    at: usize,
    is_last: bool,
}

impl Collected {
    fn begin_frame(&mut self, head: &FrameHead) {
        (self.left, self.mask, self.at, self.is_last) =
            (head.length, head.mask.unwrap_or_default(), 0, head.is_last);
    }

    fn take(&mut self, bytes: &[u8]) {
        let begin = self.text.len();
        self.text.extend_from_slice(bytes);
        self.unmask(begin);
    }

    fn unmask(&mut self, begin: usize) {
        let new = &mut self.text[begin..];
        let mut mask = self.mask;
        mask.rotate_left(self.at);
        let (fours, rest) = new.as_chunks_mut::<4>();
        for four in fours {
            *four = (u32::from_ne_bytes(*four) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
        }
        rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        self.at = (self.at + new.len()) % 4;
        self.left -= new.len() as u64;
    }
}

/// The client has violated the protocol or a limit, so its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation;

impl From<Violation> for io::Error {
    fn from(_: Violation) -> Self {
        io::ErrorKind::InvalidData.into()
    }
}

impl LargeFrames {
    /// Processes the bytes that were read. Returns what is passed on in their place, or `None` if that is the same.
    ///
    /// # Errors
    /// When a message is too long, when another one begins before it has ended, or when there is no memory for it.
    pub(super) fn cut(
        &mut self,
        read: &[u8],
        large: &LargeEvents,
        reserve: impl Fn(usize) -> Result<Option<Reservation>, OutOfMemory>,
    ) -> Result<Option<Vec<u8>>, Violation> {
        let mut rest = read;
        // The bytes to pass on, once they differ from `read`.
        let mut out = (!self.held.is_empty()).then(Vec::new);
        while !rest.is_empty() {
            if self.passing > 0 {
                let passed = split_off(&mut rest, self.passing);
                self.passing -= passed.len() as u64;
                out.iter_mut().for_each(|out| out.extend_from_slice(passed));
                continue;
            }
            if let Some(collected) = self.collected.as_mut().filter(|collected| collected.left > 0) {
                collected.take(split_off(&mut rest, collected.left));
                out.get_or_insert_default().extend(self.whole(large, &reserve)?);
                continue;
            }
            let before = &read[..read.len() - rest.len()];
            let Some(head) = self.head(&mut rest) else {
                out.get_or_insert_with(|| before.to_vec());
                break;
            };
            if self.collects(&head)? {
                let collected = self.collected.get_or_insert_default();
                let room = large.max_message() - collected.text.len();
                if head.length > room as u64 {
                    return Err(Violation);
                }
                collected.begin_frame(&head);
                out.get_or_insert_with(|| before.to_vec()).extend(self.whole(large, &reserve)?);
            } else {
                out.iter_mut().for_each(|out| out.extend_from_slice(&self.held));
                self.passing = head.length;
            }
            self.held.clear();
        }
        Ok(out)
    }

    /// Whether a collected frame is incomplete. Use [`Self::collect`] to read the rest of it.
    pub(super) fn is_collecting(&self) -> bool {
        self.collected.as_ref().is_some_and(|collected| collected.left > 0)
    }

    /// Reads bytes of that frame directly into the collected message. Returns how many were read.
    pub(super) fn collect(
        &mut self,
        read: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<usize>> {
        let Some(collected) = &mut self.collected else { return Poll::Ready(Ok(0)) };
        let begin = collected.text.len();
        let most = usize::try_from(collected.left).unwrap_or(usize::MAX).min(READ_AT_ONCE);
        collected.text.resize(begin + most, 0);
        let mut room = ReadBuf::new(&mut collected.text[begin..]);
        let polled = read(&mut room);
        let new = room.filled().len();
        collected.text.truncate(begin + new);
        collected.unmask(begin);
        polled.map_ok(|()| new)
    }

    /// The head of the next frame, once it is complete.
    fn head(&mut self, rest: &mut &[u8]) -> Option<FrameHead> {
        loop {
            match FrameHead::read(&self.held) {
                Ok(head) => return Some(head),
                Err(wanted) if rest.is_empty() => {
                    debug_assert!(wanted > 0);
                    return None;
                }
                Err(wanted) => self.held.extend_from_slice(split_off(rest, wanted as u64)),
            }
        }
    }

    /// Whether a frame belongs to a message that must be collected.
    fn collects(&self, head: &FrameHead) -> Result<bool, Violation> {
        if head.is_control() {
            return Ok(false);
        }
        if self.collected.is_some() {
            return if head.is_continuation() && head.is_plain() { Ok(true) } else { Err(Violation) };
        }
        Ok(head.is_text() && head.is_plain() && (!head.is_last || head.length >= LONG_BYTES as u64))
    }

    /// The frame to pass on for the collected message, once it is complete; empty before.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn whole(
        &mut self,
        large: &LargeEvents,
        reserve: impl Fn(usize) -> Result<Option<Reservation>, OutOfMemory>,
    ) -> Result<Vec<u8>, Violation> {
        let Some(collected) = self.collected.take_if(|collected| collected.left == 0 && collected.is_last)
        else {
            return Ok(Vec::new());
        };
        let held = reserve(collected.text.len()).map_err(|OutOfMemory| Violation)?;
        Ok(match large.keep(collected.text, held) {
            Ok(stand_in) => client_frame(stand_in.as_bytes()),
            Err(message) => client_frame(&message),
        })
    }
}

fn split_off<'a>(bytes: &mut &'a [u8], most: u64) -> &'a [u8] {
    let at = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(at);
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::masked;
    use super::*;

    fn large() -> LargeEvents {
        LargeEvents::new(4 * LONG_BYTES)
    }

    fn event(head: &str) -> String {
        format!(r#"{head}["x","{}"]"#, "a".repeat(LONG_BYTES))
    }

    /// A frame of a fragmented message.
    fn part(opcode: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(opcode, payload);
        if !is_last {
            frame[0] &= 0x7f;
        }
        frame
    }

    /// What is passed on when the stream is read in pieces of this size.
    fn passed_on(stream: &[u8], piece: usize, large: &LargeEvents) -> Result<Vec<u8>, Violation> {
        let (mut frames, mut out) = (LargeFrames::default(), Vec::new());
        for read in stream.chunks(piece) {
            match frames.cut(read, large, |_| Ok(None))? {
                Some(instead) => out.extend(instead),
                None => out.extend(read),
            }
        }
        Ok(out)
    }

    const PIECES: [usize; 9] = [1, 2, 3, 5, 14, 64, 1_000, 65_536, usize::MAX];

    #[test]
    fn a_large_event_is_taken_out_however_it_is_read() {
        let stream =
            [masked(1, b"42[1]"), masked(1, event("423").as_bytes()), masked(9, b"ping"), masked(1, b"2")]
                .concat();
        for piece in PIECES {
            let large = large();
            let out = passed_on(&stream, piece, &large).unwrap();
            let stand_in = client_frame(br#"423["chat-server:large",0]"#);
            assert_eq!(
                out,
                [masked(1, b"42[1]"), stand_in, masked(9, b"ping"), masked(1, b"2")].concat(),
                "{piece}"
            );
            assert_eq!(large.text_of(0).unwrap(), event(""));
        }
    }

    #[test]
    fn a_message_in_several_frames_becomes_one() {
        let event = event("42");
        let (begin, end) = event.as_bytes().split_at(10);
        let stream = [
            part(1, false, b"42[\"sm"),
            part(0, false, b""),
            part(9, true, b"ping"),
            part(0, true, b"all\"]"),
            part(1, false, begin),
            part(0, true, end),
            masked(2, b"bytes"),
        ]
        .concat();
        for piece in PIECES {
            let large = large();
            let out = passed_on(&stream, piece, &large).unwrap();
            let expected = [
                masked(9, b"ping"),
                client_frame(br#"42["small"]"#),
                client_frame(br#"42["chat-server:large",0]"#),
                masked(2, b"bytes"),
            ];
            assert_eq!(out, expected.concat(), "{piece}");
            assert_eq!(large.text_of(0).unwrap(), event[2..]);
        }
    }

    #[test]
    fn what_is_no_event_goes_on_whole() {
        for message in [vec![b'x'; LONG_BYTES], [b"42[", &[0xff; LONG_BYTES][..]].concat()] {
            let out = passed_on(&masked(1, &message), 1_000, &large()).unwrap();
            assert_eq!(out, client_frame(&message));
        }
        let binary = masked(2, &[b'x'; LONG_BYTES]);
        assert_eq!(passed_on(&binary, 1_000, &large()), Ok(binary.clone()));
    }

    #[test]
    fn a_message_that_is_too_long_ends_the_connection_when_it_says_so() {
        let too_long = vec![b'x'; 4 * LONG_BYTES + 1];
        let head = &masked(1, &too_long)[..14];
        assert_eq!(passed_on(head, 14, &large()), Err(Violation));
        let (begin, end) = too_long.split_at(LONG_BYTES);
        let parts = [part(1, false, begin), part(0, true, end)[..14].to_vec()].concat();
        assert_eq!(passed_on(&parts, 1_000, &large()), Err(Violation));
        assert!(passed_on(&masked(1, &too_long[1..]), 1_000, &large()).is_ok());
    }

    #[test]
    fn a_message_within_a_message_ends_the_connection() {
        for second in [masked(1, b"2"), masked(2, b"2"), vec![0x80, 1, b'x']] {
            let stream = [part(1, false, b"42"), second].concat();
            assert_eq!(passed_on(&stream, 1, &large()), Err(Violation));
        }
    }

    /// The websocket library refuses these frames and reports the reason.
    #[test]
    fn frames_that_are_not_a_clients_pass() {
        let mut reserved = masked(1, &[b'x'; LONG_BYTES]);
        reserved[0] |= 0x40;
        let unmasked = [&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[b'x'; LONG_BYTES]].concat();
        for stream in [reserved, unmasked, masked(0, b"42")] {
            assert_eq!(passed_on(&stream, 1_000, &large()), Ok(stream.clone()));
        }
    }
}
