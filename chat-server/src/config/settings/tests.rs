//! Tests for all settings, with valid and invalid values of each.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::Config;

/// Other settings that are given together with the tested one, because they are required or would hide its error.
type Beside = &'static [(&'static str, &'static str)];

const LONG: &str = "hush-hush-hush-hush-hush-hush-hush-hush";

struct Row(&'static str, &'static [&'static str], &'static [&'static str], Beside);

const CLOUD: Beside =
    &[("CLOUDINARY_CLOUD_NAME", "c"), ("CLOUDINARY_API_KEY", "k"), ("CLOUDINARY_API_SECRET", "s")];
const MAIL: Beside = &[("RESEND_API_KEY", "k"), ("EMAIL_FROM", "a@b.example")];
const S3: Beside =
    &[("CHAT_FILES_S3_BUCKET", "my-bucket"), ("CHAT_FILES_S3_KEY_ID", "k"), ("CHAT_FILES_S3_SECRET", "s")];
const SWITCH: &[&str] = &["on", "off", "true", "false", "yes", "no", "1", "0", "ON", "True", ""];
const NO_SWITCH: &[&str] = &["2", "enabled", "tru", "nein", "-1", "on off"];
const NO_NUMBER: &[&str] = &["-1", "1.5", "many", "1e3", "0x10", "99999999999999999999", "10k", "NaN", "1 2"];
const NO_LIMIT: &[&str] = &["-1", "5.0", "many", "18446744073709551615", "10000001", "none", "unlimited"];
const NO_BYTES: &[&str] = &["-1", "1G", "18446744073709551615", "none"];
const NO_FILE: &[&str] = &["/hush/nowhere", "hush\nhush"];

/// Valid and invalid values of each setting. `{here}` is an empty folder, `{file}` a file with a long secret, `{uri}` a
/// file with the address of a MongoDB, `{cert}` and `{key}` a certificate and its key.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row("PORT", &["0", "1", "3000", "65535"], &["65536", "-1", "http", "80,81", "3000/tcp"], &[]),
    Row("CHAT_HOST", &["0.0.0.0", "127.0.0.1", "::", "::1"], &["localhost", "127.0.0.1:3000", "[::1]", "1.2.3", "http://127.0.0.1"], &[]),
    Row("NODE_ENV", &["development", "production", "test", ""], &["prod", "Production", "dev", "staging", "production "], &[("JWT_SECRET", LONG)]),
    Row("CLIENT_URL", &["https://a.example", "http://localhost:5173,https://b.example/", "*"], &["a.example", "localhost:5173"], &[]),
    Row("CHAT_PUBLIC_URL", &["https://chat.example.com", "http://10.0.0.1:3000/chat/"], &["chat.example.com", "//chat.example.com", "ftp://chat.example.com", "https://", "https://a b"], &[]),
    Row("CHAT_TRUST_PROXY", &["0", "1", "16"], &["17", "-1", "true", "loopback", "4294967296"], &[]),
    Row("JWT_SECRET", &["short", LONG], &[], &[]),
    Row("CHAT_OLD_JWT_SECRET", &["short", "one,two"], &["1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"], &[]),
    Row("CHAT_TOKEN_IN_BODY", SWITCH, NO_SWITCH, &[]),
    Row("CHAT_COOKIE_SAMESITE", &["strict", "lax", "none", "None"], &["any", "true"], &[]),
    Row("CHAT_ACCESS_TOKEN_MINUTES", &["1", "15", "1440"], &["0", "1441", "15m", "-1"], &[]),
    Row("CHAT_REFRESH_TOKEN_DAYS", &["1", "30", "3650"], &["0", "3651", "30d", "-30"], &[]),
    Row("CHAT_TOKEN_DAYS", &["1", "7", "3650"], &["0", "3651", "4294967295", "7d", "-7"], &[]),
    Row("CHAT_BCRYPT_COST", &["4", "12", "16"], &["3", "17", "31", "32", "-4"], &[]),
    Row("CHAT_LOGIN_LIMIT", &["0", "5", "1000000"], NO_LIMIT, &[]),
    Row("CHAT_LOGIN_ADDRESS_LIMIT", &["0", "50"], NO_LIMIT, &[]),
    Row("CHAT_SIGNUP_LIMIT", &["0", "100"], NO_LIMIT, &[]),
    Row("CHAT_PASSWORD_MIN", &["1", "6", "72"], &["0", "73", "256", "six"], &[]),
    Row("CHAT_PASSWORD_CHECK", SWITCH, NO_SWITCH, &[]),
    Row("CHAT_MESSAGE_LIMIT", &["0", "60"], NO_LIMIT, &[]),
    Row("CHAT_SEARCH_LIMIT", &["0", "120"], NO_LIMIT, &[]),
    Row("CHAT_MEDIA_QUOTA", &["0", "1073741824"], NO_BYTES, &[]),
    Row("CHAT_MEDIA_RATE", &["0", "209715200"], NO_BYTES, &[]),
    Row("CHAT_FILES_MAX_BYTES", &["1", "104857600"], &["0", "-1", "1G", "18446744073709551615"], &[]),
    Row("CHAT_FILES_QUOTA", &["0", "1073741824"], NO_BYTES, &[]),
    Row("CHAT_FILES_RATE", &["0", "1073741824"], NO_BYTES, &[]),
    Row("CHAT_FILES_TYPES", &["image", "image,pdf,.docx", "PNG"], &["exe", "image,svg", "all", "image,,pdf"], &[]),
    Row("CHAT_FILES_LINK_MINUTES", &["1", "60", "10080"], &["0", "10081", "1h", "-1"], &[]),
    Row("CHAT_FILES_S3_BUCKET", &["my-bucket", "my.bucket.1", ""], &["My", "a b", "hush/hush", "x"], S3),
    Row("CHAT_FILES_S3_ENDPOINT", &["https://minio.example", "http://127.0.0.1:9000"], &["minio.example", "https://", "ftp://x"], S3),
    Row("CHAT_FILES_S3_REGION", &["eu-central-1", "auto"], &["eu central", "a/b"], S3),
    Row("CHAT_FILES_S3_KEY_ID", &["AKIA1"], &[], S3),
    Row("CHAT_FILES_S3_SECRET", &[LONG], &[], S3),
    Row("CHAT_FILES_S3_PREFIX", &["files", "a/b", ""], &["a\nb"], S3),
    Row("CHAT_FILES_S3_SECRET_FILE", &["{file}"], NO_FILE, &[("CHAT_FILES_S3_BUCKET", "my-bucket"), ("CHAT_FILES_S3_KEY_ID", "k")]),
    Row("CHAT_SCAN_COMMAND", &["clamdscan --fdpass", "/usr/bin/scan"], &["a\nb"], &[]),
    Row("CHAT_SCAN_CLAMD", &["127.0.0.1:3310", "clamd.example:3310", "/run/clamd.sock"], &["3310", "127.0.0.1", ":3310", "host:port"], &[]),
    Row("CHAT_READ_BUDGET", &["0", "60", "1000000"], NO_LIMIT, &[]),
    Row("CHAT_CHANGE_BUDGET", &["0", "1200", "10000000"], NO_LIMIT, &[]),
    Row("CHAT_EDIT_MINUTES", &["0", "15", "5256000"], &["5256001", "-1", "a day"], &[]),
    Row("CHAT_KEEP_EDITS", SWITCH, NO_SWITCH, &[]),
    Row("CHAT_SEND_BUDGET", &["0", "200"], NO_LIMIT, &[]),
    Row("CHAT_STORE", &["memory:", "sqlite:{here}/a.db", "mongodb://localhost/x"], &["postgres://ann:hush@localhost", "{here}/a.db", "sqlite:", "memory"], &[]),
    Row("MONGO_URI", &["mongodb://localhost/x", "mongodb+srv://c.example/x", ""], &["localhost", "http://ann:hush@localhost", "sqlite:x"], &[]),
    Row("MONGODB_URI", &["mongodb://localhost/x", ""], &["localhost", "memory:"], &[]),
    Row("CHAT_DATA_DIR", &["{here}/new/folder"], &["/dev/null/hush", "{file}"], &[]),
    Row("CHAT_SQLITE_SYNCHRONOUS", &["full", "normal"], &["FULL", "off", "extra"], &[]),
    Row("CHAT_CODEC", &["huffman", "zstd", "none"], &["gzip", "hufman", "Zstd"], &[]),
    Row("CHAT_CODEC_TABLES", &[""], &["/hush/nowhere", "{file}"], &[]),
    Row("REDIS_URL", &["redis://localhost", "rediss://:hush@localhost:6380/2"], &[], &[]),
    Row("CHAT_REDIS_CA", &["{cert}", ""], &["/hush/nowhere", "hush\nhush", "{file}", "{here}"], &[("REDIS_URL", "rediss://localhost")]),
    Row("CHAT_REDIS_CERT", &["{cert}"], NO_FILE, &[("REDIS_URL", "rediss://localhost"), ("CHAT_REDIS_KEY", "{key}")]),
    Row("CHAT_REDIS_KEY", &["{key}"], &["/hush/nowhere", "hush\nhush", "{file}", "{cert}"], &[("REDIS_URL", "rediss://localhost"), ("CHAT_REDIS_CERT", "{cert}")]),
    Row("CHAT_BUS", &["redis", "store", "none"], &["kafka", "Redis", "rediss"], &[("REDIS_URL", "redis://localhost")]),
    Row("CHAT_NODE", &["a", "node-1_b"], &["a.b", "a b", "ü", "123456789012345678901234567890123"], &[]),
    Row("CHAT_DIALECTS", &["camel", "push", "push,camel"], &["camel,pusch", "all", "camel,,push"], &[]),
    Row("CHAT_DEFAULT_DIALECT", &["camel", "push"], &["kamel", "both"], &[]),
    Row("CHAT_STATIC_DIR", &["{here}"], &["/hush/nowhere", "{file}"], &[]),
    Row("CHAT_DOCS", SWITCH, NO_SWITCH, &[]),
    Row("CHAT_SOCKET_PATH", &["/socket.io", "/socket.io/", "chat"], &["/api", "http://x", "/a b"], &[]),
    Row("CHAT_TOKEN_IN_QUERY", SWITCH, NO_SWITCH, &[]),
    Row("CHAT_OPERATORS", &["", "ann", "ann, bob", "ann@example.com"], &["ann,,bob", "a b", "ann\nbob"], &[]),
    Row("CHAT_RECOVERY_LIMIT", &["0", "100000", "10000000"], &["10000001", "-1", "all"], &[]),
    Row("CHAT_POSITION", &["event", "argument"], &["Event", "both"], &[]),
    Row("CHAT_LOG_DAYS", &["0", "30", "36500"], &["36501", "-1", "4294967295", "ever"], &[]),
    Row("CHAT_PING_INTERVAL", &["100", "12000", "300000"], &["0", "1", "99", "300001", "12s"], &[]),
    Row("CHAT_PING_TIMEOUT", &["100", "8000", "300000"], &["0", "99", "300001", "-1"], &[]),
    Row("CHAT_STALL_TIMEOUT", &["100", "8000", "300000"], &["0", "99", "18446744073709551615"], &[]),
    Row("CHAT_MAX_CONNECTIONS", &["1", "100000", ""], &["0", "4000001", "-1"], &[]),
    Row("CHAT_ADDRESS_LIMIT", &["1", "1000", ""], &["0", "4000001", "none"], &[]),
    Row("CHAT_MEMORY_LIMIT", &["64M", "2G", "536870912", ""], &["0", "1M", "many", "512 MB", "99999999999999999999G"], &[]),
    Row("CHAT_THREADS", &["1", "4", "256", ""], &["0", "257", "100000", "-1", "all"], &[]),
    Row("CLOUDINARY_CLOUD_NAME", &["demo-1", "a_b"], &["a b", "a/b", "cloudinary://key:hush@demo"], CLOUD),
    Row("CLOUDINARY_API_KEY", &["1234"], &[], CLOUD),
    Row("CLOUDINARY_API_SECRET", &[LONG], &[], CLOUD),
    Row("CHAT_CLOUDINARY_URL", &["https://api.cloudinary.com", "http://127.0.0.1:1"], &["api.cloudinary.com", "https://", "ftp://x", "https:///x"], CLOUD),
    Row("RESEND_API_KEY", &["re_x"], &[], MAIL),
    Row("EMAIL_FROM", &["chat@example.com", "Chat <chat@example.com>"], &["chat", "chat@", "@example.com", "a@b c", "a@b\nBcc: hush@x"], MAIL),
    Row("EMAIL_FROM_NAME", &["Chat App", "Plauderei ü"], &["a\nb", "a\rb"], MAIL),
    Row("CHAT_RESEND_URL", &["https://api.resend.com"], &["api.resend.com", "https://"], MAIL),
    Row("CHAT_LOG", &["error", "warn", "info", "debug", "trace", "off", "INFO", "info,chat_server=debug", "warn,security=info", "chat_core::store=trace,warn"],
        &["verbose", "infos", "info,chat_server", "chat_server=loud", "info;debug", ",", "7", "silly", "[span]=info"], &[]),
    Row("CHAT_LOG_FORMAT", &["text", "json"], &["JSON", "pretty", "logfmt"], &[]),
    Row("JWT_SECRET_FILE", &["{file}"], NO_FILE, &[]),
    Row("CHAT_OLD_JWT_SECRET_FILE", &["{file}"], NO_FILE, &[]),
    Row("CHAT_STORE_FILE", &["{uri}"], NO_FILE, &[]),
    Row("MONGO_URI_FILE", &["{uri}"], NO_FILE, &[]),
    Row("MONGODB_URI_FILE", &["{uri}"], NO_FILE, &[]),
    Row("REDIS_URL_FILE", &["{file}"], NO_FILE, &[]),
    Row("CLOUDINARY_API_KEY_FILE", &["{file}"], NO_FILE, &[("CLOUDINARY_CLOUD_NAME", "c"), ("CLOUDINARY_API_SECRET", "s")]),
    Row("CLOUDINARY_API_SECRET_FILE", &["{file}"], NO_FILE, &[("CLOUDINARY_CLOUD_NAME", "c"), ("CLOUDINARY_API_KEY", "k")]),
    Row("RESEND_API_KEY_FILE", &["{file}"], NO_FILE, &[("EMAIL_FROM", "a@b.example")]),
];

/// The variables of all flags.
fn variables() -> Vec<String> {
    let command = Options::command();
    let variables = command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    variables.collect()
}

/// The result of a start with these settings.
fn start(folder: &std::path::Path, given: &[(&str, String)]) -> Result<(), String> {
    let command = Options::command();
    let flag = |name: &str| {
        let arg = command.get_arguments().find(|arg| arg.get_env().is_some_and(|env| env == name));
        arg.unwrap_or_else(|| panic!("{name} has no flag")).get_long().unwrap().to_owned()
    };
    let mut arguments = vec!["chat-server".to_owned()];
    if given.iter().all(|(name, _)| *name != "CHAT_DATA_DIR") {
        arguments.push(format!("--data-dir={}", folder.join("data").display()));
    }
    arguments.extend(given.iter().map(|(name, value)| format!("--{}={value}", flag(name))));
    // The names of the variables come from the original command, the values only from flags.
    let alone = command.clone().mut_args(|arg| arg.env(None));
    let texts = alone.clone().mut_args(|arg| {
        let is_given = arg.get_action().takes_values();
        if is_given { arg.value_parser(clap::value_parser!(std::ffi::OsString)) } else { arg }
    });
    let texts = texts.try_get_matches_from(&arguments).map_err(|error| error.to_string())?;
    super::given::check(&command, &texts).map_err(|error| error.to_string())?;
    let options = alone.try_get_matches_from(&arguments).map_err(|error| error.to_string())?;
    let options = Options::from_arg_matches(&options).map_err(|error| error.to_string())?;
    Config::check(&options).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_setting_takes_what_is_good_and_names_itself_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (here, file, uri) =
        (folder.path().join("page"), folder.path().join("secret"), folder.path().join("uri"));
    std::fs::create_dir(&here).unwrap();
    std::fs::write(&file, LONG).unwrap();
    std::fs::write(&uri, "mongodb://localhost/x\n").unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let filled = |value: &str| {
        let value = value.replace("{cert}", cert.to_str().unwrap()).replace("{key}", key.to_str().unwrap());
        let value = value.replace("{here}", here.to_str().unwrap()).replace("{file}", file.to_str().unwrap());
        value.replace("{uri}", uri.to_str().unwrap())
    };
    for Row(name, good, bad, beside) in ROWS {
        let given = |value: &str| {
            let beside = beside.iter().filter(|(other, _)| other != name);
            let mut given: Vec<_> = beside.map(|(name, value)| (*name, filled(value))).collect();
            given.push((*name, filled(value)));
            start(folder.path(), &given)
        };
        for value in *good {
            // clap cannot parse an empty flag of a number; empty variables are removed earlier.
            let is_read =
                !value.is_empty() || !matches!(setting(name).kind, Kind::Number(_) | Kind::Limit(_));
            if is_read && !(value.is_empty() && *name == "NODE_ENV") {
                assert_eq!(given(value), Ok(()), "{name}={value}");
            }
        }
        let numbers: &[&str] = match setting(name).kind {
            Kind::Number(_) | Kind::Limit(_) => NO_NUMBER,
            _ => &[],
        };
        for value in bad.iter().chain(numbers) {
            let Err(refused) = given(value) else { panic!("{name}={value} must be refused") };
            assert!(refused.starts_with(&format!("{name}: ")), "{name}={value}: {refused}");
            assert!(!refused.contains("hush-") && !refused.contains("ann:"), "{name}: {refused}");
        }
    }
}

fn setting(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{name} is in no row"))
}

#[test]
fn no_setting_is_without_a_row_here_there_and_in_the_docs() {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let variables = sorted(variables());
    assert_eq!(sorted(SETTINGS.iter().map(|setting| setting.name.to_owned()).collect()), variables);
    assert_eq!(sorted(ROWS.iter().map(|row| row.0.to_owned()).collect()), variables);
    let page = include_str!("../../../../docs/configuration.md");
    for name in &variables {
        assert!(page.contains(&format!("`{name}`")), "docs/configuration.md does not know {name}");
    }
    // All variables that the page mentions exist.
    let mut known_to_page = page.split('`').skip(1).step_by(2).filter(|code| {
        code.starts_with("CHAT_")
            && code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
    });
    assert_eq!(known_to_page.find(|name| *name != "CHAT_" && !variables.contains(&(*name).to_owned())), None);
}

#[test]
fn ranges_have_reasons_and_hold_the_defaults() {
    for setting in SETTINGS {
        let has_range = matches!(setting.kind, Kind::Number(_) | Kind::Limit(_));
        assert!(!has_range || !setting.reason.is_empty(), "{} has no reason", setting.name);
    }
    let command = Options::command().mut_args(|arg| arg.env(None));
    let options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    check(&options).unwrap();
    assert_eq!(limits_off(&options), ["CHAT_MESSAGE_LIMIT"]);
}

#[test]
fn what_a_program_sets_by_itself_is_checked_too() {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    options.ping_interval = 0;
    let refused = Config::check(&options).unwrap_err().to_string();
    assert!(
        refused.starts_with("CHAT_PING_INTERVAL: \"0\" is not a whole number from 100 to 300000: "),
        "{refused}"
    );
}

#[test]
fn the_nearest_word_is_named() {
    let refused = |name: &str, value: &str| setting(name).check(Some(value)).unwrap_err().to_string();
    assert!(refused("NODE_ENV", "prod").starts_with(
        "NODE_ENV: \"prod\" is not one of development, production, test (is production meant?): "
    ));
    assert!(refused("CHAT_CODEC", "hufman").ends_with("(is huffman meant?)"));
    assert!(refused("CHAT_LOG", "verbose").starts_with("CHAT_LOG: must be error, warn, info"));
    assert!(!refused("PORT", "mongodb://ann:hush@localhost").contains("hush"));
}
