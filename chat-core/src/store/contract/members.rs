//! Contract tests of [`RoomStore`](crate::store::RoomStore): the members of a room and their permissions.

use std::sync::Arc;
use std::task::Poll;

use super::support::{
    add, adding, at, conversation_id, direct, everything, give_role, giving, last_position, member, new_room,
    people, remove, removing, room, user_id, whole_log,
};
use crate::id::{ConversationId, UserId};
use crate::model::{JoinOrder, Member, Position, Role, Visibility};
use crate::policy::Refusal;
use crate::store::{AddMember, Change, LoggedChange, RoomChange, Store};

async fn members(store: &dyn Store, n: u16) -> Vec<Member> {
    let found = store.conversation(conversation_id(n)).await.expect("looking a conversation up must work");
    found.expect("the conversation must be there").members.iter().copied().collect()
}

/// The last change of the log, with its position.
async fn last_change(store: &dyn Store) -> Option<LoggedChange> {
    whole_log(store).await.pop()
}

fn changed(change: &RoomChange) -> (Option<Position>, Option<Member>) {
    (change.position, change.member)
}

/// New members come last in the order of joining, with the lowest role, and each is logged.
pub async fn members_are_added_in_order(store: Arc<dyn Store>) {
    let [ann, dan, bob, cid] = people(&*store, [1, 4, 2, 3]).await;
    let id = room(&*store, 1, ann).await;
    let elsewhere = room(&*store, 2, ann).await;
    let mut expected = vec![member(ann, Role::Admin, 10)];
    // Two members join in the same millisecond, and one by a clock that was set back.
    for (n, (new, moment)) in (3..).zip([(dan, 50), (bob, 50), (cid, 40)]) {
        expected.push(member(new, Role::Member, moment));
        let change = add(&*store, id, ann, new, moment).await;
        let added = expected.last().copied();
        assert_eq!(changed(&change), (Some(Position(n)), added), "the answer");
        assert_eq!(change.successor, None);
        assert_eq!(members(&*store, 1).await, expected, "what is found");
        let change = Change::MemberAdded { room: id, user: new };
        assert_eq!(last_change(&*store).await, Some(LoggedChange { position: Position(n), change }));
    }
    assert_eq!(members(&*store, 2).await, [member(ann, Role::Admin, 10)], "{elsewhere} is another room");
}

/// Adding a person who is already a member changes nothing, in particular not the role.
pub async fn adding_a_member_changes_no_role(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let cast =
        vec![member(ann, Role::Admin, 10), member(bob, Role::Moderator, 11), member(cid, Role::Member, 12)];
    let id = store.create_room(new_room(1, cast.clone(), ann)).await.unwrap().unwrap().1.id;
    let before = everything(&*store).await;
    for (by, user) in [(ann, bob), (bob, ann), (bob, bob), (ann, cid)] {
        let change = add(&*store, id, by, user, 99).await;
        let there = cast.iter().find(|member| member.user == user).copied();
        assert_eq!((changed(&change), change.successor), ((None, there), None), "{user} by {by}");
        assert_eq!(everything(&*store).await, before, "{user} by {by}");
    }
}

/// A member who gets another role keeps the place and the time of joining. Setting the same role again is no change.
pub async fn roles_change_in_place(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let mut expected =
        vec![member(ann, Role::Admin, 10), member(cid, Role::Member, 11), member(bob, Role::Member, 12)];
    let id = conversation_id(1);
    store.create_room(new_room(1, expected.clone(), ann)).await.unwrap().unwrap();
    let mut last = 1;
    for role in [Role::Moderator, Role::Admin, Role::Member, Role::Admin] {
        for again in [false, true] {
            let change = give_role(&*store, id, ann, (cid, role), 99).await;
            expected[1].role = role;
            last += u64::from(!again);
            let position = (!again).then_some(Position(last));
            assert_eq!(changed(&change), (position, Some(expected[1])), "{role:?}, again: {again}");
            assert_eq!(change.successor, None);
            assert_eq!(members(&*store, 1).await, expected, "what is found after {role:?}");
            assert_eq!(last_position(&*store).await, Position(last), "{role:?}, again: {again}");
        }
        let change = Change::RoleChanged { room: id, user: cid, role };
        assert_eq!(last_change(&*store).await, Some(LoggedChange { position: Position(last), change }));
    }
}

