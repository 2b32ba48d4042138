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
    // What a setting says is wrong with it has a code of its own.
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
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

/// Lines of a jargon that is spoken in this test alone; equal numbers give equal lines.
fn jargon(split: &str, numbers: std::ops::Range<usize>) -> String {
    const WORDS: [&str; 12] = [
        "krx-ingest",
        "OOMKILL",
        "zq-broker",
        "euw3b",
        "BACKPRESS",
        "pylon-auth",
        "RB-7741",
        "apn1c",
        "oncall(hvz)",
        "QRM_LOST",
        "mdw-cache",
        "CERT_EXP",
    ];
    let line = |number: usize| {
        let word = |at: usize| WORDS[(number * 7 + at * at * (1 + number % 11)) % WORDS.len()];
        let text = (0..8).map(word).collect::<Vec<_>>().join(" ");
        format!(
            "{{\"group\":\"en\",\"split\":\"{split}\",\"source\":\"made up\",\"text\":\"{text} #{number}\"}}\n"
        )
    };
    numbers.map(line).collect()
}

#[test]
fn tables_are_trained_and_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let lines = jargon("train", 0..200) + &jargon("test", 200..260);
    let train = |out: &str, more: &[&str]| {
        let arguments = ["codec", "train", "-", "--out", &path(out), "--phrases", "500", "--contexts", "4"];
        run(&[&arguments[..], &["--split", "train"], more].concat(), &lines)
    };
    let report = stdout(&train("ours.cht", &[]));
    let words: Vec<Vec<&str>> = report.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        (words[0][..].to_vec(), words[3][..].to_vec()),
        (vec!["messages", "200"], vec!["name", "ours"])
    );
    let file = std::fs::read(path("ours.cht")).expect("it was made");
    assert_eq!(words[2], ["file", &(path("ours.cht") + ","), &file.len().to_string(), "bytes"]);
    assert!(report.contains(&format!("CHAT_CODEC_TABLES={}\n", path("ours.cht"))), "{report}");

    let refused = complaint(&train("ours.cht", &["--name", "other"]));
    assert_eq!(
        refused,
        format!("chat-server: {}: is there already; --force overwrites it\n", path("ours.cht"))
    );
    stdout(&train("again.cht", &["--name", "ours"]));
    assert!(std::fs::read(path("again.cht")).expect("it was made") == file, "two runs differ");
    stdout(&train("again.cht", &["--name", "other", "--force"]));
    assert!(std::fs::read(path("again.cht")).expect("it is there") != file, "it was overwritten");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 2, "nothing else is left");

    let stats = |options: &[&str]| -> Value {
        let stats = ["codec", "stats", "-", "--json", "--split", "test", "--passes", "1"];
        serde_json::from_str(&stdout(&run(&[options, &stats[..]].concat(), &lines))).expect("it is JSON")
    };
    let both = format!("{},{}", path("ours.cht"), path("again.cht"));
    let (without, with) = (stats(&[]), stats(&["--codec-tables", &both]));
    let bytes = |report: &Value| report["all"]["bytes_out"].as_u64().expect("a number");
    assert!(bytes(&with) * 2 < bytes(&without), "{with}\n{without}");
    assert_eq!((&with["all"]["formats"]["19"], &without["all"]["formats"]["19"]), (&60.into(), &Value::Null));
}

#[test]
fn tables_that_cannot_be_trained_leave_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let lines = jargon("train", 0..200);
    let refused = |arguments: &[&str], input: &str| {
        let error = complaint(&run(&[&["codec", "train", "-"][..], arguments].concat(), input));
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0, "{error}");
        error
    };
    let out = path("ours.cht");
    let few = refused(&["--out", &out], MESSAGES);
    assert_eq!(few, "chat-server: 149 bytes of messages are too few to learn from; 10000 are the least\n");
    let phrases = refused(&["--out", &out, "--phrases", "9000"], &lines);
    assert_eq!(phrases, "chat-server: phrases must be 257 to 4095\n");
    let contexts = refused(&["--out", &out, "--contexts", "1"], &lines);
    assert_eq!(contexts, "chat-server: contexts must be 2 to 64\n");
    let name = refused(&["--out", &out, "--name", &"n".repeat(256)], &lines);
    assert_eq!(name, "chat-server: the length of the name must be 0 to 255\n");
    let group = refused(&["--out", &out, "--group", "en", "--group", "fr"], &lines);
    assert_eq!(group, "chat-server: -: no message is left of the group \"fr\"\n");
    assert_eq!(refused(&["--out", &out, "--split", "x"], &lines), "chat-server: -: no message is left\n");
    let folder = path("nowhere") + "/ours.cht";
    assert_eq!(
        refused(&["--out", &folder], &lines),
        format!("chat-server: {folder}: its folder is not there\n")
    );
    assert!(refused(&["--out", &path("a,b.cht")], &lines).contains("must have no comma"));
    let usage = run(&["codec", "train", "-"], &lines);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn shipped_sets_are_made_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sets = folder.path().join("sets");
    let train = |input: &str, more: &[&str]| {
        let arguments =
            ["--log", "error", "codec", "train", "-", "--shipped", sets.to_str().expect("it is text")];
        complaint(&run(&[&arguments[..], more].concat(), input))
    };
    // There is enough for the first alone, of the second there is nothing.
    let error = train(&jargon("train", 0..200), &[]);
    assert!(error.starts_with("chat-server: french: ") && error.contains("too few"), "{error}");
    let made: Vec<_> =
        std::fs::read_dir(&sets).expect("it was made").map(|file| file.unwrap().file_name()).collect();
    assert_eq!(made, ["english.cht"]);
    let error = train(&jargon("train", 0..200), &[]);
    assert!(error.contains("english.cht: is there already"), "{error}");
    let error = train(MESSAGES, &["--force"]);
    assert_eq!(error, "chat-server: -: line 1: the field `source` is missing\n");
    assert_eq!(run(&["codec", "train", "-", "--shipped", "x", "--out", "y"], "").status.code(), Some(2));
}

