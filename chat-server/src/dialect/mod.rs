//! The dialects: what each family of frontends says and expects.
//!
//! Event names, field names and routes occur in this folder alone; the rest of the server speaks [`Command`], [`Reply`] and
//! [`Event`]. A dialect is a value that implements [`Dialect`]; the server speaks it once it is [registered](Dialects), and
//! everything that is kept per dialect goes by that registry, so a dialect that is not in it cannot be spoken at all.
//!
//! **One fallback.** What is the same for all (`sync`, `read`, `unread`, `search`) is [`native`]: an event that a dialect does
//! not know is `native`'s, and so is its answer; a route that no dialect has is `native`'s. A name that a family uses is the
//! family's.
//!
//! # Adding a dialect
//! 1. A folder `dialect/NAME/` laid out as the others are: `mod.rs` (the dialect and its documentation), `events.rs` (what
//!    comes in and goes out), `routes.rs`, `shapes.rs` (the objects of its wire). `match` on events and replies has no
//!    catch-all arm, so the compiler asks for every one of them.
//! 2. One line in [`Dialects::built_in`].
//! 3. A folder of transcripts, `tests/transcripts/NAME/`.
//!
//! From outside this crate it is a value given to [`Dialects::with`]: see `examples/seventh_dialect.rs`.

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

/// A family of frontends: its events, routes and words.
///
/// What has no default is what every dialect must decide.
///
/// # Example
/// ```
/// use chat_core::command::Command;
/// use chat_server::dialect::camel::Camel;
/// use chat_server::dialect::{Call, Dialect, Inbound};
///
/// // What a page says, as it is in the packet; from here on nobody knows what a `privateMessage` is.
/// let call = Call::parse(r#"["privateMessage",{"text":"hello","receiver":"bob"}]"#).unwrap();
/// let Ok(Inbound::Command(Command::SendMessage(message), _)) = Camel.decode(&call) else {
///     panic!("it is a message")
/// };
/// assert_eq!(&*message.content.text, "hello");
/// ```
pub trait Dialect: Send + Sync + 'static {
    /// Its name in configuration and tokens: lower-case letters, digits and `-`.
    fn name(&self) -> &str;

    /// Where its log-in is, and how one without it is refused.
    fn auth(&self) -> Auth {
        Auth::default()
    }

    /// What its pages allow.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Its HTTP routes, as data.
    fn routes(&self) -> Vec<Route> {
        Vec::new()
    }

    /// The names of the events that its clients may send, for hints to who writes a page. Other spellings may be
    /// understood too.
    fn events(&self) -> &[&str];

    /// The names under which events are passed on ([`Inbound::Relay`]).
    fn relays(&self) -> &[&'static str] {
        &[]
    }

    /// What an event of a client asks for. [`DecodeError::UnknownEvent`] leaves it to [`native`].
    ///
    /// # Errors
    /// When the event is unknown, or what it carries cannot be meant.
    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError>;

    /// What clients receive of an event. Every frame of it is made with the mark, the last one of each person at least:
    /// then all of it has been told.
    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames;

    /// The answer to a command that [`Self::decode`] has made.
    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer;

    /// Whether the answer is queued before the asker receives the event of what the command has done.
    fn answers_first(&self) -> bool {
        false
    }

    /// The event that tells a client without an acknowledgement callback that something was refused; none where the family
    /// has none.
    fn failure(&self, request: &Request, failure: &Failure) -> Option<Frame> {
        let _ = request;
        Some(Frame::new("error", failure))
    }

    /// The answer to an HTTP request that was refused, unless the route has an answer of its own. Its body must be an object
    /// with a `message`.
    fn error(&self, error: &HttpFailure<'_>) -> (StatusCode, Box<RawValue>) {
        error.as_message()
    }

    /// How its pages learn who is online.
    fn roster(&self) -> Roster {
        Roster::Untold
    }

    /// A refusal as clients are told it. The pages of old backends know nothing of [`Failure::field`], so it is left out
    /// unless a dialect says otherwise.
    fn refusal(&self, failure: Failure) -> Failure {
        Failure { field: None, ..failure }
    }

    /// The event with everybody who is online; asked for where [`Self::roster`] is [`Roster::Whole`].
    fn online(&self, online: &[UserId]) -> Option<Frame> {
        let _ = online;
        None
    }

    /// The event of one person who came or went; asked for where [`Self::roster`] is
    /// [`Roster::Changes`] or [`Roster::Contacts`].
    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        let _ = change;
        None
    }
}

