//! Requests about searches and their index.

use chat_core::id::ConversationId;
use chat_core::model::Seq;
use chat_core::search::{ContentKind, Filter};

use super::Requests;
use crate::random::Request;

impl Requests {
    /// A term, mostly one that others have too.
    pub(super) fn term(&mut self) -> String {
        let text = self.text();
        if text.is_empty() { "a".into() } else { text }
    }

    pub(super) fn index(&mut self) -> Request {
        let after = if self.chance(8) { Some(Seq(self.below(40) as u32)) } else { None };
        // Often as many as there are, or one more.
        let count = self.below(5);
        let terms = (0..count).map(|_| (0..self.below(6)).map(|_| self.term()).collect()).collect();
        Request::Index(self.conversation(), after, terms)
    }

    fn wanted(&mut self) -> (String, bool) {
        let mut term = self.term();
        let is_prefix = self.chance(2);
        if is_prefix && self.chance(2) {
            term.truncate(term.chars().next().map_or(1, char::len_utf8));
        }
        (term, is_prefix)
    }

    fn filter(&mut self) -> Filter {
        let author = self.maybe(Self::any_user);
        let kinds = ContentKind::ALL.into_iter().filter(|_| self.chance(3)).collect();
        let [from, until] = [(); 2].map(|()| self.maybe(Self::moment));
        Filter { author, kinds, from, until }
    }

    fn some_conversations(&mut self) -> Vec<ConversationId> {
        let mut conversations: Vec<_> = (0..self.below(6)).map(|_| self.conversation()).collect();
        conversations.sort_unstable();
        conversations.dedup();
        conversations
    }

    pub(super) fn count_terms(&mut self) -> Request {
        let conversations = self.some_conversations();
        let terms = (0..self.below(4)).map(|_| self.wanted()).collect();
        let at_most = if self.chance(2) { self.below(4) } else { u64::MAX };
        Request::CountTerms(conversations, terms, at_most)
    }

    pub(super) fn search(&mut self) -> Request {
        let conversations = self.some_conversations();
        let least = u64::from(!self.chance(6));
        let counts = [least + self.below(3), if self.chance(3) { 1 + self.below(2) } else { 0 }];
        let terms = counts.map(|count| (0..count).map(|_| self.wanted()).collect());
        let filter = if self.chance(2) { Filter::default() } else { self.filter() };
        let before = if self.chance(2) { Some(self.position()) } else { None };
        Request::Search(conversations, terms, filter, before, self.limit())
    }
}
