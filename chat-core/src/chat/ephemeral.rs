//! Events that are not logged: typing, and the ephemeral events that other nodes report.

use super::Chat;
use crate::command::{Outcome, SetTyping};
use crate::error::Error;
use crate::event::{Delivery, Ephemeral, Event};
use crate::id::UserId;
use crate::model::UserKey;
use crate::policy;

impl Chat {
    /// Returns the delivery for an ephemeral event that another node has reported. Returns `None` when a person or
    /// conversation in it is unknown, or when the typist is not a member.
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
            // The sender gets the same reply as in an existing conversation, but no delivery is made.
            Err(Error::Forbidden(_)) => return Ok(Outcome::reply_only(())),
            opened => opened?,
        };
        policy::must_be_member(actor, &conversation)?;
        let user = self.directory.user(actor).await?;
        let event = Event::TypingChanged { conversation, user, typing: command.typing };
        Ok(Outcome { reply: (), deliveries: vec![self.told_of_person(event, actor).await?] })
    }
}
