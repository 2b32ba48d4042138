//! Sets that an operator has trained on the messages of a deployment.

use super::choose::{Choice, Chooser, LANES};
use super::file::{self, TableError};
use super::model::MARKS;
use super::set::TableSet;

/// Custom tables, loaded from their files.
///
/// Frames refer to their set by its fingerprint, 16 bits of a hash of the file. To read old frames, all sets with which
/// any were written must be loaded. The statistics of each message decide which set is used for writing.
#[derive(Default)]
pub struct OwnTables {
    sets: Vec<OwnSet>,
    chooser: Option<Chooser>,
}

struct OwnSet {
    name: String,
    fingerprint: u16,
    marks: Box<[u8; MARKS]>,
    set: TableSet,
}

impl OwnTables {
    /// The maximum number of sets that can be loaded.
    pub const MAX: usize = LANES;

    /// Reads the contents of table files, as created by [`train`](crate::codec::train::train).
    ///
    /// # Errors
    ///
    /// Every variant of [`TableError`].
    pub fn new<T: AsRef<[u8]>>(files: impl IntoIterator<Item = T>) -> Result<OwnTables, TableError> {
        let mut sets: Vec<OwnSet> = Vec::new();
        for file in files {
            let (model, hash) = file::unpack(file.as_ref())?;
            let set = TableSet::new(&model)?;
            let fingerprint = hash as u16;
            if sets.iter().any(|set| set.fingerprint == fingerprint) {
                return Err(TableError::Ambiguous { fingerprint });
            }
            if sets.len() == OwnTables::MAX {
                return Err(TableError::TooMany);
            }
            sets.push(OwnSet { name: model.name, fingerprint, marks: model.marks, set });
        }
        let chooser = (!sets.is_empty()).then(|| Chooser::new(sets.iter().map(|set| &*set.marks)));
        Ok(OwnTables { sets, chooser })
    }

    /// Names and fingerprints of the sets.
    pub fn sets(&self) -> impl Iterator<Item = (&str, u16)> {
        self.sets.iter().map(|set| (set.name.as_str(), set.fingerprint))
    }

    pub(in crate::codec) fn choose(&self, body: &[u8]) -> Option<Choice> {
        self.chooser.as_ref().map(|chooser| chooser.choose(body))
    }

    /// A set and its fingerprint, by the index that [`choose`](Self::choose) returns.
    pub(in crate::codec) fn get(&self, index: usize) -> Option<(u16, &TableSet)> {
        self.sets.get(index).map(|set| (set.fingerprint, &set.set))
    }

    /// The set with this fingerprint.
    pub(in crate::codec) fn find(&self, fingerprint: u16) -> Option<&TableSet> {
        self.sets.iter().find(|set| set.fingerprint == fingerprint).map(|set| &set.set)
    }
}

impl std::fmt::Debug for OwnTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.sets()).finish()
    }
}
