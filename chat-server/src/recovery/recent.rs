//! What was read from the log lately, for those who come back at the same time.
//!
//! When a server has been restarted, thousands of clients ask for about the same changes. So the log is read in parts of
//! fixed places, a part is kept for a while with its frames encoded once, and each client only looks for what is its own.
//!
//! **As it is now.** The log shows messages as they are when it is read, and so must this: a message that was deleted
//! since a part was read is known to be, and when somebody leaves a room everything is forgotten, since who is to be
//! told of it has changed. Both are learnt from the announcer ([`Recent::observe`]), before the change counts as
//! announced: a client that is told of a later change is never shown what that change has taken back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use chat_core::error::Error;
use chat_core::event::{Delivery, Event};
use chat_core::id::{MessageId, UserId};
use chat_core::model::Position;
use chat_core::prelude::Chat;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Missing;
use crate::announce;
use crate::dialect::{Dialects, Frames, PositionStyle, Registered};
use crate::links::{self, Base};

/// So many changes make a part; part n holds the positions after n × `LENGTH`.
const LENGTH: u64 = 128;
/// Most changes read at once when they are not kept; fewer when their texts are large ([`Limits::answer_bytes`]).
///
/// [`Limits::answer_bytes`]: chat_core::policy::Limits::answer_bytes
const AT_ONCE: usize = 64;
/// Most parts that are kept.
const MOST_PARTS: usize = 160;
/// Who has missed more changes than this asks for their own alone: that takes as long as they are many, however much
/// happened meanwhile among others.
const REACH: u64 = MOST_PARTS as u64 * LENGTH / 2;
/// About how many bytes are kept at most.
const MOST_BYTES: usize = 32 << 20;
/// Parts with more bytes than this (large files) are not kept.
const LARGEST_PART: usize = 4 << 20;
/// Most deleted messages that are known to be; when there are more, everything is forgotten.
const MOST_WITHDRAWN: usize = 2_000;
/// How many may read the log at the same time. The others wait, and mostly find what they want when it is their turn;
/// it also bounds what is in memory.
const READERS: usize = 4;

/// The newest part of the log, as far as it was asked for.
pub(crate) struct Recent {
    chat: Arc<Chat>,
    turns: Semaphore,
    /// For those who were away for long: nobody else waits for what only they want.
    long_turns: Semaphore,
    memory: Mutex<Memory>,
    style: PositionStyle,
    /// How many dialects there are.
    dialects: usize,
}

/// Changes in the order of their positions.
pub(crate) struct Read {
    changes: Arc<[Arc<Change>]>,
    range: Range<usize>,
    /// Changes of profiles that are followed by others of the same person, by their places in `changes`.
    repeated: HashSet<usize>,
    to: Option<Position>,
    withdrawn: Arc<HashSet<MessageId>>,
}

/// A change and what clients are told of it.
struct Change {
    position: Position,
    delivery: Delivery,
    /// By the dialect's place in the registry, for the base of the first who wanted them. Where links make them differ,
    /// nearly everybody has the same one.
    frames: Box<[OnceLock<(Base, Frames)>]>,
    style: PositionStyle,
}

#[derive(Default)]
struct Memory {
    parts: HashMap<u64, Part>,
    bytes: usize,
    /// Counts what was asked for, to know what was not asked for the longest.
    now: u64,
    withdrawn: Arc<HashSet<MessageId>>,
    /// Counts how often everything was forgotten.
    epoch: u64,
}

struct Part {
    /// None when it is too large to be kept.
    changes: Option<Arc<[Arc<Change>]>>,
    bytes: usize,
    used: u64,
}

impl Recent {
    pub(crate) fn new(chat: Arc<Chat>, dialects: &Dialects) -> Self {
        Self {
            chat,
            dialects: dialects.count(),
            turns: Semaphore::new(READERS),
            long_turns: Semaphore::new(READERS / 2),
            memory: Mutex::default(),
            style: PositionStyle::default(),
        }
    }

