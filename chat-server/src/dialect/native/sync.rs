//! The log for people who write their own client: every kind of change, in order, with the position to go on from.
//!
//! ```text
//! GET /api/sync                        {"changes":[],"next":"41","more":false,"reset":true}
//! GET /api/sync?since=41&limit=100     {"changes":[{"position":"42","type":"messageSent","message":{…}}],
//!                                       "next":"42","more":false,"reset":false}
//! socket > sync {"since":"41"} (ack)   {"ok":true,"success":true,"changes":[…],"next":"42","more":false,"reset":false}
//! ```
//! `next` is what to ask for next; `more` says that there is more now. `reset` says that what came after `since` is not
//! known any more (or that nothing was asked for, or that a backup was put back since: positions are told with the log's
//! [epoch](chat_core::epoch) from then on, as in `5f3a90c1-42`): load everything afresh, and go on from `next`. Messages, rooms and
//! people come as they are now; a message that was deleted since has no content, and of many changes of one profile only the
//! last is there. Only what the caller is told is looked at, so the way is short for who was away for long. The same in
//! every dialect.

use chat_core::command::{Changes, Command, ReadChanges};
use chat_core::event::{Delivery, Event};
use chat_core::id::UserId;
use chat_core::model::{Conversation, Position, RoomAspect};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::moderation::{Restricted, Updated, restricted, updated};
use super::shapes::{
    MessageObject, ReactedObject, RoomObject, UserId24, UserObject, message, reacted, role, room, user,
};
use crate::dialect::DecodeError;

/// The command that reads on.
pub(super) fn command(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let since = arguments.log_position("since")?;
    Ok(ReadChanges { since, limit: arguments.limit()? }.into())
}

/// The answer, for the person who asked.
pub(super) fn answer(changes: &Changes, user: UserId) -> SyncObject<'_> {
    let told = |position: Position| match changes.epoch {
        Some(epoch) => epoch.at(position).to_string(),
        None => position.0.to_string(),
    };
    SyncObject {
        changes: changes.deliveries.iter().filter_map(|delivery| change(delivery, user, &told)).collect(),
        next: told(changes.next),
        more: changes.more,
        reset: changes.reset,
    }
}

/// A part of the log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Changes")]
pub(super) struct SyncObject<'a> {
    changes: Vec<ChangeObject<'a>>,
    next: String,
    more: bool,
    reset: bool,
}

/// A change.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Change")]
struct ChangeObject<'a> {
    position: String,
    #[serde(flatten)]
    what: What<'a>,
}

