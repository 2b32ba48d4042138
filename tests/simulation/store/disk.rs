//! What is on disk, and what the harness knows of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::*;

/// What is on disk, and what the harness knows of it.
pub(crate) struct Disk {
    pub(super) store: Arc<MemoryStore>,
    pub(super) reader: Chat,
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
    /// Who is out of the conversation since.
    pub(crate) left: Option<UserId>,
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
    /// A room was made, or who is in it or their role changed.
    Room,
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

    /// Whether somebody may be told of the change at a position at any time since: those who were told then, and those who have
    /// come into its conversation later, to whom the log shows what has happened in it before.
    pub(crate) fn may_be_told(&self, user: UserId, position: u64) -> bool {
        let log = self.log.lock().unwrap();
        let index = position.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some([entry, later @ ..]) = index.and_then(|index| log.get(index..)) else { return false };
        let is_there = |later: &Entry| later.room == entry.room && later.concerns(user);
        entry.concerns(user) || (entry.room.is_some() && later.iter().any(is_there))
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
    pub(super) fn look(&self, trace: &Trace) {
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
            let left = match &delivery.event {
                Event::MemberRemoved { user, .. } => Some(*user),
                _ => None,
            };
            let (kind, view) = match delivery.event {
                Event::MessageSent(view) => (Kind::Sent, Some(view)),
                Event::MessageDeleted(view) => (Kind::Deleted, Some(view)),
                Event::MessageRestored(view) => (Kind::Restored, Some(view)),
                Event::ProfileUpdated(_) => (Kind::Profile, None),
                Event::MessagesRead { .. } => (Kind::Read, None),
                Event::RoomCreated { .. }
                | Event::MemberAdded { .. }
                | Event::MemberRemoved { .. }
                | Event::RoleChanged { .. } => (Kind::Room, None),
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
            let members =
                |room: &Conversation| room.members.iter().map(|member| member.user).collect::<Vec<_>>();
            let audience = match &delivery.audience {
                Audience::Members(room) => Some(members(room)),
                Audience::MembersAnd(room, other) => {
                    let mut audience: Vec<_> = members(room);
                    audience.push(*other);
                    Some(audience)
                }
                Audience::MembersBut(room, others) => {
                    let told = members(room).into_iter().filter(|member| !others.contains(member));
                    Some(told.collect())
                }
                Audience::Users(users) => Some(users.clone()),
                Audience::Everyone => None,
            };
            let what = message.as_ref().map_or("", |said| &said.token);
            trace.note(Actor::Store, format!("{position}: {kind:?} {what}"));
            let room = match &delivery.audience {
                Audience::Members(room) | Audience::MembersAnd(room, _) | Audience::MembersBut(room, _) => {
                    Some(room.id)
                }
                Audience::Users(_) | Audience::Everyone => None,
            };
            log.push(Entry { kind, audience, room, message, profile, left });
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
