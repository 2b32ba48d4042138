//! Backups of what is in memory, for tests of what comes of putting one back.

use super::MemoryStore;
use super::state::State;

/// All that a store held at one moment.
#[derive(Clone)]
pub struct Saved(State);

impl MemoryStore {
    /// Saves everything.
    pub fn save(&self) -> Saved {
        Saved(self.state.lock().clone())
    }

    /// Puts what was saved in the place of what is there, its epoch included, as an operator does who puts back the backup of
    /// a database and nothing else.
    pub fn put_back(&self, saved: Saved) {
        *self.state.lock() = saved.0;
    }
}
