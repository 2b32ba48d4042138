//! Searching in messages: what can be looked for, and what is found.
//!
//! Bodies are compressed, so no database can look into them. What it looks into is an index of the *terms* of each
//! message: its words and those of its file name, in a form in which equal words are equal. The URL of an image has
//! none.
//!
//! # From a text to its terms
//! 1. Letters are brought into one form: compatibility decomposition (NFKD, Unicode's annex UAX #15: `ﬁ` is `fi`, `Ａ` is
//!    `A`), then accents are left out (marks with a combining class of 10 or more, which are the accents and the points of
//!    Hebrew and Arabic; the signs that make another letter of Indic and Japanese ones stay), and what remains is composed
//!    again, so that a syllable of Hangul is one character. `Ł`, `Ø`, `Đ`, `Ħ`, `Æ` and `Œ`, which Unicode does not take
//!    apart, are `l`, `o`, `d`, `h`, `ae` and `oe`.
//! 2. Case is folded by Unicode's full mappings, in lower, upper and again lower case: `ß` and `SS` are `ss`, the three
//!    sigmas are one, with and without a dot is the same `i`.
//! 3. Words are runs of letters, digits and the marks on them. That is what the word boundaries of UAX #29 come to when a
//!    word is also divided at what they allow in its middle (`.`, `'`, `_`, …): `l'été` is found by `été`, `example.com` by
//!    `com`. Signs, punctuation and emoji are no words. A term has at most [`Terms::MAX_BYTES`] bytes; what is longer is cut.
//! 4. Han, kana, Hangul, Thai, Lao, Burmese and Khmer are written without spaces between words, or with endings that grow
//!    together with them: of a run of these every two neighbours are a term, and the last character alone, so that every
//!    character begins one. What is found so has all pairs of what was looked for, nearly always side by side.
//!
//! Of one message the first [`Terms::MAX`] different terms count, out of the first [`Terms::MAX_TEXT`] bytes of its text,
//! and of these no more than [`Terms::MAX_CHARS`] characters after decomposition: `ﷺ` alone becomes 18.
//!
//! # When
//! Nothing of this happens when a message is sent, for most conversations are never searched. A search first brings the
//! index of the conversations it is about up to date; see [`Found::complete`] for what that means for the first one in a
//! long history. Deleted messages stay in the index and are left out of what is found, so that deleting and restoring
//! need not know of it.
//!
//! # Beyond words
//! What is typed has a small language: [`Query`]. Of a phrase the index knows only that a message has its words; whether
//! they stand side by side is seen in its text. Who wrote a message, its kind and its moment ([`Filter`]) are known of every message
//! without an index. By what messages are put into order when the most relevant come first stands at [`Order`].

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

/// Look for messages by their words, in the conversations one is a member of.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// The words, as they were typed; see [`Query`]. It may be empty when something else is asked for below
    /// ([`Self::has_filter`]): then every message is looked at.
    pub text: String,
    /// Where; none: in all conversations one is a member of.
    pub within: Option<Destination>,
    /// Only what this person wrote.
    pub author: Option<UserKey>,
    /// Only messages of these kinds; all when it is empty.
    pub kinds: Vec<ContentKind>,
    /// Only what was sent at this moment or later.
    pub from: Option<Timestamp>,
    /// Only what was sent before this moment.
    pub until: Option<Timestamp>,
    /// Which messages come first.
    pub order: Order,
    /// Only what was sent before this place in the log, for the next page: [`Found::next`].
    pub before: Option<Position>,
    /// At most so many messages, and never more than [`Search::MAX`].
    pub limit: usize,
    /// Whether the answer says where each message has what was looked for ([`Found::snippets`]).
    pub snippets: bool,
}

impl Search {
    /// Most messages in one answer.
    pub const MAX: usize = 100;
    /// Messages in one answer, when nothing else is asked for.
    pub const DEFAULT_LIMIT: usize = 20;

    /// Whether more is asked of a message than its words.
    pub fn has_filter(&self) -> bool {
        self.author.is_some() || !self.kinds.is_empty() || self.from.is_some() || self.until.is_some()
    }

