//! The optional parameters of a search besides words and a conversation, and the fields that they add to the response.
//! A request without them gets the same response as before they were introduced.
//!
//! ```text
//! GET /api/search?q=station&senderId=…&types=image,file&from=1795276800000&until=1795363200000
//! GET /api/search?q=station&order=best           {"messages":[{…}],"next":"42.0.…","complete":true}
//! GET /api/search?q=station&snippets=true        {…,"snippets":[{"text":"the station","marks":[[4,11]],…}]}
//! ```
//! `q` may be missing when a sender, a kind or a time is given. `types` are the types that messages have; `text` stands
//! for a message without image and file. Times are milliseconds since 1970; `until` is exclusive. Marks are pairs of
//! offsets in UTF-16 code units, as `String.prototype.slice` takes them. `bounded` is present and true when the search
//! ended at a limit ([`chat_core::search::Found::bounded`]).

use std::ops::Range;

use chat_core::clock::Timestamp;
use chat_core::model::UserKey;
use chat_core::search::{ContentKind, Found, Order, Search, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::{Arguments, wrong};
use crate::dialect::DecodeError;

/// Reads these parameters into a search that has no words and no conversation yet.
///
/// # Errors
/// When one of them has an invalid value.
pub(super) fn asked(arguments: &Arguments<'_>) -> Result<Search, DecodeError> {
    let id = arguments.id("senderId")?.map(UserKey::Id);
    let name = arguments.text("senderUsername")?.map(|name| UserKey::Username(name.into_owned()));
    if id.is_some() && name.is_some() {
        return Err(wrong("one of senderId and senderUsername", "given, and not both"));
    }
    let kind = |name: &str| match name {
        "text" => Ok(ContentKind::Text),
        "image" => Ok(ContentKind::Image),
        "file" => Ok(ContentKind::File),
        _ => Err(arguments.wrong("types")),
    };
    let moment = |field| {
        let millis = arguments.count(field)?.map(i64::try_from).transpose();
        let millis = millis.map_err(|_| arguments.wrong(field))?;
        Ok(millis.map(Timestamp::from_millis))
    };
    let (order, before) = match arguments.text("order")?.as_deref() {
        None | Some("newest") => (Order::Newest, arguments.position("before")?),
        Some("best") => (Order::Best(arguments.id("before")?), None),
        Some(_) => return Err(arguments.wrong("order")),
    };
    Ok(Search {
        author: id.or(name),
        kinds: arguments.texts("types")?.iter().map(|name| kind(name)).collect::<Result<_, _>>()?,
        from: moment("from")?,
        until: moment("until")?,
        order,
        before,
        snippets: arguments.flag("snippets")?.unwrap_or_default(),
        ..Search::default()
    })
}

/// What is answered to them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FoundExtra")]
pub(super) struct Extra {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snippets: Vec<SnippetObject>,
    /// There, and true, when the search ended before it had looked at everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    bounded: Option<bool>,
}

/// Where in a text is what was found; marks are pairs of places in UTF-16 code units.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Snippet")]
struct SnippetObject {
    text: String,
    marks: Vec<[usize; 2]>,
    cut_before: bool,
    cut_behind: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_name_marks: Vec<[usize; 2]>,
}

/// The response fields besides the messages.
pub(super) fn extra(found: &Found) -> Extra {
    let snippets = found.snippets.iter().map(snippet).collect();
    Extra { snippets, bounded: found.bounded.then_some(true) }
}

/// The value to pass as `before` for the next page.
pub(super) fn next(found: &Found) -> Option<String> {
    let newest = found.next.map(|next| next.0.to_string());
    newest.or_else(|| found.next_ranked.as_ref().map(ToString::to_string))
}

fn snippet(snippet: &Snippet) -> SnippetObject {
    let pairs = |marks: &[Range<usize>]| marks.iter().map(|mark| [mark.start, mark.end]).collect();
    SnippetObject {
        text: snippet.text.clone(),
        marks: pairs(&snippet.marks),
        cut_before: snippet.is_cut_before,
        cut_behind: snippet.is_cut_behind,
        file_name_marks: pairs(&snippet.file_name_marks),
    }
}

#[cfg(test)]
mod tests {
    use chat_core::command::Command;
    use chat_core::model::Position;

    use super::*;
    use crate::dialect::Call;
    use crate::dialect::native::table::decode;

    fn asked(fields: &str) -> Result<Search, String> {
        match decode(&Call::parse(&format!(r#"["search",{{"q":"a",{fields}}}]"#)).unwrap()) {
            Ok((Command::Search(search), _)) => Ok(search),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn options_are_not_guessed() {
        let search = asked(
            r#""senderId":"0123456789abcdef01234567","types":["image","file"],"from":5,"until":9,
                "order":"best","before":"9.0.1.2.3.4","snippets":true"#,
        );
        let search = search.unwrap();
        assert_eq!(search.author, Some(UserKey::Id("0123456789abcdef01234567".parse().unwrap())));
        assert_eq!(search.kinds, [ContentKind::Image, ContentKind::File]);
        let moments = (search.from.unwrap().as_millis(), search.until.unwrap().as_millis());
        assert_eq!((moments, search.snippets), ((5, 9), true));
        assert_eq!(search.order, Order::Best(Some("9.0.1.2.3.4".parse().unwrap())));
        let newest = asked(r#""before":"7","order":"newest""#).unwrap();
        assert_eq!((newest.before, newest.order), (Some(Position(7)), Order::Newest));
        for (fields, problem) in [
            (r#""senderId":"x""#, "senderId must be a user's id"),
            (r#""senderId":{"$gt":""}"#, "senderId must be a string"),
            (
                r#""senderId":"0123456789abcdef01234567","senderUsername":"ann""#,
                "one of senderId and senderUsername must be given, and not both",
            ),
            (r#""types":["video"]"#, "types must be a list of text, image and file"),
            (r#""types":[""]"#, "types must be a list of text, image and file"),
            (r#""from":18446744073709551615"#, "from must be milliseconds since 1970"),
            (r#""until":"now""#, "until must be a whole number"),
            (r#""order":"oldest""#, "order must be newest or best"),
            (r#""order":"best","before":"7""#, "before must be what was told as next"),
        ] {
            assert_eq!(asked(fields).unwrap_err(), problem, "{fields}");
        }
    }

    #[test]
    fn words_may_be_missing_where_something_else_is_asked_for() {
        let asked = |fields: &str| decode(&Call::parse(&format!(r#"["search",{{{fields}}}]"#)).unwrap());
        assert!(
            matches!(asked(r#""types":["image"]"#), Ok((Command::Search(search), _)) if search.text.is_empty())
        );
        assert!(asked(r#""order":"best""#).is_err());
    }

    #[test]
    fn who_asks_for_nothing_of_it_is_answered_nothing_of_it() {
        let shown = |found: &Found| serde_json::to_string(&extra(found)).unwrap();
        assert_eq!(shown(&Found::default()), "{}");
        let snippet = Snippet { text: "a b".into(), marks: vec![0..1, 2..3], ..Snippet::default() };
        let found = Found { bounded: true, snippets: vec![snippet], ..Found::default() };
        assert_eq!(
            shown(&found),
            r#"{"snippets":[{"text":"a b","marks":[[0,1],[2,3]],"cutBefore":false,"cutBehind":false}],"bounded":true}"#
        );
    }
}
