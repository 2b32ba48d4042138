//! What the driver in memory holds, and how it is found.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::search::Index;
use crate::clock::Timestamp;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{ClientId, Conversation, Fingerprint, Pair, PasswordHash, Position, Seq, User, UserKey};
use crate::store::{Change, StoreError, StoredMessage};

/// Everything there is. No call walks over more of it than the conversations or people it is about.
#[derive(Default)]
pub(super) struct State {
    pub(super) closed: bool,
    /// In the order of creation.
    pub(super) accounts: Vec<Account>,
    /// From every folded key of a person to their index in `accounts`.
    pub(super) account_index: HashMap<UserKey, usize>,
    pub(super) revoked: HashMap<[u8; 32], Timestamp>,
    pub(super) rooms: HashMap<ConversationId, Room>,
    pub(super) directs: HashMap<Pair, ConversationId>,
    pub(super) directs_of: HashMap<UserId, Vec<ConversationId>>,
    pub(super) message_index: HashMap<MessageId, (ConversationId, Seq)>,
    pub(super) client_ids: HashMap<(UserId, ClientId), MessageId>,
    pub(super) fingerprints: HashMap<(UserId, ConversationId, Fingerprint), MessageId>,
    /// How many changes were forgotten.
    pub(super) forgotten: u64,
    /// When, and what: the change at position n is at index n - 1 - `forgotten`.
    pub(super) log: VecDeque<(Timestamp, Logged)>,
}

pub(super) struct Account {
    pub(super) user: Arc<User>,
    pub(super) password_hash: PasswordHash,
}

/// A conversation, direct or not, and what was said in it.
pub(super) struct Room {
    pub(super) conversation: Arc<Conversation>,
    /// The message with seq n is at index n - 1.
    pub(super) messages: Vec<Said>,
    pub(super) index: Index,
}

pub(super) struct Said {
    pub(super) message: StoredMessage,
    /// Where the log says that it was sent.
    pub(super) sent: Position,
}

/// What the log keeps of a change. Messages are looked up when the log is read, because they come as they are
/// then.
pub(super) enum Logged {
    Message(MessageId, fn(StoredMessage) -> Change),
    Other(Change),
}

impl State {
    pub(super) fn last_position(&self) -> Position {
        Position(self.forgotten + self.log.len() as u64)
    }

    pub(super) fn note(&mut self, at: Timestamp, change: Logged) -> Position {
        self.log.push_back((at, change));
        self.last_position()
    }

    pub(super) fn said_mut(&mut self, id: MessageId) -> Option<&mut Said> {
        let (conversation, seq) = self.message_index.get(&id)?;
        self.rooms.get_mut(conversation)?.messages.get_mut(seq.0 as usize - 1)
    }

    pub(super) fn message(&self, id: MessageId) -> Option<&StoredMessage> {
        let (conversation, seq) = self.message_index.get(&id)?;
        self.rooms.get(conversation)?.messages.get(seq.0 as usize - 1).map(|said| &said.message)
    }

    pub(super) fn open_room(&mut self, conversation: Conversation) -> Result<Arc<Conversation>, StoreError> {
        let Entry::Vacant(place) = self.rooms.entry(conversation.id) else {
            return Err(StoreError::Refused(format!("the id of conversation {} is taken", conversation.id)));
        };
        let conversation = Arc::new(conversation);
        let room = place.insert(Room { conversation, messages: Vec::new(), index: Index::default() });
        Ok(room.conversation.clone())
    }

    /// The message with an id that came out of an index.
    pub(super) fn existing(&self, id: MessageId) -> Result<&StoredMessage, StoreError> {
        self.message(id).ok_or_else(|| StoreError::Corrupt { what: "message", id: id.to_string() })
    }

    pub(super) fn change(&self, logged: &Logged) -> Result<Change, StoreError> {
        match logged {
            Logged::Message(id, change) => self.existing(*id).cloned().map(change),
            Logged::Other(change) => Ok(change.clone()),
        }
    }
}

impl Room {
    pub(super) fn window(&self, window: Window, include_deleted: bool) -> (Vec<StoredMessage>, bool) {
        let messages = self.messages.as_slice();
        let wanted = |message: &&StoredMessage| include_deleted || message.deleted.is_none();
        // Messages up to and with seq n are those before index n.
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
