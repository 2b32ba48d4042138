//! What the one task that commits runs: writes, and what a store does besides.

use super::writing::Writing;
use crate::model::Position;
use crate::store::tx::{Abort, Reads};
use crate::store::{StoreError, Write, Written};

/// A change that can be tried again: nothing of it is kept when its transaction fails.
pub(super) trait Change: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;

    /// Asks for all that [`Self::run`] looks at.
    fn reads(&self, _: &mut Reads) {}

    /// Most positions that it may take.
    fn most_logged(&self) -> u64 {
        0
    }

    /// About how many bytes it writes.
    fn size(&self) -> usize {
        1 << 10
    }

    /// Makes the change. When it fails it has changed nothing.
    fn run(&self, writing: &mut Writing) -> Result<Self::Done, StoreError>;
}

impl Change for Write {
    type Done = Written;

    fn reads(&self, reads: &mut Reads) {
        Write::reads(self, reads);
    }

    fn most_logged(&self) -> u64 {
        Write::most_logged(self)
    }

    fn size(&self) -> usize {
        Write::size(self)
    }

    fn run(&self, writing: &mut Writing) -> Result<Written, StoreError> {
        self.apply(writing).map_err(|abort| match abort {
            Abort::Refused(error) | Abort::Failed(error) => error,
        })
    }
}

/// Changes nothing; shows that a transaction can be committed.
pub(super) struct Nothing;

impl Change for Nothing {
    type Done = ();

    fn run(&self, _: &mut Writing) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Has the log begin after this position.
pub(super) struct ForgetLog(pub(super) Position);

impl Change for ForgetLog {
    type Done = ();

    fn run(&self, writing: &mut Writing) -> Result<(), StoreError> {
        writing.forget_log(self.0);
        Ok(())
    }
}
