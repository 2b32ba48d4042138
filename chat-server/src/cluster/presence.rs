//! Who is connected to the other nodes, as far as they have told.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chat_core::id::UserId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::notice::NodeId;

/// How long a node is believed after its last sign of life.
pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How long an answer is waited for before a node is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The people of the other nodes.
#[derive(Default)]
pub(crate) struct RemotePresence(Mutex<Known>);

#[derive(Default)]
struct Known {
    nodes: HashMap<NodeId, Node>,
    /// How many nodes somebody is connected to.
    online: HashMap<UserId, u32>,
}

struct Node {
    /// The number of the list that is known; none when it is not.
    number: Option<u64>,
    people: HashSet<UserId>,
    renewed: Instant,
    asked: Option<Instant>,
}

/// What a node said of its people.
pub(super) enum Told {
    /// The list has this number.
    Alive(u64),
    /// These came and went, which made the number what it is.
    Changed(u64, Vec<UserId>, Vec<UserId>),
    /// The whole list.
    Everybody(u64, Vec<UserId>),
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Moves {
    /// Connected to none of the others any more.
    pub(super) went: Vec<UserId>,
    /// Whether anybody was not connected to any of the others before.
    pub(super) any_came: bool,
    /// Something was missed: the node must be asked for its whole list.
    pub(super) ask: bool,
}

impl RemotePresence {
    /// Whether somebody is connected to another node.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.0.lock().online.contains_key(&user)
    }

    /// Everybody who is connected to another node, in no order.
    pub(crate) fn online(&self) -> Vec<UserId> {
        self.0.lock().online.keys().copied().collect()
    }

    /// A node has said something of its people.
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
            // Nobody has come to it yet.
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

    /// A node has ended. Answers who is connected to none of the others any more.
    pub(super) fn left(&self, node: NodeId) -> Vec<UserId> {
        let mut known = self.0.lock();
        let Some(node) = known.nodes.remove(&node) else { return Vec::new() };
        node.people.into_iter().filter(|user| leave(&mut known.online, *user)).collect()
    }

    /// Stops believing nodes that give no sign of life. Answers who is connected to none of the others any more, and
    /// how long ago there was the last sign.
    pub(super) fn expire(&self, now: Instant) -> Vec<(Vec<UserId>, Duration)> {
        let silent = |node: &Node| now.duration_since(node.renewed);
        let expired: Vec<_> = {
            let known = self.0.lock();
            let nodes = known.nodes.iter().map(|(id, node)| (*id, silent(node)));
            nodes.filter(|(_, silent)| *silent > LEASE).collect()
        };
        expired.into_iter().map(|(node, silent)| (self.left(node), silent)).collect()
    }

    /// Believes every node from now on for another term: nobody could be heard.
    pub(super) fn renew_all(&self, now: Instant) {
        self.0.lock().nodes.values_mut().for_each(|node| node.renewed = now);
    }

    /// The least name among the nodes that are believed.
    pub(super) fn least(&self) -> Option<NodeId> {
        self.0.lock().nodes.keys().min().copied()
    }
}

/// Whether they were connected to none before.
fn enter(online: &mut HashMap<UserId, u32>, user: UserId) -> bool {
    let nodes = online.entry(user).or_default();
    *nodes += 1;
    *nodes == 1
}

/// Whether they are connected to none any more.
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
