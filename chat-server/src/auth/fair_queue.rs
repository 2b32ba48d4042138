//! Fair turns for expensive work.
//!
//! The key with the fewest running turns is next; among equals, the key that has waited longest since its last turn. So
//! an address that always has fifty requests in flight delays another address by one turn, not by fifty. The number of
//! waiting requests is limited per key and in total. When the queue is full, the key with the most waiting requests
//! loses its latest one to a key with fewer.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Maximum numbers of running and waiting requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Concurrent turns; at least 1.
    pub(crate) turns: usize,
    /// Waiting requests of one key.
    pub(crate) waiting_of_one: usize,
    /// Waiting requests in total.
    pub(crate) waiting: usize,
}

/// Why a request gets no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Too many requests of the same key are waiting.
    #[error("too many of these requests at once")]
    TooManyOfOne,
    /// Too many requests are waiting in total.
    #[error("too many requests at once")]
    TooMany,
}

/// Hands out turns to keys.
pub(crate) struct FairQueue<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    limits: QueueLimits,
}

struct State<K: Eq + Hash + Clone> {
    /// Free turns. If there is one, no request is waiting.
    free: usize,
    /// The number of running turns of each key that has any.
    under_way: HashMap<K, usize>,
    /// The waiting requests of each key that has any, oldest first.
    waiting: HashMap<K, VecDeque<Waiting<K>>>,
    /// The keys of `waiting`; the one that has waited longest since its last turn comes first.
    order: VecDeque<K>,
    /// The number of waiting requests in total.
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

    /// Waits for a turn. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// Immediately when too many requests are waiting, or later when a key with fewer waiting requests needs the place.
    pub(crate) async fn turn(&self, key: K) -> Result<Permit<K>, Busy> {
        let mut place = match self.place(key)? {
            Ok(turn) => return Ok(turn),
            Err(place) => place,
        };
        // The sender is dropped only if another key takes the place.
        (&mut place.turn).await.map_err(|_| Busy::TooManyOfOne)
    }

    /// Returns a turn, or a place in the queue.
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

    /// Removes the request whose turn is next.
    fn next(&mut self) -> Option<(K, Waiting<K>)> {
        let turns = |key: &K| self.under_way.get(key).copied().unwrap_or_default();
        // The first of several equal keys is taken.
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

    /// Removes the latest request of the key with the most waiting requests, if that key has more than `mine` plus the
    /// new one.
    fn displace(&mut self, mine: usize) -> bool {
        let most = self.order.iter().max_by_key(|key| self.waiting.get(key).map_or(0, VecDeque::len));
        let Some(waiting) = most.cloned().and_then(|key| self.waiting.get_mut(&key)) else { return false };
        if waiting.len() <= mine + 1 {
            return false;
        }
        // This key has at least two waiting requests, so it still has one and stays in `order`.
        waiting.pop_back();
        self.count -= 1;
        true
    }

    /// Removes a request that stops waiting.
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
            // If the receiver has just been dropped, this drops the turn again, which passes it on. So it must be
            // outside the lock.
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
mod tests;
