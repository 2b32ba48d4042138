//! Every connection of this node, by person. Deliveries are made from here, connection by connection, and not through
//! socketioxide's rooms: a broadcast to a room does not tell *whose* queue was full, and a change that is lost for one
//! connection must be noticed (see `Session::announce`).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use chat_core::model::Members;
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::auth::token::Fingerprint;
use crate::dialect::Registered;
use crate::session::Session;

type OfOne = SmallVec<[Arc<Session>; 1]>;

/// Hashed without a random key, so that everybody is told in the same order in every run of the simulation. The ids are
/// made by the server: nobody can choose them so that they collide.
type ByUser<T = OfOne> = HashMap<UserId, T, BuildHasherDefault<DefaultHasher>>;

/// The registry of connections.
#[derive(Default)]
pub struct Sessions(RwLock<ByUser>);

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

    /// Calls for each connection of a person.
    pub(crate) fn for_user(&self, user: UserId, each: &mut dyn FnMut(&Arc<Session>)) {
        if let Some(of_one) = self.0.read().get(&user) {
            of_one.iter().for_each(each);
        }
    }

    /// Calls for each connection of these members, and of nobody else.
    pub(crate) fn for_members(&self, members: &Members, each: &mut dyn FnMut(&Arc<Session>)) {
        among(&self.0.read(), members).flatten().for_each(each);
    }

    /// Calls for every connection.
    pub(crate) fn for_all(&self, each: &mut dyn FnMut(&Arc<Session>)) {
        self.0.read().values().flatten().for_each(each);
    }

    /// How many connections a person has.
    pub(crate) fn count_of(&self, user: UserId) -> usize {
        self.0.read().get(&user).map_or(0, SmallVec::len)
    }

    /// The connection of a person that they need least, but for this one.
    pub(crate) fn least_needed(&self, session: &Session, now: Timestamp) -> Option<Arc<Session>> {
        let sessions = self.0.read();
        let others = sessions.get(&session.user)?.iter().filter(|other| other.id != session.id);
        others.min_by_key(|other| (other.need(now), other.id)).cloned()
    }

    /// About how many bytes wait for a person, over all their connections.
    pub fn unsent_to(&self, user: UserId) -> usize {
        self.0.read().get(&user).map_or(0, |of_one| of_one.iter().map(|session| session.unsent()).sum())
    }

    /// How many connections speak this dialect.
    pub(crate) fn count(&self, dialect: &Registered) -> usize {
        let mut count = 0;
        self.for_all(&mut |session| count += usize::from(session.dialect == *dialect));
        count
    }

    /// All connections there are.
    pub fn len(&self) -> usize {
        self.0.read().values().map(SmallVec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Closes the connections that were opened with a token.
    pub(crate) fn close_opened_with(&self, token: &Fingerprint) {
        self.close_opened_with_any(&HashSet::from([*token]));
    }

    /// Closes the connections that were opened with one of these tokens.
    pub(crate) fn close_opened_with_any(&self, tokens: &HashSet<Fingerprint>) {
        if tokens.is_empty() {
            return;
        }
        let mut opened_with = Vec::new();
        self.for_all(&mut |session| {
            if tokens.contains(&session.token) {
                opened_with.push(session.clone());
            }
        });
        for session in opened_with {
            session.disconnect();
        }
    }
}

/// What is known of those people who are members. Of the two sides the smaller one is walked over: a message in a room of ten
/// thousand, of whom ten are here, costs as much as one in a room of ten.
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
        // Every third person is connected, and the first ones are members.
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