/// What an event of a client asks for.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// A command, to be carried out and answered.
    Command(Command, Request),
    /// Who a guest is: the token of their log-in. From others, who have said it already, it is answered only.
    Hello(Hello),
    /// Several commands of [`native`], to be carried out one after the other, whatever becomes of those before. There is one
    /// answer to all of them.
    Batch(Vec<Result<(Command, Request), DecodeError>>),
    /// It is passed on to others as it is, and stored nowhere.
    Relay(Relay),
    /// Pages send it, and there is nothing to do about it.
    Ignored,
}

/// An event that is passed on: to the connections of those who are meant that speak the same dialect and are there at the moment.
#[derive(Debug, Clone)]
pub struct Relay {
    /// To whom: the person, or the other members of a conversation that the sender is in.
    pub to: Destination,
    /// What they receive it as; one of [`Dialect::relays`].
    pub event: &'static str,
    /// Its argument, at most 64 KiB. Who has sent it stands there only if the dialect writes it: see [`Call::asker`].
    pub payload: Box<RawValue>,
}

impl From<Command> for Inbound {
    fn from(command: Command) -> Self {
        Self::Command(command, Request::default())
    }
}

/// A greeting that says who somebody is.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The token, if one is in it.
    pub token: Option<String>,
    /// The event that answers it once its sender is let in.
    pub welcome: Frame,
}

/// What of an event its answer needs. It is kept until the command is carried out, so it must be short.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Which of the dialect's events it was, where the answer depends on that.
    pub event: &'static str,
    /// What the client wants back in its answer, such as a `tempId`.
    pub echo: Option<Box<RawValue>>,
}

/// Whether people are there, as far as is known when a command is answered.
#[derive(Clone, Copy)]
pub struct Whereabouts<'a>(&'a (dyn Fn(&User) -> Seen + Sync));

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// They are connected, on whichever node.
    pub online: bool,
    /// When their last connection ended; none if there never was one.
    pub last_seen: Option<Timestamp>,
}

impl Seen {
    /// What is shown of those of whom nothing may be known.
    pub(crate) const NOWHERE: Self = Self { online: false, last_seen: None };
}

impl<'a> Whereabouts<'a> {
    /// As this function says.
    pub fn new(seen: &'a (dyn Fn(&User) -> Seen + Sync)) -> Self {
        Self(seen)
    }

    /// Whether this person is there.
    pub fn of(self, user: &User) -> Seen {
        (self.0)(user)
    }
}

impl fmt::Debug for Whereabouts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whereabouts")
    }
}

/// What is answered, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who asked.
    pub user: UserId,
    /// What of the event was kept.
    pub request: &'a Request,
    /// The client has passed an acknowledgement callback.
    pub has_ack: bool,
    /// Whether people are there.
    pub whereabouts: Whereabouts<'a>,
}

/// How pages learn who is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roster {
    /// Not by events.
    Untold,
    /// By the whole list, of which only the latest counts.
    Whole,
    /// By one event for each who comes or goes, whoever it is.
    Changes,
    /// By one event for each who comes or goes of those with whom one has talked directly.
    Contacts,
}

/// Somebody came online or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceChange {
    /// Who.
    pub user: UserId,
    /// Whether they are online now.
    pub online: bool,
    /// When that was noticed.
    pub at: Timestamp,
}

/// An HTTP request that was refused, before it is written in a dialect's own form.
#[derive(Debug, Clone, Copy)]
pub struct HttpFailure<'a> {
    /// The status it has by default.
    pub status: StatusCode,
    /// The words for people.
    pub message: &'a str,
    /// Set where nobody is known to ask.
    pub unauthenticated: Option<Unauthenticated>,
}

/// Why nobody is known to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// There is no token.
    Missing,
    /// The token is not ours, expired or revoked.
    Invalid,
    /// The account of the token is gone.
    UserNotFound,
}

impl Unauthenticated {
    /// What of an error it is; none when the server is at fault.
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
    /// `{message}`, with the status it has by default.
    pub fn as_message(&self) -> (StatusCode, Box<RawValue>) {
        #[derive(Serialize)]
        struct Message<'a> {
            message: &'a str,
        }
        (self.status, raw(&Message { message: self.message }))
    }
}

/// Encodes a value of the wire.
pub fn raw(data: &impl Serialize) -> Box<RawValue> {
    // The types of the wire are plain structs with text keys: there is nothing in them that can fail.
    serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The frames of one event, each for a part of its audience.
pub type Frames = SmallVec<[(To, Frame); 2]>;

/// A part of an event's audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// All of it.
    All,
    /// This person's connections.
    Only(UserId),
    /// All but this person's connections.
    Except(UserId),
}

impl To {
    /// Whether this person is meant.
    pub fn includes(self, user: UserId) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == user,
            Self::Except(except) => except != user,
        }
    }
}