/// Giving a role to a person who is not a member, or no longer one, does not make that person a member.
pub async fn a_role_makes_nobody_a_member(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let id = room(&*store, 1, ann).await;
    add(&*store, id, ann, bob, 20).await;
    remove(&*store, id, ann, bob, 30).await;
    let before = everything(&*store).await;
    for user in [bob, cid, user_id(9)] {
        for role in [Role::Member, Role::Moderator, Role::Admin] {
            let refused = store.set_role(giving(id, ann, user, role, 40)).await.unwrap();
            assert_eq!(refused, Err(Refusal::UserNotFound), "{user}, {role:?}");
        }
    }
    assert_eq!(everything(&*store).await, before);
}

/// A role change is logged with its own time, not with the time when the member joined.
pub async fn a_role_is_logged_at_its_own_time(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = room(&*store, 1, ann).await;
    add(&*store, id, ann, bob, 4_000).await;
    let role = give_role(&*store, id, ann, (bob, Role::Moderator), 9_000).await.position;
    // One more change, because the last change of the log is never forgotten.
    remove(&*store, id, bob, bob, 9_001).await;
    let begin = store.forget_before(at(8_000)).await.unwrap();
    assert_eq!(Some(Position(begin.0 + 1)), role, "the log begins with the first change after that moment");
}

/// A member is removed once. Coming back means joining again, in the last place.
pub async fn members_are_removed_once(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let (id, elsewhere) = (conversation_id(1), conversation_id(2));
    let all =
        vec![member(ann, Role::Admin, 10), member(bob, Role::Moderator, 10), member(cid, Role::Member, 10)];
    store.create_room(new_room(1, all.clone(), ann)).await.unwrap().unwrap();
    store.create_room(new_room(2, all.clone(), ann)).await.unwrap().unwrap();

    let without_bob = [all[0], all[2]];
    let change = remove(&*store, id, ann, bob, 60).await;
    assert_eq!(changed(&change), (Some(Position(3)), None), "the answer");
    assert_eq!(change.successor, None);
    for (by, refusal) in [(ann, Refusal::UserNotFound), (bob, Refusal::ConversationNotFound)] {
        let again = store.remove_member(removing(id, by, bob, 61)).await.unwrap();
        assert_eq!(again, Err(refusal), "again, by {by}");
    }
    assert_eq!(members(&*store, 1).await, without_bob, "what is found");
    let change = Change::MemberRemoved { room: id, user: bob };
    assert_eq!(last_change(&*store).await, Some(LoggedChange { position: Position(3), change }));
    assert_eq!(members(&*store, 2).await, all, "{elsewhere} is another room");

    let change = add(&*store, id, ann, bob, 5).await;
    let back = [all[0], all[2], member(bob, Role::Member, 5)];
    assert_eq!(changed(&change), (Some(Position(4)), Some(back[2])), "the answer");
    assert_eq!(members(&*store, 1).await, back, "back in the last place");
    for user in [cid, bob, ann] {
        remove(&*store, id, user, user, 70).await;
    }
    assert_eq!(members(&*store, 1).await, [], "a room may be empty");
    assert_eq!(last_position(&*store).await, Position(7));
}

/// When the last admin leaves, the moderator who joined first becomes admin, or else the member who joined first. An
/// empty room has no admin. The succession is logged directly after the removal, in the same transaction.
pub async fn the_last_admin_who_goes_is_followed(store: Arc<dyn Store>) {
    let [ann, bob, cid, dan] = people(&*store, [4, 3, 2, 1]).await;
    let cast = vec![
        member(ann, Role::Admin, 10),
        member(bob, Role::Member, 10),
        member(cid, Role::Moderator, 10),
        member(dan, Role::Moderator, 5),
    ];
    let id = store.create_room(new_room(1, cast.clone(), ann)).await.unwrap().unwrap().1.id;
    let mut left = cast;
    let mut last = 1;
    for (goes, follows) in [(ann, Some(cid)), (cid, Some(dan)), (dan, Some(bob)), (bob, None)] {
        left.retain(|member| member.user != goes);
        for member in left.iter_mut().filter(|member| Some(member.user) == follows) {
            member.role = Role::Admin;
        }
        let change = remove(&*store, id, goes, goes, 60).await;
        let successor = follows.map(|user| (Position(last + 2), user));
        assert_eq!((changed(&change), change.successor), ((Some(Position(last + 1)), None), successor));
        assert_eq!(members(&*store, 1).await, left, "what is found without {goes}");
        let removed = Change::MemberRemoved { room: id, user: goes };
        let role = follows.map(|user| Change::RoleChanged { room: id, user, role: Role::Admin });
        let logged = store.changes_after(Position(last), 9).await.unwrap().unwrap();
        let logged: Vec<_> = logged.into_iter().map(|entry| entry.change).collect();
        assert_eq!(logged, [removed].into_iter().chain(role).collect::<Vec<_>>());
        last = last_position(&*store).await.0;
    }
    let two =
        vec![member(ann, Role::Admin, 10), member(bob, Role::Admin, 11), member(cid, Role::Moderator, 12)];
    let id = store.create_room(new_room(2, two, ann)).await.unwrap().unwrap().1.id;
    let change = remove(&*store, id, ann, ann, 60).await;
    assert_eq!(change.successor, None, "there is another admin");
    let change = remove(&*store, id, bob, cid, 60).await;
    assert_eq!(change.successor, None, "the admin stays");
}

