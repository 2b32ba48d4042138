//! Rows of keyed tables that are put and deleted as they are given.

use std::collections::BTreeSet;

use super::super::StoreError;
use super::super::keyed::{KeyPart, MAX_VALUE_BYTES, Named, Table};
use super::super::tx::{Abort, Reads, Tx};
use super::super::write::{EditRows, EditedRows, Effect};
use crate::id::MessageId;

impl Effect for EditRows {
    fn reads(&self, reads: &mut Reads) {
        reads.rows.extend(self.edits.iter().map(|(key, _)| (self.table, key.clone())));
        for message in self.messages() {
            reads.messages.insert(message);
            reads.ranges.push((self.table, message.as_bytes().to_vec(), 1));
        }
        reads.ranges.extend(self.then.clone().map(|(prefix, limit)| (self.table, prefix, limit)));
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        let bytes = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        self.edits.iter().map(|(key, value)| 64 + key.len() + bytes(value)).sum()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<EditedRows, Abort<T::Error>> {
        let Self { table, edits, then } = self;
        for (key, value) in edits {
            if table.parts(key).is_none() || value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES)
            {
                let wrong = format!("a key of {} is none, or its value is too long", table.name());
                return Err(Abort::Refused(StoreError::Refused(wrong)));
            }
        }
        let mut before = Vec::with_capacity(edits.len());
        for (key, value) in edits {
            before.push(tx.row(*table, key)?);
            match value {
                Some(value) => tx.put_row(*table, key, value)?,
                None => tx.delete_row(*table, key)?,
            }
        }
        for message in self.messages() {
            note_facet(tx, *table, message)?;
        }
        let then = match then {
            Some((prefix, limit)) => tx.rows(*table, prefix, *limit)?,
            None => Vec::new(),
        };
        Ok(EditedRows { before, then })
    }
}

impl EditRows {
    /// The messages to which the rows belong.
    fn messages(&self) -> BTreeSet<MessageId> {
        if self.table.layout().first() != Some(&KeyPart::Message) {
            return BTreeSet::new();
        }
        let parts = self.edits.iter().filter_map(|(key, _)| self.table.parts(key));
        parts
            .filter_map(|parts| if let Some(Named::Message(id)) = parts.first() { Some(*id) } else { None })
            .collect()
    }
}

/// Has a message know whether a table holds something of it. The message and the first row of its range must be named in what is
/// read.
fn note_facet<T: Tx>(tx: &mut T, table: Table, message: MessageId) -> Result<(), T::Error> {
    let holds = !tx.rows(table, message.as_bytes(), 1)?.is_empty();
    let Some(mut message) = tx.message(message)? else { return Ok(()) };
    if message.facets.contains(table) == holds {
        return Ok(());
    }
    message.facets = message.facets.with(table, holds);
    tx.set_facets(&message)
}
