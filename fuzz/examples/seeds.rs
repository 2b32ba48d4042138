//! Makes the inputs that fuzzing begins with, in the folder `corpus`: blobs of every format, bodies of many kinds, table
//! files, and what clients say. Without them a fuzzer would take hours to find what a sound frame looks like.
//!
//! ```text
//! cargo run --release --example seeds
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use chat_core::codec::{Codec, Encoding, HuffmanCodec, Kind, StoredCodec, ZstdCodec};

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = |target: &str| here.join("corpus").join(target);
    for target in ["decode", "round_trip", "tables"] {
        fs::create_dir_all(corpus(target))?;
    }

    // Small ones: those that come with the program take a fuzzer a tenth of a second each.
    for (phrases, contexts) in [(257, 2), (280, 4), (320, 8), (600, 16)] {
        let file = chat_fuzz::table_file(phrases, contexts);
        let without_checksum = &file[..file.len() - 8];
        fs::write(corpus("tables").join(format!("{phrases}-{contexts}")), without_checksum)?;
    }

    let codecs: [(&str, Box<dyn Codec>); 4] = [
        ("stored", Box::new(StoredCodec)),
        ("huffman", Box::new(HuffmanCodec::new())),
        ("own", Box::new(HuffmanCodec::with_tables(chat_fuzz::own_tables()))),
        ("zstd", Box::new(ZstdCodec)),
    ];
    let (mut bodies, mut blobs) = (0, 0);
    for (name, body) in self::bodies() {
        fs::write(corpus("round_trip").join(&name), &body)?;
        bodies += 1;
        for (codec_name, codec) in &codecs {
            for (kind, kind_name) in [(Kind::Message, "message"), (Kind::File, "file")] {
                let blob = codec.encode(kind, &body);
                if blob.encoding == Encoding::Stored && *codec_name != "stored" {
                    continue;
                }
                let limit = (body.len() as u32).to_le_bytes();
                let input = [&limit[..3], &blob.bytes].concat();
                fs::write(corpus("decode").join(format!("{codec_name}-{kind_name}-{name}")), input)?;
                blobs += 1;
            }
        }
    }
    for (name, frame) in frames_no_longer_written() {
        fs::write(corpus("decode").join(name), [&[0, 1, 0][..], &frame].concat())?;
        blobs += 1;
    }
    let said = said_by_clients();
    for (target, name, input) in &said {
        fs::create_dir_all(corpus(target))?;
        fs::write(corpus(target).join(name), input)?;
    }
    println!("{bodies} bodies, {blobs} blobs, {} inputs of clients", said.len());
    Ok(())
}

