//! The list of the threads that a person follows.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{
    FOLLOWS, FollowedThread, ListThreads, MAX_UNREAD, Reply, Thread, ThreadCursor, ThreadPage, threads_of,
};
use crate::chat::{Budget, Chat, hidden};
use crate::command::Outcome;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::Seq;
use crate::store::{StoreError, StoredMessage, Table};

/// The number of rows that are read at once.
const AT_ONCE: usize = 500;

/// A thread of the list, before its root is read.
struct Listed {
    place: ThreadCursor,
    conversation: ConversationId,
    thread: Thread,
}

impl Chat {
    pub(crate) async fn list_threads(
        &self,
        actor: UserId,
        command: ListThreads,
    ) -> Result<Outcome<ThreadPage>, Error> {
        let ListThreads { after, limit } = command;
        let mut order = self.followed(actor).await?;
        order.retain(|listed| after.is_none_or(|after| listed.place < after));
        order.sort_unstable_by_key(|listed| Reverse(listed.place));
        let mut budget = Budget::new(self.limits().answer_bytes);
        let mut page = ThreadPage::default();
        let mut rest = order.as_slice();
        // Threads that are not shown are replaced by the next ones.
        while !rest.is_empty() && page.threads.len() < limit {
            let (some, behind) = rest.split_at(rest.len().min(limit - page.threads.len()));
            let (threads, is_cut) = self.listed(actor, some, &mut budget).await?;
            page.threads.extend(threads);
            if is_cut {
                let last = page.threads.last().map(|shown| shown.root.message.id);
                let end = order.iter().find(|listed| Some(listed.place.root) == last);
                page.next = end.map(|listed| listed.place);
                break;
            }
            page.next = some.last().filter(|_| !behind.is_empty()).map(|listed| listed.place);
            rest = behind;
        }
        Ok(Outcome::reply_only(page))
    }

    /// The threads that a person follows and that have replies, in no particular order.
    async fn followed(&self, user: UserId) -> Result<Vec<Listed>, Error> {
        let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let rows =
                self.store.rows(Table::FollowedThreads, user.as_bytes(), after.as_deref(), AT_ONCE).await?;
            let is_last = rows.len() < AT_ONCE;
            let follows = rows.iter().filter(|row| row.value == FOLLOWS);
            let (places, roots): (Vec<_>, Vec<_>) = follows.filter_map(|row| thread_in(&row.key)).unzip();
            let threads = threads_of(self, &roots).await?;
            for ((conversation, root), thread) in places.into_iter().zip(roots).zip(threads) {
                let Some(thread) = thread else { continue };
                let place = ThreadCursor { last_at: thread.last_at, root };
                all.push(Listed { place, conversation, thread });
            }
            after = rows.into_iter().last().map(|row| row.key);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// What the list shows of these threads, up to the first one for which the budget has no room; and whether there is such a
    /// one.
    async fn listed(
        &self,
        actor: UserId,
        some: &[Listed],
        budget: &mut Budget,
    ) -> Result<(Vec<FollowedThread>, bool), Error> {
        let marks = self.marks_of(actor, some).await?;
        let mine = || some.iter().filter(|listed| marks.contains_key(&listed.conversation));
        let ids: Vec<_> = mine().map(|listed| listed.place.root).collect();
        let stored = self.store.messages(&ids).await?;
        let hidden = self.hidden_from(actor, &stored).await?;
        let shown = stored.into_iter().filter(|stored| !hidden.contains(&stored.id));
        let mut roots: HashMap<MessageId, StoredMessage> = shown.map(|stored| (stored.id, stored)).collect();
        let mut in_order = Vec::new();
        for listed in mine() {
            let Some(root) = roots.remove(&listed.place.root) else { continue };
            in_order.push((root, self.directory.conversation(listed.conversation).await?));
        }
        let (views, is_cut) = self.views_within(in_order, budget).await?;
        let mut unread = self.unread_in_threads(actor, mine(), &marks).await?;
        let mut threads: HashMap<_, _> = some.iter().map(|listed| (listed.place.root, listed)).collect();
        let mut all = Vec::with_capacity(views.len());
        for root in views {
            let id = root.message.id;
            let Some(Listed { thread, .. }) = threads.remove(&id) else { continue };
            let unread = unread.remove(&id).unwrap_or_default();
            all.push(FollowedThread { root, thread: thread.clone(), unread });
        }
        Ok((all, is_cut))
    }

    /// How far a person has read the conversations of these threads. Those in which the person is not a member are missing.
    async fn marks_of(
        &self,
        user: UserId,
        some: &[Listed],
    ) -> Result<HashMap<ConversationId, Seq>, StoreError> {
        let mut ids: Vec<_> = some.iter().map(|listed| listed.conversation).collect();
        ids.sort_unstable();
        ids.dedup();
        let (mut marks, mut left) = (HashMap::new(), ids.as_slice());
        // A store answers for fewer conversations when their last messages are long.
        while !left.is_empty() {
            let summaries = self.store.summaries(user, left).await?;
            let Some(last) = summaries.last().map(|summary| summary.conversation) else { break };
            let end = left.iter().position(|id| *id == last).map_or(left.len(), |place| place + 1);
            marks.extend(summaries.iter().map(|summary| (summary.conversation, summary.read_seq)));
            left = &left[end..];
        }
        Ok(marks)
    }

    /// How many messages of others a person has not read in each of these threads.
    async fn unread_in_threads(
        &self,
        user: UserId,
        threads: impl Iterator<Item = &Listed>,
        marks: &HashMap<ConversationId, Seq>,
    ) -> Result<HashMap<MessageId, u32>, StoreError> {
        let threads: Vec<_> = threads.collect();
        let prefixes: Vec<_> = threads.iter().map(|listed| listed.place.root.as_bytes().to_vec()).collect();
        let rows = self.store.rows_of(Table::ThreadMessages, &prefixes, MAX_UNREAD).await?;
        let (mut unread, mut messages) = (HashMap::new(), Vec::new());
        for (listed, rows) in threads.iter().zip(rows) {
            let read = marks.get(&listed.conversation).copied().unwrap_or_default();
            let replies = rows.iter().filter_map(Reply::from_row);
            let replies = replies.filter(|reply| reply.seq > read && reply.sender != user);
            let root = listed.place.root;
            let before = messages.len();
            messages.extend(replies.map(|reply| (root, reply.message)));
            unread.insert(root, (messages.len() - before) as u32);
        }
        // Most people have hidden nothing.
        if messages.is_empty() || self.store.rows(Table::HiddenBy, user.as_bytes(), None, 1).await?.is_empty()
        {
            return Ok(unread);
        }
        for messages in messages.chunks(AT_ONCE) {
            let keys: Vec<_> = messages.iter().map(|(_, message)| hidden::key(*message, user)).collect();
            for ((root, _), hides) in messages.iter().zip(self.store.values(Table::Hidden, &keys).await?) {
                if let (Some(_), Some(count)) = (hides, unread.get_mut(root)) {
                    *count -= 1;
                }
            }
        }
        Ok(unread)
    }
}

/// The conversation and the root in the key of a row of [`Table::FollowedThreads`].
fn thread_in(key: &[u8]) -> Option<(ConversationId, MessageId)> {
    let (conversation, root) = key.get(12..)?.split_first_chunk()?;
    let root = std::str::from_utf8(root).ok()?.parse().ok()?;
    Some((ConversationId::from_bytes(*conversation), root))
}
