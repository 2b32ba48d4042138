//! Computes code lengths from counts.

use super::super::model::{Context, ESCAPE, MAX_LEN, Symbol};
use crate::codec::huffman::canonical;

/// Counts which phrases follow which.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Each occurrence as `before << 12 | phrase`, until `finish` converts them.
    occurrences: Vec<u32>,
    /// What followed each phrase, by number, and how often. The last entry is for the start.
    pub(super) followers: Vec<Vec<(Symbol, f64)>>,
}

impl Pairs {
    /// For `count` phrases.
    pub(super) fn new(count: usize) -> Pairs {
        Pairs { occurrences: Vec::new(), followers: vec![Vec::new(); count + 1] }
    }

    /// Counts `phrase` after `before`, or at the start.
    pub(super) fn add(&mut self, before: Option<Symbol>, phrase: Symbol) {
        let before = before.map_or(self.count(), usize::from);
        self.occurrences.push((before as u32) << 12 | u32::from(phrase));
    }

    /// Computes `followers` from the occurrences.
    pub(super) fn finish(mut self) -> Pairs {
        self.occurrences.sort_unstable();
        for run in self.occurrences.chunk_by(|a, b| a == b) {
            let (before, phrase) = (run[0] >> 12, run[0] & 0xfff);
            self.followers[before as usize].push((phrase as Symbol, run.len() as f64));
        }
        self.occurrences = Vec::new();
        self
    }

    /// Number of phrases.
    pub(super) fn count(&self) -> usize {
        self.followers.len() - 1
    }

    /// The number of occurrences of each phrase.
    pub(super) fn totals(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.count()];
        for &(phrase, count) in self.followers.iter().flatten() {
            totals[usize::from(phrase)] += count;
        }
        totals
    }
}

/// The discount that is subtracted from each count and given to unseen phrases (H. Ney, U. Essen and R. Kneser, "On
/// structuring probabilistic dependences", 1994). Values from 0.5 to 0.8 were equally good.
const DISCOUNT: f64 = 0.6;

/// The minimum number of occurrences in a context for a phrase to get its own code there.
const LEAST: f64 = 3.0;

/// The minimum number of bits that an own code must save in training. In the file it takes about that many.
const GAIN: f64 = 10.0;

/// The assumed cost of an escape for the estimate of the gain, in bits.
const ESCAPE_BITS: f64 = 2.0;

/// The minimum number of assumed occurrences of any phrase with an escape.
const FLOOR: f64 = 0.3;

/// The lengths of the shared code, and the contexts' codes.
pub(super) fn make(pairs: &Pairs, after: &[u8], start: u8) -> (Vec<u8>, Vec<Context>) {
    let count = pairs.count();
    let contexts = 1 + usize::from(after.iter().copied().max().unwrap_or(0).max(start));
    let totals = pairs.totals();
    let total: f64 = totals.iter().sum();

    let mut counts = vec![vec![0.0; count]; contexts];
    for (followers, &context) in pairs.followers.iter().zip(after.iter().chain([&start])) {
        for &(phrase, n) in followers {
            counts[usize::from(context)][usize::from(phrase)] += n;
        }
    }

    let mut escaped = vec![FLOOR; count];
    let mut own: Vec<Vec<Symbol>> = Vec::with_capacity(contexts);
    for counts in &counts {
        let all: f64 = counts.iter().sum();
        let mut phrases: Vec<Symbol> = Vec::new();
        for (phrase, &n) in counts.iter().enumerate() {
            let own_bits = -((n - DISCOUNT).max(0.01) / all.max(1.0)).log2();
            let shared_bits =
                ESCAPE_BITS - ((totals[phrase] + FLOOR) / (total + FLOOR * count as f64)).log2();
            if n >= LEAST && (shared_bits - own_bits) * n > GAIN {
                phrases.push(phrase as Symbol);
                escaped[phrase] += DISCOUNT;
            } else {
                escaped[phrase] += n;
            }
        }
        if phrases.is_empty() {
            // A code needs two symbols. The space is a likely one.
            phrases.push(b' '.into());
        }
        own.push(phrases);
    }

    let shared = canonical::lengths(&escaped.into_iter().map(weight).collect::<Vec<_>>(), MAX_LEN);
    let contexts = counts.iter().zip(own).map(|(counts, phrases)| context(counts, &phrases)).collect();
    (shared, contexts)
}

/// The code of a context in which `phrases` have their own codes.
fn context(counts: &[f64], phrases: &[Symbol]) -> Context {
    let mut weights: Vec<f64> =
        phrases.iter().map(|&phrase| (counts[usize::from(phrase)] - DISCOUNT).max(DISCOUNT)).collect();
    let known: f64 = weights.iter().sum();
    weights.push((counts.iter().sum::<f64>() - known).max(DISCOUNT));
    debug_assert!(weights.len() <= usize::from(ESCAPE) + 1);

    let own = canonical::lengths(&weights.into_iter().map(weight).collect::<Vec<_>>(), MAX_LEN);
    let mut lengths = vec![0; counts.len()];
    for (&phrase, &len) in phrases.iter().zip(&own) {
        lengths[usize::from(phrase)] = len;
    }
    Context { escape: own.last().copied().unwrap_or(0), lengths }
}

/// Codes are computed from integers, so that the result is the same everywhere.
fn weight(count: f64) -> u64 {
    (count * 64.0).round().max(1.0) as u64
}
