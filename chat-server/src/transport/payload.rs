//! The bodies of long-polling requests, which are decoded in linear time and within limits before the engine sees them.
//!
//! engineioxide decodes a payload of Engine.IO 3 in quadratic time, and spawns a task for every CONNECT packet of a
//! payload, without a limit. So each payload is read here first: its packets are counted against a [`PacketBudget`],
//! and a payload of Engine.IO 3 is converted to Engine.IO 4, which the engine decodes in linear time.
//!
//! The formats are those of the [Engine.IO protocol](https://github.com/socketio/engine.io-protocol), version 4
//! ("Payload") and version 3 ("Payload", with and without binary support).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

/// Separates the packets of an Engine.IO 4 payload.
pub(crate) const SEPARATOR: u8 = 0x1e;

/// Maximum number of digits of a packet length in Engine.IO 3.
const MAX_LENGTH_DIGITS: usize = 9;

/// The encoding of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Packets separated by U+001E.
    V4,
    /// Each packet is preceded by its length in UTF-16 code units and a colon.
    V3Text,
    /// Each packet is preceded by its kind, its length in bytes and 0xFF.
    V3Binary,
}

/// Why a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The payload violates the protocol.
    #[error("the payload is malformed: {0}")]
    Malformed(&'static str),
    /// The payload contains more packets than its sender may send.
    #[error("the payload holds too many packets")]
    TooMany,
}

/// The number of packets that may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketBudget {
    /// Packets of any kind.
    pub packets: u32,
    /// How many of them may be CONNECT packets. Each of these costs a task.
    pub connects: u32,
    /// How many of them may be binary.
    pub binaries: u32,
}

impl PacketBudget {
    /// Charges one packet. `head` contains at least its first two bytes, if it has that many.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn spend(&mut self, head: &[u8]) -> Result<(), PayloadError> {
        let take = |left: &mut u32| {
            *left = left.checked_sub(1).ok_or(PayloadError::TooMany)?;
            Ok(())
        };
        take(&mut self.packets)?;
        match head {
            [b'4', b'0', ..] => take(&mut self.connects),
            [b'b', ..] => take(&mut self.binaries),
            _ => Ok(()),
        }
    }

    /// Charges one binary frame of a websocket.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn spend_binary(&mut self) -> Result<(), PayloadError> {
        self.spend(b"b")
    }
}

/// Reads a whole payload and returns the same packets encoded for Engine.IO 4. Takes time and memory in proportion to
/// its size.
///
/// # Errors
/// When the payload is malformed, or contains more packets than the budget allows. Packets charged until then stay
/// charged.
pub fn as_v4(body: Bytes, encoding: Encoding, budget: &mut PacketBudget) -> Result<Bytes, PayloadError> {
    match encoding {
        // An empty body has no packet; splitting it would yield one empty packet.
        Encoding::V4 if body.is_empty() => Ok(body),
        Encoding::V4 => {
            body.split(|byte| *byte == SEPARATOR).try_for_each(|packet| budget.spend(packet))?;
            Ok(body)
        }
        Encoding::V3Text => {
            let text = std::str::from_utf8(&body).map_err(|_| PayloadError::Malformed("it is not UTF-8"))?;
            from_v3_text(text, budget).map(Bytes::from)
        }
        Encoding::V3Binary => from_v3_binary(&body, budget).map(Bytes::from),
    }
}

fn from_v3_text(mut text: &str, budget: &mut PacketBudget) -> Result<Vec<u8>, PayloadError> {
    let mut packets = Packets::with_capacity(text.len());
    while !text.is_empty() {
        let digits = text.bytes().take(MAX_LENGTH_DIGITS + 1).position(|byte| byte == b':');
        let (length, rest) = digits
            .and_then(|digits| Some((text[..digits].parse().ok()?, &text[digits + 1..])))
            .ok_or(PayloadError::Malformed("a packet has no length"))?;
        let (packet, behind) = split_at_utf16(rest, length)?;
        packets.push(packet.as_bytes(), budget)?;
        text = behind;
    }
    Ok(packets.0)
}

/// Splits a text after this number of UTF-16 code units, which is how JavaScript counts.
fn split_at_utf16(text: &str, length: usize) -> Result<(&str, &str), PayloadError> {
    let mut left = length;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Ok(text.split_at(at));
        }
        left = left
            .checked_sub(character.len_utf16())
            .ok_or(PayloadError::Malformed("a packet ends inside a character"))?;
    }
    if left > 0 {
        return Err(PayloadError::Malformed("a packet is shorter than it says"));
    }
    Ok((text, ""))
}

fn from_v3_binary(mut bytes: &[u8], budget: &mut PacketBudget) -> Result<Vec<u8>, PayloadError> {
    let mut packets = Packets::with_capacity(bytes.len());
    while let Some((&kind, rest)) = bytes.split_first() {
        let digits = rest.iter().take(MAX_LENGTH_DIGITS + 1).position(|byte| *byte == 0xff);
        let digits = digits.ok_or(PayloadError::Malformed("a packet has no length"))?;
        let mut length = 0_usize;
        for digit in &rest[..digits] {
            if *digit > 9 {
                return Err(PayloadError::Malformed("a length is not a number"));
            }
            length = length * 10 + usize::from(*digit);
        }
        let packet = rest[digits + 1..].get(..length);
        let packet = packet.ok_or(PayloadError::Malformed("a packet is shorter than it says"))?;
        match kind {
            0 => packets.push(packet, budget)?,
            1 => {
                // The first byte says that the packet is a message, which is true of every binary packet.
                let data = packet.get(1..).ok_or(PayloadError::Malformed("a packet is empty"))?;
                packets.push(format!("b{}", BASE64_STANDARD.encode(data)).as_bytes(), budget)?;
            }
            _ => return Err(PayloadError::Malformed("a packet is of an unknown kind")),
        }
        bytes = &rest[digits + 1 + length..];
    }
    Ok(packets.0)
}

/// Packets in the encoding of Engine.IO 4.
struct Packets(Vec<u8>);

impl Packets {
    fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    fn push(&mut self, packet: &[u8], budget: &mut PacketBudget) -> Result<(), PayloadError> {
        if packet.is_empty() {
            return Err(PayloadError::Malformed("a packet is empty"));
        }
        if packet.contains(&SEPARATOR) {
            // No client sends it, because JSON escapes it. In Engine.IO 4 it would split the packet.
            return Err(PayloadError::Malformed("a packet holds U+001E"));
        }
        // Engine.IO 3 writes the packet type behind the `b`; Engine.IO 4 does not.
        let base64 = packet.strip_prefix(b"b4");
        budget.spend(packet)?;
        if !self.0.is_empty() {
            self.0.push(SEPARATOR);
        }
        match base64 {
            Some(base64) => {
                self.0.push(b'b');
                self.0.extend_from_slice(base64);
            }
            None => self.0.extend_from_slice(packet),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
