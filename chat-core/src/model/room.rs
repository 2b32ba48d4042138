//! What is said of a room besides its name and its members, and what can change about it.

use crate::change::Detail;
use crate::clock::Timestamp;
use crate::id::UserId;

/// What is kept of a room besides its name and who may join: stores keep it in rows of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomDetails {
    /// Seconds that plain members wait between two messages; 0 for no wait.
    pub slow_mode: u32,
}

/// What has changed about a room, other than who is in it and with what role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomAspect {
    /// This person may not come in any more.
    Banned(UserId),
    /// This person may come in again.
    Unbanned(UserId),
    /// This member may not speak for a time.
    Muted {
        /// Who.
        user: UserId,
        /// Until then; [`RoomAspect::FOR_EVER`] when no end was set.
        until: Timestamp,
    },
    /// This member may speak again.
    Unmuted(UserId),
    /// What is said of the room, or its settings.
    Updated,
}

impl RoomAspect {
    /// The end of what has no end.
    pub const FOR_EVER: Timestamp = Timestamp::from_millis(i64::MAX);

    /// Whom it is about, if it is about one person.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::Banned(user) | Self::Unbanned(user) | Self::Unmuted(user) | Self::Muted { user, .. } => {
                Some(*user)
            }
            Self::Updated => None,
        }
    }

    /// As the log keeps it: a number that is never given another meaning, and what belongs to it.
    pub(crate) fn to_detail(self) -> Option<Detail> {
        let code: u8 = match self {
            Self::Banned(_) => 1,
            Self::Unbanned(_) => 2,
            Self::Muted { .. } => 3,
            Self::Unmuted(_) => 4,
            Self::Updated => 5,
        };
        let mut detail = vec![code];
        detail.extend(self.user().iter().flat_map(|user| *user.as_bytes()));
        if let Self::Muted { until, .. } = self {
            detail.extend(until.as_millis().to_be_bytes());
        }
        Detail::new(&detail)
    }

    /// What the log has kept.
    pub(crate) fn from_detail(detail: &Detail) -> Option<Self> {
        let (code, rest) = detail.as_bytes().split_first()?;
        let user = || Some(UserId::from_bytes(*rest.first_chunk()?));
        Some(match code {
            1 => Self::Banned(user()?),
            2 => Self::Unbanned(user()?),
            3 => {
                let until = i64::from_be_bytes(*rest.get(12..)?.first_chunk()?);
                Self::Muted { user: user()?, until: Timestamp::from_millis(until) }
            }
            4 => Self::Unmuted(user()?),
            5 => Self::Updated,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspects_come_back_from_the_log() {
        let user = UserId::from_bytes([7; 12]);
        let until = Timestamp::from_millis(-3);
        for (code, aspect) in [
            (1, RoomAspect::Banned(user)),
            (2, RoomAspect::Unbanned(user)),
            (3, RoomAspect::Muted { user, until }),
            (3, RoomAspect::Muted { user, until: RoomAspect::FOR_EVER }),
            (4, RoomAspect::Unmuted(user)),
            (5, RoomAspect::Updated),
        ] {
            let detail = aspect.to_detail().expect("it is short");
            assert_eq!(detail.as_bytes()[0], code, "numbers stay");
            assert_eq!(RoomAspect::from_detail(&detail), Some(aspect));
        }
        for damaged in [&[][..], &[0], &[1, 7], &[3; 13], &[99]] {
            assert_eq!(RoomAspect::from_detail(&Detail::new(damaged).unwrap()), None);
        }
    }
}
