//! Who is in a conversation, in a form that is shared: a copy shares all that it has in common with the original, so that
//! a room of ten thousand is neither copied nor walked over when one person comes or goes.

use std::fmt;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::id::UserId;
use crate::model::{Member, Role};

/// So many are kept in a plain list, which is smaller and faster for them. Nearly all conversations have fewer.
const MAX_LISTED: usize = 32;

/// A place in the order of joining of one conversation: greater for those who came later. It stays the same for as long as
/// the member is in, and only its order has a meaning. 0 means "before everybody".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JoinOrder(pub u64);

/// The members of a conversation in the order of joining, each once. Cloning is cheap; finding, adding and removing one
/// takes a time that hardly grows with their number. Two are equal when they have equal members in the same order.
#[derive(Clone)]
pub struct Members(Kept);

#[derive(Clone)]
enum Kept {
    /// Sorted by place.
    List(Vec<(Place, Member)>),
    Tree(Tree),
}

/// Two can have the same order for a moment, where one has gone and the other has come since.
type Place = (JoinOrder, UserId);

#[derive(Clone)]
struct Tree {
    by_user: HashTrieMapSync<UserId, (JoinOrder, Member)>,
    by_place: RedBlackTreeMapSync<Place, Member>,
    /// Those who are more than plain members: so the first of them and their number are found without passing over all others.
    leading: RedBlackTreeMapSync<Place, Member>,
    admins: usize,
}

impl Members {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::List(list) => list.len(),
            Kept::Tree(tree) => tree.by_user.size(),
        }
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them are admins.
    pub fn admins(&self) -> usize {
        match &self.0 {
            Kept::List(list) => list.iter().filter(|(_, member)| member.role == Role::Admin).count(),
            Kept::Tree(tree) => tree.admins,
        }
    }

    /// The membership of a person, if they are in.
    pub fn get(&self, user: UserId) -> Option<&Member> {
        match &self.0 {
            Kept::List(list) => list.iter().map(|(_, member)| member).find(|member| member.user == user),
            Kept::Tree(tree) => tree.by_user.get(&user).map(|(_, member)| member),
        }
    }

    /// Where a person stands in the order of joining, if they are in.
    pub fn order_of(&self, user: UserId) -> Option<JoinOrder> {
        match &self.0 {
            Kept::List(list) => list.iter().find(|((_, one), _)| *one == user).map(|((order, _), _)| *order),
            Kept::Tree(tree) => tree.by_user.get(&user).map(|(order, _)| *order),
        }
    }

    /// All of them in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        let (list, tree) = match &self.0 {
            Kept::List(list) => (Some(list), None),
            Kept::Tree(tree) => (None, Some(tree)),
        };
        let listed = list.into_iter().flatten().map(|(_, member)| member);
        // With a limit, so that it is known how many can come.
        listed.chain(tree.into_iter().flat_map(|tree| tree.by_place.values())).take(self.len())
    }

    /// Those who came after a place, each with their own, at most `limit`.
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

    /// The first with this role in the order of joining, at most `limit`.
    pub fn first_with(&self, role: Role, limit: usize) -> Vec<Member> {
        let has_role = |member: &&Member| member.role == role;
        match &self.0 {
            Kept::Tree(tree) if role > Role::Member => {
                tree.leading.values().filter(has_role).take(limit).copied().collect()
            }
            _ => self.iter().filter(has_role).take(limit).copied().collect(),
        }
    }

    /// Adds a member in the last place, or, when they are in already, gives them what is new of their membership.
    pub fn put(&mut self, member: Member) {
        let last = match &self.0 {
            Kept::List(list) => list.last().map(|((order, _), _)| *order),
            Kept::Tree(tree) => tree.by_place.last().map(|((order, _), _)| *order),
        };
        let order = self.order_of(member.user).unwrap_or(JoinOrder(last.unwrap_or_default().0 + 1));
        self.put_at(order, member);
    }

    /// Adds a member at this place, or moves them there.
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

    /// Gives somebody another role, if they are in.
    pub fn set_role(&mut self, user: UserId, role: Role) {
        if let (Some(order), Some(member)) = (self.order_of(user), self.get(user)) {
            let member = Member { role, ..*member };
            self.put_at(order, member);
        }
    }

    /// Takes somebody out, if they are in.
    pub fn remove(&mut self, user: UserId) {
        match &mut self.0 {
            Kept::List(list) => list.retain(|((_, one), _)| *one != user),
            // It stays a tree: a room that loses members gets them again.
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
