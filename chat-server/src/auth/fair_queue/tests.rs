//! Tests for [`fair_queue`](super).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Permit<&'static str>, Busy>> + 'a>>;

/// A queue and its requests in order of arrival. The test never waits: it polls each future when something may have
/// changed.
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
            // Requests that were polled before may have lost their place to it.
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

    /// Ends the oldest running turn and returns the key that got the next one.
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
    // The greedy key is first in the queue; then every other key has a turn before it gets another one.
    let order: Vec<_> = (0..6).filter_map(|_| scene.end_one()).collect();
    assert_eq!(order, ["greedy", "ann", "bob", "greedy", "bob", "greedy"]);
    // It keeps the queue full. Another key that arrives gets the turn after the next.
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
    // The key with fewer running turns is next, until both have the same number.
    assert_eq!(scene.end_one(), Some("ann"));
    for _ in 0..4 {
        scene.end_one().unwrap();
        let mine = scene.under_way().iter().filter(|key| **key == "ann").count();
        assert!((1..=2).contains(&mine), "{:?}", scene.under_way());
    }
    // If no other key is waiting, one key may have all turns.
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
    // The queue is full: keys with fewer waiting requests take places of the key with the most.
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
    // A turn that was given to a dropped request is passed on.
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
