//! Tells connections what happened, in the order in which it was committed.
//!
//! Commands finish on many tasks at once, but every member of a conversation must see its events in one order. So
//! whoever finishes a command hands its deliveries in here, and they are held until all before them have been sent,
//! going by their positions in the log. Whoever brings the missing one sends what it was holding up, there and then.
//!
//! A position that is not handed in (another node made the change) is read from the log a moment after a later one was
//! handed in: the log is the truth, handing in only makes it fast. After a change has failed it is looked whether it is
//! in the log all the same: when only the store's answer was lost, nobody hands it in.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use chat_core::error::ErrorKind;
use chat_core::event::{Audience, Delivery, Event};
use chat_core::model::Position;
use chat_core::prelude::Chat;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::dialect::{self, Dialect, Frames, Mark};
use crate::recovery::Recent;
use crate::session::Session;
use crate::sessions::Sessions;

/// How long a missing position is waited for before the log is asked.
const PATIENCE: Duration = Duration::from_millis(20);
/// Most changes read from the log at once.
const MOST_AT_ONCE: usize = 32;
/// Longest time between two attempts to read the log.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends what is announced.
pub(crate) struct Announcer(Arc<Shared>);

struct Shared {
    chat: Arc<Chat>,
    sessions: Arc<Sessions>,
    recent: Arc<Recent>,
    order: Mutex<Order>,
}

struct Order {
    /// The position that is sent next.
    next: u64,
    held: BTreeMap<u64, Delivery>,
    /// Somebody is sending.
    busy: bool,
    /// Somebody is asking the log.
    asking: bool,
    /// The log is known to reach as far as this.
    known: u64,
    /// Changes that have failed and may have been stored, since it was looked last.
    doubtful: usize,
}

impl Order {
    /// The first position behind those that are missing, if any are.
    fn end_of_gap(&self) -> Option<u64> {
        let known = (self.next <= self.known).then_some(self.known + 1);
        self.held.first_key_value().map(|(first, _)| *first).or(known)
    }
}

impl Announcer {
    /// Everything up to `position` was announced before.
    pub(crate) fn new(
        chat: Arc<Chat>,
        sessions: Arc<Sessions>,
        recent: Arc<Recent>,
        position: Position,
    ) -> Self {
        let order = Order {
            next: position.0 + 1,
            held: BTreeMap::new(),
            busy: false,
            asking: false,
            known: position.0,
            doubtful: 0,
        };
        Self(Arc::new(Shared { chat, sessions, recent, order: Mutex::new(order) }))
    }

    /// The last position that was announced, or is being announced: sessions are looked for after it was counted here.
    pub(crate) fn position(&self) -> Position {
        Position(self.0.order.lock().next - 1)
    }

    /// Announces what a command has led to. What is not logged has no order and is sent at once.
    pub(crate) fn announce(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery.position {
                Some(position) => self.0.announce_in_order(position, delivery),
                None => self.0.send(&delivery),
            }
        }
    }

    /// A change has failed, but may have been stored: then it must be announced, also if nothing else ever happens.
    pub(crate) fn doubt(&self) {
        let mut order = self.0.order.lock();
        order.doubtful += 1;
        if order.doubtful == 1 {
            drop(order);
            tokio::spawn(self.0.clone().look_for_doubtful());
        }
    }
}

/// What the clients of one dialect are told of a change, live or later.
///
/// A change that is read from the log comes with its message as it is now. What has been deleted since is not shown any
/// more; that it was deleted follows.
pub(crate) fn frames(dialect: &Dialect, delivery: &Delivery) -> Frames {
    if let Event::MessageSent(view) | Event::MessageRestored(view) = &delivery.event
        && view.message.deleted.is_some()
    {
        return Frames::new();
    }
    (dialect.outbound)(&delivery.event, Mark(delivery.position))
}

