//! Commands that send, change and read messages, and the views of messages for their readers.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::decoding::{Budget, take_turns};
use super::{Chat, Started};
use crate::aspects::context::{AppendWith, Notes};
use crate::aspects::{Annexed, Annexes};
use crate::codec::Kind;
use crate::command::{DeleteMessage, History, Outcome, ReadHistory, RestoreMessage, SendMessage};
use crate::damage;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::history::Window;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Conversation, Message, MessageView, User};
use crate::policy::{self, Refusal};
use crate::store::write::{Append, WriteOf, make};
use crate::store::{Appended, Change, NewMessage, SetDeleted, StoredMessage};

impl Chat {
    pub(crate) async fn send_message(
        &self,
        actor: UserId,
        command: SendMessage,
    ) -> Result<Started<'_, MessageView>, Error> {
        let SendMessage { to, content, client_id, fingerprint, context } = command;
        let (content, copied) = match context.forward {
            Some(message) => {
                self.forwarded(actor, message).await.map(|(content, body)| (content, Some(body)))?
            }
            None => (content, None),
        };
        policy::check_content(&content, &self.limits)?;
        let conversation = self.open(actor, &to).await?;
        policy::must_be_member(actor, &conversation)?;
        let sender = self.directory.user(actor).await?;
        let recipient = self.directory.recipient(&conversation, actor).await?;

