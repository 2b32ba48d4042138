//! Rows of keyed tables: whether they can be read, and whether what they belong to is there.

use rusqlite::{Row, params};

use super::{ROWS, SqliteInspector, good, name};
use crate::store::inspect::{Inspection, RECORD, REFERENCE};
use crate::store::keyed::Named;
use crate::store::sqlite::keyed;

impl SqliteInspector {
    pub(super) fn keyed(&self, inspection: &mut Inspection<'_>) -> rusqlite::Result<()> {
        let (mut table, mut key) = (0_i64, Vec::new());
        loop {
            // Part by part, as all tables are.
            let view = self.db.unchecked_transaction()?;
            let sql = "SELECT tbl, key, value FROM keyed WHERE (tbl, key) > (?, ?) ORDER BY tbl, key LIMIT ?";
            let mut select = view.prepare_cached(sql)?;
            let mut rows = select.query(params![table, key, ROWS as i64])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                count += 1;
                inspection.counts_mut().rows += 1;
                (table, key) = (row.get(0)?, row.get(1)?);
                self.keyed_row(inspection, row, table)?;
            }
            if count < ROWS {
                return Ok(());
            }
        }
    }

    fn keyed_row(&self, inspection: &mut Inspection<'_>, row: &Row<'_>, table: i64) -> rusqlite::Result<()> {
        let (id, place) = (name(row, 1), self.place("keyed", table));
        let read = keyed::read_row(row);
        let Some((table, found)) = good(inspection, "row", &id, &place, read)? else { return Ok(()) };
        let id = keyed::name_of(table, &found.key);
        let Some(parts) = table.parts(&found.key) else {
            inspection.damaged("row", &id, &place, "its key is none of its table", RECORD);
            return Ok(());
        };
        for named in parts {
            let (what, is_there) = match named {
                Named::Message(id) => {
                    let sql = "SELECT 1 FROM messages WHERE id = ?";
                    ("message", self.exists(sql, [id.as_bytes()])?)
                }
                Named::Conversation(id) => ("conversation", self.is_conversation(id.as_bytes())?),
                Named::User(id) => ("user", self.is_user(id.as_bytes())?),
            };
            if !is_there {
                inspection.damaged("row", &id, &place, format!("there is no such {what}"), REFERENCE);
            }
        }
        Ok(())
    }
}
