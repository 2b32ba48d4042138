//! The disk, which outlives every server, and what a server sees of it: a store that is slow, fails, loses its answers,
//! and does nothing more for a server that is dead.
//!
//! A call waits, has its effect, waits, and answers. Changes have their effect in the order in which they were handed
//! over (a guarantee of stores), and the disk carries them out by itself: whoever asked may have stopped waiting.

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
use chat_core::model::{Conversation, Member, Pair, PasswordHash, Position, Role, Seq, User, UserKey};
use chat_core::search::{Terms, Wanted};
use chat_core::store::write::{Append, CreateUser, MarkRead};
use chat_core::store::{
    Appended, ChangeLog, LoggedChange, Lookup, Matches, MemoryStore, MessageStore, PersonalChanges,
    ReadMarkStore, RoomStore, SearchIndex, SearchProgress, StoreError, StoredMessage, UnreadCount, UserStore,
    Write, WriteStore, Written,
};
use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};

use crate::agenda::{Agenda, Dice, Millis, Owner};
use crate::plan::{Mutation, Plan, StorePlan};
use crate::trace::{Actor, Trace};

/// Whose timers these are.
const OWNER: Owner = 1;

/// What is on disk, and what the harness knows of it.
pub(crate) struct Disk {
    store: Arc<MemoryStore>,
    reader: Chat,
    log: Mutex<Vec<Entry>>,
    /// The rooms as they were left by the last write.
    rooms: Mutex<HashMap<ConversationId, Arc<Conversation>>>,
}

/// A change, as far as pages must learn of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What kind of change.
    pub(crate) kind: Kind,
    /// Who is told; none: everybody.
    pub(crate) audience: Option<Vec<UserId>>,
    /// The conversation that it is about.
    pub(crate) room: Option<ConversationId>,
    /// The message, if it is about one.
    pub(crate) message: Option<Said>,
    /// Whose profile it is about.
    pub(crate) profile: Option<UserId>,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Its id.
    pub(crate) id: MessageId,
    /// Its conversation.
    pub(crate) conversation: ConversationId,
    /// Its place there.
    pub(crate) seq: u32,
    /// Who said it.
    pub(crate) sender: UserId,
    /// Whom to; none in rooms.
    pub(crate) recipient: Option<UserId>,
    /// The harness's own name for it.
    pub(crate) token: String,
}

/// The kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message was sent.
    Sent,
    /// A message was deleted.
    Deleted,
    /// A message was restored.
    Restored,
    /// A profile changed.
    Profile,
    /// A read mark moved.
    Read,
    /// Something that no page is told of.
    Silent,
}

/// The name that the harness gives to a message: its first word.
pub(crate) fn token(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

impl Disk {
    /// An empty one.
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let reader =
            Chat::new(store.clone()).with_clock(clock).with_ids(ids).with_codec(Arc::new(StoredCodec));
        Self { store, reader, log: Mutex::default(), rooms: Mutex::default() }
    }

    /// The same without any faults, for the harness.
    pub(crate) fn chat(&self) -> &Chat {
        &self.reader
    }

    /// The position of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.log.lock().unwrap().len() as u64
    }

    /// The change at a position.
    pub(crate) fn at(&self, position: u64) -> Option<Entry> {
        let index = usize::try_from(position.checked_sub(1)?).ok()?;
        self.log.lock().unwrap().get(index).cloned()
    }

    /// How many changes after a position the store counts for somebody: of each profile the last, and of rooms that they
    /// are in now also those of before.
    pub(crate) fn missed(&self, user: UserId, after: u64) -> u64 {
        let log = self.log.lock().unwrap();
        let rooms = self.rooms.lock().unwrap();
        let is_in = |room: &ConversationId| rooms.get(room).is_some_and(|room| room.member(user).is_some());
        let rest = log.get(usize::try_from(after).unwrap_or(usize::MAX)..).unwrap_or_default();
        let theirs = rest.iter().enumerate().filter(|(at, entry)| {
            (entry.concerns(user) || entry.room.as_ref().is_some_and(is_in))
                && !rest[at + 1..].iter().any(|later| later.takes_the_place_of(entry))
        });
        theirs.count() as u64
    }

    /// All changes.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.log.lock().unwrap().clone()
    }

    /// Notes what was committed since it was looked last.
    fn look(&self, trace: &Trace) {
        let mut log = self.log.lock().unwrap();
        let changes = self.reader.changes_after(Position(log.len() as u64), 100).now_or_never();
        let changes = changes.expect("memory answers at once").expect("the disk itself never fails");
        let changes = changes.expect("what is so new is not forgotten");
        self.look_at_rooms(changes.iter().map(|delivery| &delivery.event), trace);
        for delivery in changes {
            let position = delivery.position.expect("what is in the log has a place").0;
            if position != log.len() as u64 + 1 {
                trace.broken(Actor::Store, format!("position {position} comes after {}", log.len()));
            }
            let profile = match &delivery.event {
                Event::ProfileUpdated(user) => Some(user.id),
                _ => None,
            };
            let (kind, view) = match delivery.event {
                Event::MessageSent(view) => (Kind::Sent, Some(view)),
                Event::MessageDeleted(view) => (Kind::Deleted, Some(view)),
                Event::MessageRestored(view) => (Kind::Restored, Some(view)),
                Event::ProfileUpdated(_) => (Kind::Profile, None),
                Event::MessagesRead { .. } => (Kind::Read, None),
                _ => (Kind::Silent, None),
            };
            let message = view.map(|view| Said {
                id: view.message.id,
                conversation: view.message.conversation,
                seq: view.message.seq.0,
                sender: view.message.sender,
                recipient: view.recipient.map(|user| user.id),
                token: token(&view.message.content.text).to_owned(),
            });
            let members = |room: &Conversation| room.members.iter().map(|member| member.user).collect();
            let audience = match &delivery.audience {
                Audience::Members(room) => Some(members(room)),
                Audience::MembersAnd(room, other) => {
                    let mut audience: Vec<_> = members(room);
                    audience.push(*other);
                    Some(audience)
                }
                Audience::Users(users) => Some(users.clone()),
                Audience::Everyone => None,
            };
            let what = message.as_ref().map_or("", |said| &said.token);
            trace.note(Actor::Store, format!("{position}: {kind:?} {what}"));
            let room = match &delivery.audience {
                Audience::Members(room) | Audience::MembersAnd(room, _) => Some(room.id),
                Audience::Users(_) | Audience::Everyone => None,
            };
            log.push(Entry { kind, audience, room, message, profile });
        }
    }
}

