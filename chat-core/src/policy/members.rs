//! Who may change who is in a room, and what they may do there.

use super::Refusal;
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

/// Who may bring somebody into a room that has so many members, of at most `max_members`: moderators, and oneself into a public
/// room. Whoever is in already takes no room.
///
/// # Errors
/// [`Refusal::ConversationNotFound`] for those who may not know of the room, else what is in the way.
pub fn may_add_member(asked: &Standing<'_>, members: usize, max_members: usize) -> Result<(), Refusal> {
    let joins_public = match asked.kind {
        ConversationKind::Room(info) => info.visibility == Visibility::Public && asked.is_oneself,
        ConversationKind::Direct { .. } => false,
    };
    // First of all, so that no stranger learns anything of what they may not know of.
    if !joins_public && asked.actor()? < Role::Moderator && asked.is_room() {
        return Err(Refusal::Forbidden("Only moderators can add members"));
    }
    if !asked.is_room() {
        return Err(Refusal::Forbidden("A direct conversation has exactly two members"));
    }
    if members >= max_members && asked.target.is_none() {
        return Err(Refusal::TooManyMembers { limit: max_members });
    }
    Ok(())
}

/// Who may take somebody out of a room: oneself, moderators a plain member, admins everybody.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_remove_member(asked: &Standing<'_>) -> Result<(), Refusal> {
    let role = asked.actor()?;
    if !asked.is_room() {
        return Err(Refusal::Forbidden("A direct conversation has exactly two members"));
    }
    let target = asked.target()?;
    if asked.is_oneself || role == Role::Admin || (role == Role::Moderator && target == Role::Member) {
        return Ok(());
    }
    Err(Refusal::Forbidden("Only moderators can remove members"))
}

/// Who may give members other roles: admins.
///
/// # Errors
/// As [`may_add_member`].
pub fn may_set_roles(asked: &Standing<'_>) -> Result<(), Refusal> {
    let actor = asked.actor()?;
    if !asked.is_room() || actor < Role::Admin {
        return Err(Refusal::Forbidden("Only admins can change roles"));
    }
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
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::model::{Members, Pair, RoomInfo};

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 12])
    }

    fn private() -> ConversationKind {
        ConversationKind::Room(RoomInfo { name: "r".into(), visibility: Visibility::Private })
    }

    #[test]
    fn strangers_do_not_learn_of_conversations() {
        let direct = ConversationKind::Direct { pair: Pair::new(user(1), user(2)) };
        let admin = Some(Role::Admin);
        for kind in [&direct, &private()] {
            for (target, is_oneself) in [(admin, false), (None, false), (None, true)] {
                let asked = Standing { kind, actor: None, target, is_oneself };
                for refused in
                    [may_add_member(&asked, 2, 2), may_remove_member(&asked), may_set_roles(&asked)]
                {
                    assert!(refused == Err(Refusal::ConversationNotFound), "{refused:?}");
                }
            }
        }
        let adds = |kind, target| Standing { kind, actor: admin, target, is_oneself: false };
        assert!(matches!(may_add_member(&adds(&direct, None), 2, 2), Err(Refusal::Forbidden(_))));
        let private = private();
        let full = Err(Refusal::TooManyMembers { limit: 2 });
        assert_eq!(may_add_member(&adds(&private, None), 2, 2), full);
        assert_eq!(may_add_member(&adds(&private, admin), 2, 2), Ok(()), "who is in takes no room");
        assert_eq!(may_add_member(&adds(&private, None), 2, 3), Ok(()));
    }

    #[test]
    fn the_last_admin_is_followed_by_who_came_first_with_the_greatest_role() {
        use Role::{Admin, Member as Plain, Moderator};
        use Succession::{Heir, Nobody, NotNeeded};
        let room = |roles: &[Role]| -> Members {
            // The order of joining counts, not what clocks said.
            let joined_at = |n: u8| Timestamp::from_millis(100 - i64::from(n));
            let member =
                |(n, role): (u8, &Role)| Member { user: user(n), role: *role, joined_at: joined_at(n) };
            (1..).zip(roles).map(member).collect()
        };
        for (roles, goes, expected) in [
            (&[Admin, Plain, Moderator, Moderator][..], 1, Heir(user(3))),
            (&[Plain, Plain, Admin], 3, Heir(user(1))),
            (&[Admin, Plain, Plain], 1, Heir(user(2))),
            (&[Admin], 1, Nobody),
            (&[Admin, Plain, Admin], 1, NotNeeded),
            (&[Admin, Plain], 2, NotNeeded),
            (&[Plain, Moderator], 2, NotNeeded),
        ] {
            let room = room(roles);
            let first_two = |role| Ok::<_, ()>(room.first_with(role, 2));
            assert_eq!(succession(user(goes), first_two), Ok(expected), "{roles:?} without {goes}");
        }
        assert_eq!(may_give_up(Nobody), Err(Refusal::Forbidden("A room needs an admin")));
        assert_eq!((may_give_up(NotNeeded), may_give_up(Heir(user(1)))), (Ok(()), Ok(())));
        let kind = &private();
        let alone = Standing { kind, actor: Some(Admin), target: Some(Admin), is_oneself: true };
        assert_eq!(may_remove_member(&alone), Ok(()), "a room may be empty");
    }
}
