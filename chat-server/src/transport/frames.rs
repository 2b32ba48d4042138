//! Where the frames of a websocket begin in what is read (RFC 6455, section 5.2), so that they can be counted before anybody
//! takes them apart. Payloads are passed over without being looked at, but for their first two bytes.

/// What is told of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its head says that so many bytes of payload follow. Nothing of them need have come.
    Begin {
        /// Bytes of the payload.
        length: u64,
    },
    /// Its payload begins so.
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
        if !std::mem::replace(&mut self.has_begun, true) {
            each(Seen::Begin { length })?;
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
        let kind = match self.head[0] & 0x0f {
            1 => Kind::Text,
            2 => Kind::Binary,
            0 => Kind::More,
            _ => Kind::Control,
        };
        (self.left, self.read, self.has_begun) = (length - available as u64, 0, false);
        each(Seen::Payload { kind, head, available })
    }

    /// Whether a frame whose length was told has not come to its end.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || self.has_begun
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
                            Seen::Begin { length } => found.push((length, Vec::new())),
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
        assert_eq!(told, Some(Seen::Begin { length: 1_000_000 }));
        assert!(scanner.is_inside());
    }
}
