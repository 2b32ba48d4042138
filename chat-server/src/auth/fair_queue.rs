//! Turns for work that is dear, shared fairly among those who ask for it.
//!
//! Whoever has the fewest turns under way is next, and among those with equally many the one who has waited for longest
//! since their last turn. So one address that always has fifty requests in flight holds somebody else up for one turn,
//! not for fifty. What waits is bounded for each and in all; when all places are taken, the one with the most requests
//! waiting loses its latest to somebody with fewer.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How much may be under way, and how much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Turns at once; at least 1.
    pub(crate) turns: usize,
    /// Requests of one key that wait.
    pub(crate) waiting_of_one: usize,
    /// Requests that wait in all.
    pub(crate) waiting: usize,
}

/// Why somebody gets no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Too many requests of the same key wait.
    #[error("too many of these requests at once")]
    TooManyOfOne,
    /// Too many requests wait in all.
    #[error("too many requests at once")]
    TooMany,
}

/// Hands out turns to keys.
pub(crate) struct FairQueue<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    limits: QueueLimits,
}

struct State<K: Eq + Hash + Clone> {
    /// Turns that nobody has. If there is one, nobody waits.
    free: usize,
    /// Turns under way of those who have some.
    under_way: HashMap<K, usize>,
    /// Of those who have some, the oldest first.
    waiting: HashMap<K, VecDeque<Waiting<K>>>,
    /// The keys of `waiting`, whoever has waited for longest since their last turn first.
    order: VecDeque<K>,
    /// How many requests wait in all.
    count: usize,
    next_id: u64,
}

struct Waiting<K: Eq + Hash + Clone> {
    id: u64,
    turn: oneshot::Sender<Permit<K>>,
}

/// A turn. It ends when it is dropped.
pub(crate) struct Permit<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    key: K,
}

impl<K: Eq + Hash + Clone> FairQueue<K> {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let state = State {
            free: limits.turns.max(1),
            under_way: HashMap::new(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            count: 0,
            next_id: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), limits }
    }

    /// A turn, when it has come. Whoever stops waiting leaves the queue.
    ///
    /// # Errors
    /// At once when too many wait, and later when somebody with fewer waiting needs the place.
    pub(crate) async fn turn(&self, key: K) -> Result<Permit<K>, Busy> {
        let mut place = match self.place(key)? {
            Ok(turn) => return Ok(turn),
            Err(place) => place,
        };
        // The other end is dropped only for somebody who needs the place.
        (&mut place.turn).await.map_err(|_| Busy::TooManyOfOne)
    }

    /// A turn, or a place in the queue.
    fn place(&self, key: K) -> Result<Result<Permit<K>, Place<K>>, Busy> {
        let mut state = self.state.lock();
        if state.free > 0 {
            state.free -= 1;
            state.begin(key.clone());
            return Ok(Ok(Permit { state: self.state.clone(), key }));
        }
        let mine = state.waiting.get(&key).map_or(0, VecDeque::len);
        if mine >= self.limits.waiting_of_one {
            return Err(Busy::TooManyOfOne);
        }
        if state.count >= self.limits.waiting && !state.displace(mine) {
            return Err(Busy::TooMany);
        }
        let (sender, turn) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.count += 1;
        if mine == 0 {
            state.order.push_back(key.clone());
        }
        state.waiting.entry(key.clone()).or_default().push_back(Waiting { id, turn: sender });
        Ok(Err(Place { state: self.state.clone(), key, id, turn }))
    }
}

impl<K: Eq + Hash + Clone> State<K> {
    fn begin(&mut self, key: K) {
        *self.under_way.entry(key).or_default() += 1;
    }

    fn end(&mut self, key: &K) {
        if let Some(turns) = self.under_way.get_mut(key) {
            *turns -= 1;
            if *turns == 0 {
                self.under_way.remove(key);
            }
        }
    }

