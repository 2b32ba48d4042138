//! Removes what nothing refers to a day after it was stored, and what a crash has left half-stored.

use std::time::Duration;

use super::error::FileError;
use super::service::Files;

/// For so long a file may be there before a message refers to it.
pub(super) const KEPT_UNREFERENCED: Duration = Duration::from_hours(24);

impl Files {
    /// Removes what is not needed, and answers how many files that were.
    ///
    /// # Errors
    /// When the store or the log cannot be read. Without an answer a file stays.
    pub(crate) async fn sweep(&self) -> Result<usize, FileError> {
        let old = self.now().before(KEPT_UNREFERENCED);
        let mut removed = 0;
        let mut known_since = None;
        for shard in 0..=u8::MAX {
            for listed in self.store.list(shard).await? {
                if listed.id.made_at() > old {
                    continue;
                }
                let Some(record) = self.store.record(listed.id).await? else {
                    // Bytes without a record are somebody's whom nobody knows.
                    self.store.remove(listed.id).await?;
                    removed += 1;
                    continue;
                };
                if listed.is_complete {
                    let since = match known_since {
                        Some(since) => since,
                        None => *known_since.insert(self.references.known_since().await?),
                    };
                    if record.created_at() < since || !self.references.of(listed.id).await?.is_empty() {
                        continue;
                    }
                }
                self.discard(&record).await?;
                chat_core::log_throttled!(
                    info, user.id = %record.owner, file.id = %record.id, bytes = record.size,
                    "a file that nothing refers to was removed"
                );
                removed += 1;
            }
            tokio::task::yield_now().await;
        }
        self.uploads.sweep(self.now()).await?;
        let staging = self.staging.clone();
        super::staging::blocking(move || staging.sweep()).await?;
        Ok(removed)
    }
}
