//! What holds for [`room`](super).

use super::*;

const ROLES: [Role; 3] = [Role::Member, Role::Moderator, Role::Admin];

/// The table as `docs/protocol.md` shows it.
fn printed() -> String {
    let mut table = String::from("| To | member | moderator | admin |\n|---|---|---|---|\n");
    for rule in MATRIX {
        let cells = ROLES.map(|role| match rule.reach(role) {
            Reach::Nobody => "–",
            Reach::Lesser => "those with a lesser role",
            Reach::Everybody => "yes",
        });
        table += &format!("| {} | {} |\n", rule.words, cells.join(" | "));
    }
    table
}

#[test]
fn the_documents_show_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    let page = std::fs::read_to_string(page).expect("docs/protocol.md is there");
    assert!(page.contains(&printed()), "docs/protocol.md must have this table:\n{}", printed());
}

#[test]
fn every_act_has_its_line_and_greater_roles_may_do_all_that_lesser_ones_may() {
    for (n, rule) in MATRIX.iter().enumerate() {
        assert_eq!((rule.act as usize, rule.act.rule().act), (n, rule.act));
        let reaches = ROLES.map(|role| rule.reach(role) as u8);
        assert!(reaches.is_sorted(), "{rule:?}");
    }
    for rule in MATRIX {
        assert_eq!(may(rule.act, None), Err(Refusal::ConversationNotFound), "strangers learn nothing");
        assert_eq!(
            may(rule.act, Some(Role::Member)),
            Err(rule.refusal()),
            "plain members may do nothing of it"
        );
        assert_eq!(may(rule.act, Some(Role::Admin)), Ok(()));
    }
}

#[test]
fn the_role_of_the_other_one_counts() {
    let [member, moderator, admin] = ROLES.map(Some);
    for act in [Act::Kick, Act::Ban, Act::Mute] {
        assert_eq!(may_to(act, moderator, member), Ok(()));
        assert_eq!(may_to(act, moderator, None), Ok(()), "who is not in has no role");
        for target in [moderator, admin] {
            assert!(matches!(may_to(act, moderator, target), Err(Refusal::Forbidden(_))), "{act:?}");
            assert_eq!(may_to(act, admin, target), Ok(()));
        }
        assert_eq!(may_to(act, member, None), Err(act.rule().refusal()));
        assert_eq!(may_to(act, None, member), Err(Refusal::ConversationNotFound));
    }
    assert_eq!(may_to(Act::DeleteMessages, moderator, admin), Ok(()));
}
