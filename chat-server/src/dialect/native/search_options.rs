//! What may be asked of a search besides words and a place, and what is answered to that. Who asks for none of it gets
//! the answer as it was before there were any.
//!
//! ```text
//! GET /api/search?q=station&senderId=…&types=image,file&from=1795276800000&until=1795363200000
//! GET /api/search?q=station&order=best           {"messages":[{…}],"next":"42.0.…","complete":true}
//! GET /api/search?q=station&snippets=true        {…,"snippets":[{"text":"the station","marks":[[4,11]],…}]}
//! ```
//! `q` may be missing when a sender, a kind or a moment is given. `types` are those that messages have, with `text` for what has
//! neither image nor file. Moments are milliseconds since 1970; `until` is left out of what is found. Marks are pairs of places
//! in UTF-16 code units, as `String.prototype.slice` takes them. `bounded` is there, and true, when the search ended at a
//! bound ([`chat_core::search::Found::bounded`]).

use std::ops::Range;

use chat_core::clock::Timestamp;
use chat_core::model::UserKey;
use chat_core::search::{ContentKind, Found, Order, Search, Snippet};
use serde::Serialize;

use super::parameters::position;
use crate::dialect::DecodeError;

/// What is asked for, as it was written.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    pub(crate) sender_id: Option<&'a str>,
    pub(crate) sender_username: Option<&'a str>,
    /// None and an empty list are all.
    pub(crate) types: Vec<&'a str>,
    pub(crate) from: Option<u64>,
    pub(crate) until: Option<u64>,
    pub(crate) order: Option<&'a str>,
    pub(crate) before: Option<&'a str>,
    pub(crate) snippets: bool,
}

impl Options<'_> {
    /// The search that asks for these, and for nothing else yet.
    ///
    /// # Errors
    /// When one of them is not what it must be.
    pub(crate) fn search(&self) -> Result<Search, DecodeError> {
        let wrong = |field, expected| DecodeError::WrongType { field, expected };
        let id = self.sender_id.map(|id| id.parse().map(UserKey::Id));
        let id = id.transpose().map_err(|_| wrong("senderId", "a user's id"))?;
        let name = self.sender_username.map(|name| UserKey::Username(name.to_owned()));
        if id.is_some() && name.is_some() {
            return Err(wrong("one of senderId and senderUsername", "given, and not both"));
        }
        let kind = |name: &&str| match *name {
            "text" => Ok(ContentKind::Text),
            "image" => Ok(ContentKind::Image),
            "file" => Ok(ContentKind::File),
            _ => Err(wrong("types", "a list of text, image and file")),
        };
        let moment = |field, millis: Option<u64>| {
            let millis = millis.map(i64::try_from).transpose();
            let millis = millis.map_err(|_| wrong(field, "milliseconds since 1970"))?;
            Ok(millis.map(Timestamp::from_millis))
        };
        let (order, before) = match self.order {
            None | Some("newest") => (Order::Newest, position("before", self.before)?),
            Some("best") => {
                let cursor = self.before.map(str::parse).transpose();
                (Order::Best(cursor.map_err(|_| wrong("before", "what was told as next"))?), None)
            }
            Some(_) => return Err(wrong("order", "newest or best")),
        };
        Ok(Search {
            author: id.or(name),
            kinds: self.types.iter().map(kind).collect::<Result<_, _>>()?,
            from: moment("from", self.from)?,
            until: moment("until", self.until)?,
            order,
            before,
            snippets: self.snippets,
            ..Search::default()
        })
    }
}

/// What is answered to them.
#[derive(Serialize)]
pub(crate) struct Extra {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snippets: Vec<SnippetObject>,
    /// There and true, or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    bounded: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnippetObject {
    text: String,
    marks: Vec<[usize; 2]>,
    cut_before: bool,
    cut_behind: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_name_marks: Vec<[usize; 2]>,
}

/// What is answered besides the messages.
pub(crate) fn extra(found: &Found) -> Extra {
    let snippets = found.snippets.iter().map(snippet).collect();
    Extra { snippets, bounded: found.bounded.then_some(true) }
}

/// What to pass as `before` for the next page.
pub(crate) fn next(found: &Found) -> Option<String> {
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
    use chat_core::model::Position;

    use super::*;

    #[test]
    fn options_are_not_guessed() {
        let problem = |options: &Options<'_>| options.search().unwrap_err().to_string();
        let id = "0123456789abcdef01234567";
        let all = Options {
            sender_id: Some(id),
            types: vec!["image", "file"],
            from: Some(5),
            until: Some(9),
            order: Some("best"),
            before: Some("9.0.1.2.3.4"),
            snippets: true,
            ..Options::default()
        };
        let search = all.search().unwrap();
        assert_eq!(search.author, Some(UserKey::Id(id.parse().unwrap())));
        assert_eq!(search.kinds, [ContentKind::Image, ContentKind::File]);
        let moments = (search.from.unwrap().as_millis(), search.until.unwrap().as_millis());
        assert_eq!((moments, search.snippets), ((5, 9), true));
        assert_eq!(search.order, Order::Best(Some("9.0.1.2.3.4".parse().unwrap())));
        assert_eq!(Options::default().search().unwrap(), Search::default());
        let newest = Options { before: Some("7"), order: Some("newest"), ..Options::default() };
        assert_eq!(newest.search().unwrap().before, Some(Position(7)));
        for (options, expected) in [
            (Options { sender_id: Some("x"), ..Options::default() }, "senderId must be a user's id"),
            (
                Options { types: vec!["video"], ..Options::default() },
                "types must be a list of text, image and file",
            ),
            (
                Options { types: vec![""], ..Options::default() },
                "types must be a list of text, image and file",
            ),
            (Options { from: Some(u64::MAX), ..Options::default() }, "from must be milliseconds since 1970"),
            (Options { order: Some("oldest"), ..Options::default() }, "order must be newest or best"),
            (
                Options { order: Some("best"), before: Some("7"), ..Options::default() },
                "before must be what was told as next",
            ),
            (
                Options { sender_username: Some("ann"), ..all },
                "one of senderId and senderUsername must be given, and not both",
            ),
        ] {
            assert_eq!(problem(&options), expected);
        }
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
