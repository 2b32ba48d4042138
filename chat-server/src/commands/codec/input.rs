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
mod tests;
