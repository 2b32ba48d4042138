//! The commands, each once: its event, its route, its fields, and what it asks the core for. The socket's events and the routes
//! under `/api/v1` are made from this table.

use axum::http::{Method, StatusCode};
use chat_core::command::{Command, MAX_MEMBERS_AT_ONCE};
use chat_core::rooms::MAX_BANS_AT_ONCE;
use chat_core::search::Search;

use super::arguments::Arguments;
use super::fields::*;
use super::shapes::{OfMessage, OfRoom, OfUser};
use super::{messages, moderation, people, read, rooms, search, sync};
use crate::app::App;
use crate::dialect::field::{Field, Nothing, Rule, Shown, shown};
use crate::dialect::{Call, DecodeError, Request};

/// A command as clients know it. What it takes and answers is described here for those who read it, and for the descriptions of
/// the API ([`crate::describe`]).
pub(crate) struct Row {
    /// Its event: a noun and a verb.
    pub(crate) event: &'static str,
    /// Its method over HTTP. With `GET` and `DELETE` what does not stand in the path is in the query, else in the body.
    pub(crate) method: Method,
    /// Its path over HTTP, with `:field` for fields that stand there.
    pub(crate) path: &'static str,
    /// What it does, as a sentence.
    pub(crate) about: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [Field],
    /// What of its fields must be there together.
    pub(crate) rules: &'static [Rule],
    /// The object of its answer.
    pub(crate) answer: Shown,
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
        "Says something in a conversation, which is begun if there is none with that person yet.",
        &[IN_ROOM, WITH_USER, WITH_NAMED, CONTENT.optional(), FILE_NAME, IMAGE, CLIENT_ID],
        shown::<OfMessage<'_>>,
        messages::send,
    )
    .with(&[Rule::One(PLACE), Rule::Some(&["content", "image"])])
    .creating(),
    row(
        "message.list",
        Method::GET,
        "/api/v1/messages",
        "Reads a part of a history, the oldest message first; the latest part when nothing is said.",
        &[IN_ROOM, WITH_USER, WITH_NAMED, BEFORE, AFTER, limit(50, 1_000), DELETED],
        shown::<messages::Listed<'_>>,
        messages::list,
    )
    .with(&[Rule::One(PLACE), Rule::AtMostOne(&["before", "after"])]),
    row(
        "message.delete",
        Method::DELETE,
        "/api/v1/messages/:messageId",
        "Deletes a message for everybody.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        messages::delete,
    ),
    row(
        "message.restore",
        Method::POST,
        "/api/v1/messages/:messageId/restore",
        "Takes the deletion of a message back.",
        &[MESSAGE_ID],
        shown::<OfMessage<'_>>,
        messages::restore,
    ),
    row(
        "reaction.add",
        Method::POST,
        "/api/v1/messages/:messageId/reactions",
        "Reacts to a message with an emoji.",
        &[MESSAGE_ID, EMOJI],
        shown::<OfMessage<'_>>,
        messages::react,
    ),
    row(
        "reaction.remove",
        Method::DELETE,
        "/api/v1/messages/:messageId/reactions",
        "Takes a reaction back.",
        &[MESSAGE_ID, EMOJI],
        shown::<OfMessage<'_>>,
        messages::take_back,
    ),
    row(
        "message.search",
        Method::GET,
        "/api/v1/search",
        "Finds messages by their words, by who wrote them, by their kind and by when they were sent.",
        &[
            Q,
            IN_ROOM,
            WITH_USER,
            WITH_NAMED,
            BEFORE_FOUND,
            limit(20, Search::MAX),
            SENDER_ID,
            SENDER_USERNAME,
            TYPES,
            FROM,
            UNTIL,
            ORDER,
            SNIPPETS,
        ],
        shown::<search::FoundObject<'_>>,
        search::command,
    )
    .with(&[
        Rule::AtMostOne(PLACE),
        Rule::AtMostOne(&["senderId", "senderUsername"]),
        Rule::Some(&["q", "senderId", "senderUsername", "types", "from", "until"]),
    ])
    .formerly("search", "/api/search"),
    row(
        "room.create",
        Method::POST,
        "/api/v1/rooms",
        "Makes a room, of which one is the admin.",
        &[NAME, VISIBILITY, MEMBERS],
        shown::<OfRoom<'_>>,
        rooms::create,
    )
    .creating(),
    row(
        "room.update",
        Method::PATCH,
        "/api/v1/rooms/:roomId",
        "Changes the settings of a room.",
        &[ROOM_ID, SLOW_MODE],
        shown::<OfRoom<'_>>,
        moderation::update,
    ),
    row(
        "room.join",
        Method::POST,
        "/api/v1/rooms/:roomId/join",
        "Enters a public room.",
        &[ROOM_ID],
        shown::<OfRoom<'_>>,
        rooms::join,
    ),
    row(
        "room.leave",
        Method::POST,
        "/api/v1/rooms/:roomId/leave",
        "Leaves a room; one learns nothing of it any more but its id.",
        &[ROOM_ID],
        shown::<OfRoom<'_>>,
        rooms::leave,
    ),
    row(
        "member.list",
        Method::GET,
        "/api/v1/rooms/:roomId/members",
        "Reads who is in a room, in the order of joining.",
        &[ROOM_ID, AFTER.about("Only who comes behind this `next`."), limit(100, MAX_MEMBERS_AT_ONCE)],
        shown::<rooms::Listed>,
        rooms::list,
    ),
    row(
        "member.add",
        Method::POST,
        "/api/v1/rooms/:roomId/members",
        "Takes somebody into a room.",
        &[ROOM_ID, USER_ID],
        shown::<OfRoom<'_>>,
        rooms::add,
    ),
    row(
        "member.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/members/:userId",
        "Takes somebody out of a room.",
        &[ROOM_ID, USER_ID],
        shown::<OfRoom<'_>>,
        rooms::remove,
    ),
    row(
        "member.setRole",
        Method::PATCH,
        "/api/v1/rooms/:roomId/members/:userId",
        "Says what a member of a room may do.",
        &[ROOM_ID, USER_ID, ROLE],
        shown::<OfRoom<'_>>,
        rooms::set_role,
    ),
    row(
        "ban.add",
        Method::POST,
        "/api/v1/rooms/:roomId/bans",
        "Takes somebody out of a room, if they are in, and lets them come in no more.",
        &[ROOM_ID, USER_ID],
        shown::<OfRoom<'_>>,
        moderation::ban,
    ),
    row(
        "ban.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/bans/:userId",
        "Lets somebody come into a room again.",
        &[ROOM_ID, USER_ID],
        shown::<OfRoom<'_>>,
        moderation::lift_ban,
    ),
    row(
        "ban.list",
        Method::GET,
        "/api/v1/rooms/:roomId/bans",
        "Lists those who may not come into a room, in the order of their ids.",
        &[ROOM_ID, AFTER_USER, limit(100, MAX_BANS_AT_ONCE)],
        shown::<moderation::Listed>,
        moderation::list_bans,
    ),
    row(
        "mute.add",
        Method::POST,
        "/api/v1/rooms/:roomId/mutes",
        "Keeps a member from speaking in a room.",
        &[ROOM_ID, USER_ID, UNTIL.about("When it ends; it has no end when nothing is said.")],
        shown::<OfRoom<'_>>,
        moderation::mute,
    ),
    row(
        "mute.remove",
        Method::DELETE,
        "/api/v1/rooms/:roomId/mutes/:userId",
        "Lets a member speak in a room again.",
        &[ROOM_ID, USER_ID],
        shown::<OfRoom<'_>>,
        moderation::lift_mute,
    ),
    row(
        "read.mark",
        Method::POST,
        "/api/v1/read",
        "Says how far one has read a conversation; to its end when nothing is said.",
        &[IN_ROOM, WITH_USER, WITH_NAMED, MESSAGE_ID.optional(), SEQ],
        shown::<read::Marked>,
        read::mark,
    )
    .with(&[Rule::One(PLACE), Rule::AtMostOne(&["messageId", "seq"])])
    .formerly("read", "/api/read"),
    row(
        "unread.list",
        Method::GET,
        "/api/v1/unread",
        "Tells in which conversations something is unread, the latest first.",
        &[limit(100, 1_000)],
        shown::<read::UnreadList<'_>>,
        read::list,
    )
    .formerly("unread", "/api/unread")
    .optional(),
    row(
        "log.sync",
        Method::GET,
        "/api/v1/sync",
        "Reads on in the log of changes.",
        &[SINCE, limit(100, 1_000)],
        shown::<sync::SyncObject<'_>>,
        sync::command,
    )
    .formerly("sync", "/api/sync")
    .optional(),
    row(
        "typing.set",
        Method::PUT,
        "/api/v1/typing",
        "Tells the others of a conversation whether one types.",
        &[IN_ROOM, WITH_USER, WITH_NAMED, TYPING],
        shown::<Nothing>,
        messages::set_typing,
    )
    .with(&[Rule::One(PLACE)]),
    row(
        "user.list",
        Method::GET,
        "/api/v1/users",
        "Lists all other people, and whether they are there.",
        &[limit(1_000, App::MAX_USERS)],
        shown::<people::Listed<'_>>,
        people::list,
    )
    .optional(),
    row(
        "chat.list",
        Method::GET,
        "/api/v1/chats",
        "Lists the people whom one has talked with, the latest first.",
        &[limit(1_000, App::MAX_USERS)],
        shown::<people::Listed<'_>>,
        people::chats,
    )
    .optional(),
    row(
        "profile.update",
        Method::PATCH,
        "/api/v1/profile",
        "Changes one's own name and picture.",
        &[FULL_NAME, AVATAR.optional()],
        shown::<OfUser<'_>>,
        people::update_profile,
    )
    .with(&[Rule::Some(&["fullName", "avatar"])]),
];

