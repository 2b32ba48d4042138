//! What a set of tables is made of, as the trainer makes it and a file holds it.

/// A phrase or the escape, by number.
pub(super) type Symbol = u16;

/// Longest code in bits.
pub(super) const MAX_LEN: u8 = 15;

/// Longest phrase in bytes.
pub(super) const MAX_PHRASE: usize = 16;

/// Every single byte is a phrase, with its value as its number; so there is a way to write any body.
pub(super) const BYTES: usize = 256;

/// In a context's code: the phrase follows in the code of all contexts. Also the number of phrases
/// a set can have at most.
pub(super) const ESCAPE: Symbol = 4095;

/// Most contexts of a set.
pub(super) const MAX_CONTEXTS: usize = 64;

/// Number of marks a [`Model`] knows of; see there.
pub(super) const MARKS: usize = 1024;

/// A set of tables before it is made ready for use.
///
/// # Phrases and contexts
///
/// The alphabet is made of phrases: all single bytes, then byte strings found in training, in
/// lexicographic order. The phrase that was written last decides in which *context* the next one
/// is written. Each context has a code of its own over the phrases that are likely in it, and an
/// escape; after an escape follows the phrase in the one code that all contexts share and that
/// knows all phrases. (The idea of escaping to a less specific model is that of J. G. Cleary and
/// I. H. Witten, "Data compression using adaptive coding and partial string matching", 1984.)
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Model {
    /// What the set is called in reports.
    pub(super) name: String,
    /// The phrases of two and more bytes, in lexicographic order: number [`BYTES`] and up.
    pub(super) phrases: Vec<Vec<u8>>,
    /// The context after each phrase, by number.
    pub(super) after: Vec<u8>,
    /// The context in which a body begins.
    pub(super) start: u8,
    /// Code lengths in the shared code, by number; none is 0.
    pub(super) shared: Vec<u8>,
    /// The contexts' own codes.
    pub(super) contexts: Vec<Context>,
    /// What each mark costs, in quarters of a bit, at most 127. A mark is the hash of two neighbouring bytes;
    /// they tell which set suits a body without trying it. See `choose`.
    pub(super) marks: Box<[u8; MARKS]>,
}

/// The code of one context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Context {
    /// Length of the escape's code.
    pub(super) escape: u8,
    /// Code lengths by number; 0 for phrases that are written with the escape.
    pub(super) lengths: Vec<u8>,
}

impl Model {
    /// The bytes of a phrase, by number.
    pub(super) fn phrase(&self, number: usize) -> Vec<u8> {
        match number.checked_sub(BYTES) {
            None => vec![number as u8],
            Some(at) => self.phrases[at].clone(),
        }
    }

    /// Number of phrases, single bytes included.
    pub(super) fn len(&self) -> usize {
        BYTES + self.phrases.len()
    }
}
