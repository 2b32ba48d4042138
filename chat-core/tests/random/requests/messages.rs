//! Requests about what is said, by those who may and by others.

use chat_core::id::{ConversationId, UserId};
use chat_core::reactions::{Emoji, React, Reacting};
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

    pub(super) fn react(&mut self) -> Request {
        // Mostly one of a few, so that each gets several.
        let first = self.below(3) as usize;
        let first = self.messages.get(first).copied();
        let message = first.filter(|_| !self.chance(6)).unwrap_or_else(|| self.message());
        let place = self.said.get(&message).copied().filter(|_| !self.chance(20));
        let place = place.unwrap_or_else(|| (self.conversation(), self.person()));
        let by = if self.chance(2) { self.person() } else { place.1 };
        let emoji = Emoji::parse(["👍", "❤", "🎉", "🇩🇪"][self.below(4) as usize]).unwrap();
        let how = [Reacting::Add, Reacting::Remove, Reacting::Toggle][self.below(3) as usize];
        let at = self.moment();
        Request::React(React { message, conversation: place.0, by, emoji, reacting: how, at })
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
