//! Blocks, friends, and requests for friendship.

use std::collections::HashSet;
use std::sync::Arc;

use super::Chat;
use crate::command::{ChangeRelation, ListRelations, Outcome, Related, RelatedPage, RelationKind};
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::event::{Delivery, Event};
use crate::id::UserId;
use crate::model::{Friendship, Relation};
use crate::store::{self, Change, StoreError, Table};

/// So many rows are read at once.
const AT_ONCE: usize = 500;

impl Chat {
    pub(crate) async fn change_relation(
        &self,
        actor: UserId,
        command: ChangeRelation,
    ) -> Result<Outcome<Related>, Error> {
        let ChangeRelation { with, act } = command;
        if with == actor {
            return Err(Error::Invalid { field: "userId", problem: "must be another person" });
        }
        let other = self.shown(self.directory.user(with).await?);
        let write = store::Relate { by: actor, with, act, at: self.clock.now() };
        let changed = self.store.relate(write).await?;
        let store::Related { relation, position, theirs } = changed?;
        let change = Change::RelationChanged { user: actor, with, relation };
        let at_hand = AtHand { user: Some(other.clone()), ..AtHand::default() };
        let mut deliveries = self.committed(position, change, at_hand).await?;
        if let Some((position, relation)) = theirs {
            let change = Change::RelationChanged { user: with, with: actor, relation };
            deliveries.extend(self.committed(Some(position), change, AtHand::default()).await?);
        }
        Ok(Outcome { reply: Related { user: other, relation }, deliveries })
    }

    pub(crate) async fn list_relations(
        &self,
        actor: UserId,
        command: ListRelations,
    ) -> Result<Outcome<RelatedPage>, Error> {
        let ListRelations { kind, after, limit } = command;
        let mut page = RelatedPage::default();
        let mut after = after.map(|with| Relation::key(actor, with));
        loop {
            let prefix = actor.as_bytes();
            let rows = self.store.rows(Table::Relations, prefix, after.as_deref(), AT_ONCE).await?;
            for row in &rows {
                let Some((with, relation)) = row.relation().filter(|(_, relation)| is_of(kind, *relation))
                else {
                    continue;
                };
                if page.people.len() == limit {
                    page.next = page.people.last().map(|last| last.user.id);
                    return Ok(Outcome::reply_only(page));
                }
                let user = self.directory.user(with).await;
                let user = damage::sound(&*self.store, user, "users", &with)?;
                let related = |user| Related { user: self.shown(user), relation: relation.shown() };
                page.people.extend(user.map(related));
            }
            match rows.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(Outcome::reply_only(page)),
            }
        }
    }

    /// The people who neither reach this person nor are reached by them, because one of the two blocks the other: nothing is
    /// told between them of presence, typing and reading. It is remembered, so asking often is cheap.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cut_off(&self, user: UserId) -> Result<Arc<HashSet<UserId>>, StoreError> {
        self.directory.cut_off(user).await
    }

    /// Whether it is still known that these are the ones who are [cut off](Self::cut_off) from this person. Where it is not, it is to be
    /// asked for again.
    pub fn is_cut_off_known(&self, user: UserId, cut_off: &Arc<HashSet<UserId>>) -> bool {
        self.directory.is_cut_off_known(user, cut_off)
    }

    /// What a person has with another one, as it stands in the store.
    pub(super) async fn relation(&self, of: UserId, with: UserId) -> Result<Relation, Error> {
        let rows = self.store.rows(Table::Relations, &Relation::key(of, with), None, 1).await?;
        let relation = rows.first().and_then(|row| row.relation());
        Ok(relation.map_or(Relation::default(), |(_, relation)| relation))
    }

    /// An event of what a person does where others are, which those are not told who are [cut off](Self::cut_off) from them.
    pub(crate) async fn told_of_person(&self, event: Event, user: UserId) -> Result<Delivery, StoreError> {
        let mut delivery = Delivery::ephemeral(event);
        let cut_off = self.cut_off(user).await?;
        delivery.audience = delivery.audience.without(&cut_off);
        Ok(delivery)
    }
}

fn is_of(kind: RelationKind, relation: Relation) -> bool {
    match kind {
        RelationKind::Blocked => relation.blocks,
        RelationKind::Friends => relation.friendship == Friendship::Friends,
        RelationKind::Received => relation.friendship == Friendship::Received,
        RelationKind::Sent => relation.friendship == Friendship::Sent,
    }
}

#[cfg(test)]
mod tests;
