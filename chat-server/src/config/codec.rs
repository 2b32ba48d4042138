//! How texts are encoded in the store, and the operator's tables.

use std::fs;
use std::sync::Arc;

use chat_core::codec::{Codec, HuffmanCodec, OwnTables, Reading, StoredCodec, TableError, ZstdCodec};

use super::error::{ConfigError, wrong};

/// The codec that writes new bodies. Each codec reads what any of them has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecConfig {
    /// The compression that was made for chat.
    Huffman,
    /// Zstandard, which hardly compresses short messages.
    Zstd,
    /// Bodies are stored unchanged.
    None,
}

impl CodecConfig {
    /// All codecs, for error messages.
    pub(super) const ALL: [Self; 3] = [Self::Huffman, Self::Zstd, Self::None];

    /// The name in `CHAT_CODEC`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Huffman => "huffman",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }

    /// The codec with this name.
    ///
    /// # Errors
    /// When there is none: names `CHAT_CODEC` and its valid values.
    pub fn find(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|codec| codec.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            wrong("CHAT_CODEC", format!("{name:?} is not one of {known}"))
        })
    }

    /// Creates the codec. Every codec reads with the tables, but only `Huffman` writes with them.
    pub fn build(self, tables: Arc<OwnTables>) -> Arc<dyn Codec> {
        match self {
            Self::Huffman => Arc::new(HuffmanCodec::with_tables(tables)),
            Self::Zstd => Arc::new(Reading::new(ZstdCodec, tables)),
            Self::None => Arc::new(Reading::new(StoredCodec, tables)),
        }
    }
}

/// Loads the table files of [`Options::codec_tables`](super::Options::codec_tables).
///
/// # Errors
/// When there are too many files, or one cannot be read or used: names `CHAT_CODEC_TABLES` and the file.
pub fn codec_tables(paths: &[String]) -> Result<Arc<OwnTables>, ConfigError> {
    let wrong = |problem: String| wrong("CHAT_CODEC_TABLES", problem);
    // An empty variable in an .env file yields one empty path.
    let paths: Vec<&str> = paths.iter().map(|path| path.trim()).filter(|path| !path.is_empty()).collect();
    if paths.len() > OwnTables::MAX {
        return Err(wrong(format!("lists {} files, {} are the most", paths.len(), OwnTables::MAX)));
    }
    let mut loaded: Vec<(&str, Vec<u8>, u16)> = Vec::new();
    for path in paths {
        let file = fs::read(path).map_err(|error| wrong(format!("{path}: {error}")))?;
        // Each file is parsed separately, because an error does not name its file.
        let tables = OwnTables::new([&file]).map_err(|error| wrong(format!("{path}: {error}")))?;
        let Some((_, fingerprint)) = tables.sets().next() else { continue };
        if let Some((other, known, _)) = loaded.iter().find(|(_, _, known)| *known == fingerprint) {
            let problem = match *known == file {
                true => "they are the same".to_owned(),
                false => TableError::Ambiguous { fingerprint }.to_string(),
            };
            return Err(wrong(format!("{other}, {path}: {problem}")));
        }
        loaded.push((path, file, fingerprint));
    }
    let tables = OwnTables::new(loaded.iter().map(|(_, file, _)| file));
    let tables = tables.map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(tables))
}
