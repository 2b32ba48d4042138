//! Conversations and their members in a transaction. Only the members that its changes concern are loaded, so that a
//! change in a room of ten thousand costs the same as in a room of ten.

use std::collections::{BTreeSet, HashMap, HashSet};

use mongodb::bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use super::collections::{CONVERSATIONS, MEMBERS};
use super::damage::skip;
use super::documents::{self, any_of_bytes, any_of_ids, number, object_id};
use super::faults::Fault;
use super::transaction::{Transaction, Ways, pair_of};
use super::writing::{Room, Writing};
use crate::id::ConversationId;
use crate::model::Role;
use crate::store::tx::Reads;

impl Transaction<'_> {
    pub(super) async fn load_conversations(
        &mut self,
        reads: &Reads,
        writing: &mut Writing,
    ) -> Result<(), Fault> {
        let unknown = reads.ends.iter().filter(|id| !writing.ends.contains_key(id));
        let ids: HashSet<_> = unknown.chain(&reads.rooms).copied().collect();
        let mut ways = Ways::default();
        if !ids.is_empty() {
            ways.add(rawdoc! { "_id": any_of_ids(ids.iter().map(|id| id.as_bytes())) });
        }
        if !reads.pairs.is_empty() {
            let pairs: Vec<_> = reads.pairs.iter().map(|pair| documents::pair_bytes(*pair)).collect();
            ways.add(rawdoc! { "pair": any_of_bytes(pairs.iter().map(|pair| &pair[..])) });
        }
        let Some(filter) = ways.filter() else { return Ok(()) };
        let command = rawdoc! { "find": CONVERSATIONS, "filter": filter };
        let mut directs = Vec::new();
        self.find(command, |doc| {
            let (id, seq) = documents::read_end(doc)?;
            writing.ends.insert(id, seq);
            writing.blockers.insert(id, documents::read_blockers(doc)?);
            let conversation = documents::read_conversation(doc)?;
            let pair = pair_of(&conversation);
            let is_asked = pair.is_some_and(|pair| reads.pairs.contains(&pair));
            if reads.rooms.contains(&id) || is_asked {
                writing.pairs.extend(pair.map(|pair| (pair, id)));
                writing.rooms.insert(id, Room::of(conversation, documents::read_member_count(doc)?));
            }
            directs.extend(is_asked.then_some(id));
            Ok(())
        })
        .await?;
        self.load_pairs(&directs, writing).await
    }

    /// Loads both members of direct conversations.
    async fn load_pairs(&mut self, directs: &[ConversationId], writing: &mut Writing) -> Result<(), Fault> {
        if directs.is_empty() {
            return Ok(());
        }
        let of = any_of_ids(directs.iter().map(ConversationId::as_bytes));
        let command = rawdoc! { "find": MEMBERS, "filter": { "_id.conversation": of } };
        self.find(command, |doc| {
            let (id, member, place) = documents::read_member(doc)?;
            if let Some(room) = writing.rooms.get_mut(&id) {
                room.know_member(member, place);
                room.conversation.members.put_at(documents::join_order(place), member);
            }
            Ok(())
        })
        .await
    }

    /// Loads the members that the changes concern.
    pub(super) async fn load_members(&mut self, reads: &Reads, writing: &mut Writing) -> Result<(), Fault> {
        let ids: Vec<_> = reads.rooms.iter().filter(|id| writing.rooms.contains_key(id)).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut asked = RawArrayBuf::new();
        for (id, user) in &reads.members {
            asked.push(documents::member_id(*id, *user));
        }
        self.know_members(rawdoc! { "find": MEMBERS, "filter": { "_id": { "$in": asked } } }, writing)
            .await?;
        let mut asks = HashMap::<_, usize>::new();
        for id in &reads.first_members {
            *asks.entry(*id).or_default() += 1;
        }
        for id in ids {
            self.load_last_place(id, writing).await?;
            self.count_members(id, writing).await?;
            if let Some(asks) = asks.get(&id) {
                for role in [Role::Admin, Role::Moderator, Role::Member] {
                    // Each change removes at most one of them, and two must be left for the last change.
                    self.load_first(id, role, asks + 2, writing).await?;
                }
            }
        }
        Ok(())
    }

    /// Loads members. Returns the number of documents, the number of readable ones, and the place of the last one.
    async fn know_members(
        &mut self,
        command: RawDocumentBuf,
        writing: &mut Writing,
    ) -> Result<(usize, usize, Option<i64>), Fault> {
        let db = self.db;
        let (mut found, mut good, mut last) = (0, 0, None);
        self.find(command, |doc| {
            found += 1;
            last = doc.get_i64("place").ok().or(last);
            // A damaged document counts as no member, as in the reads.
            let Some((id, member, place)) = skip(db, MEMBERS, doc, documents::read_member(doc))? else {
                return Ok(());
            };
            good += 1;
            if let Some(room) = writing.rooms.get_mut(&id) {
                room.know_member(member, place);
            }
            Ok(())
        })
        .await?;
        Ok((found, good, last))
    }

    /// Loads the first members with a role, at least this many if there are that many.
    async fn load_first(
        &mut self,
        id: ConversationId,
        role: Role,
        wanted: usize,
        writing: &mut Writing,
    ) -> Result<(), Fault> {
        let (mut missing, mut after) = (wanted, -1);
        while missing > 0 {
            let command = rawdoc! {
                "find": MEMBERS,
                "filter": {
                    "_id.conversation": object_id(id.as_bytes()),
                    "role": documents::role_word(role),
                    "place": { "$gt": after },
                },
                "sort": { "_id.conversation": 1, "role": 1, "place": 1 },
                "limit": number(missing as u64),
            };
            let (found, good, last) = self.know_members(command, writing).await?;
            let Some(last) = last.filter(|last| found == missing && *last > after) else { break };
            (missing, after) = (missing - good, last);
        }
        Ok(())
    }

    /// Loads the place for the next member.
    async fn load_last_place(&mut self, id: ConversationId, writing: &mut Writing) -> Result<(), Fault> {
        let command = rawdoc! {
            "find": MEMBERS,
            "filter": { "_id.conversation": object_id(id.as_bytes()) },
            "sort": { "_id.conversation": -1, "place": -1 },
            "projection": { "place": 1 },
            "limit": 1,
        };
        let mut next = 0;
        self.find(command, |doc| {
            next = doc.get_i64("place").map_or(0, |last| last + 1);
            Ok(())
        })
        .await?;
        if let Some(room) = writing.rooms.get_mut(&id) {
            room.next_place = room.next_place.max(next);
        }
        Ok(())
    }

    /// Counts the members of a conversation from before their number was stored. Done once.
    async fn count_members(&mut self, id: ConversationId, writing: &mut Writing) -> Result<(), Fault> {
        if writing.rooms.get(&id).is_none_or(|room| room.member_count.is_some()) {
            return Ok(());
        }
        let command = rawdoc! {
            "find": MEMBERS,
            "filter": { "_id.conversation": object_id(id.as_bytes()) },
            "projection": { "_id": 1 },
        };
        let mut count = 0;
        self.find(command, |_| {
            count += 1;
            Ok(())
        })
        .await?;
        if let Some(room) = writing.rooms.get_mut(&id) {
            room.member_count = Some(count);
            writing.writes.member_counts.insert(id);
        }
        Ok(())
    }

    pub(super) async fn store_members(&mut self, writing: &Writing) -> Result<(), Fault> {
        let changed = &writing.writes.members;
        let (mut updates, mut deletes) = (Vec::new(), RawArrayBuf::new());
        for (id, user) in changed {
            match writing.rooms.get(id).and_then(|room| room.member(*user)) {
                Some((place, member)) => {
                    let read = writing.moved_mark(*id, *user);
                    updates.push(documents::member_update(*id, member, place, read));
                }
                None => {
                    deletes.push(rawdoc! { "q": { "_id": documents::member_id(*id, *user) }, "limit": 1 });
                }
            }
        }
        updates.extend(writing.mark_updates());
        self.update(MEMBERS, updates).await?;
        if !deletes.is_empty() {
            self.command(rawdoc! { "delete": MEMBERS, "deletes": deletes }).await?;
        }
        self.update(CONVERSATIONS, member_counts(writing)).await
    }
}

/// The update statements for changed member counts.
fn member_counts(writing: &Writing) -> Vec<RawDocumentBuf> {
    let counts: &BTreeSet<_> = &writing.writes.member_counts;
    let count = |id: &ConversationId| {
        let count = writing.rooms.get(id)?.member_count? as u64;
        let set = rawdoc! { "member_count": number(count) };
        Some(rawdoc! { "q": { "_id": object_id(id.as_bytes()) }, "u": { "$set": set } })
    };
    counts.iter().filter_map(count).collect()
}