    /// What the text asks for.
    ///
    /// # Errors
    /// When that is nothing, or too much.
    pub fn query(&self) -> Result<Query, Error> {
        match self.text.trim().is_empty() && self.has_filter() {
            true => Ok(Query::everything()),
            false => Query::parse(&self.text),
        }
    }
}

/// For all the words of an empty text, which only the fields that are given make a search.
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

// What people look for is theirs, as what they write: a request that is logged by mistake shows only its size.
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

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The messages, the newest first, over all conversations: in the order in which they were committed; or the most
    /// relevant first, if that was asked for. There may be fewer than asked for, or none, and more to come: what is damaged and cannot be read is left out.
    pub messages: Vec<MessageView>,
    /// The part of each message that shows best what was found, if that was asked for: as many, in the same order.
    pub snippets: Vec<Snippet>,
    /// Where the next page begins ([`Search::before`]); none when there are no more. Pages do not shift while messages
    /// arrive.
    pub next: Option<Position>,
    /// The same when the most relevant come first ([`Order::Best`]).
    pub next_ranked: Option<RankedCursor>,
    /// Whether everything there is was in the index. One search brings only so much into it (20,000 messages, 32 MiB of
    /// texts, 100 batches of one conversation each); where there is more this is false, and the same search goes on with them when it is made again. Meanwhile the older messages
    /// of each conversation are found, for they are indexed in their order, and of several conversations those in which
    /// something was said lately come first. What is indexed later may belong on pages that were read already.
    pub complete: bool,
    /// Whether the search ended at a bound before it had found as many as were asked for: one that asks for more than
    /// words of the index (a phrase, an author, a kind, a date) looks at so many messages at most,
    /// [`Self::MAX_LOOKED_AT`], of which it reads the texts of [`Self::MAX_READ`], up to [`Self::MAX_BYTES_READ`]. The
    /// next page goes on where it ended. When the most relevant come first, the texts of all that is found are read, and
    /// what is older than those was not put into order.
    pub bounded: bool,
}

impl Found {
    /// Most messages that are looked at in one search for what the index does not tell of them.
    pub const MAX_LOOKED_AT: usize = 10_000;
    /// Most messages of which the texts are read for it.
    pub const MAX_READ: usize = 1_000;
    /// Most bytes of these texts; one always has room.
    pub const MAX_BYTES_READ: usize = 8 << 20;
}

/// The terms of one message, each once, in the order of their bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Terms(Vec<String>);

impl Terms {
    /// Most bytes of a term.
    pub const MAX_BYTES: usize = 64;
    /// Most terms of one message.
    pub const MAX: usize = 4_096;
    /// So many bytes at the beginning of a text are looked at.
    pub const MAX_TEXT: usize = 256 << 10;
    /// And so many characters of what it is decomposed into (NFKD).
    pub const MAX_CHARS: usize = 128 << 10;

    /// The terms of a message of this text and file name.
    pub fn of(text: &str, file_name: Option<&str>) -> Self {
        let mut terms = BTreeSet::new();
        // The name first: it is short, and must not fall to the limit.
        for text in file_name.into_iter().chain([head(text)]) {
            each_run(text, |run, _| {
                match run {
                    Run::Word(word) => {
                        add(cut(word), &mut terms);
                    }
                    Run::Unspaced(run) => {
                        // The last character is followed by no other.
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

    /// Them, in the order of their bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of terms that were made otherwise, to test stores: whatever is not empty is a term for them.
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

/// Most words are there already, in a text that is long.
fn add(term: &str, terms: &mut BTreeSet<String>) {
    if !terms.contains(term) {
        terms.insert(term.to_owned());
    }
}

/// Every two neighbours.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().map(|(start, c)| start + c.len_utf8()).skip(1);
    run.char_indices().zip(ends).map(|((start, _), end)| &run[start..end])
}

/// As much of a word as a term can have.
fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(Terms::MAX_BYTES)]
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(Terms::MAX_TEXT)]
}
