//! Messages whose texts have changed since they were indexed.

use std::sync::Arc;

use super::support::{direct, last_position, message_id, people, say};
use crate::model::Seq;
use crate::search::{Query, Terms, Wanted};
use crate::store::reindexing::{self, Reindex};
use crate::store::write::make;
use crate::store::{CHANGED, EditRows, Lookup, Store, Table};

/// A message is found by terms that are added to it, and a term that a query excludes does not exclude it. Terms of a
/// text that has changed again meanwhile are not added.
pub async fn terms_are_added_to_a_message_whose_text_has_changed(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    for n in 1..=3 {
        say(&*store, n, id, ann).await;
    }
    let terms = |words: &[&str]| words.iter().copied().collect::<Terms>();
    let old = vec![terms(&["same", "old"]), terms(&["same", "old"]), terms(&["same"])];
    store.index(id, Seq(0), old).await.unwrap();
    let found = async |wanted: &str, unwanted: Option<&str>| -> Vec<u32> {
        let term = |term: &str| Wanted { term: term.to_owned(), is_prefix: false };
        let query = Query::of([term(wanted)]).unwrap().without(unwanted.map(term)).unwrap();
        let found = store.search(&[id], &Lookup::new(query), None, 9).await.unwrap().found;
        found.iter().map(|found| found.message.seq.0).collect()
    };
    let note = async |change: &[u8]| {
        let edits = vec![(reindexing::key(id, message_id(1)), Some(change.to_vec()))];
        store.edit_rows(EditRows { table: Table::Unindexed, edits, then: None }).await.unwrap();
    };
    let reindex = |n: u16, change: &[u8], words: &[&str]| {
        let (message, terms) = (message_id(n), terms(words));
        make(&*store, Reindex { message, conversation: id, change: change.to_vec(), terms })
    };
    assert!(!reindex(1, b"1", &["same", "new"]).await.unwrap(), "its text has not changed");
    note(b"1").await;
    assert_eq!(found("new", None).await, []);
    note(b"2").await;
    assert!(!reindex(1, b"1", &["same", "new"]).await.unwrap(), "its text has changed again");
    assert!(!reindex(2, b"2", &["same", "new"]).await.unwrap(), "another message's has");
    let last = last_position(&*store).await;
    assert!(reindex(1, b"2", &["same", "newer"]).await.unwrap());
    assert!(!reindex(1, b"2", &["same", "newest"]).await.unwrap(), "that was done");
    assert_eq!(store.rows(Table::Unindexed, id.as_bytes(), None, 9).await.unwrap(), []);
    assert_eq!(last_position(&*store).await, last, "indexing is not a change");
    assert_eq!(found("newer", None).await, [1]);
    assert_eq!(found("same", None).await, [3, 2, 1], "each once");
    assert_eq!(found(CHANGED, None).await, [1], "whose texts have changed");
    assert_eq!(found("newest", None).await, []);
    assert_eq!(found("same", Some("old")).await, [3, 1], "its text may not contain this any more");
    assert_eq!(found("same", Some("newer")).await, [3, 2, 1], "the caller reads the text");
    let counts = [Wanted { term: "same".into(), is_prefix: false }];
    assert_eq!(store.count_terms(&[id], &counts, 99).await.unwrap(), [3]);
}
