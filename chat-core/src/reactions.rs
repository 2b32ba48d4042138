//! Reactions: what a reaction is, who may react, and what a reaction changes. Everything about reactions is in this
//! file, except for the lists in which every effect has an entry.
//!
//! A user reacts to a message with any number of emojis, once with each. Each reaction of a user is a row of
//! [`Table::Reactions`]. A message shows its tallies ([`Table::ReactionTallies`]): one row for each emoji, with the
//! number of users who reacted with it, and a list of the first ones. So a message with ten thousand reactions is
//! shown as fast as one with two. Both tables change in one transaction.

use std::fmt;

use icu_properties::CodePointSetData;
use icu_properties::props::{
    Emoji as IsEmoji, EmojiModifier, EmojiModifierBase, EmojiPresentation, RegionalIndicator,
};

use crate::aspects::OfMessage;
use crate::change::{Change, Detail};
use crate::chat::Chat;
use crate::clock::Timestamp;
use crate::command::Outcome;
use crate::delivery::AtHand;
use crate::error::Error;
use crate::id::{ConversationId, MessageId, UserId};
use crate::model::{MessageView, Position, Role, Tombstone};
use crate::policy::{self, Refusal};
use crate::store::tx::{Abort, Reads, Tx};
use crate::store::write::Effect;
use crate::store::{Row, Table};

/// The maximum number of different emojis on one message. Any number of users may react with an emoji that is already
/// there.
pub const MAX_EMOJIS: usize = 20;

/// The maximum number of users listed for an emoji, in the order of reacting; the others are only counted.
pub const MAX_NAMED: usize = 50;

/// Adds a reaction to a message, or removes it. If the reaction already is in the wanted state, this succeeds and
/// changes nothing.
#[derive(Debug, Clone)]
pub struct SetReaction {
    /// The message.
    pub message: MessageId,
    /// The emoji: any single Unicode emoji, at most [`Emoji::MAX_BYTES`].
    pub emoji: String,
    /// Whether to add, remove or toggle the reaction.
    pub reacting: Reacting,
}

/// A user has added or removed a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReactionChange {
    /// The emoji.
    pub emoji: Emoji,
    /// Whether the reaction exists after the change.
    pub is_there: bool,
}

impl OfMessage for ReactionChange {
    fn detail(&self) -> Option<Detail> {
        Detail::new(&[&[u8::from(self.is_there)], self.emoji.as_str().as_bytes()].concat())
    }

    fn from_detail(detail: &[u8]) -> Option<Self> {
        let (is_there, emoji) = detail.split_first()?;
        Some(Self { emoji: Emoji::from_stored(emoji)?, is_there: *is_there != 0 })
    }
}

/// What to do with a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reacting {
    /// The reaction exists afterwards.
    Add,
    /// The reaction does not exist afterwards.
    Remove,
    /// Adds the reaction if it does not exist, and removes it otherwise. This is not idempotent.
    Toggle,
}

/// The number of users who reacted to a message with one emoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The emoji.
    pub emoji: Emoji,
    /// The number of users.
    pub count: u32,
    /// The first users who reacted, at most [`MAX_NAMED`], in the order of reacting.
    pub users: Vec<UserId>,
}

/// One emoji, in the fully qualified form of Unicode (UTS 51): a variation selector follows each character that would
/// otherwise be shown as text, and no other character. So `❤` and `❤️` are the same emoji.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emoji {
    len: u8,
    bytes: [u8; Self::MAX_BYTES],
}

const SELECTOR: char = '\u{fe0f}';
const JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';
const BLACK_FLAG: char = '\u{1f3f4}';
const END_OF_TAGS: char = '\u{e007f}';

impl Emoji {
    /// The maximum length of an emoji in bytes. The longest ones in use, families with skin tones, have 41.
    pub const MAX_BYTES: usize = 48;

