//! Who may change the members of a room and their roles.

use super::Refusal;
use super::room::{Act, may, may_to};
use crate::id::UserId;
use crate::model::{ConversationKind, Member, Role, Visibility};

/// The facts for a change of members: the conversation, the caller (`actor`) and the member to change (`target`).
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The kind of the conversation.
    pub kind: &'a ConversationKind,
    /// The role of the caller, or `None` if the caller is not a member.
    pub actor: Option<Role>,
    /// The role of the target, or `None` if the target is not a member.
    pub target: Option<Role>,
    /// Whether caller and target are the same user.
    pub is_oneself: bool,
}

impl Standing<'_> {
    fn actor(&self) -> Result<Role, Refusal> {
        self.actor.ok_or(Refusal::ConversationNotFound)
    }

    fn target(&self) -> Result<Role, Refusal> {
        self.target.ok_or(Refusal::UserNotFound)
    }

    fn is_room(&self) -> bool {
        matches!(self.kind, ConversationKind::Room(_))
    }
}

/// Who may add a member to a room that has `members` members of at most `max_members`: the roles that
/// [`MATRIX`](super::room::MATRIX) allows, and in a public room any user for themselves. Adding an existing member needs no room.
///
/// # Errors
/// [`Refusal::ConversationNotFound`] for callers who may not know of the room, otherwise the reason.
pub fn may_add_member(asked: &Standing<'_>, members: usize, max_members: usize) -> Result<(), Refusal> {
    let joins_public = match asked.kind {
        ConversationKind::Room(info) => info.visibility == Visibility::Public && asked.is_oneself,
        ConversationKind::Direct { .. } => false,
    };
    if !joins_public {
        // This check comes first, so that users who may not know of the room learn nothing about it.
        asked.actor()?;
    }
    if !asked.is_room() {
        return Err(Refusal::Forbidden("A direct conversation has exactly two members"));
    }
    if !joins_public {
        may(Act::Add, asked.actor)?;
    }
    if members >= max_members && asked.target.is_none() {
        return Err(Refusal::TooManyMembers { limit: max_members });
    }
    Ok(())
}

/// Who may remove a member from a room: members may remove themselves, and the roles that [`MATRIX`](super::room::MATRIX)
/// allows may remove others.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_remove_member(asked: &Standing<'_>) -> Result<(), Refusal> {
    asked.actor()?;
    if !asked.is_room() {
        return Err(Refusal::Forbidden("A direct conversation has exactly two members"));
    }
    asked.target()?;
    match asked.is_oneself {
        true => Ok(()),
        false => may_to(Act::Kick, asked.actor, asked.target),
    }
}

/// Who may change the roles of members: the roles that [`MATRIX`](super::room::MATRIX) allows.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_set_roles(asked: &Standing<'_>) -> Result<(), Refusal> {
    asked.actor()?;
    if !asked.is_room() {
        return Err(Act::SetRoles.rule().refusal());
    }
    may(Act::SetRoles, asked.actor)?;
    asked.target().map(drop)
}

/// The last admin may give up the role only if another member can succeed.
///
/// # Errors
/// [`Refusal::Forbidden`] if there is no other member.
pub fn may_give_up(succession: Succession) -> Result<(), Refusal> {
    match succession {
        Succession::Nobody => Err(Refusal::Forbidden("A room needs an admin")),
        Succession::NotNeeded | Succession::Heir(_) => Ok(()),
    }
}

/// The consequence when a member leaves or loses the admin role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// The member is not the last admin.
    NotNeeded,
    /// The member is the last admin, and this member succeeds.
    Heir(UserId),
    /// The member is the last admin, and the only member.
    Nobody,
}

/// Who becomes an admin when a member leaves or loses the admin role. A successor is needed if the member is the last
/// admin and not alone. The successor is the moderator who joined first, or without moderators the member who joined
/// first. `first_two` returns the first two members with a role, in the order of joining.
///
/// # Errors
/// The errors of `first_two`.
pub fn succession<E>(
    user: UserId,
    mut first_two: impl FnMut(Role) -> Result<Vec<Member>, E>,
) -> Result<Succession, E> {
    let admins = first_two(Role::Admin)?;
    if admins.len() != 1 || admins[0].user != user {
        return Ok(Succession::NotNeeded);
    }
    for role in [Role::Moderator, Role::Member] {
        if let Some(heir) = first_two(role)?.into_iter().find(|member| member.user != user) {
            return Ok(Succession::Heir(heir.user));
        }
    }
    Ok(Succession::Nobody)
}

#[cfg(test)]
mod tests;
