//! Requests about rooms that are not about who is in them.

use std::sync::Arc;
use std::time::Duration;

use chat_core::model::RoomAspect;
use chat_core::rooms::{ChangeRoom, RoomAct, RoomLog};
use chat_core::store::Change;

use super::Requests;
use crate::random::Request;

impl Requests {
    pub(super) fn change_room(&mut self) -> Request {
        let room = self.room();
        let (by, user) = (self.asks(room), self.is_in(room));
        let until = self.now().after(Duration::from_millis(self.below(200)));
        let until = if self.chance(4) { RoomAspect::FOR_EVER } else { until };
        let act = match self.below(8) {
            0 => RoomAct::Ban(user),
            1 => RoomAct::Ban(self.any_user()),
            2 | 3 => RoomAct::LiftBan(self.person()),
            4 | 5 => RoomAct::Mute(user, until),
            6 => RoomAct::LiftMute(user),
            _ => RoomAct::Update { slow_mode: self.maybe(|it| it.below(2) as u32) },
        };
        Request::ChangeRoom(ChangeRoom { room, by, act, at: self.now() })
    }

    /// Takes note of who is out.
    pub(super) fn learn_log(&mut self, log: &RoomLog) {
        for (_, change) in log {
            if let Change::MemberRemoved { room, user } = change {
                let room = self.cast.get_mut(room).expect("what has changed was made");
                // Some rooms are made without an admin here.
                let had_admins = room.members.admins() > 0;
                Arc::make_mut(room).members.remove(*user);
                assert!(!had_admins || room.members.admins() > 0, "a ban leaves an admin: {room:?}");
            }
        }
    }
}
