//! A transaction as the changes in it see it: what they asked to be loaded, what they made of it, and what has to be
//! written because of that. All in memory: the database is asked once before all changes and told once after.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mongodb::bson::RawDocumentBuf;

use super::documents::{self, MessageDocument};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, Fingerprint, Member, NewUser, Pair, PasswordHash, Position, Role, Seq, User,
};
use crate::store::StoredMessage;
use crate::store::keyed::{Rows, Table};

/// A conversation, and those of its members whom somebody has asked for.
#[derive(Debug)]
pub(super) struct Room {
    /// In a direct conversation with its members, in others without them.
    pub(super) conversation: Conversation,
    /// How many members it has; none until that was looked up or counted.
    pub(super) member_count: Option<usize>,
    /// The place of the next one in the order of joining.
    pub(super) next_place: i64,
    /// By their places.
    pub(super) members: BTreeMap<i64, Member>,
    /// Where in `members` they are.
    pub(super) places: HashMap<UserId, i64>,
}

impl Room {
    /// A conversation of which nobody is known yet.
    pub(super) fn of(conversation: Conversation, member_count: Option<usize>) -> Self {
        let (members, places) = Default::default();
        Self { conversation, member_count, next_place: 0, members, places }
    }

    pub(super) fn member(&self, user: UserId) -> Option<(i64, &Member)> {
        let place = *self.places.get(&user)?;
        Some((place, self.members.get(&place)?))
    }

    pub(super) fn know_member(&mut self, member: Member, place: i64) {
        self.places.insert(member.user, place);
        self.members.insert(place, member);
        self.next_place = self.next_place.max(place + 1);
    }

    pub(super) fn forget_member(&mut self, user: UserId) {
        if let Some(place) = self.places.remove(&user) {
            self.members.remove(&place);
        }
    }
}

/// See the module. Whatever was asked for and is not found is known not to be there.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// The number of this transaction among all.
    pub(super) batch: i64,
    position: u64,
    /// What those have read who have no mark.
    pub(super) read_up_to: Position,
    pub(super) users: HashMap<UserId, User>,
    pub(super) usernames: HashMap<String, UserId>,
    pub(super) emails: HashMap<String, UserId>,
    pub(super) name_keys: HashSet<String>,
    pub(super) password_hashes: HashMap<UserId, PasswordHash>,
    pub(super) ends: HashMap<ConversationId, Seq>,
    /// Of conversations in `ends`: who of the two blocks the other one. Nothing stands for nobody.
    pub(super) blockers: HashMap<ConversationId, Vec<UserId>>,
    pub(super) rooms: HashMap<ConversationId, Room>,
    pub(super) pairs: HashMap<Pair, ConversationId>,
    /// What members may do of whom that was asked, or who have changed.
    pub(super) roles: HashMap<(ConversationId, UserId), Role>,
    pub(super) marks: HashMap<(ConversationId, UserId), Seq>,
    pub(super) messages: HashMap<MessageId, StoredMessage>,
    /// Where the log says that messages were sent that were there before.
    pub(super) positions: HashMap<MessageId, Position>,
    pub(super) send_keys: HashMap<Vec<u8>, MessageId>,
    /// The last message of each, and its position.
    pub(super) fingerprints: HashMap<(UserId, ConversationId, Fingerprint), (Position, MessageId)>,
    /// Where in `writes.messages` the messages of this transaction are.
    pub(super) appended: HashMap<MessageId, usize>,
    pub(super) rows: Rows,
    /// Rows of which it is known without a look whether they are there.
    pub(super) known_rows: HashSet<(Table, Vec<u8>)>,
    pub(super) writes: Writes,
}

