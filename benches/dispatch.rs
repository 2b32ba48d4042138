//! What one message costs on its way, step by step, without a network and without a disk: reading the event, carrying
//! out the command, writing the event, and compressing the text.
//!
//! ```text
//! cargo bench --bench dispatch
//! cargo bench --bench dispatch -- --quick
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use chat_core::codec::{self, Codec, HuffmanCodec, Kind, Metered};
use chat_core::prelude::*;
use chat_server::dialect::camel::Camel;
use chat_server::dialect::push::Push;
use chat_server::dialect::{Call, Dialect, EventPosition};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const PAIRS: usize = 100;
const TEXT: &str =
    "Shall we meet at the station at half past six? I can bring the tickets, if you take the sandwiches!!";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// A chat in memory and pairs of people who talk in it.
async fn talkers(pairs: usize) -> (Chat, Vec<(Actor, UserKey)>) {
    let chat = Chat::in_memory();
    let mut talkers = Vec::new();
    for n in 0..pairs {
        let mut pair = Vec::new();
        for side in ["ann", "bob"] {
            let registration = Registration::named(format!("{side}{n}"), PasswordHash::new("$2b$…"));
            pair.push(chat.register(registration).await.expect("a new person").user);
        }
        talkers.push((Actor { user: pair[0].id }, UserKey::Username(format!("bob{n}"))));
    }
    (chat, talkers)
}

fn send(to: &UserKey) -> SendMessage {
    SendMessage {
        to: Destination::Person(to.clone()),
        content: Content::text(TEXT),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    }
}

/// `Chat::execute`: check, look up, compress, store in memory, say who is told.
fn execute(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("execute");
    group.sample_size(20).throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("send_100_bytes", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                // Every sample begins on an empty store, so that memory does not fill up.
                let (chat, talkers) = talkers(PAIRS).await;
                let started = Instant::now();
                for n in 0..rounds as usize {
                    let (actor, to) = &talkers[n % PAIRS];
                    let outcome = chat.execute(actor, send(to)).await.expect("it is stored");
                    assert_eq!(black_box(outcome).deliveries.len(), 1);
                }
                started.elapsed()
            })
        });
    });
    group.finish();
}

/// From the text of a packet to a command, and from an event to the text of a packet.
fn dialect(c: &mut Criterion) {
    let mut group = c.benchmark_group("dialect");
    let argument =
        serde_json::json!({ "text": TEXT, "receiver": "bob", "timestamp": "2026-11-21T03:04:05.678Z" });
    let packet = serde_json::json!(["privateMessage", argument]).to_string();
    group.bench_function("camel_decode_private_message", |b| {
        b.iter(|| {
            let call = Call::parse(black_box(&packet)).expect("an event");
            Camel.decode(&call).expect("a command")
        });
    });

    let event = runtime().block_on(async {
        let (chat, talkers) = talkers(1).await;
        let (actor, to) = &talkers[0];
        chat.execute(actor, send(to)).await.expect("it is stored").deliveries.remove(0).event
    });
    let encode = |dialect: &dyn Dialect, mark| {
        let frames = dialect.outbound(black_box(&event), EventPosition(mark));
        assert!(!frames.is_empty());
        frames
    };
    let position = Some(Position(1_000_000));
    group.bench_function("camel_encode_private_message", |b| b.iter(|| encode(&Camel, position)));
    // What the position that follows costs is the difference to the one before; once, however many are told.
    group.bench_function("camel_encode_without_position", |b| b.iter(|| encode(&Camel, None)));
    group.bench_function("push_encode_new_message", |b| b.iter(|| encode(&Push, position)));
    group.finish();
}

/// The compression that every stored text goes through.
fn compress(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Bytes(TEXT.len() as u64));
    group.bench_function("encode_100_bytes", |b| {
        b.iter(|| HuffmanCodec::new().encode(Kind::Message, black_box(TEXT).as_bytes()));
    });
    // What counting costs is the difference to the one before.
    let metered = Metered::new(HuffmanCodec::new());
    group.bench_function("encode_100_bytes_metered", |b| {
        b.iter(|| metered.encode(Kind::Message, black_box(TEXT).as_bytes()));
    });
    let blob = HuffmanCodec::new().encode(Kind::Message, TEXT.as_bytes());
    assert!(blob.bytes.len() < TEXT.len(), "this text is meant to be compressed");
    group.bench_function("decode_100_bytes", |b| {
        b.iter(|| codec::decode(black_box(&blob), 1 << 20).expect("the text"));
    });
    group.finish();
}

criterion_group!(benches, execute, dialect, compress);
criterion_main!(benches);
