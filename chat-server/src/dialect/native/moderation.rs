//! What is done in a room besides changing who is in it: its settings, and who may not come in or speak.
//!
//! ```text
//! ann > room.update {"roomId":"…","slowMode":30} (ack)      {"ok":true,"success":true,"room":{…}}
//! ann > ban.add {"roomId":"…","userId":"…"}, ban.remove {the same} (ack)      {…,"room":{…}}
//! ann > ban.list {"roomId":"…","limit":100} (ack)      {…,"bans":[{"userId":"…","by":"…","timestamp":0}],"next":null}
//! ann > mute.add {"roomId":"…","userId":"…","until":1700000000000}, mute.remove {"roomId":"…","userId":"…"} (ack)      {…,"room":{…}}
//! ann < memberBanned, memberUnbanned, memberUnmuted {"roomId":"…","userId":"…","by":"…"}      memberMuted has "until" too
//! ann < roomUpdated {"room":{…},"by":"…"}
//! ```
//! Without `until` a member is mute until that is taken back. The room of `roomUpdated` comes without its members.

use chat_core::clock::Timestamp;
use chat_core::command::Command;
use chat_core::id::UserId;
use chat_core::model::{Conversation, RoomAspect};
use chat_core::rooms::{
    Ban, BanPage, ListBans, MAX_BANS_AT_ONCE, MAX_SLOW_MODE, Muting, SetBan, SetMute, UpdateRoom,
};
use serde::Serialize;

use super::arguments::{Arguments, wrong};
use super::rooms::{room, user};
use super::shapes::{RoomObject, UserId24, room_alone};
use crate::dialect::DecodeError;

/// Bans in one answer, when nothing else is asked for.
const DEFAULT_LIMIT: usize = 100;

pub(super) fn update(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let slow_mode = arguments.count("slowMode")?.map(u32::try_from).transpose();
    let slow_mode = slow_mode.ok().filter(|seconds| seconds.is_none_or(|seconds| seconds <= MAX_SLOW_MODE));
    let slow_mode = slow_mode.ok_or(wrong("slowMode", "at most 21600 seconds"))?;
    Ok(UpdateRoom { room: room(arguments)?, slow_mode }.into())
}

pub(super) fn ban(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(SetBan { room: room(arguments)?, user: user(arguments)?, is_banned: true }.into())
}

pub(super) fn lift_ban(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(SetBan { room: room(arguments)?, user: user(arguments)?, is_banned: false }.into())
}

pub(super) fn list_bans(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let limit = arguments.limit(DEFAULT_LIMIT, MAX_BANS_AT_ONCE)?;
    let after = arguments.id("afterId", "a user's id")?;
    Ok(ListBans { room: room(arguments)?, after, limit }.into())
}

pub(super) fn mute(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let until = arguments.count("until")?.map(i64::try_from).transpose();
    let until = until.map_err(|_| wrong("until", "a moment in milliseconds since 1970"))?;
    let muting = until.map_or(Muting::ForEver, |until| Muting::Until(Timestamp::from_millis(until)));
    Ok(SetMute { room: room(arguments)?, user: user(arguments)?, muting }.into())
}

pub(super) fn lift_mute(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(SetMute { room: room(arguments)?, user: user(arguments)?, muting: Muting::Lifted }.into())
}

/// Some of those who are banned, and after whom the next page comes.
pub(super) fn listed(page: &BanPage) -> Listed {
    let ban = |ban: &Ban| BanObject {
        user_id: ban.user.to_string(),
        by: ban.by.to_string(),
        timestamp: ban.at.as_millis(),
    };
    let last = page.bans.last().map(|ban| ban.user.to_string());
    Listed { bans: page.bans.iter().map(ban).collect(), next: last.filter(|_| page.has_more) }
}

#[derive(Serialize)]
pub(super) struct Listed {
    bans: Vec<BanObject>,
    next: Option<UserId24>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BanObject {
    user_id: UserId24,
    by: UserId24,
    timestamp: i64,
}

/// That something about a room has changed.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Changed<'a> {
    Room {
        room: RoomObject<'a>,
        by: UserId24,
    },
    #[serde(rename_all = "camelCase")]
    Member {
        room_id: String,
        user_id: UserId24,
        by: UserId24,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<i64>,
    },
}

/// What the event is called, and what it says to somebody who is inside or not.
pub(super) fn changed(
    room: &Conversation,
    by: UserId,
    aspect: RoomAspect,
    is_inside: bool,
) -> (&'static str, Changed<'_>) {
    let by = by.to_string();
    let until = match aspect {
        RoomAspect::Muted { until, .. } => Some(until),
        _ => None,
    };
    let until = until.filter(|until| *until != RoomAspect::FOR_EVER).map(Timestamp::as_millis);
    let told = match aspect.user() {
        Some(user) => Changed::Member { room_id: room.id.to_string(), user_id: user.to_string(), by, until },
        None => Changed::Room { room: room_alone(room, is_inside), by },
    };
    let name = match aspect {
        RoomAspect::Banned(_) => "memberBanned",
        RoomAspect::Unbanned(_) => "memberUnbanned",
        RoomAspect::Muted { .. } => "memberMuted",
        RoomAspect::Unmuted(_) => "memberUnmuted",
        RoomAspect::Updated => "roomUpdated",
    };
    (name, told)
}
