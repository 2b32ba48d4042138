//! Relations between two people: the write itself, and the reads of other writes that depend on relations.

use super::super::keyed::{Row, Table, relation_in};
use super::super::tx::{Abort, Reads, Tx};
use super::super::write::{Effect, Relate, Related};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{Pair, Relation};
use crate::policy::{self, Refusal};

impl Effect for Relate {
    fn reads(&self, reads: &mut Reads) {
        reads.users.insert(self.with);
        reads.pairs.insert(Pair::new(self.by, self.with));
        reads.rows.extend([relation_key(self.by, self.with), relation_key(self.with, self.by)]);
    }

    fn most_logged(&self) -> u64 {
        2
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { by, with, act, at } = *self;
        if by == with || tx.user(with)?.is_none() {
            return Ok(Err(Refusal::UserNotFound));
        }
        let before = relation(tx, by, with)?;
        let now = match policy::relate(act, before) {
            Ok(now) => now,
            Err(refusal) => return Ok(Err(refusal)),
        };
        put_relation(tx, (by, with), (before, now), at)?;
        put_relation(tx, (with, by), (before.mirrored(), now.mirrored()), at)?;
        if before.blocks != now.blocks
            && let Some(direct) = tx.direct(Pair::new(by, with))?
        {
            note_blockers(tx, direct.id, by, now, with)?;
        }
        let mut log = |user, with, before: Relation, now: Relation| {
            let relation = now.shown();
            match before.shown() == relation {
                true => Ok(None),
                false => tx.log(at, Change::RelationChanged { user, with, relation }).map(Some),
            }
        };
        let position = log(by, with, before, now)?;
        let (before, after) = (before.mirrored(), now.mirrored());
        let theirs = log(with, by, before, after)?.map(|position| (position, after.shown()));
        Ok(Ok(Related { relation: now.shown(), position, theirs }))
    }
}

/// Records in the direct conversation of two people who of them blocks the other one, from the relation of `of`. Sends
/// in that conversation are checked against it: see [`policy::may_be_heard`].
pub(super) fn note_blockers<T: Tx>(
    tx: &mut T,
    id: ConversationId,
    of: UserId,
    relation: Relation,
    with: UserId,
) -> Result<(), T::Error> {
    let blockers = [relation.blocks.then_some(of), relation.blocked.then_some(with)];
    let blockers: Vec<_> = blockers.into_iter().flatten().collect();
    if tx.blockers(id)? == blockers {
        return Ok(());
    }
    tx.set_blockers(id, &blockers)
}

/// The table and key of one person's relation with another one.
pub(super) fn relation_key(of: UserId, with: UserId) -> (Table, Vec<u8>) {
    (Table::Relations, Relation::key(of, with))
}

/// One person's relation with another one. The caller must have listed its row among the reads of the write.
pub(super) fn relation<T: Tx>(tx: &mut T, of: UserId, with: UserId) -> Result<Relation, T::Error> {
    let row = tx.row(Table::Relations, &Relation::key(of, with))?;
    Ok(row.as_deref().and_then(relation_in).unwrap_or_default())
}

fn put_relation<T: Tx>(
    tx: &mut T,
    (of, with): (UserId, UserId),
    (before, now): (Relation, Relation),
    at: Timestamp,
) -> Result<(), T::Error> {
    let Row { key, value } = Row::of_relation(of, with, now, at);
    match now {
        same if same == before => Ok(()),
        nothing if nothing == Relation::default() => tx.delete_row(Table::Relations, &key),
        _ => tx.put_row(Table::Relations, &key, &value),
    }
}
