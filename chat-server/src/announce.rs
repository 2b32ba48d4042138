//! Tells connections what happened, in the order in which it was committed.
//!
//! Commands finish on many tasks at once, but every member of a conversation must see its events in one order. So
//! whoever finishes a command hands its deliveries in here, and they are held until all before them have been sent,
//! going by their positions in the log. Whoever brings the missing one sends what it was holding up, there and then.
//!
//! A position that is not handed in (another node made the change) is read from the log a moment after a later one was
//! handed in, or at once when another node is heard of having made it: the log is the truth, handing in only makes it
//! fast. There is one reader at a time, so that what comes while it reads is read together. After a change has failed it
//! is looked whether it is in the log all the same: when only the store's answer was lost, nobody hands it in.

pub(crate) mod frames;
pub(crate) mod other_log;
mod rooms;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::error::ErrorKind;
use chat_core::event::{Audience, Delivery, Event};
use chat_core::model::Position;
use chat_core::prelude::Chat;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::time::Instant;

use self::frames::frames;
use self::rooms::Rooms;
use crate::dialect::Frames;
use crate::links::{self, Base};
use crate::recovery::ReplayCache;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::typing::Typists;

/// How long a missing position is waited for before the log is asked.
pub(crate) const MISSING_TIMEOUT: Duration = Duration::from_millis(20);
/// The same among several nodes: whoever else has made the change has most likely told of it by then.
pub(crate) const MISSING_TIMEOUT_WITH_NODES: Duration = Duration::from_millis(2);
/// Most changes read from the log at once.
const MAX_AT_ONCE: usize = 64;
/// The pause after a first failure to read the log. It doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest time between two attempts to read the log.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// After the log has become another one, what commands hand in may be of the one before for so long: as long as any of them can
/// be under way.
const UNDER_WAY: Duration = Duration::from_secs(30);
/// How long after a change has failed it is looked for the last time.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Sends what is announced.
pub(crate) struct Announcer(Arc<Shared>);

struct Shared {
    chat: Arc<Chat>,
    sessions: Arc<Sessions>,
    replay_cache: Arc<ReplayCache>,
    typists: Arc<Typists>,
    timeout: Duration,
    order: Mutex<Order>,
}

struct Order {
    /// Counts the logs.
    log_number: u64,
    /// Until then only the log itself says what is in it.
    settles_at: Option<Instant>,
    /// The position that is sent next.
    next: u64,
    held: BTreeMap<u64, Delivery>,
    rooms: Rooms,
    /// The log is said to reach as far as this.
    known: u64,
    /// Somebody is sending.
    busy: bool,
    /// Somebody is asking the log.
    asking: bool,
    /// Changes that have failed and may have been stored, since it was looked last.
    doubtful: usize,
}

impl Announcer {
    /// Everything up to `position` was announced before. A missing position is waited for with `timeout`.
    pub(crate) fn new(
        chat: Arc<Chat>,
        sessions: Arc<Sessions>,
        (replay_cache, typists): (Arc<ReplayCache>, Arc<Typists>),
        position: Position,
        timeout: Duration,
    ) -> Self {
        let order = Order {
            log_number: 0,
            settles_at: None,
            next: position.0 + 1,
            held: BTreeMap::new(),
            rooms: Rooms::default(),
            known: position.0,
            busy: false,
            asking: false,
            doubtful: 0,
        };
        Self(Arc::new(Shared { chat, sessions, replay_cache, typists, timeout, order: Mutex::new(order) }))
    }

    /// The last position that was announced, or is being announced: sessions are looked for after it was counted here.
    pub(crate) fn position(&self) -> Position {
        Position(self.0.order.lock().next - 1)
    }

    /// Counts the logs: it is another one after [`Self::begin_log`].
    pub(crate) fn log_number(&self) -> u64 {
        self.0.order.lock().log_number
    }

    /// The store has another log from now on, of which everything up to `position` counts as announced: whoever is told of what
    /// comes after it must have begun with this log.
    pub(crate) fn begin_log(&self, position: Position) {
        let mut order = self.0.order.lock();
        order.log_number += 1;
        order.settles_at = Some(Instant::now() + UNDER_WAY);
        order.next = position.0 + 1;
        order.known = position.0;
        order.held.clear();
        order.rooms = Rooms::default();
    }

