//! Tests for the configuration.

use chat_core::codec::{BlobFormat, Codec, DecodeError, HuffmanCodec, Kind};

use std::fs;
use std::path::Path;

use super::origins::origins as checked;
use super::*;

#[test]
fn development_answers_pages_of_this_machine_only() {
    let origins = checked(&[], false).unwrap();
    for yes in ["http://localhost:5173", "http://127.0.0.1:3000", "https://localhost", "http://[::1]:5173"] {
        assert!(origins.allow(yes), "{yes}");
    }
    for no in ["http://localhost.evil.com", "http://evil.com", "null", "", "http://127.0.0.1.evil.com:80"] {
        assert!(!origins.allow(no), "{no}");
    }
}

fn store_of(variables: &[(&str, &str)]) -> Result<StoreConfig, ConfigError> {
    use clap::{CommandFactory, FromArgMatches};
    let command = Options::command().mut_args(|arg| arg.env(None));
    let arguments = variables.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
    let arguments = ["chat-server".to_owned()].into_iter().chain(arguments);
    StoreConfig::find(&Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap())
}

#[test]
fn the_store_is_chosen_by_its_uri() {
    let uri = |variables: &[_]| match store_of(variables).unwrap() {
        StoreConfig::MongoDb { uri } => uri.expose().to_owned(),
        other => panic!("{variables:?} must be MongoDB, not {other:?}"),
    };
    let (one, other) = ("mongodb://ann:hush@localhost/old", "mongodb+srv://cluster.example/old?w=1");
    assert_eq!(uri(&[("store", one)]), one);
    assert_eq!(uri(&[("store", other)]), other);
    // An old .env contains only this variable.
    assert_eq!(uri(&[("mongo-uri", one)]), one);
    assert_eq!(uri(&[("mongodb-uri", other)]), other);
    assert_eq!(uri(&[("store", ""), ("mongo-uri", ""), ("mongodb-uri", one)]), one);
    let sqlite = |variables: &[_]| match store_of(variables).unwrap() {
        StoreConfig::Sqlite { path, .. } => path,
        other => panic!("{variables:?} must be SQLite, not {other:?}"),
    };
    assert_eq!(sqlite(&[("store", "sqlite:a/b.db"), ("mongo-uri", one)]), Path::new("a/b.db"));
    assert_eq!(sqlite(&[("data-dir", "here")]), Path::new("here/chat.db"));
    assert!(matches!(store_of(&[("store", "memory:")]), Ok(StoreConfig::Memory)));

    for (variables, named) in [
        (&[("store", "postgres://ann:hush@localhost")], "CHAT_STORE"),
        (&[("mongo-uri", "ann:hush@localhost")], "MONGO_URI"),
        (&[("mongodb-uri", "localhost")], "MONGODB_URI"),
    ] {
        let error = store_of(variables).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{named}: ")) && !error.contains("hush"), "{error}");
    }
    assert!(!format!("{:?}", store_of(&[("store", one)]).unwrap()).contains("hush"));
}

