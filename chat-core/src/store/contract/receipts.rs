//! What receipts are made of: read marks and delivered positions.

use std::sync::Arc;

use super::support::{add, at, everything, last_position, people, remove, room, say, user_id};
use crate::model::{JoinOrder, Position, Seq};
use crate::store::{Store, Table, delivered_in};

/// A delivered position moves forward and never back, and is not logged.
pub async fn a_delivered_position_only_moves_forward(store: Arc<dyn Store>) {
    let [ann, bob, cid] = people(&*store, [1, 2, 3]).await;
    let position = async |user: crate::id::UserId| {
        let keys = [user_id(77).as_bytes().to_vec(), user.as_bytes().to_vec()];
        let values = store.values(Table::Delivered, &keys).await.expect("values must be readable");
        let [None, value] = &values[..] else { panic!("one value for each key: {values:?}") };
        value.as_deref().map(|value| delivered_in(value).expect("a position").0)
    };
    let note = async |positions: &[(crate::id::UserId, u64)]| {
        let positions = positions.iter().map(|(user, position)| (*user, Position(*position))).collect();
        store.note_delivered(positions).await.expect("positions must be stored");
    };
    assert_eq!(position(ann).await, None);
    note(&[]).await;
    note(&[(ann, 5), (bob, 7)]).await;
    let before = everything(&*store).await;
    note(&[(bob, 6), (ann, 5)]).await;
    assert_eq!(everything(&*store).await, before, "nothing has moved");
    note(&[(ann, 9), (bob, 1), (cid, 1 << 40)]).await;
    let now = [position(ann).await, position(bob).await, position(cid).await];
    assert_eq!(now, [Some(9), Some(7), Some(1 << 40)]);
    assert_eq!(last_position(&*store).await, Position(0));
    assert_eq!(store.values(Table::Delivered, &[]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
}

/// The marks of members are read in pages, in the order of joining, and messages know where they are in the log.
pub async fn marks_are_read_in_the_order_of_joining(store: Arc<dyn Store>) {
    let store = &*store;
    let [ann, bob, cid] = people(store, [3, 2, 1]).await;
    let club = room(store, 1, ann).await;
    for user in [bob, cid] {
        add(store, club, ann, user, 9).await;
    }
    let (one, two) = (say(store, 1, club, ann).await, say(store, 2, club, ann).await);
    store.mark_read(club, cid, Some(Seq(1)), at(30_000)).await.unwrap();
    store.mark_read(club, ann, None, at(30_000)).await.unwrap();
    let read = async |after, limit| {
        let marks = store.marks(club, after, limit).await.expect("marks must be readable");
        let members = store.members(club, after, limit).await.unwrap();
        let same: Vec<_> = marks.iter().map(|(order, member, _)| (*order, *member)).collect();
        assert_eq!(same, members);
        marks
    };
    let all = read(JoinOrder(0), 9).await;
    let brief: Vec<_> = all.iter().map(|(_, member, read)| (member.user, read.0)).collect();
    assert_eq!(brief, [(ann, 2), (bob, 0), (cid, 1)]);
    assert_eq!(read(JoinOrder(0), 2).await, all[..2]);
    assert_eq!(read(all[1].0, 9).await, all[2..]);
    assert_eq!(read(JoinOrder(0), 0).await, []);
    remove(store, club, ann, bob, 10).await;
    assert_eq!(read(all[0].0, 9).await, all[2..]);
    assert_eq!(store.marks(super::support::conversation_id(9), JoinOrder(0), 9).await.unwrap(), []);
    let sent = [store.sent_at(one).await.unwrap(), store.sent_at(two).await.unwrap()];
    assert!(sent[0].is_some() && sent[0] < sent[1], "{sent:?}");
    assert_eq!(store.sent_at(super::support::message_id(9)).await.unwrap(), None);
}
