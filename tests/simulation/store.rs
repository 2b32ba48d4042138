//! The disk, which outlives every server, and what a server sees of it: a store that is slow, fails, loses its answers,
//! and does nothing more for a server that is dead.
//!
//! A call waits, has its effect, waits, and answers. Changes have their effect in the order in which they were handed
//! over (a guarantee of stores), and the disk carries them out by itself: whoever asked may have stopped waiting.

mod disk;
mod lists;
mod search;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::chat::Chat;
use chat_core::clock::{Clock, Timestamp};
use chat_core::codec::StoredCodec;
use chat_core::epoch::Epoch;
use chat_core::event::{Audience, Event};
use chat_core::history::Window;
use chat_core::id::{ConversationId, IdSource, MessageId, UserId};
use chat_core::model::{
    Conversation, JoinOrder, Member, Pair, PasswordHash, Position, Role, Seq, User, UserKey,
};
use chat_core::store::write::{Append, CreateUser, MarkRead};
use chat_core::store::{
    Appended, ChangeLog, KeyedStore, LoggedChange, MemoryStore, MessageStore, PersonalChanges, RoomStore,
    Row, StoreError, StoredMessage, Table, UserStore, Write, WriteStore, Written,
};
use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};

pub(crate) use self::disk::{Disk, Entry, Kind, Said, token};
use crate::agenda::{Agenda, Dice, Millis, Owner};
use crate::plan::{Mutation, Plan, StorePlan};
use crate::trace::{Actor, Trace};

/// Whose timers these are.
const OWNER: Owner = 1;

/// Whether a server still lives.
#[derive(Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    closed: AtomicBool,
    ended: Notify,
}

impl Life {
    /// From now on nothing that the server does has an effect.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.ended.notify_waiters();
    }

    /// Waits until it is over.
    pub(crate) async fn over(&self) {
        let ended = self.ended.notified();
        if !self.is_over() {
            ended.await;
        }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// What one server sees of the disk.
pub(crate) struct Driver {
    disk: Arc<Disk>,
    life: Arc<Life>,
    agenda: Agenda,
    trace: Arc<Trace>,
    seed: u64,
    mutation: Option<Mutation>,
    /// Which server this is.
    nr: u32,
    plan: StorePlan,
    /// Nothing bad happens any more.
    calm: Arc<AtomicBool>,
    /// Called when the server is to die.
    kill: Box<dyn Fn(Millis) + Send + Sync>,
    asked: Mutex<HashMap<(&'static str, u64), u32>>,
    last_commit: Mutex<Millis>,
}

impl Driver {
    /// A store for the server of this number.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        plan: &Plan,
        nr: u32,
        disk: &Arc<Disk>,
        life: &Arc<Life>,
        agenda: &Agenda,
        trace: &Arc<Trace>,
        calm: &Arc<AtomicBool>,
        kill: impl Fn(Millis) + Send + Sync + 'static,
    ) -> Self {
        Self {
            disk: disk.clone(),
            life: life.clone(),
            agenda: agenda.clone(),
            trace: trace.clone(),
            seed: plan.seed,
            mutation: plan.mutation,
            nr,
            plan: plan.store,
            calm: calm.clone(),
            kill: Box::new(kill),
            asked: Mutex::default(),
            last_commit: Mutex::new(0),
        }
    }

    /// A conversation as the server is told of it.
    fn told(&self, room: Arc<Conversation>) -> Arc<Conversation> {
        if self.mutation != Some(Mutation::StrangersTold) {
            return room;
        }
        let mut room = Conversation::clone(&room);
        let everybody = now(self.disk.store.users(usize::MAX)).unwrap_or_default();
        for user in everybody {
            if room.member(user.id).is_none() {
                let first = *room.members.iter().next().expect("somebody is in");
                room.members.put(Member { user: user.id, ..first });
            }
        }
        Arc::new(room)
    }

    /// The dice for this call: those of the same call in every run, whichever calls came before.
    fn dice(&self, what: &'static str, of: u64) -> Dice {
        let mut asked = self.asked.lock().unwrap();
        let nth = asked.entry((what, of)).or_default();
        *nth += 1;
        Dice::of(self.seed, (self.nr, what, of, *nth))
    }

    fn chance(&self, dice: &mut Dice, per_mille: u32) -> bool {
        dice.chance(per_mille) && !self.calm.load(Ordering::Relaxed)
    }

    fn unavailable<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("the simulation wants it so".into()))
    }

    async fn wait(&self, dice: &mut Dice) {
        if self.plan.delay > 0 {
            self.agenda.sleep(dice.number(0, self.plan.delay), OWNER).await;
        }
        if self.life.is_over() {
            std::future::pending::<()>().await;
        }
    }

    fn closed(&self) -> bool {
        self.life.closed.load(Ordering::Relaxed)
    }

    async fn read<T>(
        &self,
        what: &'static str,
        of: u64,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut dice = self.dice(what, of);
        self.wait(&mut dice).await;
        if self.chance(&mut dice, self.plan.fails) || self.closed() {
            return Self::unavailable();
        }
        let found = read.await;
        self.wait(&mut dice).await;
        found
    }

    async fn carry_out<T: Send + 'static>(
        &self,
        what: &'static str,
        of: u64,
        write: impl FnOnce(Arc<MemoryStore>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut dice = self.dice(what, of);
        if self.life.is_over() {
            return std::future::pending().await;
        }
        if self.closed() {
            return Self::unavailable();
        }
        if self.chance(&mut dice, self.plan.fails) {
            self.trace.note(Actor::Store, format!("{what} fails"));
            self.wait(&mut dice).await;
            return Self::unavailable();
        }
        let delay = if self.plan.delay > 0 { dice.number(0, self.plan.delay) } else { 0 };
        let commit_at = {
            let mut last = self.last_commit.lock().unwrap();
            *last = (self.agenda.now() + delay).max(*last);
            *last
        };
        let (answer, answered) = oneshot::channel();
        let (disk, life, trace) = (self.disk.clone(), self.life.clone(), self.trace.clone());
        let commit = move || {
            if !life.is_over() {
                let done = write(disk.store.clone());
                disk.look(&trace);
                let _ = answer.send(done);
            }
        };
        if commit_at <= self.agenda.now() && delay == 0 {
            commit();
        } else {
            self.agenda.at(commit_at, OWNER, commit);
        }
        let Ok(done) = answered.await else { return std::future::pending().await };
        if self.chance(&mut dice, self.plan.kills) {
            // At once: between commit and announcement. A little later: between that and what comes of it.
            let after = *dice.pick(&[0, 0, 1, 3, 10, 30]);
            self.trace.note(Actor::Store, format!("{what} kills the server after {after} ms"));
            (self.kill)(after);
        }
        self.wait(&mut dice).await;
        if self.chance(&mut dice, self.plan.answer_lost) {
            self.trace.note(Actor::Store, format!("the answer to {what} is lost"));
            return Self::unavailable();
        }
        done
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}

