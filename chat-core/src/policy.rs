//! Every rule about who may do what, and what is well formed, in one place. Pure functions; nothing is looked up. Those that
//! answer with a [`Refusal`] go by who is in a room, so they are asked inside the transaction that changes it
//! ([`store`](crate::store)).

mod relations;
mod sessions;

use std::time::Duration;

use unicode_normalization::UnicodeNormalization;

pub use self::relations::{may_be_heard, may_reach, relate};
pub use self::sessions::{MAX_SESSIONS, REFRESH_GRACE, device_name};
pub(crate) use self::sessions::{Presented, presented, superseded};
use crate::error::Error;
use crate::id::UserId;
use crate::model::{Content, Conversation, Role, Tombstone};
pub use crate::names::name_key;
use crate::{email, names};

mod members;
pub mod room;

pub use self::members::{
    Standing, Succession, may_add_member, may_give_up, may_remove_member, may_set_roles, succession,
};
use self::room::Act;

/// Why something may not be done, as it is decided by what is so in the store at that moment. Safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such conversation, or none that this person may know of.
    ConversationNotFound,
    /// There is no such message, or none that this person may know of.
    MessageNotFound,
    /// There is no such person, or they are no member.
    UserNotFound,
    /// There is no request for friendship that could be answered or taken back.
    RequestNotFound,
    /// There is no such report in this queue.
    ReportNotFound,
    /// There is no such login session of this person, or it has ended.
    SessionNotFound,
    /// The person may know of it, but not do this to it.
    Forbidden(&'static str),
    /// The person has done it a moment ago.
    TooSoon {
        /// For so long they have to wait.
        wait: Duration,
    },
    /// The room has as many members as it may have.
    TooManyMembers {
        /// So many.
        limit: usize,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ConversationNotFound => Self::ConversationNotFound,
            Refusal::MessageNotFound => Self::MessageNotFound,
            Refusal::UserNotFound => Self::UserNotFound,
            Refusal::RequestNotFound => Self::RequestNotFound,
            Refusal::ReportNotFound => Self::ReportNotFound,
            Refusal::SessionNotFound => Self::SessionNotFound,
            Refusal::Forbidden(why) => Self::Forbidden(why),
            Refusal::TooSoon { wait } => Self::OverBudget { retry_after: wait },
            Refusal::TooManyMembers { limit } => Self::TooLarge { field: "members", limit, unit: "members" },
        }
    }
}

/// Sizes beyond which input is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a text message (default 64 KiB).
    pub text_bytes: usize,
    /// Bytes of a text file sent as a message (default 10 MB).
    pub file_bytes: usize,
    /// Bytes of a file name (default 255, what file systems allow).
    pub file_name_bytes: usize,
    /// Members of a room (default 10,000).
    pub room_members: usize,
    /// Bytes of decoded texts in one answer: a part of a history or of the log, what a search has found (default 4 MiB).
    /// What would be more is the next page; a single message always has room.
    pub answer_bytes: usize,
    /// How long after it was sent a message may be edited (default a day); none: as long as it is there.
    pub edit_window: Option<Duration>,
    /// Whether what a message said before it was edited is kept (default) for those who may delete it.
    pub keeps_edits: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 64 << 10,
            file_bytes: 10_000_000,
            file_name_bytes: 255,
            room_members: 10_000,
            answer_bytes: 4 << 20,
            edit_window: Some(Duration::from_secs(86_400)),
            keeps_edits: true,
        }
    }
}

/// Whether something may be sent at all.
///
/// # Errors
/// When it is empty, too large, or the file's name is not a plain name.
pub fn check_content(content: &Content, limits: &Limits) -> Result<(), Error> {
    if let Some(name) = &content.file_name {
        check_file_name(name, limits)?;
        if content.text.len() > limits.file_bytes {
            return Err(Error::TooLarge { field: "file", limit: limits.file_bytes, unit: "bytes" });
        }
        return Ok(());
    }
    if content.text.len() > limits.text_bytes {
        return Err(Error::TooLarge { field: "text", limit: limits.text_bytes, unit: "bytes" });
    }
    if content.image.is_none() && content.text.trim().is_empty() {
        return Err(Error::EmptyMessage);
    }
    Ok(())
}