    /// Announces what a command has led to. What is not logged has no order and is sent at once.
    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery.position {
                Some(position) => self.0.announce_handed_in(position, delivery),
                None => self.0.send(&delivery),
            }
        }
    }

    /// A change has failed, but may have been stored: then it must be announced, also if nothing else ever happens.
    pub(crate) fn recheck_log(&self) {
        let mut order = self.0.order.lock();
        order.doubtful += 1;
        if order.doubtful == 1 {
            drop(order);
            tokio::spawn(Shared::look_for_doubtful(Arc::downgrade(&self.0)));
        }
    }

    /// Whether something has failed that may have been stored.
    #[cfg(test)]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.0.order.lock().doubtful > 0
    }

    /// Somebody says that the log goes up to here. What has not been announced of it is read.
    pub(crate) fn advance_to(&self, position: Position) {
        let mut order = self.0.order.lock();
        order.known = order.known.max(position.0);
        self.0.look_for_missing(order);
    }
}

impl Order {
    /// The last position that must be there and was not handed in.
    fn last_missing(&self) -> Option<u64> {
        let mut last = self.known.max(self.held.last_key_value().map_or(0, |(held, _)| *held));
        for (held, _) in self.held.iter().rev() {
            if *held != last {
                break;
            }
            last -= 1;
        }
        (last >= self.next).then_some(last)
    }
}

impl Shared {
    fn announce_handed_in(self: &Arc<Self>, position: Position, delivery: Delivery) {
        let mut order = self.order.lock();
        if order.settles_at.is_some_and(|at| Instant::now() < at) {
            // It may be of the log before: it is read, if it is there.
            order.known = order.known.max(position.0);
            return self.look_for_missing(order);
        }
        self.announce_in_order(order, position, delivery);
    }

