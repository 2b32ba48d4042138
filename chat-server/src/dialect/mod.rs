//! The dialects: the events, fields and routes of each family of frontends.
//!
//! Event names, field names and routes occur only in this folder; the rest of the server uses [`Command`], [`Reply`]
//! and [`Event`]. A dialect is a value that implements [`Dialect`]. The server speaks it once it is
//! [registered](Dialects). All state per dialect is indexed by that registry, so the server cannot speak a dialect
//! that is not registered.
//!
//! **One fallback.** [`native`] holds what is the same for all dialects (`sync`, `read`, `unread`, `search`). An
//! event that a dialect does not know is decoded and answered by `native`; a route that no dialect has is served by
//! `native`. If a family uses the same name, the family's meaning applies.
//!
//! # Adding a dialect
//! 1. Add a folder `dialect/NAME/` with the same layout as the others: `mod.rs` (the dialect and its documentation),
//!    `events.rs` (incoming and outgoing events), `routes.rs`, `shapes.rs` (the JSON objects of its wire format).
//!    `match` on events and replies has no catch-all arm, so the compiler reports every missing one.
//! 2. Add one line to [`Dialects::built_in`].
//! 3. Add a folder of transcripts, `tests/transcripts/NAME/`.
//!
//! From outside this crate, pass the dialect to [`Dialects::with`]: see `examples/seventh_dialect.rs`.

pub mod answer;
pub mod args;
pub mod auth;
mod built_in;
pub mod camel;
pub(crate) mod described;
pub(crate) mod field;
mod frame;
pub mod handler;
pub mod native;
pub mod payload;
pub mod push;
pub mod registry;
pub mod route;
pub mod shapes;
#[cfg(test)]
mod tests;

use std::fmt;

use axum::http::StatusCode;
use chat_core::clock::Timestamp;
use chat_core::command::{Command, Destination, Reply};
use chat_core::event::Event;
use chat_core::id::UserId;
use chat_core::model::User;
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

pub use self::answer::{Answer, Failure};
pub use self::args::Call;
pub use self::auth::{Auth, Limits, NamedBy, Refusals};
pub use self::frame::{EventPosition, Frame, POSITION_EVENT, PositionStyle};
pub(crate) use self::frame::{position_array, position_frame};
pub use self::payload::DecodeError;
pub use self::registry::{Dialects, Registered};
pub use self::route::Route;
use crate::auth::error::AuthError;

/// A family of frontends: its events, routes and field names.
///
/// Methods without a default are decisions that every dialect must make.
///
/// # Example
/// ```
/// use chat_core::command::Command;
/// use chat_server::dialect::camel::Camel;
/// use chat_server::dialect::{Call, Dialect, Inbound};
///
/// // An event as it is in the packet. After decoding, no other code knows what a `privateMessage` is.
/// let call = Call::parse(r#"["privateMessage",{"text":"hello","receiver":"bob"}]"#).unwrap();
/// let Ok(Inbound::Command(Command::SendMessage(message), _)) = Camel.decode(&call) else {
///     panic!("it is a message")
/// };
/// assert_eq!(&*message.content.text, "hello");
/// ```
pub trait Dialect: Send + Sync + 'static {
    /// The name of the dialect in configuration and tokens: lower-case letters, digits and `-`.
    fn name(&self) -> &str;

    /// Where clients of the dialect send their token, and how an unauthenticated client is refused.
    fn auth(&self) -> Auth {
        Auth::default()
    }

    /// The limits that the family's pages expect.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// The dialect's HTTP routes, as data.
    fn routes(&self) -> Vec<Route> {
        Vec::new()
    }

    /// The names of the events that clients may send. The server uses them in hints to page authors. The dialect may
    /// accept other spellings too.
    fn events(&self) -> &[&str];

    /// The names under which clients receive relayed events ([`Inbound::Relay`]).
    fn relays(&self) -> &[&'static str] {
        &[]
    }

    /// Decodes a client's event. [`DecodeError::UnknownEvent`] leaves the event to [`native`].
    ///
    /// # Errors
    /// When the event is unknown, or its arguments are not valid.
    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError>;

    /// The frames that clients receive for an event. At least the last frame that each user receives must be made
    /// with `mark`, because a client that has seen the position has received the whole event.
    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames;

    /// The answer to a command that [`Self::decode`] returned.
    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer;

    /// Whether the answer is queued before the event that the command causes is sent to the same client.
    fn answers_first(&self) -> bool {
        false
    }

    /// The event that reports a refusal to a client without an acknowledgement callback; none if the family has no
    /// such event.
    fn failure(&self, request: &Request, failure: &Failure) -> Option<Frame> {
        let _ = request;
        Some(Frame::new("error", failure))
    }

    /// The answer to a refused HTTP request, unless the route has its own error answer. The body must be an object
    /// with a `message`.
    fn error(&self, error: &HttpFailure<'_>) -> (StatusCode, Box<RawValue>) {
        error.as_message()
    }

    /// How the family's pages learn which users are online.
    fn roster(&self) -> Roster {
        Roster::Untold
    }

    /// Adapts a refusal before it is sent to clients. Pages written for the old backends do not know
    /// [`Failure::field`], so the default removes it.
    fn refusal(&self, failure: Failure) -> Failure {
        Failure { field: None, ..failure }
    }

    /// The event with all online users; only used where [`Self::roster`] is [`Roster::Whole`].
    fn online(&self, online: &[UserId]) -> Option<Frame> {
        let _ = online;
        None
    }

    /// The event that reports one user's change of presence; only used where [`Self::roster`] is [`Roster::Changes`]
    /// or [`Roster::Contacts`].
    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        let _ = change;
        None
    }
}

