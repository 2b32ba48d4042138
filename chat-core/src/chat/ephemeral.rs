//! What is told of and is in no log: that somebody types, and news of another node about such things.

use super::Chat;
use crate::command::{Outcome, SetTyping};
use crate::error::Error;
use crate::event::{Delivery, Ephemeral, Event};
use crate::id::UserId;
use crate::model::UserKey;
use crate::policy;

impl Chat {
    /// What is to be told of an ephemeral event that another node has told of. None when there is nothing to tell: somebody or
    /// something in it is not known, or the typist is no member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ephemeral(&self, ephemeral: Ephemeral) -> Result<Option<Delivery>, Error> {
        match ephemeral {
            Ephemeral::Registered { user } => {
                let user = self.directory.find_user(&UserKey::Id(user)).await?;
                Ok(user.map(|user| Delivery::ephemeral(Event::UserRegistered(user))))
            }
            Ephemeral::Typing { conversation, user, typing } => {
                let Some(conversation) = self.directory.find_conversation(conversation).await? else {
                    return Ok(None);
                };
                if conversation.member(user).is_none() {
                    return Ok(None);
                }
                let user = self.directory.find_user(&UserKey::Id(user)).await?;
                let Some(user) = user else { return Ok(None) };
                let id = user.id;
                let event = Event::TypingChanged { conversation, user, typing };
                Ok(Some(self.told_of_person(event, id).await?))
            }
        }
    }

    pub(crate) async fn set_typing(&self, actor: UserId, command: SetTyping) -> Result<Outcome<()>, Error> {
        let conversation = match self.open(actor, &command.to).await {
            // It is told to nobody, as in a conversation that is there.
            Err(Error::Forbidden(_)) => return Ok(Outcome::reply_only(())),
            opened => opened?,
        };
        policy::must_be_member(actor, &conversation)?;
        let user = self.directory.user(actor).await?;
        let event = Event::TypingChanged { conversation, user, typing: command.typing };
        Ok(Outcome { reply: (), deliveries: vec![self.told_of_person(event, actor).await?] })
    }
}
