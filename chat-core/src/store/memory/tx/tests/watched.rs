//! A transaction that fails when a write looks at something that it has not named, or is refused after it has written.

use std::collections::HashSet;

use super::super::*;
use crate::store::tx::Reads;

pub(super) struct Watched<'a> {
    pub(super) state: &'a mut State,
    pub(super) reads: Reads,
    /// Who was found among the first members of a room.
    pub(super) first: HashSet<UserId>,
    pub(super) logged: u64,
    pub(super) has_written: bool,
}

impl Watched<'_> {
    fn writing(&mut self) -> &mut State {
        self.has_written = true;
        self.state
    }

    fn looks_at_end(&self, id: ConversationId) {
        assert!(self.reads.ends.contains(&id) || self.reads.rooms.contains(&id), "end of {id}");
    }

    fn looks_at_room(&self, id: ConversationId) {
        assert!(self.reads.rooms.contains(&id), "room {id}");
    }

    /// One who is named, or was found among the first.
    fn looks_at_member(&self, id: ConversationId, user: UserId) {
        self.looks_at_room(id);
        let is_named = self.reads.members.contains(&(id, user)) || self.first.contains(&user);
        assert!(is_named, "membership of {user} in {id}");
    }

    fn looks_at_blockers(&self, id: ConversationId) {
        let kind = self.state.rooms.get(&id).map(|room| &room.conversation.kind);
        match kind {
            Some(ConversationKind::Direct { pair }) if self.reads.pairs.contains(pair) => {}
            _ => self.looks_at_end(id),
        }
    }

    fn looks_at_user(&self, id: UserId) {
        assert!(self.reads.users.contains(&id), "user {id}");
    }

    fn looks_at_row(&self, table: Table, key: &[u8]) {
        let ranges = &self.reads.ranges;
        let is_in_range = ranges.iter().any(|(of, prefix, _)| *of == table && key.starts_with(prefix));
        let named = (table, key.to_vec());
        let is_ruled = self.reads.ruled_rows.contains(&named) && {
            let rules = (Table::RoomRules, key[..12].to_vec());
            self.reads.rows.contains(&rules) && self.state.rows.contains_key(&rules)
        };
        assert!(is_in_range || is_ruled || self.reads.rows.contains(&named), "a row of {table:?}");
    }

    fn looks_at_mark(&self, id: ConversationId, user: UserId) {
        self.looks_at_end(id);
        assert!(self.reads.read_marks.contains(&(id, user)), "read mark of {user} in {id}");
    }
}

