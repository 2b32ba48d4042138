//! What people type into a search box, read once.
//!
//! # The language
//! In ABNF (RFC 5234), where `space` is any white space of Unicode and `quote` any of `"`, `“`, `”`, `„`, `«`, `»` and `＂`,
//! since keyboards make others of the first:
//!
//! ```text
//! query    = *space [ item *( 1*space item ) *space ]
//! item     = [ minus ] ( phrase / bare )
//! minus    = "-" / %x2212 / %xFF0D        ; hyphen-minus, minus sign, full-width hyphen-minus
//! phrase   = quote *( any but quote ) ( quote / end of the query )
//! bare     = ( any but space, and no quote at its beginning ) *( any but space )
//! ```
//! What follows the quote that ends a phrase is the next item, also without a space. A quote or a minus anywhere else is a
//! boundary of words like any other sign: `5"`, `e-mail` and `a - b` are what they look like. Every text is a query of
//! this language; what none of its rules gives a meaning to is passed over.
//!
//! # What it means
//! - A message must have all words of all items without a minus, in any order. The words of an item are those of
//!   [the module above](super), and no sign in it has a meaning: `AND`, `*` and `$gt` are words or nothing.
//! - The last word of the query, when nothing follows it that belongs to no word, may also be the beginning of a word; so
//!   one can search while one types. That holds in a phrase which is not ended yet, too, and not behind a minus.
//! - The words of a *phrase* must stand side by side, in this order, in the text or in the file name. What separates
//!   them makes no difference. Where there are no spaces between words, its characters must stand side by side.
//! - A message must not have what stands behind a minus: the word, or all its words side by side when there are several
//!   (`-"at six"`, `-e-mail`).
//! - One character of a script without spaces is looked for anywhere; several of them by pairs, as they are indexed.
//!
//! There is no "or", and there are no parentheses: an item is simple enough to be typed by mistake without harm.

use std::collections::BTreeSet;
use std::fmt;

use super::pattern::{Pattern, Tokens};
use super::words::{Run, each_run};
use super::{Terms, cut, pairs};
use crate::error::Error;

const FIELD: &str = "query";

/// One of the terms that a message must have, or must not have.
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

/// What a message must have and must not have to be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Terms of which the message must have all.
    wanted: Vec<Wanted>,
    /// Terms of which it must have none.
    unwanted: Vec<Wanted>,
    /// What is looked for, as it stands in texts, and its terms: to mark it, and to count how often it is there.
    sought: Vec<(Pattern, Vec<Wanted>)>,
    /// Those of them of which the index does not know whether they are there.
    phrases: Vec<Pattern>,
    /// What must not be in a text, where the index does not know it.
    unwanted_phrases: Vec<Pattern>,
}

impl Query {
    /// Most bytes of what is typed.
    pub const MAX_BYTES: usize = 256;
    /// Most different terms of it, wanted and unwanted; without spaces every two characters are one.
    pub const MAX: usize = 32;
    /// Most words of a phrase; without spaces every character is one.
    pub const MAX_PHRASE: usize = 32;

    /// Reads what was typed.
    ///
    /// # Errors
    /// When nothing in it is looked for, or when it is too long.
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

    /// A query of terms that were made otherwise, to test stores. There must be one, and none may be empty.
    pub fn of(wanted: impl IntoIterator<Item = Wanted>) -> Option<Self> {
        let wanted: BTreeSet<Wanted> = wanted.into_iter().collect();
        let is_good = !wanted.is_empty() && wanted.iter().all(|wanted| !wanted.term.is_empty());
        is_good.then(|| Self { wanted: wanted.into_iter().collect(), ..Self::default() })
    }

    /// The same without messages that have any of these, to test stores. None may be empty.
    pub fn without(self, unwanted: impl IntoIterator<Item = Wanted>) -> Option<Self> {
        let unwanted: Vec<Wanted> = unwanted.into_iter().collect();
        let is_good = unwanted.iter().all(|unwanted| !unwanted.term.is_empty());
        is_good.then_some(Self { unwanted, ..self })
    }

    /// The query that every message meets, whether it is in the index or not.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether every message meets it.
    pub fn is_everything(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The terms that a message must have; none only in [`Self::everything`].
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The terms that a message must not have; none in [`Self::everything`].
    pub fn unwanted(&self) -> &[Wanted] {
        &self.unwanted
    }

    /// Whether a message with these terms meets it, as far as terms tell: phrases are looked for in texts.
    pub fn finds(&self, terms: &Terms) -> bool {
        self.wanted.iter().all(|wanted| wanted.is_among(terms))
            && !self.unwanted.iter().any(|unwanted| unwanted.is_among(terms))
    }

    /// Whether the terms of a message do not tell whether it meets the query.
    pub(crate) fn needs_text(&self) -> bool {
        !self.phrases.is_empty() || !self.unwanted_phrases.is_empty()
    }

    /// Whether a message whose terms meet it does so altogether, given the words of its text and of its file name.
    pub(crate) fn is_met_by(&self, parts: &[&Tokens]) -> bool {
        let has = |pattern: &Pattern| parts.iter().any(|tokens| pattern.is_in(tokens));
        self.phrases.iter().all(has) && !self.unwanted_phrases.iter().any(has)
    }

    /// What is looked for, as it stands in texts.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.sought.iter().map(|(pattern, _)| pattern)
    }

    /// The same with the terms of each.
    pub(crate) fn sought(&self) -> &[(Pattern, Vec<Wanted>)] {
        &self.sought
    }
}

/// A part of what was typed.
struct Item<'a> {
    text: &'a str,
    is_unwanted: bool,
    is_phrase: bool,
    /// Whether the query ends with it.
    is_open: bool,
}

/// What is left to be read, an item at a time.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return None;
        }
        let after_minus = rest.strip_prefix(is_minus);
        // A minus that stands alone says nothing.
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

/// What was read so far.
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

/// What the words of a text are when they stand side by side, and the terms that a message has then. The last word may be
/// the beginning of one if the phrase is open. None when there are no words.
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

/// The terms of what is looked for where there are no spaces between words.
fn unspaced_terms(run: &str) -> impl Iterator<Item = Wanted> {
    // Every character begins a term.
    let alone = run.chars().nth(1).is_none().then(|| Wanted { term: run.to_owned(), is_prefix: true });
    alone.into_iter().chain(pairs(run).map(|term| Wanted { term: term.to_owned(), is_prefix: false }))
}

#[cfg(test)]
mod tests;
