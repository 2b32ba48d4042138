//! How often each byte value occurs.

/// Occurrences of each byte value.
pub(super) type Counts = [u32; 256];

/// Bytes counted per turn, as two words; each of their bytes has counters of its own.
const STEP: usize = 8;

/// Counts all of `bytes`, which must be fewer than 4 GiB.
pub(super) fn count(bytes: &[u8]) -> Counts {
    // Four sets of counters, so that a run of one value does not wait for its own last increment.
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

/// Bytes taken from one place for a sample.
const PIECE: usize = 64;

/// Pieces in a sample.
const PIECES: usize = 64;

/// Smallest block of which a sample is taken instead of all.
const MIN_SAMPLED: usize = 4 * PIECE * PIECES;

/// Bits per byte from which on a sample counts as noise.
///
/// A block that is worth coding saves 1 %, which is 7.92 bits per byte. The sample's entropy comes
/// out some 0.05 bits too low, for 4096 bytes cannot show 256 values evenly.
const NOISE: f32 = 7.88;

/// Whether a sample of `block` says that codes will not make it smaller.
///
/// Costs a thirtieth of counting a whole block. Errs towards "no": what it lets through is
/// counted in full and then judged exactly.
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
