//! Who may not come into a room, and who may not speak there.

use std::sync::Arc;
use std::time::Duration;

use super::parallel::{Spawn, all};
use super::support::{
    add, adding, at, client_id, direct, everything, give_role, new_message, people, remove, room, say,
    whole_log,
};
use crate::change::Change;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Role, RoomAspect};
use crate::policy::{Refusal, room as rules};
use crate::rooms::{ChangeRoom, RoomAct, RoomLog};
use crate::store::write::make;
use crate::store::{Appended, NewMessage, Store, Table};

async fn change(
    store: &dyn Store,
    room: ConversationId,
    by: UserId,
    act: RoomAct,
) -> Result<RoomLog, Refusal> {
    make(store, ChangeRoom { room, by, act, at: at(5) }).await.expect("the store works")
}

/// Does something that may be done, and answers what is new in the log.
async fn done(store: &dyn Store, room: ConversationId, by: UserId, act: RoomAct) -> Vec<Change> {
    let before = whole_log(store).await;
    let answered = change(store, room, by, act).await.expect("it may be done");
    let log = whole_log(store).await;
    let new: Vec<_> = log[before.len()..].to_vec();
    let positions: Vec<Position> = answered.iter().map(|(position, _)| *position).collect();
    assert_eq!(
        positions,
        new.iter().map(|logged| logged.position).collect::<Vec<_>>(),
        "what is answered is logged"
    );
    for ((_, answered), logged) in answered.iter().zip(&new) {
        assert_eq!(answered.fields().detail, logged.change.fields().detail);
        assert_eq!((answered.kind(), answered.fields().room), (logged.change.kind(), Some(room)));
    }
    new.into_iter().map(|logged| logged.change).collect()
}

/// Somebody who is banned is out, and does not come in, until that is taken back.
pub async fn who_is_banned_does_not_come_in(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let club = room(&*store, 1, ann).await;
    add(&*store, club, ann, bob, 1).await;
    let banned = |user| Change::RoomChanged { room: club, by: ann, aspect: RoomAspect::Banned(user) };
    let out = Change::MemberRemoved { room: club, user: bob };
    assert_eq!(done(&*store, club, ann, RoomAct::Ban(bob)).await, [out, banned(bob)]);
    assert_eq!(done(&*store, club, ann, RoomAct::Ban(bob)).await, [], "twice is once");
    assert_eq!(done(&*store, club, ann, RoomAct::Ban(eve)).await, [banned(eve)], "also who was never in");
    let before = everything(&*store).await;
    for user in [bob, eve] {
        let added = store.add_member(adding(club, ann, user, 9)).await.unwrap();
        assert_eq!(added, Err(rules::banned(false)), "not even by an admin");
        let joined = store.add_member(adding(club, user, user, 9)).await.unwrap();
        assert_eq!(joined, Err(Refusal::ConversationNotFound), "and learns nothing of what is private");
    }
    let refused = store.append(new_message(1, club, bob)).await.unwrap();
    assert_eq!(refused, Appended::Refused(Refusal::ConversationNotFound));
    assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
    let rows = store.rows(Table::Bans, club.as_bytes(), None, 9).await.unwrap();
    assert_eq!(rows.len(), 2);
    let unbanned = Change::RoomChanged { room: club, by: ann, aspect: RoomAspect::Unbanned(bob) };
    assert_eq!(done(&*store, club, ann, RoomAct::LiftBan(bob)).await, [unbanned]);
    assert_eq!(done(&*store, club, ann, RoomAct::LiftBan(bob)).await, []);
    add(&*store, club, ann, bob, 10).await;
    say(&*store, 1, club, bob).await;
}

