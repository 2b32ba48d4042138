//! Adjacent words in a text. The index contains the words of a message, but not their positions.

use std::fmt;
use std::ops::Range;

use super::words::{Run, each_run};
use super::{cut, head};

/// The words of a text in order. In scripts without spaces every character is a word.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// The letters of all words, concatenated.
    letters: String,
    tokens: Vec<Token>,
}

#[derive(PartialEq, Eq)]
struct Token {
    /// The end of its letters. They begin at the end of the previous word.
    end: usize,
    /// Whether it is a character that directly follows the previous one.
    is_joined: bool,
}

impl Tokens {
    /// The words of the indexed part of a text.
    pub(crate) fn of(text: &str) -> Self {
        let mut tokens = Self::default();
        each_run(head(text), |run, _| {
            match run {
                Run::Word(word) => tokens.push(cut(word), false),
                Run::Unspaced(run) => tokens.push_unspaced(run),
            }
            true
        });
        tokens
    }

    /// Adds a word or a character.
    pub(super) fn push(&mut self, letters: &str, is_joined: bool) {
        self.letters.push_str(letters);
        self.tokens.push(Token { end: self.letters.len(), is_joined });
    }

    fn push_unspaced(&mut self, run: &str) {
        for (at, c) in run.char_indices() {
            self.push(c.encode_utf8(&mut [0; 4]), at > 0);
        }
    }

    /// The number of words.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    fn letters(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.tokens[before].end);
        &self.letters[start..self.tokens[at].end]
    }
}

/// One word, or several adjacent words.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
struct Part {
    letters: String,
    /// Whether words that begin with the letters match.
    is_prefix: bool,
    /// Whether it is a character that must directly follow the previous one.
    is_joined: bool,
}

impl Pattern {
    /// A single word.
    pub(super) fn word(word: &str, is_prefix: bool) -> Self {
        Self(vec![Part { letters: word.to_owned(), is_prefix, is_joined: false }])
    }

    /// All pairs of adjacent characters in a run without spaces, or its only character.
    pub(super) fn pairs(run: &str) -> impl Iterator<Item = Self> {
        let mut whole = Self::default();
        whole.push_unspaced(run);
        let parts = whole.0;
        let width = parts.len().min(2);
        (0..(parts.len() + 1).saturating_sub(width.max(1))).map(move |at| {
            let mut parts = parts[at..at + width].to_vec();
            parts.iter_mut().take(1).for_each(|first| first.is_joined = false);
            Self(parts)
        })
    }

    pub(super) fn push_word(&mut self, word: &str, is_prefix: bool) {
        self.0.push(Part { letters: word.to_owned(), is_prefix, is_joined: false });
    }

    pub(super) fn push_unspaced(&mut self, run: &str) {
        let parts = run.char_indices();
        let part = |(at, c): (usize, char)| Part { letters: c.into(), is_prefix: false, is_joined: at > 0 };
        self.0.extend(parts.map(part));
    }

    /// The number of words.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is a single term of the index. Then the index alone can answer.
    pub(super) fn is_one_term(&self) -> bool {
        match &*self.0 {
            [_] => true,
            [_, second] => second.is_joined,
            _ => false,
        }
    }

    /// Whether a text contains it.
    pub(crate) fn is_in(&self, tokens: &Tokens) -> bool {
        self.places(tokens).next().is_some()
    }

    /// Where a text contains it. Overlapping matches count too.
    pub(crate) fn places<'a>(&'a self, tokens: &'a Tokens) -> impl Iterator<Item = Range<usize>> + 'a {
        let last = (tokens.len() + 1).saturating_sub(self.len().max(1));
        (0..last).filter(|at| self.is_at(*at, tokens)).map(|at| at..at + self.len())
    }

    fn is_at(&self, at: usize, tokens: &Tokens) -> bool {
        (at..).zip(&self.0).all(|(at, part)| {
            let letters = tokens.letters(at);
            let is_same = match part.is_prefix {
                true => letters.starts_with(&part.letters),
                false => letters == part.letters,
            };
            is_same && (!part.is_joined || tokens.tokens[at].is_joined)
        })
    }
}

// Search terms must never be logged.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.len())
    }
}
