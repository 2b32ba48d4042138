//! What can change about a message that is there, and what is shown beside its content: the two lists of which the log, the
//! events and the views of messages are made. Whatever passes a change on ([`Change`](crate::change::Change),
//! [`Event`](crate::event::Event), deliveries, caches) knows only that a message has changed.
//!
//! # Adding an aspect
//! 1. A file of its own, with the type of the change, which is an [`OfMessage`].
//! 2. A line in `changes!`: its number and its word in the log.
//! 3. If messages show something of it, a line in `annexes!`: the keyed table that holds it, and what looks it up.

use crate::change::Detail;
use crate::chat::Chat;
use crate::error::Error;
use crate::id::MessageId;
use crate::reactions::{self, Reaction, ReactionChange};
use crate::store::{Facets, StoredMessage, Table};

/// The change of one aspect of a message, as the log keeps it beside the message and the person.
pub trait OfMessage: Copy {
    /// Whether the content is another one since: what was remembered of it is out of date, and those who are told of the change
    /// are told the message.
    const IS_OF_CONTENT: bool = false;

    /// Whether it is nobody's affair but that of the person who has made it.
    const IS_PERSONAL: bool = false;

    /// What is kept beside the message and the person, if anything is.
    fn detail(&self) -> Option<Detail>;

    /// The change of which this was kept; none when it was not.
    fn from_detail(detail: &[u8]) -> Option<Self>;
}

macro_rules! changes {
    ($($(#[$doc:meta])* $aspect:ident($change:ty) = $code:literal, $name:literal;)*) => {
        /// What can change about a message that is there, beside that it is deleted and restored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Aspect {
            $($(#[$doc])* $aspect = $code,)*
        }

        impl Aspect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$aspect),*];

            /// The word that stands for its change in a database. Words are never given another meaning.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$aspect => $name,)*
                }
            }
        }

        /// How one aspect of a message has changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum MessageChange {
            $($(#[$doc])* $aspect($change),)*
        }

        impl MessageChange {
            /// Which aspect it is.
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
    /// Somebody has reacted to it, or has taken a reaction back.
    Reacted(ReactionChange) = 10, "message_reacted";
}

impl Aspect {
    /// The number that stands for its change in a database. Numbers are never reused, also not for another kind of change.
    pub fn code(self) -> u8 {
        self as u8
    }
}

macro_rules! annexes {
    ($($(#[$doc:meta])* $annex:ident: $shown:ty = $table:ident, $of_all:path;)*) => {
        /// What is shown of a message beside its content. Nothing while it is deleted.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Annexes {
            $($(#[$doc])* pub $annex: $shown,)*
        }

        const TABLES: &[Table] = &[$(Table::$table),*];

        impl Chat {
            /// What is shown of each of these messages.
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
    /// What stands on it: each emoji that somebody has reacted with.
    reactions: Vec<Reaction> = ReactionTallies, reactions::of_all;
}

/// A message of which there is something to look up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Annexed {
    id: MessageId,
    facets: Facets,
}

impl Annexed {
    /// None when there is nothing: most messages cost nothing here.
    pub(crate) fn of(message: &StoredMessage) -> Option<Self> {
        let facets = message.facets;
        let is_annexed = message.deleted.is_none() && facets != Facets::default();
        let has_some = is_annexed && TABLES.iter().any(|table| facets.contains(*table));
        has_some.then_some(Self { id: message.id, facets })
    }
}

impl Chat {
    /// What is shown of a message.
    pub(crate) async fn annexes_of(&self, message: &StoredMessage) -> Result<Annexes, Error> {
        let Some(annexed) = Annexed::of(message) else { return Ok(Annexes::default()) };
        Ok(self.annexes_of_all(&[annexed]).await?.pop().unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A good detail of each aspect.
    pub(crate) fn detail(aspect: Aspect) -> Option<Detail> {
        match aspect {
            Aspect::Reacted => Detail::new("\u{1}👍".as_bytes()),
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
