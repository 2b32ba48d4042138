//! Where the frames of a websocket begin in what is read (RFC 6455, section 5.2), so that they can be counted before anybody
//! takes them apart. Payloads are passed over without being looked at, but for their first two bytes.

/// The begin of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameStart {
    /// What kind of frame: 0 goes on with the one before, 1 is text, 2 binary, 8 and above control frames.
    pub(super) opcode: u8,
    /// Bytes of its payload.
    pub(super) length: u64,
    head: [u8; 2],
}

impl FrameStart {
    /// Whether it begins a message of binary data.
    pub(super) fn is_binary(&self) -> bool {
        self.opcode == 2
    }

    /// The first two bytes of the payload, or less if it has less.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.length.min(2) as usize]
    }
}

/// Follows a stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    /// What was read of the head, and the first two bytes of the payload behind it.
    head: [u8; MAX_HEAD],
    read: u8,
    /// Bytes to come of a payload whose begin was told.
    left: u64,
}

/// Two bytes, a length of eight, a mask of four, and two bytes of the payload.
const MAX_HEAD: usize = 16;

impl FrameScanner {
    /// Takes what was read, and calls for every frame as soon as its begin is known.
    ///
    /// # Errors
    /// What `each` fails with.
    pub(super) fn scan<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(FrameStart) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len() as u64);
                self.left -= passed;
                bytes = &bytes[passed as usize..];
                continue;
            }
            let wanted = self.wanted();
            let some = bytes.len().min(wanted - usize::from(self.read));
            self.head[usize::from(self.read)..][..some].copy_from_slice(&bytes[..some]);
            self.read += some as u8;
            bytes = &bytes[some..];
            // What is wanted grows as more of the head is known.
            if usize::from(self.read) < self.wanted() {
                continue;
            }
            let start = self.start();
            self.left = start.length - start.head().len() as u64;
            self.read = 0;
            each(start)?;
        }
        Ok(())
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

    fn start(&self) -> FrameStart {
        let (behind_length, length) = self.length();
        let payload = behind_length + self.mask_length();
        let mut head = [0; 2];
        for (at, byte) in head.iter_mut().enumerate().take(length.min(2) as usize) {
            let mask = if self.mask_length() == 4 { self.head[behind_length + at] } else { 0 };
            *byte = self.head[payload + at] ^ mask;
        }
        FrameStart { opcode: self.head[0] & 0x0f, length, head }
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
                    .scan(bytes, |start| {
                        found.push((start.length, start.head().to_vec()));
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
        let ended = FrameScanner::default().scan(&stream, |start| {
            kinds.push(start.opcode);
            if kinds.len() == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((kinds, ended), (vec![2, 9], Err("enough")));
    }

    #[test]
    fn a_begin_is_told_before_the_payload_has_come() {
        let frame = masked(1, &[b'4'; 1_000_000]);
        let mut told = None;
        let mut scanner = FrameScanner::default();
        scanner
            .scan(&frame[..16], |start| {
                told = Some(start.length);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(told, Some(1_000_000));
    }
}
