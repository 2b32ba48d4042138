//! What a page knows, and the rules that everything it is told must keep.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::id::UserId;

use crate::plan::Family;
use crate::store::{Disk, Entry, Kind, Said};

/// What one page knows.
#[derive(Default)]
pub(crate) struct View {
    /// Its socket is connected.
    pub(crate) connected: bool,
    /// It has all it shows; before that, what it is told waits.
    pub(crate) loaded: bool,
    /// What was committed when its session began afresh.
    floor: u64,
    /// The last position that it was told in this session.
    last: u64,
    /// All of them.
    told: BTreeSet<u64>,
    waiting: Vec<(Kind, Said)>,
    /// The messages it shows, by their tokens.
    shown: BTreeMap<String, Said>,
    /// Who is online.
    pub(crate) online: Option<BTreeSet<String>>,
    /// The histories that it has read at the very end, in order.
    pub(crate) final_histories: Option<Vec<Vec<String>>>,
}

/// An event as it came.
pub(crate) struct Told<'a> {
    /// Its name.
    pub(crate) event: &'a str,
    /// Its position.
    pub(crate) position: u64,
    /// The message's id, where events have it.
    pub(crate) id: Option<&'a str>,
    /// The message's token, where events have its text.
    pub(crate) token: Option<&'a str>,
}

impl View {
    /// The page begins afresh: it forgets what it knows, and will load it anew.
    pub(crate) fn begin(&mut self, disk: &Disk) {
        *self = Self { connected: self.connected, floor: disk.last(), ..Self::default() };
    }

