//! Keyed tables.

use std::sync::Arc;

use super::parallel::{Spawn, all as at_once};
use super::support::{
    delete, direct, everything, message_id, people, restore, say, user_id, whole_history, whole_log,
};
use crate::store::keyed::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::store::{EditRows, EditedRows, Facets, Row, Store, StoreError, Table};

/// A key of a reaction.
fn key(message: u16, user: u16, text: &str) -> Vec<u8> {
    [message_id(message).as_bytes(), user_id(user).as_bytes(), text.as_bytes()].concat()
}

pub(super) fn putting(key: Vec<u8>, value: &[u8]) -> EditRows {
    EditRows { table: Table::Reactions, edits: vec![(key, Some(value.to_vec()))], then: None }
}

pub(super) async fn put(store: &dyn Store, key: Vec<u8>, value: &[u8]) -> Option<Vec<u8>> {
    let mut edited = store.edit_rows(putting(key, value)).await.expect("a row must be put");
    edited.before.pop().flatten()
}

/// The keys of a range.
async fn keys(
    store: &dyn Store,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = store.rows(Table::Reactions, prefix, after, limit).await?;
    Ok(rows.into_iter().map(|row| row.key).collect())
}

/// A row is put, replaced and deleted; each edit answers what was there before it, and sees those before it. Nothing is logged.
pub async fn rows_are_put_replaced_and_deleted(store: Arc<dyn Store>) {
    let [one, two] = [key(1, 1, "a"), key(1, 1, "b")];
    let edits = vec![
        (one.clone(), Some(vec![])),
        (two.clone(), None),
        (one.clone(), Some(vec![0, 255])),
        (two.clone(), Some(vec![1])),
        (one.clone(), None),
        (one.clone(), Some(vec![2])),
    ];
    let then = Some((message_id(1).as_bytes().to_vec(), 9));
    let edited = store.edit_rows(EditRows { table: Table::Reactions, edits, then }).await.unwrap();
    let before = vec![None, None, Some(vec![]), None, Some(vec![0, 255]), None];
    let then = vec![Row { key: one.clone(), value: vec![2] }, Row { key: two.clone(), value: vec![1] }];
    assert_eq!(edited, EditedRows { before, then: then.clone() });
    assert_eq!(store.rows(Table::Reactions, &[], None, 9).await.unwrap(), then);
    assert_eq!(put(&*store, one.clone(), &[3; MAX_VALUE_BYTES]).await, Some(vec![2]));
    let edits = vec![(one.clone(), None), (two, None), (one, None)];
    let edited = store.edit_rows(EditRows { table: Table::Reactions, edits, then: None }).await.unwrap();
    assert_eq!(edited.before, [Some(vec![3; MAX_VALUE_BYTES]), Some(vec![1]), None]);
    assert_eq!(store.rows(Table::Reactions, &[], None, 9).await.unwrap(), []);
    assert_eq!(super::support::last_position(&*store).await.0, 0);
}

/// Rows come in the order of the bytes of their keys, of one table, with a prefix, behind a key, and no more than asked for.
pub async fn rows_come_in_the_order_of_their_keys(store: Arc<dyn Store>) {
    let mut expected = Vec::new();
    for text in ["\u{7f}", "a", "é", "\0", "aa", "👍🏽", "\0\0", "\u{10ffff}", "Z"] {
        for message in [2, 1, 256] {
            let key = key(message, 7, text);
            put(&*store, key.clone(), text.as_bytes()).await;
            expected.push(key);
        }
    }
    expected.sort_unstable();
    let pin = [[1; 12], *message_id(1).as_bytes()].concat();
    let edits = vec![(pin.clone(), Some(vec![9])), (vec![0xff; 24], Some(vec![8]))];
    store.edit_rows(EditRows { table: Table::Pins, edits, then: None }).await.unwrap();

    assert_eq!(keys(&*store, &[], None, usize::MAX).await.unwrap(), expected);
    for n in 0..=expected.len() {
        assert_eq!(keys(&*store, &[], None, n).await.unwrap(), expected[..n], "the first {n}");
    }
    for (n, after) in expected.iter().enumerate() {
        assert_eq!(
            keys(&*store, &[], Some(after), 3).await.unwrap(),
            *expected[n + 1..].iter().take(3).cloned().collect::<Vec<_>>()
        );
        assert_eq!(
            keys(&*store, after, None, 1).await.unwrap(),
            std::slice::from_ref(after),
            "a whole key is a prefix"
        );
    }
    for message in [1, 2, 256, 3] {
        let prefix = message_id(message);
        let of: Vec<_> = expected.iter().filter(|key| key.starts_with(prefix.as_bytes())).cloned().collect();
        assert_eq!(of.len(), if message == 3 { 0 } else { 9 });
        assert_eq!(keys(&*store, prefix.as_bytes(), None, 99).await.unwrap(), of);
        // Behind a key that is not there, and before all of them.
        let behind = keys(&*store, prefix.as_bytes(), Some(&key(message, 7, "b")), 99).await.unwrap();
        assert_eq!(behind, of.iter().filter(|one| **one > key(message, 7, "b")).cloned().collect::<Vec<_>>());
        assert_eq!(keys(&*store, prefix.as_bytes(), Some(&[0]), 99).await.unwrap(), of);
    }
    assert_eq!(store.rows(Table::Pins, &[1], None, 9).await.unwrap(), [Row { key: pin, value: vec![9] }]);
    assert_eq!(store.rows(Table::Pins, &[0xff], Some(&[0xff; 24]), 9).await.unwrap(), []);
}