/// The last admin can give up the role only if another member can become admin, and that member then does.
pub async fn the_last_admin_gives_up_the_role_to_somebody(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let id = room(&*store, 1, ann).await;
    let before = everything(&*store).await;
    for role in [Role::Member, Role::Moderator] {
        let refused = store.set_role(giving(id, ann, ann, role, 20)).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{role:?}, alone: {refused:?}");
    }
    assert_eq!(everything(&*store).await, before, "what is refused changes nothing");
    for user in [bob, cid] {
        add(&*store, id, ann, user, 30).await;
    }
    let last = last_position(&*store).await.0;
    let change = give_role(&*store, id, ann, (ann, Role::Moderator), 40).await;
    let expected =
        [member(ann, Role::Moderator, 10), member(bob, Role::Admin, 30), member(cid, Role::Member, 30)];
    assert_eq!(changed(&change), (Some(Position(last + 1)), Some(expected[0])));
    assert_eq!(change.successor, Some((Position(last + 2), bob)), "without moderators, who came first");
    assert_eq!(members(&*store, 1).await, expected);
    // Now there is a moderator, who also joined earlier.
    let change = give_role(&*store, id, bob, (bob, Role::Member), 50).await;
    assert_eq!(change.successor, Some((Position(last + 4), ann)));
    let logged = store.changes_after(Position(last), 9).await.unwrap().unwrap();
    let logged: Vec<_> = logged.into_iter().map(|entry| entry.change).collect();
    let role = |user, role| Change::RoleChanged { room: id, user, role };
    let expected =
        [role(ann, Role::Moderator), role(bob, Role::Admin), role(bob, Role::Member), role(ann, Role::Admin)];
    assert_eq!(logged, expected);
    give_role(&*store, id, ann, (cid, Role::Admin), 60).await;
    let change = give_role(&*store, id, ann, (ann, Role::Member), 60).await;
    assert_eq!(change.successor, None, "there is another admin");
}

/// A full room accepts no new member. Adding an existing member to a full room is still no error.
pub async fn a_room_has_only_so_many_members(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let id = room(&*store, 1, ann).await;
    let adding = |user, max_members| AddMember { max_members, ..adding(id, ann, user, 20) };
    let full = |limit| Err(Refusal::TooManyMembers { limit });
    let before = everything(&*store).await;
    for limit in [0, 1] {
        assert_eq!(store.add_member(adding(bob, limit)).await.unwrap(), full(limit));
    }
    assert_eq!(everything(&*store).await, before, "what is refused changes nothing");
    assert!(store.add_member(adding(bob, 2)).await.unwrap().is_ok());
    assert_eq!(store.add_member(adding(cid, 2)).await.unwrap(), full(2));
    let again = store.add_member(adding(bob, 1)).await.unwrap().expect("he is in");
    assert_eq!(again.position, None);
    remove(&*store, id, bob, bob, 30).await;
    assert!(store.add_member(adding(cid, 2)).await.unwrap().is_ok(), "a place was free");
}