fn check_file_name(name: &str, limits: &Limits) -> Result<(), Error> {
    let field = "fileName";
    if name.len() > limits.file_name_bytes {
        return Err(Error::TooLarge { field, limit: limits.file_name_bytes, unit: "bytes" });
    }
    if name.trim().is_empty() || name == "." || name == ".." {
        return Err(Error::Invalid { field, problem: "is not a file's name" });
    }
    if name.contains(['/', '\\']) {
        return Err(Error::Invalid { field, problem: "must not contain a path" });
    }
    if name.chars().any(char::is_control) {
        return Err(Error::Invalid { field, problem: "must not contain control characters" });
    }
    Ok(())
}

/// The form of a user name: trimmed, composed (NFC), 3 to 64 characters, none of them a control, invisible or without a
/// meaning, and in scripts that are written together. Whether another one looks the same is for stores to say, by its
/// [`name_key`].
///
/// # Errors
/// When it has another form.
pub fn check_username(name: &str) -> Result<String, Error> {
    let field = "username";
    let name = name.trim();
    // Composing makes a name shorter, so one that is much too long need not be composed.
    if name.chars().count() > 4 * 64 {
        return Err(Error::TooLarge { field, limit: 64, unit: "characters" });
    }
    let name: String = name.nfc().collect();
    match name.chars().count() {
        0..3 => return Err(Error::Invalid { field, problem: "must have at least 3 characters" }),
        3..=64 => {}
        _ => return Err(Error::TooLarge { field, limit: 64, unit: "characters" }),
    }
    if let Some(problem) = names::problem_in_user_name(&name) {
        return Err(Error::Invalid { field, problem });
    }
    if names::mixes_scripts(&name) {
        return Err(Error::Invalid { field, problem: "must not mix letters of different scripts" });
    }
    Ok(name)
}

/// The form of a name to show, of a person or a room: trimmed, 1 to 100 characters, no controls, and nothing invisible
/// but what its language or an emoji needs.
///
/// # Errors
/// When it has another form.
pub fn check_display_name<'a>(field: &'static str, name: &'a str) -> Result<&'a str, Error> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::Invalid { field, problem: "must not be empty" });
    }
    if name.chars().count() > 100 {
        return Err(Error::TooLarge { field, limit: 100, unit: "characters" });
    }
    match names::problem_in_display_name(name) {
        Some(problem) => Err(Error::Invalid { field, problem }),
        None => Ok(name),
    }
}

/// The form of an e-mail address that may be signed up with: one that mail can be sent to (RFC 5321, 5322, 6531), with a
/// dot in its domain, without quotes, literal IP addresses, markup and invisible characters, at most 254 bytes. Returned
/// in the form in which it is kept: in lower case, composed, the domain in letters instead of Punycode.
///
/// # Errors
/// When it has another form.
pub fn check_email(email: &str) -> Result<String, Error> {
    email::checked(email).ok_or(Error::Invalid { field: "email", problem: "is not an e-mail address" })
}

/// Who may read a conversation and speak in it: its members. Others do not learn that it exists.
///
/// # Errors
/// [`Error::ConversationNotFound`] for everybody else.
pub fn must_be_member(actor: UserId, conversation: &Conversation) -> Result<Role, Error> {
    conversation.member(actor).map(|member| member.role).ok_or(Error::ConversationNotFound)
}

/// Who may speak in a conversation: its members. The role is that at the moment of speaking, none outside.
///
/// # Errors
/// [`Refusal::ConversationNotFound`] for everybody else.
pub fn may_speak(role: Option<Role>) -> Result<(), Refusal> {
    role.map(drop).ok_or(Refusal::ConversationNotFound)
}

/// Who may delete a message: who sent it, and those whom [`room::MATRIX`] lets delete what others have said. (In direct conversations nobody is more than a member.)
/// The role is that of the actor, none outside the conversation.
///
/// # Errors
/// [`Refusal::MessageNotFound`] for those outside the conversation, [`Refusal::Forbidden`] for the other members.
pub fn may_delete(actor: UserId, role: Option<Role>, sender: UserId) -> Result<(), Refusal> {
    let role = role.ok_or(Refusal::MessageNotFound)?;
    if sender == actor {
        return Ok(());
    }
    room::may(Act::DeleteMessages, Some(role))
}

/// Who may restore a message: who deleted it, while a member.
///
/// # Errors
/// As [`may_delete`].
pub fn may_restore(
    actor: UserId,
    role: Option<Role>,
    sender: UserId,
    deleted: Option<Tombstone>,
) -> Result<(), Refusal> {
    role.ok_or(Refusal::MessageNotFound)?;
    match deleted {
        Some(tombstone) if tombstone.by != actor => {
            Err(Refusal::Forbidden("You can only restore messages that you deleted"))
        }
        None if sender != actor => Err(Refusal::Forbidden("You can only restore your own messages")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
