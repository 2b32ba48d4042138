//! The families of frontends, and what each of them says and expects.
//!
//! A dialect is data: one file with one `pub static DIALECT`, named in [`ALL`]. Event and field names occur in this
//! folder alone; the rest of the server speaks [`Command`] and [`Event`].
//!
//! # Adding a dialect
//! 1. `dialect/NAME.rs` with `pub static DIALECT: Dialect`; the compiler asks for every part of it, and `match event`
//!    without a catch-all arm asks for every event.
//! 2. One line in [`ALL`].
//! 3. A folder of transcripts, `tests/transcripts/NAME/`.

pub mod camel;
mod frame;
mod parameters;
pub mod push;
pub mod read;
pub mod search;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;

use axum::Router;
use chat_core::command::{Command, Reply};
use chat_core::event::Event;
use chat_core::id::UserId;
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

pub use self::frame::{Frame, Mark, POSITION_EVENT, PositionStyle};
pub(crate) use self::frame::{position_array, position_frame};
use self::wire::{Call, DecodeError, Failure};
use crate::app::App;

/// Every dialect there is.
pub static ALL: &[&Dialect] = &[&camel::DIALECT, &push::DIALECT];

/// The dialect of this name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    ALL.iter().copied().find(|dialect| dialect.name == name)
}

/// What an event asks for: one of the family's, or one of ours, which are the same in every family.
pub(crate) fn decode(dialect: &Dialect, call: &Call<'_>) -> Result<Command, DecodeError> {
    let mut decoded = (dialect.decode)(call);
    for ours in [sync::decode, read::decode, search::decode] {
        if matches!(decoded, Err(DecodeError::UnknownEvent)) {
            decoded = ours(call);
        }
    }
    decoded
}

/// A family of frontends.
///
/// # Example
/// ```
/// use chat_core::command::Command;
/// use chat_server::dialect;
/// use chat_server::dialect::wire::Call;
///
/// let camel = dialect::find("camel").unwrap();
/// // What a page says, as it is in the packet; from here on nobody knows what a `privateMessage` is.
/// let call = Call::parse(r#"["privateMessage",{"text":"hello","receiver":"bob"}]"#).unwrap();
/// let Ok(Command::Send { content, .. }) = (camel.decode)(&call) else { panic!("it is a message") };
/// assert_eq!(&*content.text, "hello");
/// ```
pub struct Dialect {
    /// Its name, in configuration and tokens.
    pub name: &'static str,
    /// Fewest characters of a new password, as its pages have it.
    pub password_min: usize,
    /// Its HTTP routes.
    pub routes: fn() -> Router<Arc<App>>,
    /// The same as a list, method and path, with `:id` for what differs: what is nearest to a route that is not served.
    pub paths: &'static [&'static str],
    /// The names of the events that its clients may send.
    pub events: &'static [&'static str],
    /// What an event of a client asks for.
    pub decode: fn(&Call<'_>) -> Result<Command, DecodeError>,
    /// What clients are told of an event. Every frame of it is made with the mark.
    pub outbound: fn(&Event, Mark) -> Frames,
    /// The event that answers a command, for clients that pass no acknowledgement callback.
    pub reply: fn(&Reply) -> Option<Frame>,
    /// What an acknowledgement holds beyond `ok` and `success`.
    pub ack: fn(&Reply) -> Ack,
    /// The event that tells a client that a command was refused.
    pub failure: fn(&Failure) -> Frame,
    /// The event that says who is online, if the family has one.
    pub roster: Option<fn(&[UserId]) -> Frame>,
}

impl Dialect {
    /// Its place in [`ALL`].
    pub(crate) fn index(&self) -> usize {
        // A dialect that is not in the list is nobody's.
        ALL.iter().position(|dialect| std::ptr::eq(*dialect, self)).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialect({})", self.name)
    }
}

/// The JSON fields of an acknowledgement beyond `ok` and `success`: names and values.
pub type Ack = Vec<(&'static str, Box<RawValue>)>;

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
