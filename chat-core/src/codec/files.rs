//! Chooses the smallest frame for an attachment.
//!
//! Zstandard is tried first, because it is nearly always the smallest, and a separate test could not detect noise much
//! sooner: at level 3 it gives up on noise at about 4 GB/s. Where it takes longer, it makes the body smaller: PNG
//! screenshots by a tenth to a quarter, although they are compressed already. Blocks are smaller where bytes are uneven
//! but nothing repeats, as in raw audio. Their size is known from counting alone, so they are written only in that
//! case, and not even counted when a sample says that they are far larger.
//!
//! Measured with files of 1 MiB (the last row: of 0.3 to 1 MB). Sizes are percentages of the body:
//!
//! | file | Zstandard | blocks | chosen | MB/s |
//! |---|---|---|---|---|
//! | English | 27.5 | 56.4 | Zstandard | 244 |
//! | JSON, made up | 17.8 | 59.4 | Zstandard | 420 |
//! | CSV of measurements, made up | 36.6 | 53.8 | Zstandard | 186 |
//! | sound in 16-bit PCM, made up | 87.72 | 87.70 | blocks | 408 |
//! | noisy gradient in RGB, made up | 85.8 | 89.1 | Zstandard | 640 |
//! | noise in base 64 | 75.02 | 75.02 | Zstandard | 793 |
//! | JPEG, gzip, noise | 100 | 100 | stored | 1100 to 3200 |

use super::frame::{self, Format};
use super::{blocks, foreign};

/// The level of Zstandard: its own default.
pub(super) const LEVEL: i32 = 3;

/// Encodes `body` as the smallest of three frames, each after its header byte: Zstandard, blocks, or the unencoded
/// body.
///
/// The frame is at most one byte longer than the body.
pub(super) fn encode(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + body.len());
    frame.push(Format::Foreign.header(0));
    let compressed = foreign::append_zstd(body, LEVEL, &mut frame);
    let smallest = if compressed { frame.len() - 1 } else { body.len() };

    // If the body has repetitions, Zstandard is usually far smaller, and then a sample is enough to know.
    let close = smallest > blocks::sampled_size(body) / 10 * 9;
    if close && blocks::size(body) < smallest {
        let mut frame = vec![Format::Blocks.header(0)];
        if blocks::append(body, &mut frame) {
            return frame;
        }
    }
    if !compressed {
        return frame::stored(body);
    }
    frame.shrink_to_fit();
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::OwnTables;
    use crate::codec::tests::noise;

    fn decode(frame: &[u8], limit: usize) -> Vec<u8> {
        frame::decode(frame, &OwnTables::default(), limit).expect("a frame of ours")
    }

    #[test]
    fn the_smallest_wins() {
        let text = b"the quick brown fox jumps over the lazy dog; ".repeat(3000);
        let uneven: Vec<u8> = noise(300_000).into_iter().map(|byte| byte & 0x33).collect();
        for (body, format) in [
            (text, Format::Foreign),
            (uneven, Format::Blocks),
            (noise(300_000), Format::Stored),
            (Vec::new(), Format::Stored),
        ] {
            let frame = encode(&body);
            assert_eq!(frame[0], format.header(0));
            assert!(frame.len() <= body.len() + 1);
            assert_eq!(frame, encode(&body));
            assert!(decode(&frame, body.len()) == body);
        }
    }

    #[test]
    fn no_frame_is_more_than_a_byte_longer() {
        for len in (0..400).chain([1025, 5000, 140_000]) {
            for mask in [0xff, 0x7f, 0x03, 0] {
                let body: Vec<u8> = noise(len).into_iter().map(|byte| byte & mask).collect();
                let frame = encode(&body);
                assert!(frame.len() <= len + 1);
                assert!(decode(&frame, len) == body);
            }
        }
    }
}
