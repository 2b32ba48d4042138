//! The data of the in-memory driver, and lookups in it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::search::Index;
use crate::change::Subject;
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::hashing::{IdMap, IdSet};
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Pair, PasswordHash, Position, Seq, User, UserKey,
};
use crate::store::keyed::Rows;
use crate::store::read_marks::counted_after;
use crate::store::{
    Activity, Change, ChatSummary, MEMBERS_SHOWN, StoreError, StoredMessage, UNREAD_MOST, UnreadCount,
};

/// All data. A call only iterates over the conversations, the users, or the part of the log that it concerns.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) closed: bool,
    /// Set on the first call that needs it.
    pub(super) epoch: Option<Epoch>,
    /// In the order of creation.
    pub(super) accounts: Vec<Account>,
    /// Maps every folded key of a user to the index in `accounts`.
    pub(super) account_index: HashMap<UserKey, usize>,
    pub(super) name_keys: HashSet<String>,
    pub(super) revoked: HashMap<[u8; 32], Timestamp>,
    pub(super) rooms: IdMap<ConversationId, Room>,
    pub(super) directs: IdMap<Pair, ConversationId>,
    pub(super) conversations_of: IdMap<UserId, IdSet<ConversationId>>,
    pub(super) message_index: IdMap<MessageId, (ConversationId, Seq)>,
    pub(super) client_ids: IdMap<UserId, HashMap<ClientId, MessageId>>,
    pub(super) fingerprints: IdMap<(UserId, ConversationId, Fingerprint), MessageId>,
    pub(super) rows: Rows,
    /// The number of changes that were removed from the log.
    pub(super) forgotten: u64,
    /// The time and the change: the change at position n is at index n - 1 - `forgotten`. Messages are looked up when
    /// the log is read, because readers get their current state.
    pub(super) log: VecDeque<(Timestamp, Change<MessageId>)>,
}

#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: Arc<User>,
    pub(super) password_hash: PasswordHash,
    /// The log position of the last profile change; 0 if there was none.
    pub(super) profile: Position,
}

/// A conversation, direct or not, with its messages.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) conversation: Arc<Conversation>,
    /// The message with seq n is at index n - 1.
    pub(super) messages: Vec<Said>,
    /// The read mark of each member.
    pub(super) read: IdMap<UserId, Seq>,
    pub(super) index: Index,
    /// The users in a direct conversation who block the other one.
    pub(super) blockers: Vec<UserId>,
}

#[derive(Clone)]
pub(super) struct Said {
    pub(super) message: StoredMessage,
    /// The log position of its sending.
    pub(super) sent: Position,
}

impl State {
    pub(super) fn last_position(&self) -> Position {
        Position(self.forgotten + self.log.len() as u64)
    }

    pub(super) fn note(&mut self, at: Timestamp, change: Change<MessageId>) -> Position {
        self.log.push_back((at, change));
        self.last_position()
    }

    /// The account with a folded key.
    pub(super) fn account_mut(&mut self, key: &UserKey) -> Option<&mut Account> {
        let index = *self.account_index.get(key)?;
        self.accounts.get_mut(index)
    }

    pub(super) fn said_mut(&mut self, id: MessageId) -> Option<&mut Said> {
        let (conversation, seq) = self.message_index.get(&id)?;
        self.rooms.get_mut(conversation)?.messages.get_mut(seq.0 as usize - 1)
    }

    pub(super) fn message(&self, id: MessageId) -> Option<&StoredMessage> {
        let (conversation, seq) = self.message_index.get(&id)?;
        self.rooms.get(conversation)?.messages.get(seq.0 as usize - 1).map(|said| &said.message)
    }

    /// The part of the log after a position that a user receives; none if some of it was removed.
    pub(super) fn log_of(
        &self,
        user: UserId,
        after: Position,
    ) -> Option<impl Iterator<Item = (Position, &Change<MessageId>)>> {
        let index = usize::try_from(after.0.checked_sub(self.forgotten)?).unwrap_or(usize::MAX);
        let mine = self.conversations_of.get(&user);
        let is_mine = move |room: &ConversationId| mine.is_some_and(|mine| mine.contains(room));
        let is_told = move |position: Position, change: &Change<MessageId>| match change.subject() {
            Subject::Message(id) => self.message_index.get(id).is_some_and(|(room, _)| is_mine(room)),
            Subject::Conversation { id, removed } => removed == Some(user) || is_mine(&id),
            Subject::ReadMark { conversation, .. } => is_mine(&conversation),
            Subject::Own(who) => who == user,
            Subject::Profile(who) => {
                let index = self.account_index.get(&UserKey::Id(who));
                index.is_some_and(|index| self.accounts[*index].profile == position)
            }
        };
        let log = self.log.range(index.min(self.log.len())..).map(|(_, logged)| logged);
        let positions = (after.0.saturating_add(1)..).map(Position);
        let told = log.zip(positions).map(|(logged, position)| (position, logged));
        Some(told.filter(move |(position, logged)| is_told(*position, logged)))
    }

