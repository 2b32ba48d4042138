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

use std::borrow::Cow;

use chat_core::command::{Changes, Command, ReadChanges};
use chat_core::event::Delivery;
use chat_core::id::UserId;
use chat_core::model::Position;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;

use super::arguments::Arguments;
use super::told::{LOGGED, Told, told};
use crate::dialect::DecodeError;

/// The command that reads on.
pub(super) fn command(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let since = arguments.log_position("since")?;
    Ok(ReadChanges { since, limit: arguments.limit()? }.into())
}

/// The answer, for the person who asked.
pub(super) fn answer(changes: &Changes, user: UserId) -> SyncObject<'_> {
    let position = |position: Position| match changes.epoch {
        Some(epoch) => epoch.at(position).to_string(),
        None => position.0.to_string(),
    };
    SyncObject {
        changes: changes.deliveries.iter().filter_map(|delivery| change(delivery, user, &position)).collect(),
        next: position(changes.next),
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
#[derive(Serialize)]
struct ChangeObject<'a> {
    position: String,
    /// The name of the event that tells of it.
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    what: Told<'a>,
}

/// One of the kinds that there are, each with the fields that its event has.
impl JsonSchema for ChangeObject<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Change".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = LOGGED.iter().map(|told| {
            let mut kind = (told.argument)(generator).to_value();
            kind["properties"] = json!({ "type": { "const": told.name } });
            kind["required"] = json!(["type"]);
            kind
        });
        let kinds: Vec<_> = kinds.collect();
        json_schema!({
            "type": "object",
            "description": "A change.",
            "required": ["position"],
            "properties": { "position": { "type": "string" } },
            "oneOf": kinds,
        })
    }
}

/// Nothing of what is in no log.
fn change<'a>(
    delivery: &'a Delivery,
    reader: UserId,
    position: &impl Fn(Position) -> String,
) -> Option<ChangeObject<'a>> {
    let position = position(delivery.position?);
    let (kind, what) = told(&delivery.event, |room| room.member(reader).is_some());
    Some(ChangeObject { position, kind, what })
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
