//! What holds for those who speak in a room, besides being members.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{Role, RoomDetails};
use crate::policy::Refusal;
use crate::store::tx::{Reads, Tx};
use crate::store::{NewMessage, Table};

/// The row of a room in [`Table::RoomRules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// Whether somebody may be muted there.
    pub(super) has_mutes: bool,
    /// Seconds between two messages of a plain member; 0 for no wait.
    pub(super) slow_mode: u32,
}

impl Rules {
    const HAS_MUTES: u8 = 1;

    /// What a row says. What is behind it is of a newer version.
    pub(crate) fn from_value(value: &[u8]) -> Self {
        let flags = value.first().copied().unwrap_or_default();
        let slow_mode = value.get(1..).and_then(<[u8]>::first_chunk);
        Self {
            has_mutes: flags & Self::HAS_MUTES != 0,
            slow_mode: slow_mode.map_or(0, |seconds| u32::from_be_bytes(*seconds)),
        }
    }

    fn to_value(self) -> Vec<u8> {
        let flags = if self.has_mutes { Self::HAS_MUTES } else { 0 };
        [&[flags][..], &self.slow_mode.to_be_bytes()].concat()
    }

    /// Of a room; none where nothing special holds. Its row must be named in what is read.
    pub(crate) fn of<T: Tx>(tx: &mut T, room: ConversationId) -> Result<Option<Self>, T::Error> {
        let row = tx.row(Table::RoomRules, room.as_bytes())?;
        Ok(row.map(|value| Self::from_value(&value)))
    }

    /// Keeps them for a room.
    pub(super) fn put<T: Tx>(self, tx: &mut T, room: ConversationId) -> Result<(), T::Error> {
        match self == Self::default() {
            true => tx.delete_row(Table::RoomRules, room.as_bytes()),
            false => tx.put_row(Table::RoomRules, room.as_bytes(), &self.to_value()),
        }
    }

    /// Whether a member may speak now. Mutes hold for what was sent before too.
    ///
    /// # Errors
    /// Those of the transaction.
    pub(crate) fn may_speak<T: Tx>(
        self,
        tx: &mut T,
        (room, user): (ConversationId, UserId),
        at: Timestamp,
    ) -> Result<Result<(), Refusal>, T::Error> {
        if !self.has_mutes {
            return Ok(Ok(()));
        }
        let until = tx.row(Table::Mutes, &of_member(room, user))?;
        match until.as_deref().and_then(moment) {
            Some(until) if until > at => Ok(Err(Refusal::Forbidden("You are muted in this room"))),
            _ => Ok(Ok(())),
        }
    }

    /// Whether a member has waited for long enough. Only plain members wait.
    ///
    /// # Errors
    /// Those of the transaction.
    pub(crate) fn may_speak_again<T: Tx>(
        self,
        tx: &mut T,
        new: &NewMessage,
        role: Option<Role>,
    ) -> Result<Result<(), Refusal>, T::Error> {
        if !self.waits(role) {
            return Ok(Ok(()));
        }
        let last = tx.row(Table::LastSpoken, &of_member(new.conversation, new.sender))?;
        let Some(last) = last.as_deref().and_then(moment) else { return Ok(Ok(())) };
        let again = last.after(Duration::from_secs(self.slow_mode.into()));
        // A clock that was set back must not keep anybody waiting for long.
        if new.at >= again || new.at < last {
            return Ok(Ok(()));
        }
        let wait = again.as_millis().saturating_sub(new.at.as_millis());
        Ok(Err(Refusal::TooSoon { wait: Duration::from_millis(wait.unsigned_abs()) }))
    }

    /// Notes that a member has spoken, where that counts.
    ///
    /// # Errors
    /// Those of the transaction.
    pub(crate) fn note_spoken<T: Tx>(
        self,
        tx: &mut T,
        new: &NewMessage,
        role: Option<Role>,
    ) -> Result<(), T::Error> {
        if !self.waits(role) {
            return Ok(());
        }
        let key = of_member(new.conversation, new.sender);
        tx.put_row(Table::LastSpoken, &key, &new.at.as_millis().to_be_bytes())
    }

    fn waits(self, role: Option<Role>) -> bool {
        self.slow_mode > 0 && role == Some(Role::Member)
    }
}

/// Names what is looked at when somebody speaks.
pub(crate) fn name_reads_of_speaker(reads: &mut Reads, room: ConversationId, sender: UserId) {
    reads.rows.insert((Table::RoomRules, room.as_bytes().to_vec()));
    for table in [Table::Mutes, Table::LastSpoken] {
        reads.ruled_rows.insert((table, of_member(room, sender)));
    }
}

/// The key of what is kept of a person in a room.
pub(crate) fn of_member(room: ConversationId, user: UserId) -> Vec<u8> {
    [room.as_bytes(), &user.as_bytes()[..]].concat()
}

/// A moment as the value of a row.
pub(super) fn moment(value: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_millis(i64::from_be_bytes(*value.first_chunk()?)))
}

/// What the rows of a room say of it.
pub(crate) fn details(rules: Option<&[u8]>) -> RoomDetails {
    let rules = rules.map(Rules::from_value).unwrap_or_default();
    RoomDetails { slow_mode: rules.slow_mode }
}
