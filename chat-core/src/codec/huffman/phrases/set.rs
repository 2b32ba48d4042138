//! A set of tables that is ready for use.

use super::file::TableError;
use super::finder::Finder;
use super::model::{BYTES, ESCAPE, MAX_CONTEXTS, MAX_LEN, MAX_PHRASE, Model, Symbol};
use super::row::Row;

/// Phrases, contexts and their codes, laid out for encoding and decoding.
///
/// It takes about 180 KB, and 6.5 KB for each context.
#[derive(Debug)]
pub(in crate::codec) struct TableSet {
    /// The bytes of all phrases, one after the other, followed by as many zeros as the longest phrase has bytes, so
    /// that [`MAX_PHRASE`] bytes can be copied from the beginning of any phrase.
    text: Box<[u8]>,
    /// The phrases, by number.
    phrases: Box<[Phrase]>,
    /// The context in which a body begins.
    pub(super) start: u8,
    pub(super) finder: Finder,
    /// The number of bits of a phrase in a context, including the escape, by context and number.
    costs: Box<[ByPhrase]>,
    /// The context after each phrase, by number. It is the same as in `phrases`, but needs no bounds check.
    after: Box<ByPhrase>,
    /// The code of all contexts.
    pub(super) shared: Row,
    /// The code and its length of each phrase in the shared code, by number.
    pub(super) shared_codes: Box<[(u16, u8)]>,
    contexts: Box<[Context]>,
}

/// A value for every phrase, by number. It has room for all possible numbers, so that a look-up needs no bounds check.
pub(super) type ByPhrase = [u8; 1 << 12];

/// One phrase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrase {
    start: u16,
    len: u8,
    /// The context after it.
    pub(super) after: u8,
}

/// The code of one context.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) row: Row,
    /// Length of the escape's code.
    pub(super) escape: u8,
}

impl TableSet {
    /// Checks a model and prepares it for use.
    pub(super) fn new(model: &Model) -> Result<TableSet, TableError> {
        let count = model.len();
        let phrases = &model.phrases;
        if !phrases.iter().all(|phrase| (2..=MAX_PHRASE).contains(&phrase.len())) {
            return Err(TableError::Invalid("a phrase is too short or too long"));
        }
        if !phrases.is_sorted_by(|a, b| a < b) {
            return Err(TableError::Invalid("the phrases are not in order"));
        }
        if count > usize::from(ESCAPE) || model.contexts.len() > MAX_CONTEXTS {
            return Err(TableError::Invalid("there are too many phrases or contexts"));
        }
        let is_context = |&context: &u8| usize::from(context) < model.contexts.len();
        if model.after.len() != count || !model.after.iter().chain([&model.start]).all(is_context) {
            return Err(TableError::Invalid("a context does not exist"));
        }

        if model.shared.len() != count || model.shared.contains(&0) {
            return Err(TableError::Invalid("the shared code does not know every phrase"));
        }
        let incomplete = TableError::Invalid("a code is not complete");
        let shared = Row::new((0..).zip(model.shared.iter().copied())).ok_or(incomplete)?;
        let shared_code = |(phrase, &len): (Symbol, &u8)| shared.code(phrase, len).map(|code| (code, len));
        let shared_codes: Option<Box<[_]>> = (0..).zip(&model.shared).map(shared_code).collect();
        let mut contexts = Vec::with_capacity(model.contexts.len());
        let mut costs = Vec::with_capacity(model.contexts.len());
        for context in &model.contexts {
            if context.lengths.len() != count || context.escape == 0 {
                return Err(incomplete);
            }
            let lengths = (0..).zip(context.lengths.iter().copied());
            let row = Row::new(lengths.chain([(ESCAPE, context.escape)])).ok_or(incomplete)?;
            contexts.push(Context { row, escape: context.escape });
            let cost = |(&own, &shared)| if own == 0 { context.escape + shared } else { own };
            costs.push(by_phrase(context.lengths.iter().zip(&model.shared).map(cost)));
        }

        let mut text = Vec::new();
        let mut placed = Vec::with_capacity(count);
        for (number, &after) in model.after.iter().enumerate() {
            let phrase = model.phrase(number);
            placed.push(Phrase { start: text.len() as u16, len: phrase.len() as u8, after });
            text.extend(phrase);
        }
        text.extend([0; MAX_PHRASE]);
        let mut sorted: Vec<(Vec<u8>, Symbol)> =
            (0..count).map(|at| (model.phrase(at), at as Symbol)).collect();
        sorted.sort_unstable();
        let sorted: Vec<(&[u8], Symbol)> = sorted.iter().map(|(text, at)| (&text[..], *at)).collect();
        Ok(TableSet {
            text: text.into(),
            phrases: placed.into(),
            start: model.start,
            finder: Finder::new(&sorted).ok_or(TableError::Invalid("there are too many phrases"))?,
            costs: costs.into(),
            after: Box::new(by_phrase(model.after.iter().copied())),
            shared_codes: shared_codes.ok_or(incomplete)?,
            shared,
            contexts: contexts.into(),
        })
    }

    /// The phrase with this number. Numbers come from this set's finder and codes.
    #[inline]
    pub(super) fn phrase(&self, number: Symbol) -> Phrase {
        self.phrases[usize::from(number)]
    }

    /// [`MAX_PHRASE`] bytes that begin with `phrase`.
    #[inline]
    pub(super) fn text(&self, phrase: Phrase) -> &[u8; MAX_PHRASE] {
        const NOTHING: &[u8; MAX_PHRASE] = &[0; MAX_PHRASE];
        self.text.get(usize::from(phrase.start)..).and_then(<[u8]>::first_chunk).unwrap_or(NOTHING)
    }

    #[inline]
    pub(super) fn context(&self, context: u8) -> &Context {
        &self.contexts[usize::from(context)]
    }

    /// The cost of each phrase in `context`, in bits.
    #[inline]
    pub(super) fn costs(&self, context: u8) -> &ByPhrase {
        &self.costs[usize::from(context)]
    }

    /// The context after each phrase.
    #[inline]
    pub(super) fn after(&self) -> &ByPhrase {
        &self.after
    }

    /// The memory in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let rows = self.contexts.iter().map(|context| size_of::<Context>() + context.row.memory());
        size_of_val(&*self.text)
            + size_of_val(&*self.phrases)
            + size_of_val(&*self.costs)
            + size_of_val(&*self.after)
            + size_of_val(&*self.shared_codes)
            + self.finder.memory()
            + self.shared.memory()
            + rows.sum::<usize>()
    }
}

fn by_phrase(values: impl Iterator<Item = u8>) -> ByPhrase {
    let mut by_phrase = [0; 1 << 12];
    by_phrase.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    by_phrase
}

/// Looks up the value of a phrase.
#[inline]
pub(super) fn of(values: &ByPhrase, phrase: Symbol) -> u8 {
    values[usize::from(phrase) % values.len()]
}

impl Phrase {
    #[inline]
    pub(super) fn len(self) -> usize {
        self.len.into()
    }
}

// A single byte is its own number.
const _: () = assert!(BYTES == 256 && MAX_LEN as usize * 2 <= 30);