    fn announce_in_order<'a>(
        self: &'a Arc<Self>,
        mut order: MutexGuard<'a, Order>,
        position: Position,
        delivery: Delivery,
    ) {
        if position.0 < order.next {
            // The log was asked and this has been sent.
            return;
        }
        order.held.insert(position.0, delivery);
        if order.busy {
            return;
        }
        order.busy = true;
        loop {
            let next = order.next;
            let Some(mut delivery) = order.held.remove(&next) else { break };
            order.rooms.pass(&mut delivery);
            self.replay_cache.observe(&delivery);
            order.next += 1;
            drop(order);
            // Whatever a frame does to us, those behind it must not wait for ever.
            if catch_unwind(AssertUnwindSafe(|| self.send(&delivery))).is_err() {
                chat_core::log_throttled!(error, position = next, "announcing a change panicked");
            }
            // Behind the message, whose pages then see that it is the end of what was typed.
            if let Event::MessageSent(view) = &delivery.event {
                self.typists.said(view.message.sender, view.message.conversation);
            }
            order = self.order.lock();
        }
        order.busy = false;
        self.look_for_missing(order);
    }

    fn look_for_missing(self: &Arc<Self>, mut order: MutexGuard<'_, Order>) {
        if order.asking || order.last_missing().is_none() {
            return;
        }
        order.asking = true;
        let missing = order.next;
        drop(order);
        tokio::spawn(Self::ask_the_log(Arc::downgrade(self), missing));
    }

    async fn look_for_doubtful(shared: Weak<Self>) {
        let mut pause = MISSING_TIMEOUT;
        let mut doubtful = 1;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
            let Some(shared) = shared.upgrade() else { return };
            match shared.chat.store().last_position().await {
                Ok(last) => {
                    let mut order = shared.order.lock();
                    order.known = order.known.max(last.0);
                    // A store may make up its mind only after it has given up answering, so one look is not enough.
                    if pause < LAST_LOOK {
                        shared.look_for_missing(order);
                        continue;
                    }
                    // Those that have failed meanwhile may be stored yet.
                    order.doubtful -= doubtful;
                    doubtful = order.doubtful;
                    shared.look_for_missing(order);
                    if doubtful == 0 {
                        return;
                    }
                    pause = MISSING_TIMEOUT;
                }
                Err(error) => {
                    chat_core::log_throttled!(
                        warn, %error, "it cannot be seen whether failed changes were stored"
                    );
                }
            }
        }
    }

    async fn ask_the_log(shared: Weak<Self>, mut missing: u64) {
        let mut failures = 0;
        loop {
            let pause = {
                let Some(shared) = shared.upgrade() else { return };
                let is_known = shared.order.lock().known >= missing;
                match failures {
                    0 if is_known => Duration::ZERO,
                    0 => shared.timeout,
                    _ => (FIRST_PAUSE * 2_u32.saturating_pow(failures - 1)).min(MAX_PAUSE),
                }
            };
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let Some(shared) = shared.upgrade() else { return };
            let span = {
                let mut order = shared.order.lock();
                let Some(last) = order.last_missing() else {
                    order.asking = false;
                    return;
                };
                // Something came meanwhile; the next one that is missing gets its time too.
                if std::mem::replace(&mut missing, order.next) != order.next {
                    failures = 0;
                    continue;
                }
                (last - order.next).saturating_add(1)
            };
            failures = match shared.read(missing, span, failures).await {
                true => 0,
                false => failures + 1,
            };
        }
    }

    /// As long as the log is the same one, that is.
    fn in_log(&self, number: u64) -> Option<MutexGuard<'_, Order>> {
        let order = self.order.lock();
        (order.log_number == number).then_some(order)
    }

    /// Reads and announces some of the `span` changes from `missing` on. Answers whether that leads on.
    async fn read(self: &Arc<Self>, missing: u64, span: u64, failures: u32) -> bool {
        // After a failure one at a time, so that it is known which one cannot be read.
        let most = if failures > 0 { 1 } else { MAX_AT_ONCE };
        let limit = usize::try_from(span).unwrap_or(most).clamp(1, most);
        let log_number = self.order.lock().log_number;
        match self.chat.changes_after(Position(missing - 1), limit).await {
            Ok(Some(deliveries)) if deliveries.is_empty() => {
                self.correct().await;
                false
            }
            Ok(Some(deliveries)) => {
                if failures > 0 {
                    chat_core::log_throttled!(info, position = missing, "the log can be read again");
                }
                for delivery in deliveries {
                    let Some(order) = self.in_log(log_number) else { return true };
                    if let Some(position) = delivery.position {
                        self.announce_in_order(order, position, delivery);
                    }
                }
                true
            }
            Ok(None) => {
                // Nobody who is connected waits for what is so old.
                chat_core::log_throttled!(
                    error,
                    position = missing,
                    "the log was forgotten before it was announced"
                );
                self.skip(log_number, missing);
                true
            }
            Err(error) => {
                if failures == 0 {
                    chat_core::log_throttled!(error, position = missing, %error, "the log could not be read");
                }
                if limit == 1 && error.kind() != ErrorKind::Unavailable {
                    // It will never be readable; those behind it must not wait for ever.
                    chat_core::log_throttled!(
                        error, position = missing, %error, "a change cannot be read and is passed over"
                    );
                    self.skip(log_number, missing);
                }
                false
            }
        }
    }

    /// Nothing was found where something was said to be.
    async fn correct(&self) {
        if let Ok(last) = self.chat.store().last_position().await {
            let mut order = self.order.lock();
            order.known = order.known.min(last.0);
        }
    }

    fn skip(self: &Arc<Self>, log_number: u64, position: u64) {
        let Some(mut order) = self.in_log(log_number) else { return };
        if order.next != position {
            return;
        }
        // It may have said that somebody has come or gone.
        order.rooms = Rooms::default();
        order.next += 1;
        let next = order.next;
        let Some(delivery) = order.held.remove(&next) else { return };
        self.announce_in_order(order, Position(next), delivery);
    }

    fn send(&self, delivery: &Delivery) {
        if let Some((one, other)) = delivery.invalidates.relation {
            self.sessions.relation_changed(one);
            self.sessions.relation_changed(other);
        }
        // Encoded once per dialect, and only for dialects that somebody in the audience speaks; where it holds links, once
        // for each base.
        let mut encoded: SmallVec<[Option<Frames>; 8]> =
            SmallVec::from_elem(None, self.replay_cache.dialects());
        let mut with_links: HashMap<(usize, Base), Frames> = HashMap::new();
        let holds_links = links::holds_paths(&delivery.event);
        let mut send_to = |session: &Arc<Session>| {
            let index = session.dialect.index();
            // Every session speaks a dialect of the registry, so there is one for each.
            let slot = &mut encoded[index];
            let encode = || frames(&*session.dialect, delivery, session.base(), self.replay_cache.style());
            let frames = match holds_links {
                true => with_links.entry((index, session.base().clone())).or_insert_with(encode),
                false => slot.get_or_insert_with(encode),
            };
            match delivery.position {
                Some(position) => session.announce(position, frames),
                None => session.ephemeral(frames),
            }
        };
        match &delivery.audience {
            Audience::Members(conversation) => {
                self.sessions.for_members(&conversation.members, &mut send_to);
            }
            Audience::MembersBut(conversation, others) => {
                let mut send_to_others = |session: &Arc<Session>| {
                    if !others.contains(&session.user) {
                        send_to(session);
                    }
                };
                self.sessions.for_members(&conversation.members, &mut send_to_others);
            }
            Audience::MembersAnd(conversation, other) => {
                self.sessions.for_members(&conversation.members, &mut send_to);
                if conversation.member(*other).is_none() {
                    self.sessions.for_user(*other, &mut send_to);
                }
            }
            Audience::Users(users) => {
                for user in users {
                    self.sessions.for_user(*user, &mut send_to);
                }
            }
            Audience::Everyone => self.sessions.for_all(&mut send_to),
        }
    }
}