    /// Takes out whose turn it is.
    fn next(&mut self) -> Option<(K, Waiting<K>)> {
        let turns = |key: &K| self.under_way.get(key).copied().unwrap_or_default();
        // The first of those that are equal.
        let (at, _) = self.order.iter().enumerate().min_by_key(|(_, key)| turns(key))?;
        let key = self.order.remove(at)?;
        let waiting = self.waiting.get_mut(&key)?;
        let next = waiting.pop_front()?;
        self.count -= 1;
        if waiting.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.order.push_back(key.clone());
        }
        Some((key, next))
    }

    /// Takes the place from the latest request of the one who has the most waiting, if that is more than somebody with
    /// `mine` and one more would have.
    fn displace(&mut self, mine: usize) -> bool {
        let most = self.order.iter().max_by_key(|key| self.waiting.get(key).map_or(0, VecDeque::len));
        let Some(waiting) = most.cloned().and_then(|key| self.waiting.get_mut(&key)) else { return false };
        if waiting.len() <= mine + 1 {
            return false;
        }
        // Somebody who has one more than another one has at least two, so the key stays.
        waiting.pop_back();
        self.count -= 1;
        true
    }

    /// Somebody waits no more.
    fn leave(&mut self, key: &K, id: u64) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        let Some(at) = waiting.iter().position(|waiting| waiting.id == id) else { return };
        waiting.remove(at);
        self.count -= 1;
        if waiting.is_empty() {
            self.waiting.remove(key);
            self.order.retain(|other| other != key);
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for Permit<K> {
    fn drop(&mut self) {
        let next = {
            let mut state = self.state.lock();
            state.end(&self.key);
            let next = state.next();
            match &next {
                Some((key, _)) => state.begin(key.clone()),
                None => state.free += 1,
            }
            next
        };
        if let Some((key, waiting)) = next {
            // One who has just stopped waiting drops the turn, which passes it on. Not under the lock, for that reason.
            drop(waiting.turn.send(Permit { state: self.state.clone(), key }));
        }
    }
}

/// A place in the queue, until it is dropped.
struct Place<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    key: K,
    id: u64,
    turn: oneshot::Receiver<Permit<K>>,
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        self.state.lock().leave(&self.key, self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Asking<'a> = Pin<Box<dyn Future<Output = Result<Permit<&'static str>, Busy>> + 'a>>;

    /// A queue, and what was asked of it in the order of asking. Nothing is waited for: each future is looked at when
    /// something may have changed.
    struct Scene<'a> {
        queue: &'a FairQueue<&'static str>,
        asking: Vec<(&'static str, Asking<'a>)>,
        turns: Vec<Permit<&'static str>>,
        refused: Vec<(&'static str, Busy)>,
    }

    impl<'a> Scene<'a> {
        fn new(queue: &'a FairQueue<&'static str>) -> Self {
            Self { queue, asking: Vec::new(), turns: Vec::new(), refused: Vec::new() }
        }

        fn ask(&mut self, key: &'static str, times: usize) {
            for _ in 0..times {
                self.asking.push((key, Box::pin(self.queue.turn(key))));
                self.look();
                // Those that were looked at before may have lost their place to it.
                self.look();
            }
        }

        fn look(&mut self) {
            let mut cx = Context::from_waker(Waker::noop());
            let (turns, refused) = (&mut self.turns, &mut self.refused);
            self.asking.retain_mut(|(key, asking)| match asking.as_mut().poll(&mut cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(turn)) => {
                    turns.push(turn);
                    false
                }
                Poll::Ready(Err(busy)) => {
                    refused.push((key, busy));
                    false
                }
            });
        }

        /// Ends the oldest turn that is under way and tells who got the next.
        fn end_one(&mut self) -> Option<&'static str> {
            let before = self.turns.len();
            drop(self.turns.remove(0));
            self.look();
            assert!(self.turns.len() <= before);
            (self.turns.len() == before).then(|| self.turns[before - 1].key)
        }

        fn under_way(&self) -> Vec<&'static str> {
            self.turns.iter().map(|turn| turn.key).collect()
        }
    }

    fn queue(turns: usize, waiting_of_one: usize, waiting: usize) -> FairQueue<&'static str> {
        FairQueue::new(QueueLimits { turns, waiting_of_one, waiting })
    }

    #[test]
    fn one_that_asks_much_holds_nobody_up() {
        let queue = queue(1, 100, 1_000);
        let mut scene = Scene::new(&queue);
        scene.ask("greedy", 49);
        scene.ask("ann", 1);
        scene.ask("bob", 2);
        assert_eq!(scene.under_way(), ["greedy"]);
        // The greedy one is first in line, and then everybody has their turn before it comes again.
        let order: Vec<_> = (0..6).filter_map(|_| scene.end_one()).collect();
        assert_eq!(order, ["greedy", "ann", "bob", "greedy", "bob", "greedy"]);
        // It keeps the line full, and somebody else comes: after one turn it is theirs.
        scene.ask("greedy", 20);
        scene.ask("carl", 1);
        assert_eq!(scene.end_one(), Some("greedy"));
        assert_eq!(scene.end_one(), Some("carl"));
    }

    #[test]
    fn nobody_has_all_turns_while_others_wait() {
        let queue = queue(3, 100, 1_000);
        let mut scene = Scene::new(&queue);
        scene.ask("greedy", 30);
        assert_eq!(scene.under_way(), ["greedy"; 3]);
        scene.ask("ann", 5);
        // Whoever has fewer turns under way is next, until both have their share.
        assert_eq!(scene.end_one(), Some("ann"));
        for _ in 0..4 {
            scene.end_one().unwrap();
            let mine = scene.under_way().iter().filter(|key| **key == "ann").count();
            assert!((1..=2).contains(&mine), "{:?}", scene.under_way());
        }
        // Where nobody else waits, one may have all.
        while scene.under_way().contains(&"ann") || scene.asking.iter().any(|(key, _)| *key == "ann") {
            scene.end_one();
        }
        assert_eq!(scene.under_way(), ["greedy"; 3]);
    }

    #[test]
    fn places_are_bounded_and_the_greediest_gives_way() {
        let queue = queue(1, 3, 4);
        let mut scene = Scene::new(&queue);
        scene.ask("greedy", 5);
        assert_eq!(scene.refused, [("greedy", Busy::TooManyOfOne)], "one has a turn and three wait");
        scene.ask("ann", 1);
        assert_eq!(scene.refused.len(), 1, "there is a place left");
        // All places are taken: those with fewer take them from the one with most.
        scene.ask("bob", 1);
        assert_eq!(scene.refused[1..], [("greedy", Busy::TooManyOfOne)]);
        scene.ask("ann", 1);
        assert_eq!(scene.refused[2..], [("ann", Busy::TooMany)], "it would not have fewer");
        scene.ask("carl", 1);
        assert_eq!(scene.refused[3..], [("greedy", Busy::TooManyOfOne)]);
        scene.ask("dora", 1);
        assert_eq!(scene.refused[4..], [("dora", Busy::TooMany)], "each has one");
        let order: Vec<_> = (0..5).map(|_| scene.end_one()).collect();
        assert_eq!(order, [Some("greedy"), Some("ann"), Some("bob"), Some("carl"), None]);
        assert_eq!(scene.queue.state.lock().count, 0);
        scene.ask("dora", 1);
        assert_eq!(scene.under_way(), ["dora"], "all turns are free again");
    }

    #[test]
    fn whoever_stops_waiting_leaves_no_trace() {
        let queue = queue(1, 2, 4);
        let mut scene = Scene::new(&queue);
        scene.ask("ann", 1);
        scene.ask("bob", 2);
        scene.ask("carl", 1);
        drop(scene.asking.remove(0));
        scene.ask("bob", 1);
        assert_eq!(scene.refused, [], "the place is free again");
        scene.asking.retain(|(key, _)| *key != "bob");
        assert_eq!(scene.end_one(), Some("carl"));
        // A turn that was given to somebody who is gone is passed on.
        scene.ask("dora", 1);
        scene.ask("eve", 1);
        drop(scene.turns.remove(0));
        let gone = scene.asking.iter().position(|(key, _)| *key == "dora").unwrap();
        drop(scene.asking.remove(gone));
        scene.look();
        assert_eq!(scene.under_way(), ["eve"]);
        scene.turns.clear();
        let state = scene.queue.state.lock();
        assert_eq!((state.free, state.count), (1, 0));
        assert!(state.under_way.is_empty() && state.waiting.is_empty() && state.order.is_empty());
    }
}
