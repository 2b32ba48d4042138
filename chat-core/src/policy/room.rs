//! Who may do what in a room: the one table that every rule about rooms goes by.

use super::Refusal;
use crate::model::Role;

/// Something that is done in a room and that not every member may do. What everybody may do to themselves (leave, delete what they
/// have said) is not among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Invite people who are not in, and make links by which they come in.
    Invite,
    /// Bring people in without asking them.
    Add,
    /// Take a member out.
    Kick,
    /// Take somebody out for good, see who was, and let them in again.
    Ban,
    /// Keep a member from speaking for a time.
    Mute,
    /// Delete what others have said.
    DeleteMessages,
    /// Change the name, the description and the picture.
    Describe,
    /// Change the settings, who may come in among them.
    Configure,
    /// Give members other roles.
    SetRoles,
    /// Make another member an admin in one's own place.
    HandOver,
    /// Pin messages for everybody.
    Pin,
}

/// To whom a role may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To nobody.
    Nobody,
    /// To those whose role is less than one's own, and to those who are not in the room.
    Lesser,
    /// To everybody. For acts that concern nobody in particular it means that they are allowed.
    Everybody,
}

/// One act, and who may do it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What.
    pub act: Act,
    /// What it is called in documents.
    pub words: &'static str,
    /// What members, moderators and admins may do, in this order.
    reaches: [Reach; 3],
    /// What those are told who may not.
    refusal: &'static str,
}

use Reach::{Everybody, Lesser, Nobody};

/// All acts, in the order of [`Act`].
pub const MATRIX: &[Rule] = &[
    rule(Act::Invite, "invite", [Nobody, Everybody, Everybody], "Only moderators can invite people"),
    rule(Act::Add, "add members", [Nobody, Everybody, Everybody], "Only moderators can add members"),
    rule(Act::Kick, "remove members", [Nobody, Lesser, Everybody], "Only moderators can remove members"),
    rule(Act::Ban, "ban people", [Nobody, Lesser, Everybody], "Only moderators can ban people"),
    rule(Act::Mute, "mute members", [Nobody, Lesser, Everybody], "Only moderators can mute members"),
    rule(
        Act::DeleteMessages,
        "delete others' messages",
        [Nobody, Everybody, Everybody],
        "You can only delete your own messages",
    ),
    rule(
        Act::Describe,
        "change name, description, picture",
        [Nobody, Nobody, Everybody],
        "Only admins can change the room",
    ),
    rule(
        Act::Configure,
        "change settings",
        [Nobody, Nobody, Everybody],
        "Only admins can change the room's settings",
    ),
    rule(Act::SetRoles, "change roles", [Nobody, Nobody, Everybody], "Only admins can change roles"),
    rule(
        Act::HandOver,
        "hand the room over",
        [Nobody, Nobody, Everybody],
        "Only admins can hand the room over",
    ),
    rule(Act::Pin, "pin messages", [Nobody, Everybody, Everybody], "Only moderators can pin messages"),
];

const fn rule(act: Act, words: &'static str, reaches: [Reach; 3], refusal: &'static str) -> Rule {
    Rule { act, words, reaches, refusal }
}

impl Act {
    /// Its line of the table.
    pub fn rule(self) -> &'static Rule {
        &MATRIX[self as usize]
    }
}

impl Rule {
    /// To whom somebody with this role may do it.
    pub fn reach(&self, role: Role) -> Reach {
        self.reaches[role as usize]
    }

    /// Why somebody is refused who may not.
    pub fn refusal(&self) -> Refusal {
        Refusal::Forbidden(self.refusal)
    }
}

/// Whether a member may do something that concerns nobody in particular, or everybody alike.
///
/// # Errors
/// [`Refusal::ConversationNotFound`] for those who are not in, [`Refusal::Forbidden`] for those whose role is too small.
pub fn may(act: Act, actor: Option<Role>) -> Result<(), Refusal> {
    let role = actor.ok_or(Refusal::ConversationNotFound)?;
    match act.rule().reach(role) {
        Nobody => Err(act.rule().refusal()),
        Lesser | Everybody => Ok(()),
    }
}

/// Whether a member may do something to another person, whose role is none when they are not in.
///
/// # Errors
/// As [`may`], also when the role of the other one is too great.
pub fn may_to(act: Act, actor: Option<Role>, target: Option<Role>) -> Result<(), Refusal> {
    may(act, actor)?;
    match act.rule().reach(actor.unwrap_or(Role::Member)) {
        Lesser if target >= actor => Err(Refusal::Forbidden("You cannot do this to somebody with your role")),
        _ => Ok(()),
    }
}

/// Why somebody does not come into a room who is banned from it; `is_oneself` when they ask for themselves.
pub fn banned(is_oneself: bool) -> Refusal {
    match is_oneself {
        true => Refusal::Forbidden("You are banned from this room"),
        false => Refusal::Forbidden("This person is banned from this room"),
    }
}

#[cfg(test)]
mod tests;
