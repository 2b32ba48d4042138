//! Parses the text of a search box.
//!
//! # The language
//! In ABNF (RFC 5234), where `space` is any whitespace of Unicode and `quote` is any of `"`, `“`, `”`, `„`, `«`, `»`
//! and `＂`, because keyboards replace `"` by the others:
//!
//! ```text
//! query    = *space [ item *( 1*space item ) *space ]
//! item     = [ minus ] ( phrase / bare )
//! minus    = "-" / %x2212 / %xFF0D        ; hyphen-minus, minus sign, full-width hyphen-minus
//! phrase   = quote *( any but quote ) ( quote / end of the query )
//! bare     = ( any but space, and no quote at its beginning ) *( any but space )
//! ```
//! After the quote that ends a phrase the next item begins, even without a space. A quote or minus anywhere else
//! separates words like any other punctuation: `5"`, `e-mail` and `a - b` have no special meaning. Every text is a
//! valid query; parts without a meaning are ignored.
//!
//! # What it means
//! - A message must contain all words of all items without a minus, in any order. The words of an item are those of
//!   [the module above](super). No other character is an operator: `AND`, `*` and `$gt` are words or nothing.
//! - The last word of the query may also be the beginning of a word, unless a separator follows it. So users can search
//!   while they type. This also applies in a phrase that has not ended, but not after a minus.
//! - The words of a *phrase* must be adjacent, in this order, in the text or in the file name. What separates them
//!   makes no difference. In scripts without spaces the characters must be adjacent.
//! - A message must not contain what follows a minus: the word, or, if there are several words, all of them adjacent
//!   (`-"at six"`, `-e-mail`).
//! - A single character of a script without spaces is searched anywhere; several characters are searched as pairs, as
//!   they are indexed.
//!
//! There is no "or" and there are no parentheses: the language is simple enough that a typing mistake does no harm.

use std::collections::BTreeSet;
use std::fmt;

use super::pattern::{Pattern, Tokens};
use super::words::{Run, each_run};
use super::{Terms, cut, pairs};
use crate::error::Error;

const FIELD: &str = "query";

/// A term that a message must contain, or must not contain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The term; never empty.
    pub term: String,
    /// Whether terms that begin with it match.
    pub is_prefix: bool,
}

impl Wanted {
    /// Whether a message with these terms contains it.
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

/// The condition that a message must meet to be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Terms that the message must contain, all of them.
    wanted: Vec<Wanted>,
    /// Terms that the message must not contain.
    unwanted: Vec<Wanted>,
    /// The searched patterns with their terms, for marking and counting matches.
    sought: Vec<(Pattern, Vec<Wanted>)>,
    /// Those patterns that the index alone cannot decide.
    phrases: Vec<Pattern>,
    /// Patterns that a text must not contain and that the index alone cannot decide.
    unwanted_phrases: Vec<Pattern>,
}

impl Query {
    /// The maximum length of a query in bytes.
    pub const MAX_BYTES: usize = 256;
    /// The maximum number of different terms, wanted and unwanted. In scripts without spaces each pair of characters is
    /// a term.
    pub const MAX: usize = 32;
    /// The maximum number of words of a phrase. In scripts without spaces each character is a word.
    pub const MAX_PHRASE: usize = 32;

