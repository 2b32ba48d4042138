//! The fields of the commands. A name means the same in every command that has it; where a command has more to say of it, its row
//! does ([`Field::about`]).

use chat_core::command::SearchUsers;
use chat_core::model::{ChatSettings, ClientId};
use chat_core::reports::Report;

use crate::dialect::field::{Field, Kind};

const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field::new(name, kind, about)
}

const fn text(name: &'static str, least: usize, most: usize, about: &'static str) -> Field {
    field(name, Kind::Text { least, most }, about)
}

/// How much is wanted: so much when nothing is said, and never more than `most`.
pub(super) const fn limit(usually: usize, most: usize) -> Field {
    field("limit", Kind::Limit { usually, most }, "How many are wanted at most.").optional()
}

/// The conversation that is meant, by its id or by the person one talks with: exactly one of them.
pub(super) const PLACE: &[&str] = &["roomId", "userId", "username"];
pub(super) const IN_ROOM: Field = ROOM_ID.optional().about("The conversation, by its id.");
pub(super) const WITH_USER: Field =
    USER_ID.optional().about("The conversation, by the person one talks with.");
pub(super) const WITH_NAMED: Field =
    text("username", 0, 0, "The conversation, by the name of the person one talks with.").optional();

pub(super) const AFTER: Field = field("after", Kind::Count, "Only what comes behind this `seq`.").optional();
pub(super) const AFTER_USER: Field =
    field("afterId", Kind::Id("a user's id"), "The `next` of the page before.").optional();
pub(super) const ARCHIVED: Field =
    field("archived", Kind::Flag, "Whether the conversation is put away.").optional();
pub(super) const AVATAR: Field =
    field("avatar", Kind::Image("sent over HTTP, by PATCH /api/v1/profile"), "The picture, as a data URL.");
pub(super) const BEFORE: Field =
    field("before", Kind::Count, "Only what comes before this `seq`.").optional();
pub(super) const BEFORE_FOUND: Field =
    field("before", Kind::Told("what was told as next"), "The `next` of the page before.").optional();
pub(super) const CHAT_CURSOR: Field =
    field("cursor", Kind::Told("what was told as next"), "The `next` of the page before.").optional();
pub(super) const CLIENT_ID: Field = text(
    "clientId",
    1,
    ClientId::MAX_BYTES,
    "The client's own name for this message: sent again, it is the same message.",
)
.optional();
pub(super) const COMMANDS: Field =
    field("commands", Kind::Commands { most: 20 }, "The commands, to be carried out in this order.");
pub(super) const CONTENT: Field =
    text("content", 0, 10_000_000, "The text of the message, or with `fileName` that of a text file.");
pub(super) const CURSOR: Field =
    field("cursor", Kind::Id("what was told as next"), "The `next` of the page before.").optional();
pub(super) const DELETED: Field =
    field("deleted", Kind::Flag, "Whether deleted messages are wanted too, without their content.")
        .optional();
pub(super) const DRAFT: Field =
    text("draft", 0, ChatSettings::MAX_DRAFT_BYTES, "What one has begun to write; an empty text removes it.")
        .optional();
pub(super) const FILE_NAME: Field =
    text("fileName", 1, 255, "The name of a text file, which is then the content.").optional();
pub(super) const FRIENDS: Field = field(
    "kind",
    Kind::Choice(&["friends", "received", "sent"], "friends, received or sent"),
    "Friends, or the requests that were received or sent; `friends` when nothing is said.",
)
.optional();
pub(super) const FROM: Field = field("from", Kind::Moment, "Only what was sent then or later.").optional();
pub(super) const FULL_NAME: Field = text("fullName", 1, 100, "The name that is shown.").optional();
pub(super) const IMAGE: Field =
    field("image", Kind::Image("sent over HTTP, by POST /api/v1/messages"), "An image, as a data URL.")
        .optional();
pub(super) const IN_THREAD: Field =
    THREAD_ID.optional().about("The message of the same conversation whose thread this one is in.");
pub(super) const MEMBERS: Field =
    field("members", Kind::Ids("a list of users' ids"), "Who else is in it from the beginning.").optional();
