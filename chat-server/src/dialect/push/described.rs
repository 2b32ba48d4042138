//! What the family's routes and events are, for the descriptions of the API.

use axum::http::StatusCode;
use schemars::JsonSchema;

use super::routes::{Deleted, LoggedIn, LoggedOut, Marked};
use super::shapes::MessageFields;
use crate::auth::password_rules::MAX_BYTES;
use crate::dialect::described::Described;
use crate::dialect::field::{Field, Kind, Rule, shown};
use crate::dialect::shapes::UserFields;

/// A person, and the same once more.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushOwnUser")]
#[expect(dead_code, reason = "it is what `Nested` shows with the name `user`")]
struct AgainUser<'a> {
    #[serde(flatten)]
    person: UserFields<'a>,
    user: UserFields<'a>,
}

/// The same with another name.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PushUpdatedUser")]
#[expect(dead_code, reason = "it is what `Nested` shows with the name `updatedUser`")]
struct AgainUpdated<'a> {
    #[serde(flatten)]
    person: UserFields<'a>,
    updated_user: UserFields<'a>,
}

const fn text(name: &'static str, about: &'static str) -> Field {
    Field::new(name, Kind::Text { least: 0, most: 0 }, about)
}

pub(super) const fn user(name: &'static str, about: &'static str) -> Field {
    Field::new(name, Kind::Id("a user's id"), about)
}

const PERSON: Field = user("id", "The person.");
const MESSAGE: Field = Field::new("id", Kind::Id("a message's id"), "The message.");
pub(super) const MESSAGE_ID: Field = Field::new("messageId", Kind::Id("a message's id"), "The message.");
pub(super) const EMOJI: Field =
    Field::new("emoji", Kind::Text { least: 1, most: 48 }, "One emoji of Unicode.");
const EMAIL: Field = Field::new("email", Kind::Text { least: 3, most: 254 }, "The mail address.");
const PASSWORD: Field = Field::new(
    "password",
    Kind::Text { least: 6, most: MAX_BYTES },
    "The password, of which the first 72 bytes count.",
);
const FULL_NAME: Field =
    Field::new("fullName", Kind::Text { least: 1, most: 100 }, "The name that is shown.");

pub(super) const SIGNUP: Described = Described::new(
    "Makes an account, and logs in by a cookie.",
    &[
        FULL_NAME.optional(),
        text("name", "What some forks call the full name.").optional(),
        text("username", "What others call it.").optional(),
        EMAIL,
        PASSWORD,
    ],
    shown::<LoggedIn<'_>>,
)
.with(&[Rule::Some(&["fullName", "name", "username"])])
.status(StatusCode::CREATED)
.for_everybody();
pub(super) const LOGIN: Described = Described::new(
    "Logs in by a cookie.",
    &[EMAIL, text("password", "The password.")],
    shown::<LoggedIn<'_>>,
)
.for_everybody();
pub(super) const LOGOUT: Described =
    Described::new("Logs out.", &[], shown::<LoggedOut>).for_everybody().without_body();
pub(super) const CHECK: Described = Described::new("Tells who one is.", &[], shown::<AgainUser<'_>>);
pub(super) const UPDATE_PROFILE: Described = Described::new(
    "Changes one's own name and picture.",
    &[
        text("profilePic", "The picture, as a data URL; an empty text is none.").optional(),
        FULL_NAME.optional(),
    ],
    shown::<AgainUpdated<'_>>,
)
.with(&[Rule::Some(&["profilePic", "fullName"])]);
pub(super) const CONTACTS: Described =
    Described::new("Lists all other people.", &[], shown::<Vec<UserFields<'_>>>);
pub(super) const CHATS: Described =
    Described::new("Lists the people whom one has talked with.", &[], shown::<Vec<UserFields<'_>>>);
pub(super) const MESSAGES: Described = Described::new(
    "Reads what was said with somebody, the oldest message first; `Link` and `X-Has-More` say whether there is more.",
    &[
        text("id", "The person; with an id of nobody there is nothing."),
        text("limit", "How many are wanted at most; what is no number is passed over.").optional(),
        Field::new("before", Kind::Count, "Only what comes before this place.").optional(),
    ],
    shown::<Vec<MessageFields<'_>>>,
);
pub(super) const DELETE: Described =
    Described::new("Deletes a message for both.", &[MESSAGE], shown::<Deleted>);
pub(super) const RESTORE: Described =
    Described::new("Takes the deletion of a message back.", &[MESSAGE], shown::<MessageFields<'_>>)
        .without_body();
pub(super) const SEND: Described = Described::new(
    "Says something to somebody.",
    &[
        PERSON,
        text("text", "The text.").optional(),
        text("image", "An image, as a data URL; an empty text is none.").optional(),
        Field::new("clientId", Kind::Text { least: 1, most: 128 }, "The client's own name for it.")
            .optional(),
    ],
    shown::<MessageFields<'_>>,
)
.with(&[Rule::Some(&["text", "image"])])
.status(StatusCode::CREATED);
pub(super) const REACT: Described = Described::new(
    "Reacts to a message with an emoji; the same one again takes it away.",
    &[MESSAGE, EMOJI],
    shown::<MessageFields<'_>>,
);
pub(super) const SEEN_OF: Described =
    Described::new("Marks what somebody wrote as seen.", &[PERSON], shown::<Marked>).without_body();
pub(super) const SEEN_MESSAGE: Described =
    Described::new("Marks a message and those before it as seen.", &[MESSAGE], shown::<Marked>)
        .without_body();
pub(super) const SEEN: Described =
    Described::new("Marks messages as seen.", SEEN_FIELDS, shown::<Marked>).with(&[Rule::Some(SEEN_NAMES)]);

pub(super) const SEEN_NAMES: &[&str] =
    &["messageId", "messageIds", "senderId", "partnerId", "conversationPartnerId", "chatId"];
pub(super) const SEEN_FIELDS: &[Field] = &[
    MESSAGE_ID.optional(),
    Field::new("messageIds", Kind::Ids("a list of messages' ids"), "The messages.").optional(),
    text("senderId", "The id of the person whose messages were seen. What is given first counts.").optional(),
    text("partnerId", "The same.").optional(),
    text("conversationPartnerId", "The same.").optional(),
    text("chatId", "The same, or the id of a room.").optional(),
];
