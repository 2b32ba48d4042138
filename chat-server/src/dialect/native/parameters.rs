//! What the events and routes that are the same in every family ask for in the same words: a place, a position, how much.

use chat_core::command::Destination;
use chat_core::epoch::LogPosition;
use chat_core::model::{Position, UserKey};

use crate::dialect::DecodeError;

/// The conversation that is meant, by its id or by the person one talks with; none when none is named.
///
/// # Errors
/// When what is given is no id, or more than one is given.
pub(super) fn place(
    room_id: Option<&str>,
    user_id: Option<&str>,
    username: Option<&str>,
) -> Result<Option<Destination>, DecodeError> {
    let wrong = |field, expected| DecodeError::WrongType { field, expected };
    let room = room_id.map(|id| id.parse().map(Destination::Conversation));
    let room = room.transpose().map_err(|_| wrong("roomId", "a room's id"))?;
    let person = user_id.map(|id| id.parse().map(UserKey::Id));
    let person = person.transpose().map_err(|_| wrong("userId", "a user's id"))?;
    let named = username.map(|name| UserKey::Username(name.to_owned()));
    let people = [person, named].into_iter().flatten().map(Destination::Person);
    let mut places = room.into_iter().chain(people);
    let place = places.next();
    if places.next().is_some() {
        return Err(wrong("one of roomId, userId and username", "given once, and not twice"));
    }
    Ok(place)
}

/// A position, as clients were told it.
///
/// # Errors
/// When it is none.
pub(super) fn position(field: &'static str, text: Option<&str>) -> Result<Option<Position>, DecodeError> {
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let position = text.map(|text| digits(text).map(Position).ok_or(()));
    let expected = "a position as it was told, in digits";
    position.transpose().map_err(|()| DecodeError::WrongType { field, expected })
}

/// A position with the epoch it is of, as clients were told it.
///
/// # Errors
/// When it is none.
pub(super) fn log_position(
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<LogPosition>, DecodeError> {
    let position = text.map(str::parse).transpose();
    position.map_err(|_| DecodeError::WrongType { field, expected: "a position as it was told" })
}

/// How much is asked for: `usually` when nothing is said, and never more than `most`.
///
/// # Errors
/// When it is nothing.
pub(super) fn limit(asked: Option<u64>, usually: usize, most: usize) -> Result<usize, DecodeError> {
    match asked {
        Some(0) => Err(DecodeError::WrongType { field: "limit", expected: "a whole number from 1" }),
        Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
        None => Ok(usually),
    }
}
