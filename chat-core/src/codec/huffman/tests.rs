//! Frames: what was once written stays readable, and which frames are written.

use proptest::prelude::*;

use super::*;

/// Decodes a frame without tables of one's own.
fn decode(frame: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    crate::codec::decode(BlobRef { encoding: Encoding::Huffman, bytes: frame }, limit)
}

fn encode(body: &[u8]) -> Vec<u8> {
    encode_message(body, &OwnTables::default())
}

/// Messages and their frames. Add to them; never change one.
const FIXTURES: &[(&str, &str)] = &[
    (
        "0d0fc65e46adba56440d8e12039fce20b7b2a0",
        "Sure, let me check the logs and I'll get back to you in 5 minutes :)",
    ),
    (
        "1765923df7c574c71673571af482232eebe8922087146fd36baf80",
        "Bonjour ! On se voit à la gare vers dix heures et demie, ça te va ?",
    ),
    (
        "1a515ffa2e49b131cd291ef27b11a2392e42870beb421b8edc",
        "Nos vemos mañana en la estación a las seis y media, no llegues tarde",
    ),
    (
        "24478b74e805378ee9964ab5b10f5fd30fe3ebf993df50",
        "Ci vediamo domani alla stazione verso le sei, porta anche tua sorella",
    ),
    (
        "29cb0c2e1a45d8f9b06bf53266201a5da87046f8b3736a8d3211425aab89fcc202",
        "Wir treffen uns morgen früh um acht am Bahnhof, vergiss die Karten nicht",
    ),
    (
        "334451d2bbb9d2c5cab810f1d584f8e5f37a001dc4af6c29d632bd75f561d842a1a161350ff4f0a5a3f06a3c77b6a3d7e8",
        "Příliš žluťoučký kůň úpěl ďábelské ódy, uvidíme se zítra na nádraží",
    ),
    (
        "3a4e4b2ef0af58dd6b1f8666d44b99446ed3047cf844eb5f2e85ff01b14f4db2fc6c",
        "Nähdään huomenna aamulla asemalla, älä unohda ottaa lippuja mukaan",
    ),
    (
        "4241653e0f2b93f1617d336e5303322a5d94d1b59d82b2f6ceb0",
        "Besok pagi kita bertemu di stasiun jam enam, jangan lupa bawa tiket",
    ),
    ("4dc1332255be0644b3af92ddd9641c225c60", "Привет! Завтра в семь у метро, не опаздывай 🙂"),
    (
        "513073e2c26583b526cbbf981173552e6a468da205bcd351232647975f982af700f6492c",
        "明天早上九点在车站前面见面，不要迟到，记得带上车票和护照！",
    ),
    (
        "5bf6e00f71a943c69c3f42d95cd161055ed60ba10353d4952913d4dc80501118",
        "明日の朝九時に駅の前で会いましょう。切符を忘れないでください。",
    ),
    (
        "67a1b796a337e7aac6236dabb0b534061ba3e094d79c985e7100",
        "내일 아침 아홉 시에 역 앞에서 만나요. 늦지 마세요!",
    ),
    (
        "6f488b6a1da637a5a2da188a0d5d272348df563035db75215e017800",
        "أراك غدا صباحا في المحطة، لا تتأخر ولا تنس التذاكر",
    ),
    ("745d38980dcaa06ffc5f2b8c278fd090605e70", "कल सुबह नौ बजे मिलते हैं, ठीक है?"),
    (
        "7d773a4b03880c13b53dc91fe0598ce1b70d4706db7c9bd03a0242c3c174f1b6e0",
        "Τα λέμε αύριο το πρωί στον σταθμό, μην αργήσεις",
    ),
    (
        "8619bcc0c999372acc4cd9dd2af80cb7367781afbae87a72d9cdef00",
        "    for (index, item) in items.iter().enumerate() {\n        total += item.len();\n    }\n",
    ),
    (
        "0ea73113a88b004918efc645de269f48b7f0b76af6771b80",
        "That’s SO funny!!! 😂😂 where are you now? I’m at the station",
    ),
];

/// All shipped sets, in the order of their ids, and one of them twice.
#[test]
fn every_shipped_set_is_chosen_for_its_language() {
    for (at, &(hex, text)) in FIXTURES.iter().enumerate() {
        let frame = encode(text.as_bytes());
        assert_eq!(usize::from(frame[0] >> 3), at % shipped::COUNT + 1, "{text}");
        assert!(frame.len() <= hex.len() / 2, "no release writes it in more bytes: {text}");
    }
}

#[test]
fn old_frames_stay_readable() {
    for (hex, text) in FIXTURES {
        let frame: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a fixture is hexadecimal"))
            .collect();
        assert_eq!(decode(&frame, text.len()).as_deref(), Ok(text.as_bytes()), "{text}");
    }
}

proptest! {
    #[test]
    fn a_cut_frame_gives_a_beginning_or_an_error(text in "[ -~]{51,200}", cut in any::<prop::sample::Index>()) {
        let frame = encode(text.as_bytes());
        let cut = cut.index(frame.len());
        if let Ok(body) = decode(&frame[..cut], text.len()) {
            prop_assert!(body.len() < text.len() && text.as_bytes().starts_with(&body));
        }
    }

    #[test]
    fn damage_never_panics_or_exceeds_the_limit(
        body in "[a-z ,.!?äéшиとは在]{51,900}",
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        limit in 0_usize..4000,
    ) {
        let mut frame = encode(body.as_bytes());
        for (at, byte) in damage {
            *at.get_mut(&mut frame) = byte;
        }
        for frame in [&frame[..], &frame[..cut.index(frame.len())]] {
            if let Ok(body) = decode(frame, limit) {
                prop_assert!(body.capacity() <= limit);
            }
        }
    }
}