fn number(id: &[u8; 12]) -> u64 {
    id[4..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The name of a write and a number of what it is about, by which its dice are found.
fn subject(write: &Write) -> (&'static str, u64) {
    let of = match write {
        Write::CreateUser(CreateUser(new)) => number(new.user.id.as_bytes()),
        Write::UpdateProfile(write) => number(write.user.as_bytes()),
        Write::SetPasswordHash(write) => number(write.user.as_bytes()),
        Write::RecordLastSeen(write) => number(write.user.as_bytes()),
        Write::Append(Append(new)) => number(new.id.as_bytes()),
        Write::SetDeleted(write) => number(write.message.as_bytes()),
        Write::MarkRead(write) => number(write.conversation.as_bytes()) ^ number(write.user.as_bytes()),
        Write::RevokeToken(_)
        | Write::OpenDirect(_)
        | Write::CreateRoom(_)
        | Write::AddMember(_)
        | Write::SetRole(_)
        | Write::RemoveMember(_)
        | Write::ChangeRoom(_)
        | Write::Relate(_)
        | Write::SetChatSettings(_)
        | Write::NoteDelivered(_)
        | Write::FileReport(_)
        | Write::CloseReport(_)
        | Write::React(_)
        | Write::AppendWith(_)
        | Write::Edit(_)
        | Write::Hide(_)
        | Write::Pin(_)
        | Write::SetDeletedInThread(_)
        | Write::Follow(_)
        | Write::Reindex(_)
        | Write::StartSession(_)
        | Write::RefreshSession(_)
        | Write::EndSessions(_)
        | Write::EditRows(_) => 0,
    };
    (write.name(), of)
}

#[async_trait]
impl WriteStore for Driver {
    async fn write(&self, mut write: Write) -> Result<Written, StoreError> {
        let (what, of) = subject(&write);
        match (self.mutation, &mut write) {
            (Some(Mutation::ClientIdsForgotten), Write::Append(Append(new))) => {
                (new.client_id, new.fingerprint) = (None, None);
            }
            (Some(Mutation::NotStored), Write::Append(_)) if of.is_multiple_of(7) => {
                let position = Position(self.disk.last());
                return Ok(Written::Append(Appended::New { position, seq: Seq(1) }));
            }
            (Some(Mutation::MarksForgotten), Write::MarkRead(MarkRead { up_to: Some(seq), .. })) => {
                return Ok(Written::MarkRead(Some((None, *seq))));
            }
            _ => {}
        }
        let written = self.carry_out(what, of, move |disk| now(WriteStore::write(&*disk, write))).await?;
        Ok(match written {
            Written::OpenDirect(room) => Written::OpenDirect(self.told(room)),
            written => written,
        })
    }
}

#[async_trait]
impl UserStore for Driver {
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<User>>, StoreError> {
        self.read("user", 0, self.disk.store.user(key)).await
    }

    async fn credentials(&self, key: &UserKey) -> Result<Option<(Arc<User>, PasswordHash)>, StoreError> {
        self.read("credentials", 0, self.disk.store.credentials(key)).await
    }

    async fn users(&self, limit: usize) -> Result<Vec<Arc<User>>, StoreError> {
        self.read("users", 0, self.disk.store.users(limit)).await
    }

    async fn users_by_id(&self, ids: &[UserId]) -> Result<Vec<Arc<User>>, StoreError> {
        self.read("users_by_id", 0, self.disk.store.users_by_id(ids)).await
    }

    async fn users_named(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Arc<User>>, StoreError> {
        self.read("users_named", 0, self.disk.store.users_named(prefix, after, limit)).await
    }

    async fn revoked_tokens(&self, at: Timestamp) -> Result<Vec<([u8; 32], Timestamp)>, StoreError> {
        self.read("revoked_tokens", 0, self.disk.store.revoked_tokens(at)).await
    }
}

#[async_trait]
impl RoomStore for Driver {
    async fn direct(&self, pair: Pair) -> Result<Option<Arc<Conversation>>, StoreError> {
        let found = self.read("direct", 0, self.disk.store.direct(pair)).await?;
        Ok(found.map(|room| self.told(room)))
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>, StoreError> {
        let read = self.disk.store.conversation(id);
        let found = self.read("conversation", number(id.as_bytes()), read).await?;
        Ok(found.map(|room| self.told(room)))
    }

    async fn members(
        &self,
        id: ConversationId,
        after: JoinOrder,
        limit: usize,
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        let read = self.disk.store.members(id, after, limit);
        self.read("members", number(id.as_bytes()), read).await
    }

    async fn members_of(
        &self,
        id: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(JoinOrder, Member)>, StoreError> {
        self.read("members_of", number(id.as_bytes()), self.disk.store.members_of(id, users)).await
    }

    async fn chat_partners(&self, user: UserId, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.read("chat_partners", 0, self.disk.store.chat_partners(user, limit)).await
    }
}

#[async_trait]
impl MessageStore for Driver {
    async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.read("message", number(id.as_bytes()), self.disk.store.message(id)).await
    }

    async fn history(
        &self,
        conversation: ConversationId,
        window: Window,
        include_deleted: bool,
    ) -> Result<(Vec<StoredMessage>, bool), StoreError> {
        let of = number(conversation.as_bytes());
        self.read("history", of, self.disk.store.history(conversation, window, include_deleted)).await
    }
}

#[async_trait]
impl KeyedStore for Driver {
    async fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read("rows", 0, self.disk.store.rows(table, prefix, after, limit)).await
    }

    async fn rows_of(
        &self,
        table: Table,
        prefixes: &[Vec<u8>],
        limit: usize,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read("rows_of", 0, self.disk.store.rows_of(table, prefixes, limit)).await
    }

    async fn values(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.read("values", 0, self.disk.store.values(table, keys)).await
    }
}

#[async_trait]
impl ChangeLog for Driver {
    async fn last_position(&self) -> Result<Position, StoreError> {
        self.read("last_position", 0, self.disk.store.last_position()).await
    }

    async fn log_begin(&self) -> Result<Position, StoreError> {
        self.read("log_begin", 0, self.disk.store.log_begin()).await
    }

    async fn changes_after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError> {
        let read = self.disk.store.changes_after(position, limit);
        let mut changes = self.read("changes_after", position.0, read).await?;
        if self.mutation == Some(Mutation::LogLosesEntries)
            && let Some(changes) = &mut changes
        {
            changes.retain(|change| !change.position.0.is_multiple_of(5));
        }
        Ok(changes)
    }

    async fn changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: usize,
    ) -> Result<Option<PersonalChanges>, StoreError> {
        let read = self.disk.store.changes_for(user, position, limit);
        let mut told = self.read("changes_for", position.0, read).await?;
        if self.mutation == Some(Mutation::LogLosesEntries)
            && let Some(told) = &mut told
        {
            told.changes.retain(|change| !change.position.0.is_multiple_of(5));
        }
        Ok(told)
    }

    async fn count_changes_for(
        &self,
        user: UserId,
        position: Position,
        limit: u64,
    ) -> Result<Option<u64>, StoreError> {
        let read = self.disk.store.count_changes_for(user, position, limit);
        self.read("count_changes_for", position.0, read).await
    }

    async fn forget_before(&self, at: Timestamp) -> Result<Position, StoreError> {
        self.carry_out("forget_before", 0, move |disk| now(disk.forget_before(at))).await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.read("epoch", 0, self.disk.store.epoch()).await
    }

    async fn renew_epoch(&self) -> Result<Epoch, StoreError> {
        self.carry_out("renew_epoch", 0, move |disk| now(disk.renew_epoch())).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.life.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
