//! Messages: static codes over phrases, conditioned on the previous phrase.
//!
//! A message of a hundred bytes has no room for its own table and is too short for an adaptive code to learn anything.
//! So the tables come with the program: a *set* for each group of languages, trained on public texts, with up to 4,095
//! *phrases* (single bytes, and strings of up to 16 bytes) and up to 64 *contexts*, each with its own canonical Huffman
//! code. [`model`] describes the parts of a set.
//!
//! - Writing: [`choose`] selects one or two sets by byte pairs, and [`encode`] finds the split into phrases that takes
//!   the fewest bits.
//! - Reading: [`decode`] needs one look-up for each phrase.
//! - Sets are stored in [`file`]s of about 15 KB: [`shipped`] are those of the program, and [`own`] those that an
//!   operator has trained with [`train`].

mod choose;
mod decode;
mod encode;
mod file;
mod finder;
mod model;
mod own;
mod range;
mod row;
mod set;
pub(in crate::codec) mod shipped;
#[cfg(test)]
mod tests;
#[cfg(feature = "train")]
pub(in crate::codec) mod train;

pub use self::file::TableError;
pub use self::own::OwnTables;