    /// Parses a query.
    ///
    /// # Errors
    /// When it searches for nothing, or is too long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_BYTES {
            return Err(Error::TooLarge { field: FIELD, limit: Self::MAX_BYTES, unit: "bytes" });
        }
        let mut parts = Parts::default();
        for item in Items(text) {
            if item.is_unwanted {
                parts.leave_out(&item)?;
            } else if item.is_phrase {
                parts.look_for_phrase(&item)?;
            } else {
                parts.look_for_words(&item);
            }
        }
        parts.finish()
    }

    /// A query of given terms, for tests of stores. There must be at least one term, and none may be empty.
    pub fn of(wanted: impl IntoIterator<Item = Wanted>) -> Option<Self> {
        let wanted: BTreeSet<Wanted> = wanted.into_iter().collect();
        let is_good = !wanted.is_empty() && wanted.iter().all(|wanted| !wanted.term.is_empty());
        is_good.then(|| Self { wanted: wanted.into_iter().collect(), ..Self::default() })
    }

    /// The same query without messages that contain any of these terms, for tests of stores. None may be empty.
    pub fn without(self, unwanted: impl IntoIterator<Item = Wanted>) -> Option<Self> {
        let unwanted: Vec<Wanted> = unwanted.into_iter().collect();
        let is_good = unwanted.iter().all(|unwanted| !unwanted.term.is_empty());
        is_good.then_some(Self { unwanted, ..self })
    }

    /// The query that matches every message, indexed or not.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether it matches every message.
    pub fn is_everything(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The terms that a message must contain. They are empty only in [`Self::everything`].
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The terms that a message must not contain. They are empty in [`Self::everything`].
    pub fn unwanted(&self) -> &[Wanted] {
        &self.unwanted
    }

    /// Whether a message with these terms matches, as far as terms can decide. Phrases are checked in the texts.
    pub fn finds(&self, terms: &Terms) -> bool {
        self.wanted.iter().all(|wanted| wanted.is_among(terms))
            && !self.unwanted.iter().any(|unwanted| unwanted.is_among(terms))
    }

    /// Whether the terms of a message are not enough to decide.
    pub(crate) fn needs_text(&self) -> bool {
        !self.phrases.is_empty() || !self.unwanted_phrases.is_empty()
    }

    /// Whether a message whose terms match also matches by the words of its text and of its file name.
    pub(crate) fn is_met_by(&self, parts: &[&Tokens]) -> bool {
        let has = |pattern: &Pattern| parts.iter().any(|tokens| pattern.is_in(tokens));
        self.phrases.iter().all(has) && !self.unwanted_phrases.iter().any(has)
    }

    /// The searched patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.sought.iter().map(|(pattern, _)| pattern)
    }

    /// The searched patterns with the terms of each.
    pub(crate) fn sought(&self) -> &[(Pattern, Vec<Wanted>)] {
        &self.sought
    }
}

/// An item of a query.
struct Item<'a> {
    text: &'a str,
    is_unwanted: bool,
    is_phrase: bool,
    /// Whether the query ends with it.
    is_open: bool,
}

/// Iterates over the items of the rest of a query.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return None;
        }
        let after_minus = rest.strip_prefix(is_minus);
        // A minus that stands alone has no meaning.
        let after_minus =
            after_minus.filter(|rest| !rest.is_empty() && !rest.starts_with(char::is_whitespace));
        let (rest, is_unwanted) = (after_minus.unwrap_or(rest), after_minus.is_some());
        let (text, is_phrase, after) = match rest.strip_prefix(is_quote) {
            Some(phrase) => {
                let (text, after) = phrase.split_at(phrase.find(is_quote).unwrap_or(phrase.len()));
                (text, true, after)
            }
            None => {
                let (text, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                (text, false, after)
            }
        };
        self.0 = if is_phrase { after.strip_prefix(is_quote).unwrap_or(after) } else { after };
        Some(Item { text, is_unwanted, is_phrase, is_open: after.is_empty() })
    }
}

fn is_minus(c: char) -> bool {
    matches!(c, '-' | '\u{2212}' | '\u{ff0d}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»' | '＂')
}

/// The items that were parsed so far.
#[derive(Default)]
struct Parts {
    wanted: BTreeSet<Wanted>,
    unwanted: BTreeSet<Wanted>,
    query: Query,
}