#[test]
fn a_codec_has_one_of_the_known_names() {
    for codec in CodecConfig::ALL {
        assert_eq!(CodecConfig::find(codec.name()).unwrap(), codec);
    }
    let error = CodecConfig::find("gzip").unwrap_err().to_string();
    assert_eq!(error, r#"CHAT_CODEC: "gzip" is not one of huffman, zstd, none"#);
}

/// A table file of this program; it behaves like one of an operator.
fn shipped(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../chat-core/src/codec/huffman/phrases/tables");
    format!("{folder}/{name}.cht")
}

#[test]
fn every_codec_reads_what_was_written_with_tables() {
    let tables = codec_tables(&[shipped("english"), String::new(), format!(" {} ", shipped("french"))]);
    let tables = tables.unwrap();
    let sets: Vec<_> = tables.sets().collect();
    assert_eq!(sets.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["english", "french"]);

    // The encoder prefers the built-in set, because its frame is two bytes shorter. So the frame is built by hand.
    let body = b"Shall we meet at the station at half past six? I can bring the tickets.";
    let mut blob = HuffmanCodec::new().encode(Kind::Message, body);
    assert_eq!(blob.format(), BlobFormat::Frame(1));
    blob.bytes[0] = (19 << 3) | (blob.bytes[0] & 7);
    blob.bytes.splice(1..1, sets[0].1.to_le_bytes());
    for codec in CodecConfig::ALL {
        let read = codec.build(tables.clone()).decode((&blob).into(), 1000);
        assert_eq!(read.as_deref(), Ok(&body[..]), "{}", codec.name());
        let unknown = DecodeError::UnknownTables { fingerprint: sets[0].1 };
        assert_eq!(codec.build(Arc::default()).decode((&blob).into(), 1000), Err(unknown));
    }
}

#[test]
fn table_files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(&path, content).unwrap();
        path
    };
    let refused = |paths: &[&String]| {
        let paths: Vec<String> = paths.iter().copied().cloned().collect();
        let error = codec_tables(&paths).unwrap_err().to_string();
        error.strip_prefix("CHAT_CODEC_TABLES: ").unwrap().to_owned()
    };
    assert_eq!(codec_tables(&[]).unwrap().sets().count(), 0);

    let english = shipped("english");
    let missing = folder.path().join("missing.cht").to_str().unwrap().to_owned();
    assert!(refused(&[&english, &missing]).starts_with(&format!("{missing}: No such file")));
    let foreign = write("foreign.cht", b"something else");
    assert!(refused(&[&english, &foreign]).starts_with(&format!("{foreign}: not a table file")));
    let file = fs::read(&english).unwrap();
    let damaged = write("damaged.cht", &[&file[..1000], &file[1001..]].concat());
    assert!(refused(&[&english, &damaged]).starts_with(&format!("{damaged}: the table file is damaged")));
    let copy = write("copy.cht", &file);
    assert_eq!(refused(&[&english, &copy]), format!("{english}, {copy}: they are the same"));
    assert_eq!(refused(&[&missing; 17]), "lists 17 files, 16 are the most");

    // Bytes behind the tables are not read, but they change the checksum and so the fingerprint.
    let (content, checksum) = file.split_last_chunk::<8>().unwrap();
    let fnv = |hash: u64, bytes: &[u8]| {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(hash, step)
    };
    let before = fnv(0xcbf2_9ce4_8422_2325, content);
    let same_fingerprint = |end: &[u8; 4]| fnv(before, end).to_le_bytes()[..2] == checksum[..2];
    let end = (0..u32::MAX).map(u32::to_le_bytes).find(same_fingerprint).unwrap();
    let other = write("other.cht", &[content, &end, &fnv(before, &end).to_le_bytes()].concat());
    assert!(codec_tables(std::slice::from_ref(&other)).is_ok());
    let problem = refused(&[&english, &other]);
    assert!(problem.starts_with(&format!("{english}, {other}: two table files have the fingerprint 0x")));
}

#[test]
fn client_url_may_list_several_with_paths_and_slashes() {
    let urls = ["https://a.example/", " https://b.example/chat ", ""].map(str::to_owned);
    let origins = checked(&urls, true).unwrap();
    assert!(origins.allow("https://a.example") && origins.allow("https://b.example"));
    assert!(!origins.allow("http://a.example"));
    assert!(checked(&["a.example".to_owned()], true).is_err());
}

#[test]
fn anybody_is_answered_in_development_only_and_without_cookies() {
    let given = |urls: &[&str], production| {
        let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
        checked(&urls, production)
    };
    for urls in [&["*"][..], &[" * "], &["https://a.example", "*"]] {
        let problem = given(urls, true).unwrap_err().to_string();
        assert!(problem.starts_with("CLIENT_URL: must name the origins"), "{problem}");
        let any = given(urls, false).unwrap();
        assert!(any.allow_any());
        for origin in ["https://b.example", "http://localhost:5173", "null", ""] {
            assert!(!any.allow(origin), "{origin:?} with cookies");
        }
    }
    let named_too = given(&["*", "https://a.example/"], false).unwrap();
    assert!(named_too.allow("https://a.example") && !named_too.allow("https://b.example"));
    for other in [given(&[], false).unwrap(), given(&["https://a.example"], true).unwrap()] {
        assert!(!other.allow_any() && !other.allow("null") && !other.allow("NULL"));
    }
    assert!(given(&["null"], true).is_err() && given(&["null"], false).is_err());
}

#[test]
fn passwords_are_checked_unless_the_operator_says_otherwise() {
    use clap::{CommandFactory, FromArgMatches};
    let rules = |variables: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let command = Options::command().mut_args(|arg| arg.env(None));
        let arguments = variables.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        let arguments = ["chat-server".to_owned()].into_iter().chain(arguments);
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        let mut options = Options::from_arg_matches(&matches).unwrap();
        options.data_dir = folder.path().to_owned();
        Config::check(&options).map(|config| config.auth.passwords).map_err(|error| error.to_string())
    };
    assert_eq!(rules(&[]), Ok(PasswordRules { min: None, check_common: true }));
    let (min, check) = (("password-min", "12"), ("password-check", "off"));
    assert_eq!(rules(&[min, check]), Ok(PasswordRules { min: Some(12), check_common: false }));
    assert_eq!(rules(&[("password-check", "no")]), Ok(PasswordRules { min: None, check_common: false }));
    assert!(rules(&[("password-check", "never")]).unwrap_err().contains("must be on or off"));
    for wrong in ["0", "73", "six"] {
        assert!(rules(&[("password-min", wrong)]).is_err(), "{wrong}");
    }
}
