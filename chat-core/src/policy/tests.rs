//! What holds for [`policy`](super).

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
fn an_address_is_named_when_it_is_refused() {
    assert_eq!(check_email(" Ann@Example.COM ").unwrap(), "ann@example.com");
    let refused = check_email("\"><img/src=x>@b.c").unwrap_err().to_string();
    assert_eq!(refused, "email is not an e-mail address");
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
    for bad in ["ab", "", "a\u{7}bc", &"x".repeat(65), &"e\u{301}".repeat(65), &"x".repeat(1_000_000)] {
        assert!(check_username(bad).is_err(), "{}", bad.len());
    }
    // Composed they are 64.
    assert_eq!(check_username(&"e\u{301}".repeat(64)).unwrap(), "é".repeat(64));
}

#[test]
fn names_say_what_is_wrong_with_them() {
    let of_user = |name: &str| check_username(name).unwrap_err().to_string();
    assert_eq!(of_user("adm\u{200b}in"), "username must not contain invisible characters");
    assert_eq!(of_user("аdmin"), "username must not mix letters of different scripts");
    assert_eq!(of_user("adm\nin"), "username must not contain control characters");
    let refused = check_display_name("fullName", "\u{202e}nnA").unwrap_err().to_string();
    assert_eq!(refused, "fullName must not contain invisible characters");
    // Whoever shows a name to others may write it as they like.
    assert_eq!(check_display_name("fullName", " Анна Smith ").unwrap(), "Анна Smith");
}

#[test]
fn strangers_do_not_learn_of_conversations() {
    use crate::clock::Timestamp;
    use crate::id::ConversationId;
    use crate::model::{Member, Pair, RoomInfo};
    let at = Timestamp::from_millis(0);
    let [ann, bob, eve] = [1, 2, 3].map(|n| UserId::from_bytes([n; 12]));
    let of = |kind| Conversation {
        id: ConversationId::from_bytes([9; 12]),
        kind,
        members: [ann, bob].map(|user| Member { user, role: Role::Admin, joined_at: at }).into(),
        created_at: at,
    };
    let direct = of(ConversationKind::Direct { pair: Pair::new(ann, bob) });
    let private = of(ConversationKind::Room(RoomInfo { name: "r".into(), visibility: Visibility::Private }));
    for conversation in [&direct, &private] {
        for user in [ann, bob, eve] {
            for refused in [
                may_add_member(eve, user, conversation, 2),
                may_remove_member(eve, user, conversation),
                may_set_role(eve, user, Role::Member, conversation),
            ] {
                assert!(refused == Err(Refusal::ConversationNotFound), "{refused:?}");
            }
        }
    }
    assert!(matches!(may_add_member(ann, eve, &direct, 2), Err(Refusal::Forbidden(_))));
    assert_eq!(may_add_member(ann, eve, &private, 2), Err(Refusal::TooManyMembers { limit: 2 }));
    assert_eq!(may_add_member(ann, bob, &private, 2), Ok(()), "who is in takes no room");
    assert_eq!(may_add_member(ann, eve, &private, 3), Ok(()));
}

#[test]
fn messages_are_deleted_by_who_sent_them_and_by_moderators() {
    use crate::clock::Timestamp;
    use Role::{Admin, Member, Moderator};
    let [ann, bob] = [1, 2].map(|n| UserId::from_bytes([n; 12]));
    assert_eq!(may_delete(ann, None, ann), Err(Refusal::MessageNotFound), "who has left");
    for role in [Member, Moderator, Admin] {
        assert_eq!(may_delete(ann, Some(role), ann), Ok(()));
        assert_eq!(may_delete(bob, Some(role), ann).is_ok(), role >= Moderator, "{role:?}");
    }
    let by = |by| Some(Tombstone { at: Timestamp::from_millis(0), by });
    for role in [Member, Admin] {
        assert_eq!(may_restore(ann, Some(role), ann, by(ann)), Ok(()));
        assert_eq!(may_restore(bob, Some(role), ann, by(bob)), Ok(()), "who has deleted it");
        assert!(matches!(may_restore(ann, Some(role), ann, by(bob)), Err(Refusal::Forbidden(_))));
        assert_eq!(may_restore(ann, Some(role), ann, None), Ok(()), "nothing to do");
        assert!(matches!(may_restore(bob, Some(role), ann, None), Err(Refusal::Forbidden(_))));
    }
    assert_eq!(may_restore(ann, None, ann, by(ann)), Err(Refusal::MessageNotFound), "who has left");
}

#[test]
fn the_last_admin_is_followed_by_who_came_first_with_the_greatest_role() {
    use crate::clock::Timestamp;
    use crate::id::ConversationId;
    use crate::model::{Member, RoomInfo};
    let user = |n| UserId::from_bytes([n; 12]);
    let room = |roles: &[Role]| Conversation {
        id: ConversationId::from_bytes([9; 12]),
        kind: ConversationKind::Room(RoomInfo { name: "r".into(), visibility: Visibility::Private }),
        members: (1..)
            .zip(roles)
            // The order of joining counts, not what clocks said.
            .map(|(n, role)| Member {
                user: user(n),
                role: *role,
                joined_at: Timestamp::from_millis(100 - i64::from(n)),
            })
            .collect(),
        created_at: Timestamp::from_millis(0),
    };
    use Role::{Admin, Member as Plain, Moderator};
    for (roles, goes, follows) in [
        (&[Admin, Plain, Moderator, Moderator][..], 1, Some(3)),
        (&[Plain, Plain, Admin], 3, Some(1)),
        (&[Admin, Plain, Plain], 1, Some(2)),
        (&[Admin], 1, None),
        (&[Admin, Plain, Admin], 1, None),
        (&[Admin, Plain], 2, None),
        (&[Plain, Moderator], 2, None),
    ] {
        let room = room(roles);
        assert_eq!(successor_of(user(goes), &room), follows.map(user), "{roles:?} without {goes}");
    }
    let alone = room(&[Admin]);
    let refused = may_set_role(user(1), user(1), Plain, &alone);
    assert_eq!(refused, Err(Refusal::Forbidden("A room needs an admin")));
    assert_eq!(may_set_role(user(1), user(1), Admin, &alone), Ok(()));
    assert_eq!(may_remove_member(user(1), user(1), &alone), Ok(()), "a room may be empty");
}
