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

/// The head of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// It ends its message.
    pub(super) is_last: bool,
    reserved: u8,
    opcode: u8,
    /// How its payload is masked, as a client's is.
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of its payload.
    pub(super) length: u64,
}

impl FrameHead {
    /// Reads exactly the bytes of a head.
    ///
    /// # Errors
    /// How many bytes there must be more.
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

    /// Masked, and without the bits of extensions, of which none is agreed on.
    pub(super) fn is_plain(&self) -> bool {
        self.mask.is_some() && self.reserved == 0
    }
}

/// A whole message as a client may write it, masked with zeros.
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

/// Where the length ends, and what it is.
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
        length_of(&self.head)
    }

    fn mask_length(&self) -> usize {
        mask_length(&self.head)
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
pub(super) mod tests;
