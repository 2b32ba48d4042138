//! The reference driver: everything in one process, gone when it ends. Where the contract leaves room, what this
//! driver answers is what the others are held to.

mod saved;
mod search;
mod state;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

pub use self::saved::Saved;
use self::state::{Account, Logged, Room, Said, State};
use super::{
    Appended, Change, ChangeLog, CreatedUser, FINGERPRINT_WINDOW, LoggedChange, MessageStore, NewMessage,
    NewRoom, PersonalChanges, ReadMarkStore, RoomStore, StoreError, StoredMessage, UnreadCount, UserStore,
};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{
    Conversation, ConversationKind, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Role, Seq,
    Tombstone, User, UserKey,
};

/// A store in memory, for tests, for trying things out, and for chats that need not outlive the process.
///
/// Acknowledged changes survive as long as the value does; of all guarantees, durability is the only one this
/// driver cannot give.
#[derive(Default)]
pub struct MemoryStore {
    // One lock around everything is what makes every method atomic and every position visible in order.
    state: Mutex<State>,
    /// How often a history was read.
    #[cfg(test)]
    pub(crate) histories: std::sync::atomic::AtomicUsize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        Ok(state)
    }

    fn account(&self, key: &UserKey) -> Result<Option<MappedMutexGuard<'_, Account>>, StoreError> {
        Ok(MutexGuard::try_map(self.open()?, |state| {
            state.account_index.get(&key.folded()).map(|&index| &mut state.accounts[index])
        })
        .ok())
    }
}

// Only counts: whoever logs a store by mistake logs nobody's name and nobody's words.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemoryStore")
            .field("users", &state.accounts.len())
            .field("conversations", &state.rooms.len())
            .field("messages", &state.message_index.len())
            .field("last_position", &state.log.len())
            .field("closed", &state.closed)
            .finish()
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn create_user(&self, new: NewUser) -> Result<CreatedUser, StoreError> {
        let mut state = self.open()?;
        let NewUser { user, password_hash, name_key } = new;
        let id = UserKey::Id(user.id);
        let both =
            |text: &String| [UserKey::Username(text.clone()).folded(), UserKey::Email(text.clone()).folded()];
        let taken = |key: &UserKey| state.account_index.contains_key(key);
        let is_anybodys = |text: &String| both(text).iter().any(taken);
        if taken(&id) || user.username.as_ref().is_some_and(is_anybodys) {
            return Ok(CreatedUser::UsernameTaken);
        }
        if user.email.as_ref().is_some_and(is_anybodys) {
            return Ok(CreatedUser::EmailTaken);
        }
        if name_key.as_ref().is_some_and(|key| state.name_keys.contains(key)) {
            return Ok(CreatedUser::key_taken(&user));
        }
        state.name_keys.extend(name_key);
        let username = user.username.clone().map(|name| UserKey::Username(name).folded());
        let email = user.email.clone().map(|email| UserKey::Email(email).folded());
        let index = state.accounts.len();
        state.account_index.extend([Some(id), username, email].into_iter().flatten().map(|key| (key, index)));
        let user = Arc::new(user);
        state.accounts.push(Account { user: user.clone(), password_hash, profile: Position(0) });
        Ok(CreatedUser::Created(user))
    }

    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.account(key)?.map(|account| account.user.clone()))
    }

    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError> {
        Ok(self.account(key)?.map(|account| (account.user.clone(), account.password_hash.clone())))
    }

    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        Ok(self.open()?.accounts.iter().take(limit).map(|account| account.user.clone()).collect())
    }

    async fn update_profile(
        &self,
        user: UserId,
        patch: ProfilePatch,
        at: Timestamp,
    ) -> Result<Option<(Position, Arc<User>)>, StoreError> {
        let mut state = self.open()?;
        let Some(&index) = state.account_index.get(&UserKey::Id(user)) else { return Ok(None) };
        let now = Arc::make_mut(&mut state.accounts[index].user);
        if let Some(full_name) = patch.full_name {
            now.full_name = full_name;
        }
        if let Some(picture) = patch.picture {
            now.picture = picture;
        }
        now.updated_at = at;
        let position = state.note(at, Logged::Other(Change::ProfileUpdated { user }));
        state.accounts[index].profile = position;
        Ok(Some((position, state.accounts[index].user.clone())))
    }

    async fn set_password_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: PasswordHash,
    ) -> Result<bool, StoreError> {
        let account = self.account(&UserKey::Id(user))?;
        let Some(mut account) = account.filter(|account| account.password_hash == *old) else {
            return Ok(false);
        };
        account.password_hash = new;
        Ok(true)
    }

    async fn record_last_seen(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(mut account) = self.account(&UserKey::Id(user))? {
            Arc::make_mut(&mut account.user).last_seen = Some(at);
        }
        Ok(())
    }

    async fn revoke_token(&self, fingerprint: [u8; 32], until: Timestamp) -> Result<(), StoreError> {
        let mut state = self.open()?;
        let noted = state.revoked.entry(fingerprint).or_insert(until);
        // The earlier promise stands even if this one is shorter.
        *noted = until.max(*noted);
        Ok(())
    }

    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError> {
        let mut state = self.open()?;
        state.revoked.retain(|_, until| *until > now);
        Ok(state.revoked.iter().map(|(fingerprint, until)| (*fingerprint, *until)).collect())
    }
}

