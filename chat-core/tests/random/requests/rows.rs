//! Requests about keyed tables.

use chat_core::store::keyed::KeyPart;
use chat_core::store::{EditRows, Table};

use super::{Requests, bytes};
use crate::random::Request;

impl Requests {
    /// A table and a key of it; rarely one that is none.
    pub(super) fn row_key(&mut self) -> (Table, Vec<u8>) {
        let table = Table::ALL[self.below(Table::ALL.len() as u64) as usize];
        let mut key = Vec::new();
        for part in table.layout() {
            match part {
                KeyPart::Text => key.extend(self.text().bytes()),
                KeyPart::Message if !self.chance(4) => {
                    // Few, so that each gets some.
                    let index = self.below(5) as usize;
                    let one = self.messages.get(index).copied();
                    key.extend(one.map_or([9; 12], |id| *id.as_bytes()));
                }
                KeyPart::Message | KeyPart::Conversation | KeyPart::User => {
                    key.extend(bytes([0, 1, 127, 128, 255][self.below(5) as usize]));
                }
            }
        }
        if self.chance(40) {
            key.pop();
        }
        (table, key)
    }

    /// A table and the beginning of a key of it: nothing, an id, or more.
    pub(super) fn prefix(&mut self) -> (Table, Vec<u8>) {
        let (table, mut key) = self.row_key();
        key.truncate([0, 12, 12, 12, 24, 99][self.below(6) as usize]);
        (table, key)
    }

    /// What is read of the rows.
    pub(super) fn rows(&mut self) -> Request {
        if self.chance(3) {
            let prefixes = (0..self.below(6)).map(|_| self.prefix().1).collect();
            return Request::RowsOf(self.row_key().0, prefixes, self.limit());
        }
        let after = if self.chance(2) { Some(self.row_key().1) } else { None };
        let (table, prefix) = self.prefix();
        Request::Rows(table, prefix, after, self.limit())
    }

    pub(super) fn edit_rows(&mut self) -> Request {
        let (table, _) = self.row_key();
        let mut edits = Vec::new();
        for _ in 0..self.below(6) {
            let (of, key) = self.row_key();
            if of == table {
                let value = if self.chance(3) { None } else { Some(self.text().into_bytes()) };
                edits.push((key, value));
            }
        }
        let then = self.maybe(|it| (it.prefix().1, it.limit()));
        Request::EditRows(EditRows { table, edits, then })
    }
}
