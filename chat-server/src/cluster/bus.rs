//! What nodes hear each other by.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

/// What came over a bus.
#[derive(Debug, Clone)]
pub enum Heard {
    /// From now on the others are heard. Whatever was published before may have been missed.
    Up,
    /// From now on they are not.
    Down,
    /// Somebody has published this, perhaps this node itself.
    Notice(Bytes),
}

/// The bus is away.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is away: {0}")]
pub struct BusError(pub String);

/// Carries small notices between the nodes of one deployment.
///
/// # Guarantees
/// Next to none: a notice may be lost, come twice, late, or in another order. A driver connects again by itself, and
/// says [`Heard::Up`] each time. Notices are sealed: what others put on the bus does nothing, so a driver need not tell
/// whom they come from. Only it must not let what it holds grow without bound.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Begins to hear; called once, in a tokio runtime. When `heard` has no room for a notice it is dropped. Everything
    /// the driver has started ends when the driver is dropped or nobody listens any more.
    fn listen(&self, heard: mpsc::Sender<Heard>);

    /// Publishes a notice. Answers within 2 seconds.
    ///
    /// # Errors
    /// When nobody can be reached at the moment.
    async fn publish(&self, notice: Bytes) -> Result<(), BusError>;

    /// What is counted together, if the bus can count.
    fn counters(&self) -> Option<&dyn SharedCounters>;
}

/// Counters that all nodes share: sliding windows by key.
#[async_trait]
pub trait SharedCounters: Send + Sync {
    /// Counts `attempt` under a key in one step with finding that there were less than `most` within that time;
    /// otherwise counts nothing and answers how long to wait.
    ///
    /// # Errors
    /// When that cannot be known at the moment; perhaps it was counted.
    async fn count(
        &self,
        key: &str,
        attempt: &[u8],
        most: u32,
        within: Duration,
    ) -> Result<Option<Duration>, BusError>;

    /// Takes an attempt back.
    ///
    /// # Errors
    /// When that is not possible at the moment.
    async fn uncount(&self, key: &str, attempt: &[u8]) -> Result<(), BusError>;

    /// Forgets what was counted under a key.
    ///
    /// # Errors
    /// When that is not possible at the moment.
    async fn forget(&self, key: &str) -> Result<(), BusError>;
}

/// Nodes that have nothing but their store in common.
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
