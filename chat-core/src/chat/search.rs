//! Searching: first the index is brought up to date, then it is asked.

use super::Chat;
use crate::codec::DecodeError;
use crate::command::Destination;
use crate::error::Error;
use crate::history::Window;
use crate::id::UserId;
use crate::model::{Pair, Seq};
use crate::policy;
use crate::search::{Found, Query, Search, Terms};
use crate::store::{Match, SearchProgress, StoreError, StoredMessage};

/// One search brings at most so many messages into the index.
const MOST_INDEXED: usize = 20_000;
/// And about so many bytes of texts; one message always has room.
const MOST_BYTES_INDEXED: usize = 32 << 20;
/// So many messages go into the index at once. Whoever sends something meanwhile waits for no more than one such batch.
const BATCH: usize = 256;
/// And about so many terms: those of short messages by far, and of a few that are long.
const BATCH_TERMS: usize = 8 << 10;
/// After so many bytes of texts others have their turn.
const TURN_BYTES: usize = 64 << 10;
/// When the texts that were found take more bytes than this, the page ends; one message always has room.
const MOST_BYTES_FOUND: usize = 8 << 20;
/// What was let in may be decoded, however limits were changed since.
const MOST_BYTES_DECODED: usize = 256 << 20;

/// How much may still be brought into the index.
struct Budget {
    messages: usize,
    bytes: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Chat {
    /// What there is to find: see [`Command::Search`](crate::command::Command::Search).
    pub(super) async fn search(&self, actor: UserId, search: &Search) -> Result<Found, Error> {
        let query = Query::parse(&search.text)?;
        let progress = match &search.within {
            Some(within) => self.search_progress(actor, within).await?,
            None => self.store.search_progress_of(actor).await?,
        };
        if progress.is_empty() {
            return Ok(Found { complete: true, ..Found::default() });
        }
        let complete = self.bring_up_to_date(&progress).await?;
        let conversations: Vec<_> = progress.iter().map(|progress| progress.conversation).collect();
        let limit = search.limit.min(Search::MOST);
        let (matches, more) = self.store.search(&conversations, &query, search.before, limit).await?;
        let mut found = Found { complete, ..Found::default() };
        let (count, mut last, mut bytes) = (matches.len(), search.before, 0);
        for Match { position, message } in matches {
            if bytes > MOST_BYTES_FOUND {
                break;
            }
            let conversation = self.directory.conversation(message.conversation).await?;
            let view = self.view(message, &conversation).await?;
            bytes += view.message.content.text.len();
            last = Some(position);
            found.messages.push(view);
        }
        found.next = last.filter(|_| more || found.messages.len() < count);
        Ok(found)
    }

    /// The one conversation that is asked about; none with a person nobody has talked to yet.
    async fn search_progress(
        &self,
        actor: UserId,
        within: &Destination,
    ) -> Result<Vec<SearchProgress>, Error> {
        let conversation = match within {
            Destination::Conversation(id) => Some(self.directory.conversation(*id).await?),
            Destination::Person(key) => {
                let person = self.directory.find_user(key).await?.ok_or(Error::UserNotFound)?;
                self.directory.find_direct(Pair::new(actor, person.id)).await?
            }
        };
        let Some(conversation) = conversation else { return Ok(Vec::new()) };
        policy::must_be_member(actor, &conversation)?;
        Ok(self.store.search_progress(conversation.id).await?.into_iter().collect())
    }

    /// Brings what is missing into the index, as far as one search does. Answers whether that was all.
    async fn bring_up_to_date(&self, progress: &[SearchProgress]) -> Result<bool, Error> {
        let mut budget = Budget { messages: MOST_INDEXED, bytes: MOST_BYTES_INDEXED };
        let mut complete = true;
        for progress in progress {
            let mut at = progress.indexed;
            while at < progress.last {
                if budget.is_spent() {
                    return Ok(false);
                }
                match self.index_some(progress, at, &mut budget).await {
                    Ok(Some(end)) if end > at => at = end,
                    // Something is in the way of storing, which need not be in the way of finding what is there.
                    Err(Error::Store(error @ StoreError::Unavailable(_))) => {
                        tracing::warn!(%error, "the index for searches could not be brought up to date");
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                    // What follows cannot be read for now; the other conversations can.
                    Ok(_) => {
                        complete = false;
                        break;
                    }
                }
            }
        }
        Ok(complete)
    }

    /// Brings the next messages of a conversation into the index. Answers where it ends then; none when they cannot be
    /// read for now.
    async fn index_some(
        &self,
        progress: &SearchProgress,
        at: Seq,
        budget: &mut Budget,
    ) -> Result<Option<Seq>, Error> {
        let window = Window::After { seq: at, limit: BATCH.min(budget.messages) };
        let (messages, _) = self.store.history(progress.conversation, window, true).await?;
        let (mut batch, mut count, mut since_turn) = (Vec::with_capacity(messages.len()), 0, 0);
        for message in &messages {
            let Some((terms, bytes)) = self.terms(message) else { break };
            count += terms.len();
            batch.push(terms);
            budget.spend(bytes);
            since_turn += bytes;
            if since_turn >= TURN_BYTES {
                since_turn = 0;
                take_turns().await;
            }
            if budget.is_spent() || count >= BATCH_TERMS {
                break;
            }
        }
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(self.store.index(progress.conversation, at, batch).await?)
    }

    /// The terms of a message, and the bytes of its text. None when the tables by which it can be read are missing, or a
    /// later version has written it: once they are there it can be found. What nobody will ever be able to read can be found by its file name, and must not
    /// be in the way of what follows.
    fn terms(&self, message: &StoredMessage) -> Option<(Terms, usize)> {
        let text = match self.codec.decode((&message.body).into(), MOST_BYTES_DECODED) {
            Ok(text) => text,
            Err(error @ (DecodeError::UnknownTables { .. } | DecodeError::UnknownFrame { .. })) => {
                tracing::warn!(message.id = %message.id, %error, "a message cannot be searched");
                return None;
            }
            Err(error) => {
                tracing::warn!(message.id = %message.id, %error, "a message cannot be searched");
                Vec::new()
            }
        };
        let bytes = text.len();
        let text = String::from_utf8_lossy(&text);
        Some((Terms::of(&text, message.file_name.as_deref()), bytes))
    }
}

/// Lets others of the same executor run.
async fn take_turns() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
