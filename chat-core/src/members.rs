//! The members of a conversation, as a persistent data structure: a copy shares its structure with the original. So
//! when one member of a room of ten thousand joins or leaves, the list is neither copied nor scanned.

use std::fmt;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::id::UserId;
use crate::model::{Member, Role};

/// Up to this number of members are kept in a plain list, which is smaller and faster for so few. Nearly all
/// conversations have fewer.
const MAX_LISTED: usize = 32;

/// A place in the order of joining of one conversation: members who joined later have a greater one. It stays the
/// same as long as the user is a member. Only the order of these numbers has a meaning. 0 means "before all members".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JoinOrder(pub u64);

/// The members of a conversation in the order of joining, each once. Cloning is cheap. The time to find, add or
/// remove a member hardly grows with their number. Two values are equal when they have equal members in the same
/// order.
#[derive(Clone)]
pub struct Members(Kept);

#[derive(Clone)]
enum Kept {
    /// Sorted by place.
    List(Vec<(Place, Member)>),
    Tree(Tree),
}

/// The user id makes the key unique: two members can have the same order for a moment, when one has left and another
/// one has joined since.
type Place = (JoinOrder, UserId);

#[derive(Clone)]
struct Tree {
    by_user: HashTrieMapSync<UserId, (JoinOrder, Member)>,
    by_place: RedBlackTreeMapSync<Place, Member>,
    /// The members with a role above plain member. Their number and the first of them are found without scanning all
    /// members.
    leading: RedBlackTreeMapSync<Place, Member>,
    admins: usize,
}

impl Members {
    /// The number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::List(list) => list.len(),
            Kept::Tree(tree) => tree.by_user.size(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of admins.
    pub fn admins(&self) -> usize {
        match &self.0 {
            Kept::List(list) => list.iter().filter(|(_, member)| member.role == Role::Admin).count(),
            Kept::Tree(tree) => tree.admins,
        }
    }

    /// The membership of a user, if the user is a member.
    pub fn get(&self, user: UserId) -> Option<&Member> {
        match &self.0 {
            Kept::List(list) => list.iter().map(|(_, member)| member).find(|member| member.user == user),
            Kept::Tree(tree) => tree.by_user.get(&user).map(|(_, member)| member),
        }
    }

    /// The user's place in the order of joining, if the user is a member.
    pub fn order_of(&self, user: UserId) -> Option<JoinOrder> {
        match &self.0 {
            Kept::List(list) => list.iter().find(|((_, one), _)| *one == user).map(|((order, _), _)| *order),
            Kept::Tree(tree) => tree.by_user.get(&user).map(|(order, _)| *order),
        }
    }

    /// All members in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        let (list, tree) = match &self.0 {
            Kept::List(list) => (Some(list), None),
            Kept::Tree(tree) => (None, Some(tree)),
        };
        let listed = list.into_iter().flatten().map(|(_, member)| member);
        // `take` gives the iterator an upper bound for its size hint.
        listed.chain(tree.into_iter().flat_map(|tree| tree.by_place.values())).take(self.len())
    }

    /// The members after a place, each with their own place, at most `limit`.
    pub fn page(&self, after: JoinOrder, limit: usize) -> Vec<(JoinOrder, Member)> {
        let first: Place = (JoinOrder(after.0.saturating_add(1)), UserId::from_bytes([0; 12]));
        match &self.0 {
            Kept::List(list) => {
                let from = list.partition_point(|(place, _)| *place < first);
                list[from..].iter().take(limit).map(|((order, _), member)| (*order, *member)).collect()
            }
            Kept::Tree(tree) => {
                let rest = tree.by_place.range(first..).take(limit);
                rest.map(|((order, _), member)| (*order, *member)).collect()
            }
        }
    }

    /// The first members with this role in the order of joining, at most `limit`.
    pub fn first_with(&self, role: Role, limit: usize) -> Vec<Member> {
        let has_role = |member: &&Member| member.role == role;
        match &self.0 {
            Kept::Tree(tree) if role > Role::Member => {
                tree.leading.values().filter(has_role).take(limit).copied().collect()
            }
            _ => self.iter().filter(has_role).take(limit).copied().collect(),
        }
    }

    /// Adds a member in the last place. If the user already is a member, the membership is replaced and keeps its
    /// place.
    pub fn put(&mut self, member: Member) {
        let last = match &self.0 {
            Kept::List(list) => list.last().map(|((order, _), _)| *order),
            Kept::Tree(tree) => tree.by_place.last().map(|((order, _), _)| *order),
        };
        let order = self.order_of(member.user).unwrap_or(JoinOrder(last.unwrap_or_default().0 + 1));
        self.put_at(order, member);
    }

    /// Adds a member at this place. If the user already is a member, the membership moves there.
    pub fn put_at(&mut self, order: JoinOrder, member: Member) {
        self.remove(member.user);
        let place = (order, member.user);
        match &mut self.0 {
            Kept::List(list) => {
                let index = list.partition_point(|(other, _)| *other < place);
                list.insert(index, (place, member));
                if list.len() > MAX_LISTED {
                    let mut tree = Tree::default();
                    list.iter().for_each(|(place, member)| tree.insert(*place, *member));
                    self.0 = Kept::Tree(tree);
                }
            }
            Kept::Tree(tree) => tree.insert(place, member),
        }
    }

    /// Changes the role of a user, if the user is a member.
    pub fn set_role(&mut self, user: UserId, role: Role) {
        if let (Some(order), Some(member)) = (self.order_of(user), self.get(user)) {
            let member = Member { role, ..*member };
            self.put_at(order, member);
        }
    }

    /// Removes a user, if the user is a member.
    pub fn remove(&mut self, user: UserId) {
        match &mut self.0 {
            Kept::List(list) => list.retain(|((_, one), _)| *one != user),
            // A tree stays a tree when members leave, because such a room will probably grow again.
            Kept::Tree(tree) => tree.remove(user),
        }
    }
}

impl Tree {
    fn insert(&mut self, place: Place, member: Member) {
        self.by_user.insert_mut(place.1, (place.0, member));
        self.by_place.insert_mut(place, member);
        if member.role > Role::Member {
            self.leading.insert_mut(place, member);
        }
        self.admins += usize::from(member.role == Role::Admin);
    }

    fn remove(&mut self, user: UserId) {
        let Some((order, member)) = self.by_user.get(&user).copied() else { return };
        self.by_user.remove_mut(&user);
        self.by_place.remove_mut(&(order, user));
        self.leading.remove_mut(&(order, user));
        self.admins -= usize::from(member.role == Role::Admin);
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            by_user: HashTrieMapSync::new_sync(),
            by_place: RedBlackTreeMapSync::new_sync(),
            leading: RedBlackTreeMapSync::new_sync(),
            admins: 0,
        }
    }
}

impl Default for Members {
    fn default() -> Self {
        Self(Kept::List(Vec::new()))
    }
}

impl FromIterator<Member> for Members {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        let mut all = Self::default();
        members.into_iter().for_each(|member| all.put(member));
        all
    }
}

impl From<Vec<Member>> for Members {
    fn from(members: Vec<Member>) -> Self {
        members.into_iter().collect()
    }
}

impl<const N: usize> From<[Member; N]> for Members {
    fn from(members: [Member; N]) -> Self {
        members.into_iter().collect()
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Members {}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
