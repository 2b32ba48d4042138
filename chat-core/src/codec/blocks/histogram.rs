//! Counts the occurrences of each byte value.

/// The occurrences of each byte value.
pub(super) type Counts = [u32; 256];

/// The number of bytes that are counted per iteration, as two words. Each byte position has its own counters.
const STEP: usize = 8;

/// Counts all of `bytes`, which must be shorter than 4 GiB.
pub(super) fn count(bytes: &[u8]) -> Counts {
    // There are four sets of counters, so that a run of one value does not wait for its own previous increment.
    let mut sets = [[0_u32; 256]; 4];
    let (steps, rest) = bytes.as_chunks::<STEP>();
    for step in steps {
        let word = u64::from_le_bytes(*step);
        sets[0][(word & 0xff) as usize] += 1;
        sets[1][(word >> 8 & 0xff) as usize] += 1;
        sets[2][(word >> 16 & 0xff) as usize] += 1;
        sets[3][(word >> 24 & 0xff) as usize] += 1;
        sets[0][(word >> 32 & 0xff) as usize] += 1;
        sets[1][(word >> 40 & 0xff) as usize] += 1;
        sets[2][(word >> 48 & 0xff) as usize] += 1;
        sets[3][(word >> 56) as usize] += 1;
    }
    for &byte in rest {
        sets[0][usize::from(byte)] += 1;
    }
    let [first, second, third, fourth] = sets;
    std::array::from_fn(|value| first[value] + second[value] + third[value] + fourth[value])
}

/// The number of bytes in one piece of a sample.
const PIECE: usize = 64;

/// The number of pieces in a sample.
const PIECES: usize = 64;

/// The smallest block that is sampled instead of counted completely.
const MIN_SAMPLED: usize = 4 * PIECE * PIECES;

/// From this many bits per byte on, a sample is treated as noise.
///
/// A block that is worth coding saves 1 %, which is 7.92 bits per byte. The entropy of a sample is about 0.05 bits too
/// low, because 4096 bytes cannot show 256 values evenly.
const NOISE: f32 = 7.88;

/// Whether a sample of `block` says that codes cannot make it smaller.
///
/// This costs a thirtieth of counting a whole block. It errs on the side of "no": such a block is then counted
/// completely and judged exactly.
pub(super) fn looks_like_noise(block: &[u8]) -> bool {
    block.len() >= MIN_SAMPLED && sampled_entropy(block) > NOISE
}

/// Order-0 entropy of a sample of `block` in bits per byte.
pub(super) fn sampled_entropy(block: &[u8]) -> f32 {
    if block.len() < MIN_SAMPLED {
        return entropy(&count(block));
    }
    let mut counts = [0; 256];
    for piece in block.chunks(block.len() / PIECES) {
        for &byte in piece.iter().take(PIECE) {
            counts[usize::from(byte)] += 1;
        }
    }
    entropy(&counts)
}

/// Order-0 entropy in bits per byte.
fn entropy(counts: &Counts) -> f32 {
    let total = counts.iter().sum::<u32>().max(1) as f32;
    let weighted: f32 = counts.iter().filter(|&&n| n != 0).map(|&n| n as f32 * (n as f32).log2()).sum();
    total.log2() - weighted / total
}