#[async_trait]
impl RoomStore for MemoryStore {
    async fn open_direct(
        &self,
        pair: Pair,
        id: ConversationId,
        at: Timestamp,
    ) -> Result<Arc<Conversation>, StoreError> {
        let mut state = self.open()?;
        if let Some(existing) = state.directs.get(&pair) {
            return Ok(state.rooms[existing].conversation.clone());
        }
        let (low, high) = pair.both();
        let mut people = vec![low, high];
        people.dedup();
        let member = |&user: &UserId| Member { user, role: Role::Member, joined_at: at };
        let opened = state.open_room(Conversation {
            id,
            kind: ConversationKind::Direct { pair },
            members: people.iter().map(member).collect(),
            created_at: at,
        })?;
        state.directs.insert(pair, id);
        Ok(opened)
    }

    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        let state = self.open()?;
        Ok(state.directs.get(&pair).map(|id| state.rooms[id].conversation.clone()))
    }

    async fn create_room(&self, room: NewRoom) -> Result<(Position, Arc<Conversation>), StoreError> {
        let mut state = self.open()?;
        let NewRoom { id, info, members, by, at } = room;
        let kind = ConversationKind::Room(info);
        let made = state.open_room(Conversation { id, kind, members, created_at: at })?;
        let position = state.note(at, Logged::Other(Change::RoomCreated { room: id, by }));
        Ok((position, made))
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError> {
        Ok(self.open()?.rooms.get(&id).map(|room| room.conversation.clone()))
    }

    async fn set_member(
        &self,
        conversation: ConversationId,
        member: Member,
    ) -> Result<Option<(Option<Position>, Arc<Conversation>)>, StoreError> {
        let mut state = self.open()?;
        let state = &mut *state;
        let Some(room) = state.rooms.get_mut(&conversation) else { return Ok(None) };
        let Member { user, role, joined_at } = member;
        let end = room.end();
        let members = &mut Arc::make_mut(&mut room.conversation).members;
        let change = match members.iter_mut().find(|other| other.user == user) {
            Some(other) if other.role == role => None,
            Some(other) => {
                other.role = role;
                Some(Change::RoleChanged { room: conversation, user, role })
            }
            None => {
                members.push(member);
                room.read.insert(user, end);
                state.conversations_of.entry(user).or_default().insert(conversation);
                Some(Change::MemberAdded { room: conversation, user })
            }
        };
        let now = room.conversation.clone();
        Ok(Some((change.map(|change| state.note(joined_at, Logged::Other(change))), now)))
    }

    async fn remove_member(
        &self,
        conversation: ConversationId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, Arc<Conversation>)>, StoreError> {
        let mut state = self.open()?;
        let state = &mut *state;
        let Some(room) = state.rooms.get_mut(&conversation) else { return Ok(None) };
        if room.conversation.member(user).is_none() {
            return Ok(Some((None, room.conversation.clone())));
        }
        Arc::make_mut(&mut room.conversation).members.retain(|member| member.user != user);
        room.read.remove(&user);
        if let Some(conversations) = state.conversations_of.get_mut(&user) {
            conversations.remove(&conversation);
        }
        let now = room.conversation.clone();
        let position = state.note(at, Logged::Other(Change::MemberRemoved { room: conversation, user }));
        Ok(Some((Some(position), now)))
    }

    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        let state = self.open()?;
        let partner = |room: &Room| {
            let peer = room.conversation.peer_of(user).filter(|peer| *peer != user)?;
            Some((room.latest()?, peer))
        };
        let mut partners: Vec<(Position, UserId)> = state.rooms_of(user).filter_map(partner).collect();
        partners.sort_unstable_by_key(|(last, _)| Reverse(*last));
        Ok(partners.into_iter().map(|(_, peer)| peer).take(limit).collect())
    }
}

