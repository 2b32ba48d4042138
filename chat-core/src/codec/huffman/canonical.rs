//! Optimal code lengths with a limit, for alphabets of any size.

/// Length-limited optimal code lengths for at least two weights in ascending order, returned in the same order: L. L.
/// Larmore and D. S. Hirschberg, "A fast algorithm for optimal length-limited Huffman codes" (1990), also known as
/// package-merge.
///
/// There must be at most `2^limit` weights.
pub(super) fn package_merge(weights: &[u64], limit: u8) -> Vec<u8> {
    debug_assert!(weights.len() >= 2 && weights.len() <= 1 << limit && weights.is_sorted());
    // Each level contains the leaves and the pairs of the previous level, by weight. Only whether an entry is a leaf
    // must be stored, because leaves are always taken from the lightest.
    let mut levels: Vec<Vec<bool>> = Vec::with_capacity(limit.into());
    let mut before: Vec<u64> = Vec::new();
    for _ in 0..limit {
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

/// As [`package_merge`], for weights in any order. Ties are resolved by position, so that equal weights give equal
/// lengths everywhere. Fewer than two weights have no code: all lengths are 0.
pub(super) fn lengths(weights: &[u64], limit: u8) -> Vec<u8> {
    let mut lengths = vec![0; weights.len()];
    if weights.len() < 2 {
        return lengths;
    }
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&at| (weights[at], at));
    let sorted: Vec<u64> = order.iter().map(|&at| weights[at]).collect();
    for (at, len) in order.into_iter().zip(package_merge(&sorted, limit)) {
        lengths[at] = len;
    }
    lengths
}
