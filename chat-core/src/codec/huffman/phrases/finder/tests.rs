//! Tests of [`finder`](super).

use super::*;

#[test]
fn finds_what_is_there_and_nothing_else() {
    let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    words.extend(
        ["a ", "ab", "abc", "abcdef", "b\0", "b\0\0", "\u{fe}\u{ff}"].map(|word| word.as_bytes().to_vec()),
    );
    words.extend((0..=255).map(|byte| vec![b'z', byte]));
    words.sort();
    words.dedup();
    let numbered: Vec<(&[u8], u16)> = words.iter().map(Vec::as_slice).zip(0..).collect();
    let finder = Finder::new(&numbered).expect("there is room");
    for text in [&b"abcdefg"[..], b"abcde", b"b\0\0\0", b"za", b"\xc3\xbe", b"", b"\0\0"] {
        let mut found = Vec::new();
        finder.find(text, |len, number| found.push((len, number)));
        let expected: Vec<_> = (1..=text.len())
            .filter_map(|len| Some((len, words.binary_search(&text[..len].to_vec()).ok()? as u16)))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
}