/// The roles at the moment of the write decide who may change what. A person outside does not learn that a room exists,
/// unless it is public. The members of a direct conversation never change.
pub async fn roles_at_the_moment_decide_who_may(store: Arc<dyn Store>) {
    let [ann, bob, cid, eve] = people(&*store, [1, 2, 3, 4]).await;
    let cast =
        vec![member(ann, Role::Admin, 10), member(bob, Role::Moderator, 10), member(cid, Role::Member, 10)];
    let id = store.create_room(new_room(1, cast, ann)).await.unwrap().unwrap().1.id;
    let with_bob = direct(&*store, 2, ann, bob).await;
    let no_such_room = conversation_id(9);
    let before = everything(&*store).await;
    let unknown = Refusal::ConversationNotFound;
    let all: [(ConversationId, UserId, UserId, Option<Refusal>); 8] = [
        (id, eve, eve, Some(unknown)),
        (id, eve, cid, Some(unknown)),
        (id, eve, user_id(9), Some(unknown)),
        (with_bob, eve, eve, Some(unknown)),
        (no_such_room, ann, bob, Some(unknown)),
        (id, cid, eve, None),
        (with_bob, ann, eve, None),
        (id, ann, user_id(9), Some(Refusal::UserNotFound)),
    ];
    for (room, by, user, refusal) in all {
        let check = |what: &str, answer: Result<RoomChange, Refusal>| match (answer, refusal) {
            (Err(refused), Some(refusal)) => assert_eq!(refused, refusal, "{what} {user} by {by}"),
            (Err(Refusal::Forbidden(_)), None) => {}
            (answer, _) => panic!("{what} {user} by {by} was answered {answer:?}"),
        };
        check("adding", store.add_member(adding(room, by, user, 20)).await.unwrap());
        check("a role for", store.set_role(giving(room, by, user, Role::Admin, 20)).await.unwrap());
        if (room, by) != (id, cid) {
            check("removing", store.remove_member(removing(room, by, user, 20)).await.unwrap());
        }
    }
    for (by, user) in [(bob, ann), (cid, bob), (cid, ann)] {
        let refused = store.remove_member(removing(id, by, user, 20)).await.unwrap();
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{user} by {by}: {refused:?}");
    }
    let refused = store.set_role(giving(id, bob, cid, Role::Moderator, 20)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "a moderator changes no roles: {refused:?}");
    assert_eq!(everything(&*store).await, before, "what is refused changes nothing");

    // The same people, after their roles have changed.
    add(&*store, id, bob, eve, 30).await;
    give_role(&*store, id, ann, (bob, Role::Member), 31).await;
    let refused = store.remove_member(removing(id, bob, eve, 32)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "he is no moderator any more: {refused:?}");
    give_role(&*store, id, ann, (eve, Role::Admin), 33).await;
    remove(&*store, id, eve, ann, 34).await;
    let refused = store.set_role(giving(id, ann, bob, Role::Admin, 35)).await.unwrap();
    assert_eq!(refused, Err(unknown), "she is out");

    let mut public = new_room(3, vec![member(ann, Role::Admin, 10)], ann);
    public.info.visibility = Visibility::Public;
    let public = store.create_room(public).await.unwrap().unwrap().1.id;
    add(&*store, public, cid, cid, 40).await;
    let refused = store.add_member(adding(public, cid, eve, 41)).await.unwrap();
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "others are brought by moderators: {refused:?}");
    let refused = store.set_role(giving(public, eve, eve, Role::Admin, 41)).await.unwrap();
    assert_eq!(refused, Err(unknown), "joining is all that a stranger can do");
}

