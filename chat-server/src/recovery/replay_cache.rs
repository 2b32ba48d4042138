//! A cache of log reads, for clients that reconnect at the same time.
//!
//! After a restart of the server thousands of clients ask for almost the same changes. So the log is read in parts of
//! fixed size, each part is cached for a while with its frames encoded once, and each client takes only the frames that
//! concern it.
//!
//! **Invalidation.** The log returns messages in their current state, so the cache must do the same. Each change says
//! what it invalidates ([`Invalidation`]). A message that has changed since a part was read is shown in its current
//! state, or not at all if it was deleted. When a member leaves a room, the whole cache is cleared, because the
//! audience of its messages has changed. The announcer calls [`ReplayCache::observe`] before a change counts as
//! announced. So a client that receives a later change is never shown what that change has removed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use chat_core::aspects::replies::Quote;
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

/// The number of changes in a part. Part n holds the positions after n × `LENGTH`.
const LENGTH: u64 = 128;
/// The maximum number of changes that are read at once without caching. It is fewer when their texts are large
/// ([`Limits::answer_bytes`]).
///
/// [`Limits::answer_bytes`]: chat_core::policy::Limits::answer_bytes
const AT_ONCE: usize = 64;
/// The maximum number of cached parts.
const MAX_PARTS: usize = 160;
/// A client that has missed more changes than this reads only the changes of its own user. The cost then depends on
/// their number, not on the activity of other users.
const REACH: u64 = MAX_PARTS as u64 * LENGTH / 2;
/// The approximate size limit of the cache, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// Parts larger than this, because of large files, are not cached.
const LARGEST_PART: usize = 4 << 20;
/// The maximum number of changed messages that are tracked. Beyond that the whole cache is cleared.
const MAX_CHANGED: usize = 2_000;
/// The maximum bytes of their texts.
const MAX_CHANGED_BYTES: usize = 4 << 20;
/// How many tasks may read the log at the same time. The others wait, and usually find the part in the cache when it is
/// their turn. This also bounds the memory.
const READERS: usize = 4;

/// The most recent part of the log, as far as clients have asked for it.
pub(crate) struct ReplayCache {
    chat: Arc<Chat>,
    turns: Semaphore,
    /// For clients that were away for long. Other clients do not wait for reads that only one client needs.
    long_turns: Semaphore,
    memory: Mutex<Memory>,
    style: PositionStyle,
    /// The number of dialects.
    dialects: usize,
}

/// Changes that were read, ordered by position.
pub(crate) struct Read {
    changes: Arc<[Arc<Change>]>,
    range: Range<usize>,
    /// Indexes in `changes` of profile changes that a later change to the same profile replaces.
    repeated: HashSet<usize>,
    to: Option<Position>,
    changed: Arc<Changed>,
}

/// Messages that may have changed since they were read, in their current state.
#[derive(Clone, Default)]
struct Changed {
    messages: HashMap<MessageId, Now>,
    bytes: usize,
}

/// The current state of a message.
#[derive(Clone)]
enum Now {
    Deleted,
    Shown(Arc<MessageView>),
}

/// A change and the frames for clients.
struct Change {
    position: Position,
    delivery: Delivery,
    /// Indexed by the dialect's place in the registry. Encoded for the link base of the first client that asked. Where
    /// links make frames differ, almost all clients have the same base.
    frames: Box<[OnceLock<(Base, Frames)>]>,
    style: PositionStyle,
}

#[derive(Default)]
struct Memory {
    parts: HashMap<u64, Part>,
    bytes: usize,
    /// Counts requests, to find the part that was used least recently.
    now: u64,
    changed: Arc<Changed>,
    /// Counts how often the whole cache was cleared.
    epoch: u64,
}

struct Part {
    /// `None` when the part is too large to be cached.
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

    /// The same cache with another position style.
    pub(crate) fn with_style(self, style: PositionStyle) -> Self {
        Self { style, ..self }
    }

    /// How positions are sent to clients.
    pub(crate) fn style(&self) -> PositionStyle {
        self.style
    }

    /// The number of dialects.
    pub(crate) fn dialects(&self) -> usize {
        self.dialects
    }

    /// Whether a client that is missing so many changes should read only those of its user ([`Self::long_after`]).
    pub(crate) fn is_far(missing: Missing) -> bool {
        missing.up_to.0.saturating_sub(missing.after.0) > REACH
    }

    /// Some of the `missing` changes, as many as are available. `None` when some of them are no longer in the log.
    ///
    /// # Errors
    /// When the log cannot be read. The cause may be a single change ([`Self::one_after`]).
    pub(crate) async fn after(&self, missing: Missing) -> Result<Option<Read>, Error> {
        if let Some(read) = self.known_after(missing) {
            return Ok(Some(read));
        }
        // This fails only if the semaphore is closed, which never happens.
        let _turn = self.turns.acquire().await;
        if let Some(read) = self.known_after(missing) {
            return Ok(Some(read));
        }
        match self.read_on(missing).await? {
            Some(read) => Ok(Some(read)),
            None => self.read(missing, AT_ONCE).await,
        }
    }

    /// Some of the `missing` changes that this user may see, for a client that was away for longer than the cache
    /// reaches.
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

