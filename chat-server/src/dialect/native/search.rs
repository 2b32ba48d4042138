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
use serde::{Deserialize, Serialize};

use super::parameters::{self, place};
use super::search_options::{self, Extra, Options};
use super::shapes::{MessageObject, message};
use crate::dialect::payload::{Count, Flag, Text, Texts};
use crate::dialect::{Call, DecodeError};

/// The event, in every dialect.
pub(crate) const EVENT: &str = "search";
/// Messages in one answer, when nothing else is asked for.
const DEFAULT_LIMIT: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    #[serde(borrow, default)]
    q: Text<'a>,
    #[serde(borrow, default)]
    room_id: Text<'a>,
    #[serde(borrow, default)]
    user_id: Text<'a>,
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    before: Text<'a>,
    #[serde(default)]
    limit: Count,
    #[serde(borrow, default)]
    sender_id: Text<'a>,
    #[serde(borrow, default)]
    sender_username: Text<'a>,
    #[serde(borrow, default)]
    types: Texts<'a>,
    #[serde(default)]
    from: Count,
    #[serde(default)]
    until: Count,
    #[serde(borrow, default)]
    order: Text<'a>,
    #[serde(default)]
    snippets: Flag,
}

/// What is asked for, as it was written.
#[derive(Default)]
pub(crate) struct Parameters<'a> {
    pub(crate) q: Option<&'a str>,
    pub(crate) room_id: Option<&'a str>,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) username: Option<&'a str>,
    pub(crate) limit: Option<u64>,
    pub(crate) options: Options<'a>,
}

/// What an event that a dialect does not know asks for.
pub(crate) fn decode(call: &Call<'_>) -> Result<Command, DecodeError> {
    if call.event != EVENT {
        return Err(DecodeError::UnknownEvent);
    }
    let form: Form<'_> = call.object()?;
    let (q, room_id) = (form.q.optional("q")?, form.room_id.optional("roomId")?);
    let (user_id, username) = (form.user_id.optional("userId")?, form.username.optional("username")?);
    let before = form.before.optional("before")?;
    let sender = (form.sender_id.optional("senderId")?, form.sender_username.optional("senderUsername")?);
    let (types, order) = (form.types.optional("types")?, form.order.optional("order")?);
    let search = command(&Parameters {
        q: q.as_deref(),
        room_id: room_id.as_deref(),
        user_id: user_id.as_deref(),
        username: username.as_deref(),
        limit: form.limit.optional("limit")?,
        options: Options {
            sender_id: sender.0.as_deref(),
            sender_username: sender.1.as_deref(),
            types: types.iter().flatten().map(|name| &**name).collect(),
            from: form.from.optional("from")?,
            until: form.until.optional("until")?,
            order: order.as_deref(),
            before: before.as_deref(),
            snippets: form.snippets.get("snippets")?,
        },
    })?;
    Ok(search.into())
}

/// The command for these parameters.
pub(crate) fn command(parameters: &Parameters<'_>) -> Result<Search, DecodeError> {
    let Parameters { q, room_id, user_id, username, limit, options } = parameters;
    let search = options.search()?;
    // Words may be missing where something else is asked for.
    let q = q.or(search.has_filter().then_some("")).ok_or(DecodeError::Missing("q"))?;
    Ok(Search {
        text: q.to_owned(),
        within: place(*room_id, *user_id, *username)?,
        limit: parameters::limit(*limit, DEFAULT_LIMIT, Search::MAX)?,
        ..search
    })
}

/// The answer.
pub(crate) fn answer(found: &Found) -> impl Serialize {
    FoundObject {
        messages: found.messages.iter().map(|view| message(&view.message)).collect(),
        next: search_options::next(found),
        complete: found.complete,
        extra: search_options::extra(found),
    }
}

#[derive(Serialize)]
struct FoundObject<'a> {
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

    fn decoded(packet: &str) -> Result<Search, String> {
        match decode(&Call::parse(packet).unwrap()) {
            Ok(Command::Search(search)) => Ok(search),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn parameters_are_not_guessed() {
        let plain = Search { text: "a b ".into(), limit: DEFAULT_LIMIT, ..Search::default() };
        assert_eq!(decoded(r#"["search",{"q":"a b "}]"#), Ok(plain.clone()));
        assert_eq!(
            decoded(r#"["search",{"q":"a b ","before":"7","limit":5000}]"#),
            Ok(Search { before: Some(Position(7)), limit: Search::MAX, ..plain })
        );
        let images = decoded(r#"["search",{"types":["image"],"from":5,"snippets":true}]"#).unwrap();
        assert_eq!((&*images.text, images.kinds.len(), images.snippets), ("", 1, true));
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
            (r#""q":"a","senderId":{"$gt":""}"#, "senderId must be a string"),
            (r#""q":"a","senderUsername":["ann"]"#, "senderUsername must be a string"),
            (r#""q":"a","types":"image""#, "types must be a list of strings"),
            (r#""q":"a","types":[{"$gt":""}]"#, "types must be a list of strings"),
            (r#""q":"a","from":"yesterday""#, "from must be a whole number"),
            (r#""q":"a","until":-1"#, "until must be a whole number"),
            (r#""q":"a","order":1"#, "order must be a string"),
            (r#""q":"a","snippets":"yes""#, "snippets must be true or false"),
            (r#""types":[]"#, "q is missing"),
        ] {
            assert_eq!(decoded(&format!(r#"["search",{{{fields}}}]"#)).unwrap_err(), problem, "{fields}");
        }
        assert_eq!(decoded(r#"["search"]"#).unwrap_err(), "the payload must be an object");
        assert_eq!(decoded(r#"["search","a"]"#).unwrap_err(), "the payload must be an object");
        assert_eq!(decoded(r#"["other"]"#).unwrap_err(), "unknown event");
    }
}
