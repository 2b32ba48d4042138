//! The commands, each once: its event, its route, its fields, and what it asks the core for. The socket's events and the routes
//! under `/api/v1` are made from this table.

use axum::http::Method;
use chat_core::command::{Command, MAX_MEMBERS_AT_ONCE, SearchUsers};
use chat_core::reports::MAX_REPORTS_AT_ONCE;
use chat_core::rooms::MAX_BANS_AT_ONCE;
use chat_core::search::Search;

use super::arguments::Arguments;
use super::fields::*;
use super::row::{Row, row};
use super::shapes::{OfMessage, OfRoom, OfUser};
use super::{
    changed, chats, messages, moderation, people, read, receipts, relations, reports, rooms, search,
    sessions, settings, sync,
};
use crate::app::App;
use crate::dialect::field::{Nothing, Rule, shown};
use crate::dialect::{Call, DecodeError, Request};

/// All of them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().chain(changed::ROWS.iter().copied().flatten())
}

static TABLE: &[Row] = &[
    row(
        "message.send",
        Method::POST,
        "/api/v1/messages",
        "Says something in a conversation, which is begun if there is none with that person yet.",
        messages::SENT,
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
        "message.receipts",
        Method::GET,
        "/api/v1/messages/:messageId/receipts",
        "Tells who has received a message and who has read it, in the order of joining.",
        &[MESSAGE_ID, AFTER.about("Only who comes behind this `next`."), limit(100, MAX_MEMBERS_AT_ONCE)],
        shown::<receipts::PageObject>,
        receipts::list,
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
        "report.create",
        Method::POST,
        "/api/v1/reports",
        "Reports a message to the moderators of its room, or a person or a direct message to the operators.",
        &[MESSAGE_ID.optional(), USER_ID.optional(), REASON, REPORT_TEXT],
        shown::<reports::ReportObject<'_>>,
        reports::create,
    )
    .with(&[Rule::One(&["messageId", "userId"])])
    .creating(),
    row(
        "report.list",
        Method::GET,
        "/api/v1/reports",
        "Lists the reports in a room, for its moderators, or else those for the operators, the oldest first.",
        &[ROOM_ID.optional(), RESOLVED, CURSOR, limit(50, MAX_REPORTS_AT_ONCE)],
        shown::<reports::PageObject<'_>>,
        reports::list,
    )
    .optional(),
    row(
        "report.resolve",
        Method::POST,
        "/api/v1/reports/:reportId/resolve",
        "Notes what was done about a report.",
        &[REPORT_ID, ROOM_ID.optional(), RESOLUTION],
        shown::<reports::ReportObject<'_>>,
        reports::resolve,
    ),
    row(
        "user.search",
        Method::GET,
        "/api/v1/users/search",
        "Finds people by the beginning of their user names.",
        &[NAME_BEGINS, NAME_CURSOR, limit(20, SearchUsers::MAX)],
        shown::<people::Page<'_>>,
        people::search,
    ),
    row(
        "chat.list",
        Method::GET,
        "/api/v1/chats",
        "Lists one's conversations, pinned ones first, then the latest, with what is shown of each.",
        &[
            ARCHIVED.about("Only what is archived, or only what is not; all when nothing is said."),
            CHAT_CURSOR,
            limit(100, chats::MAX),
        ],
        shown::<chats::PageObject<'_>>,
        chats::list,
    )
    .optional(),
    row(
        "chat.partners",
        Method::GET,
        "/api/v1/chats/partners",
        "Lists the people whom one has talked with, the latest first.",
        &[limit(1_000, App::MAX_USERS)],
        shown::<people::Listed<'_>>,
        people::partners,
    )
    .optional(),
    row(
        "chat.set",
        Method::PATCH,
        "/api/v1/chats",
        "Mutes, archives or pins a conversation for oneself, or keeps a draft for it.",
        &[IN_ROOM, WITH_USER, WITH_NAMED, MUTED_UNTIL, ARCHIVED, PINNED, DRAFT],
        shown::<settings::SettingsObject<'_>>,
        settings::set,
    )
    .with(&[Rule::One(PLACE), Rule::Some(&["mutedUntil", "archived", "pinned", "draft"])]),
    row(
        "chat.settings",
        Method::GET,
        "/api/v1/chats/settings",
        "Lists the conversations for which one has set something.",
        &[CURSOR, limit(100, settings::MAX)],
        shown::<settings::PageObject<'_>>,
        settings::list,
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
    row(
        "user.block",
        Method::PUT,
        "/api/v1/blocks/:userId",
        "Blocks a person, and ends what there is of a friendship.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::block,
    ),
    row(
        "user.unblock",
        Method::DELETE,
        "/api/v1/blocks/:userId",
        "Lifts one's own block.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::unblock,
    ),
    row(
        "block.list",
        Method::GET,
        "/api/v1/blocks",
        "Lists the people whom one blocks.",
        &[CURSOR, limit(100, relations::MAX)],
        shown::<relations::PageObject<'_>>,
        relations::list_blocked,
    )
    .optional(),
    row(
        "friend.request",
        Method::PUT,
        "/api/v1/friends/:userId",
        "Asks for friendship, or accepts it where the other one has asked.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::request,
    ),
    row(
        "friend.accept",
        Method::POST,
        "/api/v1/friends/:userId/accept",
        "Accepts a request for friendship.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::accept,
    ),
    row(
        "friend.decline",
        Method::POST,
        "/api/v1/friends/:userId/decline",
        "Declines a request for friendship.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::decline,
    ),
    row(
        "friend.withdraw",
        Method::POST,
        "/api/v1/friends/:userId/withdraw",
        "Takes one's own request for friendship back.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::withdraw,
    ),
    row(
        "friend.remove",
        Method::DELETE,
        "/api/v1/friends/:userId",
        "Ends a friendship.",
        &[USER_ID],
        shown::<relations::RelatedObject<'_>>,
        relations::remove,
    ),
    row(
        "friend.list",
        Method::GET,
        "/api/v1/friends",
        "Lists friends, or requests for friendship.",
        &[FRIENDS, CURSOR, limit(100, relations::MAX)],
        shown::<relations::PageObject<'_>>,
        relations::list_friends,
    )
    .optional(),
    row(
        "session.list",
        Method::GET,
        "/api/v1/sessions",
        "Lists the devices on which one is logged in, the one that was used last first.",
        &[],
        shown::<sessions::Listed<'_>>,
        sessions::list,
    )
    .optional(),
    row(
        "session.end",
        Method::DELETE,
        "/api/v1/sessions/:sessionId",
        "Logs out on a device: its connections close, and its tokens are void at once.",
        &[SESSION_ID],
        shown::<sessions::EndedObject>,
        sessions::end,
    ),
    row(
        "session.endOthers",
        Method::DELETE,
        "/api/v1/sessions",
        "Logs out on all other devices.",
        &[],
        shown::<sessions::EndedObject>,
        sessions::end_others,
    )
    .optional(),
];

/// The row of an event, and the name of it that was used.
pub(super) fn find(event: &str) -> Option<(&'static Row, &'static str)> {
    rows().find_map(|row| Some((row, row.events().find(|name| *name == event)?)))
}

/// What an event asks for.
pub(super) fn decode(call: &Call<'_>) -> Result<(Command, Request), DecodeError> {
    let (row, name) = find(&call.event).ok_or(DecodeError::UnknownEvent)?;
    let mut arguments = Arguments::of(row.fields, call.asker());
    arguments.session = call.session();
    if !(row.is_optional() && call.is_empty()) {
        let object = call.arguments().first().ok_or(DecodeError::NoObject)?;
        arguments = arguments.with_object(object.get())?;
    }
    Ok((row.command(&arguments)?, Request { event: name, echo: None }))
}