/// Who is muted does not speak, not even again what was sent before, until then, also when they were out meanwhile.
pub async fn who_is_muted_does_not_speak(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let club = room(&*store, 1, ann).await;
    add(&*store, club, ann, bob, 1).await;
    let sent = NewMessage { client_id: Some(client_id("once")), ..new_message(1, club, bob) };
    assert!(matches!(store.append(sent.clone()).await, Ok(Appended::New { .. })));
    // Message n is sent at 10,000 + n.
    let until = at(10_005);
    let muted =
        |until| Change::RoomChanged { room: club, by: ann, aspect: RoomAspect::Muted { user: bob, until } };
    assert_eq!(done(&*store, club, ann, RoomAct::Mute(bob, until)).await, [muted(until)]);
    assert_eq!(done(&*store, club, ann, RoomAct::Mute(bob, until)).await, [], "twice is once");
    let is_refused = async |new: NewMessage| {
        let before = everything(&*store).await;
        let refused = matches!(store.append(new).await.unwrap(), Appended::Refused(Refusal::Forbidden(_)));
        assert!(!refused || everything(&*store).await == before, "what was refused has changed nothing");
        refused
    };
    assert!(is_refused(new_message(2, club, bob)).await);
    assert!(is_refused(sent.clone()).await, "nor what was sent before");
    assert!(!is_refused(new_message(3, club, ann)).await, "others speak");
    remove(&*store, club, ann, bob, 2).await;
    add(&*store, club, ann, bob, 3).await;
    assert!(is_refused(new_message(4, club, bob)).await, "though they have come back");
    assert!(!is_refused(new_message(5, club, bob)).await, "until then");
    done(&*store, club, ann, RoomAct::Mute(bob, RoomAspect::FOR_EVER)).await;
    assert!(is_refused(new_message(6, club, bob)).await);
    let unmuted = Change::RoomChanged { room: club, by: ann, aspect: RoomAspect::Unmuted(bob) };
    assert_eq!(done(&*store, club, ann, RoomAct::LiftMute(bob)).await, [unmuted]);
    assert_eq!(done(&*store, club, ann, RoomAct::LiftMute(bob)).await, []);
    assert!(!is_refused(new_message(6, club, bob)).await);
    assert_eq!(
        store.rows(Table::RoomRules, &[], None, 9).await.unwrap(),
        [],
        "nothing special holds any more"
    );
}

/// Where a wait is set, plain members wait between two messages, and nobody else does.
pub async fn plain_members_wait_where_a_wait_is_set(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let club = room(&*store, 1, ann).await;
    for (user, moment) in [(bob, 1), (eve, 2)] {
        add(&*store, club, ann, user, moment).await;
    }
    give_role(&*store, club, ann, (eve, Role::Moderator), 3).await;
    say(&*store, 1, club, bob).await;
    let update = |slow_mode| RoomAct::Update { slow_mode: Some(slow_mode) };
    let updated = Change::RoomChanged { room: club, by: ann, aspect: RoomAspect::Updated };
    assert_eq!(done(&*store, club, ann, update(2)).await, std::slice::from_ref(&updated));
    assert_eq!(done(&*store, club, ann, update(2)).await, [], "twice is once");
    assert_eq!(done(&*store, club, ann, RoomAct::Update { slow_mode: None }).await, []);
    let send = async |n: u16, sender, millis: i64| {
        let id = Some(client_id(&n.to_string()));
        store
            .append(NewMessage { at: at(millis), client_id: id, ..new_message(n, club, sender) })
            .await
            .unwrap()
    };
    let is_new = |appended| matches!(appended, Appended::New { .. });
    let waits = |millis| Appended::Refused(Refusal::TooSoon { wait: Duration::from_millis(millis) });
    assert!(is_new(send(2, bob, 50_000).await));
    assert_eq!(send(3, bob, 50_500).await, waits(1_500));
    assert_eq!(send(4, bob, 51_999).await, waits(1));
    assert!(matches!(send(2, bob, 51_999).await, Appended::Repeated(_)), "what was sent is no new message");
    assert!(is_new(send(5, bob, 52_000).await));
    assert_eq!(send(6, bob, 52_001).await, waits(1_999));
    for (n, sender) in [(10, ann), (11, eve), (12, ann), (13, eve)] {
        assert!(is_new(send(n, sender, 52_001).await), "those with a role do not wait");
    }
    assert_eq!(done(&*store, club, ann, update(0)).await, [updated]);
    assert!(is_new(send(6, bob, 52_001).await));
}