impl Disk {
    /// Checks that what one write has logged of rooms is what has happened to them, and that a room that has an admin keeps
    /// one as long as somebody is in it.
    fn look_at_rooms<'a>(&self, events: impl Iterator<Item = &'a Event>, trace: &Trace) {
        let mut rooms = self.rooms.lock().unwrap();
        let mut changed = Vec::new();
        for event in events {
            let (room, is_so) = match event {
                Event::RoomCreated { room, .. } => (room, !rooms.contains_key(&room.id)),
                Event::MemberAdded { room, user } => {
                    let before = rooms.get(&room.id).and_then(|room| room.member(*user));
                    (room, before.is_none() && room.member(*user).is_some())
                }
                Event::MemberRemoved { room, user } => {
                    let before = rooms.get(&room.id).and_then(|room| room.member(*user));
                    (room, before.is_some() && room.member(*user).is_none())
                }
                Event::RoleChanged { room, user, role } => {
                    let before = rooms.get(&room.id).and_then(|room| room.member(*user));
                    let now = room.member(*user).map(|member| member.role);
                    (room, before.is_some_and(|before| before.role != *role) && now == Some(*role))
                }
                _ => continue,
            };
            if !is_so {
                trace.broken(Actor::Store, format!("{event:?} is logged of {:?}", rooms.get(&room.id)));
            }
            let has_admin = |room: &Conversation| room.members.iter().any(|one| one.role == Role::Admin);
            let had_one = rooms.get(&room.id).is_some_and(|room| has_admin(room));
            if had_one && !room.members.is_empty() && !has_admin(room) {
                trace.broken(Actor::Store, format!("room {} is left without an admin", room.id));
            }
            changed.push(room.clone());
        }
        rooms.extend(changed.into_iter().map(|room| (room.id, room)));
    }
}

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
                room.members.push(Member { user: user.id, ..room.members[0] });
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
        Write::SetDeleted(write) => number(write.id.as_bytes()),
        Write::MarkRead(write) => number(write.conversation.as_bytes()) ^ number(write.user.as_bytes()),
        Write::RevokeToken(_)
        | Write::OpenDirect(_)
        | Write::CreateRoom(_)
        | Write::AddMember(_)
        | Write::SetRole(_)
        | Write::RemoveMember(_) => 0,
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
impl ReadMarkStore for Driver {
    async fn unread(&self, user: UserId, limit: usize) -> Result<Vec<UnreadCount>, StoreError> {
        self.read("unread", number(user.as_bytes()), self.disk.store.unread(user, limit)).await
    }
}

#[async_trait]
impl SearchIndex for Driver {
    async fn search_progress(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<SearchProgress>, StoreError> {
        let of = number(conversation.as_bytes());
        self.read("search_progress", of, self.disk.store.search_progress(conversation)).await
    }

    async fn search_progress_of(&self, user: UserId) -> Result<Vec<SearchProgress>, StoreError> {
        let of = number(user.as_bytes());
        self.read("search_progress_of", of, self.disk.store.search_progress_of(user)).await
    }

    async fn index(
        &self,
        conversation: ConversationId,
        after: Seq,
        terms: Vec<Terms>,
    ) -> Result<Option<Seq>, StoreError> {
        let of = number(conversation.as_bytes());
        self.carry_out("index", of, move |disk| now(disk.index(conversation, after, terms))).await
    }

    async fn search(
        &self,
        conversations: &[ConversationId],
        lookup: &Lookup,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Matches, StoreError> {
        self.read("search", 0, self.disk.store.search(conversations, lookup, before, limit)).await
    }

    async fn count_terms(
        &self,
        conversations: &[ConversationId],
        terms: &[Wanted],
        at_most: u64,
    ) -> Result<Vec<u64>, StoreError> {
        self.read("count_terms", 0, self.disk.store.count_terms(conversations, terms, at_most)).await
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
