//! The sets that come with the program, for the most frequent languages in chats.
//!
//! They are trained on public texts (see `ATTRIBUTION.md` beside the tables) and are part of the stored format: a set
//! must never change. A better one gets a new id.

use std::sync::{LazyLock, OnceLock};

use super::choose::{Choice, Chooser};
use super::file;
use super::set::TableSet;

/// The sets' names and files. The set at index `n` has the frame id `n + 1`.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// The sets' names, by index.
        #[cfg(test)]
        pub(super) const NAMES: [&str; COUNT] = [$($name),*];
        /// The sets' files, by index.
        pub(super) static FILES: [&[u8]; COUNT] = [$(include_bytes!(concat!("tables/", $name, ".cht"))),*];
    };
}

/// Number of sets.
pub(in crate::codec) const COUNT: usize = 16;

shipped![
    "english", "french", "iberian", "italian", "germanic", "slavic", "latin", "malay", "cyrillic", "chinese",
    "japanese", "korean", "arabic", "indic", "other", "code",
];

/// The unpacked sets that were used so far.
static SETS: [OnceLock<TableSet>; COUNT] = [const { OnceLock::new() }; COUNT];

static CHOOSER: LazyLock<Chooser> =
    LazyLock::new(|| Chooser::new(FILES.iter().filter_map(|file| file::marks(file))));

/// A set by its index, which must be below [`COUNT`]. The first use takes some milliseconds.
pub(in crate::codec) fn set(index: usize) -> &'static TableSet {
    SETS[index].get_or_init(|| {
        let (model, _) = file::unpack(FILES[index]).expect("a shipped file is sound; a test reads them all");
        TableSet::new(&model).expect("a shipped set is sound; a test unpacks them all")
    })
}

/// The shipped set for `body`.
pub(in crate::codec) fn choose(body: &[u8]) -> Choice {
    CHOOSER.choose(body)
}
