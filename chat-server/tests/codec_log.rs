//! What is logged of the compression: which tables are in use, and of a compressed text its sizes, as an operator sees
//! it who sets `CHAT_LOG=info,chat_core::codec=debug`.

use std::io;
use std::sync::{Arc, Mutex};

use chat_core::codec::{Codec, HuffmanCodec, Kind, Metered, OwnTables};
use chat_server::config::{Config, Options};
use clap::Parser;
use tracing_subscriber::EnvFilter;

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(filter: &str, work: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let lines = kept.0.lock().expect("nobody panics").clone();
    String::from_utf8(lines).expect("it is text").lines().map(str::to_owned).collect()
}

#[test]
fn a_compressed_text_is_logged_by_its_size_alone() {
    let codec = Metered::new(HuffmanCodec::new());
    let text = "a secret of more than fifty bytes, which is therefore compressed";
    let bytes_out = codec.encode(Kind::Message, text.as_bytes()).bytes.len();
    let encode = || {
        let blob = codec.encode(Kind::Message, text.as_bytes());
        codec.encode(Kind::Message, b"a short secret");
        codec.decode((&blob).into(), text.len()).expect("it is whole");
    };
    let [line] = &logged("info,chat_core::codec=debug", encode)[..] else { panic!("one line is expected") };
    for part in
        ["DEBUG chat_core::codec", "kind=Message", &format!("bytes_in=64 bytes_out={bytes_out} ratio=0.")]
    {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
    assert!(logged("info", encode).is_empty());
}

#[test]
fn the_start_says_which_tables_are_in_use() {
    let tables =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../chat-core/src/codec/huffman/phrases/tables/english.cht");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("it is text");
    let options = ["--store", "memory:", "--data-dir", data, "--codec", "none", "--codec-tables", tables];
    let options = Options::parse_from(["chat-server"].into_iter().chain(options));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let lines = logged("info", || {
        let config = Config::check(&options).expect("it can be used");
        let opened = runtime.block_on(chat_server::app(config)).expect("it starts");
        runtime.block_on(opened.close());
    });
    // The modes of a folder that was made with others' umask may be spoken of, too.
    let about_tables: Vec<_> = lines.iter().filter(|line| line.contains("tables")).collect();
    let [line] = about_tables[..] else { panic!("one line is expected: {lines:?}") };
    let tables = OwnTables::new([std::fs::read(tables).expect("the file is there")]).expect("it is sound");
    let (_, fingerprint) = tables.sets().next().expect("there is one set");
    let fingerprint = format!("fingerprint={fingerprint:#06x}");
    for part in ["INFO", "tables of CHAT_CODEC_TABLES are in use", r#"name="english""#, &fingerprint] {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
}
