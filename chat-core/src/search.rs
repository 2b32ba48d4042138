//! Searching in messages: queries and results.
//!
//! Bodies are compressed, so a database cannot search in them. Instead it searches an index of the *terms* of each
//! message: the words of its text and its file name, normalised so that equal words are equal. The URL of an image
//! has no terms.
//!
//! # From a text to its terms
//! 1. Letters are normalised. First comes compatibility decomposition (NFKD, Unicode's annex UAX #15: `ﬁ` is `fi`,
//!    `Ａ` is `A`). Then accents are removed: marks with a combining class of 10 or more, which are the accents and
//!    the points of Hebrew and Arabic. The signs that make a different letter in Indic scripts and in Japanese stay.
//!    The rest is composed again, so that a syllable of Hangul is one character. Unicode does not decompose `Ł`, `Ø`,
//!    `Đ`, `Ħ`, `Æ` and `Œ`; they become `l`, `o`, `d`, `h`, `ae` and `oe`.
//! 2. Case is folded by Unicode's full mappings, to lower, upper and again lower case: `ß` and `SS` are `ss`, the
//!    three sigmas are one, and an `i` with or without a dot is the same.
//! 3. Words are runs of letters, digits and the marks on them. This gives the word boundaries of UAX #29, except that
//!    a word is also divided at the characters that UAX #29 allows in its middle (`.`, `'`, `_`, …): `été` finds
//!    `l'été`, `com` finds `example.com`. Signs, punctuation and emoji are not part of words. A term has at most
//!    [`Terms::MAX_BYTES`] bytes; longer words are cut.
//! 4. Han, kana, Hangul, Thai, Lao, Burmese and Khmer are written without spaces between words, or with endings that
//!    are joined to the words. In a run of these, every pair of neighbouring characters is a term, and so is the last
//!    character alone, so that every character begins a term. A match has all pairs of the query, nearly always side
//!    by side.
//!
//! Only the first [`Terms::MAX`] different terms of a message are indexed. Of its text only the first
//! [`Terms::MAX_TEXT`] bytes count, and of these at most [`Terms::MAX_CHARS`] characters after decomposition: `ﷺ`
//! alone becomes 18.
//!
//! # When messages are indexed
//! Sending a message does not index it, because most conversations are never searched. A search first brings the
//! index of its conversations up to date; see [`Found::complete`] for what that means for the first search in a long
//! history. Deleted messages stay in the index and are left out of the results, so deleting and restoring do not
//! change the index.
//!
//! # Beyond words
//! The text of a search has a small language: [`Query`]. For a phrase, the index only knows that a message has its
//! words; the text of the message shows whether they are side by side. The sender, the kind and the time of a message
//! ([`Filter`]) are known without an index. [`Order`] describes how results are ranked.

mod filter;
mod pattern;
mod query;
mod rank;
mod snippet;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

pub use self::filter::{ContentKind, Filter};
pub(crate) use self::pattern::Tokens;
pub use self::query::{Query, Wanted};
pub use self::rank::{NoCursor, Order, RankedCursor};
pub(crate) use self::rank::{Rank, Weights};
pub use self::snippet::Snippet;
use self::words::{Run, each_run};
use crate::clock::Timestamp;
use crate::command::Destination;
use crate::error::Error;
use crate::model::{MessageView, Position, UserKey};

/// Searches messages by their words, in the conversations of which the user is a member.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// The words, as the user typed them; see [`Query`]. It may be empty if another condition below is set
    /// ([`Self::has_filter`]); then all messages match.
    pub text: String,
    /// The conversation; none for all conversations of the user.
    pub within: Option<Destination>,
    /// Only messages that this user wrote.
    pub author: Option<UserKey>,
    /// Only messages of these kinds; empty for all kinds.
    pub kinds: Vec<ContentKind>,
    /// Only messages that were sent at this time or later.
    pub from: Option<Timestamp>,
    /// Only messages that were sent before this time.
    pub until: Option<Timestamp>,
    /// Which messages come first.
    pub order: Order,
    /// Only messages that were sent before this position in the log, for the next page: [`Found::next`].
    pub before: Option<Position>,
    /// The maximum number of messages; values above [`Search::MAX`] count as that.
    pub limit: usize,
    /// Whether the answer shows where each message matches ([`Found::snippets`]).
    pub snippets: bool,
}

impl Search {
    /// The maximum number of messages in one answer.
    pub const MAX: usize = 100;
    /// The default number of messages in one answer.
    pub const DEFAULT_LIMIT: usize = 20;

    /// Whether there are conditions other than words.
    pub fn has_filter(&self) -> bool {
        self.author.is_some() || !self.kinds.is_empty() || self.from.is_some() || self.until.is_some()
    }

    /// Parses the text.
    ///
    /// # Errors
    /// When it contains nothing to search for, or too much.
    pub fn query(&self) -> Result<Query, Error> {
        match self.text.trim().is_empty() && self.has_filter() {
            true => Ok(Query::everything()),
            false => Query::parse(&self.text),
        }
    }
}

