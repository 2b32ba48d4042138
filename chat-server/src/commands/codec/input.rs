//! Reads messages from lines of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

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
    pub(super) group: String,
    /// Empty if it was not asked for.
    pub(super) source: String,
    pub(super) text: String,
}

/// Which messages are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter<'a> {
    /// Those of at least so many bytes.
    pub(super) min_bytes: usize,
    /// Those of this split alone.
    pub(super) split: Option<&'a str>,
    /// Those of these groups alone, if there are any.
    pub(super) groups: &'a [String],
    /// Whether each must say where it is from.
    pub(super) sources: bool,
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
    #[error("no message is left")]
    Nothing,
    #[error("no message is left of the group {0:?}")]
    NothingOf(String),
}

/// Opens a file, or the standard input for `-`.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, InputError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// Reads the messages that are wanted, in their order. Empty lines are passed over.
pub(super) fn read(input: impl BufRead, filter: Filter<'_>) -> Result<Vec<Message>, InputError> {
    let mut messages = Vec::new();
    for (index, content) in input.split(b'\n').enumerate() {
        let (line, content) = (index + 1, content?);
        if content.trim_ascii().is_empty() {
            continue;
        }
        // Without the reason: the parser's own would quote what somebody has written.
        let fields = serde_json::from_slice::<Map<String, Value>>(&content);
        let mut fields = Fields { line, fields: fields.map_err(|_| InputError::NoObject(line))? };
        let (group, text) = (fields.take("group")?, fields.take("text")?);
        let source = if filter.sources { fields.take("source")? } else { String::new() };
        let of_split = match filter.split {
            Some(split) => fields.take("split")? == split,
            None => true,
        };
        let of_group = filter.groups.is_empty() || filter.groups.contains(&group);
        if of_split && of_group && text.len() >= filter.min_bytes {
            messages.push(Message { line, group, source, text });
        }
    }
    if messages.is_empty() {
        return Err(InputError::Nothing);
    }
    // A group that was mistyped must not be missed in silence.
    match filter.groups.iter().find(|group| messages.iter().all(|message| message.group != **group)) {
        Some(group) => Err(InputError::NothingOf(group.clone())),
        None => Ok(messages),
    }
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
        let messages = super::read(lines.as_bytes(), filter).map_err(|error| error.to_string())?;
        Ok(messages.into_iter().map(|message| (message.group, message.line)).collect())
    }

    const ALL: Filter<'_> = Filter { min_bytes: 0, split: None, groups: &[], sources: false };

    #[test]
    fn messages_are_taken_by_group_size_and_split() {
        let expect = |filter, expected: &[(&str, usize)]| {
            let found = read(LINES, filter).unwrap();
            assert!(found.iter().map(|(group, line)| (group.as_str(), *line)).eq(expected.iter().copied()));
        };
        let groups = ["de".to_owned(), "fr".to_owned()];
        expect(ALL, &[("en", 1), ("de", 3), ("en", 4)]);
        expect(Filter { min_bytes: 5, ..ALL }, &[("en", 1), ("de", 3)]);
        expect(Filter { split: Some("dev"), ..ALL }, &[("en", 1), ("en", 4)]);
        expect(Filter { groups: &groups[..1], ..ALL }, &[("de", 3)]);
        let error = read(LINES, Filter { groups: &groups, ..ALL }).unwrap_err();
        assert_eq!(error, r#"no message is left of the group "fr""#);
    }

    #[test]
    fn sources_are_read_where_they_are_needed() {
        let lines = r#"{"group":"en","text":"hello","source":"here"}"#;
        let messages = super::read(lines.as_bytes(), Filter { sources: true, ..ALL }).unwrap();
        assert_eq!(messages[0].source, "here");
        let error = read(LINES, Filter { sources: true, ..ALL }).unwrap_err();
        assert_eq!(error, "line 1: the field `source` is not a string");
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
            let error = read(&format!("{good}\n{line}\n"), ALL).unwrap_err();
            assert_eq!(error, problem);
        }
        let dev = Filter { split: Some("dev"), ..ALL };
        assert_eq!(read(good, dev).unwrap_err(), "line 1: the field `split` is missing");
        let long = Filter { min_bytes: 100, ..ALL };
        assert_eq!(read(good, long).unwrap_err(), "no message is left");
    }
}
