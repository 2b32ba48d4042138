//! Writes about messages that are there.

use super::*;
use crate::aspects::edits::Edit;
use crate::store::reindexing::Reindex;

impl Random {
    pub(super) fn write_about_message(
        &mut self,
        (room, by, _user): (ConversationId, UserId, UserId),
        at: Timestamp,
    ) -> Write {
        let message = MessageId::from_bytes(self.id(20));
        match self.below(2) {
            0 => {
                let kept_as = if self.below(2) == 0 { Some([1; 12]) } else { None };
                let body = Blob { encoding: Encoding::Stored, bytes: vec![self.below(3) as u8] };
                let (window, most_kept) = (None, 1_000);
                Edit { message, conversation: room, by, body, window, kept_as, most_kept, at }.into()
            }
            _ => {
                let change = (self.below(4) as u32).to_be_bytes().to_vec();
                let terms = Terms::of("some words", None);
                Reindex { message, conversation: room, change, terms }.into()
            }
        }
    }
}