    /// The same with positions that are told in this way.
    pub(crate) fn with_style(self, style: PositionStyle) -> Self {
        Self { style, ..self }
    }

    /// How positions are told.
    pub(crate) fn style(&self) -> PositionStyle {
        self.style
    }

    /// How many dialects there are.
    pub(crate) fn dialects(&self) -> usize {
        self.dialects
    }

    /// Whether somebody who is `missing` so much should ask for their own changes alone ([`Self::long_after`]).
    pub(crate) fn is_far(missing: Missing) -> bool {
        missing.up_to.0.saturating_sub(missing.after.0) > REACH
    }

    /// Some of the changes that are `missing`, as many as there are at hand. None when some of them were forgotten.
    ///
    /// # Errors
    /// When the log cannot be read; perhaps a single change of it ([`Self::one_after`]).
    pub(crate) async fn after(&self, missing: Missing) -> Result<Option<Read>, Error> {
        if let Some(read) = self.known_after(missing) {
            return Ok(Some(read));
        }
        // Fails only if somebody closes it, which nobody does.
        let _turn = self.turns.acquire().await;
        if let Some(read) = self.known_after(missing) {
            return Ok(Some(read));
        }
        match self.read_on(missing).await? {
            Some(read) => Ok(Some(read)),
            None => self.read(missing, AT_ONCE).await,
        }
    }

    /// Some of the changes that are `missing` and that this person is told, for one who was away for longer than is kept here.
    ///
    /// # Errors
    /// As [`Self::after`].
    pub(crate) async fn long_after(&self, missing: Missing, user: UserId) -> Result<Option<Read>, Error> {
        let position = missing.after;
        let _turn = self.long_turns.acquire().await;
        loop {
            let epoch = self.memory.lock().epoch;
            let Some((deliveries, to)) = self.chat.changes_for(user, position, AT_ONCE).await? else {
                return Ok(None);
            };
            if let Some(withdrawn) = self.withdrawn_since(epoch) {
                let changes: Arc<[_]> = deliveries
                    .into_iter()
                    .filter_map(|delivery| Change::new(delivery, self.style, self.dialects))
                    .map(Arc::new)
                    .collect();
                let end = changes.partition_point(|change| change.position <= missing.up_to);
                let to = (to > position).then_some(to.min(missing.up_to));
                return Ok(Some(Read { changes, range: 0..end, repeated: HashSet::new(), to, withdrawn }));
            }
        }
    }

