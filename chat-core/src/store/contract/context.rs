//! Messages that are appended with rows of keyed tables, and messages that are looked up together.

use std::sync::Arc;

use super::support::{
    append, at, client_id, delete, direct, everything, last_position, message_id, new_message, people, say,
    user_id, whole_history, whole_log,
};
use crate::aspects::context::AppendWith;
use crate::change::Change;
use crate::model::{Position, Seq};
use crate::policy::Refusal;
use crate::store::write::{Append, make};
use crate::store::{Appended, NewMessage, Row, Store, Table};

/// A message and the rows that it is appended with are one change. Where the message is not stored, the rows are not either.
pub async fn rows_are_stored_with_a_message(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let id = direct(&*store, 1, ann, bob).await;
    let last = last_position(&*store).await.0;
    let rows = |n: u16| {
        let of_message = [message_id(n).as_bytes(), &user_id(7).as_bytes()[..], b"x"].concat();
        let of_conversation = [&id.as_bytes()[..], message_id(n).as_bytes()].concat();
        vec![
            (Table::Reactions, Row { key: of_message, value: b"one".to_vec() }),
            (Table::Pins, Row { key: of_conversation, value: Vec::new() }),
        ]
    };
    let with = async |new: NewMessage, n: u16| {
        make(&*store, AppendWith { append: Append(new), rows: rows(n) }).await.unwrap()
    };
    let once = NewMessage { client_id: Some(client_id("once")), ..new_message(1, id, ann) };
    let appended = with(once.clone(), 1).await;
    assert_eq!(appended, Appended::New { position: Position(last + 1), seq: Seq(1) });
    say(&*store, 2, id, bob).await;
    let stored = store.message(message_id(1)).await.unwrap().expect("the message");
    assert!(stored.facets.contains(Table::Reactions), "its own rows are looked up");
    assert!(!stored.facets.contains(Table::Pins), "these are not its own");
    assert_eq!((stored.updated_at, &stored.body), (once.at, &once.body));
    assert_eq!(whole_history(&*store, id).await[0], stored);
    assert_eq!(
        whole_log(&*store).await[usize::try_from(last).unwrap()].change,
        Change::MessageSent(stored.clone())
    );
    for (table, row) in rows(1) {
        assert_eq!(store.rows(table, &row.key, None, 9).await.unwrap(), [row]);
    }
    let before = everything(&*store).await;
    let again = with(NewMessage { id: message_id(3), ..once }, 3).await;
    assert_eq!(again, Appended::Repeated(Box::new(stored)));
    assert_eq!(with(new_message(4, id, eve), 4).await, Appended::Refused(Refusal::ConversationNotFound));
    assert_eq!(everything(&*store).await, before, "what was not appended has stored no rows");
}

/// Several messages are found at once, whether they are deleted or not.
pub async fn messages_are_found_together(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [one, two] = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, ann, ann).await];
    for n in 1..=40 {
        append(
            &*store,
            NewMessage { at: at(i64::from(n)), ..new_message(n, if n % 2 == 0 { one } else { two }, ann) },
        )
        .await;
    }
    delete(&*store, message_id(4)).await;
    assert_eq!(store.messages(&[]).await.unwrap(), []);
    assert_eq!(store.messages(&[message_id(99)]).await.unwrap(), []);
    let ids: Vec<_> = [4, 1, 99, 40, 17].into_iter().chain(20..30).map(message_id).collect();
    let mut found = store.messages(&ids).await.unwrap();
    found.sort_by_key(|message| message.id);
    let mut expected = Vec::new();
    for id in &ids {
        expected.extend(store.message(*id).await.unwrap());
    }
    expected.sort_by_key(|message| message.id);
    assert_eq!(found.len(), ids.len() - 1);
    assert_eq!(found, expected);
}
