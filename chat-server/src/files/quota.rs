//! Limits how much each user may store: in total, and in an hour. Uploads in progress count already, so that no user
//! can fill the disk with uploads that are refused in the end.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use parking_lot::Mutex;

use super::error::FileError;
use super::staging::blocking;
use crate::media::{ByteRate, Ledger, MediaLimits, counted};

/// The stored and the incoming bytes of all users.
pub(super) struct Quota {
    ledger: Arc<Ledger>,
    rate: ByteRate,
    limit: u64,
    /// Bytes of the uploads in progress. A restart resets it; resumable uploads are then added again.
    coming: Mutex<HashMap<UserId, u64>>,
}

/// A reservation in the quota for an upload in progress. It is released on drop.
#[must_use]
pub(super) struct Hold {
    quota: Arc<Quota>,
    owner: UserId,
    bytes: u64,
    /// The bytes to return to the rate unless the file is stored.
    rated: u64,
}

impl Quota {
    /// Opens the quotas. The totals are stored in this folder. Blocks.
    pub(super) fn open(dir: PathBuf, limits: MediaLimits) -> io::Result<Arc<Self>> {
        let ledger = Arc::new(Ledger::open(dir, limits.quota)?);
        let rate = ByteRate::new(limits.rate);
        Ok(Arc::new(Self { ledger, rate, limit: limits.quota, coming: Mutex::default() }))
    }

    /// Reserves space for a file of this size.
    ///
    /// # Errors
    /// [`FileError::Quota`] and [`FileError::Rate`].
    pub(super) async fn hold(
        self: &Arc<Self>,
        owner: UserId,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Hold, FileError> {
        let hold = self.hold_up_to(owner, bytes, now).await?;
        if hold.bytes < bytes { Err(FileError::Quota(self.limit)) } else { Ok(hold) }
    }

    /// Reserves space for a file of at most this size: as much of it as is left.
    ///
    /// # Errors
    /// [`FileError::Quota`] when nothing is left, and [`FileError::Rate`].
    pub(super) async fn hold_up_to(
        self: &Arc<Self>,
        owner: UserId,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Hold, FileError> {
        let wanted = counted(bytes);
        let ledger = self.ledger.clone();
        let stored = match self.limit {
            0 => 0,
            _ => blocking(move || ledger.total(owner)).await?,
        };
        let mut coming = self.coming.lock();
        let of_owner = coming.get(&owner).copied().unwrap_or_default();
        let left = match self.limit {
            0 => u64::MAX,
            limit => limit.saturating_sub(stored).saturating_sub(of_owner),
        };
        if left < counted(0) {
            return Err(FileError::Quota(self.limit));
        }
        let bytes = wanted.min(left);
        self.rate.acquire(owner, bytes, now).map_err(FileError::Rate)?;
        coming.insert(owner, of_owner + bytes);
        Ok(Hold { quota: self.clone(), owner, bytes, rated: bytes })
    }

    /// Reserves space for an upload that began before a restart. Its rate was charged then, and it always gets its
    /// space.
    pub(super) fn resume(self: &Arc<Self>, owner: UserId, bytes: u64) -> Hold {
        let bytes = counted(bytes);
        *self.coming.lock().entry(owner).or_default() += bytes;
        Hold { quota: self.clone(), owner, bytes, rated: 0 }
    }

    /// Subtracts a stored file that was removed.
    pub(super) async fn release(&self, owner: UserId, bytes: u64) -> Result<(), FileError> {
        let (ledger, bytes) = (self.ledger.clone(), counted(bytes));
        blocking(move || ledger.release(owner, bytes)).await
    }

    #[cfg(test)]
    pub(super) fn total(&self, owner: UserId) -> u64 {
        self.ledger.total(owner).unwrap()
    }
}

impl Hold {
    /// The number of reserved bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts a file of this size as stored, within the reservation.
    ///
    /// # Errors
    /// [`FileError::Quota`] when other nodes have used up the quota of the user meanwhile.
    pub(super) async fn settle(&mut self, bytes: u64) -> Result<(), FileError> {
        let (ledger, owner, bytes) = (self.quota.ledger.clone(), self.owner, counted(bytes));
        if !blocking(move || ledger.acquire(owner, bytes)).await? {
            return Err(FileError::Quota(self.quota.limit));
        }
        self.quota.rate.release(self.owner, self.rated.saturating_sub(bytes));
        self.rated = 0;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.quota.rate.release(self.owner, self.rated);
        let mut coming = self.quota.coming.lock();
        if let Some(of_owner) = coming.get_mut(&self.owner) {
            *of_owner = of_owner.saturating_sub(self.bytes);
            if *of_owner == 0 {
                coming.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_coming_counts_and_gives_its_room_back() {
        let dir = tempfile::tempdir().unwrap();
        let limits = MediaLimits { quota: 100_000, rate: 0 };
        let quota = Quota::open(dir.path().to_owned(), limits).unwrap();
        let (ann, now) = (UserId::from_bytes([1; 12]), Timestamp::from_millis(0));
        let first = quota.hold(ann, 60_000, now).await.unwrap();
        assert!(matches!(quota.hold(ann, 50_000, now).await, Err(FileError::Quota(100_000))));
        assert!(
            quota.hold(UserId::from_bytes([2; 12]), 50_000, now).await.is_ok(),
            "everybody has their own"
        );
        drop(first);
        let mut second = quota.hold(ann, 100_000, now).await.unwrap();
        // The file was shorter than the reservation.
        second.settle(70_000).await.unwrap();
        drop(second);
        assert_eq!(quota.total(ann), 70_000);
        assert!(quota.hold(ann, 30_001, now).await.is_err());
        quota.release(ann, 70_000).await.unwrap();
        let all = quota.hold(ann, 90_000, now).await.unwrap();
        assert_eq!(quota.hold_up_to(ann, 50_000, now).await.unwrap().bytes(), 10_000, "what is left");
        drop(all);
        assert!(quota.coming.lock().is_empty());
    }

    #[tokio::test]
    async fn what_was_not_stored_takes_nothing_of_the_rate() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::open(dir.path().to_owned(), MediaLimits { quota: 0, rate: 100_000 }).unwrap();
        let (ann, now) = (UserId::from_bytes([1; 12]), Timestamp::from_millis(0));
        for _ in 0..3 {
            drop(quota.hold(ann, 90_000, now).await.unwrap());
        }
        let mut stored = quota.hold(ann, 90_000, now).await.unwrap();
        stored.settle(40_000).await.unwrap();
        drop(stored);
        assert!(matches!(quota.hold(ann, 70_000, now).await, Err(FileError::Rate(_))));
        assert!(quota.hold(ann, 60_000, now).await.is_ok());
    }
}