    /// Only the first of the `missing` changes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn one_after(&self, missing: Missing) -> Result<Option<Read>, Error> {
        let _turn = self.turns.acquire().await;
        self.read(missing, 1).await
    }

    /// Applies the invalidation of a change that is about to be announced.
    pub(crate) fn observe(&self, delivery: &Delivery) {
        // Profiles and conversations need no tracking: the change that modified them comes later in the log and shows
        // their new state.
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
        // The memory is freed after the lock is released, so that no task waits for that.
        drop((memory, forgotten));
    }

    /// Clears the cache, because the log was replaced.
    pub(crate) fn forget_all(&self) {
        let forgotten = self.memory.lock().forget();
        drop(forgotten);
    }

    /// The messages that have changed since something was read. `None` if the cache was cleared meanwhile: then it must
    /// be read again.
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

    /// Extends the part that contains the first missing change. `None` when this yields nothing.
    async fn read_on(&self, missing: Missing) -> Result<Option<Read>, Error> {
        let number = missing.after.0 / LENGTH;
        loop {
            let (epoch, known) = {
                let memory = self.memory.lock();
                let part = memory.parts.get(&number);
                if part.is_some_and(|part| part.changes.is_none()) {
                    // The part is too large to be cached. The caller reads only the changes it needs.
                    return Ok(None);
                }
                (memory.epoch, part.and_then(|part| part.changes.clone()))
            };
            let known = known.as_deref().unwrap_or_default();
            let begin = known.last().map_or(Position(number * LENGTH), |last| last.position);
            let most = usize::try_from((number + 1) * LENGTH - begin.0).unwrap_or(AT_ONCE);
            // The beginning of the part may be gone from the log already, although the requested changes are not.
            let Some(deliveries) = self.chat.changes_after(begin, most).await? else { return Ok(None) };
            let new = deliveries
                .into_iter()
                .filter_map(|delivery| Change::new(delivery, self.style, self.dialects))
                .map(Arc::new);
            let changes: Arc<[_]> = known.iter().cloned().chain(new).collect();
            let bytes = changes.iter().map(|change| change.weight()).sum();
            let mut memory = self.memory.lock();
            if memory.epoch != epoch {
                // What was read may be older than changes that were observed meanwhile, so it is read again.
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
    /// `None` when no missing change is among them.
    ///
    /// Changes that were not announced yet are left for later, because their invalidations are not known yet.
    fn of(changes: Arc<[Arc<Change>]>, missing: Missing, changed: Arc<Changed>) -> Option<Self> {
        let from = changes.partition_point(|change| change.position <= missing.after);
        let end = changes.partition_point(|change| change.position <= missing.up_to);
        let to = changes.get(from..end)?.last()?.position;
        let repeated = repeated(&changes, from..end);
        Some(Self { changes, range: from..end, repeated, to: Some(to), changed })
    }

    /// How far the log was read, if it contained anything.
    pub(crate) fn to(&self) -> Option<Position> {
        self.to
    }

    /// The frames for this user's connections in this dialect, with links that begin with this base.
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
                Some(Now::Shown(view)) => Cow::Owned(change.frames_showing(&view, dialect, &base)),
            };
            Some((change.position, frames))
        })
    }
}

/// The profile changes that a later change to the same profile replaces. Both would show the same state.
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
        // Every session uses a dialect of the registry, so the index is in range.
        let (theirs, frames) = self.frames[dialect.index()].get_or_init(|| (base.clone(), encode()));
        if theirs == base || !links::holds_paths(&self.delivery.event) {
            return Cow::Borrowed(frames);
        }
        Cow::Owned(encode())
    }

    /// The frames with the message in its current state.
    fn frames_showing(&self, view: &MessageView, dialect: &Registered, base: &Base) -> Frames {
        let mut delivery = self.delivery.clone();
        if let Some(shown) = delivery.event.message_mut() {
            shown.clone_from(view);
        }
        frames(&**dialect, &delivery, base, self.style)
    }

    /// The approximate size in memory, including the frames, in bytes.
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

    /// The current state of the message that an event shows. `None` if neither it nor the message that it quotes has
    /// changed since it was read.
    fn of(&self, event: &Event) -> Option<Now> {
        let read = event.message().filter(|_| event.shows_message())?;
        let now = self.messages.get(&read.message.id);
        let shown = match now {
            Some(Now::Deleted) => return Some(Now::Deleted),
            Some(Now::Shown(now)) => now,
            None => read,
        };
        let quote = shown.message.annexes.reply_to.as_ref();
        let Some(quoted) = quote.and_then(|quote| self.messages.get(&quote.message)) else {
            return now.cloned();
        };
        let mut shown = shown.clone();
        let quote = shown.message.annexes.reply_to.take();
        shown.message.annexes.reply_to = match quoted {
            Now::Deleted => quote.map(Quote::into_deleted),
            Now::Shown(quoted) => Some(Quote::of(&quoted.message)),
        };
        Some(Now::Shown(Arc::new(shown)))
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

    /// Clears the cache. Returns the removed parts.
    fn forget(&mut self) -> HashMap<u64, Part> {
        self.bytes = 0;
        self.changed = Arc::default();
        self.epoch += 1;
        std::mem::take(&mut self.parts)
    }
}

#[cfg(test)]
mod tests;
