//! Contract tests of the notes that nodes exchange through the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::last_position;
use crate::model::Position;
use crate::store::{NodeNote, Store, StoreError};

fn note(id: &str, is_settled: bool, facts: &[(&str, &str)]) -> NodeNote {
    let facts: BTreeMap<_, _> =
        facts.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect();
    NodeNote { id: id.to_owned(), is_settled, facts, noted: 0 }
}

/// The notes of the other nodes, by id. The store chooses the time of each note, but must set it.
async fn met(store: &dyn Store, mine: &NodeNote) -> Vec<NodeNote> {
    let mut others = store.meet_nodes(mine).await.expect("meeting others must work");
    for other in &mut others {
        assert!(other.noted > 0, "{other:?} was noted at some time");
        other.noted = 0;
    }
    others.sort_by(|one, other| one.id.cmp(&other.id));
    others
}

/// Nodes that share a store see each other's latest note, unchanged, until the node leaves. A node does not get its own
/// note. A store that only one node can use returns no notes.
pub async fn nodes_learn_of_each_other(store: Arc<dyn Store>) {
    let first = note("a", false, &[("CHAT_LIMIT", "1"), ("version", "0.1.0")]);
    let second = note("b", true, &[("name", "k\u{f6}ln \"$x\" {y}"), ("nothing", "")]);
    assert_eq!(met(&*store, &first).await, [], "there is nobody yet");
    if !store.is_shared() {
        for mine in [&second, &first, &second] {
            assert_eq!(met(&*store, mine).await, [], "one node has no others");
        }
        store.leave_nodes("a").await.expect("leaving must work");
        store.leave_nodes("nobody").await.expect("leaving must work");
        return;
    }
    assert_eq!(met(&*store, &second).await, std::slice::from_ref(&first));
    assert_eq!(
        met(&*store, &first).await,
        std::slice::from_ref(&second),
        "also when it has met nobody before"
    );

    // A new note replaces the previous one.
    let settled = note("a", true, &[("version", "0.2.0")]);
    assert_eq!(met(&*store, &settled).await, std::slice::from_ref(&second));
    let third = note("c", false, &[]);
    assert_eq!(met(&*store, &third).await, [settled.clone(), second.clone()]);

    store.leave_nodes("a").await.expect("leaving must work");
    store.leave_nodes("a").await.expect("leaving twice is fine");
    store.leave_nodes("nobody").await.expect("leaving must work");
    assert_eq!(met(&*store, &third).await, std::slice::from_ref(&second));
    assert_eq!(met(&*store, &second).await, std::slice::from_ref(&third));
    assert_eq!(met(&*store, &first).await, [second, third], "it may come back");
}

/// Node notes are not changes: they appear neither in the log nor in its epoch.
pub async fn nodes_leave_no_trace(store: Arc<dyn Store>) {
    let epoch = store.epoch().await.expect("the epoch must be readable");
    for id in ["a", "b"] {
        met(&*store, &note(id, true, &[("version", "0.1.0")])).await;
    }
    store.leave_nodes("a").await.expect("leaving must work");
    assert_eq!(last_position(&*store).await, Position(0));
    assert_eq!(store.epoch().await.expect("the epoch must be readable"), epoch);
}

/// A closed store has no nodes: a shared store is unavailable, and a store that cannot be shared returns no notes.
pub async fn a_closed_store_has_no_nodes(store: Arc<dyn Store>) {
    met(&*store, &note("a", true, &[])).await;
    store.close().await.expect("closing must work");
    let met = store.meet_nodes(&note("b", true, &[])).await;
    let left = store.leave_nodes("a").await;
    if store.is_shared() {
        assert!(matches!(met, Err(StoreError::Unavailable(_))), "{met:?}");
        assert!(matches!(left, Err(StoreError::Unavailable(_))), "{left:?}");
    } else {
        assert!(matches!(&met, Ok(others) if others.is_empty()), "{met:?}");
        assert!(left.is_ok(), "{left:?}");
    }
}
