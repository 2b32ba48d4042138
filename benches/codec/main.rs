//! The codec against others, in one process on the same bodies: what is left of them, and how long it takes.
//!
//! ```text
//! CODEC_CORPUS=messages.jsonl CODEC_FILES=folder cargo bench --bench codec
//! CODEC_CORPUS=messages.jsonl cargo bench --bench codec -- --quick     # fewer messages, timed once
//! ```
//!
//! `CODEC_CORPUS` has a message a line, `{"group": "en", "split": "train", "text": "…"}`. Dictionaries are trained on the
//! split `train`, everything is measured on the others, on messages that the codec compresses (51 bytes and more).
//! Without it the messages are left out. `CODEC_FILES` is a folder of files to measure as attachments, such as real
//! images; without it noise stands for what is compressed already.
//!
//! The output is markdown. Rivals are shown at their best: contexts and dictionaries are prepared beforehand, frames
//! have no magic number, checksum or dictionary id, and of a dictionary of the group and one of all groups the one
//! counts that leaves less.

mod attachments;
mod corpus;
mod measure;
mod naive;
mod report;
mod rivals;

use std::path::PathBuf;

use self::corpus::Corpus;
use self::measure::Effort;

fn main() {
    let set =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    // `cargo test --benches` runs this too, without `--bench`, to see that it works.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let effort = if has("--quick") || !has("--bench") { Effort::Quick } else { Effort::Full };

    match set("CODEC_CORPUS") {
        Some(path) => match Corpus::read(&path, effort) {
            Ok(corpus) => report::messages(&corpus, effort),
            Err(problem) => {
                eprintln!("CODEC_CORPUS: {}: {problem}", path.display());
                std::process::exit(1);
            }
        },
        None => println!("**Messages are left out:** CODEC_CORPUS does not name a file of messages.\n"),
    }
    match attachments::all(set("CODEC_FILES").as_deref(), effort) {
        Ok(attachments) => report::attachments(&attachments, effort),
        Err(problem) => {
            eprintln!("CODEC_FILES: {problem}");
            std::process::exit(1);
        }
    }
}
