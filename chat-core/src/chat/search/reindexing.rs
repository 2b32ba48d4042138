//! Messages whose texts have changed since they were indexed.

use crate::chat::Chat;
use crate::damage;
use crate::error::Error;
use crate::id::MessageId;
use crate::model::Content;
use crate::search::Query;
use crate::search::Terms;
use crate::store::reindexing::Reindex;
use crate::store::write::make;
use crate::store::{Row, SearchProgress, StoreError, StoredMessage, Table};

/// The maximum number of messages of one conversation that one search indexes again.
const AT_ONCE: usize = 256;

impl Chat {
    /// Adds the terms of texts that have changed to the index. The index of these conversations must be up to date, because a
    /// message that is not in it yet may be indexed with either text. Returns whether the index is complete.
    pub(super) async fn index_changed(&self, progress: &[SearchProgress]) -> Result<bool, Error> {
        let prefixes: Vec<_> = progress.iter().map(|of| of.conversation.as_bytes().to_vec()).collect();
        let changed = self.store.rows_of(Table::Unindexed, &prefixes, AT_ONCE).await?;
        let mut complete = true;
        for (progress, rows) in progress.iter().zip(changed) {
            complete &= rows.len() < AT_ONCE;
            for Row { key, value: change } in rows {
                let Some(id) = key.get(12..).and_then(|id| id.try_into().ok()) else { continue };
                let message = MessageId::from_bytes(id);
                let read = self.store.message(message).await.map_err(Error::from);
                let read = damage::sound(&*self.store, read, "messages", &message)?.flatten();
                let Some(read) = read.filter(|read| read.seq <= progress.last) else { continue };
                let Some((terms, _)) = self.terms(&read).await else {
                    complete = false;
                    continue;
                };
                let reindex = Reindex { message, conversation: progress.conversation, change, terms };
                match make(&*self.store, reindex).await {
                    Ok(is_done) => complete &= is_done,
                    // The index cannot be written at the moment, but the search may still find what is already in it.
                    Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_))) => {
                        crate::log_throttled!(
                            warn, %error, "the index for searches could not be brought up to date"
                        );
                        return Ok(false);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(complete)
    }
}

/// Whether the index may return a message for an earlier text.
pub(super) fn has_changed(message: &StoredMessage) -> bool {
    message.facets.contains(Table::Edits)
}

/// Whether the terms of a text match the query.
pub(super) fn says(content: &Content, query: &Query) -> bool {
    query.is_everything() || query.finds(&Terms::of(&content.text, content.file_name.as_deref()))
}
