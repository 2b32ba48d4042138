//! Our own dialect, for people who write their own client, and what all other dialects fall back to.
//!
//! So far it has what no family has a word for: `sync` (`sync.rs`), `read` and `unread` (`read.rs`), `search` (`search.rs`), and an
//! event for every change, with the objects of `sync`:
//! ```text
//! ann < messageSent {"message":{"messageId":"…","roomId":"…","senderId":"…","seq":7,"content":"hello","type":"text",…}}
//! ann < messageDeleted, messageRestored {"message":{…}}
//! ann < roomCreated, memberAdded, memberRemoved {"room":{…},"userId":"…"}      roleChanged has "role" too
//! ann < messagesRead {"roomId":"…","userId":"…","seq":7}
//! ann < profileUpdated, userRegistered {"user":{"userId":"…","username":"…","fullName":"…","avatar":"…"}}
//! ann < typingChanged {"roomId":"…","userId":"…","typing":true}
//! ann < presence {"userId":"…","status":"online","lastSeen":1700000000000}
//! ```
//! A connection speaks it if its token says so (`"dialect":"native"`), or nothing and it is the default, as far as it is named in
//! `CHAT_DIALECTS`. Its routes are served in any case.

mod events;
mod parameters;
pub(crate) mod read;
mod routes;
mod search;
mod search_options;
mod shapes;
pub(crate) mod sync;

use chat_core::command::Reply;
use chat_core::event::Event;

pub(crate) use self::events::EVENTS;
use super::{
    Answer, Asked, Call, DecodeError, Dialect, EventPosition, Frame, Frames, Inbound, PresenceChange, Roster,
    Route,
};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Dialect for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        EVENTS
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        events::decode(call).map(Inbound::from)
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        events::outbound(event, mark)
    }

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        events::reply(asked, reply)
    }

    fn roster(&self) -> Roster {
        Roster::Changes
    }

    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        Some(events::presence(change))
    }
}
