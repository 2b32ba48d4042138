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

mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use self::words::{Run, each_run};
use crate::command::Destination;
use crate::error::Error;
use crate::model::{MessageView, Position};

/// Look for messages by their words, in the conversations one is a member of.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// The words, as they were typed; see [`Query::parse`].
    pub text: String,
    /// Where; none: in all conversations one is a member of.
    pub within: Option<Destination>,
    /// Only what was sent before this place in the log, for the next page: [`Found::next`].
    pub before: Option<Position>,
    /// At most so many messages, and never more than [`Search::MAX`].
    pub limit: usize,
}

impl Search {
    /// Most messages in one answer.
    pub const MAX: usize = 100;
}

// What people look for is theirs, as what they write: a request that is logged by mistake shows only its size.
impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("text_bytes", &self.text.len())
            .field("within", &self.within)
            .field("before", &self.before)
            .field("limit", &self.limit)
            .finish()
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The messages, the newest first, over all conversations: in the order in which they were committed. There may be
    /// fewer than asked for, or none, and more to come: what is damaged and cannot be read is left out.
    pub messages: Vec<MessageView>,
    /// Where the next page begins ([`Search::before`]); none when there are no more. Pages do not shift while messages
    /// arrive.
    pub next: Option<Position>,
    /// Whether everything there is was looked at. One search brings only so much into the index (20,000 messages, 32 MiB of
    /// texts, 100 batches of one conversation each); where there is more this is false, and the same search goes on with them when it is made again. Meanwhile the older messages
    /// of each conversation are found, for they are indexed in their order, and of several conversations those in which
    /// something was said lately come first. What is indexed later may belong on pages that were read already.
    pub complete: bool,
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

/// One of the terms that a message must have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The term; never empty.
    pub term: String,
    /// Whether a term that begins so will do.
    pub is_prefix: bool,
}

impl Wanted {
    /// Whether a message with these terms has it.
    pub fn is_among(&self, terms: &Terms) -> bool {
        let at = terms.0.partition_point(|term| *term < self.term);
        terms.0.get(at).is_some_and(|term| {
            if self.is_prefix { term.starts_with(&self.term) } else { *term == self.term }
        })
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("bytes", &self.term.len()).field("is_prefix", &self.is_prefix).finish()
    }
}

/// What a message must have to be found: all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<Wanted>);

impl Query {
    /// Most bytes of what is typed.
    pub const MAX_BYTES: usize = 256;
    /// Most terms of it; without spaces every two characters are one.
    pub const MAX: usize = 32;

    /// Reads what was typed: a message must have all words. The last one may also be the beginning of a word, unless
    /// something follows it that belongs to no word, such as a space; so one can search while one types. A character that
    /// stands alone where there are no spaces between words is looked for anywhere.
    ///
    /// # Errors
    /// When there is no word in it, or when it is too long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let field = "query";
        if text.len() > Self::MAX_BYTES {
            return Err(Error::TooLarge { field, limit: Self::MAX_BYTES, unit: "bytes" });
        }
        let mut wanted = BTreeSet::new();
        each_run(text, |run, is_last| {
            match run {
                Run::Word(word) => {
                    wanted.insert(Wanted { term: cut(word).to_owned(), is_prefix: is_last });
                }
                Run::Unspaced(run) => {
                    if run.chars().nth(1).is_none() {
                        wanted.insert(Wanted { term: run.to_owned(), is_prefix: true });
                    }
                    wanted.extend(pairs(run).map(|term| Wanted { term: term.to_owned(), is_prefix: false }));
                }
            }
            wanted.len() <= Self::MAX
        });
        if wanted.is_empty() {
            return Err(Error::Invalid { field, problem: "must have a letter or a digit" });
        }
        if wanted.len() > Self::MAX {
            return Err(Error::TooLarge { field, limit: Self::MAX, unit: "words" });
        }
        Ok(Self(wanted.into_iter().collect()))
    }

    /// A query of terms that were made otherwise, to test stores. There must be one, and none may be empty.
    pub fn of(wanted: impl IntoIterator<Item = Wanted>) -> Option<Self> {
        let wanted: BTreeSet<Wanted> = wanted.into_iter().collect();
        let is_good = !wanted.is_empty() && wanted.iter().all(|wanted| !wanted.term.is_empty());
        is_good.then(|| Self(wanted.into_iter().collect()))
    }

    /// What it asks for; at least one.
    pub fn wanted(&self) -> &[Wanted] {
        &self.0
    }

    /// Whether a message with these terms is found.
    pub fn finds(&self, terms: &Terms) -> bool {
        self.0.iter().all(|wanted| wanted.is_among(terms))
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