#[async_trait]
impl MessageStore for MemoryStore {
    async fn append(&self, new: NewMessage) -> Result<Appended, StoreError> {
        let mut state = self.open()?;
        let state = &mut *state;
        let client_id = new.client_id.map(|client_id| (new.sender, client_id));
        if let Some(first) = client_id.as_ref().and_then(|key| state.client_ids.get(key)) {
            return Ok(Appended::Repeated(Box::new(state.existing(*first)?.clone())));
        }
        let fingerprint = new.fingerprint.map(|fingerprint| (new.sender, new.conversation, fingerprint));
        if let Some(first) = fingerprint.as_ref().and_then(|key| state.fingerprints.get(key)) {
            let first = state.existing(*first)?;
            let window = i64::try_from(FINGERPRINT_WINDOW.as_millis()).unwrap_or(i64::MAX);
            if first.created_at.as_millis() > new.at.as_millis().saturating_sub(window) {
                return Ok(Appended::Repeated(Box::new(first.clone())));
            }
        }
        if state.message_index.contains_key(&new.id) {
            return Err(StoreError::Refused(format!("the id of message {} is taken", new.id)));
        }
        let position = Position(state.last_position().0 + 1);
        let Some(room) = state.rooms.get_mut(&new.conversation) else {
            return Err(StoreError::Refused(format!("there is no conversation {}", new.conversation)));
        };
        let seq = u32::try_from(room.messages.len() + 1)
            .map_err(|_| StoreError::Refused(format!("conversation {} is full", new.conversation)))?;
        let seq = Seq(seq);
        let message = StoredMessage {
            id: new.id,
            conversation: new.conversation,
            seq,
            sender: new.sender,
            body: new.body,
            file_name: new.file_name,
            image: new.image,
            created_at: new.at,
            updated_at: new.at,
            deleted: None,
        };
        room.messages.push(Said { message, sent: position });
        state.message_index.insert(new.id, (new.conversation, seq));
        state.client_ids.extend(client_id.map(|key| (key, new.id)));
        state.fingerprints.extend(fingerprint.map(|key| (key, new.id)));
        state.note(new.at, Logged::Message(new.id, Change::MessageSent));
        Ok(Appended::New { position, seq })
    }

    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        Ok(self.open()?.message(id).cloned())
    }

    async fn set_deleted(
        &self,
        id: MessageId,
        deleted: Option<Tombstone>,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, StoredMessage)>, StoreError> {
        let mut state = self.open()?;
        let Some(Said { message, .. }) = state.said_mut(id) else { return Ok(None) };
        if message.deleted.is_some() == deleted.is_some() {
            return Ok(Some((None, message.clone())));
        }
        message.deleted = deleted;
        message.updated_at = at;
        let now = message.clone();
        let change = if deleted.is_some() { Change::MessageDeleted } else { Change::MessageRestored };
        Ok(Some((Some(state.note(at, Logged::Message(id, change))), now)))
    }

    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError> {
        let state = self.open()?;
        #[cfg(test)]
        self.histories.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let room = state.rooms.get(&conversation);
        Ok(room.map(|room| room.window(window, include_deleted)).unwrap_or_default())
    }
}