    /// The first change that is `missing` alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn one_after(&self, missing: Missing) -> Result<Option<Read>, Error> {
        let _turn = self.turns.acquire().await;
        self.read(missing, 1).await
    }

    /// Takes note of a change that is about to be announced.
    pub(crate) fn observe(&self, event: &Event) {
        match event {
            Event::MessageDeleted(view) => {
                let mut memory = self.memory.lock();
                let is_full = memory.withdrawn.len() >= MOST_WITHDRAWN;
                let forgotten = if is_full { memory.forget() } else { HashMap::new() };
                Arc::make_mut(&mut memory.withdrawn).insert(view.message.id);
                // Nobody waits while it is given back.
                drop((memory, forgotten));
            }
            Event::MessageRestored(view) => {
                let mut memory = self.memory.lock();
                if memory.withdrawn.contains(&view.message.id) {
                    Arc::make_mut(&mut memory.withdrawn).remove(&view.message.id);
                }
            }
            Event::MemberRemoved { .. } => {
                let forgotten = self.memory.lock().forget();
                drop(forgotten);
            }
            Event::MessageSent(_)
            | Event::RoomCreated { .. }
            | Event::MemberAdded { .. }
            | Event::RoleChanged { .. }
            | Event::MessagesRead { .. }
            | Event::ProfileUpdated(_)
            | Event::UserRegistered(_)
            | Event::TypingChanged { .. } => {}
        }
    }

    /// What was deleted since something was read, unless everything was forgotten meanwhile: then it has to be read again.
    fn withdrawn_since(&self, epoch: u64) -> Option<Arc<HashSet<MessageId>>> {
        let memory = self.memory.lock();
        (memory.epoch == epoch).then(|| memory.withdrawn.clone())
    }

    fn known_after(&self, missing: Missing) -> Option<Read> {
        let mut memory = self.memory.lock();
        let withdrawn = memory.withdrawn.clone();
        memory.now += 1;
        let now = memory.now;
        let part = memory.parts.get_mut(&(missing.after.0 / LENGTH))?;
        part.used = now;
        Read::of(part.changes.clone()?, missing, withdrawn)
    }

    /// Reads on in the part in which the first of the missing changes is. None when that leads nowhere.
    async fn read_on(&self, missing: Missing) -> Result<Option<Read>, Error> {
        let number = missing.after.0 / LENGTH;
        loop {
            let (epoch, known) = {
                let memory = self.memory.lock();
                let part = memory.parts.get(&number);
                if part.is_some_and(|part| part.changes.is_none()) {
                    // Whoever wants something of it reads just that.
                    return Ok(None);
                }
                (memory.epoch, part.and_then(|part| part.changes.clone()))
            };
            let known = known.as_deref().unwrap_or_default();
            let begin = known.last().map_or(Position(number * LENGTH), |last| last.position);
            let most = usize::try_from((number + 1) * LENGTH - begin.0).unwrap_or(AT_ONCE);
            // The begin of the part may be forgotten already, though not what was asked for.
            let Some(deliveries) = self.chat.changes_after(begin, most).await? else { return Ok(None) };
            let new = deliveries
                .into_iter()
                .filter_map(|delivery| Change::new(delivery, self.style, self.dialects))
                .map(Arc::new);
            let changes: Arc<[_]> = known.iter().cloned().chain(new).collect();
            let bytes = changes.iter().map(|change| change.weight()).sum();
            let mut memory = self.memory.lock();
            if memory.epoch != epoch {
                // What is known since of what was deleted, and of who has left, is not in what was read.
                continue;
            }
            if bytes <= LARGEST_PART {
                memory.insert(number, Some(changes.clone()), bytes);
            } else {
                memory.insert(number, None, 0);
            }
            return Ok(Read::of(changes, missing, memory.withdrawn.clone()));
        }
    }

    async fn read(&self, missing: Missing, most: usize) -> Result<Option<Read>, Error> {
        loop {
            let epoch = self.memory.lock().epoch;
            let Some(deliveries) = self.chat.changes_after(missing.after, most).await? else {
                return Ok(None);
            };
            let changes = deliveries
                .into_iter()
                .filter_map(|delivery| Change::new(delivery, self.style, self.dialects))
                .map(Arc::new)
                .collect();
            let Some(withdrawn) = self.withdrawn_since(epoch) else { continue };
            let nothing = Read {
                changes: Arc::new([]),
                range: 0..0,
                repeated: HashSet::new(),
                to: None,
                withdrawn: Arc::default(),
            };
            return Ok(Some(Read::of(changes, missing, withdrawn).unwrap_or(nothing)));
        }
    }
}

impl Read {
    /// None when there is nothing of what is missing.
    ///
    /// What has not been announced yet is left for later: what it takes back, or gives back, is not known here yet.
    fn of(changes: Arc<[Arc<Change>]>, missing: Missing, withdrawn: Arc<HashSet<MessageId>>) -> Option<Self> {
        let from = changes.partition_point(|change| change.position <= missing.after);
        let end = changes.partition_point(|change| change.position <= missing.up_to);
        let to = changes.get(from..end)?.last()?.position;
        let repeated = repeated(&changes, from..end);
        Some(Self { changes, range: from..end, repeated, to: Some(to), withdrawn })
    }

