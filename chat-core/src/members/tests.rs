use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;

fn user(n: u16) -> UserId {
    let mut bytes = [0; 12];
    bytes[10..].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn member(n: u16, role: Role) -> Member {
    Member { user: user(n), role, joined_at: Timestamp::from_millis(n.into()) }
}

fn role(n: u8) -> Role {
    [Role::Member, Role::Moderator, Role::Admin][usize::from(n % 3)]
}

/// Compares all methods of `Members` with a plain list.
fn check(members: &Members, expected: &[Member]) {
    assert_eq!(members.iter().copied().collect::<Vec<_>>(), expected);
    assert_eq!((members.len(), members.is_empty()), (expected.len(), expected.is_empty()));
    let of = |role| expected.iter().filter(move |member| member.role == role).copied();
    assert_eq!(members.admins(), of(Role::Admin).count());
    for role in [Role::Member, Role::Moderator, Role::Admin] {
        assert_eq!(members.first_with(role, 2), of(role).take(2).collect::<Vec<_>>());
    }
    for n in 0..100 {
        let found = expected.iter().find(|member| member.user == user(n));
        assert_eq!(members.get(user(n)), found);
        assert_eq!(members.order_of(user(n)).is_some(), found.is_some());
    }
    let (mut paged, mut after) = (Vec::new(), JoinOrder(0));
    while let page = members.page(after, 7)
        && let Some((last, _)) = page.last()
    {
        assert!(page.len() <= 7 && *last > after);
        after = *last;
        paged.extend(page.into_iter().map(|(_, member)| member));
    }
    assert_eq!(paged, expected);
}

proptest! {
    #[test]
    fn members_are_what_a_list_would_be(steps in prop::collection::vec((0..4_u8, 0..100_u16, 0..3_u8), 0..200)) {
        let (mut members, mut expected) = (Members::default(), Vec::<Member>::new());
        for (what, n, r) in steps {
            let before = (members.clone(), expected.clone());
            let there = expected.iter_mut().find(|member| member.user == user(n));
            match (what, there) {
                (0 | 1, None) => {
                    members.put(member(n, role(r)));
                    expected.push(member(n, role(r)));
                }
                (0, Some(there)) => {
                    *there = member(n, role(r));
                    members.put(*there);
                }
                (2, _) => {
                    members.remove(user(n));
                    expected.retain(|member| member.user != user(n));
                }
                (_, there) => {
                    if let Some(there) = there {
                        there.role = role(r);
                    }
                    members.set_role(user(n), role(r));
                }
            }
            prop_assert_eq!(before.0.iter().copied().collect::<Vec<_>>(), before.1, "a copy stays as it was");
        }
        check(&members, &expected);
    }
}

#[test]
fn a_place_is_kept_and_given() {
    let mut members: Members = (0..80).map(|n| member(n, Role::Member)).collect();
    let order = members.order_of(user(40)).unwrap();
    members.set_role(user(40), Role::Admin);
    assert_eq!(members.order_of(user(40)), Some(order));
    assert_eq!(members.iter().nth(40), Some(&member(40, Role::Admin)));
    members.put_at(JoinOrder(1), member(90, Role::Member));
    assert_eq!(members.iter().nth(1), Some(&member(90, Role::Member)));
    // For a moment two members have the same place: one has left and another has joined, but only the second change
    // is known yet.
    members.put_at(order, member(91, Role::Member));
    members.remove(user(40));
    assert_eq!(members.iter().nth(41), Some(&member(91, Role::Member)));
    assert_eq!(members.len(), 81);
}
