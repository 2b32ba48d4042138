//! Which of the messages that are found come first: BM25.
//!
//! The function is that of S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations
//! and Trends in Information Retrieval 3 (2009), section 3, with the usual `k1` = 1.2 and `b` = 0.75. A word weighs by how
//! rare it is as in Apache Lucene's `BM25Similarity`, `ln(1 + (N - n + 0.5) / (n + 0.5))`, which is never negative; a phrase
//! weighs what its words weigh together. As all messages that are found have all words, it matters how often they have
//! them, which of them, and how long the message is. Of equal ones the newest comes first.
//!
//! # Pages
//! How rare words are and how long messages are changes with every message that is sent, and then the order of the others
//! could change between two pages. So the first page notes what it has gone by in its [`RankedCursor`], which says also among
//! which messages the order was made, and the next pages go by that.

use std::fmt;
use std::str::FromStr;

use crate::model::Position;

/// How soon it matters little that a word is there once more.
const K1: f64 = 1.2;
/// How much it matters that a message is long.
const B: f64 = 0.75;
/// Weights are whole numbers of so many parts, since they are told to clients: enough for a word that nearly every message has.
const WEIGHT_PARTS: f64 = 1e6;
/// Scores are whole numbers of so many parts of these, so that one that a client was told is the same as the one computed.
const SCORE_PARTS: f64 = 1e3;

/// In which order messages are found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The most relevant first, of the newest [`Found::MAX_READ`](super::Found::MAX_READ) that are found. It goes on behind a
    /// place, for the next page: [`Found::next_ranked`](super::Found::next_ranked).
    Best(Option<RankedCursor>),
}

/// A message's place in the order: a greater one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// In parts of parts of a weight.
    pub(crate) score: u64,
    /// Where the message was sent.
    pub(crate) position: Position,
}

/// What the order goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Of each thing that is looked for, in parts.
    weights: Vec<u32>,
    /// Words of a message, in the mean; 1 at least.
    average_words: u32,
}

/// Where a page of the most relevant messages ended: a text of digits and signs that are safe in a URL. It belongs to the
/// search it was made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedCursor {
    /// The order is made among the messages before this place in the log,
    pub(crate) before: Position,
    /// and from this one on.
    pub(crate) from: Position,
    /// What was answered last.
    pub(crate) last: Rank,
    pub(crate) weights: Weights,
}

impl Weights {
    /// Those of things of which `counts` of `messages` messages have each of the words.
    pub(crate) fn new(messages: u64, counts: &[Vec<u64>], average_words: u32) -> Self {
        let of_word = |count: &u64| {
            // A sample may be older than the count.
            let (all, with) = (messages.max(*count) as f64, *count as f64);
            (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
        };
        // Of finite numbers that are not negative; greater ones than there are become the greatest.
        let weight =
            |words: &Vec<u64>| (words.iter().map(of_word).sum::<f64>() * WEIGHT_PARTS).round() as u32;
        Self { weights: counts.iter().map(weight).collect(), average_words: average_words.max(1) }
    }

    /// Of how many things it has the weights.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The score of a message of so many words that has each thing so many times.
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

/// It is no cursor that somebody was told.
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
