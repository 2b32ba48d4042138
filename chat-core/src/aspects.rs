//! The aspects of a stored message that can change, and the annexes that clients see beside its content. The log, the
//! events and the views of messages are built from these two lists. Code that only passes a change on
//! ([`Change`](crate::change::Change), [`Event`](crate::event::Event), deliveries, caches) knows no more than that a
//! message has changed.
//!
//! # Adding an aspect
//! 1. Add a file with the type of the change, which implements [`OfMessage`].
//! 2. Add a line to `changes!`: its number and its word in the log.
//! 3. If clients see it in messages, add a line to `annexes!`: the keyed table that holds it, and the function that
//!    reads it.

pub mod context;
pub mod edits;
pub mod forwarding;
pub mod hiding;
pub mod mentions;
pub mod pins;
pub mod replies;
pub mod threads;

use self::edits::{EditChange, Edited};
use self::hiding::HidingChange;
use self::pins::{PinChange, Pinned};
use self::replies::Quote;
use self::threads::{FollowChange, InThread, Thread, ThreadChange};
use crate::change::Detail;
use crate::chat::Chat;
use crate::error::Error;
use crate::id::{MessageId, UserId};
use crate::reactions::{self, Reaction, ReactionChange};
use crate::store::{Facets, StoredMessage, Table};

/// A change of one aspect of a message. The log stores it beside the message and the user.
pub trait OfMessage: Copy {
    /// Whether the change replaces the content. Then caches of the message are out of date, and receivers of the change
    /// get the message with it.
    const IS_OF_CONTENT: bool = false;

    /// Whether only the user who made the change may see it.
    const IS_PERSONAL: bool = false;

    /// The data that the log stores beside the message and the user, if any.
    fn detail(&self) -> Option<Detail>;

    /// Decodes what `detail` returned; `None` if the data is invalid.
    fn from_detail(detail: &[u8]) -> Option<Self>;
}