/// What has to be written.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) users: Vec<RawDocumentBuf>,
    pub(super) changed_users: BTreeSet<UserId>,
    /// Where the log says that a profile was changed last.
    pub(super) profiles: HashMap<UserId, Position>,
    pub(super) changed_passwords: BTreeSet<UserId>,
    pub(super) conversations: Vec<RawDocumentBuf>,
    /// Where conversations end now, and the position of their last message.
    pub(super) ends: BTreeMap<ConversationId, (Seq, Position)>,
    /// Conversations in which somebody blocks the other one since, or does no longer.
    pub(super) blockers: BTreeSet<ConversationId>,
    /// Conversations whose latest message that is not deleted may be another one now.
    pub(super) latest: BTreeSet<ConversationId>,
    pub(super) members: BTreeSet<(ConversationId, UserId)>,
    /// Conversations that have another number of members than before.
    pub(super) member_counts: BTreeSet<ConversationId>,
    /// Members whose mark has moved.
    pub(super) marks: BTreeSet<(ConversationId, UserId)>,
    pub(super) messages: Vec<RawDocumentBuf>,
    pub(super) changed_messages: BTreeSet<MessageId>,
    /// Those of them whose bodies have changed.
    pub(super) changed_bodies: BTreeSet<MessageId>,
    /// Statements that add terms of messages to the index.
    pub(super) terms: Vec<RawDocumentBuf>,
    /// Rows that are put or deleted.
    pub(super) rows: BTreeSet<(Table, Vec<u8>)>,
    pub(super) revocations: Vec<RawDocumentBuf>,
    pub(super) log: Vec<RawDocumentBuf>,
    /// The position after which the log is complete from now on.
    pub(super) log_begin: Option<Position>,
}

impl Writing {
    pub(super) fn new(batch: i64, position: Position, read_up_to: Position) -> Self {
        Self { batch, position: position.0, read_up_to, ..Self::default() }
    }

    /// The last position that was taken.
    pub(super) fn position(&self) -> Position {
        Position(self.position)
    }

    pub(super) fn next_position(&mut self) -> Position {
        self.position += 1;
        Position(self.position)
    }

    /// Has the log begin after a position, if there is something after it.
    pub(super) fn forget_log(&mut self, up_to: Position) {
        let most = Position(self.position.saturating_sub(1));
        self.writes.log_begin = self.writes.log_begin.max(Some(up_to.min(most)));
    }

    pub(super) fn know_user(&mut self, account: NewUser) {
        let NewUser { user, password_hash, name_key } = account;
        self.name_keys.extend(name_key);
        self.password_hashes.insert(user.id, password_hash);
        let folded = |text: &Option<String>| text.as_deref().map(documents::folded);
        self.usernames.extend(folded(&user.username).map(|name| (name, user.id)));
        self.emails.extend(folded(&user.email).map(|email| (email, user.id)));
        self.users.insert(user.id, user);
    }

    /// The statements for the passwords that have changed.
    pub(super) fn password_updates(&self) -> impl Iterator<Item = RawDocumentBuf> {
        let changed = self.writes.changed_passwords.iter();
        changed.filter_map(|id| Some(documents::password_update(*id, self.password_hashes.get(id)?)))
    }

    pub(super) fn know_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) {
        self.marks.insert((id, user), seq);
    }

    pub(super) fn move_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) {
        self.marks.insert((id, user), seq);
        self.writes.marks.insert((id, user));
    }

    /// The statements for the marks that have moved of those whose membership has not changed.
    pub(super) fn mark_updates(&self) -> impl Iterator<Item = RawDocumentBuf> {
        let marks = self.writes.marks.difference(&self.writes.members);
        marks.filter_map(|key| Some(documents::mark_update(key.0, key.1, *self.marks.get(key)?)))
    }

    /// Where a mark is now, if it has moved.
    pub(super) fn moved_mark(&self, id: ConversationId, user: UserId) -> Option<Seq> {
        self.writes.marks.get(&(id, user)).and_then(|key| self.marks.get(key)).copied()
    }

    pub(super) fn know_message(&mut self, found: MessageDocument) {
        let MessageDocument { message, position, send_key, fingerprint } = found;
        self.send_keys.extend(send_key.map(|key| (key, message.id)));
        if let Some(fingerprint) = fingerprint {
            self.know_fingerprint((message.sender, message.conversation, fingerprint), position, message.id);
        }
        self.positions.insert(message.id, position);
        self.messages.insert(message.id, message);
    }

    pub(super) fn know_fingerprint(
        &mut self,
        key: (UserId, ConversationId, Fingerprint),
        position: Position,
        id: MessageId,
    ) {
        let last = self.fingerprints.entry(key).or_insert((position, id));
        *last = (*last).max((position, id));
    }

    /// The statements for the messages that have changed.
    pub(super) fn message_updates(&self) -> impl Iterator<Item = RawDocumentBuf> {
        let changed = self.writes.changed_messages.iter().filter_map(|id| self.messages.get(id));
        changed.map(|message| {
            documents::message_update(message, self.writes.changed_bodies.contains(&message.id))
        })
    }
}
