//! Requests about what two people have with each other.

use chat_core::model::RelationAct;
use chat_core::store::Relate;

use super::Requests;
use crate::random::Request;

impl Requests {
    pub(super) fn relate(&mut self) -> Request {
        let acts = [
            RelationAct::Block,
            RelationAct::Unblock,
            RelationAct::Unblock,
            RelationAct::Ask,
            RelationAct::Accept,
            RelationAct::Decline,
            RelationAct::Withdraw,
            RelationAct::Unfriend,
        ];
        let act = acts[self.below(acts.len() as u64) as usize];
        Request::Relate(Relate { by: self.person(), with: self.person(), act, at: self.moment() })
    }
}