pub(super) const MESSAGE_ID: Field = field("messageId", Kind::Id("a message's id"), "The message.");
pub(super) const MUTED_UNTIL: Field =
    field("mutedUntil", Kind::Moment, "Until when one is not to be disturbed; 0 ends that.").optional();
pub(super) const NAME: Field = text("name", 1, 100, "The name of the room.");
pub(super) const NAME_BEGINS: Field = text(
    "q",
    SearchUsers::MIN_CHARS,
    SearchUsers::MAX_CHARS,
    "The beginning of the user name, in capitals or not.",
);
pub(super) const NAME_CURSOR: Field = text("cursor", 0, 0, "The `next` of the page before.").optional();
pub(super) const ORDER: Field =
    field("order", Kind::Choice(&["newest", "best"], "newest or best"), "What comes first.").optional();
pub(super) const PINNED: Field =
    field("pinned", Kind::Flag, "Whether it stands before those that are not pinned.").optional();
pub(super) const Q: Field =
    text("q", 0, 0, "The words, as docs/protocol.md says under Searching.").optional();
pub(super) const REASON: Field = field(
    "reason",
    Kind::Choice(&["spam", "abuse", "sexual", "violence", "other"], "spam, abuse, sexual, violence or other"),
    "What is wrong with it.",
);
pub(super) const REPORT_ID: Field = field("reportId", Kind::Id("a report's id"), "The report.");
pub(super) const REPORT_TEXT: Field =
    text("note", 0, Report::MAX_TEXT_BYTES, "What one has to say about it.").optional();
pub(super) const RESOLUTION: Field = field(
    "action",
    Kind::Choice(&["acted", "dismissed"], "acted or dismissed"),
    "Whether something was done, or nothing had to be done.",
);
pub(super) const RESOLVED: Field =
    field("resolved", Kind::Flag, "Whether resolved reports are wanted; else open ones.").optional();
pub(super) const REPLY_TO: Field = field(
    "replyTo",
    Kind::Id("a message's id"),
    "The message of the same conversation that this one answers.",
)
.optional();
pub(super) const ROLE: Field = field(
    "role",
    Kind::Choice(&["member", "moderator", "admin"], "member, moderator or admin"),
    "What the member may do.",
);
pub(super) const ROOM_ID: Field = field("roomId", Kind::Id("a room's id"), "The room.");
pub(super) const SENDER_ID: Field =
    field("senderId", Kind::Id("a user's id"), "Only what this person wrote.").optional();
pub(super) const SENDER_USERNAME: Field =
    text("senderUsername", 0, 0, "Only what the person of this name wrote.").optional();
pub(super) const SEQ: Field =
    field("seq", Kind::Count, "Up to which message it is read, by its place.").optional();
pub(super) const SESSION_ID: Field = field("sessionId", Kind::Id("a session's id"), "The session.");
pub(super) const SINCE: Field =
    field("since", Kind::Told("a position as it was told"), "The `next` of the answer before.").optional();
pub(super) const SLOW_MODE: Field = field(
    "slowMode",
    Kind::Count,
    "Seconds that plain members wait between two messages, at most 21600; 0 when they need not.",
)
.optional();
pub(super) const SNIPPETS: Field =
    field("snippets", Kind::Flag, "Whether the places of what was found are wanted.").optional();
pub(super) const THREAD_ID: Field =
    field("threadId", Kind::Id("a message's id"), "The message that the thread is about.");
pub(super) const TOKEN: Field = text("token", 0, 0, "An access token of the same session.");
pub(super) const TYPES: Field = field(
    "types",
    Kind::Choices(&["text", "image", "file"], "a list of text, image and file"),
    "Only messages of these kinds.",
)
.optional();
pub(super) const TYPING: Field = field("typing", Kind::Flag, "Whether one types now.");
pub(super) const UNTIL: Field = field("until", Kind::Moment, "Only what was sent before.").optional();
pub(super) const USER_ID: Field = field("userId", Kind::Id("a user's id"), "The person.");
pub(super) const VISIBILITY: Field = field(
    "visibility",
    Kind::Choice(&["private", "public"], "public or private"),
    "Whether everybody may join; `private` when nothing is said.",
)
.optional();
