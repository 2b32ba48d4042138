//! Requests about what two people have with each other, and about what they set for their conversations.

use chat_core::id::ReportId;
use chat_core::model::{ChatSettingsPatch, Position, RelationAct};
use chat_core::reports::{CloseReport, FileReport, Queue, Report, Reported, ReportedAs, Resolution};
use chat_core::store::{Relate, SetChatSettings};

use super::Requests;
use crate::random::Request;

impl Requests {
    pub(super) fn relate(&mut self) -> Request {
        let acts = [
            RelationAct::Block,
            RelationAct::Unblock,
            RelationAct::Unblock,
            RelationAct::Ask,
            RelationAct::Accept,
            RelationAct::Decline,
            RelationAct::Withdraw,
            RelationAct::Unfriend,
        ];
        let act = acts[self.below(acts.len() as u64) as usize];
        Request::Relate(Relate { by: self.person(), with: self.person(), act, at: self.moment() })
    }
    /// A report of a person or of a message, or its end. There are few ids, so that they meet.
    pub(super) fn report(&mut self) -> Request {
        let (by, user, at) = (self.person(), self.person(), self.moment());
        let id = ReportId::from_bytes([self.below(6) as u8; 12]);
        let message = self.message();
        let place = self.said.get(&message).copied().filter(|_| self.chance(2));
        let queue = place.map_or(Queue::Operators, |(conversation, _)| Queue::Room(conversation));
        if self.chance(3) {
            let about = place.map_or(Reported::User(user), |_| Reported::Message(message));
            let (reporter, action) = (by, Resolution::Dismissed);
            let by = self.person();
            return Request::CloseReport(CloseReport { queue, id, reporter, about, by, action, at });
        }
        let report = Report {
            id,
            by,
            user: place.map_or(user, |(_, sender)| sender),
            message: place.map(|(conversation, _)| (conversation, message)),
            reason: ReportedAs::Other,
            text: self.text(),
            quote: self.text(),
            at,
            resolved: None,
        };
        Request::FileReport(FileReport { report, queue })
    }

    pub(super) fn note_delivered(&mut self) -> Request {
        let mut users: Vec<_> = (0..self.below(4)).map(|_| self.person()).collect();
        users.sort_unstable();
        users.dedup();
        Request::NoteDelivered(users.into_iter().map(|user| (user, Position(self.below(9)))).collect())
    }

    pub(super) fn set_chat_settings(&mut self) -> Request {
        let patch = ChatSettingsPatch {
            muted_until: self.maybe(Self::moment),
            archived: self.maybe(|it| it.chance(2)),
            pinned: self.maybe(|it| it.chance(2)),
            draft: self.maybe(|it| if it.chance(2) { it.text() } else { String::new() }),
        };
        let (user, conversation, at) = (self.person(), self.conversation(), self.moment());
        Request::SetChatSettings(SetChatSettings { user, conversation, patch, at })
    }
}
