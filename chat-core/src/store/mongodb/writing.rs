//! A transaction as the changes in it see it: what they asked to be loaded, what they made of it, and what has to be
//! written because of that. All in memory: the database is asked once before all changes and told once after.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mongodb::bson::RawDocumentBuf;

use super::documents::{self, Entry, Kind, MessageDocument};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, Fingerprint, Member, NewUser, Pair, PasswordHash, Position, Role, Seq, User,
};
use crate::store::{NewMessage, StoreError, StoredMessage};

/// What a batch of changes looks at. Whatever is not found is known not to be there.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) users: HashSet<UserId>,
    /// Folded.
    pub(super) usernames: HashSet<String>,
    /// Folded.
    pub(super) emails: HashSet<String>,
    pub(super) name_keys: HashSet<String>,
    /// Conversations of which only the end is asked for.
    pub(super) ends: HashSet<ConversationId>,
    /// Conversations with their members.
    pub(super) conversations: HashSet<ConversationId>,
    /// Pairs of which the conversation with its members is asked for.
    pub(super) pairs: HashSet<Pair>,
    /// Members of which the mark is asked for. The ends of their conversations are asked for too.
    pub(super) marks: HashSet<(ConversationId, UserId)>,
    pub(super) messages: HashSet<MessageId>,
    pub(super) send_keys: HashSet<Vec<u8>>,
    pub(super) fingerprints: HashSet<Fingerprint>,
}

