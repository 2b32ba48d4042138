//! Text frames of a websocket, as a server writes them (RFC 6455, section 5.2).

use bytes::Bytes;

/// The first of several server frames, which are never masked: the whole frame, and its payload (RFC 6455, section
/// 5.2).
pub(super) fn first_frame(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, length) = match frames.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(frames.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(frames.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let frame = frames.get(..head + length)?;
    Some((frame, &frame[head..]))
}

/// Maximum size of a text frame's head in bytes.
const MAX_HEAD: usize = 10;

/// Creates a text frame with the payload that `write` writes.
pub(crate) fn text_frame(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    text_frame_before(capacity, write, |_| ()).0
}

/// The same, followed by the complete frames that `behind` writes. Also returns the length of the first frame in bytes.
pub(crate) fn text_frame_before(
    capacity: usize,
    write: impl FnOnce(&mut Vec<u8>),
    behind: impl FnOnce(&mut Vec<u8>),
) -> (Bytes, usize) {
    let mut bytes = Vec::with_capacity(MAX_HEAD + capacity);
    bytes.resize(MAX_HEAD, 0);
    write(&mut bytes);
    let length = bytes.len() - MAX_HEAD;
    let head = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => {
            bytes[9] = length;
            2
        }
        (_, Ok(length)) => {
            bytes[7] = 126;
            bytes[8..10].copy_from_slice(&length.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    // FIN and the opcode for text.
    bytes[MAX_HEAD - head] = 0x81;
    behind(&mut bytes);
    (Bytes::from(bytes).slice(MAX_HEAD - head..), head + length)
}
