//! What can be done in a room besides changing who is in it and with what role: keeping people out, keeping members from
//! speaking, and changing what is said of the room and its settings. It is kept in keyed tables of its own.
//!
//! What holds for those who speak ([`Table::RoomRules`](crate::store::Table::RoomRules)) is looked at for each message, so drivers know it by heart; of a room
//! where nothing special holds there is nothing else to look at.

mod change;
mod chat;
mod commands;
mod rules;

pub use self::change::{ChangeRoom, RoomAct, RoomLog};
pub use self::commands::{
    Ban, BanPage, ListBans, MAX_BANS_AT_ONCE, MAX_SLOW_MODE, Muting, SetBan, SetMute, UpdateRoom,
};
pub(crate) use self::rules::{Rules, details, name_reads_of_speaker, of_member};

#[cfg(test)]
mod tests;
