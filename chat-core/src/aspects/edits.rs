//! Edits: what editing is, who may edit, and what it changes.
//!
//! A person edits the texts of their own messages. The message keeps its id and its place, and histories, replays and searches show
//! its new text from then on. If the policy says so ([`Limits::keeps_edits`](crate::policy::Limits::keeps_edits)), the earlier
//! texts are kept for those who may delete the message. They are rows of [`Table::Edits`], after a row with the number of edits
//! and the time of the last one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::aspects::OfMessage;
use crate::change::{Change, Detail};
use crate::chat::Chat;
use crate::clock::Timestamp;
use crate::codec::{Blob, Encoding, Kind};
use crate::command::{History, Outcome};
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{Content, MessageView, Role};
use crate::policy::{self, Refusal};
use crate::rooms::{Rules, name_reads_of_speaker};
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;
use crate::store::{Facets, Row, StoreError, StoredMessage, Table, reindexing};

/// The maximum number of edits of one message.
pub const MAX_EDITS: u32 = 100;

/// An earlier text is kept in pieces of so many bytes.
const PIECE: usize = 60 << 10;
/// So many rows are read at once.
const ROWS_AT_ONCE: usize = 50;
/// Behind the id of the message: the row that says how often it was edited.
const COUNT: &[u8] = b"#";

/// Give one of one's own messages another text. The same text succeeds and changes nothing.
#[derive(Clone)]
pub struct EditMessage {
    /// Which.
    pub message: MessageId,
    /// What it says from now on.
    pub text: Arc<str>,
}

// Texts never reach a log.
impl fmt::Debug for EditMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.text.len();
        f.debug_struct("EditMessage").field("message", &self.message).field("text_bytes", &bytes).finish()
    }
}

/// Read what a message said before it was edited, as far as that was kept: the same message with each of these texts, the
/// first one first. [`Message::updated_at`](crate::model::Message::updated_at) is when it began to say so.
#[derive(Debug, Clone)]
pub struct ReadEdits {
    /// Which.
    pub message: MessageId,
}

/// How often a message was edited, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edited {
    /// How often.
    pub count: u32,
    /// When last.
    pub at: Timestamp,
}

/// That a message has another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditChange;

impl OfMessage for EditChange {
    const IS_OF_CONTENT: bool = true;

    fn detail(&self) -> Option<Detail> {
        None
    }

    fn from_detail(_: &[u8]) -> Option<Self> {
        Some(Self)
    }
}

/// Checks whether a person may edit a message: only its sender, while a member, while it is not deleted, and within `window` of
/// sending if there is one. Text files cannot be edited. `role` is the person's role at that moment; none if the person is not a
/// member.
///
/// # Errors
/// [`Refusal::MessageNotFound`] for those outside the conversation, else [`Refusal::Forbidden`].
pub fn may_edit(
    actor: UserId,
    role: Option<Role>,
    message: &StoredMessage,
    now: Timestamp,
    window: Option<Duration>,
) -> Result<(), Refusal> {
    role.ok_or(Refusal::MessageNotFound)?;
    if message.sender != actor {
        return Err(Refusal::Forbidden("You can only edit your own messages"));
    }
    if message.deleted.is_some() {
        return Err(Refusal::Forbidden("You cannot edit a deleted message"));
    }
    if message.file_name.is_some() {
        return Err(Refusal::Forbidden("You cannot edit a file"));
    }
    let age = now.as_millis().saturating_sub(message.created_at.as_millis());
    let is_over = |window: Duration| u128::try_from(age).is_ok_and(|age| age > window.as_millis());
    if window.is_some_and(is_over) {
        return Err(Refusal::Forbidden("This message is too old to be edited"));
    }
    Ok(())
}

/// Replaces the text of a message and logs [`EditChange`]. The result has no position if the message already has this body.
/// [`may_edit`] decides whether it is allowed, from the message and the role at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which message.
    pub message: MessageId,
    /// Its conversation. Messages never move, so the caller that has looked the message up knows it.
    pub conversation: ConversationId,
    /// Who edits.
    pub by: UserId,
    /// The new text.
    pub body: Blob,
    /// How old the message may be.
    pub window: Option<Duration>,
    /// Under which name the text is kept that it has; none when it is not. Names of later edits are greater.
    pub kept_as: Option<[u8; 12]>,
    /// Most bytes of a text that is kept.
    pub most_kept: usize,
    /// When.
    pub at: Timestamp,
}

