//! Canonical prefix codes over bytes: which lengths, and which bits they stand for.

/// Longest code in bits.
///
/// Four such codes and the seven bits left over from a flush fit one 64-bit buffer, so encoder
/// and decoder touch memory once for four symbols. A limit of 15 would allow only three and save
/// less than 1 % of the code space.
pub(super) const MAX_LEN: u8 = 14;

/// Code length in bits for every byte value; 0 marks a byte that has no code.
///
/// Always describes a code that can be decoded: see [`Lengths::new`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lengths([u8; 256]);

impl Lengths {
    /// Accepts complete codes (Kraft sum exactly 1, so every bit pattern means something), and
    /// the code of a single byte value, which is the one bit `0`.
    pub(super) fn new(lengths: [u8; 256]) -> Option<Lengths> {
        let mut space = 0_u32;
        let mut used = 0_u32;
        for &len in lengths.iter().filter(|&&len| len != 0) {
            if len > MAX_LEN {
                return None;
            }
            space += 1 << (MAX_LEN - len);
            used += 1;
        }
        let whole = 1 << MAX_LEN;
        let complete = space == whole;
        let single = used == 1 && space == whole / 2;
        (complete || single).then_some(Lengths(lengths))
    }

    /// The optimal lengths within [`MAX_LEN`] for bytes that occur `counts` times each.
    ///
    /// Answers `None` when nothing occurs at all.
    pub(super) fn for_counts(counts: &[u64; 256]) -> Option<Lengths> {
        let mut leaves: Vec<(u64, usize)> =
            counts.iter().enumerate().filter(|&(_, &n)| n != 0).map(|(byte, &n)| (n, byte)).collect();
        // The byte breaks ties, so that equal input gives equal frames everywhere.
        leaves.sort_unstable();

        let weights: Vec<u64> = leaves.iter().map(|&(n, _)| n).collect();
        let mut lengths = [0; 256];
        match leaves.as_slice() {
            [] => return None,
            [(_, byte)] => lengths[*byte] = 1,
            _ => {
                for (&(_, byte), len) in leaves.iter().zip(package_merge(&weights)) {
                    lengths[byte] = len;
                }
            }
        }
        Some(Lengths(lengths))
    }

    /// The length for each byte value.
    pub(super) fn as_array(&self) -> &[u8; 256] {
        &self.0
    }

    /// Size in bits of a body in which bytes occur `counts` times each, or `None` when one of
    /// them has no code.
    pub(super) fn cost(&self, counts: &[u64; 256]) -> Option<u64> {
        let mut bits = 0;
        for (&len, &n) in self.0.iter().zip(counts) {
            if len == 0 && n != 0 {
                return None;
            }
            bits += u64::from(len) * n;
        }
        Some(bits)
    }

    /// Byte values that have a code with that code and its length, in canonical order: short
    /// codes first, equal lengths by byte value.
    pub(super) fn codes(&self) -> impl Iterator<Item = (u8, u16, u8)> {
        let mut next = 0_u16;
        (1..=MAX_LEN).flat_map(move |len| {
            next <<= 1;
            let mut codes = Vec::new();
            for (byte, _) in (0..=u8::MAX).zip(&self.0).filter(|&(_, &l)| l == len) {
                codes.push((byte, next, len));
                next += 1;
            }
            codes
        })
    }
}

/// Length-limited optimal code lengths (Larmore and Hirschberg's coin collector) for at least two
/// weights in ascending order, answered in the same order.
fn package_merge(weights: &[u64]) -> Vec<u8> {
    // Each level holds the leaves and the pairs of the level before, by weight; only whether an
    // entry is a leaf has to be remembered, because leaves are always taken from the lightest.
    let mut levels: Vec<Vec<bool>> = Vec::with_capacity(MAX_LEN.into());
    let mut before: Vec<u64> = Vec::new();
    for _ in 0..MAX_LEN {
        let mut leaves = weights.iter().copied().peekable();
        let mut pairs = before.chunks_exact(2).map(|pair| pair[0] + pair[1]).peekable();
        let mut level = Vec::with_capacity(2 * weights.len());
        let mut merged = Vec::with_capacity(2 * weights.len());
        loop {
            let leaf = match (leaves.peek(), pairs.peek()) {
                (Some(leaf), Some(pair)) => leaf <= pair,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            level.push(leaf);
            merged.extend(if leaf { leaves.next() } else { pairs.next() });
        }
        levels.push(level);
        before = merged;
    }

    let mut lengths = vec![0; weights.len()];
    let mut wanted = 2 * weights.len() - 2;
    for level in levels.iter().rev() {
        let leaves = level.iter().take(wanted).filter(|&&leaf| leaf).count();
        lengths.iter_mut().take(leaves).for_each(|len| *len += 1);
        wanted = 2 * (wanted - leaves);
    }
    lengths
}