/// Many prefixes are asked for at once, and each is answered in its place.
pub async fn rows_of_many_prefixes_are_read_at_once(store: Arc<dyn Store>) {
    for message in 0..20 {
        for user in 0..message % 5 {
            put(&*store, key(message, user, "x"), &[1]).await;
        }
    }
    let wanted: Vec<u16> = (0..20).rev().chain([3, 99]).collect();
    let prefixes: Vec<Vec<u8>> = wanted.iter().map(|n| message_id(*n).as_bytes().to_vec()).collect();
    for limit in [0, 2, 100, usize::MAX] {
        let found = store.rows_of(Table::Reactions, &prefixes, limit).await.unwrap();
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        let of = |n: &u16| if *n < 20 { usize::from(n % 5).min(limit) } else { 0 };
        assert_eq!(counts, wanted.iter().map(of).collect::<Vec<_>>(), "limit {limit}");
        for (prefix, rows) in prefixes.iter().zip(found) {
            assert!(rows.iter().all(|row| row.key.starts_with(prefix)));
        }
    }
    assert_eq!(store.rows_of(Table::Reactions, &[], 9).await.unwrap(), [[]; 0]);
    assert_eq!(store.rows_of(Table::Pins, &prefixes, 9).await.unwrap(), vec![vec![]; prefixes.len()]);
}

/// A message knows which tables hold something of it: from the first row to the last, wherever it is read, deleted or not.
pub async fn messages_know_which_tables_hold_something(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in 1..=3 {
        say(&*store, n, conversation, ann).await;
    }
    delete(&*store, message_id(3)).await;
    let reacted = |holds| Facets::default().with(Table::Reactions, holds);
    let facets = async |n: u16| {
        let message = store.message(message_id(n)).await.unwrap().expect("the message must be there");
        let history = whole_history(&*store, conversation).await;
        assert_eq!(history[usize::from(n) - 1], message, "a history shows what is kept");
        message.facets
    };
    let before = whole_history(&*store, conversation).await;
    put(&*store, key(1, 1, "a"), &[]).await;
    put(&*store, key(1, 2, "a"), &[]).await;
    put(&*store, key(3, 2, "a"), &[]).await;
    assert_eq!([facets(1).await, facets(2).await, facets(3).await], [true, false, true].map(reacted));
    let log = whole_log(&*store).await;
    assert_eq!(log[0].change.message().map(|message| message.facets), Some(reacted(true)));
    // One of two rows goes, then the last one; one that was not there changes nothing.
    for (gone, holds) in [(key(1, 1, "a"), true), (key(1, 1, "b"), true), (key(1, 2, "a"), false)] {
        let edit = EditRows { table: Table::Reactions, edits: vec![(gone, None)], then: None };
        store.edit_rows(edit).await.unwrap();
        assert_eq!(facets(1).await, reacted(holds));
    }
    // Restoring and deleting leave them alone, and they leave alone what those do.
    restore(&*store, message_id(3), 30_000).await;
    delete(&*store, message_id(1)).await;
    assert_eq!([facets(1).await, facets(3).await], [false, true].map(reacted));
    let edits = vec![(key(3, 2, "a"), None), (key(2, 2, "a"), Some(vec![])), (key(2, 2, "a"), None)];
    store.edit_rows(EditRows { table: Table::Reactions, edits, then: None }).await.unwrap();
    let after = whole_history(&*store, conversation).await;
    assert_eq!(after[1], before[1], "put and deleted at once");
    assert_eq!((after[2].facets, after[2].deleted), (reacted(false), None));
    // Rows of other tables are none of a message's own.
    let pin = [*conversation.as_bytes(), *message_id(2).as_bytes()].concat();
    let edit = EditRows { table: Table::Pins, edits: vec![(pin, Some(vec![]))], then: None };
    store.edit_rows(edit).await.unwrap();
    assert_eq!(facets(2).await, Facets::default());
    // Rows may come before the message does; it learns of them with the next one.
    put(&*store, key(9, 1, "a"), &[]).await;
    assert_eq!(store.message(message_id(9)).await.unwrap(), None);
}

