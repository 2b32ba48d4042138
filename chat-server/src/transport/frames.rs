//! Finds the frames of a websocket in the bytes that were read (RFC 6455, section 5.2), so that they can be counted
//! before the websocket library decodes them. Only the first two bytes of each payload are examined.

/// What the scanner reports about a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The head announces this length. The payload itself may not have arrived yet.
    Begin {
        /// Length of the payload in bytes.
        length: u64,
        /// Bytes of the message so far, including this frame. The websocket library keeps all of them in memory.
        message: u64,
    },
    /// The payload has begun. For a fragmented message this is reported as soon as two bytes are known.
    Payload {
        /// The kind of the frame.
        kind: Kind,
        /// The first two bytes, of which `available` are valid.
        head: [u8; 2],
        /// The number of valid bytes in `head`.
        available: usize,
    },
}

/// What a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// Nothing: it continues a message.
    More,
    /// Nothing: it is a control frame.
    Control,
}

/// Scans a stream of frames.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    /// The bytes read so far of the head, and of the first two bytes of the payload.
    head: [u8; MAX_HEAD],
    read: u8,
    /// The length of the current frame was reported.
    has_begun: bool,
    /// Remaining bytes of a payload whose begin was reported.
    left: u64,
    /// The message that has not ended yet.
    message: Option<Message>,
}

/// The state of a fragmented message.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: Kind,
    bytes: u64,
    head: [u8; 2],
    known: usize,
}

/// The head of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// The frame is the last one of its message.
    pub(super) is_last: bool,
    reserved: u8,
    opcode: u8,
    /// The mask of the payload. Clients must mask.
    pub(super) mask: Option<[u8; 4]>,
    /// Length of the payload in bytes.
    pub(super) length: u64,
}

impl FrameHead {
    /// Reads exactly the bytes of a head.
    ///
    /// # Errors
    /// Returns how many more bytes are needed at least.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, usize> {
        let mut head = [0; MAX_HEAD];
        let known = bytes.len().min(MAX_HEAD);
        head[..known].copy_from_slice(&bytes[..known]);
        let (behind_length, length) = if known < 2 { (2, 0) } else { length_of(&head) };
        let whole = behind_length + if known < 2 { 0 } else { mask_length(&head) };
        if known < whole {
            return Err(whole - known);
        }
        let mask = (mask_length(&head) == 4).then(|| [0, 1, 2, 3].map(|at| head[behind_length + at]));
        let (is_last, reserved, opcode) = (head[0] & 0x80 != 0, head[0] & 0x70, head[0] & 0x0f);
        Ok(Self { is_last, reserved, opcode, mask, length })
    }

    pub(super) fn is_control(&self) -> bool {
        self.opcode & 0x08 != 0
    }

    pub(super) fn is_text(&self) -> bool {
        self.opcode == 1
    }

    pub(super) fn is_continuation(&self) -> bool {
        self.opcode == 0
    }

    /// Whether the frame is masked and has no extension bits. No extension is negotiated.
    pub(super) fn is_plain(&self) -> bool {
        self.mask.is_some() && self.reserved == 0
    }
}

/// A complete text message as a client may send it, masked with zeros.
pub(super) fn client_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(MAX_HEAD + text.len());
    frame.push(0x81);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ 0..126), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(text);
    frame
}

/// Two bytes, a length of eight, a mask of four, and two bytes of the payload.
const MAX_HEAD: usize = 16;

/// The end of the length field, and the length in it.
fn length_of(head: &[u8; MAX_HEAD]) -> (usize, u64) {
    match head[1] & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes([head[2], head[3]]))),
        127 => {
            let mut length = [0; 8];
            length.copy_from_slice(&head[2..10]);
            (10, u64::from_be_bytes(length))
        }
        short => (2, u64::from(short)),
    }
}

fn mask_length(head: &[u8; MAX_HEAD]) -> usize {
    if head[1] & 0x80 != 0 { 4 } else { 0 }
}

impl FrameScanner {
    /// Scans the bytes that were read. Calls `each` twice for every frame: when its length is known, and when its
    /// payload has begun.
    ///
    /// # Errors
    /// Returns the first error of `each`.
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

    /// Reports what has become known.
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
        // A message is reported only once: when its first two bytes are known, or at its end.
        if !was_known && (message.known == 2 || is_last) {
            return each(Seen::Payload { kind: message.kind, head: message.head, available: message.known });
        }
        each(Seen::Payload { kind: Kind::More, head, available })
    }

    /// Whether the scanner is inside a frame or message whose length was reported.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || self.has_begun || self.message.is_some()
    }

    fn length(&self) -> (usize, u64) {
        length_of(&self.head)
    }

    fn mask_length(&self) -> usize {
        mask_length(&self.head)
    }

    /// The number of bytes that are needed for the next step.
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
    /// Returns the reports for these bytes when they arrive in pieces of this size.
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
pub(super) mod tests;
