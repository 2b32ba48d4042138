//! What holds for [`change`](super).

use super::*;

fn one_of_each() -> Vec<Change<u8>> {
    let detail = |kind| match kind {
        ChangeKind::MessageChanged(aspect) => crate::aspects::tests::detail(aspect),
        ChangeKind::RoomChanged => RoomAspect::Banned(UserId::from_bytes([4; 12])).to_detail(),
        ChangeKind::RelationChanged => Detail::new(&[4; 13]),
        ChangeKind::ChatSettingsChanged => Detail::new(&[4; 12]),
        ChangeKind::SessionEnded => Detail::new(&[4; 20]),
        _ => Detail::new(&[7]),
    };
    let all = |kind| Fields {
        message: Some(7),
        room: Some(ConversationId::from_bytes([1; 12])),
        user: Some(UserId::from_bytes([2; 12])),
        role: Some(Role::Moderator),
        seq: Some(Seq(3)),
        detail: detail(kind),
    };
    ChangeKind::all().map(|kind| Change::from_fields(kind, all(kind)).unwrap()).collect()
}

#[test]
fn numbers_and_words_are_those_of_old_databases() {
    let known = [
        (1, "message_sent"),
        (2, "message_deleted"),
        (3, "message_restored"),
        (4, "room_created"),
        (5, "member_added"),
        (6, "member_removed"),
        (7, "role_changed"),
        (8, "profile_updated"),
        (9, "read_marked"),
        (10, "message_reacted"),
        (11, "message_edited"),
        (12, "message_hidden"),
        (13, "message_pinned"),
        (14, "thread_changed"),
        (15, "thread_followed"),
        (32, "room_changed"),
        (64, "relation_changed"),
        (65, "chat_settings_changed"),
        (91, "session_ended"),
    ];
    let now: Vec<_> = ChangeKind::all().map(|kind| (kind.code(), kind.name())).collect();
    assert!(known.iter().all(|kind| now.contains(kind)), "{now:?}");
    for kind in ChangeKind::all() {
        assert_eq!(ChangeKind::from_code(kind.code()), Some(kind));
        assert_eq!(ChangeKind::from_name(kind.name()), Some(kind));
    }
    assert_eq!(ChangeKind::from_code(0), None);
    assert_eq!(ChangeKind::from_name("Message_sent"), None);
}

#[test]
fn a_change_is_made_again_of_what_it_holds_and_of_nothing_less() {
    for change in one_of_each() {
        let kind = change.kind();
        let fields = change.fields();
        let held = Fields { message: fields.message.copied(), ..Fields::default() };
        let held = Fields { room: fields.room, user: fields.user, role: fields.role, ..held };
        let held = Fields { seq: fields.seq, detail: fields.detail, ..held };
        assert_eq!(Change::from_fields(kind, held), Ok(change));
        assert_eq!(kind.is_about_message(), change.message().is_some());
        let less = [
            ("message", held.message.is_some(), Fields { message: None, ..held }),
            ("room", held.room.is_some(), Fields { room: None, ..held }),
            ("user", held.user.is_some(), Fields { user: None, ..held }),
            ("role", held.role.is_some(), Fields { role: None, ..held }),
            ("seq", held.seq.is_some(), Fields { seq: None, ..held }),
            ("detail", held.detail.is_some(), Fields { detail: None, ..held }),
            ("detail", held.detail.is_some(), Fields { detail: Detail::new(&[]), ..held }),
            ("detail", held.detail.is_some(), Fields { detail: Detail::new(&[1, 0xff]), ..held }),
        ];
        for (field, _, less) in less.into_iter().filter(|(_, is_held, _)| *is_held) {
            assert_eq!(Change::from_fields(kind, less), Err(field), "{kind:?}");
        }
    }
}

#[test]
fn a_detail_is_what_it_was_made_of() {
    for len in [0, 1, 63, 64] {
        let bytes: Vec<u8> = (0..len).map(|n| 255 - n).collect();
        assert_eq!(Detail::new(&bytes).unwrap().as_bytes(), bytes);
    }
    assert_eq!(Detail::new(&[0; 65]), None);
    assert_ne!(Detail::new(&[0]), Detail::new(&[0, 0]));
    assert_eq!(format!("{:?}", Detail::new(b"secret")), "Some(Detail(6 bytes))");
}

#[test]
fn another_form_of_the_message_is_the_same_change() {
    for change in one_of_each() {
        let other = change.map(|message| Ok::<_, ()>(u16::from(message))).unwrap();
        assert_eq!((other.kind(), other.message()), (change.kind(), change.message().map(|_| &7)));
        assert_eq!(other.map(u8::try_from), Ok(change));
        let failed = change.map(|_| Err::<u8, _>("gone"));
        assert_eq!(failed.is_err(), change.message().is_some());
    }
}
