//! What was read from the log lately, for those who come back at the same time.
//!
//! When a server has been restarted, thousands of clients ask for about the same changes. So the log is read in parts of
//! fixed places, a part is kept for a while with its frames encoded once, and each client only looks for what is its own.
//!
//! **As it is now.** The log shows messages as they are when it is read, and so must this. Each change says what it makes out
//! of date ([`Invalidation`]): a message that has changed since a part was read is shown as it is now (and not at all when it
//! was deleted), and when somebody leaves a room everything is forgotten, since who is to be told of it has changed. The
//! announcer tells of it ([`ReplayCache::observe`]) before the change counts as announced: a client that is told of a later
//! change is never shown what that change has taken back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use chat_core::error::Error;
use chat_core::event::{Delivery, Event};
use chat_core::id::{MessageId, UserId};
use chat_core::invalidation::Invalidation;
use chat_core::model::{MessageView, Position};
use chat_core::prelude::Chat;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::cursor::Missing;
use crate::announce::frames::frames;
use crate::dialect::{Dialects, Frames, PositionStyle, Registered};
use crate::links::{self, Base};

/// So many changes make a part; part n holds the positions after n × `LENGTH`.
const LENGTH: u64 = 128;
/// Most changes read at once when they are not kept; fewer when their texts are large ([`Limits::answer_bytes`]).
///
/// [`Limits::answer_bytes`]: chat_core::policy::Limits::answer_bytes
const AT_ONCE: usize = 64;
/// Most parts that are kept.
const MAX_PARTS: usize = 160;
/// Who has missed more changes than this asks for their own alone: that takes as long as they are many, however much
/// happened meanwhile among others.
const REACH: u64 = MAX_PARTS as u64 * LENGTH / 2;
/// About how many bytes are kept at most.
const MAX_BYTES: usize = 32 << 20;
/// Parts with more bytes than this (large files) are not kept.
const LARGEST_PART: usize = 4 << 20;
/// Most messages of which it is known that they have changed; when there are more, everything is forgotten.
const MAX_CHANGED: usize = 2_000;
/// And most bytes of their texts.
const MAX_CHANGED_BYTES: usize = 4 << 20;
/// How many may read the log at the same time. The others wait, and mostly find what they want when it is their turn;
/// it also bounds what is in memory.
const READERS: usize = 4;

/// The newest part of the log, as far as it was asked for.
pub(crate) struct ReplayCache {
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
    changed: Arc<Changed>,
}

/// The messages that have changed since they may have been read, as they are now.
#[derive(Clone, Default)]
struct Changed {
    messages: HashMap<MessageId, Now>,
    bytes: usize,
}

/// A message as it is now.
#[derive(Clone)]
enum Now {
    Deleted,
    Shown(Arc<MessageView>),
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
    changed: Arc<Changed>,
    /// Counts how often everything was forgotten.
    epoch: u64,
}

struct Part {
    /// None when it is too large to be kept.
    changes: Option<Arc<[Arc<Change>]>>,
    bytes: usize,
    used: u64,
}

impl ReplayCache {
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
            if let Some(changed) = self.changed_since(epoch) {
                let changes: Arc<[_]> = deliveries
                    .into_iter()
                    .filter_map(|delivery| Change::new(delivery, self.style, self.dialects))
                    .map(Arc::new)
                    .collect();
                let end = changes.partition_point(|change| change.position <= missing.up_to);
                let to = (to > position).then_some(to.min(missing.up_to));
                return Ok(Some(Read { changes, range: 0..end, repeated: HashSet::new(), to, changed }));
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

    /// Takes note of what a change makes out of date that is about to be announced.
    pub(crate) fn observe(&self, delivery: &Delivery) {
        // Of people and conversations the log shows later what they have become, in the change that has made them so.
        let Invalidation { user: _, conversation: _, member: _, audience, message, relation: _, newest: _ } =
            delivery.invalidates;
        if audience.is_none() && message.is_none() {
            return;
        }
        let mut memory = self.memory.lock();
        let view = delivery.event.message().filter(|view| Some(view.message.id) == message);
        let is_known = view.is_some_and(|view| memory.changed.has_room_for(view));
        let must_forget = audience.is_some() || (message.is_some() && !is_known);
        let forgotten = if must_forget { memory.forget() } else { HashMap::new() };
        if let Some(view) = view {
            Arc::make_mut(&mut memory.changed).note(view);
        }
        // Nobody waits while it is given back.
        drop((memory, forgotten));
    }

    /// The log is another one from now on.
    pub(crate) fn forget_all(&self) {
        let forgotten = self.memory.lock().forget();
        drop(forgotten);
    }

    /// What has changed since something was read, unless everything was forgotten meanwhile: then it has to be read again.
    fn changed_since(&self, epoch: u64) -> Option<Arc<Changed>> {
        let memory = self.memory.lock();
        (memory.epoch == epoch).then(|| memory.changed.clone())
    }

    fn known_after(&self, missing: Missing) -> Option<Read> {
        let mut memory = self.memory.lock();
        let changed = memory.changed.clone();
        memory.now += 1;
        let now = memory.now;
        let part = memory.parts.get_mut(&(missing.after.0 / LENGTH))?;
        part.used = now;
        Read::of(part.changes.clone()?, missing, changed)
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
                // What is known since of what has changed, and of who has left, is not in what was read.
                continue;
            }
            if bytes <= LARGEST_PART {
                memory.insert(number, Some(changes.clone()), bytes);
            } else {
                memory.insert(number, None, 0);
            }
            return Ok(Read::of(changes, missing, memory.changed.clone()));
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
            let Some(changed) = self.changed_since(epoch) else { continue };
            let nothing = Read {
                changes: Arc::new([]),
                range: 0..0,
                repeated: HashSet::new(),
                to: None,
                changed: Arc::default(),
            };
            return Ok(Some(Read::of(changes, missing, changed).unwrap_or(nothing)));
        }
    }
}

