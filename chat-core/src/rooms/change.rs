//! The write: what is done in a room, decided inside the transaction.

use super::commands::Ban;
use super::rules::{Rules, of_member};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{ConversationId, UserId};
use crate::model::{ConversationKind, Member, Position, RoomAspect};
use crate::policy::Refusal;
use crate::policy::room::{Act, may, may_to};
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;
use crate::store::{MessageRef, Table, delete_member, settings_key};

/// Does something in a room and logs it. [`MATRIX`](crate::policy::room::MATRIX) decides whether it may be done, by the roles at
/// that moment. What is as wanted already changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRoom {
    /// The room.
    pub room: ConversationId,
    /// Who asks for it.
    pub by: UserId,
    /// What.
    pub act: RoomAct,
    /// When.
    pub at: Timestamp,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomAct {
    /// Take somebody out, if they are in, and let them come in no more.
    Ban(UserId),
    /// Let somebody come in again.
    LiftBan(UserId),
    /// Keep a member from speaking until then.
    Mute(UserId, Timestamp),
    /// Let somebody speak again.
    LiftMute(UserId),
    /// Change the settings.
    Update {
        /// See [`UpdateRoom::slow_mode`](super::UpdateRoom::slow_mode).
        slow_mode: Option<u32>,
    },
}

/// What was logged, in order; nothing when it was so before.
pub type RoomLog = Vec<(Position, Change<MessageRef>)>;

impl RoomAct {
    /// Whom it is about, if it is about one person.
    pub fn user(&self) -> Option<UserId> {
        self.target().map(|(user, _)| user)
    }

    /// Whom it is about, and what may be done to them.
    fn target(&self) -> Option<(UserId, Act)> {
        match self {
            Self::Ban(user) | Self::LiftBan(user) => Some((*user, Act::Ban)),
            Self::Mute(user, _) | Self::LiftMute(user) => Some((*user, Act::Mute)),
            Self::Update { .. } => None,
        }
    }
}

impl Effect for ChangeRoom {
    fn reads(&self, reads: &mut Reads) {
        let (room, key) = (self.room, self.room.as_bytes().to_vec());
        reads.rooms.insert(room);
        reads.members.insert((room, self.by));
        reads.rows.insert((Table::RoomRules, key.clone()));
        let Some((user, act)) = self.act.target() else { return };
        reads.members.insert((room, user));
        if act == Act::Ban {
            reads.users.insert(user);
            reads.rows.insert((Table::Bans, of_member(room, user)));
            reads.rows.insert(settings_key(user, room));
        } else {
            reads.rows.insert((Table::Mutes, of_member(room, user)));
            reads.ranges.push((Table::Mutes, key, 1));
        }
    }

    fn most_logged(&self) -> u64 {
        2
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Some(kind) = tx.kind(self.room)? else { return Ok(Err(Refusal::ConversationNotFound)) };
        let Some(actor) = tx.member(self.room, self.by)? else {
            return Ok(Err(Refusal::ConversationNotFound));
        };
        if !matches!(kind, ConversationKind::Room(_)) {
            return Ok(Err(Refusal::Forbidden("A direct conversation has no settings and no roles")));
        }
        let role = Some(actor.role);
        match &self.act {
            RoomAct::Update { slow_mode } => {
                if let Err(refusal) = may(Act::Configure, role) {
                    return Ok(Err(refusal));
                }
                self.update(tx, *slow_mode).map(Ok)
            }
            RoomAct::Ban(user)
            | RoomAct::LiftBan(user)
            | RoomAct::Mute(user, _)
            | RoomAct::LiftMute(user) => {
                let target = tx.member(self.room, *user)?;
                let act = self.act.target().map_or(Act::Ban, |(_, act)| act);
                if let Err(refusal) = may_to(act, role, target.map(|member| member.role)) {
                    return Ok(Err(refusal));
                }
                if *user == self.by {
                    return Ok(Err(Refusal::Forbidden("You cannot do this to yourself")));
                }
                match self.act {
                    RoomAct::Mute(_, until) => self.mute(tx, *user, target, Some(until)),
                    RoomAct::LiftMute(_) => self.mute(tx, *user, target, None),
                    RoomAct::LiftBan(_) => self.lift_ban(tx, *user),
                    _ => self.ban(tx, *user, target),
                }
            }
        }
    }
}

