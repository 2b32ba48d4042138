//! The index, and messages whose texts change.
//!
//! A write that changes a text notes in its transaction that the terms of the new text are not in the index ([`note`]), and
//! the next search adds them ([`Reindex`]). The terms of earlier texts stay, because not every database can remove them. So a
//! search reads a message whose text has ever changed before the message counts as found.

use super::CHANGED;
use super::keyed::Table;
use super::tx::{Abort, Reads, Tx};
use super::write::Effect;
use crate::id::{ConversationId, MessageId};
use crate::search::Terms;

/// Adds the terms of a message's text to the index, unless the text has changed again since it was read. The message must be
/// in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reindex {
    /// Which.
    pub message: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Which change of its text it was: the value of its row, read before the text.
    pub change: Vec<u8>,
    /// The terms of the text.
    pub terms: Terms,
}

/// The key of the row that says that a message is not found by its current text.
pub(crate) fn key(conversation: ConversationId, message: MessageId) -> Vec<u8> {
    [*conversation.as_bytes(), *message.as_bytes()].concat()
}

/// Notes that the text of a message has changed. `change` must differ for each of its changes. The write must name the row in
/// what it reads.
pub fn note<T: Tx>(
    tx: &mut T,
    (conversation, message): (ConversationId, MessageId),
    change: u32,
) -> Result<(), T::Error> {
    tx.put_row(Table::Unindexed, &key(conversation, message), &change.to_be_bytes())
}

impl Effect for Reindex {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.ends.insert(self.conversation);
        reads.rows.insert((Table::Unindexed, key(self.conversation, self.message)));
    }

    fn most_logged(&self) -> u64 {
        0
    }

    fn size(&self) -> usize {
        (1 << 10) + self.terms.iter().map(str::len).sum::<usize>()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<bool, Abort<T::Error>> {
        let key = key(self.conversation, self.message);
        if tx.row(Table::Unindexed, &key)?.as_ref() != Some(&self.change) {
            return Ok(false);
        }
        let message = tx.message(self.message)?.filter(|message| message.conversation == self.conversation);
        let Some(message) = message else { return Ok(false) };
        let terms: Terms = self.terms.iter().chain([CHANGED]).collect();
        tx.add_terms(&message, &terms)?;
        tx.delete_row(Table::Unindexed, &key)?;
        Ok(true)
    }
}