#[test]
fn tables_that_cannot_be_loaded_are_named() {
    let stats = |tables: &str| run(&["--codec-tables", tables, "codec", "stats", "-"], MESSAGES);
    let missing = complaint(&stats("nowhere.cht"));
    assert!(missing.starts_with("chat-server: CHAT_CODEC_TABLES: nowhere.cht: "), "{missing}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("no.cht").to_str().expect("it is text").to_owned();
    std::fs::write(&path, MESSAGES).expect("a file");
    let foreign = complaint(&stats(&path));
    assert!(
        foreign.starts_with(&format!("chat-server: CHAT_CODEC_TABLES: {path}: not a table file")),
        "{foreign}"
    );
    // The server itself does not start either.
    let server =
        complaint(&run(&["--data-dir", folder.path().to_str().unwrap(), "--codec-tables", &path], ""));
    // The modes of the folder, which others' umask has made, are mended before.
    let said = server.lines().any(|line| line.starts_with("chat-server: CHAT_CODEC_TABLES: "));
    assert!(said, "{server}");
}

#[test]
fn help_shows_commands_and_options() {
    let help = stdout(&run(&["--help"], ""));
    for part in
        ["Usage: chat-server [OPTIONS] [COMMAND]", "codec", "[env: PORT=]", "[env: CHAT_CODEC_TABLES=]"]
    {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(help.starts_with("A chat backend"), "{help}");
}

/// Runs the program in a folder that has a parent, with a `.env` in one of them.
fn run_with_dotenv(is_in_parent: bool, content: &[u8]) -> Output {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = parent.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let file = if is_in_parent { parent.path() } else { &folder }.join(".env");
    std::fs::write(file, content).expect("it can be written");
    let program = Command::new(env!("CARGO_BIN_EXE_chat-server"))
        .args(["codec", "stats", "-"])
        .env_clear()
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output();
    program.expect("the program runs")
}

#[test]
fn a_dotenv_file_counts_in_the_working_folder_only() {
    let wrong = b"CHAT_CODEC=gzip\n";
    assert!(complaint(&run_with_dotenv(false, wrong)).starts_with("chat-server: CHAT_CODEC: "));
    // There is nothing to measure; the codec is as good as any.
    assert_eq!(complaint(&run_with_dotenv(true, wrong)), "chat-server: -: no message is left\n");
}

#[test]
fn what_stands_in_a_dotenv_file_is_never_shown() {
    for (content, problem) in [
        (&b"PORT=1\n\nJWT_SECRET hush\n"[..], "line 3 "),
        (b"JWT_SECRET=hush\nA B=hush\n", "line 2 "),
        (b"JWT_SECRET hush\n", "line 1 "),
        (b"PORT=1\nJWT_SECRET=hush\xff\n", "UTF-8"),
    ] {
        let output = run_with_dotenv(false, content);
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && said.contains("the file .env") && said.contains(problem),
            "{said}"
        );
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn secrets_in_files_are_missed_by_the_name_of_their_variable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = |variables: &[(&str, &str)]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        program.env_clear().current_dir(folder.path()).stdin(Stdio::null());
        complaint(&program.envs(variables.iter().copied()).output().expect("it runs"))
    };
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").expect("it can be written");
    let empty = empty.to_str().expect("a plain path");
    for (variables, problem) in [
        (&[("JWT_SECRET_FILE", "/hush")][..], "JWT_SECRET_FILE: the file cannot be read: "),
        (&[("JWT_SECRET_FILE", empty)], "JWT_SECRET_FILE: the file is empty"),
        (&[("MONGO_URI", "hush"), ("MONGO_URI_FILE", empty)], "MONGO_URI_FILE: is set, and so is MONGO_URI"),
        (
            &[("NODE_ENV", "production"), ("CHAT_OLD_JWT_SECRET", "hush")],
            "JWT_SECRET: must be set in production",
        ),
        (
            &[("NODE_ENV", "production"), ("JWT_SECRET", &"hush".repeat(8)), ("CLIENT_URL", "*")],
            "CLIENT_URL: must name",
        ),
    ] {
        let said = serve(variables);
        assert!(said.starts_with(&format!("chat-server: {problem}")), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn the_help_names_every_variable_and_no_secret() {
    let secrets = [
        "JWT_SECRET",
        "CHAT_OLD_JWT_SECRET",
        "CHAT_STORE",
        "MONGO_URI",
        "MONGODB_URI",
        "REDIS_URL",
        "CLOUDINARY_API_KEY",
        "CLOUDINARY_API_SECRET",
        "RESEND_API_KEY",
    ];
    let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    program.env_clear().envs(secrets.map(|secret| (secret, "hush"))).arg("--help");
    let help = stdout(&program.output().expect("it runs"));
    for secret in secrets {
        assert!(help.contains(&format!("[env: {secret}]")), "{secret}: {help}");
        assert!(help.contains(&format!("[env: {secret}_FILE=]")), "{secret}_FILE: {help}");
    }
    assert!(!help.contains("hush"), "{help}");
}

#[test]
fn check_says_when_it_could_not_look() {
    for (store, reason) in
        [("sqlite:nowhere.db", "nowhere.db"), ("memory:", "memory:"), ("elsewhere", "CHAT_STORE")]
    {
        let output = run(&["--store", store, "check"], "");
        assert_eq!(output.status.code(), Some(2), "{store}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(reason), "{store}: {output:?}");
    }
}
