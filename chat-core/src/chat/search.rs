//! Searching: first the index is brought up to date (here), then it is queried (`finding.rs`), and the matches are
//! ranked if the client asks for that (`ranking.rs`). `visibility.rs` decides which messages a user may see.

mod finding;
mod ranking;
mod reindexing;
mod visibility;

use std::iter::Peekable;

use self::finding::Sought;
use super::Chat;
use super::decoding::{MAX_DECODED_BYTES, take_turns};
use crate::codec::DecodeError;
use crate::command::Outcome;
use crate::error::Error;
use crate::history::Window;
use crate::id::UserId;
use crate::model::Seq;
use crate::search::{Filter, Found, Order, Search, Snippet, Terms};
use crate::store::{Lookup, SearchProgress, StoreError, StoredMessage};

/// The maximum number of messages that one search adds to the index.
const MAX_INDEXED: usize = 20_000;
/// The approximate maximum of text bytes that one search adds; one message is always allowed.
const MAX_BYTES_INDEXED: usize = 32 << 20;
/// The maximum number of batches in one search. Each batch is a commit, and there may be many conversations with a
/// few messages each, or many messages with thousands of terms.
const MAX_BATCHES: usize = 100;
/// The number of messages that are read at once: some batches of short ones. A read of this size counts as long work,
/// so it does not block the executor.
const READ: usize = 2 * BATCH;
/// The maximum number of messages in one batch. A concurrent send waits for at most one such batch.
const BATCH: usize = 256;
/// The approximate maximum of terms in one batch. Short messages stay far below it; a few long ones reach it.
const BATCH_TERMS: usize = 8 << 10;
/// After this many bytes of text the task yields to other tasks.
const TURN_BYTES: usize = 64 << 10;

/// How much a search may still add to the index.
struct Budget {
    messages: usize,
    bytes: usize,
    batches: usize,
    /// The number of bytes since the task last yielded.
    since_turn: usize,
}

/// The result of bringing a conversation's index up to date.
enum Brought {
    /// All messages are in the index.
    UpToDate,
    /// The next message cannot be read at the moment.
    Stuck,
    /// The budget of this search is used up.
    Spent,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0 || self.batches == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.since_turn += bytes;
    }
}

impl Chat {
    pub(crate) async fn search(&self, actor: UserId, search: Search) -> Result<Outcome<Found>, Error> {
        self.find_messages(actor, &search).await.map(Outcome::reply_only)
    }

    /// Finds the messages.
    async fn find_messages(&self, actor: UserId, search: &Search) -> Result<Found, Error> {
        let lookup = self.lookup(search).await?;
        let progress = self.searchable(actor, search.within.as_ref()).await?;
        if progress.is_empty() {
            return Ok(Found { complete: true, ..Found::default() });
        }
        // A query without words does not need the index.
        let complete = lookup.query.is_everything()
            || (self.bring_up_to_date(&progress).await? && self.index_changed(&progress).await?);
        let conversations = progress.iter().map(|progress| progress.conversation).collect();
        let sought = Sought { actor, conversations, lookup, limit: search.limit.min(Search::MAX) };
        let mut found = match &search.order {
            Order::Newest => self.find_newest(&sought, search.before).await?,
            Order::Best(cursor) => self.find_best(&sought, &progress, cursor.as_ref(), search.before).await?,
        };
        if search.snippets {
            found.snippets = snippets(&found, &sought).await;
        }
        Ok(Found { complete, ..found })
    }

    /// Builds the lookup for the store.
    async fn lookup(&self, search: &Search) -> Result<Lookup, Error> {
        let query = search.query()?;
        if search.from.zip(search.until).is_some_and(|(from, until)| from >= until) {
            return Err(Error::Invalid { field: "until", problem: "must be later than from" });
        }
        if query.is_everything() && search.order != Order::Newest {
            return Err(Error::Invalid { field: "query", problem: "must have a word to rank messages by" });
        }
        let author = match &search.author {
            Some(key) => Some(self.directory.find_user(key).await?.ok_or(Error::UserNotFound)?.id),
            None => None,
        };
        let kinds = search.kinds.clone();
        let filter = Filter { author, kinds, from: search.from, until: search.until };
        let max_looked_at = if filter.is_all() { usize::MAX } else { Found::MAX_LOOKED_AT };
        Ok(Lookup { query, filter, max_looked_at })
    }

