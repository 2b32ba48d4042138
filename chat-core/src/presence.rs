//! Who is connected: a person is online while any of their connections lives, on any device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

use crate::id::UserId;

/// Names one connection of one device. Public to its owner alone; never the transport's own session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The roster of one node, in memory.
#[derive(Debug, Default)]
pub struct Roster(Mutex<HashMap<UserId, Vec<SessionId>>>);

/// What a connection changed in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterChange {
    /// The person's first connection: they came online.
    CameOnline,
    /// The person's last connection ended: they went offline.
    WentOffline,
    /// The person had or still has other connections, or the connection was (not) known already.
    Unchanged,
}

impl Roster {
    /// A connection has begun. Beginning twice changes nothing.
    pub fn connect(&self, user: UserId, session: SessionId) -> RosterChange {
        match self.0.lock().entry(user) {
            Entry::Vacant(entry) => {
                entry.insert(vec![session]);
                RosterChange::CameOnline
            }
            Entry::Occupied(mut entry) => {
                if !entry.get().contains(&session) {
                    entry.get_mut().push(session);
                }
                RosterChange::Unchanged
            }
        }
    }

    /// A connection has ended. Ending twice changes nothing.
    pub fn disconnect(&self, user: UserId, session: SessionId) -> RosterChange {
        let mut roster = self.0.lock();
        let Entry::Occupied(mut entry) = roster.entry(user) else { return RosterChange::Unchanged };
        entry.get_mut().retain(|known| *known != session);
        if !entry.get().is_empty() {
            return RosterChange::Unchanged;
        }
        entry.remove();
        RosterChange::WentOffline
    }

    /// Whether the person has a connection.
    pub fn is_online(&self, user: UserId) -> bool {
        self.0.lock().contains_key(&user)
    }

    /// Everybody who is online, in the order of ids.
    pub fn online(&self) -> Vec<UserId> {
        let mut users: Vec<_> = self.0.lock().keys().copied().collect();
        users.sort_unstable();
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_one_of_two_tabs_leaves_the_person_online() {
        let (roster, ann) = (Roster::default(), UserId::from_bytes([1; 12]));
        assert_eq!(roster.connect(ann, SessionId(1)), RosterChange::CameOnline);
        assert_eq!(roster.connect(ann, SessionId(2)), RosterChange::Unchanged);
        assert_eq!(roster.connect(ann, SessionId(2)), RosterChange::Unchanged);
        assert_eq!(roster.disconnect(ann, SessionId(1)), RosterChange::Unchanged);
        assert!(roster.is_online(ann));
        assert_eq!(roster.disconnect(ann, SessionId(2)), RosterChange::WentOffline);
        assert_eq!(roster.disconnect(ann, SessionId(2)), RosterChange::Unchanged);
        assert_eq!(roster.online(), vec![]);
    }
}