type Done<E> = Result<Result<RoomLog, Refusal>, Abort<E>>;

impl ChangeRoom {
    fn log<T: Tx>(&self, tx: &mut T, aspect: RoomAspect, log: &mut RoomLog) -> Result<(), T::Error> {
        let change = Change::RoomChanged { room: self.room, by: self.by, aspect };
        log.push((tx.log(self.at, change)?, change));
        Ok(())
    }

    fn ban<T: Tx>(&self, tx: &mut T, user: UserId, target: Option<Member>) -> Done<T::Error> {
        let (room, key, mut log) = (self.room, of_member(self.room, user), RoomLog::new());
        if tx.user(user)?.is_none() {
            return Ok(Err(Refusal::UserNotFound));
        }
        if tx.row(Table::Bans, &key)?.is_some() {
            return Ok(Ok(log));
        }
        tx.put_row(Table::Bans, &key, &Ban { user, by: self.by, at: self.at }.to_value())?;
        if target.is_some() {
            // Whoever bans an admin is one too, so the room keeps one.
            delete_member(tx, room, user)?;
            let change = Change::MemberRemoved { room, user };
            log.push((tx.log(self.at, change)?, change));
        }
        self.log(tx, RoomAspect::Banned(user), &mut log)?;
        Ok(Ok(log))
    }

    fn lift_ban<T: Tx>(&self, tx: &mut T, user: UserId) -> Done<T::Error> {
        let (key, mut log) = (of_member(self.room, user), RoomLog::new());
        if tx.row(Table::Bans, &key)?.is_some() {
            tx.delete_row(Table::Bans, &key)?;
            self.log(tx, RoomAspect::Unbanned(user), &mut log)?;
        }
        Ok(Ok(log))
    }

    fn mute<T: Tx>(
        &self,
        tx: &mut T,
        user: UserId,
        target: Option<Member>,
        until: Option<Timestamp>,
    ) -> Done<T::Error> {
        let (key, mut log) = (of_member(self.room, user), RoomLog::new());
        let value = until.map(|until| until.as_millis().to_be_bytes().to_vec());
        let before = tx.row(Table::Mutes, &key)?;
        if target.is_none() && before.is_none() {
            return Ok(Err(Refusal::UserNotFound));
        }
        if before == value {
            return Ok(Ok(log));
        }
        match &value {
            Some(value) => tx.put_row(Table::Mutes, &key, value)?,
            None => tx.delete_row(Table::Mutes, &key)?,
        }
        let rules = Rules::of(tx, self.room)?.unwrap_or_default();
        let has_mutes = !tx.rows(Table::Mutes, self.room.as_bytes(), 1)?.is_empty();
        Rules { has_mutes, ..rules }.put(tx, self.room)?;
        let aspect = match until {
            Some(until) => RoomAspect::Muted { user, until },
            None => RoomAspect::Unmuted(user),
        };
        self.log(tx, aspect, &mut log)?;
        Ok(Ok(log))
    }

    fn update<T: Tx>(&self, tx: &mut T, slow_mode: Option<u32>) -> Result<RoomLog, Abort<T::Error>> {
        let mut log = RoomLog::new();
        let before = Rules::of(tx, self.room)?.unwrap_or_default();
        let now = Rules { slow_mode: slow_mode.unwrap_or(before.slow_mode), ..before };
        if now != before {
            now.put(tx, self.room)?;
            self.log(tx, RoomAspect::Updated, &mut log)?;
        }
        Ok(log)
    }
}
