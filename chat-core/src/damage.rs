//! Records that are not what was written: each is named once in the log, and left out for people, who read the rest.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::error::Error;
use crate::store::{Store, StoreError};

/// What finds all damaged records, and says how each is mended.
pub(crate) const REMEDY: &str = "run `chat-server check`: it names every damaged record and how to mend it";

/// So many records are remembered as said. One hash each: some 300 KB.
const MAX_SAID: usize = 16_384;

/// What was said, for the whole process: a node has one store.
static SAID: LazyLock<(RandomState, Mutex<Said>)> = LazyLock::new(Default::default);

#[derive(Default)]
struct Said {
    records: HashSet<u64>,
    is_full: bool,
}

impl Said {
    /// Whether this record is to be said now, or `None` when there are too many to name.
    fn is_new(&mut self, record: u64) -> Option<bool> {
        if self.records.contains(&record) {
            return Some(false);
        }
        if self.records.len() < MAX_SAID {
            return Some(self.records.insert(record));
        }
        match std::mem::replace(&mut self.is_full, true) {
            true => Some(false),
            false => None,
        }
    }
}

/// Names a damaged record in the log, unless that was done before. `store` is the file or the database, `table` the table
/// or the collection. The reason must not quote what the record holds.
pub(crate) fn report(store: &str, table: &str, id: &dyn fmt::Display, reason: &dyn fmt::Display) {
    let id = id.to_string();
    let (hasher, said) = &*SAID;
    let is_new = said.lock().is_new(hasher.hash_one((store, table, &id)));
    match is_new {
        Some(false) => {}
        Some(true) => {
            tracing::error!(store, table, id, %reason, remedy = REMEDY, "a damaged record is left out");
        }
        None => tracing::error!(remedy = REMEDY, "there are more damaged records than are named here"),
    }
}

/// A body that nothing is wrong with, and that waits for the tables that wrote it. It must not pass for a damaged one: a server
/// that was started without its tables would seem to have lost what was said.
pub(crate) const WITHOUT_TABLES: &str = "message body without its tables";

/// Whether this is wrong with a record for good, so that waiting for it is of no use: it is damaged, or something that it
/// names is not there.
pub(crate) fn is_damage(error: &Error) -> bool {
    !matches!(error, Error::Store(StoreError::Corrupt { what: WITHOUT_TABLES, .. }))
        && matches!(
            error,
            Error::Store(StoreError::Corrupt { .. })
                | Error::UserNotFound
                | Error::ConversationNotFound
                | Error::MessageNotFound
        )
}

/// What is good; none when it is damaged, which is said.
///
/// # Errors
/// What is no damage.
pub(crate) fn sound<T>(
    store: &dyn Store,
    read: Result<T, Error>,
    table: &'static str,
    id: &dyn fmt::Display,
) -> Result<Option<T>, Error> {
    match read {
        Ok(good) => Ok(Some(good)),
        Err(error) if is_damage(&error) => {
            report(&store.place(), table, id, &error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_said_once_and_only_so_many_are_remembered() {
        let mut said = Said::default();
        for record in 0..MAX_SAID as u64 {
            assert_eq!(said.is_new(record), Some(true));
            assert_eq!(said.is_new(record), Some(false));
        }
        assert_eq!(said.is_new(u64::MAX), None, "that there are more is said");
        assert_eq!(said.is_new(u64::MAX - 1), Some(false), "and not again");
        assert_eq!(said.records.len(), MAX_SAID);
    }
}
