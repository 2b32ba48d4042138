//! Which part of a conversation's history is wanted.

use crate::model::Seq;

/// A window on a history. Cursors are places in the conversation, so pages do not shift while messages arrive.
///
/// An answer may hold fewer messages than the window, when their texts take too many bytes
/// ([`Limits::answer_bytes`](crate::policy::Limits::answer_bytes)): it ends early, away from where the window begins, and says
/// that there are more. With page numbers those cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last `limit` messages.
    Latest {
        /// At most so many.
        limit: usize,
    },
    /// The last `limit` messages before a place.
    Before {
        /// The place; the message there is left out.
        seq: Seq,
        /// At most so many.
        limit: usize,
    },
    /// The first `limit` messages after a place.
    After {
        /// The place; the message there is left out.
        seq: Seq,
        /// At most so many.
        limit: usize,
    },
    /// Page `page` (from 1) of `size` messages counted from the newest, for clients that know only page numbers.
    /// Such pages shift while messages arrive; prefer cursors.
    Page {
        /// From 1.
        page: usize,
        /// Messages on a page.
        size: usize,
    },
}

impl Window {
    /// The last `limit` messages before a place; without one, those at the end.
    pub fn before(place: Option<Seq>, limit: usize) -> Self {
        match place {
            Some(seq) => Self::Before { seq, limit },
            None => Self::Latest { limit },
        }
    }

    /// Most messages one window can hold.
    pub const MAX_LIMIT: usize = 10_000;

    /// How many messages it holds at most.
    pub fn limit(self) -> usize {
        match self {
            Self::Latest { limit } | Self::Before { limit, .. } | Self::After { limit, .. } => limit,
            Self::Page { size, .. } => size,
        }
        .min(Self::MAX_LIMIT)
    }

    /// How many messages at the newest end are passed over.
    pub fn skip(self) -> usize {
        match self {
            Self::Page { page, size } => page.saturating_sub(1).saturating_mul(size.min(Self::MAX_LIMIT)),
            Self::Latest { .. } | Self::Before { .. } | Self::After { .. } => 0,
        }
    }
}
