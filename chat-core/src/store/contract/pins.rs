//! Pinned messages.

use std::sync::Arc;

use super::support::{
    add, at, delete, direct, everything, last_position, message_id, people, room, say, whole_log,
};
use crate::aspects::pins::{MAX_PINS, Pin, PinChange, PinDone, Pinned};
use crate::change::Change;
use crate::id::{ConversationId, UserId};
use crate::model::Position;
use crate::policy::Refusal;
use crate::store::write::make;
use crate::store::{Store, StoredMessage, Table};

fn pinning(n: u16, conversation: ConversationId, by: UserId, pinned: bool) -> Pin {
    Pin { message: message_id(n), conversation, by, pinned, at: at(i64::from(n) + 50) }
}

async fn pin(store: &dyn Store, pin: Pin) -> Result<PinDone, Refusal> {
    make(store, pin).await.expect("the store works")
}

/// A message is pinned once, by whoever was first, and listed by its conversation.
pub async fn a_message_is_pinned_once(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    say(&*store, 1, id, ann).await;
    let before = store.message(message_id(1)).await.unwrap().expect("the message");
    let (first, second) = (Pinned { by: bob, at: at(51) }, Pinned { by: ann, at: at(51) });
    // By whom, whether it is pinned then, whether that is a change, and who has pinned it then.
    let steps = [
        (ann, false, false, None),
        (bob, true, true, Some(first)),
        (ann, true, false, Some(first)),
        (ann, false, true, None),
        (bob, false, false, None),
        (ann, true, true, Some(second)),
    ];
    for (by, pinned, changes, expected) in steps {
        let last = last_position(&*store).await.0;
        let (position, now) = pin(&*store, pinning(1, id, by, pinned)).await.unwrap();
        assert_eq!((position, now), (changes.then_some(Position(last + 1)), expected));
        let facets = before.facets.with(Table::Pinned, pinned);
        let message = store.message(message_id(1)).await.unwrap();
        assert_eq!(message, Some(StoredMessage { facets, ..before.clone() }));
        for (table, prefix) in
            [(Table::Pins, &id.as_bytes()[..]), (Table::Pinned, &message_id(1).as_bytes()[..])]
        {
            assert_eq!(store.rows(table, prefix, None, 9).await.unwrap().len(), usize::from(pinned));
        }
        if let (true, Some(message)) = (changes, message) {
            let what = PinChange { pinned }.into();
            let log = whole_log(&*store).await;
            assert_eq!(log.last().unwrap().change, Change::MessageChanged { message, by, what });
        }
    }
}

/// In rooms moderators pin, in direct conversations both. What is refused changes nothing.
pub async fn only_those_pin_who_may(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let [club, other] = [room(&*store, 1, ann).await, direct(&*store, 2, bob, eve).await];
    add(&*store, club, ann, bob, 1).await;
    for n in 1..=MAX_PINS as u16 + 1 {
        say(&*store, n, club, bob).await;
    }
    let refused = async |one: Pin| {
        let before = everything(&*store).await;
        let refusal = pin(&*store, one).await.unwrap_err();
        assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
        refusal
    };
    assert!(matches!(refused(pinning(1, club, bob, true)).await, Refusal::Forbidden(_)));
    assert_eq!(refused(pinning(1, club, eve, true)).await, Refusal::MessageNotFound);
    assert_eq!(refused(pinning(1, other, bob, true)).await, Refusal::MessageNotFound, "it is not there");
    assert_eq!(refused(pinning(999, club, ann, true)).await, Refusal::MessageNotFound);
    for n in 1..=MAX_PINS as u16 {
        pin(&*store, pinning(n, club, ann, true)).await.unwrap();
    }
    let last = MAX_PINS as u16 + 1;
    assert!(
        matches!(refused(pinning(last, club, ann, true)).await, Refusal::Forbidden(_)),
        "there are enough"
    );
    delete(&*store, message_id(1)).await;
    pin(&*store, pinning(1, club, ann, false)).await.unwrap();
    assert!(matches!(refused(pinning(1, club, ann, true)).await, Refusal::Forbidden(_)), "it is deleted");
    pin(&*store, pinning(last, club, ann, true)).await.unwrap();
}
