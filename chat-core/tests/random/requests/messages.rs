//! Requests about what is said, by those who may and by others.

use std::time::Duration;

use chat_core::aspects::edits::Edit;
use chat_core::aspects::hiding::Hide;
use chat_core::aspects::pins::Pin;
use chat_core::aspects::threads::{Follow, row_of};
use chat_core::codec::{Blob, Encoding};
use chat_core::id::{ConversationId, UserId};
use chat_core::model::Seq;
use chat_core::reactions::{Emoji, React, Reacting};
use chat_core::store::{NewMessage, Row, SetDeleted, Table};

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

    /// Appends a message, sometimes in a thread or with a row of its own.
    pub(super) fn append(&mut self, conversation: ConversationId) -> Request {
        let new = Box::new(self.new_message(conversation));
        if !self.chance(4) {
            return Request::Append(new);
        }
        if self.chance(2) {
            // Mostly one of a few, so that their threads have several messages.
            let first = self.below(3) as usize;
            let root = self.messages.get(first).copied().filter(|_| !self.chance(4));
            let root = root.unwrap_or_else(|| self.message());
            let place = self.said.get(&root).copied().unwrap_or_else(|| (conversation, self.person()));
            let (new, sender) = (NewMessage { conversation: place.0, ..*new }, place.1);
            let row = row_of(new.id, root, sender);
            return Request::AppendWith(Box::new(new), vec![row]);
        }
        let key = [new.id.as_bytes(), &self.person().as_bytes()[..], b"x"].concat();
        Request::AppendWith(new, vec![(Table::Reactions, Row { key, value: Vec::new() })])
    }

    /// Gives a message another text, hides it, pins it, or has it found by some terms since.
    fn edit(&mut self) -> Request {
        let message = self.message();
        let place = self.said.get(&message).copied().filter(|_| !self.chance(20));
        let place = place.unwrap_or_else(|| (self.conversation(), self.person()));
        if self.chance(3) {
            let terms = (0..self.below(4)).map(|_| self.term()).collect();
            return Request::Reindex(message, place.0, terms);
        }
        if self.chance(3) {
            let (by, hidden, at) = (self.person(), !self.chance(3), self.moment());
            let by = if self.chance(3) { by } else { place.1 };
            return Request::Hide(Hide { message, seq: Seq(1), conversation: place.0, by, hidden, at });
        }
        if self.chance(3) {
            let (pinned, at) = (!self.chance(3), self.moment());
            return Request::Pin(Pin { message, conversation: place.0, by: place.1, pinned, at });
        }
        if self.chance(3) {
            let (by, following, at) = (self.person(), !self.chance(3), self.moment());
            let by = if self.chance(3) { by } else { place.1 };
            return Request::Follow(Follow { root: message, conversation: place.0, by, following, at });
        }
        let bytes = vec![self.below(3) as u8; self.below(3) as usize];
        let name = self.below(20) as u8;
        Request::Edit(Edit {
            message,
            conversation: place.0,
            by: if self.chance(6) { self.person() } else { place.1 },
            body: Blob { encoding: Encoding::Stored, bytes },
            window: if self.chance(8) { Some(Duration::from_millis(self.below(300))) } else { None },
            kept_as: if self.chance(2) { Some([name; 12]) } else { None },
            most_kept: 1_000,
            at: self.moment(),
        })
    }

    pub(super) fn react(&mut self) -> Request {
        if self.chance(3) {
            return self.edit();
        }
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
