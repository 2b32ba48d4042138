//! The registry of all connections of this node, by account. Events are delivered from here to each connection, and not
//! through socketioxide's rooms: a broadcast to a room does not report *whose* queue was full, but a change that is
//! lost for one connection must be noticed (see `Session::announce`).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::id::{LoginSessionId, UserId};
use chat_core::model::Members;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::auth::token::Fingerprint;
use crate::dialect::Registered;
use crate::session::Session;

type OfOne = SmallVec<[Arc<Session>; 1]>;

/// Hashed without a random key, so that the order of deliveries is the same in every run of the simulation. The server
/// generates the ids, so no client can choose ids that collide.
type ByUser<T = OfOne> = HashMap<UserId, T, BuildHasherDefault<DefaultHasher>>;

/// The registry of connections.
#[derive(Default)]
pub struct Sessions(RwLock<ByUser>, Relations);

/// Of whom it is not known any more who is cut off from them, and who looks that up.
#[derive(Default)]
struct Relations {
    changed: Mutex<HashSet<UserId>>,
    notify: Arc<Notify>,
}

impl Sessions {
    pub(crate) fn add(&self, session: Arc<Session>) {
        self.0.write().entry(session.user).or_default().push(session);
    }

    pub(crate) fn remove(&self, session: &Session) {
        let mut sessions = self.0.write();
        let Some(of_one) = sessions.get_mut(&session.user) else { return };
        of_one.retain(|known| known.id != session.id);
        if of_one.is_empty() {
            sessions.remove(&session.user);
        }
    }

    /// Calls `each` for every connection of an account.
    pub(crate) fn for_user(&self, user: UserId, each: &mut dyn FnMut(&Arc<Session>)) {
        if let Some(of_one) = self.0.read().get(&user) {
            of_one.iter().for_each(each);
        }
    }

    /// Calls `each` for every connection of these members only.
    pub(crate) fn for_members(&self, members: &Members, each: &mut dyn FnMut(&Arc<Session>)) {
        among(&self.0.read(), members).flatten().for_each(each);
    }

    /// Calls `each` for every connection.
    pub(crate) fn for_all(&self, each: &mut dyn FnMut(&Arc<Session>)) {
        self.0.read().values().flatten().for_each(each);
    }

    /// Records that the relations of a user have changed. The users who are cut off from them must be looked up again.
    pub(crate) fn relation_changed(&self, user: UserId) {
        if self.count_of(user) > 0 {
            self.1.changed.lock().insert(user);
            self.1.notify.notify_one();
        }
    }

    /// Those of whom that has changed since it was asked last.
    pub(crate) fn changed_relations(&self) -> HashSet<UserId> {
        std::mem::take(&mut *self.1.changed.lock())
    }

    /// What wakes the task that tells who is there, which also looks up [those](Self::changed_relations).
    pub(crate) fn roster_changed(&self) -> Arc<Notify> {
        self.1.notify.clone()
    }

    /// The number of connections of an account.
    pub(crate) fn count_of(&self, user: UserId) -> usize {
        self.0.read().get(&user).map_or(0, SmallVec::len)
    }

    /// The least needed connection of the session's account, except the session itself.
    pub(crate) fn least_needed(&self, session: &Session, now: Timestamp) -> Option<Arc<Session>> {
        let sessions = self.0.read();
        let others = sessions.get(&session.user)?.iter().filter(|other| other.id != session.id);
        others.min_by_key(|other| (other.need(now), other.id)).cloned()
    }

    /// Approximate number of bytes that wait for an account, over all its connections.
    pub fn unsent_to(&self, user: UserId) -> usize {
        self.0.read().get(&user).map_or(0, |of_one| of_one.iter().map(|session| session.unsent()).sum())
    }

    /// The number of connections with this dialect.
    pub(crate) fn count(&self, dialect: &Registered) -> usize {
        let mut count = 0;
        self.for_all(&mut |session| count += usize::from(session.dialect == *dialect));
        count
    }

    /// The number of all connections.
    pub fn len(&self) -> usize {
        self.0.read().values().map(SmallVec::len).sum()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Closes the connections that were opened with a token.
    pub(crate) fn close_opened_with(&self, token: &Fingerprint) {
        self.close_opened_with_any(&HashSet::from([*token]));
    }

    /// Closes the connections of a login session.
    pub(crate) fn end_login(&self, user: UserId, login: LoginSessionId) {
        let mut of_login = Vec::new();
        self.for_user(user, &mut |session| {
            if session.login == Some(login) && session.is_connected() {
                of_login.push(session.clone());
            }
        });
        for session in of_login {
            session.disconnect();
        }
    }

    /// Closes the connections that were opened with one of these tokens, or with a token of one of these login sessions.
    pub(crate) fn close_opened_with_any(&self, tokens: &HashSet<Fingerprint>) {
        if tokens.is_empty() {
            return;
        }
        let mut opened_with = Vec::new();
        self.for_all(&mut |session| {
            if session.revocations().iter().any(|token| tokens.contains(token)) {
                opened_with.push(session.clone());
            }
        });
        for session in opened_with {
            session.disconnect();
        }
    }
}

/// The values of those users who are members. Iterates over the smaller of the two sides: a message in a room of ten
/// thousand members, ten of whom are connected, costs as much as one in a room of ten.
fn among<'a, T>(people: &'a ByUser<T>, members: &'a Members) -> Box<dyn Iterator<Item = &'a T> + 'a> {
    if people.len() < members.len() {
        let theirs = people.iter().filter(|(user, _)| members.get(**user).is_some());
        return Box::new(theirs.map(|(_, known)| known));
    }
    Box::new(members.iter().filter_map(|member| people.get(&member.user)))
}

#[cfg(test)]
mod tests {
    use chat_core::model::{Member, Role};

    use super::*;

    #[test]
    fn the_smaller_side_is_walked_over() {
        let user = |n: u32| {
            let mut id = [0; 12];
            id[8..].copy_from_slice(&n.to_be_bytes());
            UserId::from_bytes(id)
        };
        let member = |n| Member { user: user(n), role: Role::Member, joined_at: Timestamp::from_millis(1) };
        // Every third user is connected, and the first ones are members.
        for (connected, count, looked_at) in
            [(10, 10_000, 10), (10_000, 10, 10), (7, 7, 7), (0, 5, 0), (5, 0, 0)]
        {
            let people: ByUser<u32> = (0..connected).map(|n| (user(3 * n), 3 * n)).collect();
            let members: Members = (0..count).map(member).collect();
            let found = among(&people, &members);
            assert_eq!(found.size_hint().1, Some(looked_at), "{connected} are here, {count} are members");
            let mut found: Vec<_> = found.copied().collect();
            found.sort_unstable();
            let expected: Vec<_> = (0..connected).map(|n| 3 * n).filter(|n| *n < count).collect();
            assert_eq!(found, expected, "{connected} are here, {count} are members");
        }
    }
}
