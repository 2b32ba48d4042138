//! Delivers committed changes to connections, in the order of the log.
//!
//! Commands finish concurrently on many tasks, but all members of a conversation must receive its events in the same
//! order. So the task that finishes a command passes its deliveries to the `Announcer`. The announcer holds a
//! delivery back until all earlier log positions have been sent. The task that brings the missing position also sends
//! the deliveries that waited for it.
//!
//! Some positions are never passed in, because another node made the change. The announcer then reads them from the
//! log: shortly after a later position was passed in, or at once when another node has reported the change. The log is
//! the source of truth; passing deliveries in only saves the read. Only one task reads the log at a time, so that
//! changes which arrive during a read are read together. After a write has failed, the announcer checks whether the
//! change is in the log anyway: when only the store's answer was lost, no task passes the change in.

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

/// How long the announcer waits for a missing position before it reads the log.
pub(crate) const MISSING_TIMEOUT: Duration = Duration::from_millis(20);
/// The same in a cluster: by then the node that made the change has most likely reported it.
pub(crate) const MISSING_TIMEOUT_WITH_NODES: Duration = Duration::from_millis(2);
/// The most changes that are read from the log at once.
const MAX_AT_ONCE: usize = 64;
/// The pause after the first failure to read the log. It doubles with every further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts to read the log.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// For this long after the store's log was replaced, running commands may still pass in changes of the old log. No
/// command runs longer.
const UNDER_WAY: Duration = Duration::from_secs(30);
/// How long after a failed write the announcer checks the log for the last time.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Delivers events to connections in log order.
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
    /// Counts the logs; increases when the store's log is replaced.
    log_number: u64,
    /// Until this moment positions that commands pass in are not trusted, and the log is read instead.
    settles_at: Option<Instant>,
    /// The next position to send.
    next: u64,
    held: BTreeMap<u64, Delivery>,
    rooms: Rooms,
    /// The highest position that the log is reported to have.
    known: u64,
    /// A task is sending.
    busy: bool,
    /// A task is reading the log.
    asking: bool,
    /// The number of failed writes that may have been stored, since the last check.
    doubtful: usize,
}

impl Announcer {
    /// Everything up to `position` counts as announced. The announcer waits for a missing position for `timeout`.
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

    /// The last position that is announced, or is being announced: it is counted before its sessions are looked up.
    pub(crate) fn position(&self) -> Position {
        Position(self.0.order.lock().next - 1)
    }

    /// The number of the current log. It changes with [`Self::begin_log`].
    pub(crate) fn log_number(&self) -> u64 {
        self.0.order.lock().log_number
    }

    /// Switches to another log of the store. Everything up to `position` counts as announced. Only sessions that began
    /// with this log may receive what follows.
    pub(crate) fn begin_log(&self, position: Position) {
        let mut order = self.0.order.lock();
        order.log_number += 1;
        order.settles_at = Some(Instant::now() + UNDER_WAY);
        order.next = position.0 + 1;
        order.known = position.0;
        order.held.clear();
        order.rooms = Rooms::default();
    }

    /// Delivers the events of a command. Events that are not logged have no order and are sent at once.
    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery.position {
                Some(position) => self.0.announce_handed_in(position, delivery),
                None => self.0.send(&delivery),
            }
        }
    }

    /// Reports a failed write that may have been stored. If it was, it must be announced even when no other change
    /// follows.
    pub(crate) fn recheck_log(&self) {
        let mut order = self.0.order.lock();
        order.doubtful += 1;
        if order.doubtful == 1 {
            drop(order);
            tokio::spawn(Shared::look_for_doubtful(Arc::downgrade(&self.0)));
        }
    }

    /// Whether a failed write may still turn out to be stored.
    #[cfg(test)]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.0.order.lock().doubtful > 0
    }

    /// Reports that the log reaches `position`. The announcer reads what it has not announced yet.
    pub(crate) fn advance_to(&self, position: Position) {
        let mut order = self.0.order.lock();
        order.known = order.known.max(position.0);
        self.0.look_for_missing(order);
    }
}

impl Order {
    /// The last position that must exist and was not passed in.
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
            // The delivery may belong to the old log, so the announcer reads the position from the current one.
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
            // This position was already read from the log and sent.
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
            // A panic while sending one frame must not block the deliveries that follow.
            if catch_unwind(AssertUnwindSafe(|| self.send(&delivery))).is_err() {
                chat_core::log_throttled!(error, position = next, "announcing a change panicked");
            }
            // After the message, so that clients see that the message ends this sender's typing.
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
                    // A store may commit after it has stopped answering, so one check is not enough.
                    if pause < LAST_LOOK {
                        shared.look_for_missing(order);
                        continue;
                    }
                    // Writes that failed in the meantime may still be stored.
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
                // Other deliveries arrived meanwhile; the next missing position gets its own waiting time.
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

    /// Locks the order, unless the log has been replaced since `number`.
    fn in_log(&self, number: u64) -> Option<MutexGuard<'_, Order>> {
        let order = self.order.lock();
        (order.log_number == number).then_some(order)
    }

    /// Reads and announces some of the `span` changes from `missing` on. Returns whether that made progress.
    async fn read(self: &Arc<Self>, missing: u64, span: u64, failures: u32) -> bool {
        // After a failure it reads one change at a time, to find the one that cannot be read.
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
                // No connected client waits for a change that old.
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
                    // The change will never be readable, and it must not block the changes after it.
                    chat_core::log_throttled!(
                        error, position = missing, %error, "a change cannot be read and is passed over"
                    );
                    self.skip(log_number, missing);
                }
                false
            }
        }
    }

    /// Lowers `known` when the log has no change where one was reported.
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
        // The skipped change may have added or removed a member.
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
        // Encodes once per dialect, and only for the dialects that are used in the audience. An event that contains
        // links is encoded once per base URL.
        let mut encoded: SmallVec<[Option<Frames>; 8]> =
            SmallVec::from_elem(None, self.replay_cache.dialects());
        let mut with_links: HashMap<(usize, Base), Frames> = HashMap::new();
        let holds_links = links::holds_paths(&delivery.event);
        let mut send_to = |session: &Arc<Session>| {
            let index = session.dialect.index();
            // Every session uses a registered dialect, so the index is valid.
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
        if let Event::SessionEnded { user, session, .. } = delivery.event {
            // On every node, and after its clients were told.
            self.sessions.end_login(user, session);
        }
    }
}
