//! Table files: a [`Model`] in compressed form.
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | `CHT1` |
//! | 1, n | length of the name, the name in UTF-8 |
//! | 2 | number of phrases with the 256 single bytes, least byte first |
//! | 1 | number of contexts |
//! | … | everything else, range-coded as `Walk` goes through it |
//! | 8 | FNV-1a of all before, least byte first |
//!
//! The hash detects damage. It is also the set's fingerprint, to which frames refer.

use super::model::{BYTES, Context, ESCAPE, MARKS, MAX_CONTEXTS, MAX_LEN, MAX_PHRASE, Model};
#[cfg(any(feature = "train", test))]
use super::range::Writer;
use super::range::{Bits, Chance, Reader};

/// The number of classes of byte pairs in phrases.
const PAIRS: usize = 2048;

const MAGIC: &[u8; 4] = b"CHT1";

/// The file is not a valid set of tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file is of another format, or of a later release.
    #[error("not a table file of this release (it does not begin with CHT1)")]
    Foreign,
    /// The file was truncated or changed.
    #[error("the table file is damaged (its checksum is wrong)")]
    Damaged,
    /// The content is inconsistent, because a faulty program created it.
    #[error("the table file is invalid: {0}")]
    Invalid(
        /// The problem.
        &'static str,
    ),
    /// There are more files than can be loaded: see [`OwnTables::MAX`](super::OwnTables::MAX).
    #[error("there are more than 16 table files")]
    TooMany,
    /// Frames cannot distinguish two loaded sets.
    #[error(
        "two table files have the fingerprint {fingerprint:#06x}; train one of them again under another name"
    )]
    Ambiguous {
        /// The fingerprint of both sets.
        fingerprint: u16,
    },
}

/// Packs a set.
#[cfg(any(feature = "train", test))]
pub(super) fn pack(model: &Model) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.push(model.name.len() as u8);
    file.extend_from_slice(model.name.as_bytes());
    file.extend_from_slice(&(model.len() as u16).to_le_bytes());
    file.push(model.contexts.len() as u8);

    let mut bits = Writer::new();
    Walk::new(&mut bits).model(&mut model.clone());
    file.extend(bits.finish());
    let hash = fnv(&file);
    file.extend_from_slice(&hash.to_le_bytes());
    file
}

/// Unpacks a set. Returns the set and its hash.
///
/// The result has the right shape, but the codes are not checked for completeness yet.
pub(super) fn unpack(file: &[u8]) -> Result<(Model, u64), TableError> {
    let rest = file.strip_prefix(MAGIC).ok_or(TableError::Foreign)?;
    let (content, hash) = file.split_last_chunk().ok_or(TableError::Damaged)?;
    let hash = u64::from_le_bytes(*hash);
    if fnv(content) != hash {
        return Err(TableError::Damaged);
    }

    let Header { name, count, contexts, packed } =
        Header::parse(rest).ok_or(TableError::Invalid("it ends in its header"))?;
    if !(BYTES..=usize::from(ESCAPE)).contains(&count) {
        return Err(TableError::Invalid("the number of phrases is out of bounds"));
    }
    if !(1..=MAX_CONTEXTS).contains(&contexts) {
        return Err(TableError::Invalid("the number of contexts is out of bounds"));
    }

    let context = Context { escape: 0, lengths: vec![0; count] };
    let mut model = Model {
        name: String::from_utf8(name.to_vec()).map_err(|_| TableError::Invalid("the name is not UTF-8"))?,
        phrases: vec![Vec::new(); count - BYTES],
        after: vec![0; count],
        start: 0,
        shared: vec![0; count],
        contexts: vec![context; contexts],
        marks: Box::new([0; MARKS]),
    };
    Walk::new(&mut Reader::new(packed)).model(&mut model);
    Ok((model, hash))
}

/// The costs of the marks in a file, without unpacking all of it, or `None` if it is not a table file.
pub(super) fn marks(file: &[u8]) -> Option<[u8; MARKS]> {
    let header = Header::parse(file.strip_prefix(MAGIC)?)?;
    let mut marks = [0; MARKS];
    Walk::new(&mut Reader::new(header.packed)).marks(&mut marks);
    Some(marks)
}

/// The header of a file, and its packed content.
struct Header<'a> {
    name: &'a [u8],
    count: usize,
    contexts: usize,
    packed: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(rest: &'a [u8]) -> Option<Header<'a>> {
        let (&name_len, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(name_len.into())?;
        let (&count, rest) = rest.split_first_chunk()?;
        let (&contexts, packed) = rest.split_first()?;
        Some(Header { name, count: u16::from_le_bytes(count).into(), contexts: contexts.into(), packed })
    }
}

/// FNV-1a with 64 bits (draft-eastlake-fnv).
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// A file with a valid checksum for any content.
#[cfg(test)]
pub(super) fn with_checksum(count: u16, contexts: u8, packed: &[u8]) -> Vec<u8> {
    let mut file = [&MAGIC[..], &[0], &count.to_le_bytes(), &[contexts], packed].concat();
    let hash = fnv(&file);
    file.extend_from_slice(&hash.to_le_bytes());
    file
}

/// Visits a model in one fixed order and passes each number through the coder, in either direction: existing values are
/// written, or values that were read are stored.
struct Walk<'a, B> {
    bits: &'a mut B,
}