    /// How far the log was read, if anything of it was there.
    pub(crate) fn to(&self) -> Option<Position> {
        self.to
    }

    /// What this person's connections of this dialect are told, with links that begin with this base.
    pub(crate) fn of_user<'a>(
        &'a self,
        user: UserId,
        dialect: &'a Registered,
        base: Base,
    ) -> impl Iterator<Item = (Position, Cow<'a, Frames>)> {
        let indexed = self.range.clone().zip(&self.changes[self.range.clone()]);
        let theirs = indexed.filter(move |(index, change)| {
            change.delivery.audience.includes(user)
                && !change.is_withdrawn(&self.withdrawn)
                && !self.repeated.contains(index)
        });
        theirs.map(move |(_, change)| (change.position, change.frames(dialect, &base)))
    }
}

/// Which of these changes are of a profile and followed by another one of it: they would all show the same.
fn repeated(changes: &[Arc<Change>], range: Range<usize>) -> HashSet<usize> {
    let (mut last, mut repeated) = (HashMap::new(), HashSet::new());
    for index in range {
        if let Some(Event::ProfileUpdated(user)) = changes.get(index).map(|change| &change.delivery.event) {
            repeated.extend(last.insert(user.id, index));
        }
    }
    repeated
}

impl Change {
    fn new(delivery: Delivery, style: PositionStyle, dialects: usize) -> Option<Self> {
        let position = delivery.position?;
        let frames = (0..dialects).map(|_| OnceLock::new()).collect();
        Some(Self { position, delivery, frames, style })
    }

    fn frames(&self, dialect: &Registered, base: &Base) -> Cow<'_, Frames> {
        let encode = || announce::frames(&**dialect, &self.delivery, base, self.style);
        // Whoever asks speaks a dialect of the registry, so there is a place for each.
        let (theirs, frames) = self.frames[dialect.index()].get_or_init(|| (base.clone(), encode()));
        if theirs == base || !links::holds_paths(&self.delivery.event) {
            return Cow::Borrowed(frames);
        }
        Cow::Owned(encode())
    }

    /// Whether it shows a message that was deleted since it was read.
    fn is_withdrawn(&self, withdrawn: &HashSet<MessageId>) -> bool {
        match &self.delivery.event {
            Event::MessageSent(view) | Event::MessageRestored(view) => withdrawn.contains(&view.message.id),
            _ => false,
        }
    }

    /// About how many bytes it takes, its frames included.
    fn weight(&self) -> usize {
        const FIXED: usize = 1_500;
        match &self.delivery.event {
            Event::MessageSent(view) | Event::MessageDeleted(view) | Event::MessageRestored(view) => {
                FIXED + 3 * view.message.content.text.len()
            }
            _ => FIXED,
        }
    }
}

impl Memory {
    fn insert(&mut self, number: u64, changes: Option<Arc<[Arc<Change>]>>, bytes: usize) {
        self.now += 1;
        let part = Part { changes, bytes, used: self.now };
        self.bytes += bytes;
        if let Some(before) = self.parts.insert(number, part) {
            self.bytes -= before.bytes;
        }
        while self.bytes > MOST_BYTES || self.parts.len() > MOST_PARTS {
            let oldest = self.parts.iter().min_by_key(|(_, part)| part.used).map(|(number, _)| *number);
            let Some(part) = oldest.and_then(|number| self.parts.remove(&number)) else { return };
            self.bytes -= part.bytes;
        }
    }

    /// Returns what there was.
    fn forget(&mut self) -> HashMap<u64, Part> {
        self.bytes = 0;
        self.withdrawn = Arc::default();
        self.epoch += 1;
        std::mem::take(&mut self.parts)
    }
}

#[cfg(test)]
mod tests {
    use chat_core::chat::Registration;
    use chat_core::command::{Actor, Command, Destination, Reply};
    use chat_core::model::{Content, PasswordHash, UserKey, Visibility};