impl Effect for Edit {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
        name_reads_of_speaker(reads, self.conversation, self.by);
        reads.rows.insert((Table::Edits, self.count_key()));
        reads.rows.extend(self.kept_keys().map(|key| (Table::Edits, key)));
        reads.rows.insert((Table::Unindexed, reindexing::key(self.conversation, self.message)));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn size(&self) -> usize {
        (1 << 10) + self.body.bytes.len()
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let before = tx.message(self.message)?.filter(|message| message.conversation == self.conversation);
        let Some(before) = before else { return Ok(Err(Refusal::MessageNotFound)) };
        let role = tx.role(self.conversation, self.by)?;
        if let Err(refusal) = may_edit(self.by, role, &before, self.at, self.window) {
            return Ok(Err(refusal));
        }
        if before.body == self.body {
            return Ok(Ok((None, before)));
        }
        if let Some(rules) = Rules::of(tx, self.conversation)?
            && let Err(refusal) = rules.may_speak(tx, (self.conversation, self.by), self.at)?
        {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = policy::may_be_heard(self.by, &tx.blockers(self.conversation)?) {
            return Ok(Err(refusal));
        }
        let edited = tx.row(Table::Edits, &self.count_key())?.as_deref().and_then(Edited::from_value);
        let count = edited.map_or(0, |edited| edited.count);
        if count >= MAX_EDITS {
            return Ok(Err(Refusal::Forbidden("A message can be edited 100 times")));
        }
        let since = edited.map_or(before.created_at, |edited| edited.at);
        let kept = kept(&before.body, since);
        let keys: Vec<_> = self.kept_keys().collect();
        if self.kept_as.is_some() && kept.len() > keys.len() {
            return Ok(Err(Refusal::Forbidden("This message is too long to be edited")));
        }
        for (key, piece) in keys.iter().zip(&kept) {
            tx.put_row(Table::Edits, key, piece)?;
        }
        let edited = Edited { count: count + 1, at: self.at };
        tx.put_row(Table::Edits, &self.count_key(), &edited.to_value())?;
        reindexing::note(tx, (self.conversation, self.message), edited.count)?;
        let facets = before.facets.with(Table::Edits, true);
        let now = StoredMessage { body: self.body.clone(), updated_at: self.at, facets, ..before };
        tx.set_body(&now)?;
        if facets != before.facets {
            tx.set_facets(&now)?;
        }
        let what = EditChange.into();
        let change = Change::MessageChanged { message: now.reference(), by: self.by, what };
        let position = tx.log(self.at, change)?;
        Ok(Ok((Some(position), now)))
    }
}

impl Edit {
    fn count_key(&self) -> Vec<u8> {
        [self.message.as_bytes(), COUNT].concat()
    }

    /// The keys of the pieces of the text that is kept.
    fn kept_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let pieces = self.most_kept.div_ceil(PIECE) + 1;
        let named =
            self.kept_as.into_iter().flat_map(move |name| (0..pieces).map(move |piece| (name, piece)));
        named.map(|(name, piece)| {
            let name = ConversationId::from_bytes(name);
            [self.message.as_bytes(), format!("{name}.{piece:04x}").as_bytes()].concat()
        })
    }
}

/// A text as it is kept: its encoding, since when it was there, and its bytes, in pieces.
fn kept(body: &Blob, since: Timestamp) -> Vec<Vec<u8>> {
    let mut whole = vec![u8::from(body.encoding)];
    whole.extend(since.as_millis().to_be_bytes());
    whole.extend(&body.bytes);
    whole.chunks(PIECE).map(<[u8]>::to_vec).collect()
}

/// What was kept, of its pieces.
fn from_kept(whole: &[u8]) -> Option<(Blob, Timestamp)> {
    let (encoding, rest) = whole.split_first()?;
    let (since, bytes) = rest.split_first_chunk()?;
    let body = Blob { encoding: Encoding::try_from(*encoding).ok()?, bytes: bytes.to_vec() };
    Some((body, Timestamp::from_millis(i64::from_be_bytes(*since))))
}

impl Edited {
    fn to_value(self) -> Vec<u8> {
        [&self.count.to_be_bytes()[..], &self.at.as_millis().to_be_bytes()].concat()
    }

    fn from_value(value: &[u8]) -> Option<Self> {
        let (count, at) = value.split_first_chunk()?;
        let at = Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?));
        Some(Self { count: u32::from_be_bytes(*count), at })
    }
}