macro_rules! changes {
    ($($(#[$doc:meta])* $aspect:ident($change:ty) = $code:literal, $name:literal;)*) => {
        /// The aspects of a stored message that can change, besides being deleted and restored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Aspect {
            $($(#[$doc])* $aspect = $code,)*
        }

        impl Aspect {
            /// All aspects.
            pub const ALL: &[Self] = &[$(Self::$aspect),*];

            /// The word for this aspect in a database. A word never gets another meaning.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$aspect => $name,)*
                }
            }
        }

        /// A change of one aspect of a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum MessageChange {
            $($(#[$doc])* $aspect($change),)*
        }

        impl MessageChange {
            /// The aspect that changes.
            pub fn aspect(&self) -> Aspect {
                match self {
                    $(Self::$aspect(_) => Aspect::$aspect,)*
                }
            }

            /// See [`OfMessage::IS_OF_CONTENT`].
            pub fn is_of_content(&self) -> bool {
                match self {
                    $(Self::$aspect(_) => <$change>::IS_OF_CONTENT,)*
                }
            }

            /// See [`OfMessage::IS_PERSONAL`].
            pub fn is_personal(&self) -> bool {
                match self {
                    $(Self::$aspect(_) => <$change>::IS_PERSONAL,)*
                }
            }

            /// See [`OfMessage::detail`].
            pub fn detail(&self) -> Option<Detail> {
                match self {
                    $(Self::$aspect(change) => change.detail(),)*
                }
            }

            /// See [`OfMessage::from_detail`].
            pub fn from_detail(aspect: Aspect, detail: &[u8]) -> Option<Self> {
                match aspect {
                    $(Aspect::$aspect => <$change>::from_detail(detail).map(Self::$aspect),)*
                }
            }
        }

        $(
            impl From<$change> for MessageChange {
                fn from(change: $change) -> Self {
                    Self::$aspect(change)
                }
            }
        )*
    };
}

changes! {
    /// A user has added a reaction or removed one.
    Reacted(ReactionChange) = 10, "message_reacted";
    /// It has another text.
    Edited(EditChange) = 11, "message_edited";
    /// A person has hidden it for themselves, or sees it again.
    Hidden(HidingChange) = 12, "message_hidden";
    /// It was pinned or unpinned.
    Pinned(PinChange) = 13, "message_pinned";
    /// A message in its thread was deleted or restored.
    Threaded(ThreadChange) = 14, "thread_changed";
    /// A person follows its thread, or has stopped.
    Followed(FollowChange) = 15, "thread_followed";
}

impl Aspect {
    /// The number for this aspect in a database. A number is never reused for another kind of change.
    pub fn code(self) -> u8 {
        self as u8
    }
}

macro_rules! annexes {
    ($($(#[$doc:meta])* $annex:ident: $shown:ty = $table:ident, $of_all:path;)*) => {
        /// What clients see of a message beside its content. Empty while the message is deleted.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Annexes {
            $($(#[$doc])* pub $annex: $shown,)*
        }

        const TABLES: &[Table] = &[$(Table::$table),*];

        impl Chat {
            /// Loads the annexes of these messages.
            pub(crate) async fn annexes_of_all(&self, messages: &[Annexed]) -> Result<Vec<Annexes>, Error> {
                let mut all = vec![Annexes::default(); messages.len()];
                $(
                    let with = messages.iter().enumerate().filter(|(_, of)| of.facets.contains(Table::$table));
                    let (places, ids): (Vec<usize>, Vec<MessageId>) = with.map(|(at, of)| (at, of.id)).unzip();
                    if !ids.is_empty() {
                        for (place, shown) in places.into_iter().zip($of_all(self, &ids).await?) {
                            all[place].$annex = shown;
                        }
                    }
                )*
                Ok(all)
            }
        }
    };
}

annexes! {
    /// Its reactions, grouped by emoji.
    reactions: Vec<Reaction> = ReactionTallies, reactions::of_all;
    /// How often it was edited.
    edited: Option<Edited> = Edits, edits::of_all;
    /// The message that it answers.
    reply_to: Option<Quote> = Replies, replies::of_all;
    /// Whether it is a copy of another message.
    forwarded: bool = Forwarded, forwarding::of_all;
    /// The people whom its text mentions, at most [`mentions::MAX_MENTIONED`].
    mentions: Vec<UserId> = Mentioned, mentions::of_all;
    /// Who has pinned it, and when.
    pinned: Option<Pinned> = Pinned, pins::of_all;
    /// The thread that it is in.
    in_thread: Option<InThread> = InThread, threads::in_threads;
    /// The thread of which it is the root.
    thread: Option<Thread> = Threads, threads::threads_of;
}

/// A message with annexes to load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Annexed {
    id: MessageId,
    facets: Facets,
}

impl Annexed {
    /// `None` when the message has no annexes, so that most messages cost nothing here.
    pub(crate) fn of(message: &StoredMessage) -> Option<Self> {
        let facets = message.facets;
        let is_annexed = message.deleted.is_none() && facets != Facets::default();
        let has_some = is_annexed && TABLES.iter().any(|table| facets.contains(*table));
        has_some.then_some(Self { id: message.id, facets })
    }
}

impl Chat {
    /// Loads the annexes of a message.
    pub(crate) async fn annexes_of(&self, message: &StoredMessage) -> Result<Annexes, Error> {
        let Some(annexed) = Annexed::of(message) else { return Ok(Annexes::default()) };
        Ok(self.annexes_of_all(&[annexed]).await?.pop().unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A valid detail of each aspect.
    pub(crate) fn detail(aspect: Aspect) -> Option<Detail> {
        match aspect {
            Aspect::Reacted => Detail::new("\u{1}👍".as_bytes()),
            Aspect::Edited | Aspect::Threaded => None,
            Aspect::Hidden | Aspect::Pinned | Aspect::Followed => Detail::new(&[1]),
        }
    }

    #[test]
    fn a_change_is_made_again_of_its_detail() {
        for aspect in Aspect::ALL {
            let detail = detail(*aspect);
            let bytes = detail.as_ref().map_or(&[][..], Detail::as_bytes);
            let change = MessageChange::from_detail(*aspect, bytes).expect("a change");
            assert_eq!((change.aspect(), change.detail()), (*aspect, detail));
        }
    }
}
