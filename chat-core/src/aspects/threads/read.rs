//! Commands about one thread.

use std::sync::Arc;

use super::{
    FOLLOWS, Follow, FollowChange, FollowThread, ReadThread, Reply, SetDeletedInThread, ThreadChange,
    ThreadHistory, follow_key, must_be_root, reply_key, root_in,
};
use crate::aspects::Annexed;
use crate::change::Change;
use crate::chat::{Budget, Chat};
use crate::command::Outcome;
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::event::Delivery;
use crate::id::{MessageId, UserId};
use crate::model::{Conversation, MessageView, Position};
use crate::store::{SetDeleted, StoredMessage, Table};

impl Chat {
    pub(crate) async fn read_thread(
        &self,
        actor: UserId,
        command: ReadThread,
    ) -> Result<Outcome<ThreadHistory>, Error> {
        let ReadThread { root: id, before, limit } = command;
        let (stored, conversation) = self.message_for(actor, id).await?;
        let stored = must_be_root(stored)?;
        let key = follow_key(actor, conversation.id, id);
        let follows = self.store.values(Table::FollowedThreads, &[key]).await?;
        let following = follows.first().is_some_and(|value| value.as_deref() == Some(FOLLOWS));
        let is_hidden = !self.hidden_from(actor, std::slice::from_ref(&stored)).await?.is_empty();
        let root = match is_hidden {
            true => None,
            false => Some(Box::new(self.view(stored, &conversation).await?)),
        };
        let mut thread = ThreadHistory { root, following, messages: Vec::new(), next: None };
        let mut budget = Budget::new(self.limits().answer_bytes);
        let mut after = before.map(|seq| reply_key(id, seq));
        // Messages that are left out must not shorten the page.
        loop {
            let missing = limit.max(1) - thread.messages.len();
            let rows =
                self.store.rows(Table::ThreadMessages, id.as_bytes(), after.as_deref(), missing + 1).await?;
            let (has_more, replies) = (rows.len() > missing, rows.iter().take(missing));
            let replies: Vec<_> = replies.filter_map(Reply::from_row).collect();
            let ids: Vec<_> = replies.iter().map(|reply| reply.message).collect();
            let mut stored = self.store.messages(&ids).await?;
            let hidden = self.hidden_from(actor, &stored).await?;
            // One may have been deleted meanwhile.
            stored.retain(|stored| stored.deleted.is_none() && !hidden.contains(&stored.id));
            stored.sort_by_key(|stored| std::cmp::Reverse(stored.seq));
            let stored = stored.into_iter().map(|stored| (stored, conversation.clone())).collect();
            let (views, is_cut) = self.views_within(stored, &mut budget).await?;
            thread.messages.extend(views);
            if is_cut {
                thread.next = thread.messages.last().map(|view| view.message.seq);
                break;
            }
            let Some(last) = replies.last().filter(|_| has_more) else { break };
            if thread.messages.len() >= limit {
                thread.next = Some(last.seq);
                break;
            }
            after = Some(reply_key(id, last.seq));
        }
        thread.messages.reverse();
        Ok(Outcome::reply_only(thread))
    }

    /// The views of these messages in the same order, up to the first one for which the budget has no room; and whether there is
    /// such a one. Damaged messages are left out.
    pub(super) async fn views_within(
        &self,
        messages: Vec<(StoredMessage, Arc<Conversation>)>,
        budget: &mut Budget,
    ) -> Result<(Vec<MessageView>, bool), Error> {
        let (mut views, mut places, mut annexed) = (Vec::<MessageView>::new(), Vec::new(), Vec::new());
        let mut is_cut = false;
        for (stored, conversation) in messages {
            let (id, sender) = (stored.id, stored.sender);
            let with_annexes = Annexed::of(&stored);
            let view = async {
                let recipient = self.directory.recipient(&conversation, sender).await?;
                let sender = self.directory.user(sender).await?;
                let decoded = self.decode_within(stored, budget).await?;
                let conversation = conversation.clone();
                Ok(decoded.map(|message| MessageView { message, conversation, sender, recipient }))
            };
            match damage::sound(&*self.store, view.await, "messages", &id)? {
                Some(Some(view)) => {
                    if let Some(with_annexes) = with_annexes {
                        places.push(views.len());
                        annexed.push(with_annexes);
                    }
                    views.push(view);
                }
                Some(None) => {
                    is_cut = true;
                    break;
                }
                None => {}
            }
        }
        for (place, annexes) in places.into_iter().zip(self.annexes_of_all(&annexed).await?) {
            views[place].message.annexes = annexes;
        }
        Ok((views, is_cut))
    }

    pub(crate) async fn follow_thread(
        &self,
        actor: UserId,
        command: FollowThread,
    ) -> Result<Outcome<MessageView>, Error> {
        let FollowThread { root, following } = command;
        let (stored, conversation) = self.message_for(actor, root).await?;
        must_be_root(stored)?;
        let follow = Follow { root, conversation: conversation.id, by: actor, following, at: self.now() };
        let (position, stored) = self.change_message(actor, conversation.id, follow).await?;
        let view = self.view(stored, &conversation).await?;
        let what = FollowChange { following }.into();
        let change = Change::MessageChanged { message: view.clone(), by: actor, what };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: view, deliveries })
    }

    /// The root of the thread that a message is in.
    async fn root_of(&self, message: &StoredMessage) -> Result<Option<MessageId>, Error> {
        if !message.facets.contains(Table::InThread) {
            return Ok(None);
        }
        let value = self.store.values(Table::InThread, &[message.id.as_bytes().to_vec()]).await?.pop();
        Ok(value.flatten().as_deref().and_then(root_in))
    }

    /// Deletes or restores a message, wherever it is. Returns the position of the change, the message after it, and the change of
    /// the root of its thread.
    pub(crate) async fn set_deleted_anywhere(
        &self,
        before: &StoredMessage,
        set: SetDeleted,
    ) -> Result<(Option<Position>, StoredMessage, Option<RootChange>), Error> {
        let SetDeleted { conversation, by, .. } = set;
        let Some(root) = self.root_of(before).await? else {
            let (position, stored) = self.change_message(by, conversation, set).await?;
            return Ok((position, stored, None));
        };
        let set = SetDeletedInThread { set, seq: before.seq, root };
        let done = self.change_message(by, conversation, set).await?;
        let of_root = done.of_root.map(|position| RootChange { position, root, by });
        Ok((done.position, done.message, of_root))
    }

    /// What is told of the change of a root.
    pub(crate) async fn root_changed(&self, change: RootChange) -> Result<Option<Delivery>, Error> {
        let RootChange { position, root, by } = change;
        let message = self.store.message(root).await?.ok_or(Error::MessageNotFound)?;
        let change = Change::MessageChanged { message, by, what: ThreadChange.into() };
        self.invalidate(change.invalidates());
        // Nothing is decoded, so there is nothing to be bounded.
        self.delivery(position, change, AtHand::default(), &mut Budget::new(0)).await
    }
}

/// That a root shows something else of its thread.
pub(crate) struct RootChange {
    position: Position,
    root: MessageId,
    by: UserId,
}