    /// Adds missing messages to the index, within the budget of one search. Returns whether the index is complete.
    async fn bring_up_to_date(&self, progress: &[SearchProgress]) -> Result<bool, Error> {
        let mut budget =
            Budget { messages: MAX_INDEXED, bytes: MAX_BYTES_INDEXED, batches: MAX_BATCHES, since_turn: 0 };
        let mut complete = true;
        for progress in progress {
            match self.bring_one_up_to_date(progress, &mut budget).await {
                Ok(Brought::UpToDate) => {}
                // The other conversations may still be readable.
                Ok(Brought::Stuck) => complete = false,
                Ok(Brought::Spent) => return Ok(false),
                // The index cannot be written at the moment, but the search may still find what is already in it.
                Err(Error::Store(error @ (StoreError::Unavailable(_) | StoreError::Full(_)))) => {
                    crate::log_throttled!(
                        warn, %error, "the index for searches could not be brought up to date"
                    );
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(complete)
    }

    async fn bring_one_up_to_date(
        &self,
        progress: &SearchProgress,
        budget: &mut Budget,
    ) -> Result<Brought, Error> {
        let mut at = progress.indexed;
        while at < progress.last {
            if budget.is_spent() {
                return Ok(Brought::Spent);
            }
            let window = Window::After { seq: at, limit: READ };
            let (messages, has_more) = self.store.history(progress.conversation, window, true).await?;
            // Damaged messages that the store left out get no terms. They must not shift the terms of later messages.
            let read_to = messages.last().map_or(at, |message| message.seq);
            let end = if has_more { read_to } else { progress.last.max(read_to) };
            if end <= at {
                return Ok(Brought::Stuck);
            }
            let mut unread = messages.iter().peekable();
            // Index the messages of this read before the next read.
            while at < end {
                if budget.is_spent() {
                    return Ok(Brought::Spent);
                }
                let batch = self.next_batch(&mut unread, (at, end), budget).await;
                if batch.is_empty() {
                    return Ok(Brought::Stuck);
                }
                let expected = Seq(at.0 + batch.len() as u32);
                match self.store.index(progress.conversation, at, batch).await? {
                    Some(end) if end == expected => at = end,
                    // Another task has extended the index meanwhile.
                    Some(end) if end > at => {
                        at = end;
                        break;
                    }
                    _ => return Ok(Brought::Stuck),
                }
            }
        }
        Ok(Brought::UpToDate)
    }

    /// The terms of the messages between these places, up to the size of a batch or to the first message that cannot
    /// be read at the moment.
    async fn next_batch(
        &self,
        messages: &mut Peekable<std::slice::Iter<'_, StoredMessage>>,
        (after, end): (Seq, Seq),
        budget: &mut Budget,
    ) -> Vec<Terms> {
        let (mut batch, mut count) = (Vec::new(), 0);
        budget.batches -= 1;
        for place in (after.0 + 1..=end.0).take(BATCH) {
            let Some(message) = messages.peek().filter(|message| message.seq == Seq(place)) else {
                batch.push(Terms::default());
                continue;
            };
            let Some((terms, bytes)) = self.terms(message).await else { break };
            messages.next();
            count += terms.len();
            batch.push(terms);
            budget.spend(bytes);
            if budget.since_turn >= TURN_BYTES {
                budget.since_turn = 0;
                take_turns().await;
            }
            if budget.messages == 0 || budget.bytes == 0 || count >= BATCH_TERMS {
                break;
            }
        }
        batch
    }

    /// The terms of a message, and the bytes of its text. None if the tables to decode it are missing or a later
    /// version has written it: it can be indexed once they are there. A message that can never be decoded gets no
    /// terms, since it cannot be shown, and must not block the messages after it.
    async fn terms(&self, message: &StoredMessage) -> Option<(Terms, usize)> {
        let unreadable = |error: &dyn std::fmt::Display| {
            crate::log_throttled!(warn, message.id = %message.id, %error, "a message cannot be searched");
        };
        let is_file = message.file_name.is_some();
        let decoded = self.decode_body(&message.body, is_file, MAX_DECODED_BYTES).await;
        let text = match decoded.map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                unreadable(&"it is not UTF-8");
                return Some((Terms::default(), 0));
            }
            Err(error) => {
                unreadable(&error);
                let may_be_read_later =
                    matches!(error, DecodeError::UnknownTables { .. } | DecodeError::UnknownFrame { .. });
                return (!may_be_read_later).then(|| (Terms::default(), 0));
            }
        };
        Some((Terms::of(&text, message.file_name.as_deref()), text.len()))
    }
}

/// The snippets of the messages that were found.
async fn snippets(found: &Found, sought: &Sought) -> Vec<Snippet> {
    let (mut snippets, mut bytes) = (Vec::new(), 0);
    for view in &found.messages {
        snippets.push(Snippet::of(&view.message.content, &sought.lookup.query));
        bytes += view.message.content.text.len();
        if bytes >= TURN_BYTES {
            bytes = 0;
            take_turns().await;
        }
    }
    snippets
}

#[cfg(test)]
mod tests;
