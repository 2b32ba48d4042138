//! Reads messages from lines of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use chat_core::codec::Kind;
use clap::ValueEnum;
use serde_json::{Map, Value};

/// The command line names of [`Kind`].
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

/// A text, and its line number, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) line: usize,
    pub(super) group: String,
    /// Empty if it was not requested.
    pub(super) source: String,
    pub(super) text: String,
}

/// Selects messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filter<'a> {
    /// Only messages with at least this many bytes.
    pub(super) min_bytes: usize,
    /// Only messages of this split.
    pub(super) split: Option<&'a str>,
    /// Only messages of these groups, if the list is not empty.
    pub(super) groups: &'a [String],
    /// Whether each message must have a source.
    pub(super) sources: bool,
}

/// Why messages cannot be read. The error never contains the content of a line.
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

/// Reads the selected messages in order. Empty lines are skipped.
pub(super) fn read(input: impl BufRead, filter: Filter<'_>) -> Result<Vec<Message>, InputError> {
    let mut messages = Vec::new();
    for (index, content) in input.split(b'\n').enumerate() {
        let (line, content) = (index + 1, content?);
        if content.trim_ascii().is_empty() {
            continue;
        }
        // The parser's reason is dropped, because it would quote the content of messages.
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
    // A mistyped group must not be ignored silently.
    match filter.groups.iter().find(|group| messages.iter().all(|message| message.group != **group)) {
        Some(group) => Err(InputError::NothingOf(group.clone())),
        None => Ok(messages),
    }
}

/// The fields of one line.
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
mod tests;
