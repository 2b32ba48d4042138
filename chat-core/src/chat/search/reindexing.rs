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

/// Most messages of one conversation that one search indexes again.
const AT_ONCE: usize = 256;

impl Chat {
    /// Has messages whose texts have changed found by what they say now. The index of these conversations must be up to date: what
    /// is not in it yet may be indexed with either text. Answers whether that was all.
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
                    // Something is in the way of storing, which need not be in the way of finding what is there.
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

/// Whether the index may name a message for what it does not say any more.
pub(super) fn has_changed(message: &StoredMessage) -> bool {
    message.facets.contains(Table::Edits)
}

/// Whether a text is what is looked for, as far as its terms tell.
pub(super) fn says(content: &Content, query: &Query) -> bool {
    query.is_everything() || query.finds(&Terms::of(&content.text, content.file_name.as_deref()))
}