impl Parts {
    fn look_for_words(&mut self, item: &Item<'_>) {
        each_run(item.text, |run, is_last| {
            match run {
                Run::Word(word) => {
                    let is_prefix = is_last && item.is_open;
                    let term = Wanted { term: cut(word).to_owned(), is_prefix };
                    self.wanted.insert(term.clone());
                    self.note(Pattern::word(cut(word), is_prefix), vec![term]);
                }
                Run::Unspaced(run) => {
                    for (pattern, term) in Pattern::pairs(run).zip(unspaced_terms(run)) {
                        self.wanted.insert(term.clone());
                        self.note(pattern, vec![term]);
                    }
                }
            }
            self.wanted.len() <= Query::MAX
        });
    }

    fn look_for_phrase(&mut self, item: &Item<'_>) -> Result<(), Error> {
        let Some((phrase, terms)) = phrase(item.text, item.is_open)? else { return Ok(()) };
        self.wanted.extend(terms.iter().cloned());
        if !phrase.is_one_term() {
            self.query.phrases.push(phrase.clone());
        }
        self.note(phrase, terms);
        Ok(())
    }

    fn leave_out(&mut self, item: &Item<'_>) -> Result<(), Error> {
        let Some((phrase, mut terms)) = phrase(item.text, false)? else { return Ok(()) };
        if phrase.is_one_term() {
            self.unwanted.extend(terms.pop());
        } else {
            self.query.unwanted_phrases.push(phrase);
        }
        Ok(())
    }

    fn note(&mut self, pattern: Pattern, terms: Vec<Wanted>) {
        if !self.query.sought.iter().any(|(known, _)| *known == pattern) {
            self.query.sought.push((pattern, terms));
        }
    }

    fn finish(self) -> Result<Query, Error> {
        let Self { wanted, unwanted, query } = self;
        let is_without = !unwanted.is_empty() || !query.unwanted_phrases.is_empty();
        if wanted.is_empty() {
            let problem = match is_without {
                true => "must have a word that is looked for, besides those that are left out",
                false => "must have a letter or a digit",
            };
            return Err(Error::Invalid { field: FIELD, problem });
        }
        if wanted.len() + unwanted.len() > Query::MAX {
            return Err(Error::TooLarge { field: FIELD, limit: Query::MAX, unit: "words" });
        }
        let (wanted, unwanted) = (wanted.into_iter().collect(), unwanted.into_iter().collect());
        Ok(Query { wanted, unwanted, ..query })
    }
}

/// The pattern of the adjacent words of a text, and the terms that a message with them has. In an open phrase the last
/// word may be the beginning of a word. `None` when there are no words.
fn phrase(text: &str, is_open: bool) -> Result<Option<(Pattern, Vec<Wanted>)>, Error> {
    let (mut phrase, mut terms) = (Pattern::default(), Vec::new());
    each_run(text, |run, is_last| {
        match run {
            Run::Word(word) => {
                let is_prefix = is_last && is_open;
                phrase.push_word(cut(word), is_prefix);
                terms.push(Wanted { term: cut(word).to_owned(), is_prefix });
            }
            Run::Unspaced(run) => {
                phrase.push_unspaced(run);
                terms.extend(unspaced_terms(run));
            }
        }
        phrase.len() <= Query::MAX_PHRASE
    });
    if phrase.len() > Query::MAX_PHRASE {
        return Err(Error::TooLarge { field: FIELD, limit: Query::MAX_PHRASE, unit: "words in one phrase" });
    }
    Ok((phrase.len() > 0).then_some((phrase, terms)))
}

/// The terms of a search in a script without spaces.
fn unspaced_terms(run: &str) -> impl Iterator<Item = Wanted> {
    // Every character begins a term, so a single character is a prefix.
    let alone = run.chars().nth(1).is_none().then(|| Wanted { term: run.to_owned(), is_prefix: true });
    alone.into_iter().chain(pairs(run).map(|term| Wanted { term: term.to_owned(), is_prefix: false }))
}

#[cfg(test)]
mod tests;