    /// Takes a logged event in.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn tell(&mut self, disk: &Disk, me: UserId, told: &Told<'_>) -> Result<(), String> {
        let Told { event, position, .. } = *told;
        let Some(entry) = disk.at(position) else {
            return Err(format!("was told of {position} ({event}), and the last change is {}", disk.last()));
        };
        if position <= self.last {
            return Err(format!("was told of {position} ({event}) after {}", self.last));
        }
        if !disk.may_be_told(me, position) {
            return Err(format!("was told of {position} ({event}), which is none of its business"));
        }
        let mine = entry.message.as_ref().is_some_and(|said| said.sender == me);
        let in_room = entry.message.as_ref().is_some_and(|said| said.recipient.is_none());
        let fits = match event {
            "privateMessage" => entry.kind == Kind::Sent,
            "newMessage" => entry.kind == Kind::Sent && !mine,
            // Messages in rooms are told in native's words.
            "messageSent" => entry.kind == Kind::Sent && (mine || in_room),
            "messageDeleted" => entry.kind == Kind::Deleted,
            "messageRestored" => entry.kind == Kind::Restored,
            "userUpdated" => entry.kind == Kind::Profile,
            "messagesRead" => entry.kind == Kind::Read,
            "roomCreated" | "memberAdded" | "memberRemoved" | "roleChanged" => entry.kind == Kind::Room,
            _ => false,
        };
        let said = entry.message.as_ref();
        let is_it = said.is_none_or(|said| {
            told.id.is_none_or(|id| id == said.id.to_string())
                && told.token.is_none_or(|token| token == said.token)
        });
        if !fits || !is_it {
            return Err(format!("was told of {position} as {event} {:?}, and it is {entry:?}", told.token));
        }
        self.last = position;
        self.told.insert(position);
        if let Some(said) = entry.message {
            match self.loaded {
                true => self.apply(entry.kind, said),
                false => self.waiting.push((entry.kind, said)),
            }
        }
        Ok(())
    }

    fn apply(&mut self, kind: Kind, said: Said) {
        match kind {
            Kind::Sent | Kind::Restored => drop(self.shown.insert(said.token.clone(), said)),
            Kind::Deleted => drop(self.shown.remove(&said.token)),
            Kind::Profile | Kind::Read | Kind::Room | Kind::Silent => {}
        }
    }

    /// All histories have come.
    pub(crate) fn load(&mut self, messages: Vec<Said>) {
        self.shown = messages.into_iter().map(|said| (said.token.clone(), said)).collect();
        self.loaded = true;
        for (kind, said) in std::mem::take(&mut self.waiting) {
            self.apply(kind, said);
        }
    }

    /// The messages of somebody that the page shows, the newest last.
    pub(crate) fn of_sender(&self, sender: UserId) -> Vec<Said> {
        let is_theirs = |said: &&Said| said.sender == sender && said.recipient.is_some();
        self.shown.values().filter(is_theirs).cloned().collect()
    }

    /// All messages that the page shows.
    pub(crate) fn shown(&self) -> Vec<Said> {
        self.shown.values().cloned().collect()
    }

    /// Whether the page has been told everything and shows what it must.
    ///
    /// # Errors
    /// What it lacks, or has too much.
    pub(crate) fn complete(&self, log: &[Entry], me: UserId, family: Family) -> Result<(), String> {
        if !self.connected {
            return Err("is not connected".into());
        }
        if !self.loaded {
            return Err("has not loaded its histories".into());
        }
        let mut expected = BTreeMap::new();
        for (entry, position) in log.iter().zip(1..) {
            if !entry.concerns(me) || !entry.is_shown_in(family) {
                continue;
            }
            // Who is not in the room when the log is read is not told of it.
            if log[position as usize - 1..].iter().any(|later| later.is_left_by(me, entry)) {
                continue;
            }
            if position <= self.floor || self.told.contains(&position) {
                continue;
            }
            // A message that was deleted meanwhile is not shown to those who come later.
            let deletes_it = |later: &Entry| later.kind == Kind::Deleted && later.id() == entry.id();
            let may_be_left_out = matches!(entry.kind, Kind::Sent | Kind::Restored);
            // Of many changes of a profile the last shows all.
            let later = &log[position as usize..];
            if later.iter().any(|later| later.takes_the_place_of(entry)) {
                continue;
            }
            if !(may_be_left_out && later.iter().any(deletes_it)) {
                return Err(format!("was never told of {position}, {entry:?}"));
            }
        }
        for entry in log.iter().filter(|entry| entry.concerns(me)) {
            let Some(said) = entry.message.as_ref().filter(|said| said.recipient.is_some()) else { continue };
            match (entry.kind, family) {
                (Kind::Sent, _) | (Kind::Restored, Family::Push) => drop(expected.insert(&said.token, said)),
                (Kind::Deleted, _) => drop(expected.remove(&said.token)),
                // `camel` has no word for it: who came while it was deleted sees it when the page is loaded again.
                (Kind::Restored, Family::Camel)
                | (Kind::Profile | Kind::Read | Kind::Room | Kind::Silent, _) => {}
            }
        }
        if let Some(token) = expected.keys().find(|token| !self.shown.contains_key(**token)) {
            return Err(format!("does not show {token}"));
        }
        // What is said in rooms is told and not looked at again.
        let is_too_much =
            |(token, said): &(&String, &Said)| said.recipient.is_some() && !expected.contains_key(token);
        // Pages of `camel` are never told of deletions.
        if family == Family::Push
            && let Some((token, _)) = self.shown.iter().find(is_too_much)
        {
            return Err(format!("still shows {token}"));
        }
        Ok(())
    }
}

impl Entry {
    /// Whether somebody is told of it.
    pub(crate) fn concerns(&self, user: UserId) -> bool {
        self.audience.as_ref().is_none_or(|audience| audience.contains(&user))
    }

    /// Whether both are about one profile.
    pub(crate) fn takes_the_place_of(&self, earlier: &Entry) -> bool {
        self.profile.is_some() && self.profile == earlier.profile
    }

    /// Whether somebody has left the conversation of an earlier change by it.
    fn is_left_by(&self, user: UserId, earlier: &Entry) -> bool {
        self.left == Some(user) && self.room == earlier.room
    }

    fn id(&self) -> Option<chat_core::id::MessageId> {
        self.message.as_ref().map(|said| said.id)
    }

    /// Whether pages of a family have an event for it. What happens in rooms is told in native's words, but
    /// `push` has none for messages there.
    fn is_shown_in(&self, family: Family) -> bool {
        let direct = self.message.as_ref().is_some_and(|said| said.recipient.is_some());
        match self.kind {
            Kind::Sent => direct || family == Family::Camel,
            Kind::Room => true,
            Kind::Restored => direct && family == Family::Push,
            // Deletions are told in rooms too.
            Kind::Deleted | Kind::Profile => family == Family::Push,
            Kind::Read => true,
            Kind::Silent => false,
        }
    }
}