/// An empty search; it is only valid once other fields are set.
impl Default for Search {
    fn default() -> Self {
        Self {
            text: String::new(),
            within: None,
            author: None,
            kinds: Vec::new(),
            from: None,
            until: None,
            order: Order::Newest,
            before: None,
            limit: Self::DEFAULT_LIMIT,
            snippets: false,
        }
    }
}

// A search is content of a user, like a message: a request that is logged by mistake shows only its size.
impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("text_bytes", &self.text.len())
            .field("within", &self.within)
            .field("author", &self.author)
            .field("kinds", &self.kinds)
            .field("from", &self.from)
            .field("until", &self.until)
            .field("order", &self.order)
            .field("before", &self.before)
            .field("limit", &self.limit)
            .field("snippets", &self.snippets)
            .finish()
    }
}

/// The result of a search.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The messages over all conversations, newest first in the order in which they were committed, or the most
    /// relevant first if the client asked for that. There may be fewer than asked for, or none, although there are
    /// more: damaged messages are left out.
    pub messages: Vec<MessageView>,
    /// The part of each message that best shows the match, if the client asked for that: one for each message, in the
    /// same order.
    pub snippets: Vec<Snippet>,
    /// Where the next page begins ([`Search::before`]); none when there are no more. Pages do not shift while
    /// messages arrive.
    pub next: Option<Position>,
    /// The same if the most relevant messages come first ([`Order::Best`]).
    pub next_ranked: Option<RankedCursor>,
    /// Whether all messages were in the index. One search adds only a limited amount (20,000 messages, 32 MiB of
    /// texts, 100 batches of one conversation each). If there is more, this is false, and the next search continues
    /// with the rest. Until then, the older messages of each conversation can be found, because messages are indexed
    /// in their order, and recently active conversations are indexed first. Messages that are indexed later may
    /// belong on pages that the client has already read.
    pub complete: bool,
    /// Whether the search stopped at a limit before it had found as many messages as were asked for. A search for
    /// more than words of the index (a phrase, an author, a kind, a date) examines at most [`Self::MAX_LOOKED_AT`]
    /// messages, and reads the texts of at most [`Self::MAX_READ`] of them, up to [`Self::MAX_BYTES_READ`]. The next
    /// page continues where it stopped. If the most relevant messages come first, the texts of all matches are read,
    /// and matches older than those were not ranked.
    pub bounded: bool,
}

impl Found {
    /// The maximum number of messages that one search examines for conditions that the index cannot answer.
    pub const MAX_LOOKED_AT: usize = 10_000;
    /// The maximum number of these messages whose texts are read.
    pub const MAX_READ: usize = 1_000;
    /// The maximum number of bytes of these texts; one message is always allowed.
    pub const MAX_BYTES_READ: usize = 8 << 20;
}

/// The terms of one message, each once, sorted by their bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Terms(Vec<String>);

impl Terms {
    /// The maximum length of a term in bytes.
    pub const MAX_BYTES: usize = 64;
    /// The maximum number of terms of one message.
    pub const MAX: usize = 4_096;
    /// The number of bytes at the beginning of a text that are examined.
    pub const MAX_TEXT: usize = 256 << 10;
    /// The maximum number of characters after decomposition (NFKD).
    pub const MAX_CHARS: usize = 128 << 10;

    /// The terms of a message with this text and file name.
    pub fn of(text: &str, file_name: Option<&str>) -> Self {
        let mut terms = BTreeSet::new();
        // The file name first: it is short, and its terms must not be lost to the limit.
        for text in file_name.into_iter().chain([head(text)]) {
            each_run(text, |run, _| {
                match run {
                    Run::Word(word) => {
                        add(cut(word), &mut terms);
                    }
                    Run::Unspaced(run) => {
                        // The last character is followed by no other, so it is a term of its own.
                        let last = run.char_indices().next_back().map_or(run, |(start, _)| &run[start..]);
                        for term in pairs(run).chain([last]) {
                            if terms.len() == Self::MAX {
                                break;
                            }
                            add(term, &mut terms);
                        }
                    }
                }
                terms.len() < Self::MAX
            });
        }
        Self(terms.into_iter().collect())
    }

    /// The terms, sorted by their bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The number of terms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Builds terms directly, for tests of stores: any text that is not empty is a term for a store.
impl<T: Into<String>> FromIterator<T> for Terms {
    fn from_iter<I: IntoIterator<Item = T>>(terms: I) -> Self {
        let terms: BTreeSet<String> = terms.into_iter().map(Into::into).collect();
        Self(terms.into_iter().filter(|term| !term.is_empty()).collect())
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Terms({})", self.len())
    }
}

/// In a long text most words are in the set already, so this checks before it allocates.
fn add(term: &str, terms: &mut BTreeSet<String>) {
    if !terms.contains(term) {
        terms.insert(term.to_owned());
    }
}

/// All pairs of neighbouring characters.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().map(|(start, c)| start + c.len_utf8()).skip(1);
    run.char_indices().zip(ends).map(|((start, _), end)| &run[start..end])
}

/// The word, cut to the maximum length of a term.
fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(Terms::MAX_BYTES)]
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(Terms::MAX_TEXT)]
}
