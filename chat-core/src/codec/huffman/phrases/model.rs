//! The parts of a set of tables, as training creates them and a file stores them.

/// A phrase or the escape, by number.
pub(super) type Symbol = u16;

/// The longest code, in bits.
pub(super) const MAX_LEN: u8 = 15;

/// The longest phrase, in bytes.
pub(super) const MAX_PHRASE: usize = 16;

/// Every single byte is a phrase, with its value as its number. So every body can be encoded.
pub(super) const BYTES: usize = 256;

/// The escape in a context's code: the phrase follows in the code of all contexts. This is also the maximum number of
/// phrases of a set.
pub(super) const ESCAPE: Symbol = 4095;

/// The maximum number of contexts of a set.
pub(super) const MAX_CONTEXTS: usize = 64;

/// The number of marks in a [`Model`].
pub(super) const MARKS: usize = 1024;

/// A set of tables before it is prepared for use.
///
/// # Phrases and contexts
///
/// The alphabet consists of phrases: all single bytes, then byte strings found in training, in lexicographic order. The
/// previous phrase determines the *context* in which the next one is coded. Each context has its own code over the
/// phrases that are likely in it, and an escape. After an escape the phrase follows in the one code that all contexts
/// share and that contains all phrases. (Escaping to a less specific model is the idea of J. G. Cleary and I. H.
/// Witten, "Data compression using adaptive coding and partial string matching", 1984.)
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Model {
    /// The name of the set in reports.
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
    /// The cost of each mark, in quarters of a bit, at most 127. A mark is the hash of two adjacent bytes. The marks
    /// show which set suits a body without trying it. See `choose`.
    pub(super) marks: Box<[u8; MARKS]>,
}

/// The code of one context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Context {
    /// Length of the escape's code.
    pub(super) escape: u8,
    /// The code lengths by number; 0 for phrases that need the escape.
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
