//! Trains a set of tables on messages.
//!
//! 1. Byte strings that occur often are candidates for phrases (`candidates`).
//! 2. The least useful ones are dropped until the wanted number is left (`vocabulary`).
//! 3. The messages are split into phrases. Phrases with similar followers share a context (`contexts`), and each
//!    context gets a code (`codes`). With the codes the messages are split again, in several rounds, so that the splits
//!    and the codes fit each other.
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

/// The parameters of a training.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name of the set in reports; at most 255 bytes.
    pub name: String,
    /// The maximum number of phrases, including single bytes: 257 to 4,095. More phrases compress better and make the
    /// file larger. With few messages there may be fewer.
    pub phrases: usize,
    /// The maximum number of contexts: 2 to 64. Each takes 6.5 KB of memory when the set is in use.
    pub contexts: usize,
}

/// The allowed numbers of phrases of a [`Plan`].
pub const PHRASES: RangeInclusive<usize> = BYTES + 1..=ESCAPE as usize;

/// The allowed numbers of contexts of a [`Plan`].
pub const CONTEXTS: RangeInclusive<usize> = 2..=MAX_CONTEXTS;

/// The minimum size of the training messages in bytes. Useful tables need some hundred kilobytes.
pub const MIN_BYTES: usize = 10_000;

/// Why no set was trained.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A parameter of the plan is out of range.
    #[error("{field} must be {from} to {to}")]
    OutOfBounds {
        /// The field of the plan.
        field: &'static str,
        /// Its minimum.
        from: usize,
        /// Its maximum.
        to: usize,
    },
    /// There are too few messages.
    #[error("{bytes} bytes of messages are too few to learn from; {MIN_BYTES} are the least")]
    TooLittle {
        /// The size of the messages in bytes.
        bytes: usize,
    },
    /// The trained set is invalid, which is a fault of the trainer.
    #[error(transparent)]
    Unsound(#[from] file::TableError),
}

/// The number of rounds in which the messages are split with the codes from the previous round. The third round still
/// gained 0.1 %, the fourth nothing noticeable.
const ROUNDS: usize = 4;

/// Trains a set on `messages`. Returns the content of its file.
///
/// It takes some seconds for each megabyte, and about fifty times the size of the messages in memory.
///
/// # Errors
///
/// [`TrainError::OutOfBounds`] and [`TrainError::TooLittle`] for a plan and messages from which no set can be trained.
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
    // Loading the file performs the same checks.
    TableSet::new(&model)?;
    Ok(file::pack(&model))
}

/// Counts which phrase follows which when `set` splits the messages.
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

/// The costs of the marks in these messages.
fn marks(messages: &[&[u8]]) -> Box<[u8; MARKS]> {
    let mut counts = [0.5_f64; MARKS];
    for message in messages {
        choose::marks(message).for_each(|mark| counts[mark] += 1.0);
    }
    let total: f64 = counts.iter().sum();
    Box::new(counts.map(|count| (-4.0 * (count / total).log2()).round().min(127.0) as u8))
}
