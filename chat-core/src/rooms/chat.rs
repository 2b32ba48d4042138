//! The commands, carried out.

use std::sync::Arc;

use super::change::{ChangeRoom, RoomAct, RoomLog};
use super::commands::{
    Ban, BanPage, ListBans, MAX_BANS_AT_ONCE, MAX_SLOW_MODE, Muting, SetBan, SetMute, UpdateRoom,
};
use crate::change::Change;
use crate::chat::Chat;
use crate::command::Outcome;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, UserId};
use crate::model::{Conversation, MessageView, RoomAspect};
use crate::policy::room::{Act, may};
use crate::policy::{self, Refusal};
use crate::store::write::WriteOf as _;
use crate::store::{StoreError, Table};

impl Chat {
    pub(crate) async fn set_ban(
        &self,
        actor: UserId,
        command: SetBan,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let SetBan { room, user, is_banned } = command;
        let act = if is_banned { RoomAct::Ban(user) } else { RoomAct::LiftBan(user) };
        self.change_room(actor, room, act).await
    }

    pub(crate) async fn set_mute(
        &self,
        actor: UserId,
        command: SetMute,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let SetMute { room, user, muting } = command;
        let act = match muting {
            Muting::Until(until) if until <= self.now() => {
                return Err(Error::Invalid { field: "until", problem: "must be later than now" });
            }
            Muting::Until(until) => RoomAct::Mute(user, until),
            Muting::ForEver => RoomAct::Mute(user, RoomAspect::FOR_EVER),
            Muting::Lifted => RoomAct::LiftMute(user),
        };
        self.change_room(actor, room, act).await
    }

    pub(crate) async fn update_room(
        &self,
        actor: UserId,
        command: UpdateRoom,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let UpdateRoom { room, slow_mode } = command;
        if slow_mode.is_some_and(|seconds| seconds > MAX_SLOW_MODE) {
            let limit = MAX_SLOW_MODE as usize;
            return Err(Error::TooLarge { field: "slowMode", limit, unit: "seconds" });
        }
        self.change_room(actor, room, RoomAct::Update { slow_mode }).await
    }

    pub(crate) async fn list_bans(
        &self,
        actor: UserId,
        command: ListBans,
    ) -> Result<Outcome<BanPage>, Error> {
        let ListBans { room: id, after, limit } = command;
        let room = self.directory.conversation(id).await?;
        let role = policy::must_be_member(actor, &room)?;
        may(Act::Ban, Some(role))?;
        let limit = limit.min(MAX_BANS_AT_ONCE);
        let after = after.map(|user| super::rules::of_member(id, user));
        let rows = self.store.rows(Table::Bans, id.as_bytes(), after.as_deref(), limit + 1).await?;
        let bans = rows.iter().take(limit).filter_map(Ban::from_row).collect();
        Ok(Outcome::reply_only(BanPage { bans, has_more: rows.len() > limit }))
    }

    /// Does something in a room, answers with the room as it is then, and tells of it.
    pub(crate) async fn change_room(
        &self,
        actor: UserId,
        id: ConversationId,
        act: RoomAct,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        // Before the store has to do anything: how long that takes would tell a stranger that there is something.
        policy::must_be_member(actor, &*self.directory.conversation(id).await?)?;
        let target = act.user();
        let change = ChangeRoom { room: id, by: actor, act, at: self.now() };
        let log = match ChangeRoom::done(self.store.write(change.into()).await?) {
            Some(Ok(log)) => log,
            Some(Err(refusal)) => {
                // It may have been refused for what they have become since the room was looked up.
                let users: Vec<_> = [Some(actor), target].into_iter().flatten().collect();
                self.directory.refresh_members(id, &users).await;
                return Err(refusal.into());
            }
            None => return Err(StoreError::Refused("the driver has answered another write".into()).into()),
        };
        self.changed_room(id, log).await
    }

    /// The room as it is after what was logged, and what is told of that.
    pub(crate) async fn changed_room(
        &self,
        id: ConversationId,
        log: RoomLog,
    ) -> Result<Outcome<Arc<Conversation>>, Error> {
        let mut changes: Vec<(_, Change<MessageView>)> = Vec::with_capacity(log.len());
        for (position, change) in log {
            // None of them is about a message.
            let change = change.map(|_| Err(Refusal::MessageNotFound))?;
            changes.push((position, change));
        }
        let members = changes.iter().filter_map(|(_, change)| change.invalidates().member);
        let members: Vec<_> = members.map(|(_, user)| user).collect();
        if !members.is_empty() {
            self.directory.refresh_members(id, &members).await;
        }
        for (_, change) in &changes {
            self.invalidate(change.invalidates());
        }
        let room = self.directory.conversation(id).await?;
        let mut deliveries = Vec::with_capacity(changes.len());
        for (position, change) in changes {
            let at_hand = AtHand { conversation: Some(room.clone()), ..AtHand::default() };
            deliveries.extend(self.committed(Some(position), change, at_hand).await?);
        }
        Ok(Outcome { reply: room, deliveries })
    }
}
