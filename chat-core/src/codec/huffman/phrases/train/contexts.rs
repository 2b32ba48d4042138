//! Assigns phrases to contexts.
//!
//! Phrases that are followed by similar phrases share a context. As in k-means, each phrase moves to the context whose
//! code would encode its followers in the fewest bits, and then the contexts are counted again; see S. Martin, J.
//! Liermann and H. Ney, "Algorithms for bigram and trigram word clustering" (1998).

use super::codes::Pairs;

/// The maximum number of passes over the phrases. Most of the moves happen in the first five.
const PASSES: usize = 14;

/// A pass in which fewer than one in this many phrases moved is the last one.
const SETTLED: usize = 200;

/// The weight of the totals of all contexts in each context, in occurrences: a phrase that a context has not seen is as
/// likely there as elsewhere.
const PRIOR: f64 = 50.0;

/// The context after each phrase, by number, then that of the start, which has its own context. `before` is an earlier
/// result to continue from.
pub(super) fn cluster(pairs: &Pairs, contexts: usize, before: Option<Vec<u8>>) -> Vec<u8> {
    let mut after = before.unwrap_or_else(|| seeds(pairs, contexts));
    for _ in 0..PASSES {
        let moved = pass(pairs, contexts, &mut after);
        if moved * SETTLED < pairs.count() {
            break;
        }
    }
    after
}

/// Means that a phrase has no context yet.
const NOWHERE: u8 = u8::MAX;

/// The initial contexts: one for the start and one for each of the most frequent phrases.
fn seeds(pairs: &Pairs, contexts: usize) -> Vec<u8> {
    let totals = pairs.totals();
    let mut order: Vec<usize> = (0..pairs.count()).collect();
    order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]).then(a.cmp(&b)));
    let mut after = vec![NOWHERE; pairs.count() + 1];
    for (&phrase, context) in order.iter().zip(1..contexts) {
        after[phrase] = context as u8;
    }
    after[pairs.count()] = 0;
    after
}

/// Moves every phrase to its best context. Returns the number of moves.
fn pass(pairs: &Pairs, contexts: usize, after: &mut [u8]) -> usize {
    let count = pairs.count();
    let totals = pairs.totals();
    let total: f64 = totals.iter().sum();
    let anywhere: Vec<f64> = totals.iter().map(|n| (n + 0.2) / (total + 0.2 * count as f64)).collect();

    let mut sums = vec![0.0; contexts];
    let mut counts = vec![0.0; contexts * count];
    for (followers, &context) in
        pairs.followers.iter().zip(&*after).filter(|&(_, &context)| context != NOWHERE)
    {
        for &(phrase, n) in followers {
            sums[usize::from(context)] += n;
            counts[usize::from(context) * count + usize::from(phrase)] += n;
        }
    }
    let bits = |n: f64, sum: f64, phrase: usize| -((n + PRIOR * anywhere[phrase]) / (sum + PRIOR)).log2();
    let costs: Vec<f64> =
        (0..contexts * count).map(|at| bits(counts[at], sums[at / count], at % count)).collect();

    let mut moved = 0;
    for (phrase, followers) in pairs.followers[..count].iter().enumerate() {
        let here = usize::from(after[phrase]);
        let mass: f64 = followers.iter().map(|&(_, n)| n).sum();
        // The context of the start is not shared.
        let best = (1..contexts)
            .map(|context| {
                let row = &costs[context * count..][..count];
                let shared = followers.iter().map(|&(next, n)| n * row[usize::from(next)]).sum::<f64>();
                if context != here || sums[here] - mass < 1.0 {
                    return (shared, context);
                }
                // For a phrase's current context, its own followers must not count.
                let others = followers.iter().map(|&(next, n)| {
                    let next = usize::from(next);
                    n * bits(counts[here * count + next] - n, sums[here] - mass, next)
                });
                (others.sum(), context)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(here, |(_, context)| context);
        if best != here {
            moved += 1;
            after[phrase] = best as u8;
        }
    }
    moved
}