#[async_trait]
impl ReadMarkStore for MemoryStore {
    async fn mark_read(
        &self,
        conversation: ConversationId,
        user: UserId,
        up_to: Option<Seq>,
        at: Timestamp,
    ) -> Result<Option<(Option<Position>, Seq)>, StoreError> {
        let mut state = self.open()?;
        let Some(room) = state.rooms.get_mut(&conversation) else { return Ok(None) };
        let end = room.end();
        let Some(mark) = room.read.get_mut(&user) else { return Ok(None) };
        let seq = up_to.unwrap_or(end).min(end);
        if seq <= *mark {
            return Ok(Some((None, *mark)));
        }
        *mark = seq;
        let position = state.note(at, Logged::Other(Change::ReadMarked { conversation, user, seq }));
        Ok(Some((Some(position), seq)))
    }

    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError> {
        let state = self.open()?;
        let unread = |room: &Room| Some((room.latest()?, room.unread(user)?));
        let mut found: Vec<(Position, UnreadCount)> = state.rooms_of(user).filter_map(unread).collect();
        found.sort_unstable_by_key(|(latest, _)| Reverse(*latest));
        Ok(found.into_iter().map(|(_, count)| count).take(limit).collect())
    }
}

#[async_trait]
impl ChangeLog for MemoryStore {
    async fn last_position(&self) -> Result<Position, StoreError> {
        Ok(self.open()?.last_position())
    }

    async fn log_begin(&self) -> Result<Position, StoreError> {
        Ok(Position(self.open()?.forgotten))
    }

    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError> {
        let state = self.open()?;
        let Some(after) = position.0.checked_sub(state.forgotten) else { return Ok(None) };
        let after = usize::try_from(after).unwrap_or(usize::MAX).min(state.log.len());
        let positions = (position.0.saturating_add(1)..).map(Position);
        let entry = |(logged, position): (&(_, Logged), _)| {
            Ok(LoggedChange { position, change: state.change(&logged.1)? })
        };
        let changes: Result<_, StoreError> =
            state.log.range(after..).zip(positions).take(limit).map(entry).collect();
        changes.map(Some)
    }

    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError> {
        let state = self.open()?;
        let Some(mine) = state.log_of(user, position) else { return Ok(None) };
        let mut changes = Vec::new();
        for (position, logged) in mine.take(limit) {
            changes.push(LoggedChange { position, change: state.change(logged)? });
        }
        let all = state.last_position().max(position);
        let read_to = changes.last().filter(|_| changes.len() == limit).map_or(all, |last| last.position);
        let read_to = if limit == 0 { position } else { read_to };
        Ok(Some(PersonalChanges { changes, read_to }))
    }

    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError> {
        let state = self.open()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(state.log_of(user, position).map(|mine| mine.take(limit).count() as u64))
    }

    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError> {
        let mut state = self.open()?;
        while state.log.len() > 1 && state.log.front().is_some_and(|(made, _)| *made < at) {
            state.log.pop_front();
            state.forgotten += 1;
        }
        Ok(Position(state.forgotten))
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(*self.open()?.epoch.get_or_insert_with(Epoch::first))
    }

    async fn renew_epoch(&self) -> Result<Epoch, StoreError> {
        let mut state = self.open()?;
        let renewed = state.epoch.unwrap_or_else(Epoch::first).renewed();
        Ok(*state.epoch.insert(renewed))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state.lock().closed = true;
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }
}