    /// Parses a text that consists of exactly one emoji; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut emoji = Self { len: 0, bytes: [0; Self::MAX_BYTES] };
        let mut chars = text.chars().peekable();
        let first = *chars.peek()?;
        if is::<RegionalIndicator>(first) {
            emoji.push(chars.next()?)?;
            emoji.push(chars.next().filter(|second| is::<RegionalIndicator>(*second))?)?;
        } else if first.is_ascii() {
            emoji.push(chars.next().filter(|first| matches!(first, '0'..='9' | '#' | '*'))?)?;
            chars.next_if_eq(&SELECTOR);
            emoji.push(SELECTOR)?;
            emoji.push(chars.next().filter(|sign| *sign == KEYCAP)?)?;
        } else {
            emoji.push_pictograph(&mut chars)?;
            while chars.next_if_eq(&JOINER).is_some() {
                emoji.push(JOINER)?;
                emoji.push_pictograph(&mut chars)?;
            }
        }
        chars.next().is_none().then_some(emoji)
    }

    /// The emoji as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Reads a stored emoji. Every stored text is accepted, because a newer version may know more emojis than this
    /// one.
    pub(crate) fn from_stored(bytes: &[u8]) -> Option<Self> {
        let mut emoji = Self { len: 0, bytes: [0; Self::MAX_BYTES] };
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
        text.chars().try_for_each(|c| emoji.push(c))?;
        Some(emoji)
    }

    /// Reads one pictograph and what belongs to it: a skin tone, or a region in tags after a flag.
    fn push_pictograph(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<()> {
        let is_pictograph = |c: &char| {
            is::<IsEmoji>(*c) && !c.is_ascii() && !is::<EmojiModifier>(*c) && !is::<RegionalIndicator>(*c)
        };
        let base = chars.next().filter(is_pictograph)?;
        self.push(base)?;
        let has_selector = chars.next_if_eq(&SELECTOR).is_some();
        if is::<EmojiModifierBase>(base)
            && let Some(tone) = chars.next_if(|c| is::<EmojiModifier>(*c))
        {
            return self.push(tone);
        }
        if !is::<EmojiPresentation>(base) {
            self.push(SELECTOR)?;
        }
        if base == BLACK_FLAG
            && !has_selector
            && chars.next_if(|c| is_tag(*c)).map(|tag| self.push(tag)).is_some()
        {
            while let Some(tag) = chars.next_if(|c| is_tag(*c)) {
                self.push(tag)?;
            }
            return self.push(chars.next().filter(|c| *c == END_OF_TAGS)?);
        }
        Some(())
    }

    fn push(&mut self, c: char) -> Option<()> {
        let len = usize::from(self.len);
        let place = self.bytes.get_mut(len..len + c.len_utf8())?;
        c.encode_utf8(place);
        self.len = u8::try_from(len + c.len_utf8()).ok()?;
        Some(())
    }
}

fn is<P: icu_properties::props::BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}

/// A letter or digit of a region in tags.
fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}')
}

// An emoji is content of a user, so it must not appear in logs.
impl fmt::Debug for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emoji({} bytes)", self.len)
    }
}

/// Checks whether a user may add or remove a reaction: the user must be a member of the conversation, and the message
/// must not be deleted. `role` is the user's role at the moment of reacting; none if the user is not a member.
///
/// # Errors
/// [`Refusal::MessageNotFound`] if the user is not a member, [`Refusal::Forbidden`] if the message is deleted.
pub fn may_react(role: Option<Role>, deleted: Option<Tombstone>) -> Result<(), Refusal> {
    role.ok_or(Refusal::MessageNotFound)?;
    match deleted {
        Some(_) => Err(Refusal::Forbidden("You cannot react to a deleted message")),
        None => Ok(()),
    }
}

/// Adds or removes a user's reaction to a message, and logs [`ReactionChange`]. The result has no position if nothing
/// changed. [`may_react`] decides whether it is allowed, from the message and the role at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct React {
    /// The message.
    pub message: MessageId,
    /// Its conversation. Messages never move, so the caller that has looked the message up knows it.
    pub conversation: ConversationId,
    /// The user who reacts.
    pub by: UserId,
    /// The emoji.
    pub emoji: Emoji,
    /// Whether to add, remove or toggle the reaction.
    pub reacting: Reacting,
    /// The time of the reaction.
    pub at: Timestamp,
}

/// The result of [`React`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacted {
    /// The position of the change in the log; none if nothing changed.
    pub position: Option<Position>,
    /// Whether the reaction exists now.
    pub is_there: bool,
    /// All reactions to the message now.
    pub reactions: Vec<Reaction>,
}

impl Effect for React {
    fn reads(&self, reads: &mut Reads) {
        reads.messages.insert(self.message);
        reads.ends.insert(self.conversation);
        reads.roles.insert((self.conversation, self.by));
        reads.rows.insert((Table::Reactions, self.key()));
        reads.rows.insert((Table::ReactionTallies, self.tally_key()));
        reads.ranges.push((Table::ReactionTallies, self.message.as_bytes().to_vec(), MAX_EMOJIS + 1));
    }

    fn most_logged(&self) -> u64 {
        1
    }

