//! Looks people and conversations up, remembering what was asked for lately.
//!
//! What changes is *removed* from memory, never replaced: two changes at once could be remembered in the wrong
//! order, and a removal also makes a look-up that is under way forget what it found. Only the members of a conversation are
//! brought up to date in place, see [`Directory::refresh_members`]: a room of ten thousand is not looked up again when one of
//! them comes or goes.

mod known;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quick_cache::sync::Cache;

use self::known::Known;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::invalidation::Invalidation;
use crate::model::{Conversation, ConversationKind, Pair, RoomDetails, User, UserKey};
use crate::rooms;
use crate::store::{Row, Store, StoreError, Table};

/// How many of each kind are remembered: some 30 MB when all are in use.
const CAPACITY: usize = 50_000;

/// So many rows of what a person has with others are read at once.
const RELATIONS_AT_ONCE: usize = 500;

pub(crate) struct Directory {
    store: Arc<dyn Store>,
    users: Cache<UserId, Arc<User>>,
    /// Names and addresses never change hands, so what they lead to is never removed.
    ids: Cache<UserKey, UserId>,
    conversations: Cache<ConversationId, Arc<Known>>,
    directs: Cache<Pair, Arc<Conversation>>,
    /// See [`Chat::cut_off`](crate::chat::Chat::cut_off).
    cut_off: Cache<UserId, Arc<HashSet<UserId>>>,
}

