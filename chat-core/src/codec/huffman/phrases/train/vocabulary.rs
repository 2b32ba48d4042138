//! Chooses the phrases of a set from the candidates.
//!
//! This is the pruning of a unigram language model (T. Kudo, "Subword regularization", 2018) with best splits instead
//! of expected ones: split the messages, compute how many bits each phrase saves compared with other phrases for its
//! text, drop those that save least, and repeat.

use super::super::finder::Finder;
use super::super::model::{BYTES, MAX_PHRASE};
use super::candidates::Candidate;
use super::codes::Pairs;

/// The number of candidates for each wanted phrase.
const CANDIDATES: usize = 14;

/// The fraction of the phrases that stays at each step.
const STAY: f64 = 0.8;

/// Chooses the phrases of at least two bytes, in lexicographic order, so that there are at most `wanted` including the
/// single bytes.
pub(super) fn choose(candidates: Vec<Candidate>, wanted: usize, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut phrases: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    let mut counts = vec![50.0; BYTES];
    for (string, count) in candidates.into_iter().take(wanted * CANDIDATES) {
        phrases.push(string);
        counts.push(count as f64);
    }
    loop {
        let mut cutter = Cutter::new(&phrases, &counts);
        for _ in 0..2 {
            cutter = cutter.again(messages);
        }
        counts.clone_from(&cutter.counts);
        if phrases.len() <= wanted {
            break;
        }

        let mut by_gain: Vec<(f64, usize)> = (BYTES..phrases.len())
            .map(|number| {
                let without = cutter.cut(&phrases[number], Some(number as u32), |_| ());
                (counts[number] * (without - cutter.costs[number]), number)
            })
            .collect();
        by_gain.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let stay = ((phrases.len() as f64 * STAY) as usize).max(wanted) - BYTES;
        let mut stay: Vec<usize> = by_gain[..stay].iter().map(|&(_, number)| number).collect();
        stay.sort_unstable();
        let stay = (0..BYTES).chain(stay);
        (phrases, counts) = stay.map(|number| (phrases[number].clone(), counts[number])).unzip();
    }

    let mut chosen = phrases.split_off(BYTES);
    // A phrase that no best split uses would only take room.
    let mut used = counts[BYTES..].iter().map(|&count| count > 0.0);
    chosen.retain(|_| used.next().unwrap_or(false));
    chosen.sort_unstable();
    chosen
}

/// Counts which phrase follows which, in splits without contexts.
pub(super) fn cut(phrases: &[Vec<u8>], messages: &[&[u8]]) -> Pairs {
    let phrases: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).chain(phrases.iter().cloned()).collect();
    let mut cutter = Cutter::new(&phrases, &vec![1.0; phrases.len()]);
    for _ in 0..2 {
        cutter = cutter.again(messages);
    }
    let mut pairs = Pairs::new(phrases.len());
    let mut path = Vec::new();
    for message in messages {
        path.clear();
        cutter.cut(message, None, |phrase| path.push(phrase as u16));
        let mut before = None;
        for &phrase in path.iter().rev() {
            pairs.add(before, phrase);
            before = Some(phrase);
        }
    }
    pairs.finish()
}

/// Splits texts into phrases so that frequent phrases are used.
struct Cutter {
    finder: Finder<u32>,
    lengths: Vec<usize>,
    /// The number of uses of each phrase.
    counts: Vec<f64>,
    /// The bits of each phrase in an ideal code.
    costs: Vec<f64>,
    /// The fewest bits to each position, and the phrase that ends there.
    ways: Vec<(f64, u32)>,
}

impl Cutter {
    fn new(phrases: &[Vec<u8>], counts: &[f64]) -> Cutter {
        let mut sorted: Vec<(&[u8], u32)> = phrases.iter().map(Vec::as_slice).zip(0..).collect();
        sorted.sort_unstable();
        Cutter {
            finder: Finder::new(&sorted).expect("there are fewer phrases than 32-bit numbers"),
            lengths: phrases.iter().map(Vec::len).collect(),
            costs: costs(counts),
            counts: counts.to_vec(),
            ways: Vec::new(),
        }
    }

    /// Splits all messages and counts again.
    fn again(mut self, messages: &[&[u8]]) -> Cutter {
        let mut counts = vec![0.0; self.counts.len()];
        for message in messages {
            self.cut(message, None, |phrase| counts[phrase as usize] += 1.0);
        }
        self.costs = costs(&counts);
        self.counts = counts;
        self
    }

    /// Splits `text` without the phrase `but`, passes the phrases to `each`, the last one first, and returns the bits.
    fn cut(&mut self, text: &[u8], but: Option<u32>, mut each: impl FnMut(u32)) -> f64 {
        let ways = &mut self.ways;
        ways.clear();
        ways.resize(text.len() + 1, (f64::INFINITY, 0));
        ways[0].0 = 0.0;
        for at in 0..text.len() {
            let before = ways[at].0;
            self.finder.find(&text[at..text.len().min(at + MAX_PHRASE)], |len, phrase| {
                let bits = before + self.costs[phrase as usize];
                if bits < ways[at + len].0 && Some(phrase) != but {
                    ways[at + len] = (bits, phrase);
                }
            });
        }
        let mut at = text.len();
        while at > 0 {
            let phrase = ways[at].1;
            each(phrase);
            at -= self.lengths[phrase as usize];
        }
        ways[text.len()].0
    }
}

/// The bits in an ideal code. A phrase that does not occur counts as a tenth of an occurrence.
fn costs(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().map(|count| count + 0.1).sum();
    counts.iter().map(|count| -((count + 0.1) / total).log2()).collect()
}
