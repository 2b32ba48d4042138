//! Requests about what is said, by those who may and by others.

use chat_core::id::{ConversationId, UserId};
use chat_core::store::SetDeleted;

use super::Requests;
use crate::random::Request;

impl Requests {
    /// Somebody who says something somewhere: mostly one who is there.
    pub(super) fn speaks(&mut self, conversation: ConversationId) -> UserId {
        match self.pairs.get(&conversation).copied().filter(|_| !self.chance(12)) {
            Some(pair) => pair[self.below(2) as usize],
            None if self.chance(8) => self.person(),
            None => self.asks(conversation),
        }
    }

    pub(super) fn set_deleted(&mut self) -> Request {
        let message = self.message();
        let place = self.said.get(&message).copied().filter(|_| !self.chance(20));
        let place = place.unwrap_or_else(|| (self.conversation(), self.person()));
        let by = if self.chance(3) { self.person() } else { place.1 };
        let delete = !self.chance(3);
        Request::SetDeleted(SetDeleted { message, conversation: place.0, by, delete, at: self.moment() })
    }
}
