//! The rows, for writes.

use std::sync::Arc;

use super::documents;
use super::writing::{Room, Writing};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, Seq, User,
};
use crate::search::Terms;
use crate::store::keyed::{self, Row, Table};
use crate::store::tx::{Abort, Tx};
use crate::store::{Change, MessageRef, NewMessage, StoreError, StoredMessage};

impl Writing {
    fn room_mut(&mut self, id: ConversationId) -> Result<&mut Room, StoreError> {
        let missing = || StoreError::Corrupt { what: "conversation", id: id.to_string() };
        self.rooms.get_mut(&id).ok_or_else(missing)
    }

    fn find_message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        if let Some(message) = self.messages.get(&id) {
            return Ok(Some(message.clone()));
        }
        let Some(index) = self.appended.get(&id) else { return Ok(None) };
        documents::read_message(&self.writes.messages[*index]).map(|found| Some(found.message))
    }
}

impl Tx for Writing {
    type Error = StoreError;

    fn user(&mut self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.users.get(&id).cloned().map(Arc::new))
    }

    fn is_name_taken(&mut self, folded: &str) -> Result<bool, StoreError> {
        Ok(self.usernames.contains_key(folded) || self.emails.contains_key(folded))
    }

    fn is_name_key_taken(&mut self, key: &str) -> Result<bool, StoreError> {
        Ok(self.name_keys.contains(key))
    }

    fn insert_user(&mut self, new: &NewUser) -> Result<(), StoreError> {
        // Strictly increasing in the order of commit, on all nodes.
        let place = self.batch << documents::PLACE_BITS | self.writes.users.len() as i64;
        self.writes.users.push(documents::user_document(new, place));
        self.know_user(new.clone());
        Ok(())
    }

    fn set_profile(&mut self, user: &User, position: Position) -> Result<(), StoreError> {
        self.users.insert(user.id, user.clone());
        self.writes.changed_users.insert(user.id);
        self.writes.profiles.insert(user.id, position);
        Ok(())
    }

    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(user) = self.users.get_mut(&id) {
            user.last_seen = Some(at);
            self.writes.changed_users.insert(id);
        }
        Ok(())
    }

    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let known = self.password_hashes.get_mut(&id).filter(|hash| *hash == old);
        let Some(known) = known else { return Ok(false) };
        known.clone_from(new);
        self.writes.changed_passwords.insert(id);
        Ok(true)
    }

    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> Result<(), StoreError> {
        self.writes.revocations.push(documents::revocation_update(fingerprint, until));
        Ok(())
    }

    fn end(&mut self, id: ConversationId) -> Result<Option<Seq>, StoreError> {
        Ok(self.ends.get(&id).copied())
    }

    fn blockers(&mut self, id: ConversationId) -> Result<Vec<UserId>, StoreError> {
        Ok(self.blockers.get(&id).cloned().unwrap_or_default())
    }

    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> Result<(), StoreError> {
        self.blockers.insert(id, blockers.to_vec());
        self.writes.blockers.insert(id);
        Ok(())
    }

    fn kind(&mut self, id: ConversationId) -> Result<Option<ConversationKind>, StoreError> {
        Ok(self.rooms.get(&id).map(|room| room.conversation.kind.clone()))
    }

    fn direct(&mut self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        let room = self.pairs.get(&pair).and_then(|id| self.rooms.get(id));
        Ok(room.map(|room| Arc::new(room.conversation.clone())))
    }

    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> Result<(), StoreError> {
        self.writes.conversations.push(documents::conversation_document(new, Seq(0)));
        let mut room = Room::of(Conversation::clone(new), Some(new.members.len()));
        for (place, member) in (0..).zip(new.members.iter()) {
            room.know_member(*member, place);
            self.writes.members.insert((new.id, member.user));
            self.roles.insert((new.id, member.user), member.role);
            self.move_mark(new.id, member.user, Seq(0));
        }
        if let ConversationKind::Direct { pair } = new.kind {
            self.pairs.insert(pair, new.id);
        }
        self.ends.insert(new.id, Seq(0));
        self.rooms.insert(new.id, room);
        Ok(())
    }

    fn member_count(&mut self, id: ConversationId) -> Result<usize, StoreError> {
        Ok(self.rooms.get(&id).and_then(|room| room.member_count).unwrap_or_default())
    }

    fn member(&mut self, id: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        Ok(self.rooms.get(&id).and_then(|room| room.member(user)).map(|(_, member)| *member))
    }

    fn first_two(&mut self, id: ConversationId, role: Role) -> Result<Vec<Member>, StoreError> {
        // As many were loaded as are certainly enough, see `Reads::first_members`.
        let known = self.rooms.get(&id).into_iter().flat_map(|room| room.members.values());
        Ok(known.filter(|member| member.role == role).take(2).copied().collect())
    }

    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> Result<(), StoreError> {
        let room = self.room_mut(id)?;
        room.know_member(*member, room.next_place);
        room.member_count = room.member_count.map(|count| count + 1);
        self.writes.members.insert((id, member.user));
        self.writes.member_counts.insert(id);
        self.roles.insert((id, member.user), member.role);
        self.move_mark(id, member.user, read);
        Ok(())
    }

    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> Result<(), StoreError> {
        let room = self.room_mut(id)?;
        if let Some(member) = room.places.get(&user).and_then(|place| room.members.get_mut(place)) {
            member.role = role;
        }
        self.writes.members.insert((id, user));
        self.roles.insert((id, user), role);
        Ok(())
    }

    fn delete_member(&mut self, id: ConversationId, user: UserId) -> Result<(), StoreError> {
        let room = self.room_mut(id)?;
        room.forget_member(user);
        room.member_count = room.member_count.map(|count| count.saturating_sub(1));
        self.writes.members.insert((id, user));
        self.writes.member_counts.insert(id);
        self.roles.remove(&(id, user));
        self.marks.remove(&(id, user));
        self.writes.marks.remove(&(id, user));
        Ok(())
    }

    fn role(&mut self, id: ConversationId, user: UserId) -> Result<Option<Role>, StoreError> {
        Ok(self.roles.get(&(id, user)).copied())
    }

    fn read_mark(&mut self, id: ConversationId, user: UserId) -> Result<Option<Seq>, StoreError> {
        Ok(self.marks.get(&(id, user)).copied())
    }

    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> Result<(), StoreError> {
        self.move_mark(id, user, seq);
        Ok(())
    }

    fn message(&mut self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.find_message(id)
    }

    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> Result<Option<StoredMessage>, StoreError> {
        let first = self.send_keys.get(&documents::send_key(sender, id));
        first.map_or(Ok(None), |first| self.find_message(*first))
    }

    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let last = self.fingerprints.get(&(sender, conversation, fingerprint));
        let last = last.map_or(Ok(None), |(_, last)| self.find_message(*last))?;
        Ok(last.filter(|last| last.created_at > since))
    }

    /// An id that another transaction has taken is found by the database.
    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<StoreError>> {
        if self.messages.contains_key(&new.id) || self.appended.contains_key(&new.id) {
            let taken = format!("the id of message {} is taken", new.id);
            return Err(Abort::Refused(StoreError::Refused(taken)));
        }
        let position = self.next_position();
        self.appended.insert(new.id, self.writes.messages.len());
        self.writes.messages.push(documents::message_document(new, seq, position));
        let send_key = new.client_id.as_ref().map(|id| documents::send_key(new.sender, id));
        self.send_keys.extend(send_key.map(|key| (key, new.id)));
        if let Some(fingerprint) = new.fingerprint {
            self.know_fingerprint((new.sender, new.conversation, fingerprint), position, new.id);
        }
        self.ends.insert(new.conversation, seq);
        self.writes.ends.insert(new.conversation, (seq, position));
        Ok(position)
    }

    fn set_deletion(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        self.writes.changed_messages.insert(message.id);
        self.writes.latest.insert(message.conversation);
        self.messages.insert(message.id, message.clone());
        Ok(())
    }

    fn set_body(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        self.writes.changed_messages.insert(message.id);
        self.writes.changed_bodies.insert(message.id);
        self.messages.insert(message.id, message.clone());
        Ok(())
    }

    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> Result<(), StoreError> {
        let position = self.positions.get(&message.id).copied();
        let missing = || StoreError::Corrupt { what: "message", id: message.id.to_string() };
        let update = documents::terms_update(message, position.ok_or_else(missing)?, terms);
        self.writes.terms.push(update);
        Ok(())
    }

    fn set_facets(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        self.writes.changed_messages.insert(message.id);
        self.messages.insert(message.id, message.clone());
        Ok(())
    }

    fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writes.rows.insert((table, key.to_vec()));
        self.rows.insert((table, key.to_vec()), value.to_vec());
        Ok(())
    }

    fn delete_row(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.writes.rows.insert((table, key.to_vec()));
        self.rows.remove(&(table, key.to_vec()));
        Ok(())
    }

    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        Ok(keyed::range(&self.rows, table, prefix, None).take(limit).collect())
    }

    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> Result<Position, StoreError> {
        let position = self.next_position();
        self.writes.log.push(documents::entry_document(position, at, &change));
        Ok(position)
    }
}