/// The table decides who may do it, by the roles at that moment; strangers learn nothing, and a refusal changes nothing.
pub async fn the_roles_decide_who_moderates(store: Arc<dyn Store>) {
    let [ann, bob, cid, dan, eve] = people(&*store, [1, 2, 3, 4, 5]).await;
    let club = room(&*store, 1, ann).await;
    for (user, moment) in [(bob, 1), (cid, 2), (dan, 3)] {
        add(&*store, club, ann, user, moment).await;
    }
    for user in [bob, cid] {
        give_role(&*store, club, ann, (user, Role::Moderator), 4).await;
    }
    let acts = |user| {
        let mute = RoomAct::Mute(user, RoomAspect::FOR_EVER);
        [RoomAct::Ban(user), RoomAct::LiftBan(user), mute, RoomAct::LiftMute(user)]
    };
    let no_room = super::support::conversation_id(9);
    let between = direct(&*store, 2, ann, bob).await;
    let before = everything(&*store).await;
    for act in acts(dan).into_iter().chain([RoomAct::Update { slow_mode: Some(1) }]) {
        for (room, by) in [(club, eve), (no_room, ann), (between, eve)] {
            let refused = change(&*store, room, by, act.clone()).await;
            assert_eq!(refused, Err(Refusal::ConversationNotFound), "{act:?}");
        }
        for (room, by) in [(club, dan), (between, ann)] {
            let refused = change(&*store, room, by, act.clone()).await;
            assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{act:?}: {refused:?}");
        }
    }
    for (by, user) in [(bob, ann), (bob, cid), (bob, bob), (ann, ann)] {
        for act in acts(user) {
            let refused = change(&*store, club, by, act.clone()).await;
            assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{act:?} by {by}: {refused:?}");
        }
    }
    let refused = change(&*store, club, bob, RoomAct::Update { slow_mode: Some(1) }).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    let stranger = super::support::user_id(99);
    assert_eq!(change(&*store, club, ann, RoomAct::Ban(stranger)).await, Err(Refusal::UserNotFound));
    for act in [RoomAct::Mute(eve, at(9)), RoomAct::LiftMute(eve)] {
        assert_eq!(change(&*store, club, ann, act).await, Err(Refusal::UserNotFound), "they are not in");
    }
    assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
    done(&*store, club, bob, RoomAct::Ban(dan)).await;
    done(&*store, club, ann, RoomAct::Ban(bob)).await;
}

/// Nobody who is banned is in afterwards or speaks later, however many bring them in at once.
pub async fn a_ban_holds_while_everybody_brings_them_in(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u16 = 24;
    let [ann, bob] = people(&*store, [1, 2]).await;
    let club = room(&*store, 1, ann).await;
    add(&*store, club, ann, bob, 1).await;
    let step = |n: u16| {
        let store = store.clone();
        async move {
            if n == EACH / 2 {
                change(&*store, club, ann, RoomAct::Ban(bob)).await.expect("an admin may");
            }
            let added = store.add_member(adding(club, ann, bob, 9)).await.unwrap();
            (added, store.append(new_message(n, club, bob)).await.unwrap())
        }
    };
    let answers = all(spawn, (0..EACH).map(step)).await;
    let last = &answers[usize::from(EACH / 2)];
    let refused = Appended::Refused(Refusal::ConversationNotFound);
    assert_eq!(*last, (Err(rules::banned(false)), refused), "who has waited for it is refused");
    let log = whole_log(&*store).await;
    let is_ban =
        |change: &Change| matches!(change, Change::RoomChanged { aspect: RoomAspect::Banned(_), .. });
    let ban = log.iter().position(|logged| is_ban(&logged.change)).expect("it is logged");
    for logged in &log[ban..] {
        let comes_or_speaks = matches!(logged.change, Change::MessageSent(_) | Change::MemberAdded { .. });
        assert!(!comes_or_speaks, "{logged:?} comes after the ban");
    }
    let now = store.conversation(club).await.unwrap().expect("the room");
    assert!(now.member(bob).is_none());
}
