//! Commands about read marks and unread messages.

use super::Chat;
use crate::command::{ListUnread, MarkRead, Outcome, ReadMark, ReadUpTo, Unread};
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{MessageId, UserId};
use crate::model::{Conversation, Seq};
use crate::policy;
use crate::store::{Change, UnreadCount};

impl Chat {
    pub(crate) async fn mark_read(
        &self,
        actor: UserId,
        command: MarkRead,
    ) -> Result<Outcome<Option<ReadMark>>, Error> {
        let MarkRead { of, up_to } = command;
        let Some(conversation) = self.find(actor, &of).await? else {
            return match up_to {
                ReadUpTo::TheLast | ReadUpTo::Seq(_) => Ok(Outcome::reply_only(None)),
                ReadUpTo::Message(_) | ReadUpTo::Messages(_) => Err(Error::MessageNotFound),
            };
        };
        policy::must_be_member(actor, &conversation)?;
        let up_to = match up_to {
            ReadUpTo::TheLast => None,
            ReadUpTo::Seq(seq) => Some(seq),
            ReadUpTo::Message(message) => Some(self.place_in(&conversation, message).await?),
            ReadUpTo::Messages(messages) => Some(self.last_place_in(&conversation, &messages).await?),
        };
        let marked = self.store.mark_read(conversation.id, actor, up_to, self.clock.now()).await?;
        // The actor was removed from the conversation meanwhile.
        let (position, seq) = marked.ok_or(Error::ConversationNotFound)?;
        let at_hand = AtHand { conversation: Some(conversation.clone()), ..AtHand::default() };
        let change = Change::ReadMarked { conversation: conversation.id, user: actor, seq };
        let deliveries = self.committed(position, change, at_hand).await?;
        Ok(Outcome { reply: Some(ReadMark { conversation, seq }), deliveries })
    }

    async fn place_in(&self, conversation: &Conversation, id: MessageId) -> Result<Seq, Error> {
        let message = self.store.message(id).await?.ok_or(Error::MessageNotFound)?;
        if message.conversation != conversation.id {
            return Err(Error::MessageNotFound);
        }
        Ok(message.seq)
    }

    /// The place of the last of several messages; those of other conversations are ignored.
    async fn last_place_in(&self, conversation: &Conversation, ids: &[MessageId]) -> Result<Seq, Error> {
        let mut last = None;
        for id in ids {
            let message = self.store.message(*id).await?;
            let seq =
                message.filter(|message| message.conversation == conversation.id).map(|message| message.seq);
            last = last.max(seq);
        }
        last.ok_or(Error::MessageNotFound)
    }

    pub(crate) async fn unread(
        &self,
        actor: UserId,
        command: ListUnread,
    ) -> Result<Outcome<Vec<Unread>>, Error> {
        let limit = command.limit;
        let mut wanted = limit;
        loop {
            let counts = self.store.unread(actor, wanted).await?;
            let mut unread = self.readable(actor, &counts).await?;
            if counts.len() < wanted || unread.len() >= limit {
                unread.truncate(limit);
                return Ok(Outcome::reply_only(unread));
            }
            // Conversations without anything to show do not count towards the limit.
            let left_out = counts.len() - unread.len();
            wanted = limit.saturating_add(2 * left_out);
        }
    }

    /// Those of these conversations that the actor can read, each with its number of unread messages.
    async fn readable(&self, actor: UserId, counts: &[UnreadCount]) -> Result<Vec<Unread>, Error> {
        let hidden = self.hidden_unread(actor, counts).await?;
        let mentions = self.unread_mentions(actor, counts).await?;
        let (mut unread, mut looked_at) = (Vec::new(), 0);
        for count in counts {
            let id = count.conversation;
            let found = async {
                let conversation = self.directory.conversation(id).await?;
                let other = self.directory.recipient(&conversation, actor).await?;
                Ok((conversation, other))
            };
            let found = damage::sound(&*self.store, found.await, "conversations", &id)?;
            let Some((conversation, other)) = found else { continue };
            let shown = self.shown_of(count, actor, &conversation, &mut looked_at).await?;
            let shown = shown.saturating_sub(hidden.get(&id).copied().unwrap_or_default());
            if shown == 0 {
                continue;
            }
            unread.push(Unread {
                conversation,
                other,
                last_seq: count.last_seq,
                read_seq: count.read_seq,
                unread: shown,
                mentions: mentions.get(&id).copied().unwrap_or_default(),
            });
        }
        Ok(unread)
    }
}

#[cfg(test)]
mod tests;
