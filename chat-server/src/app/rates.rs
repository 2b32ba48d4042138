//! How limits stand, for the headers of answers. The numbers are those of this node.

use chat_core::id::UserId;
use chat_core::model::UserKey;

use super::App;
use crate::address::Address;
use crate::limits::RateLimit;

impl App {
    /// Log-ins of an account from an address, or of that address if that limit refuses first.
    pub fn log_in_rate(&self, address: Address, key: &UserKey) -> Option<RateLimit> {
        let now = self.chat.now();
        let of_account = self.log_ins.rate(&(address, key.folded()), now);
        let of_address = self.log_ins_of_address.rate(&address, now);
        match (of_account, of_address) {
            (Some(one), Some(other)) => Some(one.tighter(other)),
            (one, other) => one.or(other),
        }
    }

    /// Sign-ups of an address.
    pub fn sign_up_rate(&self, address: Address) -> Option<RateLimit> {
        self.sign_ups.rate(&address, self.chat.now())
    }

    /// Messages of a person.
    pub fn send_rate(&self, user: UserId) -> Option<RateLimit> {
        self.sends.rate(&user, self.chat.now())
    }

    /// Searches of a person.
    pub fn search_rate(&self, user: UserId) -> Option<RateLimit> {
        self.searches.rate(&user, self.chat.now())
    }
}
