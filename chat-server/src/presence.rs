//! Who is online, and how the server sends that list (the roster) to clients.
//!
//! The original backends send the whole list to every client at every connect, which is O(n²) in the number of users.
//! This server sends it to a new connection at once, and to all others at most every 100 ms, or less often when the
//! lists would exceed the bandwidth budget. After the last change every client receives the final list. A newer list
//! replaces one that was not sent yet, so lists do not pile up on slow connections.
//!
//! In a deployment with several nodes a user is online while they are connected to any node; see `cluster`.

mod last_seen;
pub(crate) mod leaving;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::User;
use chat_core::prelude::Chat;
use chat_core::presence::{Roster, RosterChange, SessionId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::last_seen::{connected, settle_at_end};
use crate::cluster::{Outbox, RemotePresence};
use crate::dialect::{Dialects, Frame, Frames, PresenceChange, Registered, Roster as Shown, Seen, To};
use crate::session::Session;
use crate::sessions::Sessions;

/// The minimum time between two broadcasts of the list.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The bandwidth budget of these broadcasts, in bytes per second.
const BYTES_PER_SECOND: usize = 50 << 20;
/// The maximum number of contacts that are notified of a user's presence, where the dialect notifies contacts only:
/// those with the most recent direct messages.
const MAX_CONTACTS: usize = 1_000;
/// The maximum time until another node has stored when a user was last seen.
const STORED_ELSEWHERE: Duration = Duration::from_secs(5);

/// The roster, and the task that broadcasts it.
pub struct Presence {
    roster: Arc<Both>,
    changed: Arc<Notify>,
    teller: tokio::task::JoinHandle<()>,
    /// Users who went offline, and when, until that time is stored.
    leaving: Mutex<HashMap<UserId, Timestamp>>,
    /// Users who disconnected from this node while they were connected to another one. Each of the two nodes may have
    /// taken the other for the last one.
    elsewhere: Mutex<HashSet<UserId>>,
    /// Users who disconnected from another node, when, and from when on the store has that time.
    told_of: Mutex<VecDeque<(Instant, UserId, Timestamp)>>,
    outbox: Option<Arc<Outbox>>,
}

/// The users who are connected to this node, and those on other nodes.
#[derive(Default)]
struct Both {
    here: Roster,
    others: RemotePresence,
    /// How many changes were reported to the broadcasting task.
    changes: AtomicU64,
}

impl Both {
    fn is_online(&self, user: UserId) -> bool {
        self.here.is_online(user) || self.others.is_online(user)
    }

    /// All users who are online, ordered by id.
    fn online(&self) -> Vec<UserId> {
        let mut online = self.here.online();
        let others = self.others.online();
        if !others.is_empty() {
            online.extend(others);
            online.sort_unstable();
            online.dedup();
        }
        online
    }
}

impl Presence {
    /// Starts the broadcasting task. Changes are published to other nodes through `outbox`.
    pub(crate) fn start(
        sessions: Arc<Sessions>,
        dialects: Dialects,
        chat: Arc<Chat>,
        outbox: Option<Arc<Outbox>>,
    ) -> Self {
        let (roster, changed) = (Arc::<Both>::default(), sessions.roster_changed());
        let teller = tokio::spawn(tell(roster.clone(), changed.clone(), sessions, dialects, chat));
        Self {
            roster,
            changed,
            teller,
            leaving: Mutex::default(),
            elsewhere: Mutex::default(),
            told_of: Mutex::default(),
            outbox,
        }
    }

    /// Whether a user is online on any node.
    pub fn is_online(&self, user: UserId) -> bool {
        self.roster.is_online(user)
    }

    /// Returns the same function for one viewer: users who are cut off from the viewer appear to be offline.
    pub(crate) async fn seen_by(&self, chat: &Chat, user: UserId) -> impl Fn(&User) -> Seen + Sync {
        let (seen, cut_off) = (self.seen(), cut_off(chat, user).await);
        move |user| if cut_off.contains(&user.id) { Seen::NOWHERE } else { seen(user) }
    }

    /// Returns a function that tells whether a user is online, and when they were last seen.
    pub(crate) fn seen(&self) -> impl Fn(&User) -> Seen + Sync {
        |user| Seen { online: self.is_online(user.id), last_seen: self.left_at(user.id).max(user.last_seen) }
    }

    /// Whether a user is connected to this node.
    pub(crate) fn is_here(&self, user: UserId) -> bool {
        self.roster.here.is_online(user)
    }

    /// The users who are connected to other nodes.
    pub(crate) fn others(&self) -> &RemotePresence {
        &self.roster.others
    }

    /// Records a new connection.
    pub(crate) fn connect(&self, session: &Session) {
        let change = self.roster.here.connect(session.user, session.id);
        if session.dialect.roster() == Shown::Whole {
            let changes = self.roster.changes.load(Ordering::SeqCst);
            let online = without(self.roster.online(), &session.cut_off());
            if let Some(list) = session.dialect.online(&online) {
                session.deliver_latest(&list);
            }
            if self.roster.changes.load(Ordering::SeqCst) != changes {
                // The task may have sent a newer list to this session before this older one. Another broadcast corrects
                // that.
                self.changed.notify_one();
            }
        }
        if change == RosterChange::CameOnline {
            self.elsewhere.lock().remove(&session.user);
        }
        self.note(session.user, change);
    }

    /// When an offline user was last online, if that is not stored yet.
    pub fn left_at(&self, user: UserId) -> Option<Timestamp> {
        self.leaving.lock().get(&user).copied()
    }

    /// Records the end of a connection. Returns true if it was the user's last connection; then [`Self::left_at`] has a
    /// value until [`Self::stored`] is called.
    pub(crate) fn disconnect(&self, user: UserId, session: SessionId, now: Timestamp) -> bool {
        let mut leaving = self.leaving.lock();
        let change = self.roster.here.disconnect(user, session);
        let mut went = change == RosterChange::WentOffline;
        if went && self.roster.others.is_online(user) {
            self.elsewhere.lock().insert(user);
            went = false;
        }
        if went {
            leaving.insert(user, now);
        }
        drop(leaving);
        self.note(user, change);
        went
    }

    /// Called when a user came online on another node.
    pub(crate) fn others_came(&self) {
        self.has_changed();
    }

    /// Called when these users are no longer connected to any other node. The node they were connected to stores when
    /// they were last seen. If that node has died, `is_mine` says whether this node must do it. Returns the users for
    /// whom this node must store `now` as the time.
    #[must_use]
    pub(crate) fn others_went(&self, went: &[UserId], is_mine: bool, now: Timestamp) -> Vec<UserId> {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        {
            let (mut leaving, mut elsewhere) = (self.leaving.lock(), self.elsewhere.lock());
            for user in went.iter().copied().filter(|user| !self.is_here(*user)) {
                leaving.insert(user, now);
                if elsewhere.remove(&user) || is_mine { &mut mine } else { &mut theirs }.push(user);
            }
        }
        if mine.is_empty() && theirs.is_empty() {
            return mine;
        }
        self.has_changed();
        let stored_at = Instant::now() + STORED_ELSEWHERE;
        self.told_of.lock().extend(theirs.into_iter().map(|user| (stored_at, user, now)));
        mine
    }

    /// Evicts the cached profiles of users for whom another node must have stored the last-seen time by now.
    pub(crate) fn settle(&self, chat: &Chat) {
        let mut told_of = self.told_of.lock();
        while told_of.front().is_some_and(|(stored_at, ..)| *stored_at <= Instant::now()) {
            let Some((_, user, at)) = told_of.pop_front() else { return };
            chat.forget_user(user);
            self.stored(user, at);
        }
    }

    /// Called when the time that [`Self::left_at`] returns is stored.
    pub(crate) fn stored(&self, user: UserId, at: Timestamp) {
        let mut leaving = self.leaving.lock();
        if leaving.get(&user) == Some(&at) {
            leaving.remove(&user);
        }
    }

    fn has_changed(&self) {
        self.roster.changes.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn note(&self, user: UserId, change: RosterChange) {
        if change == RosterChange::Unchanged {
            return;
        }
        if let Some(outbox) = &self.outbox {
            outbox.moved(user);
        }
        self.has_changed();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

async fn tell(
    roster: Arc<Both>,
    changed: Arc<Notify>,
    sessions: Arc<Sessions>,
    dialects: Dialects,
    chat: Arc<Chat>,
) {
    // The users who were online at the last broadcast, for dialects that receive single changes.
    let mut told = HashSet::new();
    let tells_changes =
        dialects.served().any(|dialect| matches!(dialect.roster(), Shown::Changes | Shown::Contacts));
    loop {
        changed.notified().await;
        // A short delay batches simultaneous changes.
        tokio::time::sleep(SHORTEST_PAUSE / 10).await;
        look_up_cut_off(&roster, &sessions, &chat).await;
        let mut changes = Vec::new();
        if tells_changes {
            let online: HashSet<_> = roster.online().into_iter().collect();
            changes = changes_between(&told, &online, chat.now());
            told = online;
        }
        let mut bytes = 0;
        for dialect in dialects.served() {
            bytes += match dialect.roster() {
                Shown::Untold => 0,
                Shown::Whole => tell_whole(dialect, &roster, &sessions),
                Shown::Changes => tell_changes(dialect, &changes, &sessions),
                Shown::Contacts => tell_contacts(dialect, &changes, &sessions, &chat).await,
            };
        }
        let needed = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64);
        tokio::time::sleep(needed.max(SHORTEST_PAUSE)).await;
    }
}

/// The users of whom this user receives nothing. If the store fails, the result is empty, and the look-up is repeated
/// before the next broadcast of the roster.
pub(crate) async fn cut_off(chat: &Chat, user: UserId) -> Arc<HashSet<UserId>> {
    match chat.cut_off(user).await {
        Ok(cut_off) => cut_off,
        Err(error) => {
            chat_core::log_throttled!(warn, %error, "it could not be read who blocks whom");
            Arc::default()
        }
    }
}

/// Triggers another look-up of the users who are cut off from the session's user, if they have changed before the
/// session was in the registry.
pub(crate) fn look_again(sessions: &Sessions, chat: &Chat, session: &Session) {
    if !chat.is_cut_off_known(session.user, &session.cut_off()) {
        sessions.relation_changed(session.user);
    }
}

/// Removes the users who are cut off.
fn without(mut people: Vec<UserId>, cut_off: &HashSet<UserId>) -> Vec<UserId> {
    if !cut_off.is_empty() {
        people.retain(|user| !cut_off.contains(user));
    }
    people
}

/// Updates the cut-off users of every user for whom they have changed. For the user's clients, newly cut-off users become
/// offline, and the others get their real status again.
async fn look_up_cut_off(roster: &Both, sessions: &Sessions, chat: &Chat) {
    for user in sessions.changed_relations() {
        let cut_off = match chat.cut_off(user).await {
            Ok(cut_off) => cut_off,
            Err(error) => {
                chat_core::log_throttled!(warn, %error, "it could not be read who blocks whom");
                sessions.relation_changed(user);
                continue;
            }
        };
        // If the contacts cannot be read, pages that show only contacts are not updated.
        let contacts = chat.store().chat_partners(user, MAX_CONTACTS).await.unwrap_or_default();
        sessions.for_user(user, &mut |session| {
            let before = session.set_cut_off(cut_off.clone());
            let is_shown = |other: &&UserId| match session.dialect.roster() {
                Shown::Changes => true,
                Shown::Contacts => contacts.contains(other),
                Shown::Untold | Shown::Whole => false,
            };
            let changed = before.symmetric_difference(&cut_off).filter(|other| roster.is_online(**other));
            let changed = changed.filter(is_shown);
            let change = |other: &UserId| PresenceChange {
                user: *other,
                online: before.contains(other),
                at: chat.now(),
            };
            let frames = changed.filter_map(|other| session.dialect.presence(&change(other)));
            session.ephemeral(&frames.map(|frame| (To::All, frame)).collect());
        });
    }
}

/// The users who came online or went offline, ordered by id.
fn changes_between(before: &HashSet<UserId>, after: &HashSet<UserId>, at: Timestamp) -> Vec<PresenceChange> {
    let mut changed: Vec<_> = before.symmetric_difference(after).copied().collect();
    changed.sort_unstable();
    let change = |user| PresenceChange { user, online: after.contains(&user), at };
    changed.into_iter().map(change).collect()
}

fn tell_whole(dialect: &Registered, roster: &Both, sessions: &Sessions) -> usize {
    if sessions.count(dialect) == 0 {
        return 0;
    }
    let online = roster.online();
    let Some(frame) = dialect.online(&online) else { return 0 };
    let mut bytes = 0;
    sessions.for_all(&mut |session| {
        if session.dialect != *dialect {
            return;
        }
        let cut_off = session.cut_off();
        let own = match cut_off.is_empty() {
            true => None,
            false => dialect.online(&without(online.clone(), &cut_off)),
        };
        let frame = own.as_ref().unwrap_or(&frame);
        session.deliver_latest(frame);
        bytes += frame.packet().len();
    });
    bytes
}

/// Sends each change to every client except those of the user it is about. Like all ephemeral events, it is not in the
/// log, so a client that lags misses it.
fn tell_changes(dialect: &Registered, changes: &[PresenceChange], sessions: &Sessions) -> usize {
    if changes.is_empty() || sessions.count(dialect) == 0 {
        return 0;
    }
    let frames = changes.iter().filter_map(|change| Some((change.user, dialect.presence(change)?)));
    let told: Vec<_> = frames.collect();
    let to = |(user, frame): &(UserId, Frame)| (To::Except(*user), frame.clone());
    let frames: Frames = told.iter().map(to).collect();
    let size: usize = frames.iter().map(|(_, frame)| frame.packet().len()).sum();
    let mut bytes = 0;
    sessions.for_all(&mut |session| {
        if session.dialect != *dialect {
            return;
        }
        let cut_off = session.cut_off();
        match cut_off.is_empty() {
            true => session.ephemeral(&frames),
            false => {
                let theirs = told.iter().filter(|(user, _)| !cut_off.contains(user)).map(to);
                session.ephemeral(&theirs.collect());
            }
        }
        bytes += size;
    });
    bytes
}

/// Sends each change to the users who have a direct conversation with this user.
async fn tell_contacts(
    dialect: &Registered,
    changes: &[PresenceChange],
    sessions: &Sessions,
    chat: &Chat,
) -> usize {
    let mut bytes = 0;
    for change in changes {
        if sessions.count(dialect) == 0 {
            return bytes;
        }
        let Some(frame) = dialect.presence(change) else { continue };
        let contacts = match chat.store().chat_partners(change.user, MAX_CONTACTS).await {
            Ok(contacts) => contacts,
            Err(error) => {
                chat_core::log_throttled!(warn, %error, "it could not be read who is to be told of somebody's coming");
                continue;
            }
        };
        let size = frame.packet().len();
        let frames: Frames = smallvec::smallvec![(To::Except(change.user), frame)];
        for contact in contacts {
            sessions.for_user(contact, &mut |session| {
                if session.dialect == *dialect && !session.cut_off().contains(&change.user) {
                    session.ephemeral(&frames);
                    bytes += size;
                }
            });
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_in_order() {
        let people = |ids: &[u8]| ids.iter().map(|id| UserId::from_bytes([*id; 12])).collect::<HashSet<_>>();
        let now = Timestamp::from_millis(1);
        let changes = changes_between(&people(&[1, 2, 3]), &people(&[2, 4, 5]), now);
        let told: Vec<_> = changes.iter().map(|change| (change.user.as_bytes()[0], change.online)).collect();
        assert_eq!(told, [(1, false), (3, false), (4, true), (5, true)]);
        assert!(changes_between(&people(&[1]), &people(&[1]), now).is_empty());
    }
}
