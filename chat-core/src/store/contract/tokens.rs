//! Clauses of [`UserStore`](crate::store::UserStore): tokens that are revoked.

use std::sync::Arc;

use super::support::{at, last_position};
use crate::clock::Timestamp;
use crate::model::Position;
use crate::store::Store;

type Noted = ([u8; 32], Timestamp);

/// The revoked tokens in an order of our own; the store owes none.
async fn revoked(store: &dyn Store, now: i64) -> Vec<Noted> {
    let mut revoked = store.revoked_tokens(at(now)).await.expect("revoked tokens must be readable");
    revoked.sort_unstable();
    revoked
}

fn note(first_byte: u8, until: i64) -> Noted {
    let mut fingerprint = [0xee; 32];
    fingerprint[0] = first_byte;
    (fingerprint, at(until))
}

/// Void tokens are listed with the end of their validity, and are no news.
pub async fn revoked_tokens_are_listed(store: Arc<dyn Store>) {
    assert_eq!(revoked(&*store, 0).await, [], "an empty store has no revoked tokens");
    let mut notes =
        vec![note(0, 500), note(1, 400), note(255, 500), ([0; 32], at(300)), ([0xff; 32], at(i64::MAX))];
    // One that differs in its last byte only.
    let mut near = note(0, 450);
    near.0[31] = 0;
    notes.push(near);
    for (fingerprint, until) in &notes {
        store.revoke_token(*fingerprint, *until).await.unwrap();
    }
    notes.sort_unstable();
    assert_eq!(revoked(&*store, 0).await, notes);
    assert_eq!(last_position(&*store).await, Position(0), "revoking is not logged");
}

/// Only tokens that would be valid after `now` are listed: one that ends at `now` would not.
pub async fn expired_tokens_are_not_listed(store: Arc<dyn Store>) {
    let notes = [note(1, 100), note(2, 200), note(3, 300)];
    for (fingerprint, until) in notes {
        store.revoke_token(fingerprint, until).await.unwrap();
    }
    for (now, expected) in
        [(99, &notes[..]), (100, &notes[1..]), (199, &notes[1..]), (200, &notes[2..]), (300, &[])]
    {
        assert_eq!(revoked(&*store, now).await, expected, "revoked tokens at {now}");
    }
    // One that is noted late is still noted, and one that is noted too late does no harm.
    for (fingerprint, until) in [note(4, 250), note(5, 301)] {
        store.revoke_token(fingerprint, until).await.unwrap();
    }
    assert_eq!(revoked(&*store, 300).await, [note(5, 301)]);
}

/// A token that is revoked again is revoked until the later of the two moments, and is listed once.
pub async fn revoking_again_never_shortens(store: Arc<dyn Store>) {
    let (fingerprint, _) = note(1, 0);
    for (until, expected) in [(200, 200), (200, 200), (100, 200), (300, 300)] {
        store.revoke_token(fingerprint, at(until)).await.unwrap();
        assert_eq!(revoked(&*store, 50).await, [note(1, expected)], "after revoking until {until}");
    }
}
