//! Tests of frames: old frames stay readable, and the right formats are written.

use proptest::prelude::*;

use super::*;

/// Decodes a frame without custom tables.
fn decode(frame: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    crate::codec::decode(BlobRef { encoding: Encoding::Huffman, bytes: frame }, limit)
}

fn encode(body: &[u8]) -> Vec<u8> {
    encode_message(body, &OwnTables::default())
}

/// Messages and their frames. Add to them; never change one.
const FIXTURES: &[(&str, &str)] = &[
    (
        "0c0fc83dea94f495461e68929dce537ffbe7f0",
        "Sure, let me check the logs and I'll get back to you in 5 minutes :)",
    ),
    (
        "15934246f9c6fd22e8b0f6cbfcf1244ebf036e209d5340a92c0400",
        "Bonjour ! On se voit à la gare vers dix heures et demie, ça te va ?",
    ),
    (
        "1c5989e639c9595366dccfd690a914a2b9308b287211951e4440",
        "Nos vemos mañana en la estación a las seis y media, no llegues tarde",
    ),
    (
        "232f20a6cf3b48abd454e4e9188ec89676ad07947e00",
        "Ci vediamo domani alla stazione verso le sei, porta anche tua sorella",
    ),
    (
        "2bcc8975fa7dc36f84bd743280da20f0bc6ffddfcd4ed1786468b50395d2a7d8",
        "Wir treffen uns morgen früh um acht am Bahnhof, vergiss die Karten nicht",
    ),
    (
        "35504d2b4c4b45952e07d8ae352fcbf0823dac476315ce51325059d2439f21aa0845386e7e954ff6c0c18a7de1a0",
        "Příliš žluťoučký kůň úpěl ďábelské ódy, uvidíme se zítra na nádraží",
    ),
    (
        "3b49e7615b4174cb157297c550990984841a36144ef0125c63b0933d9afa1e9358f900",
        "Nähdään huomenna aamulla asemalla, älä unohda ottaa lippuja mukaan",
    ),
    (
        "4641b9a2037f9a722acfe3aa8427ab448f3b9f93628c157ed2c200",
        "Besok pagi kita bertemu di stasiun jam enam, jangan lupa bawa tiket",
    ),
    ("4ac133105da79a4b867257af76870a0d3c", "Привет! Завтра в семь у метро, не опаздывай 🙂"),
    (
        "5630c3e2053d1e6aa32caf1a049ccbcc1329d07c0c8e2711a1b33c5ccb2bc54c32301bedd640",
        "明天早上九点在车站前面见面，不要迟到，记得带上车票和护照！",
    ),
    (
        "5af640174db24f3de0c6d2c8455aabf9a8b382e841145829c20e77ac600940",
        "明日の朝九時に駅の前で会いましょう。切符を忘れないでください。",
    ),
    (
        "65a3ab16810b387ad2485cae6c2966900e43cc81d6521cca4a1fab40",
        "내일 아침 아홉 시에 역 앞에서 만나요. 늦지 마세요!",
    ),
    (
        "6b48d13221f71a7fb9b0574a3d68ef272891ef146aef2afb4850957768",
        "أراك غدا صباحا في المحطة، لا تتأخر ولا تنس التذاكر",
    ),
    ("7158e2bcb301a84bffa8b308c2944679e8f44e", "कल सुबह नौ बजे मिलते हैं, ठीक है?"),
    (
        "78d720d76437501a0f912d3333d1db6da9e5603cb02b1a3002291a0369f9",
        "Τα λέμε αύριο το πρωί στον σταθμό, μην αργήσεις",
    ),
    (
        "8619bcc0c999372acc4cd9dd2af80cb7367781afbae87a72d9cdef00",
        "    for (index, item) in items.iter().enumerate() {\n        total += item.len();\n    }\n",
    ),
    (
        "08a5b2b03224c1d5031e0cd0fd8646deaed16fc1593a5d8d",
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
