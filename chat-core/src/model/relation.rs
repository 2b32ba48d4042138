//! What two people have with each other: friendship, requests for it, and blocks.

use crate::id::UserId;

/// What one person has with another one, as that person sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relation {
    /// They block the other one.
    pub blocks: bool,
    /// The other one blocks them. They are never told: it is `false` in all that they see.
    pub blocked: bool,
    /// How far they are friends.
    pub friendship: Friendship,
}

/// How far two people are friends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Friendship {
    /// Not at all.
    #[default]
    None,
    /// The person has asked, and waits for an answer.
    Sent,
    /// The person was asked, and has not answered yet.
    Received,
    /// They are friends.
    Friends,
}

impl Friendship {
    /// All of them, in the order of their numbers in a database.
    const ALL: [Self; 4] = [Self::None, Self::Sent, Self::Received, Self::Friends];
}

/// What somebody does about what they have with another person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationAct {
    /// Blocks the other one: neither reaches the other any more, and what there was of a friendship ends.
    Block,
    /// Lifts the own block.
    Unblock,
    /// Asks for friendship, or accepts it where the other one has asked.
    Ask,
    /// Accepts what the other one has asked for.
    Accept,
    /// Declines what the other one has asked for.
    Decline,
    /// Takes back what was asked for.
    Withdraw,
    /// Ends a friendship.
    Unfriend,
}

impl Relation {
    const BLOCKS: u8 = 4;
    const BLOCKED: u8 = 8;

    /// Whether the two do not reach each other, because one blocks the other.
    pub fn is_cut(self) -> bool {
        self.blocks || self.blocked
    }

    /// The same as the other one sees it.
    pub fn mirrored(self) -> Self {
        let friendship = match self.friendship {
            Friendship::Sent => Friendship::Received,
            Friendship::Received => Friendship::Sent,
            same @ (Friendship::None | Friendship::Friends) => same,
        };
        Self { blocks: self.blocked, blocked: self.blocks, friendship }
    }

    /// The same without what the person may not know: that they are blocked.
    pub fn shown(self) -> Self {
        Self { blocked: false, ..self }
    }

    /// The byte that stands for it in a database.
    pub fn code(self) -> u8 {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        self.friendship as u8 | flag(self.blocks, Self::BLOCKS) | flag(self.blocked, Self::BLOCKED)
    }

    /// What a byte stands for; none when it is none of these.
    pub fn from_code(code: u8) -> Option<Self> {
        let flags = code & !3;
        if flags & !(Self::BLOCKS | Self::BLOCKED) != 0 {
            return None;
        }
        let friendship = Friendship::ALL[usize::from(code & 3)];
        Some(Self { blocks: flags & Self::BLOCKS != 0, blocked: flags & Self::BLOCKED != 0, friendship })
    }

    /// The key of the row of a keyed table in which a person's relation with another one is kept.
    pub(crate) fn key(of: UserId, with: UserId) -> Vec<u8> {
        [of.as_bytes().as_slice(), with.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_a_byte_of_its_own() {
        let all: Vec<_> = (0..=u8::MAX).filter_map(|code| Some((code, Relation::from_code(code)?))).collect();
        assert_eq!(all.len(), 16);
        for (code, relation) in all {
            assert_eq!(relation.code(), code);
            assert_eq!(relation.mirrored().mirrored(), relation);
            assert_eq!(relation.mirrored().is_cut(), relation.is_cut());
            assert!(!relation.shown().blocked);
        }
        assert_eq!(Relation::from_code(0), Some(Relation::default()));
    }
}
