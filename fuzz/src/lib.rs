//! What the fuzz targets and the seeds share: tables of an operator's.

use std::sync::Arc;

use chat_core::codec::OwnTables;
use chat_core::codec::train::{Plan, train};

/// Tables for a language that nobody speaks, so that they win over the shipped ones where it is spoken.
///
/// # Panics
///
/// If the trainer fails.
pub fn own_tables() -> Arc<OwnTables> {
    Arc::new(OwnTables::new([table_file(320, 8)]).expect("what was trained is sound"))
}

/// A file of such tables with at most so many phrases and contexts.
///
/// # Panics
///
/// If the trainer fails.
pub fn table_file(phrases: usize, contexts: usize) -> Vec<u8> {
    let messages: Vec<String> = (0..400).map(jargon).collect();
    let messages: Vec<&[u8]> = messages.iter().map(String::as_bytes).collect();
    let plan = Plan { name: "jargon".to_owned(), phrases, contexts };
    train(&plan, &messages).expect("there are enough messages")
}

/// A sentence of that language, some 70 bytes; equal numbers give equal sentences.
pub fn jargon(number: usize) -> String {
    const WORDS: [&str; 12] = [
        "zyxqa", "vorpl", "#kx-77/", "ghuzz", "q_q", "dromtak", "XJQ:", "wibzil", "%%[", "]okv", "fnoq",
        "jyzzb",
    ];
    (0..12)
        .map(|at| WORDS[(number * 7 + at * at * (1 + number % 5)) % WORDS.len()])
        .collect::<Vec<_>>()
        .join(" ")
}
