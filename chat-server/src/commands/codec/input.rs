//! Reads messages from lines of JSON.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use chat_core::codec::Kind;
use clap::ValueEnum;
use serde_json::{Map, Value};

/// What [`Kind`] is called on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KindName {
    Message,
    File,
}

impl KindName {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Message => Kind::Message,
            Self::File => Kind::File,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::File => "file",
        }
    }
}

/// A text, and the line it stands on, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) line: usize,
    pub(super) text: String,
}

/// Which messages are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter<'a> {
    /// Those of at least so many bytes.
    pub(super) min_bytes: usize,
    /// Those of this split alone.
    pub(super) split: Option<&'a str>,
}

/// Why messages cannot be read. Never shows what stands in the line.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {0}: is not a JSON object")]
    NoObject(usize),
    #[error("line {line}: the field `{field}` is missing")]
    Missing { line: usize, field: &'static str },
    #[error("line {line}: the field `{field}` is not a string")]
    NoString { line: usize, field: &'static str },
    #[error("no message is left to measure")]
    Nothing,
}

/// Reads all messages, by group. Empty lines are passed over.
pub(super) fn read(
    input: impl BufRead,
    filter: Filter<'_>,
) -> Result<BTreeMap<String, Vec<Message>>, InputError> {
    let mut groups = BTreeMap::<String, Vec<Message>>::new();
    for (index, content) in input.split(b'\n').enumerate() {
        let (line, content) = (index + 1, content?);
        if content.trim_ascii().is_empty() {
            continue;
        }
        // Without the reason: the parser's own would quote what somebody has written.
        let fields = serde_json::from_slice::<Map<String, Value>>(&content);
        let mut fields = Fields { line, fields: fields.map_err(|_| InputError::NoObject(line))? };
        let (group, text) = (fields.take("group")?, fields.take("text")?);
        let wanted = match filter.split {
            Some(split) => fields.take("split")? == split,
            None => true,
        };
        if wanted && text.len() >= filter.min_bytes {
            groups.entry(group).or_default().push(Message { line, text });
        }
    }
    if groups.is_empty() { Err(InputError::Nothing) } else { Ok(groups) }
}

/// One line, taken apart.
struct Fields {
    line: usize,
    fields: Map<String, Value>,
}

impl Fields {
    fn take(&mut self, field: &'static str) -> Result<String, InputError> {
        let line = self.line;
        match self.fields.remove(field) {
            Some(Value::String(value)) => Ok(value),
            Some(_) => Err(InputError::NoString { line, field }),
            None => Err(InputError::Missing { line, field }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"group":"en","text":"hello","split":"dev","source":7}

{"group":"de","text":"grüß dich","split":"train"}
{"group":"en","text":"hi","split":"dev"}
"#;

    fn read(lines: &str, filter: Filter<'_>) -> Result<Vec<(String, usize)>, String> {
        let groups = super::read(lines.as_bytes(), filter).map_err(|error| error.to_string())?;
        let lines = |(group, messages): (String, Vec<Message>)| {
            messages.into_iter().map(move |message| (group.clone(), message.line))
        };
        Ok(groups.into_iter().flat_map(lines).collect())
    }

    #[test]
    fn messages_are_taken_by_group_size_and_split() {
        let expect = |filter, expected: &[(&str, usize)]| {
            let found = read(LINES, filter).unwrap();
            assert!(found.iter().map(|(group, line)| (group.as_str(), *line)).eq(expected.iter().copied()));
        };
        expect(Filter::default(), &[("de", 3), ("en", 1), ("en", 4)]);
        expect(Filter { min_bytes: 5, split: None }, &[("de", 3), ("en", 1)]);
        expect(Filter { min_bytes: 0, split: Some("dev") }, &[("en", 1), ("en", 4)]);
    }

    #[test]
    fn a_bad_line_is_named_with_its_field_and_without_its_content() {
        let good = r#"{"group":"en","text":"hello"}"#;
        for (line, problem) in [
            ("secret", "line 2: is not a JSON object"),
            (r#"["secret"]"#, "line 2: is not a JSON object"),
            (r#"{"group":"secret"}"#, "line 2: the field `text` is missing"),
            (r#"{"text":"secret"}"#, "line 2: the field `group` is missing"),
            (r#"{"group":"en","text":["secret"]}"#, "line 2: the field `text` is not a string"),
            (r#"{"group":3,"text":"secret"}"#, "line 2: the field `group` is not a string"),
        ] {
            let error = read(&format!("{good}\n{line}\n"), Filter::default()).unwrap_err();
            assert_eq!(error, problem);
        }
        let dev = Filter { min_bytes: 0, split: Some("dev") };
        assert_eq!(read(good, dev).unwrap_err(), "line 1: the field `split` is missing");
        let long = Filter { min_bytes: 100, split: None };
        assert_eq!(read(good, long).unwrap_err(), "no message is left to measure");
    }
}
