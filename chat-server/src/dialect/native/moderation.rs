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
//! Without `until` a member is mute until that is taken back.

use chat_core::clock::Timestamp;
use chat_core::command::Command;
use chat_core::id::UserId;
use chat_core::model::{Conversation, RoomAspect};
use chat_core::rooms::{Ban, BanPage, ListBans, MAX_SLOW_MODE, Muting, SetBan, SetMute, UpdateRoom};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::{Arguments, wrong};
use super::rooms::{room, user};
use super::shapes::{self, RoomObject, UserId24};
use crate::dialect::DecodeError;

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
    let after = arguments.id("afterId")?;
    Ok(ListBans { room: room(arguments)?, after, limit: arguments.limit()? }.into())
}

pub(super) fn mute(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let until = arguments.count("until")?.map(i64::try_from).transpose();
    let until = until.map_err(|_| arguments.wrong("until"))?;
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

/// Some of those who may not come into a room.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BanPage")]
pub(super) struct Listed {
    bans: Vec<BanObject>,
    /// The `afterId` of the next page; none behind the last one.
    next: Option<UserId24>,
}

/// That somebody may not come into a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Ban")]
struct BanObject {
    user_id: UserId24,
    /// Who has decided so.
    by: UserId24,
    /// Milliseconds since 1970.
    timestamp: i64,
}

/// That somebody may not come in or speak any more, or may again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Restricted")]
pub(super) struct Restricted {
    room_id: String,
    user_id: UserId24,
    /// Who has decided so.
    by: UserId24,
    /// Milliseconds since 1970; missing when there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// That something else is said of a room.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomUpdate")]
pub(super) struct Updated<'a> {
    room: RoomObject<'a>,
    /// Who has changed it.
    by: UserId24,
}

/// What is told of the change of a room.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "RoomChange")]
pub(super) enum Changed<'a> {
    Restricted(Restricted),
    Updated(Updated<'a>),
}

/// The name and the object of the event about the change of a room.
pub(super) fn told(
    room: &Conversation,
    by: UserId,
    aspect: RoomAspect,
    is_inside: bool,
) -> (&'static str, Changed<'_>) {
    let restricted = |name, user: UserId, until: Option<Timestamp>| {
        let (room_id, user_id, by) = (room.id.to_string(), user.to_string(), by.to_string());
        let until = until.map(Timestamp::as_millis);
        (name, Changed::Restricted(Restricted { room_id, user_id, by, until }))
    };
    match aspect {
        RoomAspect::Banned(user) => restricted("memberBanned", user, None),
        RoomAspect::Unbanned(user) => restricted("memberUnbanned", user, None),
        RoomAspect::Muted { user, until } => {
            restricted("memberMuted", user, Some(until).filter(|until| *until != RoomAspect::FOR_EVER))
        }
        RoomAspect::Unmuted(user) => restricted("memberUnmuted", user, None),
        RoomAspect::Updated => {
            let updated = Updated { room: shapes::room(room, is_inside), by: by.to_string() };
            ("roomUpdated", Changed::Updated(updated))
        }
    }
}