/// What has changed.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[schemars(rename = "What")]
enum What<'a> {
    MessageSent {
        message: MessageObject<'a>,
    },
    MessageDeleted {
        message: MessageObject<'a>,
    },
    MessageRestored {
        message: MessageObject<'a>,
    },
    ReactionAdded(ReactedObject<'a>),
    ReactionRemoved(ReactedObject<'a>),
    RoomCreated {
        room: RoomObject<'a>,
        user_id: UserId24,
    },
    MemberAdded {
        room: RoomObject<'a>,
        user_id: UserId24,
    },
    MemberRemoved {
        room: RoomObject<'a>,
        user_id: UserId24,
    },
    RoleChanged {
        room: RoomObject<'a>,
        user_id: UserId24,
        #[schemars(extend("enum" = ["member", "moderator", "admin"]))]
        role: &'static str,
    },
    MemberBanned(Restricted),
    MemberUnbanned(Restricted),
    MemberMuted(Restricted),
    MemberUnmuted(Restricted),
    RoomUpdated(Updated<'a>),
    MessagesRead {
        room_id: String,
        user_id: UserId24,
        seq: u32,
    },
    ProfileUpdated {
        user: UserObject<'a>,
    },
}

fn change<'a>(
    delivery: &'a Delivery,
    reader: UserId,
    told: &impl Fn(Position) -> String,
) -> Option<ChangeObject<'a>> {
    let inside = |room: &Conversation| room.member(reader).is_some();
    let what = match &delivery.event {
        Event::MessageSent(view) => What::MessageSent { message: message(&view.message) },
        Event::MessageDeleted(view) => What::MessageDeleted { message: message(&view.message) },
        Event::MessageRestored(view) => What::MessageRestored { message: message(&view.message) },
        Event::MessageReacted { message, user, emoji, is_there, reactions, .. } => {
            let reacted = reacted(message, *user, emoji, reactions);
            if *is_there { What::ReactionAdded(reacted) } else { What::ReactionRemoved(reacted) }
        }
        Event::RoomCreated { room: made, by } => {
            What::RoomCreated { room: room(made, inside(made)), user_id: by.to_string() }
        }
        Event::MemberAdded { room: joined, user } => {
            What::MemberAdded { room: room(joined, inside(joined)), user_id: user.to_string() }
        }
        Event::MemberRemoved { room: left, user } => {
            What::MemberRemoved { room: room(left, inside(left)), user_id: user.to_string() }
        }
        Event::RoleChanged { room: in_room, user, role: new } => What::RoleChanged {
            room: room(in_room, inside(in_room)),
            user_id: user.to_string(),
            role: role(*new),
        },
        Event::RoomChanged { room, by, aspect } => {
            let of_member = |user| restricted(room, user, *by, *aspect);
            match *aspect {
                RoomAspect::Banned(user) => What::MemberBanned(of_member(user)),
                RoomAspect::Unbanned(user) => What::MemberUnbanned(of_member(user)),
                RoomAspect::Muted { user, .. } => What::MemberMuted(of_member(user)),
                RoomAspect::Unmuted(user) => What::MemberUnmuted(of_member(user)),
                RoomAspect::Updated => What::RoomUpdated(updated(room, *by, inside(room))),
            }
        }
        Event::MessagesRead { conversation, user, seq, .. } => What::MessagesRead {
            room_id: conversation.id.to_string(),
            user_id: user.id.to_string(),
            seq: seq.0,
        },
        Event::ProfileUpdated(changed) => What::ProfileUpdated { user: user(changed) },
        // Not in the log.
        Event::UserRegistered(_) | Event::TypingChanged { .. } => return None,
    };
    Some(ChangeObject { position: told(delivery.position?), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Call;
    use crate::dialect::native::table::decode;

    fn decoded(packet: &str) -> Result<(Option<String>, usize), String> {
        match decode(&Call::parse(packet).unwrap()) {
            Ok((Command::ReadChanges(ReadChanges { since, limit }), _)) => {
                Ok((since.map(|since| since.to_string()), limit))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn parameters_are_not_guessed() {
        assert_eq!(decoded(r#"["sync"]"#), Ok((None, 100)));
        assert_eq!(decoded(r#"["sync",null]"#), Ok((None, 100)));
        assert_eq!(decoded(r#"["sync",{}]"#), Ok((None, 100)));
        assert_eq!(decoded(r#"["sync",{"since":"0","limit":5}]"#), Ok((Some("0".into()), 5)));
        assert_eq!(
            decoded(r#"["sync",{"since":"18446744073709551615","limit":5000}]"#),
            Ok((Some(u64::MAX.to_string()), 1_000))
        );
        assert_eq!(
            decoded(r#"["sync",{"since":"5f3a90c1-17","limit":5}]"#),
            Ok((Some("5f3a90c1-17".into()), 5))
        );
        for since in [
            "\"\"",
            "\"-1\"",
            "\"+1\"",
            "\"1.0\"",
            "\"x\"",
            "\"5f3a90c1-\"",
            "\"00000000-1\"",
            "\"18446744073709551616\"",
            "1",
            "{\"$gt\":\"\"}",
        ] {
            let error = decoded(&format!(r#"["sync",{{"since":{since}}}]"#)).unwrap_err();
            assert!(error.starts_with("since must be"), "{since}: {error}");
        }
        for limit in ["0", "-1", "\"5\"", "1.5"] {
            let error = decoded(&format!(r#"["sync",{{"limit":{limit}}}]"#)).unwrap_err();
            assert!(error.starts_with("limit must be"), "{limit}: {error}");
        }
        assert_eq!(decoded(r#"["sync",7]"#).unwrap_err(), "the payload must be an object");
        assert_eq!(decoded(r#"["other"]"#).unwrap_err(), "unknown event");
    }
}