/// A conversation with its members, and the place of each in the order of joining.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) conversation: Conversation,
    pub(super) places: Vec<i64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// The number of this transaction among all.
    batch: i64,
    position: u64,
    /// What those have read who have no mark.
    pub(super) read_up_to: Position,
    pub(super) users: HashMap<UserId, User>,
    pub(super) usernames: HashMap<String, UserId>,
    pub(super) emails: HashMap<String, UserId>,
    pub(super) name_keys: HashSet<String>,
    password_hashes: HashMap<UserId, PasswordHash>,
    pub(super) ends: HashMap<ConversationId, Seq>,
    pub(super) rooms: HashMap<ConversationId, Room>,
    pub(super) pairs: HashMap<Pair, ConversationId>,
    marks: HashMap<(ConversationId, UserId), Seq>,
    messages: HashMap<MessageId, StoredMessage>,
    send_keys: HashMap<Vec<u8>, MessageId>,
    /// The last message of each, and its position.
    fingerprints: HashMap<(UserId, ConversationId, Fingerprint), (Position, MessageId)>,
    /// Where in `writes.messages` the messages of this transaction are.
    appended: HashMap<MessageId, usize>,
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
    /// Conversations whose latest message that is not deleted may be another one now.
    pub(super) latest: BTreeSet<ConversationId>,
    pub(super) members: BTreeSet<(ConversationId, UserId)>,
    /// Members whose mark has moved.
    pub(super) marks: BTreeSet<(ConversationId, UserId)>,
    pub(super) messages: Vec<RawDocumentBuf>,
    pub(super) changed_messages: BTreeSet<MessageId>,
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

    fn next_position(&mut self) -> Position {
        self.position += 1;
        Position(self.position)
    }

    /// Logs a change that is not the sending of a message.
    pub(super) fn log(&mut self, entry: impl FnOnce(Position) -> Entry) -> Position {
        let position = self.next_position();
        self.writes.log.push(documents::entry_document(&entry(position)));
        position
    }

    pub(super) fn log_of_room(
        &mut self,
        at: Timestamp,
        kind: Kind,
        room: ConversationId,
        user: UserId,
        role: Option<Role>,
    ) -> Position {
        let (room, user) = (Some(room), Some(user));
        self.log(|position| Entry { position, at, kind, message: None, room, user, role, seq: None })
    }

    /// Has the log begin after a position, if there is something after it.
    pub(super) fn forget_log(&mut self, up_to: Position) {
        let most = Position(self.position.saturating_sub(1));
        self.writes.log_begin = self.writes.log_begin.max(Some(up_to.min(most)));
    }

    pub(super) fn add_user(&mut self, new: &NewUser) {
        // Strictly increasing in the order of commit, on all nodes.
        let place = self.batch << documents::PLACE_BITS | self.writes.users.len() as i64;
        self.writes.users.push(documents::user_document(new, place));
        self.know_user(new.clone());
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

    /// A person whose profile is about to change, if they are there.
    pub(super) fn change_user(&mut self, id: UserId) -> Option<&mut User> {
        let user = self.users.get_mut(&id)?;
        self.writes.changed_users.insert(id);
        Some(user)
    }

    /// Puts another hash in the place of one, if that is there; answers whether it was.
    pub(super) fn change_password(&mut self, id: UserId, old: &PasswordHash, new: &PasswordHash) -> bool {
        let Some(hash) = self.password_hashes.get_mut(&id).filter(|hash| *hash == old) else { return false };
        hash.clone_from(new);
        self.writes.changed_passwords.insert(id);
        true
    }

    /// The statements for the passwords that have changed.
    pub(super) fn password_updates(&self) -> impl Iterator<Item = RawDocumentBuf> {
        let changed = self.writes.changed_passwords.iter();
        changed.filter_map(|id| Some(documents::password_update(*id, self.password_hashes.get(id)?)))
    }

    pub(super) fn add_conversation(&mut self, document: RawDocumentBuf, conversation: Conversation) {
        let id = conversation.id;
        self.writes.conversations.push(document);
        self.writes.members.extend(conversation.members.iter().map(|member| (id, member.user)));
        for member in &conversation.members {
            self.move_mark(id, member.user, Seq(0));
        }
        self.ends.insert(id, Seq(0));
        let places = (0..).take(conversation.members.len()).collect();
        self.rooms.insert(id, Room { conversation, places });
    }

    pub(super) fn add_member(&mut self, id: ConversationId, member: Member) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.places.push(room.places.last().map_or(0, |place| place + 1));
        room.conversation.members.push(member);
        self.writes.members.insert((id, member.user));
        let end = self.ends.get(&id).copied().unwrap_or_default();
        self.move_mark(id, member.user, end);
    }

    pub(super) fn remove_member(&mut self, id: ConversationId, user: UserId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let index = room.conversation.members.iter().position(|member| member.user == user);
        if let Some(index) = index {
            room.conversation.members.remove(index);
            room.places.remove(index);
            self.writes.members.insert((id, user));
            self.marks.remove(&(id, user));
            self.writes.marks.remove(&(id, user));
        }
    }

    pub(super) fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if let Some(member) = room.conversation.members.iter_mut().find(|member| member.user == user) {
            member.role = role;
            self.writes.members.insert((id, user));
        }
    }

    pub(super) fn know_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) {
        self.marks.insert((id, user), seq);
    }

    /// How far a member has read. None for those who are no member, and for those whose mark nobody has asked for.
    pub(super) fn mark(&self, id: ConversationId, user: UserId) -> Option<Seq> {
        self.marks.get(&(id, user)).copied()
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
        self.messages.insert(message.id, message);
    }

    fn know_fingerprint(
        &mut self,
        key: (UserId, ConversationId, Fingerprint),
        position: Position,
        id: MessageId,
    ) {
        let last = self.fingerprints.entry(key).or_insert((position, id));
        *last = (*last).max((position, id));
    }

    pub(super) fn is_known_message(&self, id: MessageId) -> bool {
        self.messages.contains_key(&id) || self.appended.contains_key(&id)
    }

    /// A message as it is now, if it is there.
    pub(super) fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        if let Some(message) = self.messages.get(&id) {
            return Ok(Some(message.clone()));
        }
        let Some(index) = self.appended.get(&id) else { return Ok(None) };
        documents::read_message(&self.writes.messages[*index]).map(|found| Some(found.message))
    }

    /// The message that was sent under a key before.
    pub(super) fn sent_as(&self, send_key: &[u8]) -> Result<Option<StoredMessage>, StoreError> {
        self.send_keys.get(send_key).map_or(Ok(None), |id| self.message(*id))
    }

    /// The last message that was sent with a fingerprint.
    pub(super) fn sent_with(&self, new: &NewMessage) -> Result<Option<StoredMessage>, StoreError> {
        let key = new.fingerprint.map(|fingerprint| (new.sender, new.conversation, fingerprint));
        let known = key.and_then(|key| self.fingerprints.get(&key));
        known.map_or(Ok(None), |(_, id)| self.message(*id))
    }

    /// Appends a message; `seq` is the next of its conversation.
    pub(super) fn append(&mut self, new: &NewMessage, send_key: Option<Vec<u8>>, seq: Seq) -> Position {
        let position = self.next_position();
        self.appended.insert(new.id, self.writes.messages.len());
        self.writes.messages.push(documents::message_document(new, seq, position));
        self.send_keys.extend(send_key.map(|key| (key, new.id)));
        if let Some(fingerprint) = new.fingerprint {
            self.know_fingerprint((new.sender, new.conversation, fingerprint), position, new.id);
        }
        self.ends.insert(new.conversation, seq);
        self.writes.ends.insert(new.conversation, (seq, position));
        position
    }

    /// Takes over a message whose deletion has changed.
    pub(super) fn change_message(&mut self, message: StoredMessage) {
        self.writes.changed_messages.insert(message.id);
        self.writes.latest.insert(message.conversation);
        self.messages.insert(message.id, message);
    }

    pub(super) fn changed_messages(&self) -> impl Iterator<Item = &StoredMessage> {
        self.writes.changed_messages.iter().filter_map(|id| self.messages.get(id))
    }

    pub(super) fn revoke(&mut self, fingerprint: &[u8; 32], until: Timestamp) {
        self.writes.revocations.push(documents::revocation_update(fingerprint, until));
    }
}
