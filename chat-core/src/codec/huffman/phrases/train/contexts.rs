//! Which phrases share a context.
//!
//! Phrases that are followed by similar phrases belong together. As in k-means, each phrase goes to
//! the context whose code would write its followers in the fewest bits, then the contexts are
//! counted anew; see S. Martin, J. Liermann and H. Ney, "Algorithms for bigram and trigram word
//! clustering" (1998).

use super::codes::Pairs;

/// Most passes over the phrases. Most of the moves happen in the first five.
const PASSES: usize = 14;

/// A pass in which fewer than one in so many phrases moved is the last.
const SETTLED: usize = 200;

/// How many occurrences the totals of all contexts weigh in each: what a context has not seen is
/// as likely there as elsewhere.
const PRIOR: f64 = 50.0;

/// The context after each phrase, by number, then the one of the start, which is a context by
/// itself. `before` is an earlier answer to go on from.
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

/// No context yet.
const NOWHERE: u8 = u8::MAX;

/// Begins with a context for the start and one for each of the most frequent phrases.
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

/// Moves every phrase to the context that suits it best; answers how many moved.
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
        // The start's context is not for sharing.
        let best = (1..contexts)
            .map(|context| {
                let row = &costs[context * count..][..count];
                let shared = followers.iter().map(|&(next, n)| n * row[usize::from(next)]).sum::<f64>();
                if context != here || sums[here] - mass < 1.0 {
                    return (shared, context);
                }
                // Where a phrase is already, its own followers must not speak for it.
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
