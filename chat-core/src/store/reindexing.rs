//! The index, and messages whose texts change.
//!
//! Whoever changes a text notes in the same transaction that its terms are not in the index ([`note`]), and the next search adds
//! them ([`Reindex`]). The terms of the text before stay, since not every database can take them away: so a message that has
//! ever been changed is looked at before it counts as found.

use super::CHANGED;
use super::keyed::Table;
use super::tx::{Abort, Reads, Tx};
use super::write::Effect;
use crate::id::{ConversationId, MessageId};
use crate::search::Terms;

/// Has a message found by the terms of its text, unless that has changed again since it was read. It must be in the index.
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

/// The row that says that a message is not found by its text.
pub(crate) fn key(conversation: ConversationId, message: MessageId) -> Vec<u8> {
    [*conversation.as_bytes(), *message.as_bytes()].concat()
}

/// Notes that the text of a message has changed; `change` must be another value for each of its changes. The row must be named
/// in what is read.
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
