//! Making a set of tables from messages.
//!
//! 1. Byte strings that occur often are candidates for phrases (`candidates`).
//! 2. Those that help least are dropped until as many are left as wanted (`vocabulary`).
//! 3. The messages are cut into phrases; phrases after which similar ones follow share a context
//!    (`contexts`); each context gets a code (`codes`). With the codes the messages are cut anew,
//!    some times over: each round makes the cuts fit the codes and the codes fit the cuts.
//!
//! Equal messages in equal order give an equal file with the same build of the program.

mod candidates;
mod codes;
mod contexts;
mod vocabulary;

use std::ops::RangeInclusive;

use self::codes::Pairs;
use super::choose;
use super::file;
use super::model::{BYTES, ESCAPE, MARKS, MAX_CONTEXTS, Model};
use super::set::TableSet;

/// What to train.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What the set is called in reports; at most 255 bytes.
    pub name: String,
    /// Most phrases, single bytes included: 257 to 4,095. More of them compress better and make the
    /// file larger; with few messages there may be fewer.
    pub phrases: usize,
    /// Most contexts: 2 to 64. Each takes 6.5 KB of memory when the set is in use.
    pub contexts: usize,
}

/// Numbers of phrases that a [`Plan`] may ask for.
pub const PHRASES: RangeInclusive<usize> = BYTES + 1..=ESCAPE as usize;

/// Numbers of contexts that a [`Plan`] may ask for.
pub const CONTEXTS: RangeInclusive<usize> = 2..=MAX_CONTEXTS;

/// Fewest bytes of messages that a set can be trained on. For tables that are worth their place
/// some hundred kilobytes are needed.
pub const MIN_BYTES: usize = 10_000;

/// Why no set was trained.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The plan asks for something a set cannot have.
    #[error("{field} must be {from} to {to}")]
    OutOfBounds {
        /// The field of the plan.
        field: &'static str,
        /// Its least value.
        from: usize,
        /// Its greatest value.
        to: usize,
    },
    /// There is too little to learn from.
    #[error("{bytes} bytes of messages are too few to learn from; {MIN_BYTES} are the least")]
    TooLittle {
        /// How many there were.
        bytes: usize,
    },
    /// The set that was made is not sound: a fault of the trainer.
    #[error(transparent)]
    Unsound(#[from] file::TableError),
}

/// How often the messages are cut anew with the codes made from the cuts before. The third time
/// still gained 0.1 %, the fourth nothing that would be seen.
const ROUNDS: usize = 4;

/// Trains a set on `messages` and answers with its file.
///
/// Takes some seconds for each megabyte, and memory for some fifty times the size of the messages.
///
/// # Errors
///
/// [`TrainError::OutOfBounds`] and [`TrainError::TooLittle`] for a plan and messages that cannot
/// become a set.
pub fn train(plan: &Plan, messages: &[&[u8]]) -> Result<Vec<u8>, TrainError> {
    let bounds = [
        ("the length of the name", &(0..=255), plan.name.len()),
        ("phrases", &PHRASES, plan.phrases),
        ("contexts", &CONTEXTS, plan.contexts),
    ];
    for (field, range, value) in bounds {
        if !range.contains(&value) {
            return Err(TrainError::OutOfBounds { field, from: *range.start(), to: *range.end() });
        }
    }
    let bytes = messages.iter().map(|message| message.len()).sum();
    if bytes < MIN_BYTES {
        return Err(TrainError::TooLittle { bytes });
    }

    let phrases = vocabulary::choose(candidates::find(messages), plan.phrases, messages);
    let mut pairs = vocabulary::cut(&phrases, messages);
    let mut after = contexts::cluster(&pairs, plan.contexts, None);
    let mut model = model(plan, phrases, &after, &pairs, messages);
    for _ in 0..ROUNDS {
        let set = TableSet::new(&model)?;
        pairs = cut(&set, model.len(), messages);
        after = contexts::cluster(&pairs, plan.contexts, Some(after));
        model = self::model(plan, std::mem::take(&mut model.phrases), &after, &pairs, messages);
    }
    // Whoever loads the file does the same checks.
    TableSet::new(&model)?;
    Ok(file::pack(&model))
}

/// How often each phrase follows each, when the messages are cut with `set`.
fn cut(set: &TableSet, count: usize, messages: &[&[u8]]) -> Pairs {
    let mut pairs = Pairs::new(count);
    for message in messages {
        let mut before = None;
        set.cut(message, |_, phrase| {
            pairs.add(before, phrase);
            before = Some(phrase);
        });
    }
    pairs.finish()
}

fn model(plan: &Plan, phrases: Vec<Vec<u8>>, after: &[u8], pairs: &Pairs, messages: &[&[u8]]) -> Model {
    let (start, after) = after.split_last().expect("the start is the last");
    let (shared, contexts) = codes::make(pairs, after, *start);
    Model {
        name: plan.name.clone(),
        phrases,
        after: after.to_vec(),
        start: *start,
        shared,
        contexts,
        marks: marks(messages),
    }
}

/// What the marks cost in these messages.
fn marks(messages: &[&[u8]]) -> Box<[u8; MARKS]> {
    let mut counts = [0.5_f64; MARKS];
    for message in messages {
        choose::marks(message).for_each(|mark| counts[mark] += 1.0);
    }
    let total: f64 = counts.iter().sum();
    Box::new(counts.map(|count| (-4.0 * (count / total).log2()).round().min(127.0) as u8))
}
