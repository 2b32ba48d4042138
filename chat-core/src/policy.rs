//! Every rule about who may do what, and what is well formed, in one place. Pure functions; nothing is looked up.

use crate::error::Error;
use crate::id::UserId;
use crate::model::{Content, Conversation, ConversationKind, Message, Role, Visibility};

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 64 << 10,
            file_bytes: 10_000_000,
            file_name_bytes: 255,
            room_members: 10_000,
            answer_bytes: 4 << 20,
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

/// The form of a user name: trimmed, 3 to 64 characters, no control characters.
///
/// # Errors
/// When it has another form.
pub fn check_username(name: &str) -> Result<&str, Error> {
    let field = "username";
    let name = name.trim();
    match name.chars().count() {
        0..3 => return Err(Error::Invalid { field, problem: "must have at least 3 characters" }),
        3..=64 => {}
        _ => return Err(Error::TooLarge { field, limit: 64, unit: "characters" }),
    }
    if name.chars().any(char::is_control) {
        return Err(Error::Invalid { field, problem: "must not contain control characters" });
    }
    Ok(name)
}

/// The form of a name to show, of a person or a room: trimmed, 1 to 100 characters, no control characters.
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
    if name.chars().any(char::is_control) {
        return Err(Error::Invalid { field, problem: "must not contain control characters" });
    }
    Ok(name)
}

/// The form of an e-mail address, as the original backends check it (`/^[^\s@]+@[^\s@]+\.[^\s@]+$/`), at most
/// 254 bytes (RFC 5321, section 4.5.3.1.3). Returned in lower case.
///
/// # Errors
/// When it has another form.
pub fn check_email(email: &str) -> Result<String, Error> {
    let wrong = Error::Invalid { field: "email", problem: "is not an e-mail address" };
    let email = email.trim();
    let Some((local, domain)) = email.split_once('@') else { return Err(wrong) };
    let Some((host, top)) = domain.rsplit_once('.') else { return Err(wrong) };
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if local.is_empty() || host.is_empty() || top.is_empty() || email.len() > 254 {
        return Err(wrong);
    }
    if local.contains(blank) || domain.contains(blank) {
        return Err(wrong);
    }
    Ok(email.to_lowercase())
}

/// Who may read a conversation and speak in it: its members. Others do not learn that it exists.
///
/// # Errors
/// [`Error::ConversationNotFound`] for everybody else.
pub fn must_be_member(actor: UserId, conversation: &Conversation) -> Result<Role, Error> {
    conversation.member(actor).map(|member| member.role).ok_or(Error::ConversationNotFound)
}

/// Who may delete a message: who sent it, and moderators of the room.
///
/// # Errors
/// [`Error::MessageNotFound`] for those outside the conversation, [`Error::Forbidden`] for the other members.
pub fn may_delete(actor: UserId, message: &Message, conversation: &Conversation) -> Result<(), Error> {
    let role = must_be_member(actor, conversation).map_err(|_| Error::MessageNotFound)?;
    if message.sender == actor || (is_room(conversation) && role >= Role::Moderator) {
        return Ok(());
    }
    Err(Error::Forbidden("You can only delete your own messages"))
}

/// Who may restore a message: who deleted it, while a member.
///
/// # Errors
/// As [`may_delete`].
pub fn may_restore(actor: UserId, message: &Message, conversation: &Conversation) -> Result<(), Error> {
    must_be_member(actor, conversation).map_err(|_| Error::MessageNotFound)?;
    match message.deleted {
        Some(tombstone) if tombstone.by != actor => {
            Err(Error::Forbidden("You can only restore messages that you deleted"))
        }
        None if message.sender != actor => Err(Error::Forbidden("You can only restore your own messages")),
        _ => Ok(()),
    }
}

/// Who may bring somebody into a room: moderators, and oneself into a public room.
///
/// # Errors
/// [`Error::ConversationNotFound`] for those who may not know of the room, else [`Error::Forbidden`].
pub fn may_add_member(
    actor: UserId,
    user: UserId,
    room: &Conversation,
    limits: &Limits,
) -> Result<(), Error> {
    let ConversationKind::Room(info) = &room.kind else {
        return Err(Error::Forbidden("A direct conversation has exactly two members"));
    };
    if room.members.len() >= limits.room_members && room.member(user).is_none() {
        return Err(Error::TooLarge { field: "members", limit: limits.room_members, unit: "members" });
    }
    if info.visibility == Visibility::Public && actor == user {
        return Ok(());
    }
    if must_be_member(actor, room)? >= Role::Moderator {
        return Ok(());
    }
    Err(Error::Forbidden("Only moderators can add members"))
}

/// Who may take somebody out of a room: oneself, moderators a plain member, admins everybody.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_remove_member(actor: UserId, user: UserId, room: &Conversation) -> Result<(), Error> {
    let role = must_be_member(actor, room)?;
    if !is_room(room) {
        return Err(Error::Forbidden("A direct conversation has exactly two members"));
    }
    let target = room.member(user).ok_or(Error::UserNotFound)?.role;
    if actor == user || role == Role::Admin || (role == Role::Moderator && target == Role::Member) {
        return Ok(());
    }
    Err(Error::Forbidden("Only moderators can remove members"))
}

/// Who may change a role: admins.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_set_role(actor: UserId, user: UserId, room: &Conversation) -> Result<(), Error> {
    let role = must_be_member(actor, room)?;
    if !is_room(room) || role < Role::Admin {
        return Err(Error::Forbidden("Only admins can change roles"));
    }
    room.member(user).map(|_| ()).ok_or(Error::UserNotFound)
}

fn is_room(conversation: &Conversation) -> bool {
    matches!(conversation.kind, ConversationKind::Room(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain_names() {
        let limits = Limits::default();
        let file = |name: &str| Content { file_name: Some(name.into()), ..Content::text("x") };
        for good in ["a.txt", "späß 1.md", ".env", "a..b"] {
            assert!(check_content(&file(good), &limits).is_ok(), "{good}");
        }
        for bad in ["", " ", ".", "..", "../a", "a/b", "a\\b", "a\0", "a\nb", &"n".repeat(256)] {
            assert!(check_content(&file(bad), &limits).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_checked_as_the_originals_do() {
        assert_eq!(check_email(" Ann@Example.COM ").unwrap(), "ann@example.com");
        for bad in ["", "ann", "ann@", "@example.com", "ann@example", "a nn@e.com", "a@b@c.d", "a@b.", "a@.b"]
        {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn white_space_is_no_message_but_an_image_is() {
        let limits = Limits::default();
        assert!(matches!(check_content(&Content::text(" \n\t"), &limits), Err(Error::EmptyMessage)));
        let image = Content { image: Some("/media/x.png".into()), ..Content::text("") };
        assert!(check_content(&image, &limits).is_ok());
    }

    #[test]
    fn user_names_count_characters() {
        assert_eq!(check_username("  äöü ").unwrap(), "äöü");
        for bad in ["ab", "", "a\u{7}bc", &"x".repeat(65)] {
            assert!(check_username(bad).is_err(), "{bad:?}");
        }
    }
}