/// A decoded event of a client.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// A command to execute and answer.
    Command(Command, Request),
    /// The token of a connection that is not authenticated yet. On an authenticated connection it is only answered.
    Hello(Hello),
    /// Several commands of [`native`], executed one after the other, even if an earlier one fails. All of them get
    /// one answer.
    Batch(Vec<Result<(Command, Request), DecodeError>>),
    /// A later token of the connection's login session, with which the connection goes on after its own has expired.
    Renew(String),
    /// An event that is relayed to other clients unchanged and not stored.
    Relay(Relay),
    /// An event that pages send and for which there is nothing to do.
    Ignored,
}

/// An event that is relayed. It goes to the recipients' connections that are open at the moment and speak the same
/// dialect.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The recipient: a user, or the other members of a conversation that the sender is a member of.
    pub to: Destination,
    /// The name under which clients receive it; one of [`Dialect::relays`].
    pub event: &'static str,
    /// Its argument, at most 64 KiB. It names the sender only if the dialect writes the sender into it: see
    /// [`Call::asker`].
    pub payload: Box<RawValue>,
}

impl From<Command> for Inbound {
    fn from(command: Command) -> Self {
        Self::Command(command, Request::default())
    }
}

/// An event with which a connection authenticates.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The token, if the event has one.
    pub token: Option<String>,
    /// The event that answers it once the connection is authenticated.
    pub welcome: Frame,
}

/// The part of an event that its answer needs. The server keeps it until the command is executed, so it must be
/// small.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Which of the dialect's events it was, if the answer depends on that.
    pub event: &'static str,
    /// A value that the client wants back in its answer, such as a `tempId`.
    pub echo: Option<Box<RawValue>>,
}

/// Looks up the presence of users at the time when a command is answered.
#[derive(Clone, Copy)]
pub struct Whereabouts<'a>(&'a (dyn Fn(&User) -> Seen + Sync));

/// The presence of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether the user is connected, on any node.
    pub online: bool,
    /// When the user's last connection ended; none if the user was never connected.
    pub last_seen: Option<Timestamp>,
}

impl Seen {
    /// Shown for users whose presence the client may not see.
    pub(crate) const NOWHERE: Self = Self { online: false, last_seen: None };
}

impl<'a> Whereabouts<'a> {
    /// Looks up presence with this function.
    pub fn new(seen: &'a (dyn Fn(&User) -> Seen + Sync)) -> Self {
        Self(seen)
    }

    /// The presence of this user.
    pub fn of(self, user: &User) -> Seen {
        (self.0)(user)
    }
}

impl fmt::Debug for Whereabouts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whereabouts")
    }
}

/// The request that is being answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The user who sent the request.
    pub user: UserId,
    /// The part of the event that was kept.
    pub request: &'a Request,
    /// Whether the client passed an acknowledgement callback.
    pub has_ack: bool,
    /// The presence of users.
    pub whereabouts: Whereabouts<'a>,
}

/// How pages learn which users are online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roster {
    /// Not by events.
    Untold,
    /// By the list of all online users. Only the latest list counts.
    Whole,
    /// By one event for each user who comes online or goes offline.
    Changes,
    /// The same, but only for users with whom the client's user has a direct conversation.
    Contacts,
}

/// A user came online or went offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceChange {
    /// The user.
    pub user: UserId,
    /// Whether they are online now.
    pub online: bool,
    /// When the server noticed the change.
    pub at: Timestamp,
}

/// An HTTP request that was refused, before a dialect writes it in its own form.
#[derive(Debug, Clone, Copy)]
pub struct HttpFailure<'a> {
    /// The default status.
    pub status: StatusCode,
    /// The message for people.
    pub message: &'a str,
    /// Set if the request is not authenticated.
    pub unauthenticated: Option<Unauthenticated>,
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// There is no token.
    Missing,
    /// The token was not issued by this server, has expired or was revoked.
    Invalid,
    /// The account of the token does not exist any more.
    UserNotFound,
}

impl Unauthenticated {
    /// The reason, or none for an internal error of the server.
    pub fn of(error: &AuthError) -> Option<Self> {
        match error {
            AuthError::Missing => Some(Self::Missing),
            AuthError::Invalid => Some(Self::Invalid),
            AuthError::UserNotFound => Some(Self::UserNotFound),
            AuthError::Internal(_) => None,
        }
    }
}

impl HttpFailure<'_> {
    /// `{message}`, with the default status.
    pub fn as_message(&self) -> (StatusCode, Box<RawValue>) {
        #[derive(Serialize)]
        struct Message<'a> {
            message: &'a str,
        }
        (self.status, raw(&Message { message: self.message }))
    }
}

/// Encodes a value of the wire format.
pub fn raw(data: &impl Serialize) -> Box<RawValue> {
    // The types of the wire format are plain structs with string keys, so serialization cannot fail.
    serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The frames of one event, each for a part of its audience.
pub type Frames = SmallVec<[(To, Frame); 2]>;

/// A part of an event's audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The whole audience.
    All,
    /// This user's connections.
    Only(UserId),
    /// All but this user's connections.
    Except(UserId),
}

impl To {
    /// Whether this user is part of it.
    pub fn includes(self, user: UserId) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == user,
            Self::Except(except) => except != user,
        }
    }
}
