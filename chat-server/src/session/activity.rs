//! When a connection was last used, to find the connection of a user that is needed least.

use std::cmp::Reverse;
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;

/// A polling client without an open poll for so long has gone. Its heartbeat timeout would detect this later.
const POLLING_PAUSE: Duration = Duration::from_secs(10);

/// When a connection was last used.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    /// When its client last sent an event, or connected.
    said: Timestamp,
    /// The number of open polls, and when the last one began or ended. `None` when the client does not poll.
    polls: Option<(u32, Timestamp)>,
}

/// How much a connection is needed. The lowest value is needed least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    has_gone: Reverse<bool>,
    since: Timestamp,
}

impl Activity {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(State { said: now, polls: None }))
    }

    /// The client has sent an event.
    pub(super) fn said(&self, now: Timestamp) {
        self.0.lock().said = now;
    }

    /// A poll has begun.
    pub(super) fn poll_began(&self, now: Timestamp) {
        let polls = &mut self.0.lock().polls;
        *polls = Some((polls.map_or(0, |(count, _)| count) + 1, now));
    }

    /// A poll has ended.
    pub(super) fn poll_ended(&self, now: Timestamp) {
        let polls = &mut self.0.lock().polls;
        *polls = polls.map(|(count, _)| (count.saturating_sub(1), now));
    }

    /// A websocket has taken over: there are no more polls.
    pub(super) fn upgraded(&self) {
        self.0.lock().polls = None;
    }

    pub(super) fn need(&self, now: Timestamp) -> Need {
        let state = *self.0.lock();
        let gone = state.polls.filter(|(count, last)| *count == 0 && last.after(POLLING_PAUSE) <= now);
        Need { has_gone: Reverse(gone.is_some()), since: gone.map_or(state.said, |(_, last)| last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(seconds))
    }

    /// The order in which these connections are given up.
    fn order(connections: &[(&'static str, Activity)], now: Timestamp) -> Vec<&'static str> {
        let mut all: Vec<_> = connections.iter().collect();
        all.sort_by_key(|(_, activity)| activity.need(now));
        all.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn who_has_said_nothing_for_longest_is_needed_least() {
        let connections = [("first", Activity::new(at(1))), ("second", Activity::new(at(2)))];
        assert_eq!(order(&connections, at(100)), ["first", "second"]);
        connections[0].1.said(at(3));
        assert_eq!(order(&connections, at(100)), ["second", "first"]);
    }

    #[test]
    fn who_does_not_poll_any_more_is_needed_even_less() {
        let named = |name, came| (name, Activity::new(at(came)));
        let connections = [
            named("silent", 1),
            named("polls", 2),
            named("gone", 90),
            named("pauses", 3),
            named("later", 80),
        ];
        let [_, polls, gone, pauses, later] = &connections;
        polls.1.poll_began(at(20));
        for (activity, began, ended) in [(&gone.1, 91, 92), (&pauses.1, 20, 99), (&later.1, 91, 95)] {
            activity.poll_began(at(began));
            activity.poll_ended(at(ended));
        }
        // One that is between two polls is like any other.
        assert_eq!(order(&connections, at(105)), ["gone", "later", "silent", "polls", "pauses"]);
        gone.1.upgraded();
        assert_eq!(order(&connections, at(105)), ["later", "silent", "polls", "pauses", "gone"]);
    }
}