/// What is no key of its table, or too long, is refused with all that was to be done together with it.
pub async fn malformed_rows_change_nothing(store: Arc<dyn Store>) {
    people(&*store, [1]).await;
    put(&*store, key(1, 1, "a"), &[1]).await;
    let before = everything(&*store).await;
    let bad_text = [&key(1, 1, "")[..], &[0xff]].concat();
    let too_long = key(1, 1, &"a".repeat(MAX_KEY_BYTES - 23));
    for bad in [vec![], key(1, 1, ""), key(1, 1, "a")[..23].to_vec(), bad_text, too_long] {
        let edits = vec![(key(1, 1, "a"), None), (bad.clone(), Some(vec![])), (key(1, 2, "a"), Some(vec![]))];
        let refused = store.edit_rows(EditRows { table: Table::Reactions, edits, then: None }).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{bad:?}: {refused:?}");
    }
    let refused = store.edit_rows(putting(key(1, 2, "a"), &[0; MAX_VALUE_BYTES + 1])).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(everything(&*store).await, before);
    put(&*store, key(1, 1, &"a".repeat(MAX_KEY_BYTES - 24)), &[]).await;
}

/// Each of many edits of one row at once replaces what another one has put, and none is lost.
pub async fn rows_edited_at_once_replace_each_other(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let tasks = (0..64_u8).map(|n| {
        let store = store.clone();
        async move { put(&*store, key(1, 1, "x"), &[n]).await }
    });
    let mut replaced = at_once(spawn, tasks).await;
    let rows = store.rows(Table::Reactions, &[], None, 9).await.unwrap();
    assert_eq!(rows.len(), 1);
    replaced.push(Some(rows[0].value.clone()));
    replaced.sort_unstable();
    let each_once: Vec<_> = [None].into_iter().chain((0..64).map(|n| Some(vec![n]))).collect();
    assert_eq!(replaced, each_once);
}

/// A range inside a change is right whatever those at the same time put into it and delete from it.
pub async fn ranges_are_right_while_others_change_them(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let all: Vec<_> = (0..96).map(|n| key(1, n, "x")).collect();
    for key in &all {
        put(&*store, key.clone(), &[0]).await;
    }
    let prefix = message_id(1).as_bytes().to_vec();
    let tasks = (0..48).map(|n| {
        let (store, prefix) = (store.clone(), prefix.clone());
        // The first half goes, one by one and in no order, and one behind all others comes.
        let edits = vec![(key(1, n * 29 % 48, "x"), None), (key(1, 200 + n, "x"), Some(vec![1]))];
        let edit = EditRows { table: Table::Reactions, edits: edits.clone(), then: Some((prefix, 5)) };
        async move { (edits[0].0.clone(), store.edit_rows(edit).await.unwrap()) }
    });
    let mut ends = Vec::new();
    for (gone, edited) in at_once(spawn, tasks).await {
        assert_eq!(edited.before, [Some(vec![0]), None], "each is deleted once");
        let keys: Vec<_> = edited.then.into_iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), 5);
        assert!(keys.is_sorted() && !keys.contains(&gone));
        // Enough of the second half are there to the end, so none of those that have come is among the first five.
        assert!(keys.iter().all(|key| *key <= all[52]), "rows between them are missing");
        ends.push(keys);
    }
    assert!(ends.contains(&all[48..53].to_vec()), "the last one sees only the second half");
    let left = keys(&*store, &prefix, None, usize::MAX).await.unwrap();
    assert_eq!((left.len(), &left[..48]), (96, &all[48..]));
}
