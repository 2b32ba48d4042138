//! The relation between two people: friendship, friend requests, and blocks.

use crate::id::UserId;

/// The relation of one person with another one, as that person sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relation {
    /// This person blocks the other one.
    pub blocks: bool,
    /// The other one blocks this person. Clients never learn this: it is `false` in everything they receive.
    pub blocked: bool,
    /// The state of their friendship.
    pub friendship: Friendship,
}

/// The state of the friendship of two people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Friendship {
    /// No friendship and no request.
    #[default]
    None,
    /// This person has sent a request and waits for an answer.
    Sent,
    /// This person has received a request and not answered it yet.
    Received,
    /// They are friends.
    Friends,
}

impl Friendship {
    /// All states, in the order of their numbers in a database.
    const ALL: [Self; 4] = [Self::None, Self::Sent, Self::Received, Self::Friends];
}

/// An action of one person on the relation with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationAct {
    /// Blocks the other person: neither can reach the other any more, and a friendship or request between them ends.
    Block,
    /// Lifts this person's own block.
    Unblock,
    /// Sends a friend request, or accepts the request of the other person.
    Ask,
    /// Accepts the request of the other person.
    Accept,
    /// Declines the request of the other person.
    Decline,
    /// Withdraws this person's own request.
    Withdraw,
    /// Ends a friendship.
    Unfriend,
}

impl Relation {
    const BLOCKS: u8 = 4;
    const BLOCKED: u8 = 8;

    /// Whether the two cannot reach each other because one blocks the other.
    pub fn is_cut(self) -> bool {
        self.blocks || self.blocked
    }

    /// The same relation as the other person sees it.
    pub fn mirrored(self) -> Self {
        let friendship = match self.friendship {
            Friendship::Sent => Friendship::Received,
            Friendship::Received => Friendship::Sent,
            same @ (Friendship::None | Friendship::Friends) => same,
        };
        Self { blocks: self.blocked, blocked: self.blocks, friendship }
    }

    /// The relation without what the person must not learn: that the other one blocks them.
    pub fn shown(self) -> Self {
        Self { blocked: false, ..self }
    }

    /// The byte that represents the relation in a database.
    pub fn code(self) -> u8 {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        self.friendship as u8 | flag(self.blocks, Self::BLOCKS) | flag(self.blocked, Self::BLOCKED)
    }

    /// Decodes a byte; `None` when it is invalid.
    pub fn from_code(code: u8) -> Option<Self> {
        let flags = code & !3;
        if flags & !(Self::BLOCKS | Self::BLOCKED) != 0 {
            return None;
        }
        let friendship = Friendship::ALL[usize::from(code & 3)];
        Some(Self { blocks: flags & Self::BLOCKS != 0, blocked: flags & Self::BLOCKED != 0, friendship })
    }

    /// The key of the row that holds a person's relation with another one.
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