/// Members are read in pages, in the order of joining. A member who comes back is listed last.
pub async fn members_are_read_in_pages(store: Arc<dyn Store>) {
    let [ann, bob, cid, dan, eve] = people(&*store, [5, 4, 3, 2, 1]).await;
    let (id, elsewhere) = (room(&*store, 1, ann).await, conversation_id(2));
    assert_eq!(store.members(elsewhere, JoinOrder(0), 9).await.unwrap(), [], "there is no such room");
    room(&*store, 2, eve).await;
    for user in [bob, cid, dan] {
        add(&*store, id, ann, user, 20).await;
        add(&*store, elsewhere, eve, user, 20).await;
    }
    remove(&*store, id, ann, bob, 30).await;
    give_role(&*store, id, ann, (dan, Role::Moderator), 40).await;
    add(&*store, id, ann, bob, 10).await;
    let expected = [
        member(ann, Role::Admin, 10),
        member(cid, Role::Member, 20),
        member(dan, Role::Moderator, 20),
        member(bob, Role::Member, 10),
    ];
    let all = store.members(id, JoinOrder(0), 100).await.unwrap();
    assert_eq!(all.iter().map(|(_, member)| *member).collect::<Vec<_>>(), expected);
    assert!(all[0].0 > JoinOrder(0) && all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
    for limit in 0..6 {
        for (n, (order, _)) in all.iter().enumerate() {
            let page = store.members(id, *order, limit).await.unwrap();
            let behind = &all[n + 1..];
            assert_eq!(page, behind[..limit.min(behind.len())], "at most {limit} after {n}");
        }
    }
    assert_eq!(store.members(id, JoinOrder(u64::MAX), 9).await.unwrap(), []);

    let mut found = store.members_of(id, &[eve, bob, user_id(9), ann]).await.unwrap();
    found.sort_unstable_by_key(|(order, _)| *order);
    assert_eq!(found, [all[0], all[3]], "those who are in");
    assert_eq!(store.members_of(id, &[]).await.unwrap(), []);
    assert_eq!(store.members_of(conversation_id(9), &[ann]).await.unwrap(), []);
    let opened = store.conversation(id).await.unwrap().expect("the room is there");
    let orders: Vec<_> = all.iter().map(|(_, member)| opened.members.order_of(member.user)).collect();
    assert_eq!(orders, all.iter().map(|(order, _)| Some(*order)).collect::<Vec<_>>(), "the same places");
}

/// A large room follows the same rules as a small one for the limit of members and for the succession, also when
/// several admins leave at once.
pub async fn a_large_room_keeps_its_rules(store: Arc<dyn Store>) {
    const PLAIN: u16 = 60;
    let plain: Vec<UserId> =
        people(&*store, std::array::from_fn::<u16, { PLAIN as usize }, _>(|n| n as u16)).await.into();
    let [ann, bob, cid, dan] = people(&*store, [101, 102, 103, 104]).await;
    let mut cast: Vec<_> = plain.iter().map(|user| member(*user, Role::Member, 10)).collect();
    cast.insert(50, member(bob, Role::Moderator, 10));
    cast.push(member(ann, Role::Admin, 10));
    let id = store.create_room(new_room(1, cast.clone(), ann)).await.unwrap().unwrap().1.id;
    let count = cast.len();
    let refused =
        store.add_member(AddMember { max_members: count, ..adding(id, ann, cid, 20) }).await.unwrap();
    assert_eq!(refused, Err(Refusal::TooManyMembers { limit: count }));
    let added =
        store.add_member(AddMember { max_members: count + 1, ..adding(id, ann, cid, 20) }).await.unwrap();
    assert_eq!(added.map(|change| change.member), Ok(Some(member(cid, Role::Member, 20))));
    remove(&*store, id, ann, cid, 30).await;
    let added =
        store.add_member(AddMember { max_members: count + 1, ..adding(id, ann, dan, 40) }).await.unwrap();
    assert!(added.is_ok(), "a place was free");

    let follows = |change: RoomChange| change.successor.map(|(_, heir)| heir);
    assert_eq!(follows(remove(&*store, id, ann, ann, 50).await), Some(bob), "the only moderator");
    assert_eq!(follows(remove(&*store, id, bob, bob, 50).await), Some(plain[0]), "who came first");
    // The removals run concurrently and may share a transaction. Each one uses the state that the ones before it have
    // left.
    let leave = |user: &UserId| store.remove_member(removing(id, *user, *user, 60));
    let mut leaving: Vec<_> = plain[..20].iter().map(leave).collect();
    let mut heirs = Vec::new();
    std::future::poll_fn(|cx| {
        leaving.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Ready(change) => {
                heirs.push(follows(change.unwrap().expect("everybody may leave")));
                false
            }
            Poll::Pending => true,
        });
        if leaving.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    heirs.sort_unstable();
    let mut expected: Vec<_> = plain[1..=20].iter().map(|user| Some(*user)).collect();
    expected.sort_unstable();
    assert_eq!(heirs, expected, "one after the other");
    let left = members(&*store, 1).await;
    let admins: Vec<_> =
        left.iter().filter(|member| member.role == Role::Admin).map(|member| member.user).collect();
    assert_eq!((admins, left.len()), (vec![plain[20]], usize::from(PLAIN) - 20 + 1));
}