impl Directory {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            users: Cache::new(CAPACITY),
            ids: Cache::new(CAPACITY),
            conversations: Cache::new(CAPACITY),
            directs: Cache::new(CAPACITY),
            cut_off: Cache::new(CAPACITY),
        }
    }

    pub(crate) async fn find_user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        let key = key.folded();
        if let UserKey::Id(id) = key {
            return self.find_user_by_id(id).await;
        }
        if let Some(id) = self.ids.get(&key) {
            return self.find_user_by_id(id).await;
        }
        let mut user = self.store.user(&key).await?;
        if let (None, UserKey::Username(name)) = (&user, &key)
            && name.contains('@')
        {
            // Accounts without a user name are known by their address where people are named by user name.
            user =
                self.store.user(&UserKey::Email(name.clone())).await?.filter(|user| user.username.is_none());
        }
        if let (None, Some(canonical)) = (&user, key.canonical()) {
            user = self.store.user(&canonical).await?;
        }
        if let Some(user) = &user {
            self.ids.insert(key, user.id);
        }
        Ok(user)
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Arc<User>, Error> {
        self.find_user_by_id(id).await?.ok_or(Error::UserNotFound)
    }

    /// Users by id; those who do not exist are missing. Users who are not cached are read from the store in one query.
    /// They are not put into the cache: a change that is committed during the read could be overwritten there.
    pub(crate) async fn users(
        &self,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<HashMap<UserId, Arc<User>>, StoreError> {
        let (mut found, mut missing) = (HashMap::new(), HashSet::new());
        for id in ids {
            match self.users.get(&id) {
                Some(user) => drop(found.insert(id, user)),
                None => drop(missing.insert(id)),
            }
        }
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().collect();
            let users = self.store.users_by_id(&missing).await?;
            found.extend(users.into_iter().map(|user| (user.id, user)));
        }
        Ok(found)
    }

    async fn find_user_by_id(&self, id: UserId) -> Result<Option<Arc<User>>, StoreError> {
        match self.users.get_value_or_guard_async(&id).await {
            Ok(user) => Ok(Some(user)),
            Err(place) => {
                let user = self.store.user(&UserKey::Id(id)).await?;
                if let Some(user) = &user {
                    // Fails when the user changed meanwhile: then the next look-up asks again.
                    let _ = place.insert(user.clone());
                }
                Ok(user)
            }
        }
    }

    pub(crate) async fn find_conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<Arc<Conversation>>, StoreError> {
        match self.conversations.get_value_or_guard_async(&id).await {
            Ok(known) => Ok(Some(known.conversation())),
            Err(place) => {
                let mut conversation = self.store.conversation(id).await?;
                if let Some(conversation) = &mut conversation {
                    self.look_details_up(conversation).await?;
                }
                if let Some(conversation) = &conversation {
                    let _ = place.insert(Arc::new(Known::new(conversation.clone())));
                }
                Ok(conversation)
            }
        }
    }

    /// Stores keep what is said of a room, other than its name, in rows of its own.
    async fn look_details_up(&self, conversation: &mut Arc<Conversation>) -> Result<(), StoreError> {
        if !matches!(conversation.kind, ConversationKind::Room(_)) {
            return Ok(());
        }
        let rules = self.store.rows(Table::RoomRules, conversation.id.as_bytes(), None, 1).await?;
        let details = rooms::details(rules.first().map(|row| &*row.value));
        if details != RoomDetails::default()
            && let ConversationKind::Room(info) = &mut Arc::make_mut(conversation).kind
        {
            info.details = Arc::new(details);
        }
        Ok(())
    }

    pub(crate) async fn conversation(&self, id: ConversationId) -> Result<Arc<Conversation>, Error> {
        self.find_conversation(id).await?.ok_or(Error::ConversationNotFound)
    }

    pub(crate) async fn find_direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        if let Some(found) = self.directs.get(&pair) {
            return Ok(Some(found));
        }
        let found = self.store.direct(pair).await?;
        if let Some(found) = &found {
            self.directs.insert(pair, found.clone());
        }
        Ok(found)
    }

    pub(crate) async fn open_direct(
        &self,
        pair: Pair,
        fresh: impl FnOnce() -> (ConversationId, Timestamp),
    ) -> Result<Arc<Conversation>, StoreError> {
        if let Some(found) = self.find_direct(pair).await? {
            return Ok(found);
        }
        let (id, at) = fresh();
        let opened = self.store.open_direct(pair, id, at).await?;
        self.directs.insert(pair, opened.clone());
        Ok(opened)
    }

    /// In a direct conversation, whom `sender` speaks to.
    pub(crate) async fn recipient(
        &self,
        conversation: &Conversation,
        sender: UserId,
    ) -> Result<Option<Arc<User>>, Error> {
        match conversation.kind {
            ConversationKind::Direct { pair } => match pair.other(sender) {
                Some(other) => Ok(Some(self.user(other).await?)),
                None => Ok(None),
            },
            ConversationKind::Room(_) => Ok(None),
        }
    }

    pub(crate) async fn cut_off(&self, user: UserId) -> Result<Arc<HashSet<UserId>>, StoreError> {
        let place = match self.cut_off.get_value_or_guard_async(&user).await {
            Ok(known) => return Ok(known),
            Err(place) => place,
        };
        let (mut found, mut after) = (HashSet::new(), None);
        loop {
            let prefix = user.as_bytes();
            let rows = self.store.rows(Table::Relations, prefix, after.as_deref(), RELATIONS_AT_ONCE).await?;
            let cut = rows.iter().filter_map(Row::relation).filter(|(_, relation)| relation.is_cut());
            found.extend(cut.map(|(with, _)| with));
            let is_last = rows.len() < RELATIONS_AT_ONCE;
            after = rows.into_iter().last().map(|row| row.key);
            if is_last {
                break;
            }
        }
        let found = Arc::new(found);
        let _ = place.insert(found.clone());
        Ok(found)
    }

    pub(crate) fn is_cut_off_known(&self, user: UserId, cut_off: &Arc<HashSet<UserId>>) -> bool {
        self.cut_off.peek(&user).is_some_and(|known| Arc::ptr_eq(&known, cut_off))
    }

    pub(crate) fn forget_all(&self) {
        self.users.clear();
        self.ids.clear();
        self.conversations.clear();
        self.directs.clear();
        self.cut_off.clear();
    }

    pub(crate) fn forget_user(&self, id: UserId) {
        self.users.remove(&id);
    }

    /// The memberships of these people in a conversation have changed, or may have: looks them up, and nobody else's, if the
    /// conversation is remembered. To be called after the change was committed.
    ///
    /// Changes are heard of in any order: those of this process when their commands are done, others when the log is read. So
    /// it is not what they say that is remembered but what is so in the store after them, and of one conversation one look-up
    /// runs at a time: what a later one finds is never older, so no older state takes the place of a newer one. Look-ups that
    /// wait for their turn are made together.
    pub(crate) async fn refresh_members(&self, id: ConversationId, users: &[UserId]) {
        loop {
            let Some(known) = self.conversations.peek(&id) else {
                // Whoever is looking the conversation up at this moment may have found it as it was before.
                self.conversations.remove(&id);
                return;
            };
            let forget = || drop(self.conversations.remove(&id));
            known.refresh(&*self.store, users, forget).await;
            if self.conversations.peek(&id).is_some_and(|now| Arc::ptr_eq(&now, &known)) {
                return;
            }
        }
    }

    /// Forgets what a change has made out of date. Direct conversations never change.
    pub(crate) fn invalidate(&self, invalidation: Invalidation) {
        // `member` is not forgotten but looked up: see `refresh_members`.
        let Invalidation { user, conversation, member: _, audience: _, message: _, relation, newest: _ } =
            invalidation;
        if let Some((one, other)) = relation {
            self.cut_off.remove(&one);
            self.cut_off.remove(&other);
        }
        if let Some(user) = user {
            self.users.remove(&user);
        }
        if let Some(conversation) = conversation {
            self.conversations.remove(&conversation);
        }
    }

    /// Another process has noted when somebody was last seen, if that is so much later than what is remembered here.
    pub(crate) fn forget_if_seen_since(&self, id: UserId, at: Timestamp) {
        let known = self.users.peek(&id);
        if known.is_some_and(|user| user.last_seen.is_none_or(|seen| seen < at)) {
            self.users.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