impl<'a, B: Bits> Walk<'a, B> {
    fn new(bits: &'a mut B) -> Self {
        Walk { bits }
    }

    fn model(&mut self, model: &mut Model) {
        self.marks(&mut model.marks);
        self.phrases(&mut model.phrases);
        self.contexts_after(model);
        self.shared(model);
        self.context_codes(model);
    }

    fn marks(&mut self, marks: &mut [u8; MARKS]) {
        let mut chances = [Chance::EVEN; 128];
        for cost in marks {
            *cost = self.bits.number(&mut chances, 7, (*cost).into()) as u8;
        }
    }

    /// Codes each phrase as the length of its common prefix with the previous one, the length of the rest, and the
    /// rest. Each byte is conditioned on the previous byte and on the previous two bytes.
    fn phrases(&mut self, phrases: &mut [Vec<u8>]) {
        let mut common_chances = vec![[Chance::EVEN; 16]; 17];
        let mut rest_chances = vec![[Chance::EVEN; 16]; 16];
        let mut byte_chances = vec![[Chance::EVEN; 256]; 256];
        let mut pair_chances = vec![[Chance::EVEN; 256]; PAIRS];
        let mut before: Vec<u8> = Vec::new();
        for phrase in phrases {
            let common = before.iter().zip(&*phrase).take_while(|(a, b)| a == b).count().min(MAX_PHRASE - 1);
            let chances = &mut common_chances[before.len()];
            let common = self.bits.number(chances, 4, common as u32) as usize;
            let rest = phrase.len().saturating_sub(common + 1);
            let rest = self.bits.number(&mut rest_chances[common], 4, rest as u32) as usize + 1;

            // A faulty file could request more than exists, or more than fits.
            let len = (common + rest).min(MAX_PHRASE);
            let common = common.min(before.len()).min(len);
            phrase.resize(len, 0);
            phrase[..common].copy_from_slice(&before[..common]);
            for at in common..len {
                let [second_last, last] = [2, 1].map(|back| at.checked_sub(back).map_or(0, |at| phrase[at]));
                let first = usize::from(at == common);
                let narrow = (usize::from(last) * 31 + usize::from(second_last) * 731 + first) % PAIRS;
                let wide = &mut byte_chances[usize::from(last)];
                phrase[at] =
                    self.bits.number_of_both(&mut pair_chances[narrow], wide, 8, phrase[at].into()) as u8;
            }
            before.clone_from(phrase);
        }
    }

    /// The context after each phrase, conditioned on the phrase's last byte.
    fn contexts_after(&mut self, model: &mut Model) {
        let mut chances = vec![[Chance::EVEN; 64]; 257];
        model.start = self.bits.number(&mut chances[256], 6, model.start.into()) as u8;
        for number in 0..model.len() {
            let last = model.phrase(number).last().copied().unwrap_or(0);
            let chances = &mut chances[usize::from(last)];
            model.after[number] = self.bits.number(chances, 6, model.after[number].into()) as u8;
        }
    }

    /// The lengths of the shared code, conditioned on the phrase's length.
    fn shared(&mut self, model: &mut Model) {
        let mut chances = vec![[Chance::EVEN; 16]; 18];
        for number in 0..model.len() {
            let kind = if number < BYTES { 17 } else { model.phrase(number).len() };
            let len = self.bits.number(&mut chances[kind], 4, model.shared[number].into()) as u8;
            model.shared[number] = len.min(MAX_LEN);
        }
    }

    /// The lengths of the contexts' codes, conditioned on the phrase's codes in previous contexts and on the codes of
    /// other phrases in this context.
    fn context_codes(&mut self, model: &mut Model) {
        let mut escapes = [Chance::EVEN; 16];
        // Indexed by the number of contexts (up to 7) that had the phrase, its shortest code, and its shared code.
        let mut known_before = vec![[[Chance::EVEN; 16]; 16]; 8];
        // Indexed by the shortest code and the length of the escape.
        let mut lengths_before = vec![[[Chance::EVEN; 16]; 16]; 16];
        let mut had = vec![0_usize; model.len()];
        let mut shortest = vec![0_usize; model.len()];
        for context in &mut model.contexts {
            let mut known_here = [[Chance::EVEN; 16]; 8];
            let mut lengths_here = [[Chance::EVEN; 16]; 16];
            let escape = self.bits.number(&mut escapes, 4, context.escape.into());
            context.escape = escape as u8;
            for (number, len) in context.lengths.iter_mut().enumerate() {
                let (had, shortest) = (&mut had[number], &mut shortest[number]);
                let before = &mut known_before[*had][*shortest][usize::from(model.shared[number])];
                let here = &mut known_here[*had][*shortest];
                if !self.bits.bit_of_both(before, here, *len != 0) {
                    *len = 0;
                    continue;
                }
                let before = &mut lengths_before[*shortest][escape as usize];
                let here = &mut lengths_here[*shortest];
                *len = self.bits.number_of_both(here, before, 4, (*len).into()) as u8;
                *had = (*had + 1).min(7);
                *shortest = if *shortest == 0 { usize::from(*len) } else { (*shortest).min((*len).into()) };
            }
        }
    }
}
