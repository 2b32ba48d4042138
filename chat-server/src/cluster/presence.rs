//! Which users are connected to the other nodes, according to their notices.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::notice::NodeId;

/// How long the presence of a node stays valid after its last sign of life.
pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How long this node waits for an answer before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The users who are connected to the other nodes.
#[derive(Default)]
pub(crate) struct RemotePresence(Mutex<Known>);

#[derive(Default)]
struct Known {
    nodes: HashMap<NodeId, Node>,
    /// To how many nodes a user is connected.
    online: HashMap<UserId, u32>,
}

struct Node {
    /// The number of the list that this node has, or `None` if it has no complete list.
    number: Option<u64>,
    people: HashSet<UserId>,
    renewed: Instant,
    asked: Option<Instant>,
}

/// A presence notice of a node.
pub(super) enum Told {
    /// A heartbeat with the number of the list.
    Alive(u64),
    /// The new number of the list, the users who connected, and those who disconnected.
    Changed(u64, Vec<UserId>, Vec<UserId>),
    /// The number of the list, and the whole list.
    Everybody(u64, Vec<UserId>),
}

/// The effect of a presence notice.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Moves {
    /// Users who are no longer connected to any other node.
    pub(super) went: Vec<UserId>,
    /// Whether any user is now connected who was not connected to any other node before.
    pub(super) any_came: bool,
    /// A notice was missed: the node must be asked for its whole list.
    pub(super) ask: bool,
}

impl RemotePresence {
    /// Whether a user is connected to another node.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.0.lock().online.contains_key(&user)
    }

    /// All users who are connected to another node, in no particular order.
    pub(crate) fn online(&self) -> Vec<UserId> {
        self.0.lock().online.keys().copied().collect()
    }

    /// Applies a presence notice of a node.
    pub(super) fn told(&self, from: NodeId, told: Told, now: Instant) -> Moves {
        let mut known = self.0.lock();
        let known = &mut *known;
        let node = known.nodes.entry(from).or_insert_with(|| Node {
            number: None,
            people: HashSet::new(),
            renewed: now,
            asked: None,
        });
        node.renewed = now;
        let mut moves = Moves::default();
        match told {
            Told::Alive(number) if node.number.is_some_and(|known| known >= number) => {}
            // No user has connected to this node yet.
            Told::Alive(0) => node.number = Some(0),
            Told::Changed(number, _, _) if node.number.is_some_and(|known| known >= number) => {}
            Told::Changed(number, came, went)
                if number == 1 || node.number.is_some_and(|known| known + 1 == number) =>
            {
                node.number = Some(number);
                came.into_iter().filter(|user| node.people.insert(*user)).for_each(|user| {
                    moves.any_came |= enter(&mut known.online, user);
                });
                let gone = went.into_iter().filter(|user| node.people.remove(user));
                moves.went = gone.filter(|user| leave(&mut known.online, *user)).collect();
            }
            Told::Everybody(number, _) if node.number.is_some_and(|known| known >= number) => {}
            Told::Everybody(number, people) => {
                node.number = Some(number);
                let before = std::mem::replace(&mut node.people, people.into_iter().collect());
                for user in node.people.difference(&before) {
                    moves.any_came |= enter(&mut known.online, *user);
                }
                let gone = before.difference(&node.people);
                moves.went = gone.copied().filter(|user| leave(&mut known.online, *user)).collect();
            }
            Told::Alive(_) | Told::Changed(..) => {
                let waits = node.asked.is_some_and(|asked| now.duration_since(asked) < ASK_AGAIN);
                if !waits {
                    node.asked = Some(now);
                    moves.ask = true;
                }
            }
        }
        moves
    }

    /// Removes a node that has stopped. Returns the users who are no longer connected to any other node.
    pub(super) fn left(&self, node: NodeId) -> Vec<UserId> {
        let mut known = self.0.lock();
        let Some(node) = known.nodes.remove(&node) else { return Vec::new() };
        node.people.into_iter().filter(|user| leave(&mut known.online, *user)).collect()
    }

    /// Removes nodes whose lease has expired. For each one, returns the users who are no longer connected to any other
    /// node, and the time since its last sign of life.
    pub(super) fn expire(&self, now: Instant) -> Vec<(Vec<UserId>, Duration)> {
        let silent = |node: &Node| now.duration_since(node.renewed);
        let expired: Vec<_> = {
            let known = self.0.lock();
            let nodes = known.nodes.iter().map(|(id, node)| (*id, silent(node)));
            nodes.filter(|(_, silent)| *silent > LEASE).collect()
        };
        expired.into_iter().map(|(node, silent)| (self.left(node), silent)).collect()
    }

    /// Renews the leases of all nodes, because this node could not receive notices for a while.
    pub(super) fn renew_all(&self, now: Instant) {
        self.0.lock().nodes.values_mut().for_each(|node| node.renewed = now);
    }

    /// The lowest id among the nodes with a valid lease.
    pub(super) fn least(&self) -> Option<NodeId> {
        self.0.lock().nodes.keys().min().copied()
    }
}

/// Adds a node for this user. Returns whether the user was connected to no other node before.
fn enter(online: &mut HashMap<UserId, u32>, user: UserId) -> bool {
    let nodes = online.entry(user).or_default();
    *nodes += 1;
    *nodes == 1
}

/// Removes a node for this user. Returns whether the user is connected to no other node now.
fn leave(online: &mut HashMap<UserId, u32>, user: UserId) -> bool {
    let Some(nodes) = online.get_mut(&user) else { return false };
    *nodes -= 1;
    if *nodes == 0 {
        online.remove(&user);
        return true;
    }
    false
}

#[cfg(test)]
mod tests;