        let kind = if content.file_name.is_some() { Kind::File } else { Kind::Message };
        let body = match copied {
            Some(body) => body,
            None => self.encode_body(kind, &content.text).await,
        };
        let now = self.clock.now();
        let id = MessageId::from_bytes(self.ids.next(now));
        let Notes { rows, annexes } = self.notes(id, (actor, &conversation), &content, context).await?;
        // Submitted before the message, so that no message is stored without it.
        let noting = self.last_seen.note(&self.store, actor, now).await;
        let new = NewMessage {
            id,
            conversation: conversation.id,
            sender: actor,
            body,
            file_name: content.file_name.clone(),
            image: content.image.clone(),
            client_id,
            fingerprint,
            at: now,
        };
        let mut storing = Box::pin(async move {
            let appended = match rows.is_empty() {
                true => self.store.append(new).await,
                false => make(&*self.store, AppendWith { append: Append(new), rows }).await,
            };
            if let Some(noting) = noting
                && let Err(error) = noting.await
            {
                // The next message tries again.
                self.last_seen.is_not_covered(actor);
                crate::log_throttled!(warn, %error, "when a person was last seen could not be stored");
            }
            let (position, seq) = match appended? {
                Appended::New { position, seq } => (position, seq),
                Appended::Repeated(first) => {
                    let conversation = self.directory.conversation(first.conversation).await?;
                    let view = self.view(*first, &conversation).await?;
                    return Ok(Outcome::reply_only(view));
                }
                Appended::Refused(refusal) => {
                    // The cached members of the conversation are out of date.
                    self.directory.refresh_members(conversation.id, &[actor]).await;
                    return Err(refusal.into());
                }
            };
            let in_thread = self.joined_thread(annexes.in_thread).await?;
            let annexes = Annexes { in_thread, ..annexes };
            let message = Message {
                id,
                conversation: conversation.id,
                seq,
                sender: actor,
                content,
                created_at: now,
                updated_at: now,
                deleted: None,
                annexes,
                is_hidden: false,
            };
            let view = MessageView { message, conversation, sender, recipient };
            let change = Change::MessageSent(view.clone());
            let deliveries = self.committed(Some(position), change, AtHand::default()).await?;
            Ok(Outcome { reply: view, deliveries })
        });
        // The first poll submits the change to the store; see its guarantee "in order of asking".
        match poll_fn(|cx| Poll::Ready(storing.as_mut().poll(cx))).await {
            Poll::Ready(outcome) => outcome.map(Started::Done),
            Poll::Pending => Ok(Started::Storing(storing)),
        }
    }

    pub(crate) async fn delete_message(
        &self,
        actor: UserId,
        command: DeleteMessage,
    ) -> Result<Outcome<MessageView>, Error> {
        self.set_deleted(actor, command.message, true).await
    }

    pub(crate) async fn restore_message(
        &self,
        actor: UserId,
        command: RestoreMessage,
    ) -> Result<Outcome<MessageView>, Error> {
        self.set_deleted(actor, command.message, false).await
    }

    async fn set_deleted(
        &self,
        actor: UserId,
        id: MessageId,
        delete: bool,
    ) -> Result<Outcome<MessageView>, Error> {
        let (stored, conversation) = self.message_for(actor, id).await?;
        // The view includes the annexes that the message has when it is not deleted.
        let view = self.view(StoredMessage { deleted: None, ..stored.clone() }, &conversation).await?;
        let at = self.clock.now();
        let set = SetDeleted { message: id, conversation: conversation.id, by: actor, delete, at };
        let (position, stored, of_root) = self.set_deleted_anywhere(&stored, set).await?;
        let mut message = Message { updated_at: stored.updated_at, deleted: stored.deleted, ..view.message };
        if message.deleted.is_some() {
            message.annexes = Annexes::default();
        } else if of_root.is_some() {
            message.annexes.in_thread = self.joined_thread(message.annexes.in_thread).await?;
        }
        let view = MessageView { message, ..view };
        let change = if delete { Change::MessageDeleted } else { Change::MessageRestored };
        let mut deliveries = self.committed(position, change(view.clone()), AtHand::default()).await?;
        if let Some(of_root) = of_root {
            deliveries.extend(self.root_changed(of_root).await?);
        }
        Ok(Outcome { reply: view, deliveries })
    }

    /// Loads a message and its conversation. For a person outside the conversation the message does not exist.
    pub(crate) async fn message_for(
        &self,
        actor: UserId,
        id: MessageId,
    ) -> Result<(StoredMessage, Arc<Conversation>), Error> {
        let stored = self.store.message(id).await?.ok_or(Error::MessageNotFound)?;
        let conversation = self.directory.conversation(stored.conversation).await?;
        // Checked before the text is decoded, because the time that decoding takes would reveal to a stranger that the
        // message exists.
        policy::must_be_member(actor, &conversation).map_err(|_| Error::MessageNotFound)?;
        Ok((stored, conversation))
    }

    /// Submits a change of a message of this conversation. The store may refuse it.
    pub(crate) async fn change_message<W, T>(
        &self,
        actor: UserId,
        conversation: ConversationId,
        write: W,
    ) -> Result<T, Error>
    where
        W: WriteOf<Done = Result<T, Refusal>>,
    {
        let done = make(&*self.store, write).await?;
        if done.as_ref().is_err_and(|refusal| *refusal == Refusal::MessageNotFound) {
            // The actor is no longer a member, so the cached members are out of date.
            self.directory.refresh_members(conversation, &[actor]).await;
        }
        Ok(done?)
    }

    pub(crate) async fn history(
        &self,
        actor: UserId,
        command: ReadHistory,
    ) -> Result<Outcome<History>, Error> {
        self.read_history(actor, command).await.map(Outcome::reply_only)
    }

    async fn read_history(&self, actor: UserId, command: ReadHistory) -> Result<History, Error> {
        let ReadHistory { of, window, include_deleted } = command;
        let Some(conversation) = self.find(actor, &of).await? else { return Ok(History::default()) };
        policy::must_be_member(actor, &conversation)?;
        // Starts at the end where the window begins, so that the next page begins with the messages that did not fit.
        let newest_first = !matches!(window, Window::After { .. });
        // A page has few senders, so each is looked up once. Some accounts may no longer exist.
        let mut people: Vec<(UserId, Option<Speaker>)> = Vec::new();
        let mut messages = Vec::new();
        let (mut places, mut annexed) = (Vec::new(), Vec::new());
        let mut budget = Budget::new(self.limits.answer_bytes);
        let mut next = window;
        let has_more = 'pages: loop {
            let (mut stored, has_more) = self.store.history(conversation.id, next, include_deleted).await?;
            if newest_first {
                stored.reverse();
            }
            let (count, mut last) = (stored.len(), None);
            let hidden = self.hidden_from(actor, &stored).await?;
            let before = messages.len();
            for stored in stored {
                let (id, seq, sender) = (stored.id, stored.seq, stored.sender);
                last = Some(seq);
                if hidden.contains(&id) {
                    continue;
                }
                let known =
                    people.iter().find(|(person, _)| *person == sender).map(|(_, known)| known.clone());
                let speaker = match known {
                    Some(known) => known,
                    None => {
                        let found = self.speaker(&conversation, sender).await;
                        let found = damage::sound(&*self.store, found, "messages", &id)?;
                        people.push((sender, found.clone()));
                        found
                    }
                };
                let Some((sender, recipient)) = speaker else {
                    self.unreadable.note(conversation.id, seq, id);
                    continue;
                };
                let with_annexes = Annexed::of(&stored);
                let decoded = self.decode_within(stored, &mut budget).await.map_err(Error::from);
                match damage::sound(&*self.store, decoded, "messages", &id)? {
                    Some(Some(message)) => {
                        let conversation = conversation.clone();
                        if let Some(with_annexes) = with_annexes {
                            places.push(messages.len());
                            annexed.push(with_annexes);
                        }
                        messages.push(MessageView { message, conversation, sender, recipient });
                    }
                    Some(None) => break 'pages true,
                    None => self.unreadable.note(conversation.id, seq, id),
                }
            }
            let left_out = count - (messages.len() - before);
            let missing = window.limit().saturating_sub(messages.len());
            let Some(last) = last.filter(|_| has_more && left_out > 0 && missing > 0) else { break has_more };
            // Skipped messages must not shorten the page, because clients take a short page for the last one.
            next = match window {
                Window::Latest { .. } | Window::Before { .. } => Window::Before { seq: last, limit: missing },
                Window::After { .. } => Window::After { seq: last, limit: missing },
                // Numbered pages are found by counting, and damaged messages count.
                Window::Page { .. } => break has_more,
            };
            take_turns().await;
        };
        for (place, annexes) in places.into_iter().zip(self.annexes_of_all(&annexed).await?) {
            messages[place].message.annexes = annexes;
        }
        if newest_first {
            messages.reverse();
        }
        Ok(History { messages, has_more })
    }

    /// The sender of a message in a conversation, and its recipient.
    async fn speaker(&self, conversation: &Conversation, sender: UserId) -> Result<Speaker, Error> {
        let recipient = self.directory.recipient(conversation, sender).await?;
        Ok((self.directory.user(sender).await?, recipient))
    }

    pub(crate) async fn view(
        &self,
        stored: StoredMessage,
        conversation: &Arc<Conversation>,
    ) -> Result<MessageView, Error> {
        let sender = self.directory.user(stored.sender).await?;
        let recipient = self.directory.recipient(conversation, stored.sender).await?;
        let annexes = self.annexes_of(&stored).await?;
        let message = Message { annexes, ..self.decode(stored).await? };
        Ok(MessageView { message, conversation: conversation.clone(), sender, recipient })
    }

    /// The same within a budget; `None` when the budget has no room.
    pub(crate) async fn view_within(
        &self,
        stored: StoredMessage,
        conversation: &Arc<Conversation>,
        budget: &mut Budget,
    ) -> Result<Option<MessageView>, Error> {
        let sender = self.directory.user(stored.sender).await?;
        let recipient = self.directory.recipient(conversation, stored.sender).await?;
        let annexes = self.annexes_of(&stored).await?;
        let conversation = conversation.clone();
        Ok(self.decode_within(stored, budget).await?.map(|message| {
            let message = Message { annexes, ..message };
            MessageView { message, conversation, sender, recipient }
        }))
    }
}

/// The sender, and the recipient if there is one.
type Speaker = (Arc<User>, Option<Arc<User>>);
