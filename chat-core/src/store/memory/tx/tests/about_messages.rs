//! Writes about messages that are there, and of messages with rows of their own.

use super::*;
use crate::aspects::context::AppendWith;
use crate::aspects::edits::Edit;
use crate::aspects::hiding::Hide;
use crate::aspects::pins::Pin;
use crate::aspects::threads::{Follow, SetDeletedInThread, row_of};
use crate::store::reindexing::Reindex;

impl Random {
    pub(super) fn write_about_message(
        &mut self,
        (room, by, user): (ConversationId, UserId, UserId),
        at: Timestamp,
    ) -> Write {
        let message = MessageId::from_bytes(self.id(20));
        match self.below(8) {
            0 => {
                let kept_as = if self.below(2) == 0 { Some([1; 12]) } else { None };
                let body = Blob { encoding: Encoding::Stored, bytes: vec![self.below(3) as u8] };
                let (window, most_kept) = (None, 1_000);
                Edit { message, conversation: room, by, body, window, kept_as, most_kept, at }.into()
            }
            1 => {
                let change = (self.below(4) as u32).to_be_bytes().to_vec();
                let terms = Terms::of("some words", None);
                Reindex { message, conversation: room, change, terms }.into()
            }
            2 => {
                let (seq, hidden) = (Seq(1 + self.below(3) as u32), self.below(2) == 0);
                Hide { message, seq, conversation: room, by, hidden, at }.into()
            }
            3 => Pin { message, conversation: room, by, pinned: self.below(2) == 0, at }.into(),
            4 => Follow { root: message, conversation: room, by, following: self.below(2) == 0, at }.into(),
            5 | 6 => {
                // One thread of few messages, so that some of them are deleted.
                let (room, root) = (ConversationId::from_bytes([0; 12]), MessageId::from_bytes([0; 12]));
                let message = MessageId::from_bytes(self.id(8));
                if self.below(2) == 0 {
                    let new = NewMessage { id: message, conversation: room, ..self.new_message(at) };
                    let rows = vec![row_of(new.id, root, user)];
                    return AppendWith { append: Append(new), rows }.into();
                }
                let (seq, delete) = (Seq(1 + self.below(30) as u32), self.below(2) == 0);
                let set = SetDeleted { message, conversation: room, by, delete, at };
                SetDeletedInThread { set, seq, root }.into()
            }
            _ => {
                let new = self.new_message(at);
                let key = [new.id.as_bytes(), &user.as_bytes()[..], b"x"].concat();
                let rows = vec![(Table::Reactions, Row { key, value: vec![1] })];
                AppendWith { append: Append(new), rows }.into()
            }
        }
    }
}
