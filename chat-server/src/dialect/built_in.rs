//! The dialects that this crate brings along.

use std::sync::Arc;

use super::camel::Camel;
use super::native::Native;
use super::push::Push;
use super::{Dialect, Dialects};

impl Dialects {
    /// Those that this crate brings along. All are served, and the first is spoken by default, until [`Self::serving`] says
    /// otherwise.
    pub fn built_in() -> Self {
        let native: Arc<dyn Dialect> = Arc::new(Native);
        Self::of(vec![Arc::new(Camel), Arc::new(Push)], &native)
    }
}