    /// The conversations of a user.
    pub(super) fn rooms_of(&self, user: UserId) -> impl Iterator<Item = &Room> {
        self.conversations_of.get(&user).into_iter().flatten().filter_map(|id| self.rooms.get(id))
    }

    /// The message with an id from an index.
    pub(super) fn existing(&self, id: MessageId) -> Result<&StoredMessage, StoreError> {
        self.message(id).ok_or_else(|| StoreError::Corrupt { what: "message", id: id.to_string() })
    }

    pub(super) fn change(&self, logged: Change<MessageId>) -> Result<Change, StoreError> {
        logged.map(|id| self.existing(id).cloned())
    }
}

impl Room {
    /// The seq of the last message; 0 if there is none.
    pub(super) fn end(&self) -> Seq {
        Seq(self.messages.last().map_or(0, |said| said.message.seq.0))
    }

    /// The log position of the last message that is not deleted.
    pub(super) fn latest(&self) -> Option<Position> {
        self.last().map(|said| said.sent)
    }

    /// The last message that is not deleted.
    fn last(&self) -> Option<&Said> {
        self.messages.iter().rev().find(|said| said.message.deleted.is_none())
    }

    pub(super) fn activity(&self) -> Activity {
        let Conversation { id, kind, .. } = &*self.conversation;
        let is_direct = matches!(kind, ConversationKind::Direct { .. });
        Activity { latest: self.latest().unwrap_or_default(), conversation: *id, is_direct }
    }

    /// What the chat list of a member shows; none for other users.
    pub(super) fn summary(&self, user: UserId) -> Option<ChatSummary> {
        let read_seq = *self.read.get(&user)?;
        let Conversation { id, kind, members, .. } = &*self.conversation;
        Some(ChatSummary {
            conversation: *id,
            kind: kind.clone(),
            member_count: members.len(),
            first_members: members.iter().take(MEMBERS_SHOWN).copied().collect(),
            last: self.last().map(|said| said.message.clone()),
            last_seq: self.end(),
            read_seq,
            unread: self.unread(user).map_or(0, |count| count.unread),
        })
    }

    /// The unread messages of a member, if there are any.
    pub(super) fn unread(&self, user: UserId) -> Option<UnreadCount> {
        if self.conversation.peer_of(user) == Some(user) {
            return None;
        }
        let (read_seq, last_seq) = (*self.read.get(&user)?, self.end());
        let after = counted_after(read_seq, last_seq).0 as usize;
        let others = |said: &&Said| said.message.sender != user && said.message.deleted.is_none();
        let unread =
            self.messages.get(after..)?.iter().filter(others).take(UNREAD_MOST as usize).count() as u32;
        let conversation = self.conversation.id;
        (unread > 0).then_some(UnreadCount { conversation, last_seq, read_seq, unread })
    }

    pub(super) fn window(&self, window: Window, include_deleted: bool) -> (Vec<StoredMessage>, bool) {
        let messages = self.messages.as_slice();
        let wanted = |message: &&StoredMessage| include_deleted || message.deleted.is_none();
        // Messages up to and including seq n are those before index n.
        let place = |seq: u32| messages.len().min(seq as usize);
        if let Window::After { seq, .. } = window {
            let mut newer = messages[place(seq.0)..].iter().map(|said| &said.message).filter(wanted);
            let page = newer.by_ref().take(window.limit()).cloned().collect();
            return (page, newer.next().is_some());
        }
        let end = match window {
            Window::Before { seq, .. } => place(seq.0.saturating_sub(1)),
            _ => messages.len(),
        };
        let older = messages[..end].iter().rev().map(|said| &said.message).filter(wanted);
        let mut older = older.skip(window.skip());
        let mut page: Vec<_> = older.by_ref().take(window.limit()).cloned().collect();
        page.reverse();
        (page, older.next().is_some())
    }
}
