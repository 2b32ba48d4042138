//! Ranks the messages that were found: BM25.
//!
//! The function is that of S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
//! Foundations and Trends in Information Retrieval 3 (2009), section 3, with the usual `k1` = 1.2 and `b` = 0.75. The
//! weight of a word is its rarity as in Apache Lucene's `BM25Similarity`, `ln(1 + (N - n + 0.5) / (n + 0.5))`, which is
//! never negative. The weight of a phrase is the sum of the weights of its words. Every message that was found contains
//! all words, so the score depends on how often it contains which of them, and on its length. Among equal scores the
//! newest message comes first.
//!
//! # Pages
//! The rarity of words and the average length change with every new message, so the order of the others could change
//! between two pages. Therefore the first page stores its statistics in its [`RankedCursor`], together with the range
//! of messages that were ranked, and the next pages use them.

use std::fmt;
use std::str::FromStr;

use crate::model::Position;

/// Controls how fast further occurrences of a word lose importance.
const K1: f64 = 1.2;
/// Controls how much the length of a message matters.
const B: f64 = 0.75;
/// Weights are integers in this fraction, because clients receive them. It is precise enough for a word that almost
/// every message contains.
const WEIGHT_PARTS: f64 = 1e6;
/// Scores are integers in this fraction of a weight's unit, so that a score from a client equals the computed one.
const SCORE_PARTS: f64 = 1e3;

/// The order of search results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The most relevant first, among the newest [`Found::MAX_READ`](super::Found::MAX_READ) results. With a cursor it
    /// continues after a page: [`Found::next_ranked`](super::Found::next_ranked).
    Best(Option<RankedCursor>),
}

/// The rank of a message: higher ranks come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// In fractions of the unit of weights (see `SCORE_PARTS`).
    pub(crate) score: u64,
    /// The position of the message.
    pub(crate) position: Position,
}

/// The statistics for the ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weights {
    /// The weight of each searched pattern, as an integer fraction.
    weights: Vec<u32>,
    /// The average number of words in a message; at least 1.
    average_words: u32,
}

/// The end of a page of the most relevant messages: a text of digits and URL-safe characters. It is valid only for the
/// search that created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedCursor {
    /// Only messages before this log position are ranked,
    pub(crate) before: Position,
    /// and only messages from this position on.
    pub(crate) from: Position,
    /// The rank of the last result.
    pub(crate) last: Rank,
    pub(crate) weights: Weights,
}

impl Weights {
    /// The weights of patterns. For each pattern `counts` has, for each of its words, how many of `messages` messages
    /// contain the word.
    pub(crate) fn new(messages: u64, counts: &[Vec<u64>], average_words: u32) -> Self {
        let of_word = |count: &u64| {
            // The total may be from an older sample than the count.
            let (all, with) = (messages.max(*count) as f64, *count as f64);
            (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
        };
        // The sum is finite and not negative. Too large values saturate in the conversion.
        let weight =
            |words: &Vec<u64>| (words.iter().map(of_word).sum::<f64>() * WEIGHT_PARTS).round() as u32;
        Self { weights: counts.iter().map(weight).collect(), average_words: average_words.max(1) }
    }

    /// The number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The score of a message with this number of words and these counts of each pattern.
    pub(crate) fn score(&self, counts: &[u32], words: usize) -> u64 {
        let length = 1.0 - B + B * words as f64 / f64::from(self.average_words);
        let scores = self.weights.iter().zip(counts).map(|(weight, count)| {
            let count = f64::from(*count);
            f64::from(*weight) * count * (K1 + 1.0) / (count + K1 * length)
        });
        (scores.sum::<f64>() * SCORE_PARTS).round() as u64
    }
}

impl fmt::Display for RankedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, from, last, weights } = self;
        write!(f, "{}.{}.{}.{}.{}", before.0, from.0, last.score, last.position.0, weights.average_words)?;
        weights.weights.iter().try_for_each(|weight| write!(f, ".{weight}"))
    }
}

/// The text is not a valid cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor of a ranked search")]
pub struct NoCursor;

impl FromStr for RankedCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        fn number<T: FromStr>(digits: Option<&str>) -> Result<T, NoCursor> {
            let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(NoCursor)
        }
        let mut numbers = text.split('.');
        let cursor = Self {
            before: Position(number(numbers.next())?),
            from: Position(number(numbers.next())?),
            last: Rank { score: number(numbers.next())?, position: Position(number(numbers.next())?) },
            weights: Weights {
                average_words: number::<u32>(numbers.next())?.max(1),
                weights: numbers
                    .by_ref()
                    .take(super::Query::MAX + 1)
                    .map(|number_| number(Some(number_)))
                    .collect::<Result<_, _>>()?,
            },
        };
        let is_whole = numbers.next().is_none() && (1..=super::Query::MAX).contains(&cursor.weights.len());
        is_whole.then_some(cursor).ok_or(NoCursor)
    }
}

#[cfg(test)]
mod tests;