impl Shared {
    fn announce_in_order(self: &Arc<Self>, position: Position, delivery: Delivery) {
        let mut order = self.order.lock();
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
            let Some(delivery) = order.held.remove(&next) else { break };
            self.recent.observe(&delivery.event);
            order.next += 1;
            drop(order);
            // Whatever a frame does to us, those behind it must not wait for ever.
            if catch_unwind(AssertUnwindSafe(|| self.send(&delivery))).is_err() {
                tracing::error!(position = next, "announcing a change panicked");
            }
            order = self.order.lock();
        }
        order.busy = false;
        self.ask_if_missing(order);
    }

    fn ask_if_missing(self: &Arc<Self>, mut order: MutexGuard<'_, Order>) {
        if !order.asking && order.end_of_gap().is_some() {
            order.asking = true;
            let missing = order.next;
            drop(order);
            tokio::spawn(self.clone().ask_the_log(missing));
        }
    }

    async fn look_for_doubtful(self: Arc<Self>) {
        let mut pause = PATIENCE;
        let mut doubtful = self.order.lock().doubtful;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.chat.store().last_position().await {
                Ok(last) => {
                    let mut order = self.order.lock();
                    order.known = order.known.max(last.0);
                    // A store may make up its mind only after it has given up answering, so one look is not enough.
                    if pause < LONGEST_PAUSE {
                        self.ask_if_missing(order);
                        continue;
                    }
                    // Those that have failed meanwhile may be stored yet.
                    order.doubtful -= doubtful;
                    doubtful = order.doubtful;
                    self.ask_if_missing(order);
                    if doubtful == 0 {
                        return;
                    }
                    pause = PATIENCE;
                }
                Err(error) => {
                    tracing::warn!(%error, "it cannot be seen whether failed changes were stored");
                }
            }
        }
    }

    async fn ask_the_log(self: Arc<Self>, mut missing: u64) {
        let mut pause = PATIENCE;
        loop {
            tokio::time::sleep(pause).await;
            let gap = {
                let mut order = self.order.lock();
                let Some(end) = order.end_of_gap() else {
                    order.asking = false;
                    return;
                };
                let gap = end.saturating_sub(order.next);
                // Something came meanwhile; the next one that is missing gets its time too.
                if std::mem::replace(&mut missing, order.next) != order.next {
                    pause = PATIENCE;
                    continue;
                }
                gap
            };
            // After a failure one at a time, so that it is known which one cannot be read.
            let most = if pause > PATIENCE { 1 } else { MOST_AT_ONCE };
            let limit = usize::try_from(gap).unwrap_or(most).clamp(1, most);
            match self.chat.changes_after(Position(missing - 1), limit).await {
                Ok(Some(deliveries)) => {
                    pause = PATIENCE;
                    for delivery in deliveries {
                        if let Some(position) = delivery.position {
                            self.announce_in_order(position, delivery);
                        }
                    }
                }
                Ok(None) => {
                    // Nobody who is connected waits for what is so old.
                    tracing::error!(position = missing, "the log was forgotten before it was announced");
                    self.skip(missing);
                }
                Err(error) => {
                    tracing::error!(position = missing, %error, "the log could not be read");
                    if limit == 1 && error.kind() != ErrorKind::Unavailable {
                        // It will never be readable; those behind it must not wait for ever.
                        self.skip(missing);
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn skip(self: &Arc<Self>, position: u64) {
        let mut order = self.order.lock();
        if order.next != position {
            return;
        }
        order.next += 1;
        let next = order.next;
        let Some(delivery) = order.held.remove(&next) else { return };
        drop(order);
        self.announce_in_order(Position(next), delivery);
    }

    fn send(&self, delivery: &Delivery) {
        // Encoded once per dialect, and only for dialects that somebody in the audience speaks.
        let mut encoded: SmallVec<[Option<Frames>; 8]> = SmallVec::from_elem(None, dialect::ALL.len());
        let mut send_to = |session: &Arc<Session>| {
            let Some(slot) = encoded.get_mut(session.dialect.index()) else { return };
            let frames = slot.get_or_insert_with(|| frames(session.dialect, delivery));
            match delivery.position {
                Some(position) => session.announce(position, frames),
                None => session.mention(frames),
            }
        };
        match &delivery.audience {
            Audience::Members(conversation) => {
                for member in &conversation.members {
                    self.sessions.for_user(member.user, &mut send_to);
                }
            }
            Audience::MembersAnd(conversation, other) => {
                for member in &conversation.members {
                    self.sessions.for_user(member.user, &mut send_to);
                }
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
