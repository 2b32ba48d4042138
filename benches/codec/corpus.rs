//! The messages, which are not part of the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use zstd::dict::from_samples;

use crate::measure::Effort;

/// Smallest message in bytes that the codec compresses.
const SMALLEST: usize = chat_core::codec::MAX_PLAIN_MESSAGE + 1;

/// Bytes of a trained dictionary.
const DICTIONARY: usize = 112 * 1024;

/// The messages of one group.
#[derive(Default)]
pub(crate) struct Group {
    train: Vec<String>,
    /// What is measured.
    pub(crate) test: Vec<String>,
    /// Trained on this group alone; empty when there is too little text for one.
    pub(crate) dictionary: Vec<u8>,
}

/// All of them.
pub(crate) struct Corpus {
    /// By name; each has something to measure.
    pub(crate) groups: BTreeMap<String, Group>,
    /// Trained on all groups; empty when there is too little text for one.
    pub(crate) dictionary: Vec<u8>,
}

impl Corpus {
    pub(crate) fn read(path: &Path, effort: Effort) -> Result<Self, String> {
        let lines = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let mut groups = BTreeMap::<String, Group>::new();
        for (index, line) in lines.lines().enumerate() {
            let bad = |problem: &str| format!("line {}: {problem}", index + 1);
            let mut fields: Value = serde_json::from_str(line).map_err(|_| bad("is not JSON"))?;
            let mut field = |name: &str| match fields[name].take() {
                Value::String(value) => Ok(value),
                _ => Err(bad(&format!("the field `{name}` is not a string"))),
            };
            let (group, split, text) = (field("group")?, field("split")?, field("text")?);
            if text.len() < SMALLEST {
                continue;
            }
            let group = groups.entry(group).or_default();
            let (messages, most) = match split.as_str() {
                "train" => (&mut group.train, effort.most_samples()),
                _ => (&mut group.test, effort.most_messages()),
            };
            if messages.len() < most {
                messages.push(text);
            }
        }
        groups.retain(|_, group| !group.test.is_empty());
        if groups.is_empty() {
            return Err(format!("has no message of {SMALLEST} bytes outside of the split `train`"));
        }
        let all: Vec<&String> = groups.values().flat_map(|group| &group.train).collect();
        // Training fails for want of text, and then there is just no dictionary.
        let dictionary = from_samples(&all, DICTIONARY).unwrap_or_default();
        for group in groups.values_mut() {
            group.dictionary = from_samples(&group.train, DICTIONARY).unwrap_or_default();
        }
        Ok(Self { groups, dictionary })
    }
}

impl Group {
    /// The dictionaries it may be compressed with.
    pub(crate) fn dictionaries<'a>(&'a self, corpus: &'a Corpus) -> Vec<&'a [u8]> {
        [&self.dictionary[..], &corpus.dictionary].into_iter().filter(|bytes| !bytes.is_empty()).collect()
    }
}
