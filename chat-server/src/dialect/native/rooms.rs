//! Rooms and who is in them.
//!
//! ```text
//! ann > room.create {"name":"Tea","visibility":"public","members":["BOB"]} (ack)      {"ok":true,"success":true,"room":{…}}
//! ann > member.add {"roomId":"…","userId":"…"}, member.remove {the same} (ack)      {…,"room":{…}}
//! ann > member.setRole {"roomId":"…","userId":"…","role":"moderator"} (ack)      {…,"room":{…}}
//! ann > member.list {"roomId":"…","after":0,"limit":100} (ack)      {…,"members":[{"userId":"…","role":"admin","joinedAt":0}],"next":null}
//! bob > room.join {"roomId":"…"}, room.leave {"roomId":"…"} (ack)      {…,"room":{…}}
//! ```
//! A room is `private` unless something else is said. Who has left learns nothing of the room but its id.

use chat_core::command::{AddMember, Command, CreateRoom, MemberPage, ReadMembers, RemoveMember, SetRole};
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{JoinOrder, Role, Visibility};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::shapes::{MemberObject, member};
use crate::dialect::DecodeError;

pub(super) fn create(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let name = arguments.required("name")?.into_owned();
    let visibility = match arguments.text("visibility")?.as_deref() {
        None | Some("private") => Visibility::Private,
        Some("public") => Visibility::Public,
        Some(_) => return Err(arguments.wrong("visibility")),
    };
    let members = arguments.texts("members")?;
    let members = members.iter().map(|id| id.parse()).collect::<Result<Vec<UserId>, _>>();
    let members = members.map_err(|_| arguments.wrong("members"))?;
    Ok(CreateRoom { name, visibility, members }.into())
}

pub(super) fn join(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(AddMember { room: room(arguments)?, user: arguments.asker()? }.into())
}

pub(super) fn leave(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(RemoveMember { room: room(arguments)?, user: arguments.asker()? }.into())
}

pub(super) fn add(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(AddMember { room: room(arguments)?, user: user(arguments)? }.into())
}

pub(super) fn remove(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    Ok(RemoveMember { room: room(arguments)?, user: user(arguments)? }.into())
}

pub(super) fn set_role(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let role = match &*arguments.required("role")? {
        "member" => Role::Member,
        "moderator" => Role::Moderator,
        "admin" => Role::Admin,
        _ => return Err(arguments.wrong("role")),
    };
    Ok(SetRole { room: room(arguments)?, user: user(arguments)?, role }.into())
}

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let after = JoinOrder(arguments.count("after")?.unwrap_or_default());
    Ok(ReadMembers { of: room(arguments)?, after, limit: arguments.limit()? }.into())
}

/// Some of the members, and where the next page comes after.
pub(super) fn listed(page: &MemberPage) -> Listed {
    let last = page.members.last().map(|(order, _)| order.0);
    Listed {
        members: page.members.iter().map(|(_, of)| member(of)).collect(),
        next: last.filter(|_| page.has_more),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MemberList")]
pub(super) struct Listed {
    members: Vec<MemberObject>,
    /// The next page is behind this; none when there are no more.
    next: Option<u64>,
}

pub(super) fn room(arguments: &Arguments<'_>) -> Result<ConversationId, DecodeError> {
    arguments.required_id("roomId")
}

pub(super) fn user(arguments: &Arguments<'_>) -> Result<UserId, DecodeError> {
    arguments.required_id("userId")
}
