//! Every file in `tests/transcripts` is a test. `CHAT_TRANSCRIPT=camel/history cargo test --test transcripts` runs those
//! whose path contains this. How they are written: `chat::transcript`.

use std::path::{Path, PathBuf};

use chat::transcript::{check_folder, has_accounts};

fn folder(dialect: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(dialect)
}

#[tokio::test]
async fn camel() {
    check_folder(&folder("camel")).await;
}

#[tokio::test]
async fn native() {
    check_folder(&folder("native")).await;
}

#[tokio::test]
async fn push() {
    check_folder(&folder("push")).await;
}

#[test]
fn every_dialect_has_a_folder_and_a_test() {
    let mut folders: Vec<_> = std::fs::read_dir(folder(""))
        .expect("the folder can be read")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let built_in = chat_server::dialect::Dialects::built_in();
    let mut dialects: Vec<_> = built_in.known().iter().map(|dialect| dialect.name()).collect();
    dialects.sort_unstable();
    assert_eq!(folders, dialects);
    let tests = include_str!("transcripts.rs");
    for dialect in dialects {
        assert!(tests.contains(&format!("async fn {dialect}()")), "{dialect}");
        assert!(has_accounts(dialect), "{dialect}");
    }
}
