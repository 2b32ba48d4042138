//! Tests of [`members`](super).

use super::*;
use crate::clock::Timestamp;
use crate::model::{Members, Pair, RoomInfo};

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 12])
}

fn private() -> ConversationKind {
    ConversationKind::Room(RoomInfo::new("r", Visibility::Private))
}

#[test]
fn strangers_do_not_learn_of_conversations() {
    let direct = ConversationKind::Direct { pair: Pair::new(user(1), user(2)) };
    let admin = Some(Role::Admin);
    for kind in [&direct, &private()] {
        for (target, is_oneself) in [(admin, false), (None, false), (None, true)] {
            let asked = Standing { kind, actor: None, target, is_oneself };
            for refused in [may_add_member(&asked, 2, 2), may_remove_member(&asked), may_set_roles(&asked)] {
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
        // The order of joining decides, not the timestamps.
        let joined_at = |n: u8| Timestamp::from_millis(100 - i64::from(n));
        let member = |(n, role): (u8, &Role)| Member { user: user(n), role: *role, joined_at: joined_at(n) };
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