const fn row(
    event: &'static str,
    method: Method,
    path: &'static str,
    about: &'static str,
    fields: &'static [Field],
    answer: Shown,
    command: fn(&Arguments<'_>) -> Result<Command, DecodeError>,
) -> Row {
    Row {
        event,
        method,
        path,
        about,
        fields,
        rules: &[],
        answer,
        command,
        old: None,
        creates: false,
        is_optional: false,
    }
}

impl Row {
    /// What of its fields must be there together.
    const fn with(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

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
    pub(crate) fn status(&self) -> StatusCode {
        if self.creates { StatusCode::CREATED } else { StatusCode::OK }
    }

    /// Whether an event of it may come without an object.
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// The fields that stand in its path over HTTP.
    pub(crate) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix(':'))
    }

    /// Whether a request may come without a body: where an event may come without an object, and where its path says what is
    /// meant.
    pub(crate) fn may_have_no_body(&self) -> bool {
        self.is_optional || self.path.contains(':')
    }

    /// Whether it may be as large as an image or a file.
    pub(super) fn may_be_large(&self) -> bool {
        self.fields.iter().any(Field::may_be_large)
    }
}

/// The row of an event, and the name of it that was used.
pub(super) fn find(event: &str) -> Option<(&'static Row, &'static str)> {
    TABLE.iter().find_map(|row| Some((row, row.events().find(|name| *name == event)?)))
}

/// What an event asks for.
pub(super) fn decode(call: &Call<'_>) -> Result<(Command, Request), DecodeError> {
    let (row, name) = find(&call.event).ok_or(DecodeError::UnknownEvent)?;
    let mut arguments = Arguments::of(row.fields, call.asker());
    if !(row.is_optional && call.is_empty()) {
        let object = call.arguments().first().ok_or(DecodeError::NoObject)?;
        arguments = arguments.with_object(object.get())?;
    }
    Ok((row.command(&arguments)?, Request { event: name, echo: None }))
}
