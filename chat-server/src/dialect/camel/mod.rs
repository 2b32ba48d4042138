//! The Huffman chat's family: people are named by user name, everything but the log-in goes over the socket.
//!
//! ```text
//! ann > privateMessage {"text":"hello","receiver":"bob","timestamp":"…"}
//! ann < privateMessage {"text":"hello","sender":"ann","receiver":"bob","timestamp":"…","compressed":false,"isFile":false,"fileName":null}
//! bob < privateMessage (the same)
//! bob > getMessageHistory {"otherUser":"ann"}
//! bob < messageHistory [{"text":"hello","sender":"ann",…}]
//! bob > getMessageHistory {"otherUser":"ann","limit":50,"before":51} (ack)
//!     {"ok":true,"success":true,"messages":[…],"hasMore":true,"nextBefore":1}
//! ```
//! A history holds the latest messages, as many as have room in an answer. Pages that ask with `before` and an
//! acknowledgement, which none of the family's does, get to the older ones.

mod events;
mod routes;
mod shapes;

use axum::http::StatusCode;
use chat_core::command::Reply;
use chat_core::event::Event;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Answer, Asked, Auth, Call, DecodeError, Dialect, EventPosition, Frames, HttpFailure, Inbound, Limits,
    NamedBy, Route, Unauthenticated, raw,
};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Camel;

impl Dialect for Camel {
    fn name(&self) -> &str {
        "camel"
    }

    fn auth(&self) -> Auth {
        Auth { named_by: NamedBy::Username, ..Auth::default() }
    }

    fn limits(&self) -> Limits {
        Limits { password_min: 6, ..Limits::default() }
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        &["privateMessage", "getMessageHistory"]
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

    fn error(&self, error: &HttpFailure<'_>) -> (StatusCode, Box<RawValue>) {
        #[derive(Serialize)]
        struct NotValid {
            valid: bool,
            message: &'static str,
        }
        let Some(why) = error.unauthenticated else { return error.as_message() };
        let (status, message) = match why {
            Unauthenticated::Missing => (StatusCode::UNAUTHORIZED, "No token provided"),
            Unauthenticated::Invalid => (StatusCode::FORBIDDEN, "Invalid or expired token"),
            Unauthenticated::UserNotFound => (StatusCode::UNAUTHORIZED, "User not found"),
        };
        (status, raw(&NotValid { valid: false, message }))
    }
}
