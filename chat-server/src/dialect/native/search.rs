//! Searching, for people who write their own client or extend an old one. The same in every dialect.
//!
//! ```text
//! GET /api/search?q=station+tick                 {"messages":[{…}],"next":"41","complete":true}
//! GET /api/search?q=station&roomId=…&limit=20&before=41
//! socket > search {"q":"station tick"} (ack)     {"ok":true,"success":true,"messages":[{…}],"next":null,"complete":true}
//! ```
//! The messages are those of [`super::sync`], the newest first. `next` is what to pass as `before` for the next page, null
//! when there is none. `complete` is false when there was more to look at than one search does: the same search goes on
//! with it when it is made again. `roomId`, `userId` or `username` say in which conversation, or with whom; without it is
//! all one's own. What else may be asked for stands in [`super::search_options`].

use chat_core::command::Command;
use chat_core::search::{Found, Search};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::search_options::{self, Extra};
use super::shapes::{MessageObject, message};
use crate::dialect::DecodeError;

/// The search that is asked for.
pub(super) fn command(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let options = search_options::asked(arguments)?;
    // Words may be missing where something else is asked for.
    let text = match arguments.text("q")? {
        None if !options.has_filter() => return Err(DecodeError::Missing("q")),
        text => text.unwrap_or_default().into_owned(),
    };
    let within = arguments.place()?;
    let limit = arguments.limit()?;
    Ok(Search { text, within, limit, ..options }.into())
}

/// The answer.
pub(super) fn answer(found: &Found) -> FoundObject<'_> {
    FoundObject {
        messages: found.messages.iter().map(|view| message(&view.message)).collect(),
        next: search_options::next(found),
        complete: found.complete,
        extra: search_options::extra(found),
    }
}

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Found")]
pub(super) struct FoundObject<'a> {
    messages: Vec<MessageObject<'a>>,
    next: Option<String>,
    complete: bool,
    #[serde(flatten)]
    extra: Extra,
}

#[cfg(test)]
mod tests {
    use chat_core::command::Destination;
    use chat_core::model::{Position, UserKey};

    use super::*;
    use crate::dialect::Call;
    use crate::dialect::native::table::decode;

    fn decoded(packet: &str) -> Result<Search, String> {
        match decode(&Call::parse(packet).unwrap()) {
            Ok((Command::Search(search), _)) => Ok(search),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn parameters_are_not_guessed() {
        let plain = Search { text: "a b ".into(), limit: 20, ..Search::default() };
        assert_eq!(decoded(r#"["search",{"q":"a b "}]"#), Ok(plain.clone()));
        assert_eq!(
            decoded(r#"["search",{"q":"a b ","before":"7","limit":5000}]"#),
            Ok(Search { before: Some(Position(7)), limit: Search::MAX, ..plain })
        );
        let id = "0123456789abcdef01234567";
        let within =
            |field: &str| decoded(&format!(r#"["search",{{"q":"a","{field}":"{id}"}}]"#)).unwrap().within;
        assert_eq!(within("roomId"), Some(Destination::Conversation(id.parse().unwrap())));
        assert_eq!(within("userId"), Some(Destination::Person(UserKey::Id(id.parse().unwrap()))));
        let named = decoded(r#"["search",{"q":"a","username":"ann"}]"#).unwrap().within;
        assert_eq!(named, Some(Destination::Person(UserKey::Username("ann".into()))));
        for (fields, problem) in [
            ("", "q is missing"),
            (r#""q":null"#, "q is missing"),
            (r#""q":{"$gt":""}"#, "q must be a string"),
            (r#""q":["a"]"#, "q must be a string"),
            (r#""q":"a","roomId":{"$gt":""}"#, "roomId must be a string"),
            (r#""q":"a","roomId":"x""#, "roomId must be a room's id"),
            (r#""q":"a","userId":{"$gt":""}"#, "userId must be a string"),
            (r#""q":"a","userId":"ann""#, "userId must be a user's id"),
            (
                r#""q":"a","userId":"0123456789abcdef01234567","username":"ann""#,
                "one of roomId, userId and username must be given once, and not twice",
            ),
            (r#""q":"a","username":{"$gt":""}"#, "username must be a string"),
            (r#""q":"a","before":{"$gt":""}"#, "before must be a string"),
            (r#""q":"a","before":"-1""#, "before must be a position as it was told, in digits"),
            (r#""q":"a","before":7"#, "before must be a string"),
            (r#""q":"a","limit":0"#, "limit must be a whole number from 1"),
            (r#""q":"a","limit":{"$gt":""}"#, "limit must be a whole number"),
        ] {
            assert_eq!(decoded(&format!(r#"["search",{{{fields}}}]"#)).unwrap_err(), problem, "{fields}");
        }
        assert_eq!(decoded(r#"["search"]"#).unwrap_err(), "the payload must be an object");
        assert_eq!(decoded(r#"["search","a"]"#).unwrap_err(), "the payload must be an object");
        assert_eq!(decoded(r#"["other"]"#).unwrap_err(), "unknown event");
    }
}