/// How often each of these messages was edited.
pub(crate) async fn of_all(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Option<Edited>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| [id.as_bytes(), COUNT].concat()).collect();
    let rows = chat.store.rows_of(Table::Edits, &prefixes, 1).await?;
    Ok(rows.iter().map(|rows| Edited::from_value(&rows.first()?.value)).collect())
}

impl Chat {
    pub(crate) async fn edit_message(
        &self,
        actor: UserId,
        command: EditMessage,
    ) -> Result<Outcome<MessageView>, Error> {
        let EditMessage { message: id, text } = command;
        let (stored, conversation) = self.message_for(actor, id).await?;
        let role = policy::must_be_member(actor, &conversation).ok();
        let (at, limits) = (self.now(), *self.limits());
        // Before anything is decoded and encoded.
        may_edit(actor, role, &stored, at, limits.edit_window)?;
        let content = Content { text, file_name: None, image: stored.image.clone() };
        policy::check_content(&content, &limits)?;
        let before = self.view(stored, &conversation).await?;
        if before.message.content == content {
            return Ok(Outcome::reply_only(before));
        }
        let body = self.encode_body(Kind::Message, &content.text).await;
        let edit = Edit {
            message: id,
            conversation: conversation.id,
            by: actor,
            body,
            window: limits.edit_window,
            kept_as: limits.keeps_edits.then(|| self.new_id(at)),
            most_kept: limits.text_bytes,
            at,
        };
        let (position, stored) = self.change_message(actor, conversation.id, edit).await?;
        let view = self.view(stored, &conversation).await?;
        let change = Change::MessageChanged { message: view.clone(), by: actor, what: EditChange.into() };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: view, deliveries })
    }

    pub(crate) async fn read_edits(
        &self,
        actor: UserId,
        command: ReadEdits,
    ) -> Result<Outcome<History>, Error> {
        let (stored, conversation) = self.message_for(actor, command.message).await?;
        let role = policy::must_be_member(actor, &conversation).ok();
        policy::may_delete(actor, role, stored.sender)
            .map_err(|_| Error::Forbidden("You can only read the edits of your own messages"))?;
        if stored.deleted.is_some() {
            return Err(Error::Forbidden("The message is deleted"));
        }
        let mut history = History::default();
        if !stored.facets.contains(Table::Edits) {
            return Ok(Outcome::reply_only(history));
        }
        let mut room = self.limits().answer_bytes;
        let (texts, is_all) = self.kept_texts(stored.id).await?;
        history.has_more = !is_all;
        for (body, since) in texts {
            let facets = Facets::default();
            let earlier = StoredMessage { body, updated_at: since, facets, ..stored.clone() };
            let view = self.view(earlier, &conversation).await?;
            let bytes = view.message.content.text.len();
            if bytes > room && !history.messages.is_empty() {
                history.has_more = true;
                break;
            }
            room = room.saturating_sub(bytes);
            history.messages.push(view);
        }
        Ok(Outcome::reply_only(history))
    }

    /// What was kept of a message, the first text first, as much as an answer holds; and whether that is all.
    async fn kept_texts(&self, message: MessageId) -> Result<(Vec<(Blob, Timestamp)>, bool), StoreError> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        // Behind the row that says how often.
        let mut after = [message.as_bytes(), COUNT].concat();
        let mut whole: (Vec<u8>, Vec<u8>) = Default::default();
        let is_all = loop {
            let rows = self.store.rows(Table::Edits, message.as_bytes(), Some(&after), ROWS_AT_ONCE).await?;
            let is_last = rows.len() < ROWS_AT_ONCE;
            for Row { key, value } in rows {
                let name = key.iter().rposition(|byte| *byte == b'.').map_or(&key[..], |end| &key[..end]);
                if whole.0 != name {
                    texts.extend(from_kept(&whole.1));
                    whole = (name.to_vec(), Vec::new());
                }
                bytes += value.len();
                whole.1.extend(value);
                after = key;
            }
            if is_last {
                texts.extend(from_kept(&whole.1));
                break true;
            }
            if bytes > self.limits().answer_bytes {
                // The last one may be there in part.
                break false;
            }
        };
        texts.sort_by_key(|(_, since)| *since);
        Ok((texts, is_all))
    }
}

#[cfg(test)]
mod tests;
