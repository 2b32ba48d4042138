//! Messages: static codes over phrases, conditioned on the phrase before.
//!
//! A message of a hundred bytes has no room for a table of its own and is too short for an
//! adaptive code to learn anything. So the tables come with the program: a *set* for each group of
//! languages, trained on public texts, with up to 4,095 *phrases* (single bytes, and strings of up
//! to 16) and up to 64 *contexts*, each with its own canonical Huffman code. See
//! [`model`] for what a set is made of.
//!
//! - Writing: [`choose`] picks a set or two by looking at byte pairs, [`encode`] finds the cut into
//!   phrases that takes the fewest bits.
//! - Reading: [`decode`] takes one look-up for each phrase.
//! - Sets live in [`file`]s of some 15 KB; [`shipped`] are those of the program, and [`own`] those
//!   an operator has trained with [`train`].

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
