//! Rooms and who is in them.
//!
//! ```text
//! ann > room.create {"name":"Tea","visibility":"public","members":["BOB"]} (ack)      {"ok":true,"success":true,"room":{…}}
//! ann > member.add {"roomId":"…","userId":"…"}, member.remove {the same} (ack)      {…,"room":{…}}
//! ann > member.setRole {"roomId":"…","userId":"…","role":"moderator"} (ack)      {…,"room":{…}}
//! bob > room.join {"roomId":"…"}, room.leave {"roomId":"…"} (ack)      {…,"room":{…}}
//! ```
//! A room is `private` unless something else is said. Who has left learns nothing of the room but its id.

use chat_core::command::{AddMember, Command, CreateRoom, RemoveMember, SetRole};
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Role, Visibility};

use super::arguments::{Arguments, wrong};
use crate::dialect::DecodeError;

pub(super) fn create(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let name = arguments.required("name")?.into_owned();
    let visibility = match arguments.text("visibility")?.as_deref() {
        None | Some("private") => Visibility::Private,
        Some("public") => Visibility::Public,
        Some(_) => return Err(wrong("visibility", "public or private")),
    };
    let members = arguments.texts("members")?;
    let members = members.iter().map(|id| id.parse()).collect::<Result<Vec<UserId>, _>>();
    let members = members.map_err(|_| wrong("members", "a list of users' ids"))?;
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
        _ => return Err(wrong("role", "member, moderator or admin")),
    };
    Ok(SetRole { room: room(arguments)?, user: user(arguments)?, role }.into())
}

fn room(arguments: &Arguments<'_>) -> Result<ConversationId, DecodeError> {
    arguments.required_id("roomId", "a room's id")
}

fn user(arguments: &Arguments<'_>) -> Result<UserId, DecodeError> {
    arguments.required_id("userId", "a user's id")
}
