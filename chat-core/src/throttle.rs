//! Lines of the log that clients, strangers or a failing dependency can bring about again and again.
//!
//! [`log_throttled!`](crate::log_throttled) writes the first [`BURST`] of them in a minute and counts the rest, which the
//! next one that is written says as `repeated`. So no line fills a disk, and none is lost without a trace as long as
//! its cause goes on.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many lines of one kind are written in a [`WINDOW`]: their details may differ.
pub const BURST: u32 = 5;

/// The time in which lines are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Decides for one kind of line whether it is written.
#[derive(Debug)]
pub struct Throttle(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the window began; none before the first line.
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Throttle {
    /// One that has written nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { since: None, written: 0, left_out: 0 }))
    }

    /// Whether a line may be written now, and then how many were left out since the last one that was written. None when
    /// it may not, which is counted.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    /// The same at a time that the caller knows.
    pub fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            state.since = Some(now);
            state.written = 0;
        }
        if state.written >= BURST {
            state.left_out += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes a line by `tracing`, at most [`BURST`] times in a minute for each place where this stands; `repeated` says how many
/// were left out before it.
///
/// ```
/// # let error = "the disk is full";
/// chat_core::log_throttled!(warn, %error, "an image could not be removed");
/// ```
#[macro_export]
macro_rules! log_throttled {
    ($level:ident, $($line:tt)+) => {{
        static THROTTLE: $crate::throttle::Throttle = $crate::throttle::Throttle::new();
        if let Some(left_out) = THROTTLE.permit() {
            let repeated = (left_out > 0).then_some(left_out);
            ::tracing::$level!(repeated, $($line)+);
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_the_rest_is_counted() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let permits: Vec<_> = (0..1_000).filter_map(|_| throttle.permit_at(start)).collect();
        assert_eq!(permits, [0; BURST as usize]);
        assert_eq!(throttle.permit_at(start + WINDOW - Duration::from_millis(1)), None);
        let next = start + WINDOW;
        assert_eq!(throttle.permit_at(next), Some(1_000 - u64::from(BURST) + 1), "what was left out is said");
        assert_eq!(throttle.permit_at(next), Some(0), "and said once");
    }
}