    use super::*;

    fn everything_after(after: Position) -> Missing {
        Missing { after, up_to: Position(u64::MAX) }
    }

    struct World {
        chat: Arc<Chat>,
        recent: Recent,
        ann: UserId,
        bob: UserId,
    }

    impl World {
        async fn new() -> Self {
            let chat = Arc::new(Chat::in_memory());
            let mut users = Vec::new();
            for name in ["ann", "bob"] {
                let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
                users.push(chat.register(registration).await.unwrap().user.id);
            }
            Self {
                recent: Recent::new(chat.clone(), &Dialects::built_in()),
                chat,
                ann: users[0],
                bob: users[1],
            }
        }

        /// As a server does it: stores, observes, announces.
        async fn execute(&self, actor: UserId, command: Command) -> Reply {
            let outcome = self.chat.execute(&Actor { user: actor }, command).await.unwrap();
            outcome.deliveries.iter().for_each(|delivery| self.recent.observe(&delivery.event));
            outcome.reply
        }

        async fn say(&self, to: Destination, text: &str) -> MessageId {
            let content = Content::text(text);
            let send = Command::Send { to, content, client_id: None, fingerprint: None };
            let Reply::Message(view) = self.execute(self.ann, send).await else { panic!("it was sent") };
            view.message.id
        }

        fn bob(&self) -> Destination {
            Destination::Person(UserKey::Id(self.bob))
        }

        /// The positions of what somebody is told after `position`, read to the end.
        async fn told(&self, user: UserId, position: u64) -> Vec<u64> {
            let (mut at, mut told) = (Position(position), Vec::new());
            while let Some(read) = self.recent.after(everything_after(at)).await.unwrap() {
                let push = &Dialects::built_in().find("push").unwrap().clone();
                let shown =
                    read.of_user(user, push, Base::default()).filter(|(_, frames)| !frames.is_empty());
                told.extend(shown.map(|(position, _)| position.0));
                let Some(to) = read.to() else { break };
                assert!(to > at, "every answer leads on");
                at = to;
            }
            told
        }
    }

    #[tokio::test]
    async fn everything_is_found_from_everywhere_also_what_came_since() {
        let world = World::new().await;
        let last = 3 * LENGTH + 7;
        for n in 0..last {
            world.say(world.bob(), &format!("{n}")).await;
        }
        for round in 0..2 {
            for from in [0, 1, LENGTH - 1, LENGTH, LENGTH + 1, last - 1, last, last + 1, last + LENGTH] {
                let expected: Vec<u64> = (from + 1..=last + round).collect();
                assert_eq!(world.told(world.bob, from).await, expected, "after {from} in round {round}");
            }
            world.say(world.bob(), "one more").await;
        }
    }

    #[tokio::test]
    async fn what_was_deleted_since_it_was_read_is_not_shown() {
        let world = World::new().await;
        let first = world.say(world.bob(), "one").await;
        world.say(world.bob(), "two").await;
        assert_eq!(world.told(world.bob, 0).await, [1, 2]);
        world.execute(world.ann, Command::Delete { message: first }).await;
        assert_eq!(world.told(world.bob, 0).await, [2, 3], "the deletion is told of, the message is not");
        world.execute(world.ann, Command::Restore { message: first }).await;
        assert_eq!(world.told(world.bob, 3).await, [4]);
    }