/// What clients say: for each target, with a name.
fn said_by_clients() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut said = Vec::new();
    let mut add = |target, name: &str, input: Vec<u8>| said.push((target, name.to_owned(), input));
    // The first byte: the form, and three times the number of packets.
    add("payload", "v4", [&[240][..], "40{\"token\":\"x\"}\u{1e}3\u{1e}42[\"event\",{}]\u{1e}bAQID".as_bytes()].concat());
    add("payload", "v3", [&[241][..], "2:4012:42[\"é😀\",{}]6:b4AQID1:3".as_bytes()].concat());
    add("payload", "v3-binary", vec![242, 0, 3, 0xff, b'4', b'h', b'i', 1, 4, 0xff, 4, 1, 2, 3, 0, 1, 0xff, b'3']);
    let frames = [frame(1, b"40{}"), frame(1, &[b'x'; 130]), frame(2, b"\x01"), frame(1, b""), frame(8, b"\x03\xe8")];
    add("frames", "several", [&[3][..], &frames.concat()].concat());
    for (nr, text) in [
        r#"{"token":"a.b.c","pid":"QUJD","offset":"17"}"#,
        r#"{"token":null,"offset":17,"a":[{"":0}]}"#,
        r#"{"\u0074oken":"\ud83d\ude00","pid":{"$gt":""}}"#,
    ]
    .iter()
    .enumerate()
    {
        add("connect", &nr.to_string(), text.as_bytes().to_vec());
    }
    add("cookies", "several", b"a=b; jwt=\"x.y.z\";jwt=;jwt; other=\"jwt=q\"".to_vec());
    let (head, body) = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJ1c2VySWQiOiIwNzA3MDcwNzA3MDcwNzA3MDcwNzA3MDcifQ");
    add("tokens", "forged", format!("{head}.{body}.{}", "A".repeat(43)).into_bytes());
    add("tokens", "none", format!("eyJhbGciOiJub25lIn0.{body}.").into_bytes());
    let request = |line: &str, fields: &str, body: &str| {
        let length = body.len();
        format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let json = "Content-Type: application/json\r\n";
    for (nr, input) in [
        request("GET /healthz", "", ""),
        request("POST /api/register", json, r#"{"username":"ann","password":"correct horse"}"#),
        request("POST /api/login", json, r#"{"username":"ann","password":"x"}"#),
        request("POST /api/auth/signup", json, r#"{"fullName":"A","email":"a@b.cd","password":"correct horse"}"#),
        request("GET /api/messages/chats", "Cookie: jwt=x.y.z\r\nOrigin: http://localhost:5173\r\n", ""),
        request("OPTIONS /api/auth/check", "Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n", ""),
        request("GET /api/search?q=%22a%20b%22&limit=5", "Authorization: Bearer x\r\n", ""),
        request("GET /media/00112233445566778899aabbccddeeff.png", "Range: bytes=0-\r\n", ""),
        request("GET /socket.io/?EIO=4&transport=polling&t=x", "", ""),
        request("GET /socket.io/?EIO=3&transport=polling", "Cookie: jwt=x\r\n", ""),
        request("POST /socket.io/?EIO=3&transport=polling&sid=AAAAAAAAAAAAAAAA", "", "2:40"),
        upgrade(4, &[frame(1, b"40{\"token\":\"x\"}"), frame(1, b"42[\"e\"]"), frame(1, b"3")].concat()),
        upgrade(3, &[frame(1, b"2"), frame(1, b"42[\"e\"]")].concat()),
    ]
    .into_iter()
    .enumerate()
    {
        add("connection", &nr.to_string(), input);
    }
    said
}

/// The upgrade to a websocket, and what is said on it.
fn upgrade(version: u8, frames: &[u8]) -> Vec<u8> {
    let head = format!(
        "GET /socket.io/?EIO={version}&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    [head.as_bytes(), frames].concat()
}

/// A client's frame, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => frame.extend([0x80 | 126, (long >> 8) as u8, long as u8]),
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Bodies that between them make the codecs write every format they have.
fn bodies() -> Vec<(String, Vec<u8>)> {
    let texts = [
        (
            "english",
            "I will be a little late today, start without me and leave some of the cake for me please",
        ),
        ("french", "Je serai un peu en retard aujourd'hui, commencez sans moi et gardez-moi du gâteau"),
        ("spanish", "Hoy llego un poco tarde, empezad sin mí y guardadme un trozo de tarta por favor"),
        ("italian", "Oggi arrivo un po' in ritardo, cominciate senza di me e lasciatemi una fetta di torta"),
        ("german", "Ich komme heute etwas später, fangt ohne mich an und hebt mir ein Stück Kuchen auf"),
        ("czech", "Dnes přijdu trochu později, začněte beze mě a nechte mi prosím kousek dortu"),
        ("finnish", "Tulen tänään vähän myöhässä, aloittakaa ilman minua ja jättäkää minulle kakkua"),
        ("malay", "Saya agak terlambat hari ini, mulai saja tanpa saya dan sisakan sedikit kue ya"),
        ("russian", "Сегодня я немного опоздаю, начинайте без меня и оставьте мне кусочек торта"),
        ("chinese", "我今天会晚一点到,你们先开始吧,不要等我,请给我留一块蛋糕,谢谢大家"),
        ("japanese", "今日は少し遅れます。先に始めてください。ケーキを少し残しておいてくださいね"),
        ("korean", "오늘은 조금 늦을 것 같아요. 저 없이 먼저 시작하시고 케이크 조금만 남겨 주세요"),
        ("arabic", "سأتأخر قليلا اليوم، ابدأوا بدوني واتركوا لي قطعة من الكعكة من فضلكم"),
        ("hindi", "मैं आज थोड़ी देर से आऊँगा, मेरे बिना शुरू कर दो और मेरे लिए केक बचा कर रखना"),
        ("greek", "Σήμερα θα αργήσω λίγο, ξεκινήστε χωρίς εμένα και κρατήστε μου ένα κομμάτι τούρτα"),
        ("code", "for (let i = 0; i < items.length; i++) { if (items[i].id === id) return items[i]; }\n"),
        ("emoji", "😂😂😂 ❤️ 👍🏽 see you there 🎉🎉🎉 🙏🙏 👨‍👩‍👧‍👦 🔥🔥🔥 ok ok ok 😭"),
    ];
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, text) in texts {
        bodies.push((name.to_owned(), text.into()));
        bodies.push((format!("{name}-long"), text.repeat(3000 / text.len()).into()));
    }
    let lines = (0..60).map(|at| {
        format!("2031-05-{:02} 12:00:{at:02} worker {} took {} ms\n", 1 + at % 28, at % 7, at * at)
    });
    bodies.push(("log".to_owned(), lines.collect::<String>().into()));
    bodies.push(("jargon".to_owned(), (0..4).map(chat_fuzz::jargon).collect::<String>().into()));
    bodies.push(("noise".to_owned(), noise(2000)));
    bodies.push(("text-and-noise".to_owned(), ["so it goes ".repeat(150).into_bytes(), noise(600)].concat()));
    bodies.push(("one-value".to_owned(), vec![b'a'; 4000]));
    bodies.push(("all-values".to_owned(), (0..=u8::MAX).cycle().take(2048).collect()));
    bodies.push(("steps".to_owned(), (0..2000_u16).flat_map(|at| (at * 3).to_le_bytes()).collect()));
    bodies.push(("empty".to_owned(), Vec::new()));
    bodies.push(("short".to_owned(), b"ok".to_vec()));
    bodies
}

/// Frames of formats that are still read: the static tables (ids 20 to 27) and a table within the frame (29). They need
/// not be sound; the fuzzer does the rest.
fn frames_no_longer_written() -> impl Iterator<Item = (String, Vec<u8>)> {
    (20..=29_u8).map(|id| (format!("frame-{id}"), [vec![id << 3], noise(120)].concat()))
}

/// Bytes without any pattern, from a fixed seed (xorshift64).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}