    fn apply<T: Tx>(&self, tx: &mut T) -> Result<Self::Done, Abort<T::Error>> {
        let Self { message: id, conversation, by, emoji, reacting, at } = *self;
        let message = tx.message(id)?.filter(|message| message.conversation == conversation);
        let Some(mut message) = message else { return Ok(Err(Refusal::MessageNotFound)) };
        if let Err(refusal) = may_react(tx.role(conversation, by)?, message.deleted) {
            return Ok(Err(refusal));
        }
        let was_there = tx.row(Table::Reactions, &self.key())?.is_some();
        let is_there = match reacting {
            Reacting::Add => true,
            Reacting::Remove => false,
            Reacting::Toggle => !was_there,
        };
        if is_there
            && !was_there
            && let Err(refusal) = policy::may_be_heard(by, &tx.blockers(conversation)?)
        {
            return Ok(Err(refusal));
        }
        let mut reactions = from_rows(&tx.rows(Table::ReactionTallies, id.as_bytes(), MAX_EMOJIS + 1)?);
        if is_there == was_there {
            return Ok(Ok(Reacted { position: None, is_there, reactions }));
        }
        let is_new = reactions.iter().all(|reaction| reaction.emoji != emoji);
        if is_there && is_new && reactions.len() >= MAX_EMOJIS {
            return Ok(Err(Refusal::Forbidden("A message has at most 20 different reactions")));
        }
        match count(&mut reactions, emoji, by, is_there) {
            Some(tally) => tx.put_row(Table::ReactionTallies, &self.tally_key(), &tally.to_value())?,
            None => tx.delete_row(Table::ReactionTallies, &self.tally_key())?,
        }
        match is_there {
            true => tx.put_row(Table::Reactions, &self.key(), &[])?,
            false => tx.delete_row(Table::Reactions, &self.key())?,
        }
        let before = message.facets;
        for table in [Table::Reactions, Table::ReactionTallies] {
            message.facets = message.facets.with(table, !reactions.is_empty());
        }
        if message.facets != before {
            tx.set_facets(&message)?;
        }
        let what = ReactionChange { emoji, is_there }.into();
        let change = Change::MessageChanged { message: message.reference(), by, what };
        let position = Some(tx.log(at, change)?);
        Ok(Ok(Reacted { position, is_there, reactions }))
    }
}

impl React {
    fn key(&self) -> Vec<u8> {
        let (message, by) = (self.message.as_bytes(), self.by.as_bytes());
        [&message[..], by, self.emoji.as_str().as_bytes()].concat()
    }

    fn tally_key(&self) -> Vec<u8> {
        [self.message.as_bytes(), self.emoji.as_str().as_bytes()].concat()
    }
}

/// Adds a user to the tally of an emoji, or removes the user. Returns the new tally; none if no user is left.
fn count(reactions: &mut Vec<Reaction>, emoji: Emoji, by: UserId, is_there: bool) -> Option<&Reaction> {
    let place = reactions.binary_search_by(|reaction| reaction.emoji.as_str().cmp(emoji.as_str()));
    let place = match place {
        Ok(place) => place,
        Err(place) => {
            reactions.insert(place, Reaction { emoji, count: 0, users: Vec::new() });
            place
        }
    };
    let reaction = &mut reactions[place];
    if is_there {
        reaction.count = reaction.count.saturating_add(1);
        if reaction.users.len() < MAX_NAMED {
            reaction.users.push(by);
        }
    } else {
        reaction.count = reaction.count.saturating_sub(1);
        reaction.users.retain(|user| *user != by);
    }
    if reaction.count == 0 {
        reactions.remove(place);
        return None;
    }
    reactions.get(place)
}

impl Reaction {
    /// The count, followed by the ids of the listed users.
    fn to_value(&self) -> Vec<u8> {
        let users = self.users.iter().flat_map(UserId::as_bytes);
        self.count.to_be_bytes().iter().chain(users).copied().collect()
    }

    fn from_row(row: &Row) -> Option<Self> {
        let emoji = Emoji::from_stored(row.key.get(12..)?)?;
        let (count, users) = row.value.split_first_chunk()?;
        let (users, []) = users.as_chunks() else { return None };
        let users = users.iter().copied().map(UserId::from_bytes).collect();
        Some(Self { emoji, count: u32::from_be_bytes(*count), users })
    }
}

/// The reactions to a message, in the order of the emojis.
fn from_rows(rows: &[Row]) -> Vec<Reaction> {
    rows.iter().filter_map(Reaction::from_row).collect()
}

/// The reactions to each of these messages.
pub(crate) async fn of_all(chat: &Chat, messages: &[MessageId]) -> Result<Vec<Vec<Reaction>>, Error> {
    let prefixes: Vec<_> = messages.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows = chat.store.rows_of(Table::ReactionTallies, &prefixes, MAX_EMOJIS).await?;
    Ok(rows.iter().map(|rows| from_rows(rows)).collect())
}

impl Chat {
    pub(crate) async fn set_reaction(
        &self,
        actor: UserId,
        command: SetReaction,
    ) -> Result<Outcome<MessageView>, Error> {
        let SetReaction { message: id, emoji, reacting } = command;
        let emoji = Emoji::parse(&emoji);
        let emoji = emoji.ok_or(Error::Invalid { field: "emoji", problem: "is not one emoji" })?;
        let (stored, conversation) = self.message_for(actor, id).await?;
        let mut view = self.view(stored, &conversation).await?;
        let at = self.now();
        let react = React { message: id, conversation: conversation.id, by: actor, emoji, reacting, at };
        let Reacted { position, is_there, reactions } =
            self.change_message(actor, conversation.id, react).await?;
        view.message.annexes.reactions = reactions;
        let what = ReactionChange { emoji, is_there }.into();
        let change = Change::MessageChanged { message: view.clone(), by: actor, what };
        let deliveries = self.committed(position, change, AtHand::default()).await?;
        Ok(Outcome { reply: view, deliveries })
    }
}

#[cfg(test)]
mod tests;