    /// A message that was deleted is restored, and that is not announced yet: whoever was told now would learn of the
    /// deletion only.
    #[tokio::test]
    async fn what_is_not_announced_yet_is_left_for_later() {
        let world = World::new().await;
        let id = world.say(world.bob(), "one").await;
        world.execute(world.ann, Command::Delete { message: id }).await;
        let restore = Command::Restore { message: id };
        let outcome = world.chat.execute(&Actor { user: world.ann }, restore).await.unwrap();
        let push = &Dialects::built_in().find("push").unwrap().clone();
        let told = async |missing| {
            let read = world.recent.after(missing).await.unwrap().unwrap();
            let positions: Vec<u64> =
                read.of_user(world.bob, push, Base::default()).map(|(at, _)| at.0).collect();
            (positions, read.to().map(|to| to.0))
        };
        assert_eq!(told(Missing { after: Position(0), up_to: Position(2) }).await, (vec![2], Some(2)));
        outcome.deliveries.iter().for_each(|delivery| world.recent.observe(&delivery.event));
        assert_eq!(told(Missing { after: Position(2), up_to: Position(3) }).await, (vec![3], Some(3)));
    }

    #[tokio::test]
    async fn who_has_left_is_told_nothing_more() {
        let world = World::new().await;
        let create = Command::CreateRoom {
            name: "room".into(),
            visibility: Visibility::Private,
            members: vec![world.bob],
        };
        let Reply::Conversation(room) = world.execute(world.ann, create).await else { panic!("a room") };
        world.say(Destination::Conversation(room.id), "secret").await;
        assert!(
            world.recent.after(everything_after(Position(1))).await.unwrap().is_some(),
            "it is known now"
        );
        world.execute(world.ann, Command::RemoveMember { room: room.id, user: world.bob }).await;
        let read = world.recent.after(everything_after(Position(1))).await.unwrap().unwrap();
        let push = &Dialects::built_in().find("push").unwrap().clone();
        assert_eq!(
            read.of_user(world.bob, push, Base::default()).map(|(at, _)| at.0).collect::<Vec<_>>(),
            [3],
            "his leaving"
        );
        assert_eq!(
            read.of_user(world.ann, push, Base::default()).map(|(at, _)| at.0).collect::<Vec<_>>(),
            [2, 3]
        );
    }

    #[tokio::test]
    async fn what_was_forgotten_is_none() {
        let world = World::new().await;
        for n in 0..10 {
            world.say(world.bob(), &format!("{n}")).await;
        }
        let latest = chat_core::clock::Timestamp::from_millis(i64::MAX);
        assert_eq!(world.chat.store().forget_before(latest).await.unwrap(), Position(9));
        assert!(world.recent.after(everything_after(Position(3))).await.unwrap().is_none());
        assert_eq!(world.told(world.bob, 9).await, [10], "the rest of a part can be read");
    }

    #[tokio::test]
    async fn who_was_away_for_long_is_told_the_same() {
        let world = World::new().await;
        let registration = Registration::named("cid", PasswordHash::new("x".to_owned()));
        let cid = world.chat.register(registration).await.unwrap().user.id;
        let name = "room".to_owned();
        let create = Command::CreateRoom { name, visibility: Visibility::Public, members: vec![cid] };
        let Reply::Conversation(room) = world.execute(world.ann, create).await else { panic!("a room") };
        for n in 0..3 * AT_ONCE {
            let id = match n % 3 {
                0 => world.say(Destination::Conversation(room.id), "to the room").await,
                _ => world.say(world.bob(), "to bob").await,
            };
            if n % 7 == 0 {
                world.execute(world.ann, Command::Delete { message: id }).await;
            }
        }
        let profile = chat_core::model::ProfilePatch::default();
        world.execute(world.bob, Command::UpdateProfile(profile)).await;
        let push = &Dialects::built_in().find("push").unwrap().clone();
        for user in [world.ann, world.bob, cid] {
            for from in [0, 1, 2, 100] {
                let (mut at, mut told) = (Position(from), Vec::new());
                loop {
                    let read = world.recent.long_after(everything_after(at), user).await.unwrap().unwrap();
                    let shown =
                        read.of_user(user, push, Base::default()).filter(|(_, frames)| !frames.is_empty());
                    told.extend(shown.map(|(position, _)| position.0));
                    let Some(to) = read.to() else { break };
                    at = to;
                }
                assert_eq!(told, world.told(user, from).await, "after {from}");
            }
        }
        assert!(world.told(cid, 0).await.len() < world.told(world.bob, 0).await.len());
    }

