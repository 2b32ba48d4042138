//! The index that searches go by, in memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;

use super::MemoryStore;
use super::state::{Room, Said};
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::search::{Query, Terms, Wanted};
use crate::store::{CHANGED, Lookup, Match, Matches, SearchIndex, SearchProgress, StoreError};

/// The index of one conversation.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// So many messages from the first on are in it.
    messages: usize,
    /// The messages with each term, in order.
    seqs: BTreeMap<String, Vec<u32>>,
}

impl Index {
    fn extend(&mut self, terms: &[Terms]) {
        for (terms, seq) in terms.iter().zip(self.messages as u32 + 1..) {
            for term in terms.iter() {
                self.seqs.entry(term.to_owned()).or_default().push(seq);
            }
        }
        self.messages += terms.len();
    }

    /// Has a message that is in it found by these terms, too.
    pub(super) fn add(&mut self, seq: Seq, terms: &Terms) {
        for term in terms.iter() {
            let seqs = self.seqs.entry(term.to_owned()).or_default();
            if let Err(place) = seqs.binary_search(&seq.0) {
                seqs.insert(place, seq.0);
            }
        }
    }

    /// The messages that have this.
    fn with(&self, wanted: &Wanted) -> Vec<u32> {
        let term = wanted.term.as_str();
        if !wanted.is_prefix {
            return self.seqs.get(term).cloned().unwrap_or_default();
        }
        let from = self.seqs.range::<str, _>((Bound::Included(term), Bound::Unbounded));
        let begin_so = from.take_while(|(other, _)| other.starts_with(term));
        let mut seqs: Vec<u32> = begin_so.flat_map(|(_, seqs)| seqs).copied().collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }

    /// How many messages have this.
    fn count(&self, wanted: &Wanted) -> usize {
        match wanted.is_prefix {
            true => self.with(wanted).len(),
            false => self.seqs.get(&wanted.term).map_or(0, Vec::len),
        }
    }

    /// The messages that have all that is wanted, and nothing that is not.
    fn find(&self, query: &Query) -> Vec<u32> {
        let mut lists = query.wanted().iter().map(|wanted| self.with(wanted));
        let mut found = lists.next().unwrap_or_default();
        for list in lists {
            found.retain(|seq| list.binary_search(seq).is_ok());
        }
        let changed = self.seqs.get(CHANGED).map_or(&[][..], Vec::as_slice);
        for unwanted in query.unwanted() {
            let list = self.with(unwanted);
            let is_in = |list: &[u32], seq: &u32| list.binary_search(seq).is_ok();
            found.retain(|seq| !is_in(&list, seq) || is_in(changed, seq));
        }
        found
    }
}

impl Room {
    fn progress(&self) -> SearchProgress {
        let seq = |messages: usize| Seq(messages as u32);
        let conversation = self.conversation.id;
        SearchProgress { conversation, indexed: seq(self.index.messages), last: seq(self.messages.len()) }
    }
}

#[async_trait]
impl SearchIndex for MemoryStore {
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError> {
        Ok(self.open()?.rooms.get(&conversation).map(Room::progress))
    }

    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError> {
        let state = self.open()?;
        let spoken_in = |room: &'_ Room| Some((room.messages.last()?.sent, room.progress()));
        let mut mine: Vec<_> = state.rooms_of(user).filter_map(spoken_in).collect();
        mine.sort_unstable_by_key(|(last, _)| Reverse(*last));
        Ok(mine.into_iter().map(|(_, progress)| progress).collect())
    }

    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError> {
        let mut state = self.open()?;
        let Some(room) = state.rooms.get_mut(&conversation) else { return Ok(None) };
        let indexed = room.progress().indexed;
        if indexed != after {
            return Ok(Some(indexed));
        }
        if terms.len() > room.messages.len() - room.index.messages {
            return Err(StoreError::Refused("there are fewer messages than terms".into()));
        }
        room.index.extend(&terms);
        Ok(Some(room.progress().indexed))
    }

    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError> {
        let state = self.open()?;
        let Lookup { query, filter, max_looked_at } = lookup;
        let mut found: Vec<&Said> = Vec::new();
        for room in conversations.iter().filter_map(|id| state.rooms.get(id)) {
            match query.is_everything() {
                true => found.extend(&room.messages),
                false => {
                    found.extend(room.index.find(query).iter().map(|seq| &room.messages[*seq as usize - 1]));
                }
            }
        }
        found.retain(|said| said.message.deleted.is_none() && before.is_none_or(|before| said.sent < before));
        found.sort_unstable_by_key(|said| Reverse(said.sent));
        let is_bounded = found.len() > *max_looked_at;
        found.truncate((*max_looked_at).max(1));
        let last = found.last().map(|said| said.sent);
        found.retain(|said| filter.admits_message(&said.message));
        let is_full = found.len() > limit;
        let as_match = |said: &Said| Match { position: said.sent, message: said.message.clone() };
        Ok(Matches {
            found: found.into_iter().take(limit).map(as_match).collect(),
            has_more: is_full || is_bounded,
            looked_at_from: last.filter(|_| is_bounded && !is_full),
        })
    }
    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        let state = self.open()?;
        let rooms: Vec<&Room> = conversations.iter().filter_map(|id| state.rooms.get(id)).collect();
        let count = |term| rooms.iter().map(|room| room.index.count(term) as u64).sum::<u64>().min(at_most);
        Ok(terms.iter().map(count).collect())
    }
}
