//! The REST family: everything is asked for over HTTP with a cookie, and news is pushed over the socket.
//!
//! ```text
//! ann > POST /api/messages/send/BOB {"text":"hello","image":null}      → 201 the message
//! bob < newMessage {"_id":"…","senderId":"ANN","receiverId":"BOB","text":"hello","image":null,"deleted":false,…}
//! ann > DELETE /api/messages/ID                                        → 200 {"success":true,"message":"…"}
//! both < messageDeleted {"messageId":"ID","_id":"ID","deleted":true}
//! ```
//!
//! Beyond what the family's pages know (they ignore events they do not listen to):
//! `PUT /api/messages/:id/restore` undoes a deletion and `messageRestored` tells of it; `messageSent` keeps the
//! sender's other tabs up to date; `userJoined` and `userUpdated` keep lists of people fresh. Forks of the family tell who
//! types and what was seen, each in spellings of its own: see the modules `typing` and `reading`.

mod events;
mod reading;
mod routes;
mod shapes;
mod typing;

use chat_core::command::Reply;
use chat_core::event::Event;
use chat_core::id::UserId;

use super::{
    Answer, Asked, Auth, Call, DecodeError, Dialect, EventPosition, Frame, Frames, Inbound, Limits, Refusals,
    Roster, Route,
};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Push;

/// The cookie that its log-in is kept in.
pub(crate) const COOKIE: &str = "jwt";

/// Why a page is refused that has said whose it is and nothing that proves it.
const NO_COOKIE: &str = "Authentication error: no log-in cookie came with the connection. Log in first; a page of another \
                         origin needs withCredentials, or a websocket, and its origin in CLIENT_URL";

impl Dialect for Push {
    fn name(&self) -> &str {
        "push"
    }

    fn auth(&self) -> Auth {
        let refusals = Refusals { no_cookie: NO_COOKIE, ..Refusals::default() };
        Auth { cookie: Some(COOKIE), refusals, ..Auth::default() }
    }

    fn limits(&self) -> Limits {
        Limits { password_min: 6, ..Limits::default() }
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        events::EVENTS
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
        Roster::Whole
    }

    fn online(&self, online: &[UserId]) -> Option<Frame> {
        Some(Frame::new("getOnlineUsers", &shapes::Ids(online)))
    }
}
