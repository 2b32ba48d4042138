//! Canonical prefix codes over bytes, which are short enough for one small look-up table.

use super::histogram::Counts;

/// The longest code, in bits.
///
/// Five such codes and the seven bits left over from a flush fit into one 64-bit buffer. The table that decodes a code
/// with one look-up takes 4 KiB, an eighth of a first-level cache.
pub(super) const MAX_LEN: usize = 11;

/// Number of bit patterns of [`MAX_LEN`] bits.
pub(super) const SPACE: usize = 1 << MAX_LEN;

/// Code length in bits for every byte value; 0 marks a byte that has no code.
///
/// Always describes a complete code (every bit pattern means something), so at least two values
/// have one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lengths([u8; 256]);

impl Lengths {
    /// Accepts only complete codes.
    pub(super) fn new(lengths: [u8; 256]) -> Option<Lengths> {
        if lengths.iter().any(|&len| usize::from(len) > MAX_LEN) {
            return None;
        }
        let used: usize = lengths.iter().filter(|&&len| len != 0).map(|&len| share(len.into())).sum();
        (used == SPACE).then_some(Lengths(lengths))
    }

    /// Code lengths for bytes that occur `counts` times each, or `None` when fewer than two values occur.
    ///
    /// They are optimal if the optimal ones are short enough, and otherwise close to optimal; see [`limit`].
    pub(super) fn for_counts(counts: &Counts) -> Option<Lengths> {
        let mut leaves = [(0, 0); 256];
        let mut used = 0;
        for (byte, &n) in (0..=u8::MAX).zip(counts).filter(|&(_, &n)| n != 0) {
            leaves[used] = (n, byte);
            used += 1;
        }
        let leaves = &mut leaves[..used];
        if leaves.len() < 2 {
            return None;
        }
        // The byte breaks ties, so that equal input gives equal blocks everywhere.
        leaves.sort_unstable();

        let classes = limit(&depths(leaves), leaves);
        let mut lengths = [0; 256];
        let mut rest = leaves.iter();
        for len in (1..CLASSES).rev() {
            for &(_, byte) in rest.by_ref().take(classes[len]) {
                lengths[usize::from(byte)] = len as u8;
            }
        }
        Some(Lengths(lengths))
    }

    /// The length for each byte value.
    pub(super) fn as_array(&self) -> &[u8; 256] {
        &self.0
    }

    /// The size in bits of a body in which bytes occur `counts` times each, or `None` when one of them has no code.
    pub(super) fn cost(&self, counts: &Counts) -> Option<usize> {
        let mut bits = 0;
        let mut without_code = 0;
        for (&len, &n) in self.0.iter().zip(counts) {
            bits += u32::from(len) * n;
            without_code |= if len == 0 { n } else { 0 };
        }
        (without_code == 0).then_some(bits as usize)
    }

    /// For each byte value that has a code, the first [`MAX_LEN`]-bit pattern that begins with it.
    ///
    /// The codes are canonical: ordered by length, and among equal lengths by byte value.
    pub(super) fn codes(&self) -> [usize; 256] {
        let mut sizes = [0; CLASSES];
        for &len in &self.0 {
            sizes[usize::from(len)] += 1;
        }
        let mut next = [0; CLASSES];
        for len in 2..CLASSES {
            next[len] = next[len - 1] + sizes[len - 1] * share(len - 1);
        }
        self.0.map(|len| {
            let len = usize::from(len);
            let code = next[len];
            next[len] += share(len);
            code
        })
    }
}

/// Number of [`MAX_LEN`]-bit patterns that begin with one code of `len` bits.
pub(super) fn share(len: usize) -> usize {
    SPACE >> len
}

/// Lengths 0 to [`MAX_LEN`].
const CLASSES: usize = MAX_LEN + 1;

/// Deepest leaf of a tree over 256 values.
const MAX_DEPTH: usize = 255;

/// The number of leaves at each depth of the Huffman tree over at least two `leaves`, which are in
/// ascending order of their counts.
fn depths(leaves: &[(u32, u8)]) -> [usize; MAX_DEPTH + 1] {
    // Nodes in ascending order, leaves and pairs in separate queues. Both queues grow only at their ends, so the two
    // lightest nodes are always at their heads.
    let mut pairs = [0; MAX_DEPTH];
    let mut parents = [0; MAX_DEPTH];
    let mut leaf_parents = [0; MAX_DEPTH + 1];
    let mut leaf = 0;
    let mut pair = 0;
    let pairs_needed = leaves.len() - 1;
    for made in 0..pairs_needed {
        for _ in 0..2 {
            let is_leaf = match leaves.get(leaf) {
                Some(&(n, _)) => pair == made || n <= pairs[pair],
                None => false,
            };
            if is_leaf {
                pairs[made] += leaves[leaf].0;
                leaf_parents[leaf] = made;
                leaf += 1;
            } else {
                pairs[made] += pairs[pair];
                parents[pair] = made;
                pair += 1;
            }
        }
    }

    let mut pair_depths = [0; MAX_DEPTH];
    for pair in (0..pairs_needed - 1).rev() {
        pair_depths[pair] = pair_depths[parents[pair]] + 1;
    }
    let mut sizes = [0; MAX_DEPTH + 1];
    for &parent in &leaf_parents[..leaves.len()] {
        sizes[pair_depths[parent] + 1] += 1;
    }
    sizes
}

/// The number of codes of each length up to [`MAX_LEN`], computed from the `sizes` of an unlimited tree over `leaves`.
///
/// Leaves that are too deep are raised to the limit, which uses too much code space. Lowering other leaves by one level
/// frees space. Each step lowers the leaf with the least cost for the space that it frees. That leaf is the rarest of
/// its length, because leaves of one length are neighbours in `leaves`.
fn limit(sizes: &[usize; MAX_DEPTH + 1], leaves: &[(u32, u8)]) -> [usize; CLASSES] {
    let mut classes = [0; CLASSES];
    for (depth, size) in sizes.iter().enumerate() {
        classes[depth.min(MAX_LEN)] += size;
    }
    let used: usize = classes.iter().enumerate().skip(1).map(|(len, size)| size * share(len)).sum();
    let mut excess = used.saturating_sub(SPACE);
    while excess > 0 {
        let mut rarest = 0;
        let mut best = None;
        for len in (1..MAX_LEN).rev() {
            rarest += classes[len + 1];
            let freed = share(len + 1);
            if freed > excess {
                break;
            }
            if classes[len] != 0 {
                // Freeing halves with every bit of length, so this orders by cost per freed space.
                let cost = u64::from(leaves[rarest].0) << len;
                best = best.into_iter().chain([(cost, len)]).min();
            }
        }
        if let Some((_, len)) = best {
            classes[len] -= 1;
            classes[len + 1] += 1;
            excess -= share(len + 1);
            continue;
        }
        // Lowering any of these frees too much. The surplus goes to a leaf from the limit, which becomes the sibling of
        // the lowered leaf.
        let Some(len) = (1..MAX_LEN).rev().find(|&len| classes[len] != 0) else { break };
        classes[len] -= 1;
        classes[len + 1] += 2;
        classes[MAX_LEN] -= 1;
        excess -= 1;
    }
    classes
}
