//! Removes files that nothing refers to a day after they were stored, and partial files that a crash left behind.

use std::time::Duration;

use super::error::FileError;
use super::service::Files;

/// How long a file is kept without a message that refers to it.
pub(super) const KEPT_UNREFERENCED: Duration = Duration::from_hours(24);

impl Files {
    /// Removes unneeded files, and returns their number.
    ///
    /// # Errors
    /// When the store or the log cannot be read. In this case the remaining files are kept.
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
                    // Bytes without a record have no known owner.
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
