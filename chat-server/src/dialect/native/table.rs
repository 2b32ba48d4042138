//! The commands, each once: its event, its route, its fields, and what it asks the core for. The socket's events and the routes
//! under `/api/v1` are made from this table.

use axum::http::{Method, StatusCode};
use chat_core::command::Command;

use super::arguments::{Arguments, Fields};
use super::{messages, moderation, people, read, rooms, search, sync};
use crate::dialect::{Call, DecodeError, Request};

/// A command as clients know it.
pub(crate) struct Row {
    /// Its event: a noun and a verb.
    pub(crate) event: &'static str,
    /// Its method over HTTP. With `GET` and `DELETE` what does not stand in the path is in the query, else in the body.
    pub(crate) method: Method,
    /// Its path over HTTP, with `:field` for fields that stand there.
    pub(crate) path: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [&'static str],
    /// What it asks for.
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
    /// What it was called before there was this table; both names stay.
    pub(crate) old: Option<Old>,
    /// Whether something new is there once it is carried out.
    creates: bool,
    /// Whether an event may come without an object.
    is_optional: bool,
}

/// The names of a command that is older than the table.
pub(crate) struct Old {
    /// Its event.
    pub(crate) event: &'static str,
    /// Its path, with the same method.
    pub(crate) path: &'static str,
}

pub(crate) static TABLE: &[Row] = &[
    row(
        "message.send",
        Method::POST,
        "/api/v1/messages",
        &["roomId", "userId", "username", "content", "fileName", "image", "clientId"],
        messages::send,
    )
    .creating(),
    row(
        "message.list",
        Method::GET,
        "/api/v1/messages",
        &["roomId", "userId", "username", "before", "after", "limit", "deleted"],
        messages::list,
    ),
    row("message.delete", Method::DELETE, "/api/v1/messages/:messageId", &["messageId"], messages::delete),
    row(
        "message.restore",
        Method::POST,
        "/api/v1/messages/:messageId/restore",
        &["messageId"],
        messages::restore,
    ),
    row(
        "reaction.add",
        Method::POST,
        "/api/v1/messages/:messageId/reactions",
        &["messageId", "emoji"],
        messages::react,
    ),
    row(
        "reaction.remove",
        Method::DELETE,
        "/api/v1/messages/:messageId/reactions",
        &["messageId", "emoji"],
        messages::take_back,
    ),
    row(
        "message.search",
        Method::GET,
        "/api/v1/search",
        &[
            "q",
            "roomId",
            "userId",
            "username",
            "before",
            "limit",
            "senderId",
            "senderUsername",
            "types",
            "from",
            "until",
            "order",
            "snippets",
        ],
        search::command,
    )
    .formerly("search", "/api/search"),
    row("room.create", Method::POST, "/api/v1/rooms", &["name", "visibility", "members"], rooms::create)
        .creating(),
    row("room.update", Method::PATCH, "/api/v1/rooms/:roomId", &["roomId", "slowMode"], moderation::update),
    row("room.join", Method::POST, "/api/v1/rooms/:roomId/join", &["roomId"], rooms::join),
    row("room.leave", Method::POST, "/api/v1/rooms/:roomId/leave", &["roomId"], rooms::leave),
    row(
        "member.list",
        Method::GET,
        "/api/v1/rooms/:roomId/members",
        &["roomId", "after", "limit"],
        rooms::list,
    ),
    row("member.add", Method::POST, "/api/v1/rooms/:roomId/members", &["roomId", "userId"], rooms::add),
    row(
        "member.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/members/:userId",
        &["roomId", "userId"],
        rooms::remove,
    ),
    row(
        "member.setRole",
        Method::PATCH,
        "/api/v1/rooms/:roomId/members/:userId",
        &["roomId", "userId", "role"],
        rooms::set_role,
    ),
    row("ban.add", Method::POST, "/api/v1/rooms/:roomId/bans", &["roomId", "userId"], moderation::ban),
    row(
        "ban.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/bans/:userId",
        &["roomId", "userId"],
        moderation::lift_ban,
    ),
    row(
        "ban.list",
        Method::GET,
        "/api/v1/rooms/:roomId/bans",
        &["roomId", "afterId", "limit"],
        moderation::list_bans,
    ),
    row(
        "mute.add",
        Method::POST,
        "/api/v1/rooms/:roomId/mutes",
        &["roomId", "userId", "until"],
        moderation::mute,
    ),
    row(
        "mute.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/mutes/:userId",
        &["roomId", "userId"],
        moderation::lift_mute,
    ),
    row(
        "read.mark",
        Method::POST,
        "/api/v1/read",
        &["roomId", "userId", "username", "messageId", "seq"],
        read::mark,
    )
    .formerly("read", "/api/read"),
    row("unread.list", Method::GET, "/api/v1/unread", &["limit"], read::list)
        .formerly("unread", "/api/unread")
        .optional(),
    row("log.sync", Method::GET, "/api/v1/sync", &["since", "limit"], sync::command)
        .formerly("sync", "/api/sync")
        .optional(),
    row(
        "typing.set",
        Method::PUT,
        "/api/v1/typing",
        &["roomId", "userId", "username", "typing"],
        messages::set_typing,
    ),
    row("user.list", Method::GET, "/api/v1/users", &["limit"], people::list).optional(),
    row("chat.list", Method::GET, "/api/v1/chats", &["limit"], people::chats).optional(),
    row("profile.update", Method::PATCH, "/api/v1/profile", &["fullName", "avatar"], people::update_profile),
];

const fn row(
    event: &'static str,
    method: Method,
    path: &'static str,
    fields: &'static [&'static str],
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
) -> Row {
    Row { event, method, path, fields, command, old: None, creates: false, is_optional: false }
}

impl Row {
    const fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    const fn formerly(mut self, event: &'static str, path: &'static str) -> Self {
        self.old = Some(Old { event, path });
        self
    }

    /// The command that is asked for.
    pub(super) fn command(&self, arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
        (self.command)(arguments)
    }

    /// The names of its event.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.event), self.old.as_ref().map(|old| old.event)].into_iter().flatten()
    }

    /// The status of its answer over HTTP.
    pub(super) fn status(&self) -> StatusCode {
        if self.creates { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Whether an event of it may come without an object.
    pub(super) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// Whether it may be as large as an image or a file.
    pub(super) fn may_be_large(&self) -> bool {
        self.fields.iter().any(|field| matches!(*field, "content" | "image" | "avatar"))
    }
}

/// The row of an event, and the name of it that was used.
pub(super) fn find(event: &str) -> Option<(&'static Row, &'static str)> {
    TABLE.iter().find_map(|row| Some((row, row.events().find(|name| *name == event)?)))
}

/// What an event asks for.
pub(super) fn decode(call: &Call<'_>) -> Result<(Command, Request), DecodeError> {
    let (row, name) = find(&call.event).ok_or(DecodeError::UnknownEvent)?;
    let arguments = Arguments::of(call.asker());
    let arguments = match row.is_optional && call.is_empty() {
        true => arguments,
        false => arguments.with_fields(call.object::<Fields<'_>>()?),
    };
    Ok((row.command(&arguments)?, Request { event: name, echo: None }))
}