impl Tx for Watched<'_> {
    type Error = StoreError;

    fn user(&mut self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.looks_at_user(id);
        self.state.user(id)
    }

    fn is_name_taken(&mut self, folded: &str) -> Result<bool, StoreError> {
        assert!(self.reads.names.contains(folded), "name {folded}");
        self.state.is_name_taken(folded)
    }

    fn is_name_key_taken(&mut self, key: &str) -> Result<bool, StoreError> {
        assert!(self.reads.name_keys.contains(key), "key {key}");
        self.state.is_name_key_taken(key)
    }

    fn insert_user(&mut self, new: &NewUser) -> Result<(), StoreError> {
        self.writing().insert_user(new)
    }

    fn set_profile(&mut self, user: &User, position: Position) -> Result<(), StoreError> {
        self.looks_at_user(user.id);
        self.writing().set_profile(user, position)
    }

    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.looks_at_user(id);
        self.writing().set_last_seen(id, at)
    }

    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.looks_at_user(id);
        self.writing().swap_password_hash(id, old, new)
    }

    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> Result<(), StoreError> {
        self.writing().extend_revocation(fingerprint, until)
    }

    fn end(&mut self, id: ConversationId) -> Result<Option<Seq>, StoreError> {
        self.looks_at_end(id);
        self.state.end(id)
    }

    fn blockers(&mut self, id: ConversationId) -> Result<Vec<UserId>, StoreError> {
        self.looks_at_blockers(id);
        self.state.blockers(id)
    }

    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> Result<(), StoreError> {
        self.looks_at_blockers(id);
        self.writing().set_blockers(id, blockers)
    }

    fn kind(&mut self, id: ConversationId) -> Result<Option<ConversationKind>, StoreError> {
        self.looks_at_room(id);
        self.state.kind(id)
    }

    fn member_count(&mut self, id: ConversationId) -> Result<usize, StoreError> {
        self.looks_at_room(id);
        self.state.member_count(id)
    }

    fn member(&mut self, id: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.looks_at_member(id, user);
        self.state.member(id, user)
    }

    fn first_two(&mut self, id: ConversationId, role: Role) -> Result<Vec<Member>, StoreError> {
        self.looks_at_room(id);
        assert!(self.reads.first_members.contains(&id), "first members of {id}");
        let found = self.state.first_two(id, role)?;
        self.first.extend(found.iter().map(|member| member.user));
        Ok(found)
    }

    fn direct(&mut self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        assert!(self.reads.pairs.contains(&pair), "{pair:?}");
        self.state.direct(pair)
    }

    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> Result<(), StoreError> {
        self.looks_at_end(new.id);
        self.writing().insert_conversation(new)
    }

    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> Result<(), StoreError> {
        self.looks_at_member(id, member.user);
        self.writing().insert_member(id, member, read)
    }

    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> Result<(), StoreError> {
        self.looks_at_member(id, user);
        self.writing().set_role(id, user, role)
    }

    fn delete_member(&mut self, id: ConversationId, user: UserId) -> Result<(), StoreError> {
        self.looks_at_member(id, user);
        self.writing().delete_member(id, user)
    }

    fn role(&mut self, id: ConversationId, user: UserId) -> Result<Option<Role>, StoreError> {
        self.looks_at_end(id);
        assert!(self.reads.roles.contains(&(id, user)), "role of {user} in {id}");
        self.state.role(id, user)
    }

    fn read_mark(&mut self, id: ConversationId, user: UserId) -> Result<Option<Seq>, StoreError> {
        self.looks_at_mark(id, user);
        self.state.read_mark(id, user)
    }

    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> Result<(), StoreError> {
        self.looks_at_mark(id, user);
        self.writing().set_read_mark(id, user, seq)
    }

    fn message(&mut self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.messages.contains(&id), "message {id}");
        Tx::message(self.state, id)
    }

    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.sends.contains(&(sender, id.clone())), "client id {id:?}");
        self.state.sent_as(sender, id)
    }

    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> Result<Option<StoredMessage>, StoreError> {
        assert!(self.reads.fingerprints.contains(&fingerprint), "{fingerprint:?}");
        self.state.sent_with(sender, conversation, fingerprint, since)
    }

    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<StoreError>> {
        self.looks_at_end(new.conversation);
        let position = self.state.insert_message(new, seq)?;
        (self.has_written, self.logged) = (true, self.logged + 1);
        Ok(position)
    }

    fn set_deletion(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_deletion(message)
    }

    fn set_body(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_body(message)
    }

    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().add_terms(message, terms)
    }

    fn set_facets(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        assert!(self.reads.messages.contains(&message.id), "message {}", message.id);
        self.writing().set_facets(message)
    }

    fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.looks_at_row(table, key);
        self.state.row(table, key)
    }

    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.looks_at_row(table, key);
        self.writing().put_row(table, key, value)
    }

    fn delete_row(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.looks_at_row(table, key);
        self.writing().delete_row(table, key)
    }

    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let ranges = &self.reads.ranges;
        let is_named = ranges.iter().any(|(of, begin, most)| {
            *of == table && prefix.starts_with(begin) && (begin == prefix || limit <= *most)
        });
        assert!(is_named, "{limit} rows of {table:?}");
        self.state.rows(table, prefix, limit)
    }

    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> Result<Position, StoreError> {
        self.logged += 1;
        self.writing().log(at, change)
    }
}
