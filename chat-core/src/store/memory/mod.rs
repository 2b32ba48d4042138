//! The reference driver: it keeps everything in memory, until the process ends. Where the contract leaves room, the
//! results of this driver are the standard for the others.

mod saved;
mod search;
mod state;
mod tx;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

pub use self::saved::Saved;
use self::state::{Account, Room, State};
use super::keyed::{self, KeyedStore, Row, Table};
use super::tx::Abort;
use super::{
    Activity, Change, ChangeLog, ChatListStore, ChatSummary, LoggedChange, MessageStore, PersonalChanges,
    ReadMarkStore, RoomStore, StoreError, StoredMessage, UnreadCount, UserStore, Write, WriteStore, Written,
};
use crate::clock::Timestamp;
use crate::epoch::Epoch;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, JoinOrder, Member, Pair, PasswordHash, Position, Seq, User, UserKey};

/// A store in memory, for tests, for experiments, and for chats that need not outlive the process.
///
/// Acknowledged changes survive as long as the value does. Durability is the only guarantee that this driver cannot
/// give.
#[derive(Default)]
pub struct MemoryStore {
    // One lock around everything makes every method atomic and makes positions visible in order.
    state: Mutex<State>,
    /// The number of calls.
    #[cfg(test)]
    pub(crate) calls: std::sync::atomic::AtomicUsize,
    /// The number of history reads.
    #[cfg(test)]
    pub(crate) histories: std::sync::atomic::AtomicUsize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        #[cfg(test)]
        self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let state = self.state.lock();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        Ok(state)
    }

    fn account(&self, key: &UserKey) -> Result<Option<MappedMutexGuard<'_, Account>>, StoreError> {
        Ok(MutexGuard::try_map(self.open()?, |state| state.account_mut(&key.folded())).ok())
    }
}

// Shows only counts, so that logging a store by mistake reveals no names and no messages.
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
impl WriteStore for MemoryStore {
    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        write.apply(&mut *self.open()?).map_err(|abort| match abort {
            Abort::Refused(error) | Abort::Failed(error) => error,
        })
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        Ok(self.account(key)?.map(|account| account.user.clone()))
    }

    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError> {
        Ok(self.account(key)?.map(|account| (account.user.clone(), account.password_hash.clone())))
    }

    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        Ok(self.open()?.accounts.iter().take(limit).map(|account| account.user.clone()).collect())
    }

    async fn users_by_id(&self, ids: &[UserId]) -> Result<Vec<Arc<User>>, StoreError> {
        let mut state = self.open()?;
        let mut user = |id: &UserId| Some(state.account_mut(&UserKey::Id(*id))?.user.clone());
        Ok(ids.iter().filter_map(&mut user).collect())
    }

    async fn users_named(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError> {
        let state = self.open()?;
        let named = |account: &Account| {
            let name = account.user.username.as_ref()?.to_lowercase();
            let is_wanted = name.starts_with(prefix) && after.is_none_or(|after| *name > *after);
            is_wanted.then(|| (name, account.user.clone()))
        };
        let mut found: Vec<_> = state.accounts.iter().filter_map(named).collect();
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(found.into_iter().map(|(_, user)| user).take(limit).collect())
    }

    async fn revoked_tokens(&self, now: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError> {
        let mut state = self.open()?;
        state.revoked.retain(|_, until| *until > now);
        Ok(state.revoked.iter().map(|(fingerprint, until)| (*fingerprint, *until)).collect())
    }
}

#[async_trait]
impl RoomStore for MemoryStore {
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        let state = self.open()?;
        Ok(state.directs.get(&pair).map(|id| state.rooms[id].conversation.clone()))
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError> {
        Ok(self.open()?.rooms.get(&id).map(|room| room.conversation.clone()))
    }

    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        let state = self.open()?;
        Ok(state.rooms.get(&id).map_or(Vec::new(), |room| room.conversation.members.page(after, limit)))
    }

    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        let state = self.open()?;
        let Some(room) = state.rooms.get(&id) else { return Ok(Vec::new()) };
        let members = &room.conversation.members;
        let row = |user: &UserId| Some((members.order_of(*user)?, *members.get(*user)?));
        Ok(users.iter().filter_map(row).collect())
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
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        Ok(self.open()?.message(id).cloned())
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
    async fn marks(
        &self,
        conversation: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member, Seq)>, StoreError> {
        let state = self.open()?;
        let Some(room) = state.rooms.get(&conversation) else { return Ok(Vec::new()) };
        let members = room.conversation.members.page(after, limit).into_iter();
        let read = |user| room.read.get(&user).copied().unwrap_or_default();
        Ok(members.map(|(order, member)| (order, member, read(member.user))).collect())
    }

    async fn sent_at(&self, message: MessageId) -> Result<Option<Position>, StoreError> {
        Ok(self.open()?.said_mut(message).map(|said| said.sent))
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
impl ChatListStore for MemoryStore {
    async fn activity(&self, user: UserId) -> Result<Vec<Activity>, StoreError> {
        Ok(self.open()?.rooms_of(user).map(Room::activity).collect())
    }

    async fn summaries(
        &self,
        user: UserId,
        conversations: &[ConversationId],
    ) -> Result<Vec<ChatSummary>, StoreError> {
        let state = self.open()?;
        let rooms = conversations.iter().filter_map(|id| state.rooms.get(id));
        Ok(rooms.filter_map(|room| room.summary(user)).collect())
    }
}

#[async_trait]
impl KeyedStore for MemoryStore {
    async fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(keyed::range(&self.open()?.rows, table, prefix, after).take(limit).collect())
    }

    async fn rows_of(
        &self,
        table: Table,
        prefixes: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let state = self.open()?;
        let rows = |prefix: &Vec<u8>| keyed::range(&state.rows, table, prefix, None).take(limit).collect();
        Ok(prefixes.iter().map(rows).collect())
    }

    async fn values(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let state = self.open()?;
        Ok(keys.iter().map(|key| state.rows.get(&(table, key.clone())).cloned()).collect())
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
        let entry = |(logged, position): (&(_, Change<MessageId>), _)| {
            Ok(LoggedChange { position, change: state.change(logged.1)? })
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
            changes.push(LoggedChange { position, change: state.change(*logged)? });
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
