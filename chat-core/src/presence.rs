//! Presence: a user is online while at least one of the user's connections is open, on any device.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

use crate::id::UserId;

/// Identifies one connection of one device. Only its owner may see it. It is never the transport's own session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The connections of one node, in memory.
#[derive(Debug, Default)]
pub struct Roster(Mutex<HashMap<UserId, Vec<SessionId>>>);

/// How a connection changed a user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RosterChange {
    /// This is the user's first connection: the user came online.
    CameOnline,
    /// The user's last connection ended: the user went offline.
    WentOffline,
    /// The user had or still has other connections, or the call repeated an earlier one.
    Unchanged,
}

impl Roster {
    /// Adds a connection. Adding it twice changes nothing.
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

    /// Removes a connection. Removing it twice changes nothing.
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

    /// Whether the user has a connection.
    pub fn is_online(&self, user: UserId) -> bool {
        self.0.lock().contains_key(&user)
    }

    /// All users who are online, sorted by id.
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
