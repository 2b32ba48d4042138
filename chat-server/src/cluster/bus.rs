//! The message bus between the nodes of one deployment.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// An event that a bus driver reports to the node.
#[derive(Debug, Clone)]
pub enum Heard {
    /// The node is subscribed from now on. Notices that were published before may be lost.
    Up,
    /// The node receives no notices from now on.
    Down,
    /// A published notice. The publisher may be this node itself.
    Notice(Bytes),
}

/// The bus is unavailable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is away: {0}")]
pub struct BusError(pub String);

/// Carries small notices between the nodes of one deployment.
///
/// # Guarantees
/// Very few: a notice may be lost, duplicated, delayed or reordered. A driver reconnects by itself and sends
/// [`Heard::Up`] after each reconnect. Notices are sealed and the receiver verifies the seal, so a driver need not
/// authenticate publishers. A driver must bound the memory that it uses for notices.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Subscribes to the bus. It is called once, within a tokio runtime. When `heard` is full, the notice is dropped.
    /// Every task that the driver has started ends when the driver is dropped or the receiver of `heard` is closed.
    fn listen(&self, heard: mpsc::Sender<Heard>);

    /// Publishes a notice. Returns within 2 seconds.
    ///
    /// # Errors
    /// When the bus is unreachable at the moment.
    async fn publish(&self, notice: Bytes) -> Result<(), BusError>;

    /// The counters that all nodes share, if the bus supports them.
    fn counters(&self) -> Option<&dyn SharedCounters>;
}

/// Counters that all nodes share: sliding windows by key.
#[async_trait]
pub trait SharedCounters: Send + Sync {
    /// Counts `attempt` under `key` if there were fewer than `most` attempts in the last `within`. The check and the
    /// count are one atomic step. If the limit is reached, nothing is counted and the result is the time to wait.
    ///
    /// # Errors
    /// When the counters are unavailable at the moment. The attempt may have been counted nevertheless.
    async fn count(
        &self,
        key: &str,
        attempt: &[u8],
        most: u32,
        within: Duration,
    ) -> Result<Option<Duration>, BusError>;

    /// Removes an attempt that was counted.
    ///
    /// # Errors
    /// When the counters are unavailable at the moment.
    async fn uncount(&self, key: &str, attempt: &[u8]) -> Result<(), BusError>;

    /// Removes all attempts under a key.
    ///
    /// # Errors
    /// When the counters are unavailable at the moment.
    async fn forget(&self, key: &str) -> Result<(), BusError>;
}

/// The bus of a deployment without a bus: the nodes share only the store.
#[derive(Debug, Default)]
pub struct NoBus;

#[async_trait]
impl Bus for NoBus {
    fn listen(&self, _: mpsc::Sender<Heard>) {}

    async fn publish(&self, _: Bytes) -> Result<(), BusError> {
        Err(BusError("there is none".to_owned()))
    }

    fn counters(&self) -> Option<&dyn SharedCounters> {
        None
    }
}
