//! Where the frames of a websocket begin in what is read (RFC 6455, section 5.2), so that they can be counted before anybody
//! takes them apart. Payloads are passed over without being looked at, but for their first two bytes.

/// What is told of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its head says that so many bytes of payload follow. Nothing of them need have come.
    Begin {
        /// Bytes of the payload.
        length: u64,
        /// Bytes of the message that it is a part of, up to its end: whoever takes messages apart keeps them all.
        message: u64,
    },
    /// Its payload begins so; of a message in several frames, as soon as two bytes are known.
    Payload {
        /// What kind of frame it is.
        kind: Kind,
        /// The first two bytes; of less there are `available`.
        head: [u8; 2],
        /// How many of them there are.
        available: usize,
    },
}

/// What a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message of text.
    Text,
    /// A message of binary data.
    Binary,
    /// Nothing new: it goes on with a message.
    More,
    /// It is about the connection.
    Control,
}

/// Follows a stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    /// What was read of the head, and the first two bytes of the payload behind it.
    head: [u8; MAX_HEAD],
    read: u8,
    /// The length was told.
    has_begun: bool,
    /// Bytes to come of a payload whose begin was told.
    left: u64,
    /// The message that is not at its end.
    message: Option<Message>,
}

/// What is known of a message in several frames.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: Kind,
    bytes: u64,
    head: [u8; 2],
    known: usize,
}

/// Two bytes, a length of eight, a mask of four, and two bytes of the payload.
const MAX_HEAD: usize = 16;

impl FrameScanner {
    /// Takes what was read, and calls for every frame: when its length is known, and when its payload has begun.
    ///
    /// # Errors
    /// What `each` fails with.
    pub(super) fn scan<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Seen) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len() as u64);
                self.left -= passed;
                bytes = &bytes[passed as usize..];
                continue;
            }
            let some = bytes.len().min(self.wanted() - usize::from(self.read));
            self.head[usize::from(self.read)..][..some].copy_from_slice(&bytes[..some]);
            self.read += some as u8;
            bytes = &bytes[some..];
            self.look(&mut each)?;
        }
        Ok(())
    }

    /// Tells what has become known.
    fn look<E>(&mut self, each: &mut impl FnMut(Seen) -> Result<(), E>) -> Result<(), E> {
        let read = usize::from(self.read);
        if read < 2 || read < self.length().0 {
            return Ok(());
        }
        let (behind_length, length) = self.length();
        let is_control = self.head[0] & 0x08 != 0;
        if !std::mem::replace(&mut self.has_begun, true) {
            let before = self.message.filter(|_| !is_control).map_or(0, |message| message.bytes);
            each(Seen::Begin { length, message: before.saturating_add(length) })?;
        }
        if read < self.wanted() {
            return Ok(());
        }
        let payload = behind_length + self.mask_length();
        let available = length.min(2) as usize;
        let mut head = [0; 2];
        for (at, byte) in head.iter_mut().enumerate().take(available) {
            let mask = if self.mask_length() == 4 { self.head[behind_length + at] } else { 0 };
            *byte = self.head[payload + at] ^ mask;
        }
        (self.left, self.read, self.has_begun) = (length - available as u64, 0, false);
        if is_control {
            return each(Seen::Payload { kind: Kind::Control, head, available });
        }
        let kind = match self.head[0] & 0x0f {
            1 => Kind::Text,
            2 => Kind::Binary,
            _ => Kind::More,
        };
        let new = Message { kind, bytes: 0, head: [0; 2], known: 0 };
        let mut message = self.message.filter(|_| kind == Kind::More).unwrap_or(new);
        message.bytes = message.bytes.saturating_add(length);
        let was_known = message.known == 2;
        for byte in &head[..available] {
            if message.known < 2 {
                message.head[message.known] = *byte;
                message.known += 1;
            }
        }
        let is_last = self.head[0] & 0x80 != 0;
        self.message = (!is_last).then_some(message);
        // A message is told once: when its begin is known, or at its end.
        if !was_known && (message.known == 2 || is_last) {
            return each(Seen::Payload { kind: message.kind, head: message.head, available: message.known });
        }
        each(Seen::Payload { kind: Kind::More, head, available })
    }

    /// Whether a frame or message whose length was told has not come to its end.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || self.has_begun || self.message.is_some()
    }

    fn length(&self) -> (usize, u64) {
        match self.head[1] & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes([self.head[2], self.head[3]]))),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&self.head[2..10]);
                (10, u64::from_be_bytes(length))
            }
            short => (2, u64::from(short)),
        }
    }

    fn mask_length(&self) -> usize {
        if self.head[1] & 0x80 != 0 { 4 } else { 0 }
    }

    /// How many bytes there must be to go on.
    fn wanted(&self) -> usize {
        if self.read < 2 {
            return 2;
        }
        let (behind_length, length) = self.length();
        if usize::from(self.read) < behind_length {
            return behind_length;
        }
        behind_length + self.mask_length() + length.min(2) as usize
    }
}

/// See `fuzz`.
#[doc(hidden)]
#[derive(Debug)]
pub struct FrameFuzz;

impl FrameFuzz {
    /// What is told of these bytes when they come in pieces.
    pub fn scan(bytes: &[u8], piece: usize) -> Vec<String> {
        let (mut scanner, mut told) = (FrameScanner::default(), Vec::new());
        for bytes in bytes.chunks(piece.max(1)) {
            let _ = scanner.scan(bytes, |seen| {
                told.push(format!("{seen:?}"));
                Ok::<_, ()>(())
            });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
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
        // Nothing, then `4`, a ping in between, then `0{}` and the end.
        let stream =
            [open(1, b""), open(0, b"4"), masked(9, b""), masked(0, b"0{}"), masked(1, b"3")].concat();
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
}