    #[test]
    fn who_was_away_for_long_asks_for_their_own() {
        let missing = |count| Missing { after: Position(7), up_to: Position(7 + count) };
        assert!(Recent::is_far(missing(REACH + 1)));
        assert!(!Recent::is_far(missing(REACH)));
    }

    #[tokio::test]
    async fn of_many_changes_of_a_profile_the_last_of_each_part_is_told() {
        let world = World::new().await;
        let change = async |user, name: &str| {
            let full_name = Some(name.to_owned());
            let patch = chat_core::model::ProfilePatch { full_name, picture: None };
            world.execute(user, Command::UpdateProfile(patch)).await;
        };
        for n in 0..LENGTH / 2 - 1 {
            change(world.ann, &format!("Ann {n}")).await;
            change(world.bob, &format!("Bob {n}")).await;
        }
        world.say(world.bob(), "and").await;
        change(world.ann, "Ann").await;
        assert_eq!(world.told(world.bob, 0).await, [LENGTH - 2, LENGTH - 1, LENGTH]);
        assert_eq!(world.told(world.bob, LENGTH - 4).await, [LENGTH - 2, LENGTH - 1, LENGTH]);
    }

    /// Files that are stored in a few hundred bytes are read one at a time, and the part in which they are is not read from
    /// its beginning for each of them.
    #[tokio::test]
    async fn what_is_large_when_it_is_decoded_is_read_in_small_parts() {
        let world = World::new().await;
        let large: Arc<str> = "x".repeat(3 << 20).into();
        for n in 0..12 {
            let file_name = (n % 2 == 0).then(|| "x.txt".to_owned());
            let text = if file_name.is_some() { large.clone() } else { "small".into() };
            let content = Content { text, file_name, image: None };
            let send = Command::Send { to: world.bob(), content, client_id: None, fingerprint: None };
            world.execute(world.ann, send).await;
        }
        let most = world.chat.limits().answer_bytes;
        let (mut at, mut told) = (Position(0), Vec::new());
        while let Some(read) = world.recent.after(everything_after(at)).await.unwrap() {
            let held: usize = read.changes.iter().map(|change| change.weight()).sum();
            assert!(held < 3 * most + 64 * 1_500, "{held} bytes are held");
            let push = &Dialects::built_in().find("push").unwrap().clone();
            told.extend(read.of_user(world.bob, push, Base::default()).map(|(position, _)| position.0));
            let Some(to) = read.to() else { break };
            at = to;
        }
        assert_eq!(told, (1..=12).collect::<Vec<_>>());
        let memory = world.recent.memory.lock();
        assert!(memory.bytes == 0 && memory.parts[&0].changes.is_none(), "it is known to be large");
    }

    #[tokio::test]
    async fn large_parts_are_not_kept() {
        let world = World::new().await;
        let large = "x".repeat(60_000);
        for _ in 0..2 * LENGTH {
            world.say(world.bob(), &large).await;
        }
        assert_eq!(world.told(world.bob, 0).await.len() as u64, 2 * LENGTH);
        assert_eq!(world.recent.memory.lock().bytes, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for (count, bytes) in [(3 * MOST_PARTS as u64, 1_000), (50, LARGEST_PART), (10, 1)] {
            for number in 0..count {
                memory.insert(number, Some(Arc::new([])), bytes);
                assert!(memory.bytes <= MOST_BYTES && memory.parts.len() <= MOST_PARTS);
                assert!(memory.parts.contains_key(&number), "the newest is kept");
                assert_eq!(memory.bytes, memory.parts.values().map(|part| part.bytes).sum::<usize>());
            }
        }
    }
}
