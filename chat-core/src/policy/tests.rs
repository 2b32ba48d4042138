//! Tests of [`policy`](super).

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
    // In composed form they have 64 characters.
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
    // Display names allow other characters and spaces.
    assert_eq!(check_display_name("fullName", " Анна Smith ").unwrap(), "Анна Smith");
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
