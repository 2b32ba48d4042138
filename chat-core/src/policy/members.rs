//! Who may change who is in a room, and what they may do there.

use super::Refusal;
use super::room::{Act, may, may_to};
use crate::id::UserId;
use crate::model::{ConversationKind, Member, Role, Visibility};

/// What is known of a conversation where its members are to be changed: who asks, and who it is about.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What kind of conversation it is.
    pub kind: &'a ConversationKind,
    /// The role of the one who asks; none outside.
    pub actor: Option<Role>,
    /// The role of the one whom it is about; none outside.
    pub target: Option<Role>,
    /// Whether both are the same person.
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

/// Who may bring somebody into a room that has so many members, of at most `max_members`: those whom [`MATRIX`](super::room::MATRIX)
/// lets do so, and oneself into a public room. Whoever is in already takes no room.
///
/// # Errors
/// [`Refusal::ConversationNotFound`] for those who may not know of the room, else what is in the way.
pub fn may_add_member(asked: &Standing<'_>, members: usize, max_members: usize) -> Result<(), Refusal> {
    let joins_public = match asked.kind {
        ConversationKind::Room(info) => info.visibility == Visibility::Public && asked.is_oneself,
        ConversationKind::Direct { .. } => false,
    };
    if !joins_public {
        // First of all, so that no stranger learns anything of what they may not know of.
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

/// Who may take somebody out of a room: oneself, and those whom [`MATRIX`](super::room::MATRIX) lets do so.
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

/// Who may give members other roles: those whom [`MATRIX`](super::room::MATRIX) lets do so.
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

/// The last admin can give up the role only where somebody can follow.
///
/// # Errors
/// [`Refusal::Forbidden`] where nobody can.
pub fn may_give_up(succession: Succession) -> Result<(), Refusal> {
    match succession {
        Succession::Nobody => Err(Refusal::Forbidden("A room needs an admin")),
        Succession::NotNeeded | Succession::Heir(_) => Ok(()),
    }
}

/// What becomes of a room when a member goes, or is no admin any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// They are not its last admin.
    NotNeeded,
    /// They are the last admin, and this member follows.
    Heir(UserId),
    /// They are the last admin, and alone.
    Nobody,
}

/// Who becomes an admin when a member goes, or is no admin any more: somebody, if they are the last admin and not alone. The
/// moderator who came first follows, and without moderators the member who came first. `first_two` gives the first two
/// members with a role in the order of joining.
///
/// # Errors
/// Those of `first_two`.
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
