//! The rows, for writes.

use std::sync::Arc;

use super::search::Index;
use super::state::{Account, Room, Said, State};
use crate::clock::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    ClientId, Conversation, ConversationKind, Fingerprint, Member, NewUser, Pair, PasswordHash, Position,
    Role, Seq, User, UserKey,
};
use crate::search::Terms;
use crate::store::keyed::{self, Facets, Row, Table};
use crate::store::tx::{Abort, Tx};
use crate::store::{Change, MessageRef, NewMessage, StoreError, StoredMessage};

impl State {
    fn room_mut(&mut self, id: ConversationId) -> Result<&mut Room, StoreError> {
        let missing = || StoreError::Corrupt { what: "conversation", id: id.to_string() };
        self.rooms.get_mut(&id).ok_or_else(missing)
    }

    fn change_account(&mut self, id: UserId, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.account_mut(&UserKey::Id(id)) {
            change(account);
        }
    }
}

impl Tx for State {
    type Error = StoreError;

    fn user(&mut self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.account_mut(&UserKey::Id(id)).map(|account| account.user.clone()))
    }

    fn is_name_taken(&mut self, folded: &str) -> Result<bool, StoreError> {
        let keys = [UserKey::Username(folded.into()), UserKey::Email(folded.into())];
        Ok(keys.iter().any(|key| self.account_index.contains_key(key)))
    }

    fn is_name_key_taken(&mut self, key: &str) -> Result<bool, StoreError> {
        Ok(self.name_keys.contains(key))
    }

    fn insert_user(&mut self, new: &NewUser) -> Result<(), StoreError> {
        let NewUser { user, password_hash, name_key } = new.clone();
        let index = self.accounts.len();
        let username = user.username.clone().map(UserKey::Username);
        let email = user.email.clone().map(UserKey::Email);
        let keys = [Some(UserKey::Id(user.id)), username, email].into_iter().flatten();
        self.account_index.extend(keys.map(|key| (key.folded(), index)));
        self.name_keys.extend(name_key);
        self.accounts.push(Account { user: user.into(), password_hash, profile: Position(0) });
        Ok(())
    }

    fn set_profile(&mut self, user: &User, position: Position) -> Result<(), StoreError> {
        self.change_account(user.id, |account| {
            account.user = Arc::new(user.clone());
            account.profile = position;
        });
        Ok(())
    }

    fn set_last_seen(&mut self, id: UserId, at: Timestamp) -> Result<(), StoreError> {
        self.change_account(id, |account| Arc::make_mut(&mut account.user).last_seen = Some(at));
        Ok(())
    }

    fn swap_password_hash(
        &mut self,
        id: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, StoreError> {
        let account = self.account_mut(&UserKey::Id(id)).filter(|account| account.password_hash == *old);
        let Some(account) = account else { return Ok(false) };
        account.password_hash = new.clone();
        Ok(true)
    }

    fn extend_revocation(&mut self, fingerprint: &[u8; 32], until: Timestamp) -> Result<(), StoreError> {
        let noted = self.revoked.entry(*fingerprint).or_insert(until);
        // The earlier promise stands even if this one is shorter.
        *noted = until.max(*noted);
        Ok(())
    }

    fn end(&mut self, id: ConversationId) -> Result<Option<Seq>, StoreError> {
        Ok(self.rooms.get(&id).map(Room::end))
    }

    fn blockers(&mut self, id: ConversationId) -> Result<Vec<UserId>, StoreError> {
        Ok(self.rooms.get(&id).map_or(Vec::new(), |room| room.blockers.clone()))
    }

    fn set_blockers(&mut self, id: ConversationId, blockers: &[UserId]) -> Result<(), StoreError> {
        self.room_mut(id)?.blockers = blockers.to_vec();
        Ok(())
    }

    fn kind(&mut self, id: ConversationId) -> Result<Option<ConversationKind>, StoreError> {
        Ok(self.rooms.get(&id).map(|room| room.conversation.kind.clone()))
    }

    fn direct(&mut self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        let room = self.directs.get(&pair).and_then(|id| self.rooms.get(id));
        Ok(room.map(|room| room.conversation.clone()))
    }

    fn insert_conversation(&mut self, new: &Arc<Conversation>) -> Result<(), StoreError> {
        let people = || new.members.iter().map(|member| member.user);
        for user in people() {
            self.conversations_of.entry(user).or_default().insert(new.id);
        }
        if let ConversationKind::Direct { pair } = new.kind {
            self.directs.insert(pair, new.id);
        }
        let room = Room {
            conversation: new.clone(),
            messages: Vec::new(),
            read: people().map(|user| (user, Seq(0))).collect(),
            index: Index::default(),
            blockers: Vec::new(),
        };
        self.rooms.insert(new.id, room);
        Ok(())
    }

    fn member_count(&mut self, id: ConversationId) -> Result<usize, StoreError> {
        Ok(self.rooms.get(&id).map_or(0, |room| room.conversation.members.len()))
    }

    fn member(&mut self, id: ConversationId, user: UserId) -> Result<Option<Member>, StoreError> {
        Ok(self.rooms.get(&id).and_then(|room| room.conversation.member(user)).copied())
    }

    fn first_two(&mut self, id: ConversationId, role: Role) -> Result<Vec<Member>, StoreError> {
        let room = self.rooms.get(&id);
        Ok(room.map_or(Vec::new(), |room| room.conversation.members.first_with(role, 2)))
    }

    fn insert_member(&mut self, id: ConversationId, member: &Member, read: Seq) -> Result<(), StoreError> {
        let room = self.room_mut(id)?;
        Arc::make_mut(&mut room.conversation).members.put(*member);
        room.read.insert(member.user, read);
        self.conversations_of.entry(member.user).or_default().insert(id);
        Ok(())
    }

    fn set_role(&mut self, id: ConversationId, user: UserId, role: Role) -> Result<(), StoreError> {
        Arc::make_mut(&mut self.room_mut(id)?.conversation).members.set_role(user, role);
        Ok(())
    }

    fn delete_member(&mut self, id: ConversationId, user: UserId) -> Result<(), StoreError> {
        let room = self.room_mut(id)?;
        Arc::make_mut(&mut room.conversation).members.remove(user);
        room.read.remove(&user);
        if let Some(conversations) = self.conversations_of.get_mut(&user) {
            conversations.remove(&id);
        }
        Ok(())
    }

    fn role(&mut self, id: ConversationId, user: UserId) -> Result<Option<Role>, StoreError> {
        Ok(self.member(id, user)?.map(|member| member.role))
    }

    fn read_mark(&mut self, id: ConversationId, user: UserId) -> Result<Option<Seq>, StoreError> {
        Ok(self.rooms.get(&id).and_then(|room| room.read.get(&user)).copied())
    }

    fn set_read_mark(&mut self, id: ConversationId, user: UserId, seq: Seq) -> Result<(), StoreError> {
        self.room_mut(id)?.read.insert(user, seq);
        Ok(())
    }

    fn message(&mut self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        Ok(State::message(self, id).cloned())
    }

    fn sent_as(&mut self, sender: UserId, id: &ClientId) -> Result<Option<StoredMessage>, StoreError> {
        let first = self.client_ids.get(&sender).and_then(|theirs| theirs.get(id));
        first.map(|first| self.existing(*first).cloned()).transpose()
    }

    fn sent_with(
        &mut self,
        sender: UserId,
        conversation: ConversationId,
        fingerprint: Fingerprint,
        since: Timestamp,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let last = self.fingerprints.get(&(sender, conversation, fingerprint));
        let last = last.map(|last| self.existing(*last)).transpose()?;
        Ok(last.filter(|last| last.created_at > since).cloned())
    }

    fn insert_message(&mut self, new: &NewMessage, seq: Seq) -> Result<Position, Abort<StoreError>> {
        if self.message_index.contains_key(&new.id) {
            let taken = format!("the id of message {} is taken", new.id);
            return Err(Abort::Refused(StoreError::Refused(taken)));
        }
        let sent = self.note(new.at, Change::MessageSent(new.id));
        let message = StoredMessage {
            id: new.id,
            conversation: new.conversation,
            seq,
            sender: new.sender,
            body: new.body.clone(),
            file_name: new.file_name.clone(),
            image: new.image.clone(),
            created_at: new.at,
            updated_at: new.at,
            deleted: None,
            facets: Facets::default(),
        };
        self.room_mut(new.conversation)?.messages.push(Said { message, sent });
        self.message_index.insert(new.id, (new.conversation, seq));
        if let Some(client_id) = &new.client_id {
            self.client_ids.entry(new.sender).or_default().insert(client_id.clone(), new.id);
        }
        let fingerprint = new.fingerprint.map(|print| ((new.sender, new.conversation, print), new.id));
        self.fingerprints.extend(fingerprint);
        Ok(sent)
    }

    fn set_deletion(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        if let Some(Said { message: known, .. }) = self.said_mut(message.id) {
            (known.deleted, known.updated_at) = (message.deleted, message.updated_at);
        }
        Ok(())
    }

    fn set_body(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        if let Some(Said { message: known, .. }) = self.said_mut(message.id) {
            known.body.clone_from(&message.body);
            known.updated_at = message.updated_at;
        }
        Ok(())
    }

    fn add_terms(&mut self, message: &StoredMessage, terms: &Terms) -> Result<(), StoreError> {
        self.room_mut(message.conversation)?.index.add(message.seq, terms);
        Ok(())
    }

    fn set_facets(&mut self, message: &StoredMessage) -> Result<(), StoreError> {
        if let Some(said) = self.said_mut(message.id) {
            said.message.facets = message.facets;
        }
        Ok(())
    }

    fn row(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn put_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.rows.insert((table, key.to_vec()), value.to_vec());
        Ok(())
    }

    fn delete_row(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.rows.remove(&(table, key.to_vec()));
        Ok(())
    }

    fn rows(&mut self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        Ok(keyed::range(&self.rows, table, prefix, None).take(limit).collect())
    }

    fn log(&mut self, at: Timestamp, change: Change<MessageRef>) -> Result<Position, StoreError> {
        Ok(self.note(at, change.map(|message| Ok::<_, StoreError>(message.id))?))
    }
}

#[cfg(test)]
mod tests;
