//! Rules for the relation of two users: blocks and friendship.

use super::Refusal;
use crate::id::UserId;
use crate::model::{Friendship, Relation, RelationAct};

/// Whether a user may contact another one: send a direct message, add them to a room, send a friend request. A blocked
/// user does not learn of the block, only that the other user cannot be reached.
///
/// # Errors
/// When one of them blocks the other.
pub fn may_reach(relation: Relation) -> Result<(), Refusal> {
    if relation.blocks {
        return Err(Refusal::Forbidden("You have blocked this person"));
    }
    if relation.blocked {
        return Err(Refusal::Forbidden("This person cannot be reached"));
    }
    Ok(())
}

/// Whether the user `by` may send a message in a direct conversation, or react to one, when `blockers` of its two
/// members block the other. In rooms blocks have no effect.
///
/// # Errors
/// As [`may_reach`].
pub fn may_be_heard(by: UserId, blockers: &[UserId]) -> Result<(), Refusal> {
    let blocked = blockers.iter().any(|blocker| *blocker != by);
    may_reach(Relation { blocks: blockers.contains(&by), blocked, ..Relation::default() })
}

/// The relation after an act of the user. It is unchanged if the act has no effect. An act that is repeated, or that
/// both users do at once, has the effect of one act.
///
/// # Errors
/// When one of them blocks the other, or there is no friend request to answer.
pub fn relate(act: RelationAct, mine: Relation) -> Result<Relation, Refusal> {
    let with = |friendship| Ok(Relation { friendship, ..mine });
    match (act, mine.friendship) {
        (RelationAct::Block, _) => Ok(Relation { blocks: true, friendship: Friendship::None, ..mine }),
        (RelationAct::Unblock, _) => Ok(Relation { blocks: false, ..mine }),
        (RelationAct::Ask, before) => {
            may_reach(mine)?;
            match before {
                Friendship::None | Friendship::Sent => with(Friendship::Sent),
                Friendship::Received | Friendship::Friends => with(Friendship::Friends),
            }
        }
        (RelationAct::Accept, Friendship::Received | Friendship::Friends) => with(Friendship::Friends),
        (RelationAct::Accept, Friendship::None | Friendship::Sent) => Err(Refusal::RequestNotFound),
        (RelationAct::Decline, Friendship::Received) => with(Friendship::None),
        (RelationAct::Withdraw, Friendship::Sent) => with(Friendship::None),
        (RelationAct::Decline | RelationAct::Withdraw, Friendship::None) => Ok(mine),
        (RelationAct::Decline | RelationAct::Withdraw, _) => Err(Refusal::RequestNotFound),
        (RelationAct::Unfriend, Friendship::Friends) => with(Friendship::None),
        (RelationAct::Unfriend, Friendship::None | Friendship::Sent | Friendship::Received) => Ok(mine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTS: [RelationAct; 7] = [
        RelationAct::Block,
        RelationAct::Unblock,
        RelationAct::Ask,
        RelationAct::Accept,
        RelationAct::Decline,
        RelationAct::Withdraw,
        RelationAct::Unfriend,
    ];

    #[test]
    fn what_is_done_twice_is_done_once() {
        for code in 0..16 {
            let before = Relation::from_code(code).unwrap();
            for act in ACTS {
                let Ok(once) = relate(act, before) else { continue };
                assert_eq!(relate(act, once), Ok(once), "{act:?} of {before:?}");
                assert_eq!(once.blocked, before.blocked, "only the other one lifts their block");
            }
        }
    }

    #[test]
    fn nobody_is_a_friend_who_has_not_agreed() {
        let both = |act, friendship| relate(act, Relation { friendship, ..Relation::default() });
        let is = |friendship| Ok(Relation { friendship, ..Relation::default() });
        assert_eq!(both(RelationAct::Ask, Friendship::None), is(Friendship::Sent));
        assert_eq!(both(RelationAct::Ask, Friendship::Received), is(Friendship::Friends));
        assert_eq!(both(RelationAct::Accept, Friendship::Received), is(Friendship::Friends));
        for before in [Friendship::None, Friendship::Sent] {
            assert_eq!(both(RelationAct::Accept, before), Err(Refusal::RequestNotFound));
        }
        assert_eq!(both(RelationAct::Decline, Friendship::Sent), Err(Refusal::RequestNotFound));
        assert_eq!(both(RelationAct::Withdraw, Friendship::Received), Err(Refusal::RequestNotFound));
    }

    #[test]
    fn a_block_ends_a_friendship_and_holds_both() {
        let friends = Relation { friendship: Friendship::Friends, ..Relation::default() };
        let mine = relate(RelationAct::Block, friends).unwrap();
        assert_eq!(mine, Relation { blocks: true, ..Relation::default() });
        assert!(may_reach(mine).is_err() && may_reach(mine.mirrored()).is_err());
        assert!(
            relate(RelationAct::Ask, mine).is_err() && relate(RelationAct::Ask, mine.mirrored()).is_err()
        );
        let lifted = relate(RelationAct::Unblock, mine).unwrap();
        assert_eq!((lifted, may_reach(lifted)), (Relation::default(), Ok(())));
    }
}
