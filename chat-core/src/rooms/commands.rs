//! The commands. Those that change something are answered with the room as it is then.

use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::store::Row;

/// Keep somebody out of a room: take them out, if they are in, and let them come in no more. Or let them in again.
#[derive(Debug, Clone)]
pub struct SetBan {
    /// The room.
    pub room: ConversationId,
    /// Who; also somebody who is not in.
    pub user: UserId,
    /// Whether they are kept out from now on.
    pub is_banned: bool,
}

/// Read who may not come into a room. Only those may who may ban.
#[derive(Debug, Clone)]
pub struct ListBans {
    /// The room.
    pub room: ConversationId,
    /// Those behind this person in the order of ids.
    pub after: Option<UserId>,
    /// At most so many, and at most [`MAX_BANS_AT_ONCE`].
    pub limit: usize,
}

/// Most people that [`ListBans`] is answered with.
pub const MAX_BANS_AT_ONCE: usize = 1_000;

/// That somebody may not come into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub user: UserId,
    /// Who has decided so.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

impl Ban {
    pub(super) fn to_value(self) -> Vec<u8> {
        [&self.by.as_bytes()[..], &self.at.as_millis().to_be_bytes()].concat()
    }

    pub(super) fn from_row(row: &Row) -> Option<Self> {
        let id = |bytes: &[u8]| Some(UserId::from_bytes(*bytes.first_chunk()?));
        let at = i64::from_be_bytes(*row.value.get(12..)?.first_chunk()?);
        Some(Self { user: id(row.key.get(12..)?)?, by: id(&row.value)?, at: Timestamp::from_millis(at) })
    }
}

/// Some of those who may not come into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanPage {
    /// In the order of their ids: the next page comes after the last one.
    pub bans: Vec<Ban>,
    /// Whether there are others behind them.
    pub has_more: bool,
}

/// Keep a member from speaking, or let them speak again. It holds also when they leave and come back.
#[derive(Debug, Clone)]
pub struct SetMute {
    /// The room.
    pub room: ConversationId,
    /// Who.
    pub user: UserId,
    /// What is to be done.
    pub muting: Muting,
}

/// Whether somebody may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Muting {
    /// Not until this moment.
    Until(Timestamp),
    /// Not until that is taken back.
    ForEver,
    /// They may.
    Lifted,
}

/// Change what is said of a room, and its settings. What is none stays as it is.
#[derive(Debug, Clone)]
pub struct UpdateRoom {
    /// The room.
    pub room: ConversationId,
    /// Seconds that plain members wait between two messages, at most [`MAX_SLOW_MODE`]; 0 for no wait.
    pub slow_mode: Option<u32>,
}

/// Longest wait between two messages of a plain member, in seconds: six hours.
pub const MAX_SLOW_MODE: u32 = 6 * 60 * 60;
