//! Who is online, and the roster that pages show of it.
//!
//! The original backends send the whole list to everybody at every connect: n² in the number of people. Here the
//! newcomer is sent it at once and everybody else at most every 100 ms, and less often when so many are online that the
//! lists would fill the network; after the last change everybody always gets the final list. A list takes the place of
//! one that has not been sent yet, so slow connections do not pile them up.
//!
//! Among several nodes somebody is online while they are connected to any of them; see `cluster`.

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

/// Shortest time between two lists to everybody.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Lists to everybody take at most so many bytes a second.
const BYTES_PER_SECOND: usize = 50 << 20;
/// Most people who are told of somebody's coming and going, where not everybody is: those they have talked with last.
const MAX_CONTACTS: usize = 1_000;
/// How long it takes at most until another node has stored when somebody was last seen.
const STORED_ELSEWHERE: Duration = Duration::from_secs(5);

/// The roster, and the task that tells of it.
pub struct Presence {
    roster: Arc<Both>,
    changed: Arc<Notify>,
    teller: tokio::task::JoinHandle<()>,
    /// Who went offline when, until that is stored.
    leaving: Mutex<HashMap<UserId, Timestamp>>,
    /// Who has left this node while they were connected to another one: perhaps both nodes believed the other one to
    /// be the last.
    elsewhere: Mutex<HashSet<UserId>>,
    /// Who has left another node when, and from when on that can be found in the store.
    told_of: Mutex<VecDeque<(Instant, UserId, Timestamp)>>,
    outbox: Option<Arc<Outbox>>,
}

/// Who is connected here and elsewhere.
#[derive(Default)]
struct Both {
    here: Roster,
    others: RemotePresence,
    /// How many changes have been told to the task that tells everybody.
    changes: AtomicU64,
}

impl Both {
    fn is_online(&self, user: UserId) -> bool {
        self.here.is_online(user) || self.others.is_online(user)
    }

    /// Everybody, in the order of ids.
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
    /// Starts the task. Other nodes are told by `outbox`.
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

    /// Whether somebody is online, on whichever node.
    pub fn is_online(&self, user: UserId) -> bool {
        self.roster.is_online(user)
    }

    /// Whether people are there, and when they were, as it is shown to somebody.
    pub(crate) async fn seen_by(&self, chat: &Chat, user: UserId) -> impl Fn(&User) -> Seen + Sync {
        let (seen, cut_off) = (self.seen(), cut_off(chat, user).await);
        move |user| if cut_off.contains(&user.id) { Seen::NOWHERE } else { seen(user) }
    }

    /// Whether people are there, and when they were.
    pub(crate) fn seen(&self) -> impl Fn(&User) -> Seen + Sync {
        |user| Seen { online: self.is_online(user.id), last_seen: self.left_at(user.id).max(user.last_seen) }
    }

    /// Whether somebody is connected to this node.
    pub(crate) fn is_here(&self, user: UserId) -> bool {
        self.roster.here.is_online(user)
    }

    /// Those who are connected to other nodes.
    pub(crate) fn others(&self) -> &RemotePresence {
        &self.roster.others
    }

    /// A connection has begun.
    pub(crate) fn connect(&self, session: &Session) {
        let change = self.roster.here.connect(session.user, session.id);
        if session.dialect.roster() == Shown::Whole {
            let changes = self.roster.changes.load(Ordering::SeqCst);
            let online = without(self.roster.online(), &session.cut_off());
            if let Some(list) = session.dialect.online(&online) {
                session.deliver_latest(&list);
            }
            if self.roster.changes.load(Ordering::SeqCst) != changes {
                // The task may have sent this session a newer list before, which must not stay behind an older one.
                self.changed.notify_one();
            }
        }
        if change == RosterChange::CameOnline {
            self.elsewhere.lock().remove(&session.user);
        }
        self.note(session.user, change);
    }

    /// When somebody who is offline was last online, as far as it is not stored yet.
    pub fn left_at(&self, user: UserId) -> Option<Timestamp> {
        self.leaving.lock().get(&user).copied()
    }

    /// A connection has ended. If it was the person's last one, returns true, and [`Self::left_at`] answers until
    /// [`Self::stored`].
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

    /// Somebody came online on another node.
    pub(crate) fn others_came(&self) {
        self.has_changed();
    }

    /// These people are connected to none of the other nodes any more. The node they were connected to notes when they
    /// were last seen, unless it has died; then `is_mine` says whether it is this one's business. Answers for whom this node
    /// has to store that, and that it was at this moment.
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

    /// Looks up again, when it is needed, those of whom another node must have stored by now when they were last seen.
    pub(crate) fn settle(&self, chat: &Chat) {
        let mut told_of = self.told_of.lock();
        while told_of.front().is_some_and(|(stored_at, ..)| *stored_at <= Instant::now()) {
            let Some((_, user, at)) = told_of.pop_front() else { return };
            chat.forget_user(user);
            self.stored(user, at);
        }
    }

    /// What [`Self::left_at`] says is stored now.
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
    // Who was online when that was told last, for families that are told single changes.
    let mut told = HashSet::new();
    let tells_changes =
        dialects.served().any(|dialect| matches!(dialect.roster(), Shown::Changes | Shown::Contacts));
    loop {
        changed.notified().await;
        // Those who come together are told of together.
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

/// Those of whom a person is told nothing. A store that fails is asked again when it is told who is there.
pub(crate) async fn cut_off(chat: &Chat, user: UserId) -> Arc<HashSet<UserId>> {
    match chat.cut_off(user).await {
        Ok(cut_off) => cut_off,
        Err(error) => {
            chat_core::log_throttled!(warn, %error, "it could not be read who blocks whom");
            Arc::default()
        }
    }
}

/// Has it looked up again who is cut off from the person of a session, if that has changed before the session could be found.
pub(crate) fn look_again(sessions: &Sessions, chat: &Chat, session: &Session) {
    if !chat.is_cut_off_known(session.user, &session.cut_off()) {
        sessions.relation_changed(session.user);
    }
}

/// These people, but for some.
fn without(mut people: Vec<UserId>, cut_off: &HashSet<UserId>) -> Vec<UserId> {
    if !cut_off.is_empty() {
        people.retain(|user| !cut_off.contains(user));
    }
    people
}

/// Looks up who is cut off from those of whom that has changed. Those whom they see no longer are offline to them from now on, and
/// those whom they see again are what they are.
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
        // When it cannot be read, pages that show only contacts keep what they show.
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

/// Who has come and who has gone, in the order of ids.
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

/// Tells each change to everybody but the one it is about. Like all that is in no log, who lags does not learn it.
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

/// Tells each change to those with whom the person has talked directly.
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
