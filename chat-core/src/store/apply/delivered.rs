//! Delivered positions.

use super::super::keyed::{Table, delivered_in};
use super::super::tx::{Abort, Reads, Tx};
use super::super::write::{Effect, NoteDelivered};

impl Effect for NoteDelivered {
    fn reads(&self, reads: &mut Reads) {
        reads.rows.extend(self.0.iter().map(|(user, _)| (Table::Delivered, user.as_bytes().to_vec())));
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        (1 << 10) + 100 * self.0.len()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<(), Abort<T::Error>> {
        for (user, position) in &self.0 {
            let before = tx.row(Table::Delivered, user.as_bytes())?;
            if before.as_deref().and_then(delivered_in).is_none_or(|before| before < *position) {
                tx.put_row(Table::Delivered, user.as_bytes(), &position.0.to_be_bytes())?;
            }
        }
        Ok(())
    }
}
