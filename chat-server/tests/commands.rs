//! The program's commands, run as somebody runs them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const MESSAGES: &str = r#"{"group":"en","split":"dev","text":"hi"}
{"group":"en","split":"dev","text":"Shall we meet at the station at half past six? I can bring the tickets."}
{"group":"de","split":"train","text":"Wollen wir uns um halb sieben am Bahnhof treffen? Ich bringe die Karten mit."}
"#;

/// Runs the program with these arguments and this input, in an empty folder and without any environment.
fn run(arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat-server"))
        .args(arguments)
        .env_clear()
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input is no failure here.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let left = std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "a command leaves no data folder behind");
    output
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// What it complains of; nothing but that may be said.
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).expect("it is text")
}

#[test]
fn stats_shows_groups_and_formats() {
    let text = stdout(&run(&["codec", "stats", "-"], MESSAGES));
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["codec", "huffman,", "kind", "message"]);
    assert_eq!(lines[3][..3], ["de", "1", "76"]);
    assert_eq!(lines[4][..3], ["en", "2", "73"]);
    assert_eq!(lines[5][..3], ["all", "3", "149"]);
    assert_eq!(lines[7][..4], ["blobs", "by", "format", "plain"]);
    assert_eq!(lines[9][..2], ["en", "1"]);
    assert_eq!(lines.len(), 11);
}

#[test]
fn stats_filters_and_writes_json() {
    let text =
        stdout(&run(&["codec", "stats", "-", "--json", "--split", "dev", "--min-bytes", "51"], MESSAGES));
    let report: Value = serde_json::from_str(&text).expect("it is JSON");
    let all = &report["all"];
    assert_eq!((&report["codec"], &report["kind"]), (&"huffman".into(), &"message".into()));
    assert_eq!(report["groups"].as_array().map(Vec::len), Some(1));
    assert_eq!((&report["groups"][0]["group"], &all["messages"]), (&"en".into(), &1.into()));
    assert_eq!(all["bytes_in"], 71);
    assert!(all["bytes_out"].as_u64() < Some(71) && all["ratio"].as_f64() < Some(1.0));
    assert!(all["encode_ns_per_message"].as_f64() > Some(0.0));
    assert_eq!(all["formats"].as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn the_configured_codec_is_measured() {
    let report = stdout(&run(&["--codec", "none", "codec", "stats", "--json", "-"], MESSAGES));
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!((&report["codec"], &report["all"]["ratio"]), (&"none".into(), &1.0.into()));
    let output = run(&["--codec", "gzip", "codec", "stats", "-"], MESSAGES);
    assert!(complaint(&output).starts_with("chat-server: CHAT_CODEC: "));
}

#[test]
fn a_bad_line_is_named_and_not_shown() {
    let output =
        run(&["codec", "stats", "-"], &format!("{MESSAGES}{{\"group\":\"en\",\"txt\":\"secret\"}}\n"));
    assert_eq!(complaint(&output), "chat-server: -: line 4: the field `text` is missing\n");
    let output = run(&["codec", "stats", "nowhere.jsonl"], "");
    assert!(complaint(&output).starts_with("chat-server: nowhere.jsonl: "));
}

#[test]
fn files_are_measured_one_by_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("short.txt"), "hi").expect("a file");
    std::fs::write(path("long.txt"), "the tea that the others see is there ".repeat(100)).expect("a file");

    let report = stdout(&run(&["codec", "file", "--json", &path("short.txt"), &path("long.txt")], ""));
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let [short, long] = [0, 1].map(|n| &report["files"][n]);
    assert_eq!((&short["format"], &short["ratio"]), (&"plain".into(), &1.0.into()));
    assert_eq!((&long["path"], &long["bytes_in"]), (&path("long.txt").into(), &3700.into()));
    assert!(long["ratio"].as_f64() < Some(0.6) && long["encode_mb_per_s"].as_f64() > Some(0.0));
    assert_eq!(report["all"]["bytes_in"], 3702);

    let table = stdout(&run(&["codec", "file", &path("long.txt")], ""));
    assert_eq!(table.lines().count(), 4, "one file needs no sum");
    assert!(complaint(&run(&["codec", "file", &path("none.txt")], "")).contains("none.txt"));
}

#[test]
fn help_shows_commands_and_options() {
    let help = stdout(&run(&["--help"], ""));
    for part in ["Usage: chat-server [OPTIONS] [COMMAND]", "codec", "[env: PORT=]", "[env: CHAT_CODEC=]"] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(help.starts_with("A chat backend"), "{help}");
}
