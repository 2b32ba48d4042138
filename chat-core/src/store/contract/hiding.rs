//! Messages that people hide for themselves.

use std::sync::Arc;

use super::support::{add, at, everything, last_position, message_id, people, remove, room, say, whole_log};
use crate::aspects::hiding::{Hide, HidingChange};
use crate::change::Change;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::policy::Refusal;
use crate::store::write::make;
use crate::store::{Store, StoredMessage, Table};

fn hiding(conversation: ConversationId, by: UserId, hidden: bool) -> Hide {
    Hide { message: message_id(1), seq: Seq(1), conversation, by, hidden, at: at(50) }
}

async fn hide(store: &dyn Store, hide: Hide) -> Result<(Option<Position>, StoredMessage), Refusal> {
    make(store, hide).await.expect("the store works")
}

/// Each person hides a message for themselves. The message knows whether some person has; it does not change otherwise.
pub async fn a_message_knows_whether_it_is_hidden(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let club = room(&*store, 1, ann).await;
    add(&*store, club, ann, bob, 1).await;
    say(&*store, 1, club, ann).await;
    say(&*store, 2, club, bob).await;
    let before = store.message(message_id(1)).await.unwrap().expect("the message");
    let count = async |table, prefix: &[u8]| store.rows(table, prefix, None, 9).await.unwrap().len();
    // Who, whether it is hidden then, whether that is a change, and how many have hidden it then.
    let steps = [
        (bob, true, true, 1),
        (bob, true, false, 1),
        (ann, true, true, 2),
        (bob, false, true, 1),
        (ann, false, true, 0),
    ];
    for (by, hidden, changes, hiders) in steps {
        let last = last_position(&*store).await.0;
        let (position, now) = hide(&*store, hiding(club, by, hidden)).await.unwrap();
        assert_eq!(position, changes.then_some(Position(last + 1)));
        let facets = before.facets.with(Table::Hidden, hiders > 0);
        assert_eq!(now, StoredMessage { facets, ..before.clone() });
        assert_eq!(store.message(message_id(1)).await.unwrap(), Some(now.clone()));
        assert_eq!(count(Table::Hidden, message_id(1).as_bytes()).await, hiders);
        assert_eq!(count(Table::HiddenBy, by.as_bytes()).await, usize::from(hidden));
        if changes {
            let what = HidingChange { hidden }.into();
            let log = whole_log(&*store).await;
            assert_eq!(log.last().unwrap().change, Change::MessageChanged { message: now, by, what });
        }
    }
    let refused = async |one: Hide| {
        let before = everything(&*store).await;
        let refusal = hide(&*store, one).await.unwrap_err();
        assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
        refusal
    };
    assert_eq!(refused(hiding(club, eve, true)).await, Refusal::MessageNotFound);
    assert_eq!(refused(Hide { seq: Seq(2), ..hiding(club, bob, true) }).await, Refusal::MessageNotFound);
    assert_eq!(
        refused(Hide { message: message_id(9), ..hiding(club, bob, true) }).await,
        Refusal::MessageNotFound
    );
    remove(&*store, club, ann, bob, 70).await;
    assert_eq!(refused(hiding(club, bob, true)).await, Refusal::MessageNotFound);
}
