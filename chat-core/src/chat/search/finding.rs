//! Asking the index, the newest first, and reading the texts of what the index alone does not tell.

use super::reindexing::{has_changed, says};
use super::visibility::may_find;
use crate::chat::Chat;
use crate::chat::decoding::Budget as Room;
use crate::damage;
use crate::error::{Error, ErrorKind};
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{MessageView, Position};
use crate::search::{Found, Tokens};
use crate::store::{Lookup, Match, StoreError, StoredMessage};

/// So many messages are asked for at once, when their texts tell whether they are meant.
pub(super) const READ_AT_ONCE: usize = 100;

/// What is looked for, by whom, and where.
pub(super) struct Sought {
    pub(super) actor: UserId,
    pub(super) conversations: Vec<ConversationId>,
    pub(super) lookup: Lookup,
    /// At most so many messages.
    pub(super) limit: usize,
}

/// How many texts may still be read to see whether they are meant.
pub(super) struct Reading {
    pub(super) messages: usize,
    room: Room,
}

/// The words of a message.
pub(super) struct Words {
    text: Tokens,
    file_name: Tokens,
}

/// A message that the index names.
pub(super) enum Seen {
    Shown(Box<MessageView>),
    /// It is not for this person.
    Hidden,
    /// The answer has no room for it.
    Full,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { messages: Found::MAX_READ, room: Room::new(Found::MAX_BYTES_READ) }
    }
}

impl Words {
    /// Both parts: no phrase reaches from one into the other.
    pub(super) fn parts(&self) -> [&Tokens; 2] {
        [&self.text, &self.file_name]
    }
}

impl Chat {
    /// The last messages before a position.
    pub(super) async fn find_newest(
        &self,
        sought: &Sought,
        before: Option<Position>,
    ) -> Result<Found, Error> {
        let Sought { conversations, lookup, limit, .. } = sought;
        let needs_text = lookup.query.needs_text();
        let mut found = Found::default();
        let mut room = Room::new(self.limits.answer_bytes);
        let (mut reading, mut at) = (Reading::new(), before);
        let stop = |found: Found, at, bounded| Ok(Found { next: at, bounded, ..found });
        loop {
            let count = if needs_text { READ_AT_ONCE.min(reading.messages) } else { *limit };
            let page = self.store.search(conversations, lookup, at, count).await?;
            for Match { position, message } in page.found {
                if found.messages.len() == *limit {
                    return stop(found, at, false);
                }
                if needs_text {
                    let words = match self.words_of(&message, &mut reading).await {
                        Ok(Some(words)) => words,
                        Ok(None) => return stop(found, at, true),
                        Err(error) => {
                            self.pass_over(message.id, error)?;
                            at = Some(position);
                            continue;
                        }
                    };
                    if !lookup.query.is_met_by(&words.parts()) {
                        at = Some(position);
                        continue;
                    }
                }
                let id = message.id;
                match self.see(sought, message, &mut room).await {
                    Ok(Seen::Full) => return stop(found, at, false),
                    Ok(Seen::Shown(view)) => found.messages.push(*view),
                    Ok(Seen::Hidden) => {}
                    Err(error) => self.pass_over(id, error)?,
                }
                at = Some(position);
            }
            if page.looked_at_from.is_some() {
                return stop(found, page.looked_at_from, true);
            }
            if !page.has_more {
                return stop(found, None, false);
            }
            if !needs_text {
                return stop(found, at, false);
            }
            if reading.messages == 0 {
                return stop(found, at, true);
            }
        }
    }

    /// A message that the index names, as it is shown.
    pub(super) async fn see(
        &self,
        sought: &Sought,
        message: StoredMessage,
        room: &mut Room,
    ) -> Result<Seen, Error> {
        let conversation = self.directory.conversation(message.conversation).await?;
        if !may_find(sought.actor, &message, &conversation) {
            return Ok(Seen::Hidden);
        }
        if !self.hidden_from(sought.actor, std::slice::from_ref(&message)).await?.is_empty() {
            return Ok(Seen::Hidden);
        }
        let has_changed = has_changed(&message);
        let Some(view) = self.view_within(message, &conversation, room).await? else { return Ok(Seen::Full) };
        if has_changed && !says(&view.message.content, &sought.lookup.query) {
            return Ok(Seen::Hidden);
        }
        Ok(Seen::Shown(Box::new(view)))
    }

    /// The words of a message, to see whether it is meant; none when no more texts are read.
    pub(super) async fn words_of(
        &self,
        message: &StoredMessage,
        reading: &mut Reading,
    ) -> Result<Option<Words>, StoreError> {
        let Some(messages) = reading.messages.checked_sub(1) else { return Ok(None) };
        let Some(message) = self.decode_within(message.clone(), &mut reading.room).await? else {
            return Ok(None);
        };
        reading.messages = messages;
        let content = message.content;
        let file_name = content.file_name.as_deref().map(Tokens::of).unwrap_or_default();
        Ok(Some(Words { text: Tokens::of(&content.text), file_name }))
    }

    /// Leaves a message out that cannot be read. It could be when it was indexed, and must not hide all the others.
    pub(super) fn pass_over(&self, id: MessageId, error: impl Into<Error>) -> Result<(), Error> {
        let error = error.into();
        if error.kind() == ErrorKind::Unavailable {
            return Err(error);
        }
        damage::report(&self.store.place(), "messages", &id, &error);
        Ok(())
    }
}
