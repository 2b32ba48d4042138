//! The fingerprints of the newest messages, in the memory of the writer thread.
//!
//! They are stored in the message rows without an index. An index would cost each message a write at a random place of
//! a B-tree, and only recent messages are ever looked up. At the start the fingerprints of the newest changes are
//! loaded.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use super::damage::skip;
use super::rows;
use crate::change::ChangeKind;
use crate::clock::Timestamp;
use crate::hashing::IdMap;
use crate::id::UserId;
use crate::model::Fingerprint;
use crate::store::{FINGERPRINTS_KEPT, StoredMessage};

#[derive(Default)]
pub(super) struct Fingerprints {
    /// The place of the newest message with each key.
    places: IdMap<u64, i64>,
    /// The keys, oldest first, with their places.
    order: VecDeque<(u64, i64)>,
    /// The number of entries at the end of `order` that are not committed yet.
    uncommitted: usize,
    loaded: bool,
}

impl Fingerprints {
    /// The last message that `sender` sent with this fingerprint to a conversation (given by its key in the table), if
    /// it is newer than `since`.
    pub(super) fn find(
        &mut self,
        db: &Connection,
        (sender, conversation, fingerprint): (UserId, i64, Fingerprint),
        since: Timestamp,
    ) -> rusqlite::Result<Option<StoredMessage>> {
        self.load(db)?;
        let Some(place) = self.places.get(&key(sender, conversation, fingerprint)) else {
            return Ok(None);
        };
        // Keys are hashes of hashes, so the row must confirm the match.
        let sql =
            "SELECT 1 FROM messages WHERE place = ? AND sender = ? AND fingerprint = ? AND created_at > ?";
        let known = params![place, sender.as_bytes(), stored(fingerprint), since.as_millis()];
        if *place >> 32 != conversation || !db.prepare_cached(sql)?.exists(known)? {
            return Ok(None);
        }
        rows::message_at(db, *place)
    }

    /// Adds a message that is about to be committed.
    pub(super) fn insert(&mut self, sender: UserId, place: i64, fingerprint: Fingerprint) {
        self.remember(key(sender, place >> 32, fingerprint), place);
        self.uncommitted += 1;
    }

    pub(super) fn committed(&mut self) {
        self.uncommitted = 0;
    }

    /// Removes the entries that were not committed.
    pub(super) fn rolled_back(&mut self) {
        for _ in 0..std::mem::take(&mut self.uncommitted) {
            if let Some((key, place)) = self.order.pop_back() {
                self.forget(key, place);
            }
        }
    }

    /// Loads the fingerprints of the newest changes, unless they are loaded already.
    pub(super) fn load(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.loaded {
            return Ok(());
        }
        // Reads a fixed number of changes, whether they have fingerprints or not. In a long log without any, a search
        // for more would take long and would delay all sends.
        let sql = "SELECT m.place, m.sender, m.fingerprint FROM log JOIN messages m ON m.place = log.place
            WHERE log.position > (SELECT max(position) FROM log) - ? AND log.kind = ?
            AND m.fingerprint IS NOT NULL ORDER BY log.position DESC";
        let mut select = db.prepare(sql)?;
        let mut rows = select.query(params![FINGERPRINTS_KEPT as i64, ChangeKind::MessageSent.code()])?;
        let mut newest_first = Vec::new();
        while let Some(row) = rows.next()? {
            let read = || Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            // One damaged message must not block all sends.
            let Some((place, sender, fingerprint)) = skip(db, "messages", row, 0, read())? else { continue };
            let (place, sender, fingerprint): (i64, [u8; 12], i64) = (place, sender, fingerprint);
            let fingerprint = Fingerprint(fingerprint.cast_unsigned());
            newest_first.push((key(UserId::from_bytes(sender), place >> 32, fingerprint), place));
        }
        newest_first.into_iter().rev().for_each(|(key, place)| self.remember(key, place));
        self.loaded = true;
        Ok(())
    }

    fn remember(&mut self, key: u64, place: i64) {
        if self.order.len() >= FINGERPRINTS_KEPT
            && self.uncommitted < FINGERPRINTS_KEPT
            && let Some((key, place)) = self.order.pop_front()
        {
            self.forget(key, place);
        }
        self.places.insert(key, place);
        self.order.push_back((key, place));
    }

    fn forget(&mut self, key: u64, place: i64) {
        // A later message with the same key may have replaced the entry.
        if self.places.get(&key) == Some(&place) {
            self.places.remove(&key);
        }
    }
}

/// The fingerprint as a SQLite integer.
pub(super) fn stored(fingerprint: Fingerprint) -> i64 {
    fingerprint.0.cast_signed()
}

/// The inverse of [`stored`].
#[cfg(feature = "mongodb")]
pub(super) fn read(stored: i64) -> Fingerprint {
    Fingerprint(stored.cast_unsigned())
}

/// Mixes the fields into 64 bits. Keys may collide, so the caller checks the row.
fn key(sender: UserId, conversation: i64, fingerprint: Fingerprint) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *sender.as_bytes();
    let sender = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let mixed = (fingerprint.0 ^ sender).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed.rotate_left(29) ^ conversation.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