impl Read {
    /// None when there is nothing of what is missing.
    ///
    /// What has not been announced yet is left for later: what it takes back, or gives back, is not known here yet.
    fn of(changes: Arc<[Arc<Change>]>, missing: Missing, changed: Arc<Changed>) -> Option<Self> {
        let from = changes.partition_point(|change| change.position <= missing.after);
        let end = changes.partition_point(|change| change.position <= missing.up_to);
        let to = changes.get(from..end)?.last()?.position;
        let repeated = repeated(&changes, from..end);
        Some(Self { changes, range: from..end, repeated, to: Some(to), changed })
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
            change.delivery.audience.includes(user) && !self.repeated.contains(index)
        });
        theirs.filter_map(move |(_, change)| {
            let frames = match self.changed.of(&change.delivery.event) {
                None => change.frames(dialect, &base),
                Some(Now::Deleted) => return None,
                Some(Now::Shown(view)) => Cow::Owned(change.frames_showing(view, dialect, &base)),
            };
            Some((change.position, frames))
        })
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
        let encode = || frames(&**dialect, &self.delivery, base, self.style);
        // Whoever asks speaks a dialect of the registry, so there is a place for each.
        let (theirs, frames) = self.frames[dialect.index()].get_or_init(|| (base.clone(), encode()));
        if theirs == base || !links::holds_paths(&self.delivery.event) {
            return Cow::Borrowed(frames);
        }
        Cow::Owned(encode())
    }

    /// The same with its message as it is now.
    fn frames_showing(&self, view: &MessageView, dialect: &Registered, base: &Base) -> Frames {
        let mut delivery = self.delivery.clone();
        if let Some(shown) = delivery.event.message_mut() {
            shown.clone_from(view);
        }
        frames(&**dialect, &delivery, base, self.style)
    }

    /// About how many bytes it takes, its frames included.
    fn weight(&self) -> usize {
        const FIXED: usize = 1_500;
        FIXED + self.delivery.event.message().map_or(0, |view| 3 * view.message.content.text.len())
    }
}

impl Changed {
    fn has_room_for(&self, view: &MessageView) -> bool {
        let before = self.messages.get(&view.message.id);
        let bytes = self.bytes - before.map_or(0, Now::bytes) + Now::of(view).bytes();
        let count = self.messages.len() + usize::from(before.is_none());
        bytes <= MAX_CHANGED_BYTES && count <= MAX_CHANGED
    }

    fn note(&mut self, view: &MessageView) {
        let now = Now::of(view);
        self.bytes += now.bytes();
        let before = self.messages.insert(view.message.id, now);
        self.bytes -= before.map_or(0, |before| before.bytes());
    }

    /// What an event shows now; none when it is what it was when it was read.
    fn of(&self, event: &Event) -> Option<&Now> {
        event.message().filter(|_| event.shows_message()).and_then(|view| self.messages.get(&view.message.id))
    }
}

impl Now {
    fn of(view: &MessageView) -> Self {
        match view.message.deleted {
            Some(_) => Self::Deleted,
            None => Self::Shown(Arc::new(view.clone())),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Deleted => 0,
            Self::Shown(view) => view.message.content.text.len(),
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
        while self.bytes > MAX_BYTES || self.parts.len() > MAX_PARTS {
            let oldest = self.parts.iter().min_by_key(|(_, part)| part.used).map(|(number, _)| *number);
            let Some(part) = oldest.and_then(|number| self.parts.remove(&number)) else { return };
            self.bytes -= part.bytes;
        }
    }

    /// Returns what there was.
    fn forget(&mut self) -> HashMap<u64, Part> {
        self.bytes = 0;
        self.changed = Arc::default();
        self.epoch += 1;
        std::mem::take(&mut self.parts)
    }
}

#[cfg(test)]
mod tests;
